/* Cases: how connections end. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "cases.h"
#include "client.h"
#include "rig.h"

void a_half_closed_client_gets_its_replies(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){.send_buffer = 16384});
	struct client small = client_open(rig, 0);
	struct client big = client_open(rig, 4096);

	(void)state;
	client_say(&small, "a\nb\nc\n");
	client_shut(&small);
	client_hear_lines(&small, 3);
	client_hear_end(&small);
	client_say(&big, "BBB");
	client_shut(&big);
	client_hear_bytes(&big, (uint64_t)3 * RIG_BIG_BYTES);
	client_hear_end(&big);
	rig_await(rig, rig_has_closed, 2, "both are closed");
	assert_int_equal(rig_life_of_port(rig, small.port)->end, ENGINE_END_FINISHED);
	assert_int_equal(rig_life_of_port(rig, big.port)->end, ENGINE_END_FINISHED);
	client_close(&small);
	client_close(&big);
	rig_close(rig);
}

void an_end_that_the_worker_keeps_is_told_once(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){.keep_ended = true});
	struct client client = client_open(rig, 0);
	struct client other = client_open(rig, 0);
	struct rig_life *life = rig_life_of_port(rig, client.port);
	uint64_t turns;

	(void)state;
	client_talk(&client);
	client_shut(&client);
	rig_await(rig, rig_has_ended, 1, "the end is told");
	turns = rig->turns;
	for (int i = 0; i < 20; i++)
		client_talk(&other);
	/* The worker of this test fails when it is told twice. That the socket is readable for ever makes no turns. */
	assert_true(rig->turns - turns < 1000);
	rig_do(rig, rig_order_release, life);
	client_hear_lines(&client, 1);
	rig_do(rig, rig_order_close, life);
	client_hear_end(&client);
	client_close(&client);
	client_close(&other);
	rig_close(rig);
}

void a_reset_after_an_end_is_told(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){.keep_ended = true});
	struct client client = client_open(rig, 0);

	(void)state;
	client_talk(&client);
	client_shut(&client);
	rig_await(rig, rig_has_ended, 1, "the end is told");
	client_reset(&client);
	rig_await(rig, rig_has_closed, 1, "the reset is told");
	assert_int_equal(rig_life(rig, 0)->end, ENGINE_END_RESET);
	rig_close(rig);
}

void a_reset_is_told_after_the_bytes_before_it(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){0});

	(void)state;
	for (uint32_t i = 0; i < 50; i++) {
		struct client client = client_open(rig, 0);

		/* Some are reset before they are accepted, and some after. */
		if (i % 2 == 0)
			rig_life(rig, i);
		client_say(&client, "farewell");
		client_reset(&client);
		rig_await(rig, rig_has_closed, i + 1, "the reset is told");
		assert_int_equal(rig_life(rig, i)->heard, strlen("farewell"));
		assert_int_equal(rig_life(rig, i)->end, ENGINE_END_RESET);
		assert_false(rig_life(rig, i)->ended);
	}
	rig_close(rig);
}

static bool is_stuck(struct rig *rig, uint64_t index)
{
	return rig_life(rig, (uint32_t)index)->stuck;
}

void a_reset_of_a_client_that_is_held_is_told(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){0});
	struct client client = client_open(rig, 0);

	(void)state;
	client_say(&client, "H");
	rig_await(rig, is_stuck, 0, "the client is held");
	/* The hold has lost its sense with the reset: what was held up is told, too. */
	client_say(&client, "farewell");
	client_reset(&client);
	rig_await(rig, rig_has_closed, 1, "the reset is told");
	assert_int_equal(rig_life(rig, 0)->heard, strlen("Hfarewell"));
	assert_int_equal(rig_life(rig, 0)->end, ENGINE_END_RESET);
	rig_close(rig);
}

/*
 * The server answers the first bytes, which makes the client's host reset, while later bytes wait at the server: they are
 * told before the end is.
 */
void a_client_that_is_answered_and_resets_is_heard_to_its_last_byte(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){0});
	struct client keeper = client_open(rig, 0);

	(void)state;
	for (uint32_t i = 0; i < 20; i++) {
		struct client client = client_open(rig, 0);
		struct rig_life *life = rig_life_of_port(rig, client.port);

		client_say(&client, "\nstop");
		if (i % 2 == 0) {
			client_say(&keeper, "G");
			rig_await(rig, rig_is_at_gate, 0, "the gate");
		}
		client_say(&client, "\nstop");
		client_reset(&client);
		if (i % 2 == 0)
			rig_gate_open(rig);
		rig_await(rig, rig_has_closed, i + 1, "the reset is told");
		assert_int_equal(life->heard, 2 * strlen("\nstop"));
		assert_int_equal(life->end, ENGINE_END_RESET);
	}
	client_close(&keeper);
	rig_close(rig);
}

void clients_that_vanish_at_once_are_all_closed(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){0});

	(void)state;
	for (uint32_t i = 0; i < 300; i++) {
		struct client client = client_open(rig, 0);

		if (i % 3 == 1)
			client_say(&client, "\n");
		if (i % 4 == 3)
			client_reset(&client);
		else
			client_close(&client);
	}
	rig_await(rig, rig_has_closed, 300, "all are closed");
	rig_close(rig);
}

void close_from_both_sides_at_once_is_told_once(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){0});

	(void)state;
	srand(3);
	for (uint32_t i = 0; i < 150; i++) {
		struct client client = client_open(rig, 0);
		struct rig_life *life = rig_life_of_port(rig, client.port);

		client_say(&client, i % 2 != 0 ? "\n\nC" : "\n\n");
		if (i % 5 == 0)
			client_shut(&client);
		if (i % 3 == 0)
			rig_do(rig, rig_order_close, life);
		if (i % 7 == 0)
			client_reset(&client);
		else
			client_close(&client);
		rig_await(rig, rig_has_closed, i + 1, "it is closed");
	}
	rig_close(rig);
}

void close_says_all_that_is_owed_though_much_was_not_read(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){.send_buffer = 32768});

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct client client = client_open(rig, 4096);

		client_say(&client, "BBBC");
		client_say_while_it_goes(&client, 'z', (size_t)4 * 1024 * 1024);
		client_hear_bytes(&client, (uint64_t)3 * RIG_BIG_BYTES);
		client_hear_text(&client, RIG_LAST);
		client_hear_end(&client);
		client_close(&client);
		rig_await(rig, rig_has_closed, (uint64_t)i + 1, "it is closed");
		assert_int_equal(rig_life(rig, (uint32_t)i)->end, ENGINE_END_FINISHED);
	}
	rig_close(rig);
}

/* What comes in after the server closed its side must not destroy the last text either. */
void the_last_text_reaches_a_client_that_goes_on_talking(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){0});

	(void)state;
	for (int i = 0; i < 100; i++) {
		struct client client = client_open(rig, 0);

		client_say(&client, "\n\nC");
		for (int word = 0; word < i % 20; word++)
			(void)!send(client.fd, "and another thing\n", 18, MSG_NOSIGNAL);
		client_hear_lines(&client, 2);
		client_hear_text(&client, RIG_LAST);
		client_hear_end(&client);
		client_close(&client);
	}
	rig_await(rig, rig_has_closed, 100, "all are closed");
	rig_close(rig);
}

void drop_closes_at_once(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){0});
	struct client inside = client_open(rig, 0);
	struct client outside = client_open(rig, 0);

	(void)state;
	client_talk(&inside);
	client_say(&inside, "xDy");
	client_hear_out(&inside);
	client_talk(&outside);
	rig_do(rig, rig_order_drop, rig_life_of_port(rig, outside.port));
	client_hear_out(&outside);
	rig_await(rig, rig_has_closed, 2, "both are closed");
	assert_int_equal(rig_life_of_port(rig, inside.port)->end, ENGINE_END_DROPPED);
	assert_int_equal(rig_life_of_port(rig, outside.port)->end, ENGINE_END_DROPPED);
	client_close(&inside);
	client_close(&outside);
	rig_close(rig);
}

static bool is_blocked(struct rig *rig, uint64_t index)
{
	return rig_life(rig, (uint32_t)index)->blocked;
}

void drop_closes_a_client_that_does_not_read(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){.send_buffer = 16384});
	struct client client = client_open(rig, 4096);

	(void)state;
	client_say(&client, "BBBBBBBBBBC");
	rig_await(rig, is_blocked, 0, "blocked is told");
	rig_do(rig, rig_order_drop, rig_life(rig, 0));
	rig_await(rig, rig_has_closed, 1, "it is closed");
	assert_int_equal(rig_life(rig, 0)->end, ENGINE_END_DROPPED);
	client_hear_out(&client);
	client_close(&client);
	rig_close(rig);
}

/* Tries everything with a name. */
static void try_stale(struct rig *rig, struct connection connection)
{
	struct engine_view view;

	rig_act(rig, connection, ENGINE_SEND | ENGINE_CLOSE);
	rig_drop(rig, connection);
	if (rig_ask(rig, connection, &view) != -ESTALE)
		rig_fail(rig, "ask knows slot %u, generation %u", connection.slot,
			 connection.generation);
	if (rig_tune(rig, connection, 10, 1000) != -ESTALE)
		rig_fail(rig, "tune knows slot %u, generation %u", connection.slot,
			 connection.generation);
}

static void order_stale_calls(struct rig *rig, void *arg)
{
	struct rig_life *gone = arg;

	try_stale(rig, gone->connection);
	try_stale(rig, (struct connection){0});
	try_stale(rig, (struct connection){.slot = rig->options.connections_max, .generation = 1});
	try_stale(rig, (struct connection){.slot = UINT32_MAX, .generation = 1});
	try_stale(rig, (struct connection){.slot = gone->connection.slot, .generation = 0});
}

void stale_names_do_nothing(void **state)
{
	/* One slot, so that whoever comes next gets it. */
	struct rig *rig = rig_open(&(struct rig_options){.connections_max = 1});
	struct client client = client_open(rig, 0);

	(void)state;
	for (uint32_t i = 0; i < 10; i++) {
		client_talk(&client);
		client_close(&client);
		rig_await(rig, rig_has_closed, i + 1, "it is closed");
		rig_do(rig, order_stale_calls, rig_life(rig, i));
		client = client_open(rig, 0);
		rig_await(rig, rig_has_accepted, i + 2, "the next one is accepted");
		assert_int_equal(rig_life(rig, i + 1)->connection.slot,
				 rig_life(rig, i)->connection.slot);
		rig_do(rig, order_stale_calls, rig_life(rig, i));
		client_talk(&client);
	}
	client_close(&client);
	rig_close(rig);
}
