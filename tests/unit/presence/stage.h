#ifndef TESTS_PRESENCE_STAGE_H
#define TESTS_PRESENCE_STAGE_H

/*
 * A small server without sockets, in virtual time: a directory, a few workers, sessions. What it is told is written
 * down, one line a note, and compared as text. All invariants are checked after every step.
 *
 *     12.500 bob late            verdict: judged at 12.5 s of the story; ` (was ...)` where it was not judged when it happened
 *     12.500 #3 gone closed      an anonymous client, by its tag
 */

#include "presence/directory.h"
#include "presence/watch.h"

#define STAGE_WORKERS 4
#define STAGE_SESSIONS 256
#define STAGE_LOG 262144

/* Where a session of the story is. */
struct actor {
	unsigned worker;
	uint32_t slot, generation;
	uint64_t tag;
};

struct place {
	struct session session;
	bool unreachable; /* its host answers nothing */
	bool local;	  /* at a unix socket */
	bool unheard;	  /* something waits in its socket */
};

struct stage {
	struct directory_config config;
	struct directory *directory;
	unsigned workers;
	struct watch watches[STAGE_WORKERS];
	struct place *places[STAGE_WORKERS];
	bool asleep[STAGE_WORKERS]; /* this worker does not turn */
	uint32_t used[STAGE_WORKERS];
	uint32_t generations;
	struct mono now, start;
	struct displaced displaced; /* of the last naming */
	bool keep_displaced;	    /* the story ends them itself */
	void (*on_note)(const struct note *note);
	bool unchecked;	   /* big stories check now and then */
	uint64_t sequence; /* of the last note */
	struct note last;
	unsigned verdicts, partitions; /* told so far */
	size_t log_len;
	char log[STAGE_LOG];
};

/* What the server is like unless the story says otherwise: every 60s, grace 30s, rejoin 5s, nobody suspected. */
struct directory_config stage_config(void);

void stage_open(struct stage *stage, const struct directory_config *config, unsigned workers);
void stage_close(struct stage *stage);

/* Time passes turn by turn, all workers judging what is due. */
void stage_pass(struct stage *stage, uint64_t ms);
/* Time passes at once, without a turn; or in one turn of one worker, in which whatever is due is judged. */
void stage_jump_ns(struct stage *stage, uint64_t ns);
void stage_turn(struct stage *stage, unsigned worker);
void stage_turn_all(struct stage *stage);

struct actor stage_connect(struct stage *stage, unsigned worker);
enum named stage_name(struct stage *stage, struct actor actor, const char *id);
/* Connects and names it. */
struct actor stage_enter(struct stage *stage, unsigned worker, const char *id);
void stage_beat(struct stage *stage, struct actor actor);
void stage_end(struct stage *stage, struct actor actor, enum reason reason);
/* Whether its session is still there. */
bool stage_is_there(const struct stage *stage, struct actor actor);
struct place *stage_place(struct stage *stage, struct actor actor);
struct watch *stage_watch(struct stage *stage, struct actor actor);

void stage_check(struct stage *stage);
/* Takes the notes and writes them down. Every step does. */
void stage_listen(struct stage *stage);

/* What was told since the last time is exactly this. */
void stage_told_(struct stage *stage, const char *expected, const char *file, int line);
#define stage_told(stage, expected) stage_told_(stage, expected, __FILE__, __LINE__)
#define stage_told_nothing(stage) stage_told_(stage, "", __FILE__, __LINE__)
void stage_told_whatever(struct stage *stage);

/* Lines of the log since the last time that hold `text`. */
unsigned stage_count(const struct stage *stage, const char *text);

struct known stage_known(const struct stage *stage, const char *name);
bool stage_knows(const struct stage *stage, const char *name);

#endif
