/*
 * Six levels of 64 slots. A node lies at the level of the highest group of six bits in which its time differs from the
 * wheel's, in the slot that its time has in that group:
 *
 *     due_ms   group 5 | group 4 | group 3 | group 2 | group 1 | group 0
 *              2^30 ms   2^24      2^18      2^12      64 ms     1 ms
 *
 * So where a node lies follows from its time and the wheel's, and is written down nowhere. Below the highest level, all
 * nodes of a level lie beyond the wheel's own slot in it, and before all nodes of the levels above. The highest level
 * goes round. When the wheel reaches the start of a slot, the slot's nodes move down, or become ready.
 */

#include "presence/wheel.h"

#include <assert.h>

#define TOP (WHEEL_LEVELS - 1)
#define SLOT_MASK (WHEEL_SLOTS - 1)

static struct wheel_node *node_at(const struct wheel *wheel, uint32_t index)
{
	return (struct wheel_node *)(void *)(wheel->nodes + (size_t)index * wheel->stride);
}

static unsigned slot_of(uint64_t ms, unsigned level)
{
	return (unsigned)(ms >> (level * WHEEL_BITS)) & SLOT_MASK;
}

static unsigned level_of(const struct wheel *wheel, uint64_t due_ms)
{
	unsigned level = (63u - (unsigned)__builtin_clzll(due_ms ^ wheel->now_ms)) / WHEEL_BITS;

	return level < TOP ? level : TOP;
}

/* Lists are rings: the first node's prev is the last one. */
static void append(struct wheel *wheel, uint32_t *first, uint32_t index)
{
	struct wheel_node *node = node_at(wheel, index);

	if (*first == WHEEL_NONE) {
		*first = node->next = node->prev = index;
		return;
	}
	node->next = *first;
	node->prev = node_at(wheel, *first)->prev;
	node_at(wheel, node->prev)->next = index;
	node_at(wheel, *first)->prev = index;
}

static void take_out(struct wheel *wheel, uint32_t *first, uint32_t index)
{
	struct wheel_node *node = node_at(wheel, index);

	if (node->next == index) {
		*first = WHEEL_NONE;
	} else {
		node_at(wheel, node->prev)->next = node->next;
		node_at(wheel, node->next)->prev = node->prev;
		if (*first == index)
			*first = node->next;
	}
	node->next = node->prev = WHEEL_NONE;
}

static void place(struct wheel *wheel, uint32_t index)
{
	uint64_t due_ms = node_at(wheel, index)->due_ms;
	unsigned level, slot;

	if (due_ms <= wheel->now_ms) {
		append(wheel, &wheel->ready, index);
		return;
	}
	level = level_of(wheel, due_ms);
	slot = slot_of(due_ms, level);
	append(wheel, &wheel->slots[level][slot], index);
	wheel->filled[level] |= UINT64_C(1) << slot;
}

static void displace(struct wheel *wheel, uint32_t index)
{
	uint64_t due_ms = node_at(wheel, index)->due_ms;
	unsigned level, slot;

	if (due_ms <= wheel->now_ms) {
		take_out(wheel, &wheel->ready, index);
		return;
	}
	level = level_of(wheel, due_ms);
	slot = slot_of(due_ms, level);
	take_out(wheel, &wheel->slots[level][slot], index);
	if (wheel->slots[level][slot] == WHEEL_NONE)
		wheel->filled[level] &= ~(UINT64_C(1) << slot);
}

void wheel_init(struct wheel *wheel, void *nodes, size_t stride, uint64_t now_ms)
{
	*wheel = (struct wheel){
		.nodes = nodes, .stride = stride, .now_ms = now_ms, .ready = WHEEL_NONE};
	for (unsigned level = 0; level < WHEEL_LEVELS; level++)
		for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++)
			wheel->slots[level][slot] = WHEEL_NONE;
}

void wheel_node_init(struct wheel *wheel, uint32_t index)
{
	*node_at(wheel, index) = (struct wheel_node){.next = WHEEL_NONE, .prev = WHEEL_NONE};
}

bool wheel_is_armed(const struct wheel *wheel, uint32_t index)
{
	return node_at(wheel, index)->prev != WHEEL_NONE;
}

void wheel_arm(struct wheel *wheel, uint32_t index, uint64_t due_ms)
{
	uint64_t first_ms = wheel->now_ms + 1;

	wheel_disarm(wheel, index);
	if (due_ms < first_ms)
		due_ms = first_ms;
	if (due_ms > wheel->now_ms + WHEEL_SPAN_MS)
		due_ms = wheel->now_ms + WHEEL_SPAN_MS;
	node_at(wheel, index)->due_ms = due_ms;
	place(wheel, index);
	wheel->armed++;
}

void wheel_disarm(struct wheel *wheel, uint32_t index)
{
	if (!wheel_is_armed(wheel, index))
		return;
	displace(wheel, index);
	wheel->armed--;
}

/* The lowest level that holds something, and its next slot. False where nothing waits. */
static bool next_slot(const struct wheel *wheel, unsigned *level, unsigned *slot)
{
	unsigned own = slot_of(wheel->now_ms, TOP);
	uint64_t ahead;

	for (*level = 0; *level < TOP; ++*level) {
		if (wheel->filled[*level] != 0) {
			*slot = (unsigned)__builtin_ctzll(wheel->filled[*level]);
			return true;
		}
	}
	if (wheel->filled[TOP] == 0)
		return false;
	/* The wheel's own slot is empty at this level, so the first one ahead is found by turning the bits. */
	ahead = own == 0 ? wheel->filled[TOP]
			 : wheel->filled[TOP] >> own | wheel->filled[TOP] << (WHEEL_SLOTS - own);
	*slot = (own + (unsigned)__builtin_ctzll(ahead)) & SLOT_MASK;
	return true;
}

static uint64_t slot_start(const struct wheel *wheel, unsigned level, unsigned slot)
{
	unsigned shift = level * WHEEL_BITS;
	uint64_t steps = (slot - slot_of(wheel->now_ms, level)) & SLOT_MASK;

	return ((wheel->now_ms >> shift) + steps) << shift;
}

/* Moves to where this slot begins, and what is in it down. */
static void reach(struct wheel *wheel, unsigned level, unsigned slot)
{
	uint32_t *first = &wheel->slots[level][slot];
	uint32_t index;

	wheel->now_ms = slot_start(wheel, level, slot);
	wheel->filled[level] &= ~(UINT64_C(1) << slot);
	while ((index = *first) != WHEEL_NONE) {
		take_out(wheel, first, index);
		place(wheel, index);
	}
}

void wheel_turn(struct wheel *wheel, uint64_t now_ms)
{
	unsigned level, slot;

	if (now_ms <= wheel->now_ms)
		return;
	while (next_slot(wheel, &level, &slot) && slot_start(wheel, level, slot) <= now_ms)
		reach(wheel, level, slot);
	wheel->now_ms = now_ms;
}

uint32_t wheel_take(struct wheel *wheel)
{
	uint32_t index = wheel->ready;

	if (index != WHEEL_NONE) {
		take_out(wheel, &wheel->ready, index);
		wheel->armed--;
	}
	return index;
}

uint64_t wheel_next_ms(const struct wheel *wheel)
{
	unsigned level, slot;

	if (wheel->ready != WHEEL_NONE)
		return wheel->now_ms;
	return next_slot(wheel, &level, &slot) ? slot_start(wheel, level, slot) : UINT64_MAX;
}

/* Walks one ring and returns its length. */
static uint32_t check_ring(const struct wheel *wheel, uint32_t first, uint32_t count)
{
	uint32_t len = 0;

	if (first == WHEEL_NONE)
		return 0;
	for (uint32_t index = first; len == 0 || index != first;
	     index = node_at(wheel, index)->next) {
		assert(index < count);
		assert(node_at(wheel, node_at(wheel, index)->next)->prev == index);
		len++;
		assert(len <= count);
	}
	return len;
}

static void check_slot(const struct wheel *wheel, unsigned level, unsigned slot)
{
	uint32_t first = wheel->slots[level][slot];
	uint32_t index = first;

	assert((first != WHEEL_NONE) == (wheel->filled[level] >> slot & 1));
	if (first == WHEEL_NONE)
		return;
	do {
		const struct wheel_node *node = node_at(wheel, index);

		assert(node->due_ms > wheel->now_ms);
		assert(node->due_ms - wheel->now_ms <= WHEEL_SPAN_MS);
		assert(level_of(wheel, node->due_ms) == level);
		assert(slot_of(node->due_ms, level) == slot);
		index = node->next;
	} while (index != first);
}

static void check_ready(const struct wheel *wheel)
{
	uint32_t index = wheel->ready;
	uint64_t before = 0;

	if (index == WHEEL_NONE)
		return;
	do {
		assert(node_at(wheel, index)->due_ms <= wheel->now_ms);
		assert(node_at(wheel, index)->due_ms >= before);
		before = node_at(wheel, index)->due_ms;
		index = node_at(wheel, index)->next;
	} while (index != wheel->ready);
}

void wheel_check(const struct wheel *wheel, uint32_t count)
{
	uint32_t armed = check_ring(wheel, wheel->ready, count);

	check_ready(wheel);
	for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
		for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++) {
			armed += check_ring(wheel, wheel->slots[level][slot], count);
			check_slot(wheel, level, slot);
		}
	}
	assert(armed == wheel->armed);
}
