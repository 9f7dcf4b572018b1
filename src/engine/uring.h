#ifndef ENGINE_URING_H
#define ENGINE_URING_H

/*
 * What the io_uring engine is made of. uring.c: turns, newcomers, calls down; uring_connection.c: one connection;
 * uring_table.c: their slots; uring_flood.c: those that say much at once; uring_ring.c: the ring.
 *
 * A connection is a link: 20 bytes. Completions and calls down only note in it what is to be done and put it in the list
 * of work; uring_connection_work does it. One list, one place that decides.
 *
 * A send is tried by the kernel while it is submitted, without waiting, and only a send that comes short completes. So
 * when an enter is over and its completions are taken, all sends of that batch are known: until then a link is in the
 * batch, is not given another send, and its slot does not go back.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/time.h"
#include "engine/engine.h"
#include "engine/linger.h"
#include "engine/shed.h"
#include "engine/uring_ring.h"

#define URING_NONE UINT32_MAX
#define URING_MESSAGES 64 /* sends of more than one piece that are submitted together */
#define URING_FLOODS                                                                               \
	64 /* connections with more than one receive on the way, in a turn that is to be whole */
#define URING_SLOT_BITS 28

enum uring_flag {
	URING_USED = 1 << 0,
	URING_LISTED = 1 << 1,	/* in a list of work */
	URING_HELD = 1 << 2,	/* the worker wants no more for now */
	URING_ENDED = 1 << 3,	/* the end of the stream was told */
	URING_CLOSING = 1 << 4, /* once all is sent */
	URING_TO_SEND = 1 << 5, /* the worker is to be asked for output */
	URING_BLOCKED = 1 << 6, /* the socket takes no more for now */
	URING_BROKEN =
		1 << 7, /* nor ever again: what it still holds is received, then it is over */
	URING_FAILED = 1 << 8,	/* it is over, by link.error */
	URING_DROPPED = 1 << 9, /* it is over, the worker wants it */
	URING_FLOOD = 1 << 10,	/* in the list of floods */
	/* In flight: */
	URING_RECEIVING = 1 << 11,
	URING_NO_RECEIVING = 1 << 12, /* its cancellation is under way */
	URING_WATCHING = 1 << 13,     /* a poll, for room to send and for the end of the peer */
	URING_NO_WATCHING = 1 << 14,
};

struct uring_link {
	int32_t fd; /* of a free one: the next free one, -1 at the end */
	uint32_t generation;
	uint32_t next; /* in a list of work */
	uint16_t flags;
	uint16_t batch; /* the one its last send was in */
	uint8_t error;	/* of a broken or failed one: its errno */
};

/* Links in the order in which they came. */
struct uring_list {
	uint32_t first;
	uint32_t last;
};

/* The memory that a send of several pieces speaks of until it has been submitted. */
struct uring_message {
	struct msghdr header;
	struct iovec pieces[ENGINE_SLICES];
};

struct uring_listener {
	bool is_accepting; /* multishot accept is in flight */
	bool is_watching;  /* a poll is */
	bool is_cancelled;
	bool is_by_hand; /* no room: newcomers are watched for, and turned away one by one */
};

struct uring_flood {
	uint32_t slot;
	uint32_t generation;
	int64_t left; /* bytes that it held when the last look began; -1: to be asked */
};

struct engine {
	const struct engine_calls *calls;
	void *worker;
	struct uring_ring ring;
	struct uring_link *table;
	uint32_t max;
	uint32_t used; /* slots ever taken: those beyond have not been touched */
	uint32_t live;
	int32_t free;
	uint16_t batch;
	struct uring_list work;	 /* to be worked at now */
	struct uring_list later; /* when the batch is known */
	unsigned messages_count;
	struct uring_message messages[URING_MESSAGES];

	int waker;
	atomic_bool woken;
	bool is_waker_armed;
	bool is_open;
	bool is_finishing;
	bool again; /* something was armed that may have something to tell at once */
	struct mono now;
	struct mono until;  /* when the worker wants its turn */
	struct mono looked; /* when the last whole turn woke */
	uint64_t whole_ns;  /* and how long it took */
	uint64_t gather_ns;
	uint32_t entries;  /* of the kernel's list of what has happened, told in this turn */
	uint32_t receives; /* in this turn */
	uint64_t last_mark;
	uint32_t floods_count;
	struct uring_flood floods[URING_FLOODS];
	struct linger_policy linger;
	struct shed shed;
	struct uring_listener listeners[ENGINE_LISTENERS_MAX];
};

/* What a completion is of: the lowest bits of its mark. Then the slot, then the generation (or else what is said). */
enum uring_operation {
	URING_NOTHING, /* nobody cares */
	URING_RECEIVE,
	URING_SEND, /* instead of the generation: the bytes that were told as sent */
	URING_WATCH,
	URING_CANCEL_RECEIVE,
	URING_CANCEL_WATCH,
	URING_ACCEPT, /* the slot is the listener's index */
	URING_LISTEN,
	URING_WAKE,
};

static inline uint64_t uring_mark(enum uring_operation operation, uint32_t slot, uint32_t rest)
{
	return (uint64_t)rest << 32 | (uint64_t)slot << 4 | operation;
}

/* What must have completed before a slot goes back; and what makes a connection be over. */
#define URING_IN_FLIGHT (URING_RECEIVING | URING_WATCHING)
#define URING_OVER (URING_FAILED | URING_DROPPED)

static inline void uring_link_set(struct uring_link *link, unsigned flags)
{
	link->flags |= (uint16_t)flags;
}

static inline void uring_link_clear(struct uring_link *link, unsigned flags)
{
	link->flags &= (uint16_t)~flags;
}

static inline struct uring_link *uring_table_at(const struct engine *engine, uint32_t slot)
{
	return &engine->table[slot];
}

static inline struct connection uring_table_name(const struct engine *engine, uint32_t slot)
{
	return (struct connection){slot, engine->table[slot].generation};
}

/* Whether what became of its last send is not known yet. */
static inline bool uring_table_is_in_batch(const struct engine *engine,
					   const struct uring_link *link)
{
	return link->batch == engine->batch;
}

/* A slot for this descriptor, URING_NONE where all are taken. */
uint32_t uring_table_take(struct engine *engine, int fd);

/* Gives the slot back. Nothing of it is in flight. */
void uring_table_give(struct engine *engine, uint32_t slot);

/* NULL where the name is stale. */
struct uring_link *uring_table_named(const struct engine *engine, struct connection connection);

/* Appends to a list one who is in none; takes the first off a list that has one. */
void uring_table_list(struct engine *engine, struct uring_list *list, uint32_t slot);
uint32_t uring_table_unlist(struct engine *engine, struct uring_list *list);

/* Sets flags, and puts it in the list of work. */
void uring_table_note(struct engine *engine, uint32_t slot, unsigned flags);

/* All that was submitted has been told: links leave the batch. */
void uring_table_end_batch(struct engine *engine);

/* A completion of a connection's. */
void uring_connection_completed(struct engine *engine, const struct io_uring_cqe *completion);

/* Does what was noted. */
void uring_connection_work(struct engine *engine);

/* Ends it at once, whatever is in flight: the ring is gone already. */
void uring_connection_bury(struct engine *engine, uint32_t slot);

/* A receive of so many bytes was told. */
void uring_flood_count(struct engine *engine, uint32_t slot, int len);
/* Those that the completions just taken brought are asked how much they still hold. */
void uring_flood_measure(struct engine *engine);
/* Whether all that they held has been told. */
bool uring_flood_is_over(const struct engine *engine);
void uring_flood_forget(struct engine *engine);

#endif
