/*
 * UTF-8 against a plain decoder, and escaped text against what a person could read back from it. The first byte is the
 * size that is offered for the escaped text, where it is less than what is needed.
 */

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* By the bits, and then by what the standard forbids. */
static size_t plain_character(const uint8_t *byte, size_t len)
{
	static const uint32_t shortest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t all;

	if (len == 0)
		return 0;
	if (byte[0] < 0x80)
		return 1;
	if ((byte[0] & 0xe0) == 0xc0)
		all = 2;
	else if ((byte[0] & 0xf0) == 0xe0)
		all = 3;
	else if ((byte[0] & 0xf8) == 0xf0)
		all = 4;
	else
		return 0;
	if (len < all)
		return 0;
	uint32_t code = byte[0] & (0x7fu >> all);

	for (size_t i = 1; i < all; i++) {
		if ((byte[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (byte[i] & 0x3f);
	}
	if (code < shortest[all] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return all;
}

static int hex_of(char digit)
{
	const char *digits = "0123456789abcdef", *found = memchr(digits, digit, 16);

	assert(found != NULL);
	return (int)(found - digits);
}

/* Reads escaped text back. Returns how many bytes. */
static size_t unescape(uint8_t *bytes, const char *text, size_t len)
{
	static const char names[] = "nrt0\\", meant[] = "\n\r\t\0\\";
	size_t count = 0;

	for (size_t at = 0; at < len; at++) {
		if (text[at] != '\\') {
			bytes[count++] = (uint8_t)text[at];
			continue;
		}
		assert(at + 1 < len);
		at++;
		if (text[at] == 'x') {
			assert(at + 2 < len);
			bytes[count++] =
				(uint8_t)(hex_of(text[at + 1]) << 4 | hex_of(text[at + 2]));
			at += 2;
			continue;
		}
		const char *name = memchr(names, text[at], 5);

		assert(name != NULL);
		bytes[count++] = (uint8_t)meant[name - names];
	}
	return count;
}

static void check_characters(const uint8_t *data, size_t size)
{
	bool all_good = size > 0;

	for (size_t at = 0; at < size;) {
		size_t one = utf8_character((const char *)data + at, size - at);

		assert(one == plain_character(data + at, size - at));
		if (one == 0 || data[at] <= ' ' || data[at] == 0x7f)
			all_good = false;
		at += one > 0 ? one : 1;
	}
	if (utf8_is_printable_word((const char *)data, size))
		assert(all_good);
}

/* Spaces apart, all that is shown is visible. */
static void check_shown(const char *text, size_t len)
{
	for (size_t at = 0; at < len;) {
		size_t end = at;

		while (end < len && text[end] != ' ')
			end++;
		assert(end == at || utf8_is_printable_word(text + at, end - at));
		at = end + 1;
	}
}

static void check_escape(const uint8_t *data, size_t size, size_t offered)
{
	size_t room = 4 * size + 1;
	char *whole = malloc(room), *text = malloc(offered > 0 ? offered : 1);
	uint8_t *back = malloc(room);

	assert(whole != NULL && text != NULL && back != NULL);
	size_t all = utf8_escape(whole, room, (const char *)data, size);

	assert(strlen(whole) == all);
	check_shown(whole, all);
	assert(unescape(back, whole, all) == size);
	assert(memcmp(back, data, size) == 0);

	size_t len = utf8_escape(text, offered, (const char *)data, size);

	assert(offered == 0 ? len == 0 : len < offered && strlen(text) == len);
	check_shown(text, len);
	if (offered > all)
		assert(len == all && memcmp(text, whole, all) == 0);
	else if (len >= 3)
		assert(memcmp(text + len - 3, "...", 3) == 0 && memcmp(text, whole, len - 3) == 0);
	free(whole);
	free(text);
	free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	check_characters(data + 1, size - 1);
	check_escape(data + 1, size - 1, data[0]);
	return 0;
}
