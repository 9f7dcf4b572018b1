/* The clocks, and the arithmetic of times. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <time.h>

#include <cmocka.h>

#include "base/clock.h"

static void the_monotonic_clock_never_goes_back(void **state)
{
	struct mono last = clock_mono();

	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct mono now = clock_mono();

		assert_false(mono_before(now, last));
		last = now;
	}
	assert_true(last.ns > 0);
}

static void the_wall_clock_is_the_systems(void **state)
{
	time_t before = time(NULL);
	struct wall wall = clock_wall();
	time_t after = time(NULL);

	(void)state;
	/* time() may lag by a tick. */
	assert_true((time_t)(wall.ns / NS_PER_S) >= before &&
		    (time_t)(wall.ns / NS_PER_S) <= after + 1);
}

static void both_are_between_readings_of_each(void **state)
{
	struct mono mono, mono_first = clock_mono();
	struct wall wall, wall_first = clock_wall();

	(void)state;
	clock_both(&mono, &wall);
	assert_false(mono_before(mono, mono_first));
	assert_false(mono_before(clock_mono(), mono));
	assert_true(wall.ns >= wall_first.ns);
	assert_true(wall.ns <= clock_wall().ns);
}

static void between_times(void **state)
{
	struct mono early = {100}, late = {350};

	(void)state;
	assert_int_equal(mono_between(early, late), 250);
	assert_int_equal(mono_between(late, early), 0);
	assert_int_equal(mono_between(late, late), 0);
	assert_int_equal(mono_after(early, 250).ns, late.ns);
	assert_true(mono_before(early, late));
	assert_false(mono_before(late, early));
	assert_false(mono_before(early, early));
	assert_int_equal(mono_earlier(early, late).ns, 100);
	assert_int_equal(mono_earlier(late, early).ns, 100);
	assert_int_equal(awake_between((struct awake){1}, (struct awake){3}), 2);
	assert_int_equal(awake_between((struct awake){3}, (struct awake){1}), 0);
	assert_int_equal(awake_after((struct awake){3}, 4).ns, 7);
	assert_true(awake_before((struct awake){1}, (struct awake){3}));
	assert_false(awake_before((struct awake){3}, (struct awake){3}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_monotonic_clock_never_goes_back),
		cmocka_unit_test(the_wall_clock_is_the_systems),
		cmocka_unit_test(both_are_between_readings_of_each),
		cmocka_unit_test(between_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
