/* Who is late, who is over, and when: to the nanosecond, and in awake time. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stage.h"

static struct stage stage;

static void open_stage(void)
{
	struct directory_config config = stage_config();

	stage_open(&stage, &config, 1);
}

static int close_stage(void **state)
{
	(void)state;
	stage_close(&stage);
	return 0;
}

static void a_silent_client_is_late_after_every_and_gone_after_grace(void **state)
{
	(void)state;
	open_stage();
	stage_enter(&stage, 0, "id bob every=10s grace=5s");
	stage_pass(&stage, 60000);
	stage_told(&stage, "0.000 bob new alive\n"
			   "10.000 bob late\n"
			   "15.000 bob gone hung\n");
}

static void an_anonymous_client_is_watched_by_the_defaults_and_known_by_its_tag(void **state)
{
	struct actor actor;

	(void)state;
	open_stage();
	actor = stage_connect(&stage, 0);
	stage_told_nothing(&stage);
	stage_pass(&stage, 200000);
	assert_false(stage_is_there(&stage, actor));
	stage_told(&stage, "60.000 #1 late\n"
			   "90.000 #1 gone hung\n");
}

static void a_client_that_beats_is_never_told_of(void **state)
{
	struct actor actor;

	(void)state;
	open_stage();
	actor = stage_enter(&stage, 0, "id bob every=10s grace=5s");
	stage_told_whatever(&stage);
	for (unsigned i = 0; i < 1000; i++) {
		stage_pass(&stage, 9999);
		stage_beat(&stage, actor);
	}
	stage_told_nothing(&stage);
}

static void a_message_brings_back_one_that_is_late(void **state)
{
	struct actor actor;

	(void)state;
	open_stage();
	actor = stage_enter(&stage, 0, "id bob every=10s grace=5s");
	stage_pass(&stage, 14999);
	stage_beat(&stage, actor);
	stage_pass(&stage, 14999);
	stage_told(&stage, "0.000 bob new alive\n"
			   "10.000 bob late\n"
			   "14.999 bob alive\n"
			   "24.999 bob late\n");
}

static void nobody_is_late_or_over_a_nanosecond_early(void **state)
{
	struct actor actor;

	(void)state;
	open_stage();
	stage_jump_ns(&stage, 777777);
	actor = stage_enter(&stage, 0, "id bob every=10s grace=5s");
	stage_told_whatever(&stage);
	stage_watch(&stage, actor)->promised.ns = UINT64_MAX;
	stage_jump_ns(&stage, 10 * NS_PER_S - 1);
	stage_turn(&stage, 0);
	stage_told_nothing(&stage);
	stage_jump_ns(&stage, NS_PER_MS);
	stage_turn(&stage, 0);
	stage_told(&stage, "10.001 bob late\n");
	assert_int_equal(stage.last.happened.ns, stage.last.heard.ns + 10 * NS_PER_S);

	stage_watch(&stage, actor)->promised.ns = UINT64_MAX;
	stage_jump_ns(&stage, 5 * NS_PER_S - NS_PER_MS);
	stage_turn(&stage, 0);
	stage_told_nothing(&stage);
	stage_jump_ns(&stage, NS_PER_MS);
	stage_turn(&stage, 0);
	stage_told(&stage, "15.001 bob gone hung\n");
	assert_int_equal(stage.last.happened.ns, stage.last.heard.ns + 15 * NS_PER_S);
}

/* Where the wheel still has the deadline before, and gives it out in the very ms of the new one. */
static void one_heard_again_within_the_millisecond_has_all_of_its_time(void **state)
{
	struct actor actor;

	(void)state;
	open_stage();
	actor = stage_enter(&stage, 0, "id bob every=10s grace=5s");
	stage_told_whatever(&stage);
	stage_jump_ns(&stage, 400000);
	stage_beat(&stage, actor);
	stage_watch(&stage, actor)->promised.ns = UINT64_MAX;
	stage_jump_ns(&stage, 10 * NS_PER_S - 1);
	stage_turn(&stage, 0);
	stage_told_nothing(&stage);
	stage_jump_ns(&stage, NS_PER_MS);
	stage_turn(&stage, 0);
	stage_told(&stage, "10.001 bob late\n");
}

/* On the ms, where the wheel's ms is the deadline itself. */
static void a_deadline_on_the_millisecond_is_met_in_that_very_millisecond(void **state)
{
	(void)state;
	open_stage();
	stage_enter(&stage, 0, "id bob every=10s grace=0");
	stage_pass(&stage, 10000);
	stage_told(&stage, "0.000 bob new alive\n"
			   "10.000 bob late\n");
	stage_pass(&stage, 1);
	stage_told(&stage, "10.001 bob gone hung\n");
	assert_int_equal(stage.last.happened.ns, stage.last.heard.ns + 10 * NS_PER_S);
}

static void a_stall_of_the_server_is_held_against_nobody(void **state)
{
	struct actor actor;

	(void)state;
	open_stage();
	actor = stage_enter(&stage, 0, "id bob every=10s grace=5s");
	stage_pass(&stage, 9000);
	stage_told_whatever(&stage);
	/* It was to wake a second later, and comes 20 s too late. */
	watch_promise(stage_watch(&stage, actor), mono_after(stage.now, NS_PER_S));
	stage_jump_ns(&stage, 21 * NS_PER_S);
	assert_int_equal(watch_woke(stage_watch(&stage, actor), stage.now), 20 * NS_PER_S);
	assert_int_equal(stage_watch(&stage, actor)->stalls, 1);
	assert_int_equal(stage_watch(&stage, actor)->away_ns, 20 * NS_PER_S);
	stage_turn(&stage, 0);
	/* It was late only with the end of the stall: the deadline is just now. */
	stage_told(&stage, "30.000 bob late\n");
	stage_pass(&stage, 4999);
	stage_told_nothing(&stage);
	stage_beat(&stage, actor);
	stage_told(&stage, "34.999 bob alive\n");
}

static void one_heard_before_the_stall_has_the_rest_of_its_time_after_it(void **state)
{
	struct actor actor;

	(void)state;
	open_stage();
	actor = stage_enter(&stage, 0, "id bob every=10s grace=5s");
	stage_pass(&stage, 8000);
	stage_told_whatever(&stage);
	watch_promise(stage_watch(&stage, actor), mono_after(stage.now, NS_PER_S));
	stage_jump_ns(&stage, 3601 * NS_PER_S);
	stage_turn(&stage, 0);
	stage_told_nothing(&stage);
	stage_pass(&stage, 999);
	stage_told_nothing(&stage);
	stage_pass(&stage, 1);
	stage_told(&stage, "3610.000 bob late\n");
	/* When it was last heard is told in the machine's time, before the stall. */
	assert_int_equal(stage.last.heard.ns, stage.start.ns);
	assert_int_equal(stage_watch(&stage, actor)->stalls, 1);
}

static void a_turn_a_little_late_is_no_stall(void **state)
{
	struct watch *watch = &stage.watches[0];

	(void)state;
	open_stage();
	watch_promise(watch, mono_after(stage.now, NS_PER_S));
	assert_int_equal(watch_woke(watch, mono_after(stage.now, NS_PER_S + WATCH_STALL_NS)), 0);
	assert_int_equal(watch->awake.ns, NS_PER_S + WATCH_STALL_NS);
	watch_promise(watch, mono_after(stage.now, 2 * NS_PER_S));
	assert_int_equal(
		watch_woke(watch, mono_after(stage.now, 2 * NS_PER_S + WATCH_STALL_NS + 1)),
		WATCH_STALL_NS + 1);
	assert_int_equal(watch->awake.ns, 2 * NS_PER_S);
	/* Woken earlier than promised: nothing is lost. */
	watch_promise(watch, mono_after(stage.now, 9 * NS_PER_S));
	assert_int_equal(watch_woke(watch, mono_after(stage.now, 3 * NS_PER_S)), 0);
	/* It still holds, until it is broken. */
	assert_int_equal(watch_woke(watch, mono_after(stage.now, 10 * NS_PER_S)), NS_PER_S);
	/* Nothing promised, nothing broken; and a clock that runs backwards stands still. */
	watch_promise(watch, (struct mono){UINT64_MAX});
	assert_int_equal(watch_woke(watch, mono_after(stage.now, 99 * NS_PER_S)), 0);
	assert_int_equal(watch_woke(watch, mono_after(stage.now, NS_PER_S)), 0);
	assert_int_equal(watch->now.ns, stage.now.ns + 99 * NS_PER_S);
	stage.now = watch->now;
}

static void awake_time_never_runs_backwards_over_many_stalls(void **state)
{
	struct watch *watch = &stage.watches[0];
	struct awake before = {0};

	(void)state;
	open_stage();
	for (unsigned i = 1; i < 2000; i++) {
		stage_jump_ns(&stage, (uint64_t)i * 7919 * 7919 % (3 * NS_PER_S));
		watch_woke(watch, stage.now);
		assert_false(awake_before(watch->awake, before));
		before = watch->awake;
		watch_promise(watch, mono_after(stage.now, i * 104729 % NS_PER_S));
	}
	assert_true(watch->stalls > 100);
}

static void the_next_turn_is_wanted_at_the_deadline_and_within_a_second(void **state)
{
	struct watch *watch = &stage.watches[0];

	(void)state;
	open_stage();
	assert_int_equal(watch_next(watch).ns, stage.now.ns + WATCH_TURN_MAX_NS);
	stage_enter(&stage, 0, "id bob every=10s grace=5s");
	assert_int_equal(watch_next(watch).ns, stage.now.ns + WATCH_TURN_MAX_NS);
	stage_pass(&stage, 9990);
	stage_told(&stage, "0.000 bob new alive\n");
	assert_true(watch_next(watch).ns <= stage.now.ns + 10 * NS_PER_MS);
	assert_true(watch_next(watch).ns > stage.now.ns);
	stage_jump_ns(&stage, 10 * NS_PER_MS);
	watch_woke(watch, stage.now);
	assert_int_equal(watch_next(watch).ns, stage.now.ns);
}

static void what_is_unheard_is_waited_for(void **state)
{
	struct actor actor;

	(void)state;
	open_stage();
	actor = stage_enter(&stage, 0, "id bob every=10s grace=5s");
	stage_pass(&stage, 9999);
	stage_place(&stage, actor)->unheard = true;
	stage_pass(&stage, 10000);
	stage_told(&stage, "0.000 bob new alive\n");
	stage_beat(&stage, actor);
	stage_pass(&stage, 9000);
	stage_told_nothing(&stage);
	stage_pass(&stage, 1000);
	stage_told(&stage, "29.999 bob late\n");
}

static void one_heard_after_it_was_given_out_is_not_judged(void **state)
{
	struct peer_view view = {true, false, 0};
	struct actor actor;
	uint32_t slot;

	(void)state;
	open_stage();
	actor = stage_enter(&stage, 0, "id bob every=10s grace=5s");
	stage_told_whatever(&stage);
	stage_watch(&stage, actor)->promised.ns = UINT64_MAX;
	stage_jump_ns(&stage, 10 * NS_PER_S);
	watch_woke(stage_watch(&stage, actor), stage.now);
	assert_int_equal(watch_due(stage_watch(&stage, actor), &slot), DUE_LATE);
	watch_heard(stage_watch(&stage, actor), watch_at(stage_watch(&stage, actor), slot), 1, 1);
	watch_late(stage_watch(&stage, actor), slot);
	assert_int_equal(watch_judge(stage_watch(&stage, actor), slot, &view), REASON_NONE);
	stage_listen(&stage);
	stage_told_nothing(&stage);
	stage_pass(&stage, 9999);
	stage_told_nothing(&stage);
	stage_pass(&stage, 1);
	stage_told(&stage, "20.000 bob late\n");
}

static void one_that_was_given_out_and_not_answered_is_given_out_again(void **state)
{
	struct watch *watch = &stage.watches[0];
	uint32_t slot;

	(void)state;
	open_stage();
	stage_enter(&stage, 0, "id bob every=10s grace=5s");
	stage_told_whatever(&stage);
	watch->promised.ns = UINT64_MAX;
	stage_jump_ns(&stage, 10 * NS_PER_S);
	watch_woke(watch, stage.now);
	assert_int_equal(watch_due(watch, &slot), DUE_LATE);
	assert_int_equal(watch_due(watch, &slot), DUE_NOTHING);
	stage_pass(&stage, 1);
	stage_told(&stage, "10.001 bob late\n");
}

static void a_silent_peer_whose_host_answers_nothing_is_unreachable(void **state)
{
	struct actor tcp, local;

	(void)state;
	open_stage();
	tcp = stage_enter(&stage, 0, "id tcp every=10s grace=5s");
	local = stage_enter(&stage, 0, "id local every=10s grace=5s");
	stage_place(&stage, tcp)->unreachable = true;
	stage_place(&stage, local)->unreachable = true;
	stage_place(&stage, local)->local = true;
	stage_told_whatever(&stage);
	stage_pass(&stage, 20000);
	stage_told(&stage, "10.000 tcp late\n"
			   "10.000 local late\n"
			   "15.000 tcp gone unreachable\n"
			   "15.000 local gone hung\n");
}

static void what_was_judged_is_not_told_again_by_its_end(void **state)
{
	struct peer_view view = {true, false, 0};
	struct actor actor;
	struct watch *watch;

	(void)state;
	open_stage();
	actor = stage_enter(&stage, 0, "id bob every=10s grace=5s");
	watch = stage_watch(&stage, actor);
	stage_pass(&stage, 14000);
	watch->promised.ns = UINT64_MAX;
	stage_jump_ns(&stage, NS_PER_S);
	watch_woke(watch, stage.now);
	assert_int_equal(watch_judge(watch, actor.slot, &view), REASON_HUNG);
	assert_int_equal(watch_at(watch, actor.slot)->state, STATE_GONE);
	stage_listen(&stage);
	stage_told_whatever(&stage);
	/* Even if it speaks after all: it is over. */
	assert_true(watch_heard(watch, watch_at(watch, actor.slot), 1, 1));
	watch_back(watch, actor.slot);
	assert_int_equal(stage_name(&stage, actor, "id other"), NAMED_DISPLACED);
	stage_pass(&stage, 100000);
	stage_end(&stage, actor, REASON_CLOSED);
	stage_told_nothing(&stage);
	assert_false(stage_knows(&stage, "other"));
}

static void one_that_takes_nothing_is_stuck_after_the_send_timeout(void **state)
{
	struct actor slow, dead, well;

	(void)state;
	open_stage();
	slow = stage_enter(&stage, 0, "id slow every=10m");
	dead = stage_enter(&stage, 0, "id dead every=10m");
	well = stage_enter(&stage, 0, "id well every=10m");
	stage_place(&stage, dead)->unreachable = true;
	stage_told_whatever(&stage);
	stage_pass(&stage, 1000);
	watch_owing(&stage.watches[0], slow.slot);
	watch_owing(&stage.watches[0], dead.slot);
	watch_owing(&stage.watches[0], well.slot);
	stage_pass(&stage, 29999);
	watch_owing(&stage.watches[0], slow.slot); /* still */
	watch_owing_cleared(&stage.watches[0], well.slot);
	stage_told_nothing(&stage);
	stage_pass(&stage, 2);
	stage_told(&stage, "31.000 slow gone slow\n"
			   "31.000 dead gone unreachable\n");
	stage_pass(&stage, 300000);
	stage_told_nothing(&stage);
}

static void one_that_takes_a_little_now_and_then_is_not_stuck(void **state)
{
	struct actor actor;

	(void)state;
	open_stage();
	actor = stage_enter(&stage, 0, "id bob every=1h");
	stage_told_whatever(&stage);
	watch_owing_progress(&stage.watches[0], actor.slot);
	assert_int_equal(watch_at(&stage.watches[0], actor.slot)->owing_ms, 0);
	watch_owing(&stage.watches[0], actor.slot);
	for (unsigned i = 0; i < 20; i++) {
		stage_pass(&stage, 29998);
		watch_owing_progress(&stage.watches[0], actor.slot);
	}
	stage_told_nothing(&stage);
	stage_pass(&stage, 31000);
	stage_told(&stage, "629.960 bob gone slow\n");
}

static void nobody_is_stuck_early_either(void **state)
{
	struct actor actor;

	(void)state;
	open_stage();
	actor = stage_enter(&stage, 0, "id bob every=1h");
	stage_told_whatever(&stage);
	stage_jump_ns(&stage, 1999999);
	watch_woke(&stage.watches[0], stage.now);
	watch_owing(&stage.watches[0], actor.slot);
	stage_watch(&stage, actor)->promised.ns = UINT64_MAX;
	stage_jump_ns(&stage, 30 * NS_PER_S - 1);
	stage_turn(&stage, 0);
	stage_told_nothing(&stage);
	stage_pass(&stage, 1);
	stage_told(&stage, "30.002 bob gone slow\n");
}

static void owing_is_told_apart_over_the_round_of_its_clock(void **state)
{
	struct watch *watch = &stage.watches[0];
	struct actor actor;

	(void)state;
	open_stage();
	actor = stage_enter(&stage, 0, "id bob every=100d");
	stage_told_whatever(&stage);
	/* 32 bits of ms end here. */
	watch->promised.ns = UINT64_MAX;
	stage_jump_ns(&stage, ((UINT64_C(1) << 32) - 10) * NS_PER_MS);
	stage_turn(&stage, 0);
	watch_owing(watch, actor.slot);
	stage_pass(&stage, 10);
	watch_owing_progress(watch, actor.slot);
	assert_int_not_equal(watch_at(watch, actor.slot)->owing_ms, 0);
	stage_pass(&stage, 29999);
	stage_told_nothing(&stage);
	stage_pass(&stage, 2);
	stage_told(&stage, "4294997.297 bob gone slow\n");
}

static void rhythms_of_years_and_of_milliseconds_are_kept(void **state)
{
	(void)state;
	open_stage();
	stage_enter(&stage, 0, "id fast every=1ms grace=1ms");
	stage_enter(&stage, 0, "id slow every=300d grace=300d");
	stage_told_whatever(&stage);
	stage_pass(&stage, 2000);
	stage_told(&stage, "0.001 fast late\n"
			   "0.002 fast gone hung\n");
	stage.watches[0].promised.ns = UINT64_MAX;
	stage_jump_ns(&stage, UINT64_C(300) * 86400 * NS_PER_S - 2001 * NS_PER_MS);
	stage_turn(&stage, 0);
	stage_told(&stage, "25919999.999 fast forgotten\n");
	stage_pass(&stage, 1);
	stage_told(&stage, "25920000.000 slow late\n");
}

static void a_place_is_used_again_without_a_trace(void **state)
{
	struct actor first, second;

	(void)state;
	open_stage();
	first = stage_connect(&stage, 0);
	stage_beat(&stage, first);
	watch_owing(&stage.watches[0], first.slot);
	stage_pass(&stage, 29000);
	stage_end(&stage, first, REASON_CLOSED);
	stage.used[0] = 0;
	second = stage_connect(&stage, 0);
	assert_int_equal(second.slot, first.slot);
	assert_int_equal(second.tag, 2);
	assert_int_equal(watch_at(&stage.watches[0], second.slot)->messages, 0);
	assert_int_equal(stage.watches[0].live, 1);
	stage_told(&stage, "29.000 #1 gone closed\n");
	stage_pass(&stage, 59999);
	stage_told_nothing(&stage);
	stage_pass(&stage, 1);
	stage_told(&stage, "89.000 #2 late\n");
}

static void every_end_of_an_anonymous_client_is_told_at_once(void **state)
{
	(void)state;
	open_stage();
	stage_end(&stage, stage_connect(&stage, 0), REASON_STOPPED);
	stage_end(&stage, stage_connect(&stage, 0), REASON_CLOSED);
	stage_end(&stage, stage_connect(&stage, 0), REASON_RESET);
	stage_end(&stage, stage_connect(&stage, 0), REASON_MALFORMED);
	stage_end(&stage, stage_connect(&stage, 0), REASON_DRAINED);
	stage_told(&stage, "0.000 #1 gone stopped\n"
			   "0.000 #2 gone closed\n"
			   "0.000 #3 gone reset\n"
			   "0.000 #4 gone malformed\n"
			   "0.000 #5 gone drained\n");
}

#define story(name) cmocka_unit_test_teardown(name, close_stage)

int main(void)
{
	const struct CMUnitTest tests[] = {
		story(a_silent_client_is_late_after_every_and_gone_after_grace),
		story(an_anonymous_client_is_watched_by_the_defaults_and_known_by_its_tag),
		story(a_client_that_beats_is_never_told_of),
		story(a_message_brings_back_one_that_is_late),
		story(nobody_is_late_or_over_a_nanosecond_early),
		story(one_heard_again_within_the_millisecond_has_all_of_its_time),
		story(a_deadline_on_the_millisecond_is_met_in_that_very_millisecond),
		story(a_stall_of_the_server_is_held_against_nobody),
		story(one_heard_before_the_stall_has_the_rest_of_its_time_after_it),
		story(a_turn_a_little_late_is_no_stall),
		story(awake_time_never_runs_backwards_over_many_stalls),
		story(the_next_turn_is_wanted_at_the_deadline_and_within_a_second),
		story(what_is_unheard_is_waited_for),
		story(one_heard_after_it_was_given_out_is_not_judged),
		story(one_that_was_given_out_and_not_answered_is_given_out_again),
		story(a_silent_peer_whose_host_answers_nothing_is_unreachable),
		story(what_was_judged_is_not_told_again_by_its_end),
		story(one_that_takes_nothing_is_stuck_after_the_send_timeout),
		story(one_that_takes_a_little_now_and_then_is_not_stuck),
		story(nobody_is_stuck_early_either),
		story(owing_is_told_apart_over_the_round_of_its_clock),
		story(rhythms_of_years_and_of_milliseconds_are_kept),
		story(a_place_is_used_again_without_a_trace),
		story(every_end_of_an_anonymous_client_is_told_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
