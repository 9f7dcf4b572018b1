#ifndef BASE_FEED_H
#define BASE_FEED_H

/*
 * A queue of records of any length from one writer to one reader, in memory of a fixed size, without a lock.
 * A writer never waits: what does not fit is not written, and counted.
 *
 * Threads: one writes, one reads, at the same time (or several under a lock each).
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is given back to the system at a time, where a feed gives back. */
#define FEED_CHUNK (64 * 1024)

struct feed {
	char *memory;
	size_t size; /* a power of two */
	_Alignas(64) _Atomic uint64_t written;
	_Atomic uint64_t lost; /* records that did not fit, in all */
	_Alignas(64) _Atomic uint64_t read;
	bool gives_back;
};

/*
 * From now on what has been read is given back to the system, in chunks: a burst does not stay in memory for ever. The
 * memory must be mapped, private, anonymous and at page's bounds, and `size` at least two chunks.
 */
void feed_give_back(struct feed *feed);

/* `size` is a power of two; the memory is the caller's and need not be touched. */
void feed_init(struct feed *feed, void *memory, size_t size);

/*
 * Copies a record of two parts, of which one may be empty: there are no empty records. False where it did not fit, now or
 * ever.
 */
bool feed_put(struct feed *feed, const void *first, size_t first_len, const void *second,
	      size_t second_len);

/* Whether there is room for a record of `bytes` now, and for `spare` beside. The writer's to ask. */
bool feed_has_room(struct feed *feed, size_t bytes, size_t spare);

/*
 * Copies the oldest record to `record` and returns how many bytes; 0: there is none. A record longer than `size` is cut,
 * and the rest of it is gone.
 */
size_t feed_take(struct feed *feed, void *record, size_t size);

#endif
