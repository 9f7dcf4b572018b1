/*
 * A ring of bytes. Each record is its length in four bytes and then its own; both may go round the end of the memory.
 * `written` and `read` count bytes for ever: what lies between them is what is there.
 *
 *     memory   ...free... | len record | len record | ...free...
 *                         ^ read                    ^ written        (modulo size)
 */

#include "base/feed.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#define PREFIX sizeof(uint32_t)

void feed_init(struct feed *feed, void *memory, size_t size)
{
	assert(size >= PREFIX && (size & (size - 1)) == 0);
	feed->memory = memory;
	feed->size = size;
	atomic_init(&feed->written, 0);
	atomic_init(&feed->lost, 0);
	atomic_init(&feed->read, 0);
	feed->gives_back = false;
}

void feed_give_back(struct feed *feed)
{
	assert(feed->size >= 2 * FEED_CHUNK);
	feed->gives_back = true;
}

static uint64_t copy_in(struct feed *feed, uint64_t at, const void *bytes, size_t len)
{
	size_t offset = (size_t)at & (feed->size - 1);
	size_t whole = feed->size - offset;
	size_t first = len < whole ? len : whole;

	/* The second part of a record may be empty, and nowhere. */
	if (len > 0) {
		memcpy(feed->memory + offset, bytes, first);
		memcpy(feed->memory, (const char *)bytes + first, len - first);
	}
	return at + len;
}

static void copy_out(const struct feed *feed, uint64_t at, void *bytes, size_t len)
{
	size_t offset = (size_t)at & (feed->size - 1);
	size_t whole = feed->size - offset;
	size_t first = len < whole ? len : whole;

	if (len > 0) {
		memcpy(bytes, feed->memory + offset, first);
		memcpy((char *)bytes + first, feed->memory, len - first);
	}
}

/* Called by the writer. The reader's mark is acquired: what it has read is free to be written over. */
static size_t room(struct feed *feed)
{
	uint64_t written = atomic_load_explicit(&feed->written, memory_order_relaxed);
	uint64_t read = atomic_load_explicit(&feed->read, memory_order_acquire);

	/* The chunk that is being read is given back whole, so nothing may be written to its front before that. */
	if (feed->gives_back)
		read -= read % FEED_CHUNK;
	return feed->size - (size_t)(written - read);
}

bool feed_has_room(struct feed *feed, size_t bytes, size_t spare)
{
	size_t left = room(feed);

	return left >= PREFIX && bytes <= left - PREFIX && spare <= left - PREFIX - bytes;
}

bool feed_put(struct feed *feed, const void *first, size_t first_len, const void *second,
	      size_t second_len)
{
	assert(first_len > 0 || second_len > 0);
	if (first_len > UINT32_MAX || second_len > UINT32_MAX - first_len ||
	    !feed_has_room(feed, first_len + second_len, 0)) {
		atomic_fetch_add_explicit(&feed->lost, 1, memory_order_relaxed);
		return false;
	}
	uint64_t at = atomic_load_explicit(&feed->written, memory_order_relaxed);
	uint32_t len = (uint32_t)(first_len + second_len);

	at = copy_in(feed, at, &len, PREFIX);
	at = copy_in(feed, at, first, first_len);
	at = copy_in(feed, at, second, second_len);
	atomic_store_explicit(&feed->written, at, memory_order_release);
	return true;
}

/* Called by the reader before its mark moves on: the writer does not come here before that. */
static void give_back_behind(struct feed *feed, uint64_t from, uint64_t to)
{
	if (!feed->gives_back || from / FEED_CHUNK == to / FEED_CHUNK)
		return;
	/* It may fail, and then it stays. Records are shorter than a chunk: it is one at most. */
	(void)madvise(feed->memory + ((size_t)from & (feed->size - 1)) / FEED_CHUNK * FEED_CHUNK,
		      FEED_CHUNK, MADV_DONTNEED);
}

size_t feed_take(struct feed *feed, void *record, size_t size)
{
	uint64_t at = atomic_load_explicit(&feed->read, memory_order_relaxed);
	uint32_t len;

	if (at == atomic_load_explicit(&feed->written, memory_order_acquire))
		return 0;
	assert(size > 0);
	copy_out(feed, at, &len, PREFIX);
	size_t kept = len < size ? len : size;

	copy_out(feed, at + PREFIX, record, kept);
	give_back_behind(feed, at, at + PREFIX + len);
	atomic_store_explicit(&feed->read, at + PREFIX + len, memory_order_release);
	return kept;
}
