/* Who holds which name: take-over, rejoin, keys, renaming, and who is known. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stage.h"

static struct stage stage;
static struct directory_config config;

static int open_stage(void **state)
{
	(void)state;
	config = stage_config();
	stage_open(&stage, &config, 2);
	return 0;
}

static int close_stage(void **state)
{
	(void)state;
	stage_close(&stage);
	return 0;
}

static void reopen(void)
{
	stage_close(&stage);
	stage_open(&stage, &config, 2);
}

static void a_first_name_is_told_as_new_and_the_anonymous_client_is_no_more(void **state)
{
	struct directory_counts counts;
	struct actor actor = stage_connect(&stage, 0);

	(void)state;
	directory_count(stage.directory, &counts);
	assert_int_equal(counts.anonymous, 1);
	assert_int_equal(counts.known, 0);
	assert_int_equal(counts.states[STATE_ALIVE], 1);
	assert_int_equal(stage_name(&stage, actor, "id bob group=site7"), NAMED);
	stage_told(&stage, "0.000 bob new alive\n");
	assert_string_equal(stage.last.group, "site7");
	assert_int_equal(stage.last.tag, actor.tag);
	assert_int_equal(stage.last.from, STATE_ALIVE);
	directory_count(stage.directory, &counts);
	assert_int_equal(counts.anonymous, 0);
	assert_int_equal(counts.known, 1);
	assert_int_equal(counts.states[STATE_ALIVE], 1);
	stage_end(&stage, actor, REASON_STOPPED);
	stage_told(&stage, "0.000 bob gone stopped\n");
	directory_count(stage.directory, &counts);
	assert_int_equal(counts.states[STATE_ALIVE], 0);
	assert_int_equal(counts.states[STATE_GONE], 1);
}

static void the_same_name_again_changes_the_rhythm_and_tells_nothing(void **state)
{
	struct actor actor = stage_enter(&stage, 0, "id bob every=10s grace=10s group=a");

	(void)state;
	stage_told_whatever(&stage);
	stage_pass(&stage, 9000);
	for (unsigned i = 0; i < 2 * SESSION_NAMES_MAX; i++)
		assert_int_equal(stage_name(&stage, actor, "id bob every=2s grace=1s group=b"),
				 NAMED);
	assert_false(stage.displaced.any);
	assert_string_equal(stage_known(&stage, "bob").group, "b");
	stage_told_nothing(&stage);
	stage_pass(&stage, 20000);
	stage_told(&stage, "11.000 bob late\n"
			   "12.000 bob gone hung\n");
}

static void one_that_is_gone_comes_back_alive_and_is_not_new(void **state)
{
	(void)state;
	stage_end(&stage, stage_enter(&stage, 0, "id bob"), REASON_STOPPED);
	stage_pass(&stage, 1000);
	stage_enter(&stage, 1, "id bob");
	stage_told(&stage, "0.000 bob new alive\n"
			   "0.000 bob gone stopped\n"
			   "1.000 bob alive\n");
	assert_int_equal(stage.last.from, STATE_GONE);
	assert_int_equal(stage_known(&stage, "bob").rejoined, 0);
}

static void a_take_over_displaces_the_old_session_and_tells_nothing(void **state)
{
	struct actor old, new;

	(void)state;
	stage.keep_displaced = true;
	old = stage_enter(&stage, 0, "id bob every=10s grace=10s");
	stage_told_whatever(&stage);
	stage_pass(&stage, 9000);
	new = stage_connect(&stage, 1);
	assert_int_equal(stage_name(&stage, new, "id bob every=20s grace=10s group=g"), NAMED);
	assert_true(stage.displaced.any);
	assert_int_equal(stage.displaced.worker, 0);
	assert_int_equal(stage.displaced.slot, old.slot);
	assert_int_equal(stage.displaced.generation, old.generation);
	assert_int_equal(stage_known(&stage, "bob").tag, new.tag);
	assert_int_equal(stage_known(&stage, "bob").worker, 1);
	assert_int_equal(stage_known(&stage, "bob").every_ms, 20000);
	stage_end(&stage, old, REASON_REPLACED);
	stage_pass(&stage, 19999);
	stage_told_nothing(&stage);
	assert_true(stage_known(&stage, "bob").has_session);
	stage_pass(&stage, 1);
	stage_told(&stage, "29.000 bob late\n");
}

static void however_a_displaced_session_ends_nothing_is_told(void **state)
{
	static const enum reason reasons[] = {REASON_CLOSED, REASON_RESET, REASON_STOPPED,
					      REASON_REPLACED, REASON_SLOW};
	struct actor old;

	(void)state;
	stage.keep_displaced = true;
	old = stage_enter(&stage, 0, "id bob");
	stage_told_whatever(&stage);
	for (unsigned i = 0; i < 5; i++) {
		struct actor new = stage_enter(&stage, 1, "id bob");

		stage_end(&stage, old, reasons[i]);
		old = new;
	}
	stage_pass(&stage, 20000);
	stage_told_nothing(&stage);
	assert_int_equal(stage_known(&stage, "bob").rejoined, 0);
}

static void a_displaced_session_is_silent_without_a_word_and_ends_as_replaced(void **state)
{
	struct actor old, new;
	unsigned i;

	(void)state;
	stage.keep_displaced = true;
	old = stage_enter(&stage, 0, "id bob every=10s grace=5s");
	new = stage_enter(&stage, 1, "id bob every=10s grace=5s");
	stage_told_whatever(&stage);
	for (i = 0; i < 10; i++) {
		stage_pass(&stage, 9000);
		stage_beat(&stage, new);
	}
	stage_told_nothing(&stage);
	assert_false(stage_is_there(&stage, old));
	assert_int_equal(stage_known(&stage, "bob").state, STATE_ALIVE);
}

static void a_displaced_session_takes_nothing_back_and_no_other_name(void **state)
{
	struct actor old, new;

	(void)state;
	stage.keep_displaced = true;
	old = stage_enter(&stage, 0, "id bob");
	new = stage_enter(&stage, 1, "id bob");
	stage_told_whatever(&stage);
	assert_int_equal(stage_name(&stage, old, "id bob"), NAMED_DISPLACED);
	assert_false(stage.displaced.any);
	assert_int_equal(stage_name(&stage, old, "id carol"), NAMED_DISPLACED);
	assert_false(stage_knows(&stage, "carol"));
	stage_end(&stage, old, REASON_REPLACED);
	stage_told_nothing(&stage);
	assert_int_equal(stage_known(&stage, "bob").tag, new.tag);
	assert_true(stage_known(&stage, "bob").has_session);
}

static void a_take_over_of_a_late_client_brings_it_back(void **state)
{
	(void)state;
	stage_enter(&stage, 0, "id bob every=10s grace=10s");
	stage_pass(&stage, 11000);
	stage_enter(&stage, 1, "id bob every=10s grace=10s");
	stage_told(&stage, "0.000 bob new alive\n"
			   "10.000 bob late\n"
			   "11.000 bob alive\n");
}

static void duplicates_may_be_refused(void **state)
{
	struct actor first, second;

	(void)state;
	config.refuse_duplicates = true;
	reopen();
	first = stage_enter(&stage, 0, "id bob");
	second = stage_connect(&stage, 1);
	assert_int_equal(stage_name(&stage, second, "id bob"), NAMED_TAKEN);
	assert_false(stage.displaced.any);
	stage_end(&stage, second, REASON_REFUSED);
	assert_int_equal(stage_name(&stage, first, "id bob every=1m"), NAMED);
	stage_told(&stage, "0.000 bob new alive\n"
			   "0.000 #2 gone refused\n");
	/* One whose session ended is not in use. */
	stage_end(&stage, first, REASON_CLOSED);
	stage_enter(&stage, 1, "id bob");
	stage_pass(&stage, 10000);
	stage_told_nothing(&stage);
}

static void one_that_closed_is_gone_only_after_the_time_of_rejoining(void **state)
{
	struct actor actor = stage_enter(&stage, 0, "id bob");

	(void)state;
	stage_told_whatever(&stage);
	stage_pass(&stage, 1000);
	stage_end(&stage, actor, REASON_CLOSED);
	assert_int_equal(stage_known(&stage, "bob").state, STATE_ALIVE);
	assert_false(stage_known(&stage, "bob").has_session);
	stage_pass(&stage, 4999);
	stage_told_nothing(&stage);
	stage_pass(&stage, 1);
	stage_told(&stage, "6.000 bob gone closed (was 1.000)\n");
}

static void one_that_comes_back_in_time_is_counted_and_not_told(void **state)
{
	struct directory_counts counts;
	struct actor actor = stage_enter(&stage, 0, "id bob");

	(void)state;
	stage_told_whatever(&stage);
	for (unsigned i = 1; i <= 3; i++) {
		stage_end(&stage, actor, i % 2 ? REASON_RESET : REASON_CLOSED);
		stage_pass(&stage, 4999);
		actor = stage_enter(&stage, i % 2, "id bob");
		assert_int_equal(stage_known(&stage, "bob").rejoined, i);
	}
	stage_pass(&stage, 30000);
	stage_told_nothing(&stage);
	directory_count(stage.directory, &counts);
	assert_int_equal(counts.rejoined, 3);
	/* A take-over is no rejoining. */
	stage_enter(&stage, 0, "id bob");
	assert_int_equal(stage_known(&stage, "bob").rejoined, 3);
}

static void one_that_was_late_when_it_closed_comes_back_alive(void **state)
{
	struct actor actor = stage_enter(&stage, 0, "id bob every=10s grace=10s");

	(void)state;
	stage_pass(&stage, 12000);
	stage_end(&stage, actor, REASON_RESET);
	stage_pass(&stage, 2000);
	stage_enter(&stage, 0, "id bob");
	stage_told(&stage, "0.000 bob new alive\n"
			   "10.000 bob late\n"
			   "14.000 bob alive\n");
	assert_int_equal(stage_known(&stage, "bob").rejoined, 1);
}

static void without_a_time_of_rejoining_every_end_is_told_at_once(void **state)
{
	(void)state;
	config.rejoin_ms = 0;
	reopen();
	stage_end(&stage, stage_enter(&stage, 0, "id bob"), REASON_CLOSED);
	stage_end(&stage, stage_enter(&stage, 0, "id eve"), REASON_RESET);
	stage_told(&stage, "0.000 bob new alive\n"
			   "0.000 bob gone closed\n"
			   "0.000 eve new alive\n"
			   "0.000 eve gone reset\n");
}

static void ends_with_a_final_reason_do_not_wait(void **state)
{
	static const enum reason reasons[] = {REASON_STOPPED, REASON_REFUSED,	  REASON_MALFORMED,
					      REASON_DRAINED, REASON_KICKED,	  REASON_SLOW,
					      REASON_SHED,    REASON_UNREACHABLE, REASON_HUNG};

	(void)state;
	for (unsigned i = 0; i < sizeof(reasons) / sizeof(*reasons); i++) {
		char line[64];

		stage_end(&stage, stage_enter(&stage, 0, "id bob"), reasons[i]);
		assert_int_equal(stage_known(&stage, "bob").state, STATE_GONE);
		assert_int_equal(stage_known(&stage, "bob").reason, reasons[i]);
		snprintf(line, sizeof(line), "0.000 bob %salive\n0.000 bob gone %s\n",
			 i == 0 ? "new " : "", reason_word(reasons[i]));
		stage_told(&stage, line);
	}
}

static void replaced_without_a_successor_is_an_end_like_others(void **state)
{
	struct actor actor = stage_enter(&stage, 0, "id bob");

	(void)state;
	stage_told_whatever(&stage);
	stage_end(&stage, actor, REASON_REPLACED);
	stage_told(&stage, "0.000 bob gone replaced\n");
}

static void another_name_gives_up_the_first_at_once(void **state)
{
	struct actor actor = stage_enter(&stage, 0, "id bob");

	(void)state;
	stage_told_whatever(&stage);
	stage_pass(&stage, 1000);
	assert_int_equal(stage_name(&stage, actor, "id eve"), NAMED);
	stage_told(&stage, "1.000 bob gone stopped\n"
			   "1.000 eve new alive\n");
	stage_end(&stage, actor, REASON_STOPPED);
	stage_told(&stage, "1.000 eve gone stopped\n");
}

static void a_session_has_so_many_names_and_no_more(void **state)
{
	struct actor actor = stage_connect(&stage, 0);
	char id[32];

	(void)state;
	for (unsigned i = 0; i < SESSION_NAMES_MAX; i++) {
		snprintf(id, sizeof(id), "id name%u", i);
		assert_int_equal(stage_name(&stage, actor, id), NAMED);
	}
	stage_told_whatever(&stage);
	assert_int_equal(stage_name(&stage, actor, "id more"), NAMED_MANY);
	assert_int_equal(stage_name(&stage, actor, "id name0"), NAMED_MANY);
	assert_int_equal(stage_name(&stage, actor, "id name7"), NAMED);
	stage_told_nothing(&stage);
	assert_false(stage_knows(&stage, "more"));
}

static void a_name_with_a_key_is_taken_with_that_key_only(void **state)
{
	struct actor thief = stage_connect(&stage, 1), owner;

	(void)state;
	owner = stage_enter(&stage, 0, "id bob key=secret");
	stage_told_whatever(&stage);
	assert_int_equal(stage_name(&stage, thief, "id bob"), NAMED_KEY);
	assert_int_equal(stage_name(&stage, thief, "id bob key=Secret"), NAMED_KEY);
	assert_int_equal(stage_name(&stage, thief, "id bob key=secre"), NAMED_KEY);
	assert_int_equal(stage_name(&stage, thief, "id bob key=secretx"), NAMED_KEY);
	assert_false(stage.displaced.any);
	stage_told_nothing(&stage);
	/* Gone, it is still known, and so is its key. */
	stage_end(&stage, owner, REASON_STOPPED);
	assert_int_equal(stage_name(&stage, thief, "id bob"), NAMED_KEY);
	assert_int_equal(stage_name(&stage, thief, "id bob key=secret"), NAMED);
	stage_told(&stage, "0.000 bob gone stopped\n"
			   "0.000 bob alive\n");
	/* Forgotten, it is anybody's. */
	stage_end(&stage, thief, REASON_STOPPED);
	assert_true(directory_forget(stage.directory, "bob", 3, stage.now));
	stage_listen(&stage);
	stage_enter(&stage, 0, "id bob key=other");
	stage_told(&stage, "0.000 bob gone stopped\n"
			   "0.000 bob forgotten\n"
			   "0.000 bob new alive\n");
}

static void a_key_may_be_set_later_by_who_holds_the_name_but_not_changed(void **state)
{
	struct actor owner = stage_enter(&stage, 0, "id bob"), thief = stage_connect(&stage, 1);

	(void)state;
	assert_int_equal(stage_name(&stage, owner, "id bob key=k"), NAMED);
	assert_int_equal(stage_name(&stage, owner, "id bob"), NAMED);
	assert_int_equal(stage_name(&stage, owner, "id bob key=l"), NAMED_KEY);
	assert_int_equal(stage_name(&stage, thief, "id bob key=l"), NAMED_KEY);
	assert_int_equal(stage_name(&stage, thief, "id bob key=k"), NAMED);
	assert_true(stage.displaced.any);
}

static void what_is_refused_changes_nothing(void **state)
{
	struct actor bob = stage_enter(&stage, 0, "id bob key=k"),
		     eve = stage_enter(&stage, 1, "id eve");

	(void)state;
	stage_told_whatever(&stage);
	assert_int_equal(stage_name(&stage, eve, "id bob every=1s"), NAMED_KEY);
	assert_int_equal(stage_known(&stage, "eve").state, STATE_ALIVE);
	assert_int_equal(stage_known(&stage, "bob").every_ms, 60000);
	assert_int_equal(stage_known(&stage, "bob").tag, bob.tag);
	stage_told_nothing(&stage);
	stage_end(&stage, eve, REASON_REFUSED);
	stage_told(&stage, "0.000 eve gone refused\n");
}

static void a_late_anonymous_client_that_names_itself_is_alive_first(void **state)
{
	struct actor actor = stage_connect(&stage, 0);
	struct naming naming;
	struct displaced displaced;

	(void)state;
	stage_pass(&stage, 61000);
	naming_read(&naming, "id bob", 6, &config.rhythm);
	assert_int_equal(watch_name(&stage.watches[0], actor.slot, &naming, &displaced), NAMED);
	stage_listen(&stage);
	stage_told(&stage, "60.000 #1 late\n"
			   "61.000 #1 alive\n"
			   "61.000 bob new alive\n");
}

static void the_one_gone_longest_is_forgotten_for_a_newcomer(void **state)
{
	struct directory_counts counts;

	(void)state;
	config.known_max = 3;
	reopen();
	stage_end(&stage, stage_enter(&stage, 0, "id a"), REASON_STOPPED);
	stage_enter(&stage, 0, "id b");
	stage_end(&stage, stage_enter(&stage, 0, "id c group=g"), REASON_STOPPED);
	stage_end(&stage, stage_enter(&stage, 0, "id a"), REASON_STOPPED);
	stage_told_whatever(&stage);
	stage_enter(&stage, 0, "id d");
	stage_enter(&stage, 0, "id e");
	stage_told(&stage, "0.000 c forgotten\n"
			   "0.000 d new alive\n"
			   "0.000 a forgotten\n"
			   "0.000 e new alive\n");
	directory_count(stage.directory, &counts);
	assert_int_equal(counts.forgotten, 2);
	assert_int_equal(counts.known, 3);
	assert_false(stage_knows(&stage, "a"));
	assert_true(stage_knows(&stage, "b"));
}

static void where_all_known_are_there_a_newcomer_gets_no_name(void **state)
{
	struct actor a, more;

	(void)state;
	config.known_max = 2;
	reopen();
	a = stage_enter(&stage, 0, "id a");
	stage_enter(&stage, 0, "id b");
	more = stage_connect(&stage, 1);
	stage_told_whatever(&stage);
	assert_int_equal(stage_name(&stage, more, "id c"), NAMED_FULL);
	stage_told_nothing(&stage);
	/* One that gives up its own name has room for another. */
	assert_int_equal(stage_name(&stage, a, "id c"), NAMED);
	stage_told(&stage, "0.000 a gone stopped\n"
			   "0.000 a forgotten\n"
			   "0.000 c new alive\n");
	/* One that may still rejoin is not gone. */
	stage_end(&stage, a, REASON_CLOSED);
	assert_int_equal(stage_name(&stage, more, "id d"), NAMED_FULL);
	stage_pass(&stage, 5000);
	assert_int_equal(stage_name(&stage, more, "id d"), NAMED);
	stage_told(&stage, "5.000 c gone closed (was 0.000)\n"
			   "5.000 c forgotten\n"
			   "5.000 d new alive\n");
}

static void a_displaced_session_never_meets_who_came_into_its_clients_place(void **state)
{
	struct actor old, new;

	(void)state;
	config.known_max = 1;
	reopen();
	stage.keep_displaced = true;
	old = stage_enter(&stage, 0, "id bob");
	new = stage_enter(&stage, 1, "id bob");
	stage_end(&stage, new, REASON_STOPPED);
	new = stage_enter(&stage, 1, "id eve"); /* where bob was */
	stage_told_whatever(&stage);
	assert_int_equal(stage_name(&stage, old, "id eve"), NAMED_DISPLACED);
	stage_end(&stage, old, REASON_CLOSED);
	stage_pass(&stage, 10000);
	stage_told_nothing(&stage);
	assert_int_equal(stage_known(&stage, "eve").tag, new.tag);
}

static void who_is_gone_is_forgotten_after_a_while(void **state)
{
	uint64_t days = UINT64_C(86400) * MS_PER_S;

	(void)state;
	stage_end(&stage, stage_enter(&stage, 0, "id bob"), REASON_STOPPED);
	stage_enter(&stage, 0, "id eve every=100d");
	stage_told_whatever(&stage);
	stage.watches[0].promised.ns = stage.watches[1].promised.ns = UINT64_MAX;
	stage_jump_ns(&stage, 30 * days * NS_PER_MS - NS_PER_MS);
	stage_turn_all(&stage);
	assert_true(stage_knows(&stage, "bob"));
	stage_told_nothing(&stage);
	stage_pass(&stage, 1);
	stage_told(&stage, "2592000.000 bob forgotten\n");
	assert_false(stage_knows(&stage, "bob"));
	assert_true(stage_knows(&stage, "eve"));
}

static void forgetting_is_for_those_who_are_gone(void **state)
{
	struct actor bob = stage_enter(&stage, 0, "id bob");

	(void)state;
	stage_told_whatever(&stage);
	assert_false(directory_forget(stage.directory, "bob", 3, stage.now));
	assert_false(directory_forget(stage.directory, "eve", 3, stage.now));
	stage_end(&stage, bob, REASON_CLOSED);
	assert_false(directory_forget(stage.directory, "bob", 3, stage.now));
	stage_pass(&stage, 5000);
	stage_told_whatever(&stage);
	assert_true(directory_forget(stage.directory, "bob", 3, stage.now));
	stage_listen(&stage);
	stage_told(&stage, "5.000 bob forgotten\n");
	assert_int_equal(stage.last.count, 1);
}

static void many_that_are_over_at_once_are_told_a_few_a_call(void **state)
{
	struct actor actors[200];
	char id[32];

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		snprintf(id, sizeof(id), "id c%u group=g%u", i, i % 50);
		actors[i] = stage_enter(&stage, i % 2, id);
	}
	for (unsigned i = 0; i < 200; i++)
		stage_end(&stage, actors[i], REASON_RESET);
	stage_told_whatever(&stage);
	stage_pass(&stage, 5000); /* stage_listen looks at how many a call */
	assert_int_equal(stage_count(&stage, "gone reset"), 200);
}

static void all_known_are_found_by_walking_and_by_name(void **state)
{
	uint32_t cursor = 0;
	unsigned found = 0;
	struct known known;
	char id[32];

	(void)state;
	for (unsigned i = 0; i < 250; i++) {
		snprintf(id, sizeof(id), "id client-%u", i);
		stage_enter(&stage, 0, id);
		assert_string_equal(stage_known(&stage, id + 3).name, id + 3);
	}
	while (directory_walk(stage.directory, &cursor, &known)) {
		assert_string_equal(stage_known(&stage, known.name).name, known.name);
		assert_string_equal(known.group, "");
		found++;
	}
	assert_int_equal(found, 250);
	assert_false(stage_knows(&stage, "client-250"));
	assert_false(stage_knows(&stage, "client-"));
	assert_string_equal(directory_name(stage.directory, CLIENT_NONE), "");
	assert_string_equal(directory_name(stage.directory, 0), "client-0");
}

#define story(name) cmocka_unit_test_setup_teardown(name, open_stage, close_stage)

int main(void)
{
	const struct CMUnitTest tests[] = {
		story(a_first_name_is_told_as_new_and_the_anonymous_client_is_no_more),
		story(the_same_name_again_changes_the_rhythm_and_tells_nothing),
		story(one_that_is_gone_comes_back_alive_and_is_not_new),
		story(a_take_over_displaces_the_old_session_and_tells_nothing),
		story(however_a_displaced_session_ends_nothing_is_told),
		story(a_displaced_session_is_silent_without_a_word_and_ends_as_replaced),
		story(a_displaced_session_takes_nothing_back_and_no_other_name),
		story(a_take_over_of_a_late_client_brings_it_back),
		story(duplicates_may_be_refused),
		story(one_that_closed_is_gone_only_after_the_time_of_rejoining),
		story(one_that_comes_back_in_time_is_counted_and_not_told),
		story(one_that_was_late_when_it_closed_comes_back_alive),
		story(without_a_time_of_rejoining_every_end_is_told_at_once),
		story(ends_with_a_final_reason_do_not_wait),
		story(replaced_without_a_successor_is_an_end_like_others),
		story(another_name_gives_up_the_first_at_once),
		story(a_session_has_so_many_names_and_no_more),
		story(a_name_with_a_key_is_taken_with_that_key_only),
		story(a_key_may_be_set_later_by_who_holds_the_name_but_not_changed),
		story(what_is_refused_changes_nothing),
		story(a_late_anonymous_client_that_names_itself_is_alive_first),
		story(the_one_gone_longest_is_forgotten_for_a_newcomer),
		story(where_all_known_are_there_a_newcomer_gets_no_name),
		story(a_displaced_session_never_meets_who_came_into_its_clients_place),
		story(who_is_gone_is_forgotten_after_a_while),
		story(forgetting_is_for_those_who_are_gone),
		story(many_that_are_over_at_once_are_told_a_few_a_call),
		story(all_known_are_found_by_walking_and_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
