/*
 * Connections that say more than one receive brings. Where a turn is whole by having gone round, they are not: what they
 * held when it began must be told as well, and so they are asked how much that is.
 */

#include "engine/uring.h"

#include <poll.h>
#include <sys/ioctl.h>

/* It is in the list of floods. */
static struct uring_flood *flood_of(struct engine *engine, uint32_t slot)
{
	struct uring_flood *flood = engine->floods;

	while (flood->slot != slot || flood->generation != uring_table_at(engine, slot)->generation)
		flood++;
	return flood;
}

/* A full buffer: there may be more behind it that had arrived as well. */
static void note_flood(struct engine *engine, uint32_t slot)
{
	struct uring_link *link = uring_table_at(engine, slot);

	if (engine->floods_count == URING_FLOODS) {
		engine->again = true;
		return;
	}
	engine->floods[engine->floods_count++] = (struct uring_flood){slot, link->generation, -1};
	uring_link_set(link, URING_FLOOD);
}

void uring_flood_count(struct engine *engine, uint32_t slot, int len)
{
	if (uring_table_at(engine, slot)->flags & URING_FLOOD) {
		struct uring_flood *flood = flood_of(engine, slot);

		if (flood->left > 0)
			flood->left = flood->left > len ? flood->left - len : 0;
	} else if (len == ENGINE_RECEIVE_BYTES) {
		note_flood(engine, slot);
	}
}

void uring_flood_measure(struct engine *engine)
{
	for (uint32_t i = 0; i < engine->floods_count; i++) {
		struct uring_flood *flood = &engine->floods[i];
		int left = 0;

		if (flood->left >= 0)
			continue;
		if (uring_table_at(engine, flood->slot)->generation == flood->generation &&
		    ioctl(uring_table_at(engine, flood->slot)->fd, FIONREAD, &left) != 0)
			left = 0;
		flood->left = left;
	}
}

/* Whether the end of the stream, or its reset, waits behind what was told. */
static bool ends(int fd)
{
	struct pollfd look = {.fd = fd, .events = POLLRDHUP};

	return poll(&look, 1, 0) != 0;
}

bool uring_flood_is_over(const struct engine *engine)
{
	for (uint32_t i = 0; i < engine->floods_count; i++) {
		const struct uring_flood *flood = &engine->floods[i];
		const struct uring_link *link = uring_table_at(engine, flood->slot);

		if (link->generation == flood->generation &&
		    !(link->flags & (URING_HELD | URING_CLOSING | URING_ENDED | URING_OVER)) &&
		    (flood->left != 0 || ends(link->fd)))
			return false;
	}
	return true;
}

void uring_flood_forget(struct engine *engine)
{
	for (uint32_t i = 0; i < engine->floods_count; i++)
		uring_link_clear(uring_table_at(engine, engine->floods[i].slot), URING_FLOOD);
	engine->floods_count = 0;
}
