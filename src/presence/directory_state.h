#ifndef PRESENCE_DIRECTORY_STATE_H
#define PRESENCE_DIRECTORY_STATE_H

/*
 * What the directory is made of. For the files of the directory and standing.c; nobody else looks inside.
 *
 *     names   ->  client  client  client ...      known_max of them, by index; chained by the hash of their names
 *     groups  ->  group   group ...               as many as clients, chained likewise, counted by who is in them
 *     gone        oldest ... newest               list of the clients that are gone: the first to be forgotten
 *     wheel       who may rejoin, who flaps       by the directory's own clock
 *     notes       ring of what changed            taken by the caller after each call
 *
 * All lies in one block that the caller gives, and is touched only as it fills: links are index + 1, 0 is none.
 */

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "presence/directory.h"
#include "presence/wheel.h"

#define GROUP_NONE UINT32_MAX
#define NOTES_ROOM (4 * DIRECTORY_NOTES_A_CALL)
#define FLAP_CHANGES_MAX 100 /* each costs every client eight bytes */

/* Shares of one client, in fixed point. */
#define ONE (UINT64_C(1) << 16)

/* Under whose roof a client is suspect. */
enum scope {
	SCOPE_NONE,
	SCOPE_GROUP,
	SCOPE_ALL
};

/* How many of a group, or of all, are silent, and how many could be by now. See suspicion.c. */
struct tally {
	uint32_t clients;  /* those with a session */
	uint32_t late;	   /* of them */
	uint32_t suspects; /* of them */
	uint32_t held;	   /* suspects under this roof; those of a group may be under that of all */
	uint64_t
		expected; /* how many that are not suspect should speak within their grace, in 1/ONE */
	uint64_t grace_ms;  /* sum */
	uint64_t fallen;    /* judged gone by silence lately, fading, in 1/ONE */
	uint64_t fallen_ms; /* when that was reckoned */
	bool told;	    /* a partition is told, and not over */
};

struct group {
	struct tally tally;
	uint32_t clients; /* that are known, gone ones too; 0: a free place */
	uint32_t hash;
	uint32_t chain; /* next with the same place in the table, or next free one */
	uint8_t len;
	char name[GROUP_BYTES_MAX + 1];
};

struct client {
	struct wheel_node node; /* armed while it may rejoin or flaps */
	/* Read by the worker of its session without the lock, hence atomically. */
	uint64_t every_ms, grace_ms;
	uint64_t tag; /* of its last session */
	uint64_t key[2];
	struct mono since, heard;
	struct mono ended;	/* open: when its session ended */
	uint64_t open_until_ms; /* open: until then it may rejoin, in the directory's clock */
	uint64_t gone_ms;	/* gone: since then, in the directory's clock */
	uint64_t flapping_ms;	/* flapping: since then, likewise */
	uint32_t hash;
	uint32_t chain;	     /* next with the same place in the table */
	uint32_t prev, next; /* among those that are gone; next also among free places */
	uint32_t group;
	uint32_t slot, generation; /* of its session */
	uint32_t rejoined;
	uint16_t worker;
	uint8_t state, reason;
	uint8_t open_reason;
	uint8_t scope;	  /* suspect: enum scope */
	uint8_t flap_at;  /* where in its ring of changes the next one goes */
	uint8_t name_len; /* 0: a free place */
	bool has_session, has_key, flapping;
	bool met;     /* a verdict on it was told before */
	bool open;    /* its session ended without a stop: it may rejoin */
	bool watched; /* counted in the tallies */
	char name[NAME_BYTES_MAX + 1];
};

struct worker_clock {
	struct mono now;    /* of its last whole turn: all that had arrived by then is told */
	struct mono seen;   /* the last that was seen of it, in any call */
	struct awake awake; /* the same in its awake time */
	uint32_t anonymous[STATE_SUSPECT + 1]; /* its clients without a name, by state */
};

struct directory {
	struct directory_config config;
	struct client *clients;
	struct group *groups;
	uint32_t *names, *group_names; /* tables of chains, `mask` + 1 of each */
	uint64_t *flaps;	       /* a ring of flap_changes + 1 times for each client */
	uint32_t mask;
	uint32_t clients_used, groups_used; /* places ever used */
	uint32_t clients_free, groups_free; /* first of those given back */
	uint32_t gone_first, gone_last;
	uint32_t known, anonymous;
	uint32_t states[STATE_UNKNOWN + 1];
	uint64_t tags, rejoined, forgotten;

	/* The clock, see directory.c. */
	struct mono start, latest;
	struct mono judged;		/* the latest time at which anything was judged */
	struct mono away_from, away_to; /* the last time that a worker was away */
	uint64_t away_ns;		/* the whole of such times */
	uint64_t front_ns, back_ns;
	uint64_t stamp_ns; /* the furthest that `front` ever was */
	struct wheel wheel;

	struct tally all;
	struct tally explained; /* sum of the groups whose partition is told */

	uint64_t sequence;
	uint32_t notes_first, notes_count;
	struct note notes[NOTES_ROOM];
	struct worker_clock workers[]; /* config.workers of them */
};

static inline uint64_t rhythm_load(const uint64_t *ms)
{
	return __atomic_load_n(ms, __ATOMIC_RELAXED);
}

static inline void rhythm_store(uint64_t *ms, uint64_t value)
{
	__atomic_store_n(ms, value, __ATOMIC_RELAXED);
}

/* When something is told: when it was last heard, when it became so, when it was seen. */
struct moment {
	struct mono heard, happened, judged;
};

/* directory.c: what a worker's clocks show, in any call. Then the time now, which never runs backwards. */
void directory_see(struct directory *directory, unsigned worker, struct mono now,
		   struct awake awake);
static inline uint64_t directory_stamp_ms(const struct directory *directory)
{
	return (directory->stamp_ns + NS_PER_MS - 1) / NS_PER_MS;
}

/* clients.c: the table of clients by name. */
struct client *clients_find(const struct directory *directory, const char *name, size_t len);
bool clients_has_room(const struct directory *directory);
struct client *clients_add(struct directory *directory, const char *name, size_t len,
			   struct mono now); /* gone, and nothing else; there is room */
void clients_forget(struct directory *directory, struct client *client, struct mono now);
void clients_watch(struct directory *directory, struct client *client);
void clients_unwatch(struct directory *directory, struct client *client);
/* The one way in which a client's state changes. It is told. */
void clients_move(struct directory *directory, struct client *client, enum state to,
		  enum reason reason, const struct moment *moment);
void clients_arm(struct directory *directory, struct client *client);
static inline uint32_t clients_index(const struct directory *directory, const struct client *client)
{
	return (uint32_t)(client - directory->clients);
}

/* groups.c: the table of groups by name. */
uint32_t groups_join(struct directory *directory, const char *name, size_t len);
void groups_leave(struct directory *directory, uint32_t group);

/* notes.c: the numbered queue. A note is zeroed but for kind, sequence, times of judgement and announcing. */
struct note *notes_add(struct directory *directory, enum note_kind kind, struct mono judged);
struct note *notes_add_about(struct directory *directory, enum note_kind kind,
			     const struct client *client, const struct moment *moment);

/* flapping.c */
void flapping_changed(struct directory *directory, struct client *client,
		      const struct moment *moment);
uint64_t flapping_until_ms(const struct directory *directory, const struct client *client);
void flapping_end(struct directory *directory, struct client *client, struct mono now);

/* suspicion.c: one who is watched, named or not. */
struct member {
	uint64_t every_ms, grace_ms;
	uint32_t group; /* GROUP_NONE: none */
	enum state state;
	enum scope scope; /* suspect: under whose roof */
};
void suspicion_enter(struct directory *directory, const struct member *member);
void suspicion_leave(struct directory *directory, const struct member *member);
/* It comes due: is it more likely the network? SCOPE_NONE: no. Tells of a partition that is new. */
enum scope suspicion_judge(struct directory *directory, const struct member *member,
			   struct mono now);
/* It was judged gone by its silence. */
void suspicion_fell(struct directory *directory, const struct member *member);
uint64_t suspicion_expected(const struct member *member);

#endif
