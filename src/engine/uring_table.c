/* Slots, and the lists of those of them at which there is something to be done. */

#include "engine/uring.h"

#include <assert.h>

static_assert(sizeof(struct uring_link) <= 24, "a connection costs no more");

uint32_t uring_table_take(struct engine *engine, int fd)
{
	struct uring_link *link;
	uint32_t slot;

	if (engine->free >= 0) {
		slot = (uint32_t)engine->free;
		link = uring_table_at(engine, slot);
		engine->free = link->fd;
	} else if (engine->used < engine->max) {
		slot = engine->used++;
		link = uring_table_at(engine, slot);
		link->generation = 1;
	} else {
		return URING_NONE;
	}
	engine->live++;
	link->fd = fd;
	link->flags = URING_USED;
	/* Not the present one. */
	link->batch = (uint16_t)(engine->batch - 1);
	link->error = 0;
	return slot;
}

void uring_table_give(struct engine *engine, uint32_t slot)
{
	struct uring_link *link = uring_table_at(engine, slot);

	assert(!(link->flags & (URING_IN_FLIGHT | URING_LISTED)));
	assert(!uring_table_is_in_batch(engine, link));
	if (++link->generation == 0)
		link->generation = 1;
	link->flags = 0;
	link->fd = engine->free;
	engine->free = (int32_t)slot;
	engine->live--;
}

struct uring_link *uring_table_named(const struct engine *engine, struct connection connection)
{
	struct uring_link *link;

	if (connection.slot >= engine->used)
		return NULL;
	link = uring_table_at(engine, connection.slot);
	return link->flags & URING_USED && link->generation == connection.generation ? link : NULL;
}

void uring_table_list(struct engine *engine, struct uring_list *list, uint32_t slot)
{
	struct uring_link *link = uring_table_at(engine, slot);

	uring_link_set(link, URING_LISTED);
	link->next = URING_NONE;
	if (list->first == URING_NONE)
		list->first = slot;
	else
		uring_table_at(engine, list->last)->next = slot;
	list->last = slot;
}

uint32_t uring_table_unlist(struct engine *engine, struct uring_list *list)
{
	uint32_t slot = list->first;

	list->first = uring_table_at(engine, slot)->next;
	uring_link_clear(uring_table_at(engine, slot), URING_LISTED);
	return slot;
}

void uring_table_note(struct engine *engine, uint32_t slot, unsigned flags)
{
	struct uring_link *link = uring_table_at(engine, slot);

	uring_link_set(link, flags);
	if (!(link->flags & URING_LISTED))
		uring_table_list(engine, &engine->work, slot);
}

void uring_table_end_batch(struct engine *engine)
{
	engine->batch++;
	while (engine->later.first != URING_NONE)
		uring_table_list(engine, &engine->work, uring_table_unlist(engine, &engine->later));
}
