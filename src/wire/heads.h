#ifndef WIRE_HEADS_H
#define WIRE_HEADS_H

/*
 * Slots for the first bytes of lines that have not ended yet. The caller owns the memory (heads_bytes(count) of it,
 * aligned for a uint32_t, which need not be touched before it is used), sized for as many slots as there may be
 * conversations: taking a slot never fails then. Pure; one thread.
 *
 *     memory   slot 0 | slot 1 | ... | slot count-1 | links
 *
 * The links between the slots that are free stand beside the slots, not in them: what is in a slot that was given back
 * can be read until one is taken again.
 */

#include <stddef.h>
#include <stdint.h>

/* Longer than the longest `id`; of a longer line nothing beyond is kept. */
#define WIRE_HEAD_BYTES 1024
#define HEADS_NONE UINT32_MAX

struct heads {
	char *memory;
	uint32_t count;
	uint32_t used;	/* slots ever taken: those beyond have not been touched */
	uint32_t taken; /* slots taken now */
	uint32_t
		free; /* first of the slots given back, each linked to the next; HEADS_NONE at the end */
};

size_t heads_bytes(uint32_t count);
void heads_init(struct heads *heads, void *memory, uint32_t count);
uint32_t heads_take(struct heads *heads);
void heads_give(struct heads *heads, uint32_t slot);

static inline char *heads_at(const struct heads *heads, uint32_t slot)
{
	return heads->memory + (size_t)slot * WIRE_HEAD_BYTES;
}

#endif
