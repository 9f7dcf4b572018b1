/* Input parted into messages, however it is read. */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "client/words.h"

#define LONGEST 16

static char found[256];

static enum word take_all(struct words *words)
{
	const char *text;
	size_t len;
	enum word word;

	while ((word = words_take(words, &text, &len)) == WORD_TAKEN)
		snprintf(found + strlen(found), sizeof(found) - strlen(found), "%.*s|", (int)len,
			 text);
	return word;
}

static void read_some(struct words *words, const char *bytes, size_t len)
{
	size_t room;
	char *to = words_room(words, &room);

	assert_true(room >= len);
	memcpy(to, bytes, len);
	words_filled(words, len);
}

static void check_cuts(enum framing framing, const char *input, const char *expected)
{
	size_t len = strlen(input);

	for (size_t first = 0; first <= len; first++)
		for (size_t second = first; second <= len; second++) {
			struct words words;

			found[0] = '\0';
			assert_int_equal(words_init(&words, framing, LONGEST), 0);
			read_some(&words, input, first);
			assert_int_equal(take_all(&words), WORD_NONE);
			read_some(&words, input + first, second - first);
			assert_int_equal(take_all(&words), WORD_NONE);
			read_some(&words, input + second, len - second);
			assert_int_equal(take_all(&words), WORD_NONE);
			words_end(&words);
			assert_int_equal(take_all(&words), WORD_NONE);
			assert_string_equal(found, expected);
			words_fini(&words);
		}
}

static void test_lines(void **state)
{
	(void)state;
	check_cuts(FRAMING_LINE, "", "");
	check_cuts(FRAMING_LINE, "\n", "|");
	check_cuts(FRAMING_LINE, "a b\n\n c \r\nd", "a b|| c \r|d|");
	check_cuts(FRAMING_LINE, "exactly16byteson\n", "exactly16byteson|");
}

static void test_words(void **state)
{
	(void)state;
	check_cuts(FRAMING_RAW, "", "");
	check_cuts(FRAMING_RAW, " \n\t ", "");
	check_cuts(FRAMING_RAW, "  one two\r\n\nthree\t4 ", "one|two|three|4|");
	check_cuts(FRAMING_RAW, "exactly16byteson", "exactly16byteson|");
}

static void test_too_long(void **state)
{
	static const enum framing framings[] = {FRAMING_LINE, FRAMING_RAW};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct words words;

		found[0] = '\0';
		assert_int_equal(words_init(&words, framings[i], LONGEST), 0);
		read_some(&words, "ok\n12345678901234567\n", 21);
		assert_int_equal(take_all(&words), WORD_TOO_LONG);
		assert_string_equal(found, "ok|");
		assert_int_equal(take_all(&words), WORD_TOO_LONG);
		words_fini(&words);
	}
}

static void test_reading_never_finds_no_room(void **state)
{
	struct words words;
	size_t total = 0, taken = 0;

	(void)state;
	assert_int_equal(words_init(&words, FRAMING_LINE, LONGEST), 0);
	for (int i = 0; i < 5000; i++) {
		const char *text;
		size_t len, room;
		char *to = words_room(&words, &room);
		size_t some = (size_t)i * 37 % 5000 + 1;

		assert_true(room > 0);
		some = some < room ? some : room;
		for (size_t at = 0; at < some; at++)
			to[at] = (total + at) % 12 == 11 ? '\n' : 'x';
		total += some;
		words_filled(&words, some);
		while (words_take(&words, &text, &len) == WORD_TAKEN) {
			assert_int_equal(len, 11);
			taken++;
		}
	}
	assert_int_equal(taken, total / 12);
	words_fini(&words);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_reading_never_finds_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
