/* The waits between attempts: bounds, spread, and what the server asks for. */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/backoff.h"

#define FIRST 1000
#define MOST 30000

/* The bound is what the largest random number modulo its range can reach. */
static uint64_t bound_of(struct backoff backoff)
{
	uint64_t most = 0;

	for (uint64_t random = 0; random <= MOST + 1; random++) {
		struct backoff copy = backoff;
		uint64_t wait = backoff_next(&copy, random);

		most = wait > most ? wait : most;
	}
	return most;
}

static void test_bound_doubles_up_to_the_cap(void **state)
{
	static const uint64_t bounds[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000};
	struct backoff backoff;

	(void)state;
	backoff_init(&backoff, FIRST, MOST);
	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		assert_int_equal(bound_of(backoff), bounds[i]);
		backoff_next(&backoff, 0);
	}
}

static void test_jitter_is_full(void **state)
{
	struct backoff backoff;

	(void)state;
	/* Every wait from 0 to the bound is drawn, each by as many random numbers. */
	for (uint64_t random = 0; random < 3 * (FIRST + 1); random++) {
		backoff_init(&backoff, FIRST, MOST);
		assert_int_equal(backoff_next(&backoff, random), random % (FIRST + 1));
	}
}

static void test_server_asks_for_the_least(void **state)
{
	struct backoff backoff;

	(void)state;
	backoff_init(&backoff, FIRST, MOST);
	backoff_ask(&backoff, 5000);
	assert_int_equal(backoff_next(&backoff, 7), 5007);
	/* It was asked for once, and beyond the cap it counts as well. */
	assert_int_equal(backoff_next(&backoff, 7), 7);
	backoff_ask(&backoff, 2 * MOST);
	assert_int_equal(backoff_next(&backoff, 0), 2 * MOST);
}

static void test_reset_starts_over_but_keeps_what_was_asked(void **state)
{
	struct backoff backoff;

	(void)state;
	backoff_init(&backoff, FIRST, MOST);
	for (int i = 0; i < 10; i++)
		backoff_next(&backoff, 0);
	backoff_ask(&backoff, 100);
	backoff_reset(&backoff);
	assert_int_equal(bound_of(backoff), FIRST + 100);
}

static void test_never_overflows(void **state)
{
	struct backoff backoff;

	(void)state;
	backoff_init(&backoff, 3, UINT64_MAX);
	for (int i = 0; i < 200; i++)
		backoff_next(&backoff, UINT64_MAX);
	assert_int_equal(backoff_next(&backoff, UINT64_MAX), UINT64_MAX);
	backoff_init(&backoff, 1000, 10);
	assert_int_equal(backoff_next(&backoff, 10), 10);
	assert_int_equal(backoff_next(&backoff, 11), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bound_doubles_up_to_the_cap),
		cmocka_unit_test(test_jitter_is_full),
		cmocka_unit_test(test_server_asks_for_the_least),
		cmocka_unit_test(test_reset_starts_over_but_keeps_what_was_asked),
		cmocka_unit_test(test_never_overflows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
