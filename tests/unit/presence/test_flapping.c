/* Clients that change too often: more than 3 changes within 100 s here. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stage.h"

static struct stage stage;
static struct actor bob;

/* Late 1 s after it was heard; two changes for each time of being late and back. */
static int open_stage(void **state)
{
	struct directory_config config = stage_config();

	(void)state;
	config.flap_changes = 3;
	config.flap_window_ms = 100000;
	stage_open(&stage, &config, 1);
	bob = stage_enter(&stage, 0, "id bob every=1s grace=1h");
	stage_told(&stage, "0.000 bob new alive\n");
	return 0;
}

static int close_stage(void **state)
{
	(void)state;
	stage_close(&stage);
	return 0;
}

/* Keeps it alive. */
static void beat_for(uint64_t ms)
{
	for (; ms > 500; ms -= 500) {
		stage_pass(&stage, 500);
		stage_beat(&stage, bob);
	}
	stage_pass(&stage, ms);
	stage_beat(&stage, bob);
}

static void late_and_back(void)
{
	stage_pass(&stage, 1000);
	stage_beat(&stage, bob);
}

static void one_change_too_many_in_the_window_is_flapping_told_once(void **state)
{
	(void)state;
	late_and_back();
	late_and_back();
	late_and_back();
	stage_told(&stage, "1.000 bob late\n"
			   "1.000 bob alive\n"
			   "2.000 bob late\n"
			   "2.000 bob alive\n"
			   "2.000 bob flapping: 4 changes\n"
			   "3.000 bob late (quietly)\n"
			   "3.000 bob alive (quietly)\n");
	assert_true(stage_known(&stage, "bob").flapping);
}

static void as_many_changes_as_are_allowed_are_no_flapping(void **state)
{
	(void)state;
	late_and_back(); /* at 1 s */
	stage_pass(&stage, 1000);
	stage_told_whatever(&stage);
	/* The fourth change: exactly a window after the first one, which is out of it. */
	stage_pass(&stage, 99000);
	stage_beat(&stage, bob);
	stage_told(&stage, "101.000 bob alive\n");
}

static void a_millisecond_earlier_it_would_have_been_one(void **state)
{
	(void)state;
	late_and_back();
	stage_pass(&stage, 1000);
	stage_told_whatever(&stage);
	stage_pass(&stage, 98999);
	stage_beat(&stage, bob);
	stage_told(&stage, "100.999 bob alive\n"
			   "100.999 bob flapping: 4 changes\n");
}

static void it_is_steady_after_a_window_without_too_many_changes(void **state)
{
	(void)state;
	late_and_back();
	late_and_back();
	stage_told_whatever(&stage);
	beat_for(99999);
	stage_told_nothing(&stage);
	beat_for(1);
	stage_told(&stage, "102.000 bob steady\n");
	assert_int_equal(stage.last.to, STATE_ALIVE);
	late_and_back();
	stage_told(&stage, "103.000 bob late\n"
			   "103.000 bob alive\n");
	assert_false(stage_known(&stage, "bob").flapping);
}

static void it_is_not_steady_while_it_goes_on(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 200; i++)
		late_and_back();
	assert_int_equal(stage_count(&stage, "flapping"), 1);
	assert_int_equal(stage_count(&stage, "steady"), 0);
	assert_int_equal(stage_count(&stage, "quietly"), 396);
	stage_told_whatever(&stage);
	/* The fourth last change was at 199 s. */
	beat_for(98999);
	stage_told_nothing(&stage);
	beat_for(1);
	stage_told(&stage, "299.000 bob steady\n");
}

static void one_that_is_gone_grows_steady_too(void **state)
{
	(void)state;
	late_and_back();
	late_and_back();
	stage_end(&stage, bob, REASON_STOPPED);
	stage_told_whatever(&stage);
	stage_pass(&stage, 200000);
	stage_told(&stage, "102.000 bob steady\n");
	assert_int_equal(stage.last.to, STATE_GONE);
	assert_int_equal(stage.last.reason, REASON_STOPPED);
}

static void coming_and_going_flaps_but_rejoining_does_not(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		stage_end(&stage, bob, REASON_CLOSED);
		bob = stage_enter(&stage, 0, "id bob");
	}
	stage_told_nothing(&stage);
	for (unsigned i = 0; i < 3; i++) {
		stage_end(&stage, bob, REASON_STOPPED);
		bob = stage_enter(&stage, 0, "id bob");
	}
	stage_told(&stage, "0.000 bob gone stopped\n"
			   "0.000 bob alive\n"
			   "0.000 bob gone stopped\n"
			   "0.000 bob alive\n"
			   "0.000 bob flapping: 4 changes\n"
			   "0.000 bob gone stopped (quietly)\n"
			   "0.000 bob alive (quietly)\n");
}

static void a_flapping_client_that_may_rejoin_waits_for_both(void **state)
{
	(void)state;
	late_and_back();
	late_and_back();
	beat_for(97000); /* steady is due at 102, and rejoining over at 104 */
	stage_told_whatever(&stage);
	stage_end(&stage, bob, REASON_CLOSED);
	stage_pass(&stage, 10000);
	stage_told(&stage, "102.000 bob steady\n"
			   "104.000 bob gone closed (was 99.000)\n");
}

static void with_0_nobody_flaps(void **state)
{
	struct directory_config config = stage_config();

	(void)state;
	stage_close(&stage);
	stage_open(&stage, &config, 1);
	bob = stage_enter(&stage, 0, "id bob every=1s grace=1h");
	for (unsigned i = 0; i < 100; i++)
		late_and_back();
	assert_int_equal(stage_count(&stage, "flapping"), 0);
	assert_int_equal(stage_count(&stage, "quietly"), 0);
}

#define story(name) cmocka_unit_test_setup_teardown(name, open_stage, close_stage)

int main(void)
{
	const struct CMUnitTest tests[] = {
		story(one_change_too_many_in_the_window_is_flapping_told_once),
		story(as_many_changes_as_are_allowed_are_no_flapping),
		story(a_millisecond_earlier_it_would_have_been_one),
		story(it_is_steady_after_a_window_without_too_many_changes),
		story(it_is_not_steady_while_it_goes_on),
		story(one_that_is_gone_grows_steady_too),
		story(coming_and_going_flaps_but_rejoining_does_not),
		story(a_flapping_client_that_may_rejoin_waits_for_both),
		story(with_0_nobody_flaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
