/* UTF-8: what is well-formed, what can be seen, what is escaped. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

/* Writes a character by the rule of the standard, or what would be one for a code that is none. */
static size_t encode(char bytes[4], uint32_t code, size_t len)
{
	static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};

	if (len == 1) {
		bytes[0] = (char)code;
		return 1;
	}
	for (size_t i = len - 1; i > 0; i--, code >>= 6)
		bytes[i] = (char)(0x80 | (code & 0x3f));
	bytes[0] = (char)(first[len] | code);
	return len;
}

static size_t shortest(uint32_t code)
{
	return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

/* Every code there is and every one that is not, in its shortest form and in longer ones; whole and cut short. */
static void every_code_in_every_form(void **state)
{
	(void)state;
	for (uint32_t code = 0; code < 0x200000; code++) {
		bool exists = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);

		for (size_t len = shortest(code); len <= 4; len++) {
			char bytes[4];

			encode(bytes, code, len);
			size_t right = exists && len == shortest(code) ? len : 0;

			if (utf8_character(bytes, len) != right)
				fail_msg("U+%04X in %zu bytes", code, len);
			for (size_t cut = 0; cut < len; cut++)
				if (utf8_character(bytes, cut) != 0)
					fail_msg("U+%04X cut to %zu bytes", code, cut);
		}
	}
}

/* Any other byte in the place of one that follows. */
static void bytes_that_do_not_follow(void **state)
{
	static const char *const characters[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x92\x93"};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		size_t len = strlen(characters[i]);

		for (size_t at = 1; at < len; at++) {
			for (int byte = 0; byte < 256; byte++) {
				char bytes[4];

				memcpy(bytes, characters[i], len);
				bytes[at] = (char)byte;
				/* No second byte is too low or too high here: these are not at a border. */
				bool follows = (byte & 0xc0) == 0x80 &&
					       !(len == 4 && at == 1 && byte < 0x90);

				assert_int_equal(utf8_character(bytes, len), follows ? len : 0);
			}
		}
	}
}

static void first_bytes_that_begin_nothing(void **state)
{
	(void)state;
	for (int byte = 0x80; byte < 0x100; byte++) {
		char bytes[4] = {(char)byte, '\x80', '\x80', '\x80'};

		if (byte < 0xc2 || byte > 0xf4)
			assert_int_equal(utf8_character(bytes, 4), 0);
		assert_int_equal(utf8_character(bytes, 1), 0);
	}
}

static void check_word(const char *text, bool right)
{
	if (utf8_is_printable_word(text, strlen(text)) != right)
		fail_msg("\"%s\" is %sa printable word", text, right ? "" : "not ");
}

static void words(void **state)
{
	static const char *const good[] = {
		"pump-7",
		"a",
		"~",
		"!",
		"\"\\'",
		"Größe",
		"パンプ",
		"насос",
		"مضخة",
		"💓",
		"\xc2\xa1",
		"e\xcc\x81",
		"\xef\xbf\xbd",
		"\xe2\x80\x90",
		"\xe2\x80\xb0",
		"\xe2\x81\xb0",
		"\xe3\x80\x81",
		"\xf3\xa1\x80\x80",
	};
	static const char *const bad[] = {
		"",
		" ",
		"a b",
		"a\t",
		"a\n",
		"\x7f",
		"\x1b[31m",
		"\x80",
		"a\xff",
		"\xc2\x80",
		"\xc2\x9b",
		"\xc2\xa0",
		"a\xc2\xadz",
		"\xcd\x8f",
		"\xd8\x9c",
		"\xe1\x85\x9f",
		"\xe1\x9a\x80",
		"\xe1\xa0\x8e",
		"\xe2\x80\x80",
		"\xe2\x80\x8b",
		"\xe2\x80\x8d",
		"\xe2\x80\x8e",
		"\xe2\x80\x8f",
		"\xe2\x80\xa8",
		"\xe2\x80\xae",
		"\xe2\x80\xaf",
		"\xe2\x81\x9f",
		"\xe2\x81\xa0",
		"\xe2\x81\xa6",
		"\xe2\x81\xa9",
		"\xe2\x81\xaf",
		"\xe2\xa0\x80",
		"\xe3\x80\x80",
		"\xe3\x85\xa4",
		"\xef\xb7\x90",
		"\xef\xb8\x8f",
		"\xef\xbb\xbf",
		"\xef\xbe\xa0",
		"\xef\xbf\xb9",
		"\xef\xbf\xbe",
		"\xef\xbf\xbf",
		"\xf0\x9f\xbf\xbe",
		"\xf3\xa0\x80\xa1",
		"\xf4\x8f\xbf\xbf",
		"\xed\xa0\x80",
		"\xc0\xaf",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		check_word(good[i], true);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_word(bad[i], false);
	assert_false(utf8_is_printable_word("a\0b", 3));
	assert_true(utf8_is_printable_word("a\0b", 1));
	assert_false(utf8_is_printable_word("\xc3\xa9", 1));
}

static void check_escape(const char *bytes, size_t len, const char *right)
{
	char text[100];
	size_t written = utf8_escape(text, sizeof(text), bytes, len);

	assert_string_equal(text, right);
	assert_int_equal(written, strlen(right));
}

static void escapes(void **state)
{
	(void)state;
	check_escape("", 0, "");
	check_escape(NULL, 0, "");
	check_escape("Hello Server!", 13, "Hello Server!");
	check_escape("a\nb\rc\td\0e\\f", 11, "a\\nb\\rc\\td\\0e\\\\f");
	check_escape("\x1b[31m\x7f", 6, "\\x1b[31m\\x7f");
	check_escape("Größe 💓", 12, "Größe 💓");
	check_escape("\xff\xfe\xc3", 3, "\\xff\\xfe\\xc3");
	check_escape("\xe2\x80\xae"
		     "abc",
		     6, "\\xe2\\x80\\xaeabc");
	check_escape("\xc2\xa0", 2, "\\xc2\\xa0");
	check_escape("\xe2\x82", 2, "\\xe2\\x82");
	check_escape("\xe2\x82"
		     "a",
		     3, "\\xe2\\x82a");
}

/* In every size: never beyond it, ended, with dots where it did not fit, never with half an escape or character. */
static void escapes_in_every_size(void **state)
{
	static const char *const inputs[] = {
		"abcdefgh", "ab\ncd\x01", "\x01\x02\x03", "é€💓é", "a💓",
		"💓💓",	    "\\\\\\\\\\", "abc",	  "\xff", "",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
		char whole[100];
		size_t all = utf8_escape(whole, sizeof(whole), inputs[i], strlen(inputs[i]));

		for (size_t size = 0; size <= all + 2; size++) {
			char text[100];

			memset(text, '#', sizeof(text));
			size_t len = utf8_escape(text, size, inputs[i], strlen(inputs[i]));

			for (size_t at = size; at < sizeof(text); at++)
				assert_int_equal(text[at], '#');
			if (size == 0) {
				assert_int_equal(len, 0);
				continue;
			}
			assert_true(len < size);
			assert_int_equal(strlen(text), len);
			if (size > all) {
				assert_string_equal(text, whole);
				continue;
			}
			size_t dots = size - 1 < 3 ? size - 1 : 3;

			assert_true(len >= dots);
			assert_memory_equal(text + len - dots, "...", dots);
			assert_memory_equal(text, whole, len - dots);
			/* As much as fits: what was left out is no longer than one unit and the dots. */
			assert_true(size - 1 - len < 4);
			assert_true(len == dots || (text[len - dots - 1] & 0xc0) != 0xc0);
		}
	}
}

/* What is cut ends with a whole unit. */
static void cut_between_units(void **state)
{
	char text[12];

	(void)state;
	utf8_escape(text, 8, "a\x01\x02", 3);
	assert_string_equal(text, "a...");
	utf8_escape(text, 9, "a\x01\x02", 3);
	assert_string_equal(text, "a\\x01...");
	utf8_escape(text, 10, "a\x01\x02", 3);
	assert_string_equal(text, "a\\x01\\x02");
	utf8_escape(text, 8, "💓💓", 8);
	assert_string_equal(text, "💓...");
	utf8_escape(text, 7, "💓💓", 8);
	assert_string_equal(text, "...");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_in_every_form),
		cmocka_unit_test(bytes_that_do_not_follow),
		cmocka_unit_test(first_bytes_that_begin_nothing),
		cmocka_unit_test(words),
		cmocka_unit_test(escapes),
		cmocka_unit_test(escapes_in_every_size),
		cmocka_unit_test(cut_between_units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
