#ifndef ENGINE_LINKS_H
#define ENGINE_LINKS_H

/*
 * The connections of an engine that sends and receives by itself (epoll, threads): their slots, and what is to be done
 * with each after what was told of it. 20 bytes a connection. What an engine waits with, and how a connection ends, is
 * the engine's own: functions here say what is to become of a connection (enum link_fate), and the engine does it.
 *
 * One thread at a time, or under a lock.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"

#define LINKS_NONE UINT32_MAX

enum link_flag {
	LINK_USED = 1 << 0,
	LINK_HELD = 1 << 1,    /* the worker wants no more for now */
	LINK_ENDED = 1 << 2,   /* the end of the stream was told */
	LINK_CLOSING = 1 << 3, /* once all is sent */
	LINK_BLOCKED = 1 << 4, /* the socket takes no more for now */
	LINK_BROKEN = 1 << 5, /* nor ever again: what it still holds is received, then it is over */
	LINK_MARKED = 1 << 6, /* in the list of marked ones */
	LINK_TO_SEND = 1 << 7,
	LINK_TO_CLOSE = 1 << 8,
	LINK_TO_DROP = 1 << 9,
	LINK_DEFERS = 1 << 10,	/* another thread sends: what is to be sent is noted for it */
	LINK_ENGINES = 1 << 11, /* this and higher ones are the engine's own */
};

struct link {
	int32_t fd; /* of a free one: the next free one, -1 at the end */
	uint32_t generation;
	uint32_t next; /* of the marked ones */
	uint32_t flags;
	int32_t error; /* of a broken or failed one: its errno */
};

struct links {
	const struct engine_calls *calls;
	void *worker;
	struct link *table;
	uint32_t max;
	uint32_t used; /* slots ever taken: those beyond have not been touched */
	uint32_t live;
	int32_t free;	       /* the slot that was given back last; -1: none */
	uint32_t marked_first; /* in the order in which they were marked */
	uint32_t marked_last;
};

/* What is to become of a connection. Anything but LINK_STAYS: the engine is to end it now. */
enum link_fate {
	LINK_STAYS,
	LINK_FINISHED, /* ENGINE_END_FINISHED: all is sent */
	LINK_DROPPED,
	LINK_FAILED, /* by link.error */
};

/* Returns 0 or -ENOMEM. The calls are borrowed. */
int links_init(struct links *links, uint32_t max, const struct engine_calls *calls, void *worker);
void links_fini(struct links *links);

/* A slot for this descriptor, the one given back last if there is one; LINKS_NONE: all are taken. */
uint32_t links_take(struct links *links, int fd);
/* The name is stale from here on. */
void links_give(struct links *links, uint32_t slot);

/* NULL where the name is stale. */
struct link *links_named(struct links *links, struct connection connection);

static inline struct connection links_name(const struct links *links, uint32_t slot)
{
	return (struct connection){slot, links->table[slot].generation};
}

/* Notes what a call down wants (LINK_TO_...); links_unmark gives them out, one by one, LINKS_NONE at the end. */
void links_mark(struct links *links, uint32_t slot, uint32_t flags);
uint32_t links_unmark(struct links *links);

/* Does what was noted for a connection that was given out. */
enum link_fate links_perform_marked(struct links *links, uint32_t slot);

/* Does what a call up about this connection returned, and what was noted for it meanwhile. */
enum link_fate links_perform(struct links *links, uint32_t slot, unsigned duties);

/* Takes note of such duties without doing more about them. LINK_STAYS or LINK_DROPPED. */
enum link_fate links_take_duties(struct links *links, uint32_t slot, unsigned duties);

/* Sends as much as there is and goes. Nothing, where the connection is blocked or broken. */
enum link_fate links_transmit(struct links *links, uint32_t slot);

/* A send failed: LINK_STAYS where bytes that came before are still to be told (see links_receive). */
enum link_fate links_broke(struct links *links, uint32_t slot, int error);

/*
 * One receive into `bytes` (ENGINE_RECEIVE_BYTES of them), told and performed. `*got` is what it brought: 0 where there
 * was nothing, or the end, or an error. Not for one that has ended or is closing.
 */
enum link_fate links_receive(struct links *links, uint32_t slot, char *bytes, size_t *got);

/* Receives all that a broken connection still holds. Never LINK_STAYS. */
enum link_fate links_receive_rest(struct links *links, uint32_t slot, char *bytes);

/* The peer is no more there, as the socket says: sets link.error. LINK_FAILED. */
enum link_fate links_gone(struct links *links, uint32_t slot);

#endif
