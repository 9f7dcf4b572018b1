#ifndef ENGINE_THREADS_H
#define ENGINE_THREADS_H

/*
 * The inside of the threads engine, for its own files alone: threads.c (its life, and the picture of it all),
 * threads_turn.c (the lock, and what everybody does who has it), threads_main.c (the main thread) and threads_client.c
 * (a client's thread).
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/time.h"
#include "engine/links.h"
#include "engine/shed.h"

#define THREADS_CONDITIONS                                                                         \
	64 /* clients' threads that wait for something else than bytes share these */

/*
 * OVER: `closed` was told; its thread is to go, and gives the slot back.
 * SEE_OFF: the peer has not closed yet: see shed.h, Seeing off.
 * LEAVING: ended by another thread, while its own still waits for bytes.
 * GONE: the peer is gone; what it still holds is received in spite of a hold.
 * IDLE: its thread waits at a condition.
 */
enum threads_flag {
	THREADS_OVER = LINK_ENGINES,
	THREADS_SEE_OFF = LINK_ENGINES << 1,
	THREADS_LEAVING = LINK_ENGINES << 2,
	THREADS_GONE = LINK_ENGINES << 3,
	THREADS_IDLE = LINK_ENGINES << 4,
};

/* Whether its own thread is sending, which it does without the lock. */
enum threads_sending {
	THREADS_QUIET,
	THREADS_SENDING,
	THREADS_CALLED, /* sending, and something was noted for it meanwhile */
};

struct threads_client {
	struct engine *engine;
	struct mono until; /* leaving: when its thread is made to go */
	atomic_int sending;
};

struct engine {
	pthread_mutex_t
		lock; /* over everything below but what is atomic; calls up are made with it */
	pthread_mutex_t
		gate; /* the main thread has it while it waits for the lock, so that it comes next */
	atomic_bool is_gated;
	atomic_bool woken;
	pthread_cond_t conditions[THREADS_CONDITIONS];
	pthread_cond_t all_gone;
	pthread_attr_t attributes;
	int waker[2]; /* a pipe: the main thread waits at the first end */
	const struct engine_calls *calls;
	void *worker;
	struct links links;
	struct threads_client *clients; /* by slot */
	struct pollfd *looks;		/* the main thread's */
	struct connection *looked_at;	/* whose they are */
	uint32_t threads;		/* clients' threads that run */
	uint32_t lingering;		/* of them, those that see off */
	uint32_t leaving;
	uint32_t over; /* slots whose connection is over, but not their thread */
	bool open;
	bool is_finishing;
	bool is_poked;	  /* a byte is in the pipe for the main thread, or it is awake */
	bool is_stirred;  /* something was told since the last `turned` */
	bool is_troubled; /* there may be connections that the main thread has to look after */
	bool again;	  /* something is to be heard anew: not whole yet */
	struct mono now;
	struct mono stirred_at;
	struct mono until;  /* when the worker wants its turn */
	struct mono rest;   /* no whole turn before that */
	struct mono sleeps; /* until when the main thread sleeps */
	struct shed shed;
	char bytes[ENGINE_RECEIVE_BYTES]; /* bytes are taken under the lock only */
};

static inline struct link *threads_link(const struct engine *engine, uint32_t slot)
{
	return &engine->links.table[slot];
}

/* ---- threads_turn.c */

#define THREADS_TICK_NS                                                                            \
	(10 * NS_PER_MS) /* how soon after anything was told the worker is asked for its deadline */

/* A turn begins: reads the clock, `woke`. With the lock. */
void threads_begin(struct engine *engine);

/* Takes the lock for a turn. */
void threads_enter(struct engine *engine);

/* Takes the lock before all who come later, and begins no turn. */
void threads_lock_first(struct engine *engine);

/* Does what was marked, sees to it that the main thread comes in time, and gives the lock back. */
void threads_leave(struct engine *engine);

/* Wakes the main thread, from any thread, with the lock or without. */
void threads_wake_main(struct engine *engine);

/* From here on, all with the lock. */

/* The main thread is to look at things anew. */
void threads_poke(struct engine *engine);

/* Something was told: the worker's next deadline may have changed. */
void threads_stir(struct engine *engine);

void threads_perform_marks(struct engine *engine);

/* Whether its own thread is sending; if so, that will look for what is noted for it. */
bool threads_is_left_to_sender(struct engine *engine, uint32_t slot);

/* Sets or clears LINK_DEFERS by that. */
void threads_defer_to_sender(struct engine *engine, uint32_t slot);

/* Tells the worker of output that was left to the sending thread. */
enum link_fate threads_tell_deferred(struct engine *engine, uint32_t slot);

/*
 * Ends a connection: tells `closed`, shuts the socket as its fate wants it, and makes its thread go, which closes it.
 * `is_own`: from its own thread, which goes at once.
 */
void threads_end(struct engine *engine, uint32_t slot, enum link_fate fate, bool is_own);

/* Shuts the socket; notes where it is to be seen off. */
void threads_shut(struct engine *engine, uint32_t slot, enum link_fate fate);

/* Its thread waits for bytes, which may never come: it is made to go when the peer had time to close. */
void threads_leave_to_peer(struct engine *engine, uint32_t slot);

/* What is left to do after anything was done with a connection. */
void threads_settle(struct engine *engine, uint32_t slot, enum link_fate fate, bool is_own);

/* Whether its thread is to receive nothing now, and waits at a condition. */
bool threads_is_idle(const struct link *link);

/* Whether the socket is to be watched by the main thread: for errors, and for room where it is blocked. */
bool threads_is_troubled(const struct link *link);

/* Every slot is taken, but some will be free as soon as their threads have run: newcomers wait for them. */
static inline bool threads_is_full(const struct engine *engine)
{
	return engine->links.live == engine->links.max && engine->over > 0;
}

/* ---- threads_main.c: engine_kind.run */

int threads_run(struct engine *engine);

/* ---- threads_client.c */

/* A client's thread; the argument is its struct threads_client. */
void *threads_client(void *client);

#endif
