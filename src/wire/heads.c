/*
 * A free list over slots of one size. The slot given back last is taken first: it is the one most likely to be in the
 * cache, and slots that were never needed are never touched.
 */

#include "wire/heads.h"

#include <assert.h>

static uint32_t *link_of(const struct heads *heads, uint32_t slot)
{
	uint32_t *links = (uint32_t *)(void *)heads_at(heads, heads->count);

	return &links[slot];
}

size_t heads_bytes(uint32_t count)
{
	return (size_t)count * (WIRE_HEAD_BYTES + sizeof(uint32_t));
}

void heads_init(struct heads *heads, void *memory, uint32_t count)
{
	assert((uintptr_t)memory % _Alignof(uint32_t) == 0);
	*heads = (struct heads){.memory = memory, .count = count, .free = HEADS_NONE};
}

uint32_t heads_take(struct heads *heads)
{
	uint32_t slot = heads->free;

	if (slot != HEADS_NONE) {
		heads->free = *link_of(heads, slot);
	} else {
		assert(heads->used < heads->count);
		slot = heads->used++;
	}
	heads->taken++;
	return slot;
}

void heads_give(struct heads *heads, uint32_t slot)
{
	assert(slot < heads->used && heads->taken > 0);
	*link_of(heads, slot) = heads->free;
	heads->free = slot;
	heads->taken--;
}
