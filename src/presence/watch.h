#ifndef PRESENCE_WATCH_H
#define PRESENCE_WATCH_H

/*
 * One worker's sessions and their deadlines: who is heard, who is late, who is over.
 *
 * Pure: time is an argument, and so is what the kernel knows about a peer. A message is two stores and two sums
 * (watch_heard). Deadlines lie on a wheel and are moved lazily: when the wheel reaches a session, its time of being
 * heard is looked at, and it is either moved on or given out to be judged. All of it in awake time, which stands still
 * while the server itself was away: a stall is never held against a client.
 *
 * Calls marked [directory] change the directory that all workers share: its lock is held by the caller. All others are
 * the worker's own.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/time.h"
#include "presence/directory.h"
#include "presence/naming.h"
#include "presence/session.h"

/* A turn that comes later than it was promised by more than this is a stall, in nanoseconds: scheduling is finer. */
#define WATCH_STALL_NS (100 * NS_PER_MS)

/* A session may have this many names, one after the other: each is remembered, and renaming is no way to fill that. */
#define SESSION_NAMES_MAX 8

/* The latest stalls are remembered, so that times before them are told right. */
#define WATCH_STALLS_KEPT 4

struct stall {
	struct awake at; /* awake time stood still here */
	uint64_t ns;
};

/* However far the next deadline: a turn comes so often, lest a stall hide in a long wait. */
#define WATCH_TURN_MAX_NS NS_PER_S

struct watch {
	struct directory *directory;
	unsigned worker;
	char *sessions; /* the first one */
	size_t stride;
	uint32_t count;
	struct wheel wheel;
	struct mono now;      /* this turn's reading */
	struct awake awake;   /* the same in awake time */
	struct mono start;    /* when awake time was 0 */
	struct mono promised; /* by when this turn was to begin */
	uint64_t away_ns;     /* how long the server was away, in all */
	uint32_t stalls;
	uint32_t live; /* sessions in it */
	uint64_t send_timeout_ms;
	struct stall last_stalls[WATCH_STALLS_KEPT]; /* the latest first */
	uint32_t given; /* given out by watch_due and not answered yet; WHEEL_NONE */
	bool is_seen;	/* ... by watch_is_due only, so that watch_due will give it out */
};

/*
 * `sessions`: `count` zeroed sessions that follow each other by `stride` bytes. A send_timeout_ms of 0: nobody is stuck.
 */
void watch_init(struct watch *watch, struct directory *directory, unsigned worker, void *sessions,
		size_t stride, uint32_t count, uint64_t send_timeout_ms, struct mono now);

static inline struct session *watch_at(const struct watch *watch, uint32_t slot)
{
	return (struct session *)(void *)(watch->sessions + (size_t)slot * watch->stride);
}

/* A turn begins. Returns the length of the stall that came before it, in nanoseconds; 0 where there was none. */
uint64_t watch_woke(struct watch *watch, struct mono now);

/* The turn is over: the next one is to begin by `until` at the latest. */
void watch_promise(struct watch *watch, struct mono until);

/* [directory] A session begins, alive, with the next tag. Returns its tag. */
uint64_t watch_accept(struct watch *watch, uint32_t slot, uint32_t generation, unsigned listener,
		      const struct address *peer);

/*
 * Bytes came, and `messages` with them. Returns true where the client was late or suspect: then watch_back is to be
 * called.
 */
static inline bool watch_heard(struct watch *watch, struct session *session, uint32_t messages,
			       size_t bytes)
{
	session->heard = watch->awake;
	session->messages += messages;
	session->bytes += bytes;
	return session->state != STATE_ALIVE;
}

/* [directory] It is heard again: alive. */
void watch_back(struct watch *watch, uint32_t slot);

/* Where a session that is displaced by a newer one is: its worker is to end it as replaced. */
struct displaced {
	bool any;
	unsigned worker;
	uint32_t slot, generation;
};

enum named {
	NAMED,		 /* done */
	NAMED_DISPLACED, /* not heard: it was displaced or judged meanwhile, and its end is on its way */
	NAMED_TAKEN, /* in use, and newcomers are refused (--duplicate refuse) */
	NAMED_KEY,   /* the name has a key, and it is another */
	NAMED_MANY,  /* too many names on this session */
	NAMED_FULL,  /* --max-known clients are known, and none of them is gone */
};

/*
 * [directory] The session says its name, or another one, or the same again (perhaps with another rhythm).
 * A name that it had before is given up, as if its session had ended by stop: final at once. What is refused changes
 * nothing. A session that was displaced itself is not heard: its end is on its way.
 */
enum named watch_name(struct watch *watch, uint32_t slot, const struct naming *naming,
		      struct displaced *displaced);

/* It owes replies that its socket does not take; or has taken some (`progress`), or all (`cleared`). */
void watch_owing(struct watch *watch, uint32_t slot);
void watch_owing_progress(struct watch *watch, uint32_t slot);
void watch_owing_cleared(struct watch *watch, uint32_t slot);

/*
 * [directory] The session ends now, for this reason; its place is empty afterwards. The client is gone at once where
 * the reason is final (stopped, refused, malformed, drained, ...), else after --rejoin (closed, reset); an anonymous
 * client is gone at once. For `replaced` the client, who is on a newer session, keeps its state. A session that was
 * displaced ends without a word, whatever the reason; one that was judged gone is not told of twice.
 */
void watch_end(struct watch *watch, uint32_t slot, enum reason reason);

enum due {
	DUE_NOTHING,
	DUE_LATE,  /* `every` has passed: watch_late, unless there is something unheard */
	DUE_OVER,  /* the deadline has passed (or a suspect's hold): watch_judge, likewise */
	DUE_STUCK, /* nothing it is owed was taken for send_timeout: watch_judge_stuck */
};

/*
 * The next session that is due for something in this turn, by watch->awake; each is given out once, and is to be
 * answered by one of the calls below, or by its end, before the next is asked for.
 */
enum due watch_due(struct watch *watch, uint32_t *slot);

/*
 * Whether watch_due has anything to give out. Moves on the deadlines of those who were heard, as that does. For engines
 * to which it is dear to hear everybody before somebody may be judged.
 */
bool watch_is_due(struct watch *watch);

/* Since when in this machine's time it is due, for what watch_due gave out. */
struct mono watch_due_since(const struct watch *watch, uint32_t slot, enum due due);

/* How long it may be silent until it is due for its silence, in the state in which it is. */
uint64_t watch_limit_ms(const struct watch *watch, uint32_t slot);

/* Not now: something of it is unheard, or another worker has not looked yet. It is given out again after `ms`, at most a second. */
void watch_wait(struct watch *watch, uint32_t slot, unsigned ms);

/* [directory] It is late. */
void watch_late(struct watch *watch, uint32_t slot);

/* What the kernel knows about a silent one's peer, at the deadline. */
struct peer_view {
	bool is_tcp;
	bool unanswered; /* its host owes an acknowledgement for longer than its retransmission timeout */
	uint32_t answered_ms; /* since its host last acknowledged anything */
};

/*
 * [directory] Its deadline has passed. REASON_NONE: it is suspect and held. Else why it is gone (hung or unreachable):
 * the verdict is told, and the worker is to close the connection at once and call watch_end with that same reason.
 * REASON_REPLACED where it was displaced meanwhile: likewise, but nothing is told.
 */
enum reason watch_judge(struct watch *watch, uint32_t slot, const struct peer_view *view);

/* Why one that takes nothing ends: slow, or unreachable where its host acknowledges nothing. */
enum reason watch_judge_stuck(const struct watch *watch, uint32_t slot,
			      const struct peer_view *view);

/* By when the next turn must come: for the sake of the wheel, and of seeing stalls at most WATCH_TURN_MAX_NS from now. */
struct mono watch_next(const struct watch *watch);

/* Asserts all invariants of the watch and of its sessions. For tests. */
void watch_check(const struct watch *watch);

#endif
