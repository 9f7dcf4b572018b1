#ifndef ENGINE_EPOLL_H
#define ENGINE_EPOLL_H

/*
 * The inside of the epoll engine, for its own files alone: epoll.c (turns, and the picture of it all) and epoll_link.c
 * (one connection's part of a turn). One thread.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/time.h"
#include "engine/linger.h"
#include "engine/links.h"
#include "engine/shed.h"

#define EPOLL_EVENTS_MAX 512
#define EPOLL_WORK_MAX 65536 /* receives and accepts after which a turn ends, whole or not */
#define EPOLL_FLOODS_MAX                                                                           \
	512 /* connections with more than one receive in a turn that is to be whole */

enum epoll_flag {
	ARMED_IN = LINK_ENGINES,
	ARMED_OUT = LINK_ENGINES << 1,
	FLOOD = LINK_ENGINES << 2, /* in the turn's list of floods */
};

struct flood {
	uint32_t slot;
	uint32_t generation;
	int left; /* bytes that it held when it was found out */
};

struct engine {
	const struct engine_calls *calls;
	void *worker;
	struct links links;
	int epoll;
	int waker;
	atomic_bool woken;
	bool is_coarse; /* the kernel has no epoll_pwait2 */
	bool open;
	bool is_finishing;
	bool is_listening; /* the listeners are armed */
	bool is_busy;
	bool is_whole_wanted; /* this turn is to be whole */
	bool again;	      /* there was more than could be told, or something new: look again */
	uint32_t work;	      /* receives and accepts of this turn */
	uint32_t floods_count;
	uint64_t gather_ns;
	struct mono now;
	struct mono until;  /* when the worker wants its turn */
	struct mono looked; /* the last whole turn */
	struct linger_policy linger;
	struct shed shed;
	struct epoll_event events[EPOLL_EVENTS_MAX];
	struct flood floods[EPOLL_FLOODS_MAX];
	char bytes[ENGINE_RECEIVE_BYTES];
};

static inline struct link *epoll_link(const struct engine *engine, uint32_t slot)
{
	return &engine->links.table[slot];
}

/* ---- epoll_link.c */

/* What epoll is to wait for, for this connection. */
struct epoll_event epoll_event_of(const struct engine *engine, uint32_t slot);

/* Ends it: its socket, `closed`, its slot. */
void epoll_end(struct engine *engine, uint32_t slot, enum link_fate fate);

/* Does what calls down have asked for. */
void epoll_perform_marks(struct engine *engine);

/* Does what epoll told of a connection. */
void epoll_on_event(struct engine *engine, uint32_t slot, uint32_t events);

/* Tells all that those held who had more to say than one receive brings, each in turn, within the turn's work. */
void epoll_drain_floods(struct engine *engine);

/* The turn ends before they were done. */
void epoll_forget_floods(struct engine *engine);

#endif
