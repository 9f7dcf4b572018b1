/* Many fall silent at once: the network is suspected, not they. A few who die are not taken for many. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stage.h"

static struct stage stage;
static struct directory_config config;

/* A fleet beats: each client every 50 s, at its own phase, while its limit is 60 s and 30 s. */
#define FLEET 400
#define BEAT_MS 50000
/* Once all that were cut off have come due, the first one 40 s and the last one 90 s after, and nobody's hold is over. */
#define DUE_MS 95000
#define HOLD_MS 120000

struct unit {
	struct actor actor;
	uint64_t beat_ms; /* its next beat, in the story's time */
	char id[80];
	bool cut; /* nothing of it arrives */
};

static struct unit fleet[FLEET];
static unsigned fleet_count;

static int open_stage(void **state)
{
	(void)state;
	config = stage_config();
	config.suspect_share = 30;
	config.suspect_hold_ms = HOLD_MS;
	stage_open(&stage, &config, 2);
	stage.unchecked = true;
	fleet_count = 0;
	return 0;
}

static int close_stage(void **state)
{
	(void)state;
	stage_close(&stage);
	return 0;
}

static uint64_t story_ms(void)
{
	return (stage.now.ns - stage.start.ns) / NS_PER_MS;
}

/* `options` follow the name; an empty one is an anonymous client. */
static void join(unsigned count, const char *options, bool anonymous)
{
	for (unsigned i = 0; i < count; i++) {
		struct unit *unit = &fleet[fleet_count++];

		*unit = (struct unit){.actor = stage_connect(&stage, fleet_count % 2)};
		unit->beat_ms = story_ms() + (uint64_t)fleet_count * 30901 % BEAT_MS;
		if (!anonymous) {
			snprintf(unit->id, sizeof(unit->id), "id u%u %s", fleet_count, options);
			assert_int_equal(stage_name(&stage, unit->actor, unit->id), NAMED);
		}
	}
}

static struct unit *next_beat(void)
{
	struct unit *next = NULL;

	for (unsigned i = 0; i < fleet_count; i++)
		if (!fleet[i].cut && (next == NULL || fleet[i].beat_ms < next->beat_ms))
			next = &fleet[i];
	return next;
}

static void beat(struct unit *unit)
{
	unit->beat_ms += BEAT_MS;
	if (stage_is_there(&stage, unit->actor)) {
		stage_beat(&stage, unit->actor);
	} else {
		/* It was thrown out, and comes back. */
		unit->actor = stage_connect(&stage, unit->actor.worker);
		if (unit->id[0] != '\0')
			assert_int_equal(stage_name(&stage, unit->actor, unit->id), NAMED);
	}
}

static void fleet_pass(uint64_t ms)
{
	uint64_t until_ms = story_ms() + ms;
	struct unit *unit;

	while ((unit = next_beat()) != NULL && unit->beat_ms <= until_ms) {
		if (unit->beat_ms > story_ms())
			stage_pass(&stage, unit->beat_ms - story_ms());
		beat(unit);
	}
	stage_pass(&stage, until_ms - story_ms());
	stage.unchecked = false;
	stage_check(&stage);
	stage.unchecked = true;
}

/* The fleet is there, and has beaten for a while. */
static void settle(void)
{
	fleet_pass(120000);
	stage_told_whatever(&stage);
}

static void cut(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		fleet[i].cut = true;
}

static void mend(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		fleet[i].cut = false;
		while (fleet[i].beat_ms < story_ms())
			fleet[i].beat_ms += BEAT_MS;
	}
}

static unsigned state_count(enum state state)
{
	struct directory_counts counts;

	directory_count(stage.directory, &counts);
	return counts.states[state];
}

static void a_healthy_fleet_is_never_suspected(void **state)
{
	(void)state;
	join(100, "group=a", false);
	settle();
	fleet_pass(3600000);
	stage_told_nothing(&stage);
}

static void one_that_dies_is_gone_and_nobody_suspects_the_network(void **state)
{
	(void)state;
	join(100, "group=a", false);
	settle();
	cut(0, 1);
	fleet_pass(100000);
	assert_int_equal(stage_count(&stage, "u1 gone hung"), 1);
	assert_int_equal(stage_count(&stage, "partition"), 0);
	assert_int_equal(stage_count(&stage, "suspect"), 0);
}

static void one_in_ten_that_dies_at_once_is_not_the_network_either(void **state)
{
	(void)state;
	join(100, "group=a", false);
	settle();
	cut(0, 10);
	fleet_pass(150000);
	assert_int_equal(stage_count(&stage, "gone hung"), 10);
	assert_int_equal(stage_count(&stage, "partition"), 0);
	assert_int_equal(stage_count(&stage, "suspect"), 0);
}

static void
a_group_that_is_cut_off_is_one_event_and_from_the_first_client_on_no_verdict(void **state)
{
	(void)state;
	join(100, "group=a", false);
	join(300, "group=b", false);
	settle();
	cut(0, 100);
	fleet_pass(60000 +
		   60000); /* the first is due after 60 s or a little more, the last after 90 s */
	assert_int_equal(stage_count(&stage, "gone"), 0);
	assert_int_equal(stage_count(&stage, "partition of a"), 1);
	assert_int_equal(stage_count(&stage, "partition"), 1);
	assert_int_equal(stage_count(&stage, "suspect"), 100);
	assert_int_equal(state_count(STATE_SUSPECT), 100);
	assert_int_equal(state_count(STATE_ALIVE), 300);
	mend(0, 100);
	fleet_pass(60000);
	assert_int_equal(stage_count(&stage, "gone"), 0);
	assert_int_equal(state_count(STATE_ALIVE), 400);
	stage_told_whatever(&stage);
	fleet_pass(300000);
	stage_told_nothing(&stage);
}

static void its_number_is_near_the_truth_though_most_are_not_due_yet(void **state)
{
	const char *line;
	unsigned number = 0;

	(void)state;
	join(100, "group=a", false);
	join(300, "group=b", false);
	settle();
	cut(0, 100);
	while (stage_count(&stage, "partition") == 0)
		fleet_pass(100);
	assert_int_equal(stage_count(&stage, "suspect"), 1);
	line = strstr(stage.log, "partition of a: ");
	assert_non_null(line);
	number = (unsigned)atoi(line + strlen("partition of a: "));
	assert_in_range(number, 80, 100);
}

static void where_all_fall_silent_it_is_one_event_for_all(void **state)
{
	(void)state;
	join(100, "group=a", false);
	join(100, "group=b", false);
	join(100, "", false);
	join(100, "", true);
	settle();
	cut(0, 400);
	fleet_pass(DUE_MS);
	assert_int_equal(stage_count(&stage, "partition of all"), 1);
	assert_int_equal(stage_count(&stage, "partition"), 1);
	assert_int_equal(stage_count(&stage, "suspect"), 400);
	assert_int_equal(stage_count(&stage, "gone"), 0);
}

static void those_who_stay_silent_are_gone_after_the_hold(void **state)
{
	(void)state;
	join(100, "group=a", false);
	settle();
	cut(0, 100);
	for (unsigned i = 0; i < 50; i++)
		stage_place(&stage, fleet[i].actor)->unreachable = true;
	fleet_pass(DUE_MS);
	assert_int_equal(stage_count(&stage, "suspect"), 100);
	assert_int_equal(stage_count(&stage, "gone"), 0);
	fleet_pass(HOLD_MS);
	assert_int_equal(stage_count(&stage, "gone"), 100);
	assert_int_equal(stage_count(&stage, "gone unreachable"), 50);
	assert_int_equal(stage_count(&stage, "gone hung"), 50);
	assert_int_equal(stage_count(&stage, "partition"), 1);
}

/* All at once, each with as much grace as rhythm: silent and expected are whole numbers. */
static void open_in_step(unsigned count, unsigned min)
{
	stage_close(&stage);
	config.suspect_min = min;
	stage_open(&stage, &config, 2);
	stage.unchecked = true;
	fleet_count = 0;
	join(count, "every=60s grace=60s group=a", false);
	stage_told_whatever(&stage);
}

static void keep_alive_from(unsigned first)
{
	stage_pass(&stage, 50000);
	for (unsigned i = first; i < fleet_count; i++)
		stage_beat(&stage, fleet[i].actor);
	stage_pass(&stage, 55000);
	for (unsigned i = first; i < fleet_count; i++)
		stage_beat(&stage, fleet[i].actor);
	stage_pass(&stage, 20000);
}

static void the_share_is_kept_to_the_client(void **state)
{
	(void)state;
	open_in_step(100, 20);
	keep_alive_from(30);
	assert_int_equal(stage_count(&stage, "partition of a: 30"), 1);
	assert_int_equal(stage_count(&stage, "suspect"), 30);
	open_in_step(100, 20);
	keep_alive_from(29);
	assert_int_equal(stage_count(&stage, "partition"), 0);
	assert_int_equal(stage_count(&stage, "gone hung"), 29);
}

static void the_least_number_is_kept_to_the_client(void **state)
{
	(void)state;
	open_in_step(40, 20);
	keep_alive_from(20);
	assert_int_equal(stage_count(&stage, "suspect"), 20);
	open_in_step(40, 20);
	keep_alive_from(19);
	assert_int_equal(stage_count(&stage, "suspect"), 0);
	assert_int_equal(stage_count(&stage, "gone hung"), 19);
}

static void with_a_share_of_0_nobody_is_suspected(void **state)
{
	(void)state;
	config.suspect_share = 0;
	open_in_step(100, 20);
	stage_pass(&stage, 200000);
	assert_int_equal(stage_count(&stage, "suspect"), 0);
	assert_int_equal(stage_count(&stage, "gone hung"), 100);
}

/* Next to nobody is expected within a grace of 1 s. */
static void two_that_die_together_are_not_many_however_short_the_grace(void **state)
{
	(void)state;
	join(100, "group=a grace=1s", false);
	fleet[0].beat_ms = fleet[1].beat_ms;
	settle();
	cut(0, 2);
	fleet_pass(120000);
	assert_int_equal(stage_count(&stage, "suspect"), 0);
	assert_int_equal(stage_count(&stage, "gone hung"), 2);
}

static void two_are_never_the_network_however_small_the_share_asked_for(void **state)
{
	(void)state;
	config.suspect_share = 1;
	open_in_step(20, 1);
	keep_alive_from(2);
	assert_int_equal(stage_count(&stage, "suspect"), 0);
	assert_int_equal(stage_count(&stage, "gone hung"), 2);
	open_in_step(20, 1);
	keep_alive_from(3);
	assert_int_equal(stage_count(&stage, "suspect"), 3);
}

/* Two or three a second come due, and each is late for one: there are never enough at once, but soon in a row. */
static void with_a_short_grace_a_few_are_gone_before_it_is_seen_and_no_more(void **state)
{
	(void)state;
	join(80, "group=a grace=1s", false);
	settle();
	cut(0, 80);
	fleet_pass(65000);
	assert_int_equal(stage_count(&stage, "partition"), 1);
	assert_true(stage_count(&stage, "gone") <= 5);
	assert_true(stage_count(&stage, "suspect") >= 75);
}

static void who_dies_beside_a_partition_is_gone_unless_the_others_are_silent_too(void **state)
{
	(void)state;
	join(60, "group=a", false);
	join(339, "group=b", false);
	join(1, "group=c", false);
	settle();
	cut(0, 60);
	cut(399, 400);
	fleet_pass(DUE_MS);
	assert_int_equal(stage_count(&stage, "partition of a"), 1);
	assert_int_equal(stage_count(&stage, "partition"), 1);
	assert_int_equal(stage_count(&stage, "u400 gone hung"), 1);
	assert_int_equal(stage_count(&stage, "gone"), 1);
}

static void two_groups_that_are_cut_off_are_two_events(void **state)
{
	(void)state;
	join(40, "group=a", false);
	join(40, "group=b", false);
	join(320, "group=c", false);
	settle();
	cut(0, 80);
	fleet_pass(DUE_MS);
	assert_int_equal(stage_count(&stage, "partition of a"), 1);
	assert_int_equal(stage_count(&stage, "partition of b"), 1);
	assert_int_equal(stage_count(&stage, "partition"), 2);
	assert_int_equal(stage_count(&stage, "suspect"), 80);
	assert_int_equal(stage_count(&stage, "gone"), 0);
}

/* A big group makes `all` suspicious as well; its silence explains that. */
static void a_big_group_that_is_cut_off_is_told_as_that_group_alone(void **state)
{
	(void)state;
	join(300, "group=a", false);
	join(100, "group=b", false);
	settle();
	cut(0, 300);
	cut(399, 400);
	fleet_pass(DUE_MS);
	assert_int_equal(stage_count(&stage, "partition of a"), 1);
	assert_int_equal(stage_count(&stage, "partition"), 1);
	assert_int_equal(stage_count(&stage, "u400 gone"),
			 0); /* doubted with the others, held, ... */
	assert_int_equal(stage_count(&stage, "u400 suspect"), 1);
	fleet_pass(HOLD_MS);
	assert_int_equal(stage_count(&stage, "u400 gone hung"), 1); /* ... and gone afterwards */
}

static void a_second_partition_after_the_first_is_over_is_told_anew(void **state)
{
	(void)state;
	join(100, "group=a", false);
	join(300, "group=b", false);
	settle();
	for (unsigned i = 1; i <= 3; i++) {
		cut(0, 100);
		fleet_pass(DUE_MS);
		assert_int_equal(stage_count(&stage, "partition of a"), i);
		mend(0, 100);
		fleet_pass(120000);
		assert_int_equal(state_count(STATE_ALIVE), 400);
	}
	assert_int_equal(stage_count(&stage, "gone"), 0);
}

static void suspects_whose_connections_end_leave_no_partition_behind(void **state)
{
	(void)state;
	join(100, "group=a", false);
	join(100, "", true);
	settle();
	cut(0, 200);
	fleet_pass(DUE_MS);
	assert_int_equal(state_count(STATE_SUSPECT), 200);
	for (unsigned i = 0; i < 200; i++)
		stage_end(&stage, fleet[i].actor, i % 2 ? REASON_RESET : REASON_STOPPED);
	fleet_pass(10000);
	assert_int_equal(state_count(STATE_SUSPECT), 0);
	/* All come back, and the next one is told. */
	mend(0, 200);
	fleet_pass(120000);
	stage_told_whatever(&stage);
	cut(0, 200);
	fleet_pass(DUE_MS);
	assert_int_equal(stage_count(&stage, "partition of all"), 1);
}

static void who_is_suspect_is_held_though_it_takes_nothing_either(void **state)
{
	(void)state;
	join(100, "group=a", false);
	settle();
	cut(0, 100);
	fleet_pass(DUE_MS);
	for (unsigned i = 0; i < 100; i++) {
		stage_place(&stage, fleet[i].actor)->unreachable = true;
		watch_owing(stage_watch(&stage, fleet[i].actor), fleet[i].actor.slot);
	}
	fleet_pass(50000);
	assert_int_equal(stage_count(&stage, "gone"), 0);
	/* Back, and still not reading: now it counts. */
	mend(0, 100);
	fleet_pass(10000);
	assert_in_range(stage_count(&stage, "gone slow") + stage_count(&stage, "gone unreachable"),
			10, 30);
}

static void anonymous_clients_that_fall_silent_together_are_suspects(void **state)
{
	(void)state;
	join(100, "", true);
	settle();
	cut(0, 50);
	fleet_pass(DUE_MS);
	assert_int_equal(stage_count(&stage, "partition of all"), 1);
	assert_int_equal(stage_count(&stage, "suspect"), 50);
	assert_int_equal(stage_count(&stage, "gone"), 0);
	mend(0, 50);
	fleet_pass(60000);
	assert_int_equal(stage_count(&stage, "gone"), 0);
	assert_int_equal(state_count(STATE_ALIVE), 100);
}

static void a_late_death_within_a_partition_that_ebbs_is_a_death(void **state)
{
	(void)state;
	join(100, "group=a", false);
	settle();
	cut(0, 40);
	fleet_pass(DUE_MS);
	assert_int_equal(state_count(STATE_SUSPECT), 40);
	mend(1, 40); /* all but one are back */
	fleet_pass(50000);
	stage_told_whatever(&stage);
	cut(50, 51);
	fleet_pass(100000);
	assert_int_equal(stage_count(&stage, "u51 suspect"), 0);
	assert_int_equal(stage_count(&stage, "u51 gone hung"), 1);
}

#define story(name) cmocka_unit_test_setup_teardown(name, open_stage, close_stage)

int main(void)
{
	const struct CMUnitTest tests[] = {
		story(a_healthy_fleet_is_never_suspected),
		story(one_that_dies_is_gone_and_nobody_suspects_the_network),
		story(one_in_ten_that_dies_at_once_is_not_the_network_either),
		story(a_group_that_is_cut_off_is_one_event_and_from_the_first_client_on_no_verdict),
		story(its_number_is_near_the_truth_though_most_are_not_due_yet),
		story(where_all_fall_silent_it_is_one_event_for_all),
		story(those_who_stay_silent_are_gone_after_the_hold),
		story(the_share_is_kept_to_the_client),
		story(the_least_number_is_kept_to_the_client),
		story(with_a_share_of_0_nobody_is_suspected),
		story(two_that_die_together_are_not_many_however_short_the_grace),
		story(two_are_never_the_network_however_small_the_share_asked_for),
		story(with_a_short_grace_a_few_are_gone_before_it_is_seen_and_no_more),
		story(who_dies_beside_a_partition_is_gone_unless_the_others_are_silent_too),
		story(two_groups_that_are_cut_off_are_two_events),
		story(a_big_group_that_is_cut_off_is_told_as_that_group_alone),
		story(a_second_partition_after_the_first_is_over_is_told_anew),
		story(suspects_whose_connections_end_leave_no_partition_behind),
		story(who_is_suspect_is_held_though_it_takes_nothing_either),
		story(anonymous_clients_that_fall_silent_together_are_suspects),
		story(a_late_death_within_a_partition_that_ebbs_is_a_death),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
