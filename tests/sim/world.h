#ifndef SIM_WORLD_H
#define SIM_WORLD_H

/*
 * A world made from one seed: a server of some workers with virtual engines, clients of all kinds, a network that delays
 * and is cut, and a server that is stopped now and then. Everything that the server tells is compared with what the
 * world knows to be true (truth.c).
 *
 * A world fails by truth_fail, which prints the seed and the story, and exits.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "presence/directory.h"
#include "server/house.h"
#include "server/worker.h"
#include "sim/random.h"
#include "sim/virtual.h"

#define WORLD_WORKERS_MAX 4
#define WORLD_CLIENTS_MAX 80
#define WORLD_SOCKETS_MAX 8192
#define WORLD_STALLS_MAX 256

enum habit {
	HABIT_HONEST, /* speaks well within its rhythm */
	HABIT_TARDY,  /* speaks, but late: within its grace */
	HABIT_HANGS,  /* falls silent; its host answers */
	HABIT_DIES,   /* falls silent together with its host */
	HABIT_STOPS,  /* says stop, and comes back later, perhaps */
	HABIT_FLAPS, /* its connection breaks again and again; it comes back at once, or after a while */
	HABIT_DOUBLE, /* comes again under its name while its old session is there */
	HABIT_ROAMS, /* leaves its session without a word, and is back on another just before it would be gone */
	HABIT_DEAF, /* speaks much, and takes no reply */
	HABIT_RUDE, /* too long lines, bad ids, half-closes */
	HABIT_COUNT
};

/* One connection as the world sees it. */
struct line {
	bool used;
	unsigned worker;
	uint32_t socket;
	unsigned client;
	uint64_t tag; /* once the server has told it */
	struct mono connected;
	struct mono took;     /* when the client last took replies, or could have */
	struct mono arrived;  /* when bytes last came into the server's host */
	struct mono heard_by; /* the first turn of its worker after that; 0: not yet */
	struct mono named;    /* when its `id` arrived; 0: never */
	bool is_live;	      /* the client holds it */
	bool end_seen;	      /* the server has told its end */
	bool said_stop;	      /* stop has arrived */
	bool was_named;	      /* ... and it was taken */
	struct mono ended;    /* when an end (EOF, reset) arrived; 0: none did */
	uint64_t messages;    /* whole ones that have arrived */
	uint64_t reply_bytes; /* taken by the client so far */
	bool final;	      /* something else than replies has come */
};

struct actor {
	enum habit habit;
	bool anonymous;
	char name[24];
	char group[16];
	uint64_t every_ms, grace_ms;
	uint64_t beat_ms;
	int line;		 /* index of the live one; -1: none */
	struct mono next;	 /* when it acts */
	struct mono silent_from; /* hangs, dies: from then on */
	bool is_silent, host_dead;
	struct mono died;
	unsigned acts;
	/* What the notes have said of it. */
	enum state told;
	bool known;
	struct mono told_at;
};

struct away {
	struct mono from, to;
};

struct world {
	uint64_t seed;
	bool verbose;
	struct random random;
	struct house house;
	struct worker *workers;
	struct directory_config config;
	unsigned workers_count;
	uint64_t send_timeout_ms;
	struct mono now, until, faults_until;
	struct mono turn_at[WORLD_WORKERS_MAX];
	struct actor actors[WORLD_CLIENTS_MAX];
	unsigned actors_count;
	struct line *lines;
	unsigned lines_count;
	struct away stalls[WORLD_STALLS_MAX];
	unsigned stalls_count;
	struct mono stalled_until; /* the server does nothing before */
	struct mono next_stall;
	struct mono cut_from, cut_until; /* messages of the cut group arrive only afterwards */
	const char *cut_group;		 /* NULL: nobody is cut off; "": all */
	uint64_t sequence;
	uint64_t partitions;
	uint64_t verdicts, steps;
};

/* Makes a world, lets it live, checks it and ends it. Returns the number of verdicts. */
uint64_t world_run(uint64_t seed, bool verbose);

/* actor.c: what clients do. */
void actor_init(struct world *world, unsigned index);
void actor_act(struct world *world, unsigned index);
bool actor_is_cut(const struct world *world, const struct actor *actor, struct mono at);
void actor_reads(struct world *world, struct line *line);
/* All who can and want to take their replies do. */
void actor_read_all(struct world *world);
/* The faults are over: everybody who lives is honest from here on. */
void actor_settle(struct world *world, unsigned index);

/* truth.c: what the server tells, against what is so. */
void truth_look(struct world *world);
void truth_turned(struct world *world, unsigned worker);
void truth_of_end(struct world *world);
void truth_view(void *world, unsigned worker, uint32_t socket, struct mono now,
		struct engine_view *view);
_Noreturn void truth_fail(struct world *world, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void world_say(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct line *world_line(struct world *world, unsigned worker, uint32_t socket);

#endif
