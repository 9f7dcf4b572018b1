/* Replies in every way that TCP can cut them, and every way in which they can be wrong. */

#include "load/expectation.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static struct expectation expecting(const char *text)
{
	struct expectation expectation;

	assert_int_equal(expectation_init(&expectation, text, strlen(text)), 0);
	return expectation;
}

/* Feeds `stream` in the pieces that the bits of `cuts` say: bit i set means a cut after byte i. */
static struct match feed(const struct expectation *expectation, uint64_t owed, const char *stream,
			 size_t len, uint32_t cuts)
{
	struct match all = {0};
	struct progress progress = {0};
	size_t from = 0;

	for (size_t i = 0; i < len; i++) {
		struct match match;

		if (!(cuts >> i & 1) && i + 1 < len)
			continue;
		match = expectation_match(expectation, &progress, owed - all.replies, stream + from,
					  i + 1 - from);
		all.replies += match.replies;
		all.surplus += match.surplus;
		if (match.wrong || match.surplus > 0) {
			all.wrong = match.wrong;
			return all;
		}
		from = i + 1;
	}
	return all;
}

static void every_cut_is_the_same(void **state)
{
	static const char stream[] = "alive\nalive\nali";
	struct expectation expectation = expecting("alive\n");

	(void)state;
	for (uint32_t cuts = 0; cuts < 1u << (sizeof(stream) - 2); cuts++) {
		struct match match = feed(&expectation, 3, stream, sizeof(stream) - 1, cuts);

		assert_int_equal(match.replies, 2);
		assert_int_equal(match.surplus, 0);
		assert_false(match.wrong);
	}
	expectation_fini(&expectation);
}

static void each_wrong_byte_is_seen_however_cut(void **state)
{
	struct expectation expectation = expecting("ok.\n");

	(void)state;
	for (size_t at = 0; at < 12; at++) {
		char stream[] = "ok.\nok.\nok.\n";

		stream[at] ^= 1;
		for (uint32_t cuts = 0; cuts < 1u << 11; cuts++) {
			struct match match = feed(&expectation, 3, stream, 12, cuts);

			assert_true(match.wrong);
			assert_true(match.replies <= at / 4);
		}
	}
	expectation_fini(&expectation);
}

static void surplus_is_seen_however_cut(void **state)
{
	static const char stream[] = "ok\nok\nok\nok";
	struct expectation expectation = expecting("ok\n");

	(void)state;
	for (uint32_t cuts = 0; cuts < 1u << 10; cuts++) {
		struct match match = feed(&expectation, 2, stream, sizeof(stream) - 1, cuts);

		assert_int_equal(match.replies, 2);
		assert_true(match.surplus >= 1);
		assert_false(match.wrong);
	}
	expectation_fini(&expectation);
}

/* "PING" and "PONG" begin alike, so the first byte of either may be the last one of a receive. */
static void asides_are_skipped_however_cut(void **state)
{
	static const char stream[] = "PING\nPONG\nPING\nPING\nP", alone[] = "PING\nPING\n";
	struct expectation expectation = expecting("PONG\n");

	(void)state;
	assert_int_equal(expectation_ignore(&expectation, "PING\n", 5), 0);
	for (uint32_t cuts = 0; cuts < 1u << (sizeof(stream) - 2); cuts += 7) {
		struct match match = feed(&expectation, 2, stream, sizeof(stream) - 1, cuts);

		assert_int_equal(match.replies, 1);
		assert_int_equal(match.surplus, 0);
		assert_false(match.wrong);
	}
	/* Also where nothing is owed. */
	for (uint32_t cuts = 0; cuts < 1u << (sizeof(alone) - 2); cuts++) {
		struct match match = feed(&expectation, 0, alone, sizeof(alone) - 1, cuts);

		assert_int_equal(match.replies + match.surplus, 0);
		assert_false(match.wrong);
	}
	expectation_fini(&expectation);
}

static void what_is_no_aside_is_wrong_however_cut(void **state)
{
	static const char *const streams[] = {"PING\nPUNG\n", "PONG\nPINK\n", "PING\nPOING",
					      "PONPING\n\n", "PONG\nPIPIN"};
	struct expectation expectation = expecting("PONG\n");

	(void)state;
	assert_int_equal(expectation_ignore(&expectation, "PING\n", 5), 0);
	for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
		for (uint32_t cuts = 0; cuts < 1u << (strlen(streams[i]) - 1); cuts++)
			assert_true(
				feed(&expectation, 2, streams[i], strlen(streams[i]), cuts).wrong);
	}
	expectation_fini(&expectation);
}

static void nothing_owed_is_all_surplus(void **state)
{
	struct expectation expectation = expecting("ok\n");
	struct progress progress = {0};
	struct match match = expectation_match(&expectation, &progress, 0, "ok\n", 3);

	(void)state;
	assert_int_equal(match.replies, 0);
	assert_int_equal(match.surplus, 3);
	assert_int_equal(progress.position, 0);
	expectation_fini(&expectation);
}

static void any_bytes_of_a_length(void **state)
{
	struct expectation expectation;
	struct progress progress = {0};
	struct match match;

	(void)state;
	assert_int_equal(expectation_init(&expectation, NULL, 4), 0);
	match = expectation_match(&expectation, &progress, 3, "abcdefghi", 9);
	assert_int_equal(match.replies, 2);
	match = expectation_match(&expectation, &progress, 1, "jkl", 3);
	assert_int_equal(match.replies, 1);
	match = expectation_match(&expectation, &progress, 0, "m", 1);
	assert_int_equal(match.surplus, 1);
	expectation_fini(&expectation);
}

static void a_full_read_at_every_position(void **state)
{
	static char stream[EXPECTATION_READ_MAX + 16];
	struct expectation expectation = expecting("keep alive\n");

	(void)state;
	for (size_t i = 0; i < sizeof(stream); i++)
		stream[i] = "keep alive\n"[i % 11];
	for (uint32_t from = 0; from < 11; from++) {
		struct progress progress = {.position = from};
		struct match match = expectation_match(&expectation, &progress, 100000,
						       stream + from, EXPECTATION_READ_MAX);

		assert_false(match.wrong);
		assert_int_equal(match.replies, (from + EXPECTATION_READ_MAX) / 11);
		assert_int_equal(progress.position, (from + EXPECTATION_READ_MAX) % 11);
	}
	expectation_fini(&expectation);
}

static void a_reply_may_be_longer_than_a_read(void **state)
{
	enum {
		LEN = 3 * EXPECTATION_READ_MAX + 5
	};
	char *reply = malloc(LEN);
	struct expectation expectation;
	struct progress progress = {0};
	size_t at = 0, replies = 0;

	(void)state;
	for (size_t i = 0; i < LEN; i++)
		reply[i] = (char)(i * 7 + i / 251);
	assert_int_equal(expectation_init(&expectation, reply, LEN), 0);
	while (at < LEN) {
		size_t len = LEN - at < EXPECTATION_READ_MAX ? LEN - at : EXPECTATION_READ_MAX;
		struct match match = expectation_match(&expectation, &progress, 1, reply + at, len);

		assert_false(match.wrong);
		replies += match.replies;
		at += len;
	}
	assert_int_equal(replies, 1);
	expectation_fini(&expectation);
	assert_int_equal(expectation_init(&expectation, reply, EXPECTATION_REPLY_MAX + 1),
			 -EMSGSIZE);
	free(reply);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cut_is_the_same),
		cmocka_unit_test(each_wrong_byte_is_seen_however_cut),
		cmocka_unit_test(surplus_is_seen_however_cut),
		cmocka_unit_test(asides_are_skipped_however_cut),
		cmocka_unit_test(what_is_no_aside_is_wrong_however_cut),
		cmocka_unit_test(nothing_owed_is_all_surplus),
		cmocka_unit_test(any_bytes_of_a_length),
		cmocka_unit_test(a_full_read_at_every_position),
		cmocka_unit_test(a_reply_may_be_longer_than_a_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
