/* Cases: bytes go in, replies come out. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cases.h"
#include "client.h"
#include "rig.h"

#define CLIENTS 200

void one_client_is_answered(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){0});
	struct client client = client_open(rig, 0);

	(void)state;
	for (int i = 0; i < 20; i++)
		client_talk(&client);
	client_say(&client, "C");
	client_hear_text(&client, RIG_LAST);
	client_hear_end(&client);
	client_close(&client);
	rig_await(rig, rig_has_closed, 1, "the connection is closed");
	assert_int_equal(rig_life(rig, 0)->end, ENGINE_END_FINISHED);
	rig_close(rig);
}

static void talk_with_many(const struct rig_options *options)
{
	struct rig *rig = rig_open(options);
	struct client clients[CLIENTS];

	for (int i = 0; i < CLIENTS; i++)
		clients[i] = client_open(rig, 0);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < CLIENTS; i++)
			client_say(&clients[i], round % 2 != 0 ? "beat\n" : "a\nb\nc\n");
		for (int i = 0; i < CLIENTS; i++)
			client_hear_lines(&clients[i], round % 2 != 0 ? 1 : 3);
	}
	for (int i = 0; i < CLIENTS; i++)
		client_close(&clients[i]);
	rig_await(rig, rig_has_closed, CLIENTS, "all are closed");
	rig_close(rig);
}

void two_hundred_clients_are_answered(void **state)
{
	(void)state;
	talk_with_many(&(struct rig_options){0});
}

void two_hundred_clients_are_answered_by_an_engine_that_lingers(void **state)
{
	(void)state;
	talk_with_many(&(struct rig_options){.linger_ns = 2 * NS_PER_MS});
}

/* Says the bytes cut at random places, and reads what they are answered with now and then. */
void split_and_glued_bytes_are_heard_in_order(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){0});
	struct client client = client_open(rig, 0);
	char bytes[60000];
	uint64_t lines = 0;
	size_t at = 0;

	(void)state;
	srand(7);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] = rand() % 9 == 0 ? '\n' : (char)('a' + rand() % 26);
		lines += bytes[i] == '\n';
	}
	while (at < sizeof(bytes)) {
		size_t len = (size_t)(rand() % (rand() % 4 == 0 ? 9000 : 30) + 1);

		len = len < sizeof(bytes) - at ? len : sizeof(bytes) - at;
		client_say_bytes(&client, bytes + at, len);
		at += len;
	}
	client_hear_lines(&client, lines);
	assert_int_equal(rig_life(rig, 0)->heard, sizeof(bytes));
	assert_true(rig_life(rig, 0)->digest == client.digest);
	client_close(&client);
	rig_close(rig);
}

void one_byte_at_a_time_is_heard_in_order(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){0});
	struct client client = client_open(rig, 0);
	const char *text = "one byte at a time is enough\n";

	(void)state;
	for (int round = 0; round < 30; round++) {
		for (size_t i = 0; text[i] != '\0'; i++)
			client_say_bytes(&client, text + i, 1);
		client_hear_lines(&client, 1);
	}
	assert_true(rig_life(rig, 0)->digest == client.digest);
	client_close(&client);
	rig_close(rig);
}

void ten_thousand_lines_in_one_write_are_answered(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){0});
	struct client client = client_open(rig, 0);
	char bytes[10000];

	(void)state;
	memset(bytes, '\n', sizeof(bytes));
	client_say_bytes(&client, bytes, sizeof(bytes));
	client_hear_lines(&client, sizeof(bytes));
	client_close(&client);
	rig_close(rig);
}

static bool is_blocked(struct rig *rig, uint64_t index)
{
	return rig_life(rig, (uint32_t)index)->blocks > 0;
}

void a_slow_reader_loses_nothing_and_gets_nothing_twice(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){.send_buffer = 16384});
	struct client client = client_open(rig, 4096);
	struct client other = client_open(rig, 0);
	uint64_t left = (uint64_t)20 * RIG_BIG_BYTES;

	(void)state;
	client_say(&client, "BBBBBBBBBBBBBBBBBBBB");
	rig_await(rig, is_blocked, 0, "blocked is told");
	while (left > 0) {
		uint64_t some = left < 3001 ? left : 3001;

		client_hear_bytes(&client, some);
		left -= some;
		if (left % 64 == 0)
			client_talk(&other);
	}
	client_talk(&client);
	client_say(&client, "C");
	client_hear_text(&client, RIG_LAST);
	client_hear_end(&client);
	client_close(&client);
	client_close(&other);
	rig_close(rig);
}

static bool is_stuck(struct rig *rig, uint64_t index)
{
	return rig_life(rig, (uint32_t)index)->stuck;
}

/*
 * What the kernel had received already when the worker said HOLD may still be told: HELD_MOST is the bound, far below
 * what the client has on the way.
 */
#define HELD_MOST (1024 * 1024)
#define ON_THE_WAY ((size_t)8 * 1024 * 1024)

void a_client_that_is_held_is_not_received_from_until_it_is_released(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){0});
	struct client client = client_open(rig, 0);
	struct client other = client_open(rig, 0);
	size_t more;

	(void)state;
	client_talk(&client);
	client_say(&client, "H");
	rig_await(rig, is_stuck, 0, "the client is held");
	more = client_say_while_it_goes(&client, 'x', ON_THE_WAY);
	for (int i = 0; i < 50; i++) {
		client_talk(&other);
		more += client_say_while_it_goes(&client, 'x', ON_THE_WAY - more);
	}
	assert_true(more > 2 * HELD_MOST);
	assert_true(rig_life(rig, 0)->heard_held <= HELD_MOST);
	rig_do(rig, rig_order_release, rig_life(rig, 0));
	client_hear_lines(&client, 1);
	client_talk(&client);
	assert_true(rig_life(rig, 0)->digest == client.digest);
	client_close(&client);
	client_close(&other);
	rig_close(rig);
}

static bool is_held_and_blocked(struct rig *rig, uint64_t index)
{
	struct rig_life *life = rig_life(rig, (uint32_t)index);

	return life->held && life->blocked;
}

void a_client_that_does_not_read_is_held_and_goes_on_when_it_has_read(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){.send_buffer = 16384});
	struct client client = client_open(rig, 4096);

	(void)state;
	for (int round = 0; round < 3; round++) {
		size_t said;

		client_say(&client, "BBBBB");
		rig_await(rig, is_held_and_blocked, 0, "the client is held");
		said = client_say_while_it_goes(&client, 'y', ON_THE_WAY);
		assert_true(said > 0);
		client_hear_bytes(&client, (uint64_t)5 * RIG_BIG_BYTES);
		client_talk(&client);
		assert_int_equal(rig_life(rig, 0)->heard, client.said);
		assert_true(rig_life(rig, 0)->digest == client.digest);
	}
	assert_true(rig_life(rig, 0)->heard_held <= HELD_MOST);
	client_close(&client);
	rig_close(rig);
}

void unix_sockets_are_served_too(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){.at_unix = true});
	struct client clients[20];

	(void)state;
	for (int i = 0; i < 20; i++)
		clients[i] = client_open(rig, 0);
	for (int i = 0; i < 20; i++) {
		client_say(&clients[i], "a\nB");
		client_hear_lines(&clients[i], 1 + RIG_BIG_LINES);
		client_talk(&clients[i]);
	}
	client_shut(&clients[0]);
	client_hear_end(&clients[0]);
	client_say(&clients[1], "\nC and more");
	client_hear_lines(&clients[1], 1);
	client_hear_text(&clients[1], RIG_LAST);
	client_hear_end(&clients[1]);
	for (int i = 0; i < 20; i++)
		client_close(&clients[i]);
	rig_await(rig, rig_has_closed, 20, "all are closed");
	rig_close(rig);
}
