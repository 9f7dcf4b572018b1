/* The directory's clock: several workers, each with its own stalls. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stage.h"

static struct stage stage;

static int open_stage(void **state)
{
	struct directory_config config = stage_config();

	(void)state;
	stage_open(&stage, &config, 3);
	return 0;
}

static int close_stage(void **state)
{
	(void)state;
	stage_close(&stage);
	return 0;
}

/* The whole server is stopped for so long. */
static void stall(uint64_t ms)
{
	for (unsigned i = 0; i < stage.workers; i++)
		watch_promise(&stage.watches[i], stage.now);
	stage_jump_ns(&stage, ms * NS_PER_MS);
	stage_turn_all(&stage);
}

static void all_have_heard_when_the_slowest_has(void **state)
{
	struct mono begun = stage.now;

	(void)state;
	stage_jump_ns(&stage, 10);
	assert_true(directory_all_heard(stage.directory, begun));
	assert_false(directory_all_heard(stage.directory, mono_after(begun, 1)));
	stage_turn(&stage, 0);
	stage_turn(&stage, 1);
	assert_false(directory_all_heard(stage.directory, mono_after(begun, 1)));
	stage_turn(&stage, 2);
	assert_true(directory_all_heard(stage.directory, mono_after(begun, 1)));
	assert_true(directory_all_heard(stage.directory, mono_after(begun, 10)));
	assert_false(directory_all_heard(stage.directory, mono_after(begun, 11)));
}

static void nobody_is_over_before_every_worker_has_looked(void **state)
{
	struct actor bob = stage_enter(&stage, 0, "id bob");

	(void)state;
	stage_told_whatever(&stage);
	stage_pass(&stage, 1000);
	stage_end(&stage, bob, REASON_CLOSED);
	stage.asleep[2] = true;
	stage_pass(&stage, 5050);
	stage_told_nothing(&stage);
	/* What is due waits for the one that sleeps: the others may wake it. */
	assert_int_equal(directory_next_ms(stage.directory), 0);
	/* And there it is, with the client on it. */
	stage_enter(&stage, 2, "id bob");
	stage.asleep[2] = false;
	stage_pass(&stage, 10000);
	stage_told_nothing(&stage);
	assert_int_equal(stage_known(&stage, "bob").rejoined, 1);
}

static void the_time_of_rejoining_stands_still_while_the_server_is_stopped(void **state)
{
	struct actor bob = stage_enter(&stage, 0, "id bob");

	(void)state;
	stage_told_whatever(&stage);
	stage_pass(&stage, 1000);
	stage_end(&stage, bob, REASON_CLOSED);
	stage_pass(&stage, 2000);
	stall(60000);
	stage_told_nothing(&stage);
	stage_pass(&stage, 2999);
	stage_told_nothing(&stage);
	/* Three workers were away at once: that counts once. */
	stage_pass(&stage, 1);
	stage_told(&stage, "66.000 bob gone closed (was 1.000)\n");
}

static void a_stall_before_the_end_costs_nothing(void **state)
{
	struct actor bob = stage_enter(&stage, 0, "id bob");

	(void)state;
	stage_told_whatever(&stage);
	stall(20000);
	/* It ends in the very turn that comes out of another one. */
	for (unsigned i = 0; i < stage.workers; i++)
		watch_promise(&stage.watches[i], stage.now);
	stage_jump_ns(&stage, 20 * NS_PER_S);
	stage_end(&stage, bob, REASON_CLOSED);
	stage_turn_all(&stage);
	stage_pass(&stage, 4999);
	stage_told_nothing(&stage);
	stage_pass(&stage, 1);
	stage_told(&stage, "45.000 bob gone closed (was 40.000)\n");
}

static void a_stall_of_one_worker_is_everybodys_once(void **state)
{
	struct actor bob;

	(void)state;
	/* Worker 2 is behind by a stall for ever: no later deadline is later for that. */
	stage.asleep[2] = true;
	stage_pass(&stage, 10000);
	stage.asleep[2] = false;
	stage_pass(&stage, 1000);
	bob = stage_enter(&stage, 0, "id bob");
	stage_told_whatever(&stage);
	stage_end(&stage, bob, REASON_CLOSED);
	stage_pass(&stage, 4999);
	stage_told_nothing(&stage);
	stage_pass(&stage, 1);
	stage_told(&stage, "16.000 bob gone closed (was 11.000)\n");
}

static void a_worker_that_begins_later_makes_nobody_wait(void **state)
{
	struct directory_config config = stage_config();
	struct actor bob;

	(void)state;
	stage_close(&stage);
	config.workers = 2;
	stage_open(&stage, &config, 2);
	/* As if it had begun a second after the directory was made. */
	stage_jump_ns(&stage, NS_PER_S);
	watch_init(&stage.watches[1], stage.directory, 1, &stage.places[1]->session,
		   sizeof(struct place), STAGE_SESSIONS, 0, stage.now);
	stage_turn_all(&stage);
	bob = stage_enter(&stage, 1, "id bob");
	stage_end(&stage, bob, REASON_CLOSED);
	stage_told_whatever(&stage);
	stage_pass(&stage, 5000);
	stage_told(&stage, "6.000 bob gone closed (was 1.000)\n");
}

static uint64_t random_state;
static uint64_t random_below(uint64_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % n;
}

/* What each worker has lived through since the end of bob's session. */
static bool all_lived(const struct awake since[STAGE_WORKERS], uint64_t ms)
{
	for (unsigned i = 0; i < stage.workers; i++)
		if (awake_between(since[i], stage.watches[i].awake) < ms * NS_PER_MS)
			return false;
	return true;
}

static void a_random_turn(void)
{
	unsigned worker = (unsigned)random_below(stage.workers);

	/* Mostly short steps; now and then somebody is away, or everybody. */
	stage_jump_ns(&stage, random_below(40 * NS_PER_MS));
	if (random_below(200) == 0)
		stage_jump_ns(&stage, random_below(4 * NS_PER_S));
	stage_turn(&stage, worker);
	watch_promise(&stage.watches[worker],
		      mono_after(stage.now, random_below(10) == 0 ? 0 : NS_PER_S));
}

static void whatever_stalls_there_are_the_time_of_rejoining_is_lived_through_by_all(void **state)
{
	(void)state;
	random_state = 88172645463325252u;
	for (unsigned round = 0; round < 300; round++) {
		struct awake since[STAGE_WORKERS];
		struct actor bob = stage_enter(&stage, (unsigned)random_below(3), "id bob");

		stage_told_whatever(&stage);
		stage_end(&stage, bob, REASON_CLOSED);
		for (unsigned i = 0; i < stage.workers; i++)
			since[i] = stage.watches[i].awake;
		for (unsigned turns = 0; stage_known(&stage, "bob").state != STATE_GONE; turns++) {
			assert_true(turns < 100000);
			a_random_turn();
		}
		assert_true(all_lived(since, 5000));
		assert_int_equal(stage_count(&stage, "bob gone closed"), 1);
	}
}

#define story(name) cmocka_unit_test_setup_teardown(name, open_stage, close_stage)

int main(void)
{
	const struct CMUnitTest tests[] = {
		story(all_have_heard_when_the_slowest_has),
		story(nobody_is_over_before_every_worker_has_looked),
		story(the_time_of_rejoining_stands_still_while_the_server_is_stopped),
		story(a_stall_before_the_end_costs_nothing),
		story(a_stall_of_one_worker_is_everybodys_once),
		story(a_worker_that_begins_later_makes_nobody_wait),
		story(whatever_stalls_there_are_the_time_of_rejoining_is_lived_through_by_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
