/* What is unanswered: order, room, being sent in pieces, being said again. */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "client/window.h"

#define LIMIT 4096
#define SLOTS 64

static struct mono at(uint64_t ns)
{
	return (struct mono){ns};
}

static void open_window(struct window *window)
{
	assert_int_equal(window_init(window, LIMIT, SLOTS), 0);
}

static void say(struct window *window, const char *text)
{
	assert_true(window_say(window, MESSAGE_ORDINARY, text, strlen(text), true));
	window_check(window);
}

static void assert_output(const struct window *window, bool one, const char *expected)
{
	size_t len;
	const char *output = window_output(window, one, &len);

	assert_int_equal(len, strlen(expected));
	assert_memory_equal(output, expected, len);
}

static void assert_oldest(const struct window *window, const char *expected, uint64_t number)
{
	const char *text;
	size_t len;
	const struct message *oldest = window_oldest(window, &text, &len);

	assert_non_null(oldest);
	assert_int_equal(oldest->number, number);
	assert_int_equal(len, strlen(expected));
	assert_memory_equal(text, expected, len);
}

static void test_replies_belong_to_the_oldest(void **state)
{
	struct window window;
	const char *text;
	size_t len;

	(void)state;
	open_window(&window);
	say(&window, "one");
	say(&window, "");
	say(&window, "three");
	assert_null(window_oldest(&window, &text, &len));
	assert_output(&window, false, "one\n\nthree\n");
	window_sent(&window, 11, at(5));
	assert_output(&window, false, "");
	assert_oldest(&window, "one", 1);
	window_answered(&window);
	assert_oldest(&window, "", 2);
	window_answered(&window);
	assert_oldest(&window, "three", 3);
	window_answered(&window);
	assert_null(window_oldest(&window, &text, &len));
	assert_int_equal(window.count, 0);
	window_check(&window);
	window_fini(&window);
}

static void test_owed_once_the_last_byte_is_sent(void **state)
{
	struct window window;
	const char *text;
	size_t len;

	(void)state;
	open_window(&window);
	say(&window, "ab");
	say(&window, "c");
	window_sent(&window, 1, at(1));
	window_sent(&window, 1, at(2));
	assert_null(window_oldest(&window, &text, &len));
	window_sent(&window, 2, at(3));
	assert_int_equal(window_oldest(&window, &text, &len)->at.ns, 3);
	assert_int_equal(window.owed, 1);
	window_check(&window);
	window_sent(&window, 1, at(4));
	assert_int_equal(window.owed, 2);
	window_answered(&window);
	assert_int_equal(window_oldest(&window, &text, &len)->at.ns, 4);
	window_fini(&window);
}

static void test_one_at_a_time(void **state)
{
	struct window window;

	(void)state;
	open_window(&window);
	assert_output(&window, true, "");
	assert_true(window_say(&window, MESSAGE_ORDINARY, "first", 5, false));
	assert_true(window_say(&window, MESSAGE_ORDINARY, "second", 6, false));
	assert_output(&window, true, "first");
	window_sent(&window, 2, at(1));
	assert_output(&window, true, "rst");
	window_sent(&window, 3, at(1));
	assert_output(&window, true, "");
	window_answered(&window);
	assert_output(&window, true, "second");
	window_check(&window);
	window_fini(&window);
}

static void test_room_is_bounded_and_keeps_a_reserve(void **state)
{
	char text[LIMIT] = {0};
	struct window window;

	(void)state;
	open_window(&window);
	assert_false(window_say(&window, MESSAGE_ORDINARY, text, LIMIT, true));
	assert_true(window_say(&window, MESSAGE_ORDINARY, text, LIMIT - 1, true));
	assert_false(window_has_room(&window, 0));
	assert_false(window_say(&window, MESSAGE_ORDINARY, "", 0, true));
	assert_false(window_say(&window, MESSAGE_HEARTBEAT, "ping", 4, true));
	assert_true(window_say_first(&window, MESSAGE_ID, text, 4096, true));
	assert_true(window_say_first(&window, MESSAGE_GREETING, text, 4096, true));
	assert_true(window_say(&window, MESSAGE_STOP, "stop", 4, true));
	window_check(&window);
	window_fini(&window);
}

static void test_slots_are_bounded_too(void **state)
{
	struct window window;
	uint32_t said = 0;

	(void)state;
	open_window(&window);
	while (window_say(&window, MESSAGE_ORDINARY, "", 0, true))
		said++;
	assert_int_equal(said, SLOTS - WINDOW_RESERVE_MESSAGES);
	for (int i = 0; i < WINDOW_RESERVE_MESSAGES; i++)
		assert_true(window_say(&window, MESSAGE_STOP, "stop", 4, true));
	assert_false(window_say(&window, MESSAGE_STOP, "stop", 4, true));
	window_check(&window);
	window_fini(&window);
}

/* Sends and answers at random, and compares with a model: the numbers still expected. */
static void test_any_course_keeps_the_order(void **state)
{
	struct window window;
	uint64_t next = 0, answered = 0;

	(void)state;
	srandom(7);
	open_window(&window);
	for (int step = 0; step < 200000; step++) {
		char text[600];
		size_t len;
		const char *oldest;

		switch (random() % 3) {
		case 0:
			memset(text, 'a' + (int)(next % 26), sizeof(text));
			if (window_say(&window, MESSAGE_ORDINARY, text, next * 7 % sizeof(text),
				       true))
				next++;
			break;
		case 1:
			window_output(&window, false, &len);
			window_sent(&window, len > 0 ? (size_t)random() % (len + 1) : 0, at(1));
			break;
		default:
			if (!window_oldest(&window, &oldest, &len))
				break;
			assert_int_equal(len, answered * 7 % sizeof(text));
			assert_true(len == 0 || oldest[len - 1] == 'a' + (int)(answered % 26));
			answered++;
			window_answered(&window);
		}
		window_check(&window);
	}
	assert_true(answered > 10000);
	window_fini(&window);
}

static void test_rewind_says_the_users_own_again(void **state)
{
	struct window window;

	(void)state;
	open_window(&window);
	assert_true(window_say_first(&window, MESSAGE_ID, "id me", 5, true));
	assert_true(window_say_first(&window, MESSAGE_GREETING, "hello", 5, true));
	say(&window, "answered");
	say(&window, "sent");
	assert_true(window_say(&window, MESSAGE_HEARTBEAT, "ping", 4, true));
	say(&window, "not sent");
	assert_output(&window, false, "hello\nid me\nanswered\nsent\nping\nnot sent\n");
	window_sent(&window, strlen("hello\nid me\nanswered\nsent\npin"), at(1));
	for (int i = 0; i < 3; i++)
		window_answered(&window);
	window_rewind(&window);
	window_check(&window);
	assert_output(&window, false, "sent\nnot sent\n");
	assert_true(window_say_first(&window, MESSAGE_ID, "id me", 5, true));
	assert_output(&window, false, "id me\nsent\nnot sent\n");
	window_check(&window);
	/* What was sent before keeps its number. */
	window_sent(&window, strlen("id me\nsent\n"), at(2));
	assert_oldest(&window, "id me", 5);
	window_answered(&window);
	assert_oldest(&window, "sent", 4);
	window_fini(&window);
}

static void test_rewind_forgets_what_belongs_to_the_connection_unsent_too(void **state)
{
	struct window window;

	(void)state;
	open_window(&window);
	assert_true(window_say_first(&window, MESSAGE_ID, "id me", 5, true));
	window_rewind(&window);
	assert_int_equal(window.count, 0);
	assert_int_equal(window.kinds[MESSAGE_ID], 0);
	assert_output(&window, false, "");
	window_check(&window);
	window_fini(&window);
}

static void test_dropping_spares_what_is_under_way(void **state)
{
	struct window window;

	(void)state;
	open_window(&window);
	say(&window, "one");
	say(&window, "two");
	say(&window, "three");
	window_sent(&window, 5, at(1));
	window_drop_unsent(&window);
	window_check(&window);
	assert_output(&window, false, "wo\n");
	assert_int_equal(window.count, 2);
	window_sent(&window, 3, at(1));
	say(&window, "four");
	window_drop_unsent(&window);
	window_check(&window);
	assert_output(&window, false, "");
	window_fini(&window);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replies_belong_to_the_oldest),
		cmocka_unit_test(test_owed_once_the_last_byte_is_sent),
		cmocka_unit_test(test_one_at_a_time),
		cmocka_unit_test(test_room_is_bounded_and_keeps_a_reserve),
		cmocka_unit_test(test_slots_are_bounded_too),
		cmocka_unit_test(test_any_course_keeps_the_order),
		cmocka_unit_test(test_rewind_says_the_users_own_again),
		cmocka_unit_test(test_rewind_forgets_what_belongs_to_the_connection_unsent_too),
		cmocka_unit_test(test_dropping_spares_what_is_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
