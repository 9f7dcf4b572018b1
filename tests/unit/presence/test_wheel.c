/* The wheel, by itself and against a naive model that looks at every timer in every turn. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "presence/wheel.h"

#define NODES 300
#define YEAR_MS (UINT64_C(365) * 86400 * 1000)

struct record {
	struct wheel_node node;
	char other[24];
};

static struct record records[NODES];
static struct wheel wheel;

static void open_wheel(uint64_t now_ms)
{
	memset(records, 0x5a, sizeof(records));
	wheel_init(&wheel, &records[0].node, sizeof(records[0]), now_ms);
	for (uint32_t i = 0; i < NODES; i++)
		wheel_node_init(&wheel, i);
}

static void turn(uint64_t now_ms)
{
	wheel_turn(&wheel, now_ms);
	wheel_check(&wheel, NODES);
}

static void a_timer_falls_due_at_its_millisecond_and_not_one_before(void **state)
{
	static const uint64_t far[] = {1,	2,	 63,	  64,	    65,		4095,
				       4096,	4097,	 262143,  262144,   262145,	1000000,
				       YEAR_MS, 1 << 30, 1 << 24, 16777215, YEAR_MS * 2};

	(void)state;
	for (unsigned i = 0; i < sizeof(far) / sizeof(*far); i++) {
		for (uint64_t start = 0; start < 200; start += 33) {
			open_wheel(start * 1000003);
			wheel_arm(&wheel, 7, wheel.now_ms + far[i]);
			wheel_check(&wheel, NODES);
			turn(wheel.now_ms + far[i] - 1);
			assert_int_equal(wheel_take(&wheel), WHEEL_NONE);
			turn(wheel.now_ms + 1);
			assert_int_equal(wheel_take(&wheel), 7);
			assert_false(wheel_is_armed(&wheel, 7));
			assert_int_equal(wheel_take(&wheel), WHEEL_NONE);
		}
	}
}

static void a_time_that_has_passed_falls_due_with_the_next_tick(void **state)
{
	(void)state;
	open_wheel(1000);
	wheel_arm(&wheel, 1, 1000);
	wheel_arm(&wheel, 2, 3);
	turn(1000);
	assert_int_equal(wheel_take(&wheel), WHEEL_NONE);
	turn(1001);
	assert_int_equal(wheel_take(&wheel), 1);
	assert_int_equal(wheel_take(&wheel), 2);
}

static void a_timer_that_was_moved_falls_due_once_at_its_new_time(void **state)
{
	(void)state;
	open_wheel(0);
	wheel_arm(&wheel, 1, 50);
	wheel_arm(&wheel, 1, 5000);
	assert_int_equal(wheel.armed, 1);
	turn(4999);
	assert_int_equal(wheel_take(&wheel), WHEEL_NONE);
	turn(5000);
	wheel_arm(&wheel, 1, 5001); /* moved while ready */
	assert_int_equal(wheel_take(&wheel), WHEEL_NONE);
	turn(5001);
	assert_int_equal(wheel_take(&wheel), 1);
}

static void a_timer_that_was_disarmed_never_falls_due(void **state)
{
	(void)state;
	open_wheel(0);
	wheel_disarm(&wheel, 3);
	wheel_arm(&wheel, 3, 10);
	wheel_arm(&wheel, 4, 10);
	wheel_disarm(&wheel, 3);
	turn(100);
	wheel_disarm(&wheel, 4); /* while ready */
	assert_int_equal(wheel_take(&wheel), WHEEL_NONE);
	assert_int_equal(wheel.armed, 0);
	assert_int_equal(wheel_next_ms(&wheel), UINT64_MAX);
}

static void a_jump_of_years_gives_out_all_in_order_and_nothing_beyond(void **state)
{
	uint64_t step = YEAR_MS / 40 + 12345;

	(void)state;
	open_wheel(99);
	for (uint32_t i = 0; i < 60; i++)
		wheel_arm(&wheel, i * 7 % 60, 99 + (i * 7 % 60 + 1) * step);
	turn(99 + 50 * step);
	for (uint32_t i = 0; i < 50; i++)
		assert_int_equal(wheel_take(&wheel), i);
	assert_int_equal(wheel_take(&wheel), WHEEL_NONE);
	turn(UINT64_C(5) * YEAR_MS);
	for (uint32_t i = 50; i < 60; i++)
		assert_int_equal(wheel_take(&wheel), i);
}

static void a_duration_beyond_its_span_falls_due_early_not_never(void **state)
{
	(void)state;
	open_wheel(12345);
	wheel_arm(&wheel, 0, UINT64_MAX);
	wheel_check(&wheel, NODES);
	turn(12345 + WHEEL_SPAN_MS - 1);
	assert_int_equal(wheel_take(&wheel), WHEEL_NONE);
	turn(12345 + WHEEL_SPAN_MS);
	assert_int_equal(wheel_take(&wheel), 0);
}

static void its_rounds_end_where_the_highest_level_begins_anew(void **state)
{
	uint64_t round = UINT64_C(1) << 36;

	(void)state;
	open_wheel(round - 3);
	wheel_arm(&wheel, 0, round - 1);
	wheel_arm(&wheel, 1, round);
	wheel_arm(&wheel, 2, round + 1);
	wheel_arm(&wheel, 3, round + (UINT64_C(1) << 31));
	wheel_check(&wheel, NODES);
	for (uint64_t now = round - 2; now <= round + 1; now++) {
		turn(now);
		assert_int_equal(wheel_take(&wheel),
				 now < round - 1 ? WHEEL_NONE : (uint32_t)(now - round + 1));
		assert_int_equal(wheel_take(&wheel), WHEEL_NONE);
	}
	turn(round + (UINT64_C(1) << 31) - 1);
	assert_int_equal(wheel_take(&wheel), WHEEL_NONE);
	turn(round + (UINT64_C(1) << 31));
	assert_int_equal(wheel_take(&wheel), 3);
}

static void a_clock_that_runs_backwards_changes_nothing(void **state)
{
	(void)state;
	open_wheel(5000);
	wheel_arm(&wheel, 0, 5010);
	turn(4000);
	assert_int_equal(wheel.now_ms, 5000);
	turn(5009);
	assert_int_equal(wheel_take(&wheel), WHEEL_NONE);
	turn(5010);
	assert_int_equal(wheel_take(&wheel), 0);
}

static void waiting_by_its_next_time_wakes_few_times_and_never_too_late(void **state)
{
	unsigned turns = 0;

	(void)state;
	open_wheel(1);
	wheel_arm(&wheel, 0, YEAR_MS);
	while (wheel_take(&wheel) == WHEEL_NONE) {
		uint64_t next = wheel_next_ms(&wheel);

		assert_true(next <= YEAR_MS && next > wheel.now_ms);
		turn(next);
		turns++;
	}
	assert_int_equal(wheel.now_ms, YEAR_MS);
	assert_true(turns <= WHEEL_LEVELS);
}

/* xorshift64*; the same numbers for the same seed everywhere. */
static uint64_t random_state;
static uint64_t random_next(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * UINT64_C(2685821657736338717);
}

/* Of all magnitudes alike. */
static uint64_t random_span(void)
{
	return random_next() >> (64 - 1 - random_next() % 37);
}

/* The model: 0 is not armed; ready ones are those whose time has come. */
static uint64_t due[NODES];

static uint32_t model_ready(uint64_t now_ms, uint64_t *first_ms)
{
	uint32_t ready = 0;

	*first_ms = UINT64_MAX;
	for (uint32_t i = 0; i < NODES; i++) {
		if (due[i] != 0 && due[i] < *first_ms)
			*first_ms = due[i];
		ready += due[i] != 0 && due[i] <= now_ms;
	}
	return ready;
}

static void model_arm(uint32_t index)
{
	uint64_t at = random_next() % 8 == 0 ? wheel.now_ms - random_next() % (wheel.now_ms + 1)
					     : wheel.now_ms + random_span();

	wheel_arm(&wheel, index, at);
	due[index] = at <= wheel.now_ms ? wheel.now_ms + 1 : at;
	if (due[index] > wheel.now_ms + WHEEL_SPAN_MS)
		due[index] = wheel.now_ms + WHEEL_SPAN_MS;
}

static void model_turn(void)
{
	uint64_t next = wheel_next_ms(&wheel), first_ms;
	uint64_t before = wheel.now_ms;

	model_ready(before, &first_ms);
	assert_true(first_ms <= before ? next == before : next <= first_ms);
	assert_true(next == UINT64_MAX || next > before || first_ms <= before);
	wheel_turn(&wheel, random_next() % 3 == 0 && next != UINT64_MAX
				   ? next
				   : before + random_span() % (UINT64_C(1) << 33));
}

static void model_take(void)
{
	uint64_t first_ms;
	uint32_t ready = model_ready(wheel.now_ms, &first_ms);
	uint32_t index = wheel_take(&wheel);

	if (ready == 0) {
		assert_int_equal(index, WHEEL_NONE);
		return;
	}
	assert_true(index < NODES);
	assert_int_equal(due[index], first_ms);
	due[index] = 0;
}

static void play(uint64_t seed, unsigned operations)
{
	random_state = seed;
	memset(due, 0, sizeof(due));
	open_wheel(random_span());
	for (unsigned i = 0; i < operations; i++) {
		uint32_t index = (uint32_t)(random_next() % NODES);

		switch (random_next() % 8) {
		case 0:
		case 1:
		case 2:
			model_arm(index);
			break;
		case 3:
			wheel_disarm(&wheel, index);
			due[index] = 0;
			break;
		case 4:
			model_turn();
			break;
		default:
			model_take();
			break;
		}
		assert_int_equal(wheel_is_armed(&wheel, index), due[index] != 0);
		if (i % 16 == 0)
			wheel_check(&wheel, NODES);
	}
}

static void it_does_what_a_naive_model_does(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++)
		play(seed * UINT64_C(0x9e3779b97f4a7c15), 20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_timer_falls_due_at_its_millisecond_and_not_one_before),
		cmocka_unit_test(a_time_that_has_passed_falls_due_with_the_next_tick),
		cmocka_unit_test(a_timer_that_was_moved_falls_due_once_at_its_new_time),
		cmocka_unit_test(a_timer_that_was_disarmed_never_falls_due),
		cmocka_unit_test(a_jump_of_years_gives_out_all_in_order_and_nothing_beyond),
		cmocka_unit_test(a_duration_beyond_its_span_falls_due_early_not_never),
		cmocka_unit_test(its_rounds_end_where_the_highest_level_begins_anew),
		cmocka_unit_test(a_clock_that_runs_backwards_changes_nothing),
		cmocka_unit_test(waiting_by_its_next_time_wakes_few_times_and_never_too_late),
		cmocka_unit_test(it_does_what_a_naive_model_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
