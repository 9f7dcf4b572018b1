/* What is owed: given out in order from constant memory, wherever it is cut, and taken back. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/conversation.h"

#define LONGEST 65536

static _Alignas(uint32_t) char memory[2 * (WIRE_HEAD_BYTES + 4)];
static struct heads heads;

/* Owes `replies`, and says `final` after them. */
static struct conversation owing(enum framing framing, size_t replies, enum final final)
{
	static char lines[65536];
	struct conversation conversation;

	heads_init(&heads, memory, 2);
	conversation_init(&conversation, framing);
	memset(lines, '\n', sizeof(lines));
	while (replies > 0) {
		size_t now = framing == FRAMING_RAW    ? 1
			     : replies < sizeof(lines) ? replies
						       : sizeof(lines);

		conversation_hear(&conversation, &heads, lines, now, LONGEST, false);
		replies -= now;
	}
	if (final != FINAL_NONE)
		conversation_finish(&conversation, final);
	return conversation;
}

/* What `replies` and `final` come to, written out. The caller frees it. */
static char *written_out(enum framing framing, size_t replies, const char *final, size_t *len)
{
	const char *reply = framing == FRAMING_RAW ? "keep alive" : "keep alive\n";
	size_t one = strlen(reply);
	char *text = malloc(replies * one + strlen(final) + 1);

	assert_non_null(text);
	for (size_t i = 0; i < replies; i++)
		memcpy(text + i * one, reply, one);
	strcpy(text + replies * one, final);
	*len = replies * one + strlen(final);
	return text;
}

/* Compares what is given out with `text`, of which `left` bytes are owed. Returns how much was given out. */
static size_t check_output(const struct conversation *conversation, const char *text, size_t left)
{
	struct slice slices[WIRE_SLICES];
	size_t count = conversation_output(conversation, slices), at = 0;

	assert_true(count <= WIRE_SLICES);
	assert_int_equal(conversation_owes(conversation), left);
	for (size_t i = 0; i < count; i++) {
		assert_true(slices[i].len > 0 && slices[i].len <= left - at);
		assert_memory_equal(slices[i].bytes, text + at, slices[i].len);
		at += slices[i].len;
	}
	assert_true(at == left || count == WIRE_SLICES);
	return at;
}

static void check_taking(enum framing framing, size_t replies, enum final final,
			 const char *final_said, size_t take)
{
	struct conversation conversation = owing(framing, replies, final);
	size_t len, at = 0;
	char *text = written_out(framing, replies, final_said, &len);

	while (at < len) {
		size_t out = check_output(&conversation, text + at, len - at);
		size_t taken = out < take ? out : take;

		assert_true(taken > 0);
		conversation_sent(&conversation, taken);
		at += taken;
	}
	check_output(&conversation, text + at, 0);
	free(text);
}

static void taken_in_steps_of_every_size(void **state)
{
	(void)state;
	for (size_t take = 1; take <= 70; take++) {
		check_taking(FRAMING_LINE, 5, FINAL_STOP, "stop\n", take);
		check_taking(FRAMING_RAW, 5, FINAL_STOP, "stop", take);
		check_taking(FRAMING_LINE, 3, FINAL_NONE, "", take);
		check_taking(FRAMING_RAW, 3, FINAL_TOO_LONG, "error message too long", take);
		check_taking(FRAMING_LINE, 0, FINAL_RETRY, "retry 5\n", take);
	}
}

/* More than the constant block has, and more than all slices of it. */
static void more_than_a_block(void **state)
{
	static const size_t replies[] = {511, 512, 513, 1024, 4095, 4096, 4097, 10000};
	static const size_t takes[] = {997, 5632, 5631, 45055, 45056, SIZE_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		for (size_t j = 0; j < sizeof(takes) / sizeof(takes[0]); j++) {
			check_taking(FRAMING_LINE, replies[i], FINAL_STOP, "stop\n", takes[j]);
			check_taking(FRAMING_RAW, replies[i], FINAL_STOP, "stop", takes[j]);
		}
	}
}

/* Sent up to `at`, and taken back to every point before it. */
static void taken_back_at_every_split(void **state)
{
	(void)state;
	for (enum framing framing = FRAMING_LINE; framing <= FRAMING_RAW; framing++) {
		size_t len;
		char *text =
			written_out(framing, 3, framing == FRAMING_LINE ? "stop\n" : "stop", &len);

		for (size_t at = 0; at <= len; at++) {
			for (size_t back = 0; back <= at; back++) {
				struct conversation conversation = owing(framing, 3, FINAL_STOP);

				conversation_sent(&conversation, at);
				conversation_unsent(&conversation, back);
				check_output(&conversation, text + at - back, len - at + back);
			}
		}
		free(text);
	}
}

/* Between the sending and the taking back, more may be heard. */
static void more_is_owed_before_it_is_taken_back(void **state)
{
	struct conversation conversation = owing(FRAMING_LINE, 2, FINAL_NONE);
	size_t len;
	char *text = written_out(FRAMING_LINE, 5, "stop\n", &len);

	(void)state;
	conversation_sent(&conversation, 22);
	conversation_hear(&conversation, &heads, "a\nb\nc\nstop\n", 11, LONGEST, false);
	check_output(&conversation, text + 22, len - 22);
	conversation_unsent(&conversation, 15);
	check_output(&conversation, text + 7, len - 7);
	free(text);
}

static void the_first_last_text_stands(void **state)
{
	struct conversation conversation = owing(FRAMING_LINE, 1, FINAL_RETRY);

	(void)state;
	conversation_finish(&conversation, FINAL_STOP);
	check_output(&conversation, "keep alive\nretry 5\n", 19);
	conversation_hear(&conversation, &heads, "stop\nping\n", 10, LONGEST, false);
	conversation_end(&conversation, &heads);
	check_output(&conversation, "keep alive\nretry 5\n", 19);
}

/* Nothing was said yet, so nobody knows the framing: it is said as in line. */
static void a_last_text_before_framing_is_decided(void **state)
{
	struct conversation conversation = owing(FRAMING_AUTO, 0, FINAL_STOP);

	(void)state;
	check_output(&conversation, "stop\n", 5);
	conversation_hear(&conversation, &heads, "ping", 4, LONGEST, false);
	check_output(&conversation, "stop\n", 5);
	conversation_sent(&conversation, 5);
	check_output(&conversation, "", 0);
	conversation_unsent(&conversation, 2);
	check_output(&conversation, "p\n", 2);
}

/* A client that only half-closed is told `stop` when the server drains. */
static void a_last_text_after_the_end(void **state)
{
	struct conversation conversation = owing(FRAMING_LINE, 1, FINAL_NONE);

	(void)state;
	conversation_end(&conversation, &heads);
	conversation_finish(&conversation, FINAL_STOP);
	check_output(&conversation, "keep alive\nstop\n", 16);
}

/* The line that had begun when the server said its last text is not heard any more, but what it spells counts. */
static void an_unfinished_line_when_the_server_finishes(void **state)
{
	struct conversation conversation = owing(FRAMING_LINE, 0, FINAL_NONE);

	(void)state;
	conversation_hear(&conversation, &heads, "stop", 4, LONGEST, false);
	conversation_finish(&conversation, FINAL_RETRY);
	assert_true(conversation_spells_stop(&conversation, &heads));
	struct hearing hearing = conversation_end(&conversation, &heads);

	assert_int_equal(hearing.what, HEARD_ALL);
	assert_int_equal(hearing.messages, 0);
	check_output(&conversation, "retry 5\n", 8);
	assert_true(conversation_spells_stop(&conversation, &heads));
	conversation_fini(&conversation, &heads);
	assert_int_equal(heads.taken, 0);
}

static void an_id_that_is_refused(void **state)
{
	struct conversation conversation = owing(FRAMING_LINE, 0, FINAL_NONE);
	struct hearing hearing =
		conversation_hear(&conversation, &heads, "a\nid \nb\n", 8, LONGEST, false);

	(void)state;
	assert_int_equal(hearing.what, HEARD_ID);
	assert_int_equal(hearing.messages, 2);
	assert_int_equal(hearing.used, 6);
	assert_int_equal(hearing.len, 3);
	assert_memory_equal(hearing.text, "id ", 3);
	conversation_finish(&conversation, FINAL_ID_KEY);
	hearing = conversation_hear(&conversation, &heads, "b\n", 2, LONGEST, false);
	assert_int_equal(hearing.what, HEARD_ALL);
	assert_int_equal(hearing.messages, 0);
	assert_int_equal(hearing.used, 2);
	check_output(&conversation, "keep alive\nkeep alive\nerror id: wrong key\n", 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(taken_in_steps_of_every_size),
		cmocka_unit_test(more_than_a_block),
		cmocka_unit_test(taken_back_at_every_split),
		cmocka_unit_test(more_is_owed_before_it_is_taken_back),
		cmocka_unit_test(the_first_last_text_stands),
		cmocka_unit_test(a_last_text_before_framing_is_decided),
		cmocka_unit_test(a_last_text_after_the_end),
		cmocka_unit_test(an_unfinished_line_when_the_server_finishes),
		cmocka_unit_test(an_id_that_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
