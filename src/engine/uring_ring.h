#ifndef ENGINE_URING_RING_H
#define ENGINE_URING_RING_H

/*
 * A ring as the io_uring engine wants it: deferred task work, one issuer, a ring of provided buffers; and what must be
 * known about the kernel's side of it. Knows nothing of connections.
 *
 * Deferred task work means that nothing completes but inside an enter, so between two enters the engine sees a world
 * that stands still; and that the kernel raises a flag as soon as something has come that it could not tell yet. That
 * flag is what makes a turn whole without asking anybody (see uring.c).
 *
 * Threads: the one that starts it, from then on; opening and closing may be done by another.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <liburing.h>

#include "base/time.h"

#define URING_RING_ENTRIES 512
#define URING_RING_COMPLETIONS 4096
#define URING_RING_BUFFERS_MAX                                                                     \
	128 /* an enter tells some 20 things, or as many as were waited for */
#define URING_RING_BUFFERS_FIRST                                                                   \
	32 /* so few that they stay in the cache; more once they were too few */
#define URING_RING_GROUP 1

struct uring_ring {
	struct io_uring ring;
	struct io_uring_buf_ring *buffers;
	char *memory;	   /* of the buffers */
	uint32_t provided; /* how many buffers are in use; those beyond have never been touched */
	bool is_open;
	bool is_started;
};

/* Returns 0, or a negative errno where this kernel (or container) has no such ring. */
int uring_ring_open(struct uring_ring *ring);
void uring_ring_close(struct uring_ring *ring);

/* The calling thread is the one that uses it. Returns 0 or a negative errno. */
int uring_ring_start(struct uring_ring *ring);
void uring_ring_stop(struct uring_ring *ring);

/* An entry to be filled in; the next enter submits it. Never NULL: where there is no room, the others are submitted. */
struct io_uring_sqe *uring_ring_entry(struct uring_ring *ring);

/* Submits what there is, so that the memory it speaks of may be used again. */
void uring_ring_submit(struct uring_ring *ring);

/* Submits, and waits until `count` things have happened or `ns` have passed (UINT64_MAX: without end). 0 or an errno. */
int uring_ring_wait(struct uring_ring *ring, unsigned count, uint64_t ns);

/* Submits, and lets the kernel tell what has happened by now. Returns 0 or a negative errno. */
int uring_ring_look(struct uring_ring *ring);

/* Takes the next completion. False where there is none. */
bool uring_ring_take(struct uring_ring *ring, struct io_uring_cqe *completion);

/* Whether a completion that is not an error waits to be taken for the operation with this mark. */
bool uring_ring_holds(struct uring_ring *ring, uint64_t mark);

/* Whether something has happened that the kernel has not told. */
bool uring_ring_has_more(const struct uring_ring *ring);

/* Whether all that was entered has been submitted. */
static inline bool uring_ring_is_submitted(const struct uring_ring *ring)
{
	return io_uring_sq_ready(&ring->ring) == 0;
}

/* The buffer of a completion; to be given back when it has been used. */
const char *uring_ring_buffer(const struct uring_ring *ring, const struct io_uring_cqe *completion);
void uring_ring_give_back(struct uring_ring *ring, const struct io_uring_cqe *completion);

/* There were too few buffers: provides more, as far as there are. */
void uring_ring_grow(struct uring_ring *ring);

#endif
