#ifndef PRESENCE_WHEEL_H
#define PRESENCE_WHEEL_H

/*
 * A hierarchical timer wheel. Intrusive and by index: nodes lie inside of the caller's records (base + index * stride),
 * and cost 16 bytes each. Ticks are milliseconds of any clock that does not run backwards. Adding, moving and removing
 * cost the same for ten timers as for ten million; turning costs by what falls due and by ticks passed at each level
 * (empty stretches are skipped).
 *
 * Pure: one thread (or one lock). Durations up to WHEEL_SPAN_MS; longer ones are clamped to it and fall due early, which
 * a lazy owner corrects by arming again.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WHEEL_NONE UINT32_MAX
#define WHEEL_SPAN_MS                                                                              \
	(UINT64_C(63) << 30) /* some two years: one slot short of the highest level's round */

struct wheel_node {
	uint32_t next,
		prev; /* index of the neighbours; a node that is not armed has prev == WHEEL_NONE */
	uint64_t due_ms;
};

#define WHEEL_BITS 6
#define WHEEL_LEVELS 6
#define WHEEL_SLOTS (1 << WHEEL_BITS)

struct wheel {
	char *nodes; /* the first node */
	size_t stride;
	uint64_t now_ms;
	uint32_t armed;		       /* how many nodes are armed, ready ones among them */
	uint64_t filled[WHEEL_LEVELS]; /* a bit for each slot that is not empty */
	uint32_t slots[WHEEL_LEVELS][WHEEL_SLOTS]; /* first node of each, WHEEL_NONE where empty */
	uint32_t ready; /* those that fell due and were not taken yet, in order */
};

/* `nodes` is the first record's node; records (zeroed or not) follow each other by `stride` bytes. */
void wheel_init(struct wheel *wheel, void *nodes, size_t stride, uint64_t now_ms);

/* A node must be made before it is first armed. */
void wheel_node_init(struct wheel *wheel, uint32_t index);

bool wheel_is_armed(const struct wheel *wheel, uint32_t index);

/* Arms it, or moves it. A time that has passed falls due with the next tick. */
void wheel_arm(struct wheel *wheel, uint32_t index, uint64_t due_ms);
void wheel_disarm(struct wheel *wheel, uint32_t index);

/* Turns to `now_ms`: all with due_ms <= now_ms become ready. A time before the last one changes nothing. */
void wheel_turn(struct wheel *wheel, uint64_t now_ms);

/* Takes one that is ready (disarmed then), earlier ones first by tick; WHEEL_NONE where there is none. */
uint32_t wheel_take(struct wheel *wheel);

/*
 * A time at or before the next one falls due (exact within the lowest level, the start of its slot beyond);
 * UINT64_MAX where nothing is armed; the wheel's own time where something is ready.
 */
uint64_t wheel_next_ms(const struct wheel *wheel);

/* Walks everything and asserts that it is as drawn above. For tests. */
void wheel_check(const struct wheel *wheel, uint32_t count);

#endif
