/* The schedule: times and counts agree with each other at every rate, however long it runs. */

#include "load/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const double rates[] = {0.1, 1, 3, 7.5, 1000, 20000, 33333.3, 1e6, 1e7};

#define RATES (sizeof(rates) / sizeof(rates[0]))

static const struct mono start = {123456789012345};

static void the_first_is_due_at_the_start(void **state)
{
	(void)state;
	for (size_t i = 0; i < RATES; i++) {
		struct schedule schedule;

		schedule_init(&schedule, start, rates[i]);
		assert_int_equal(schedule_time(&schedule, 0).ns, start.ns);
		assert_int_equal(schedule_due(&schedule, (struct mono){start.ns - 1}), 0);
		assert_int_equal(schedule_due(&schedule, (struct mono){0}), 0);
		assert_int_equal(schedule_due(&schedule, start), 1);
	}
}

/* At its time an event is due and not a nanosecond before, and so are all before it and none after. */
static void check_event(const struct schedule *schedule, uint64_t event)
{
	struct mono time = schedule_time(schedule, event);

	assert_true(schedule_due(schedule, time) >= event + 1);
	assert_true(schedule_due(schedule, (struct mono){time.ns - 1}) <= event);
	assert_true(mono_before(time, schedule_time(schedule, event + 1)));
}

static void times_and_counts_agree(void **state)
{
	(void)state;
	for (size_t i = 0; i < RATES; i++) {
		struct schedule schedule;

		schedule_init(&schedule, start, rates[i]);
		for (uint64_t event = 1; event < 2000; event++)
			check_event(&schedule, event);
		/* A day of it. */
		for (uint64_t event = 1; (double)event < 86400 * rates[i]; event = event * 3 + 1)
			check_event(&schedule, event);
	}
}

static void the_rate_is_kept(void **state)
{
	(void)state;
	for (size_t i = 0; i < RATES; i++) {
		struct schedule schedule;
		uint64_t due;

		schedule_init(&schedule, start, rates[i]);
		due = schedule_due(&schedule, mono_after(start, 3600 * NS_PER_S));
		assert_true((double)due >= 3600 * rates[i] - 1);
		assert_true((double)due <= 3600 * rates[i] + 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_is_due_at_the_start),
		cmocka_unit_test(times_and_counts_agree),
		cmocka_unit_test(the_rate_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
