#ifndef PRESENCE_DIRECTORY_H
#define PRESENCE_DIRECTORY_H

/*
 * All clients that are known, by name; who holds them now; and the numbered notes of what changed.
 *
 * Shared by all workers: every call needs its lock, which is the caller's. Touched only when a session begins, names
 * itself, changes state or ends. Each client's verdicts are strictly ordered because they are made here, one by one.
 *
 * Pure: no calls out. Notes are put into a queue that the caller empties after each call (directory_take_note); no call
 * writes more than DIRECTORY_NOTES_A_CALL, and the queue has room for them.
 *
 * Its clock is awake time of the slowest worker: what a session without `stop` left open (rejoin) is judged only after
 * every worker has heard all that had arrived by then. See directory_turn.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/time.h"
#include "presence/naming.h"
#include "presence/session.h"
#include "presence/verdict.h"

#define DIRECTORY_WORKERS_MAX 256
#define DIRECTORY_NOTES_A_CALL 16

struct directory;

struct directory_config {
	struct rhythm_limits rhythm;
	unsigned workers;
	uint32_t known_max;	  /* --max-known */
	bool refuse_duplicates;	  /* --duplicate refuse */
	uint64_t rejoin_ms;	  /* --rejoin */
	uint64_t forget_ms;	  /* --forget */
	unsigned suspect_share;	  /* --suspect-share, per cent; 0: nobody is suspected */
	unsigned suspect_min;	  /* clients, at least */
	uint64_t suspect_hold_ms; /* --suspect-hold */
	unsigned flap_changes;	  /* --flap, at most 100; 0: nobody flaps */
	uint64_t flap_window_ms;  /* --flap-window */
	uint8_t seed[16]; /* of the hash of names: random, so that nobody can choose collisions */
};

/* How much zeroed memory it needs (touched only as it fills), and making it there. The memory is the caller's, aligned for anything. */
size_t directory_bytes(const struct directory_config *config);
struct directory *directory_init(void *memory, const struct directory_config *config,
				 struct mono now);

/* The oldest note that was not taken yet, borrowed until the next call; NULL where there is none. */
const struct note *directory_take_note(struct directory *directory);

/*
 * A worker has told all that had arrived by `now`, which is `awake` in its own time. What is due by the time of the
 * slowest worker is judged: ends without rejoin, flapping that is over, forgetting. Returns true where there is more to
 * do at once (the notes are to be taken, and the call made again).
 */
bool directory_turn(struct directory *directory, unsigned worker, struct mono now,
		    struct awake awake);

/*
 * Milliseconds from the latest turn until directory_turn has something to judge; UINT64_MAX: nothing. For every worker's
 * wait. 0: something is due, and waits for a worker that has not looked since.
 */
uint64_t directory_next_ms(const struct directory *directory);

/* Whether every worker has heard all that had arrived by `time`. */
bool directory_all_heard(const struct directory *directory, struct mono time);

/* Forgets a client that is gone. False where it is not known, or not gone. */
bool directory_forget(struct directory *directory, const char *name, size_t len, struct mono now);

struct directory_counts {
	uint32_t known;			    /* named clients */
	uint32_t anonymous;		    /* sessions without a name */
	uint32_t states[STATE_UNKNOWN + 1]; /* named and anonymous clients by state */
	uint64_t rejoined, forgotten, notes;
};
void directory_count(const struct directory *directory, struct directory_counts *counts);

/* What is known of one client. Borrowed until the next call. */
struct known {
	const char *name, *group; /* NUL-terminated; group "" where there is none */
	enum state state;
	enum reason reason;
	bool has_session; /* false, though not gone: it may still rejoin */
	unsigned worker;
	uint32_t slot, generation;
	uint64_t tag; /* of its last session */
	uint64_t every_ms, grace_ms;
	uint32_t rejoined;
	bool flapping;
	struct mono since; /* its last verdict */
	struct mono heard; /* as of its last verdict: messages do not touch the directory */
};
/* Finds one by name, or walks all (cursor 0 begins; false at the end). */
bool directory_find(const struct directory *directory, const char *name, size_t len,
		    struct known *known);
bool directory_walk(const struct directory *directory, uint32_t *cursor, struct known *known);

/* The name of a session's client (session.client), "" for CLIENT_NONE. Borrowed until the next call. */
const char *directory_name(const struct directory *directory, uint32_t client);

/* Asserts all invariants. For tests. */
void directory_check(const struct directory *directory);

#endif
