/* UTF-8 as it comes from strangers: what is well-formed, what can be seen, and how to show the rest. */

#include "base/utf8.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

struct range {
	uint32_t first, last;
};

/*
 * What leaves nothing to see, or changes how its neighbours are seen: controls, spaces, fillers, joiners, marks of
 * direction, variation selectors, and tags. In order.
 */
static const struct range invisible[] = {
	{0x0000, 0x0020},   {0x007f, 0x00a0},	{0x00ad, 0x00ad},   {0x034f, 0x034f},
	{0x061c, 0x061c},   {0x115f, 0x1160},	{0x1680, 0x1680},   {0x17b4, 0x17b5},
	{0x180b, 0x180f},   {0x2000, 0x200f},	{0x2028, 0x202f},   {0x205f, 0x206f},
	{0x2800, 0x2800},   {0x3000, 0x3000},	{0x3164, 0x3164},   {0xfdd0, 0xfdef},
	{0xfe00, 0xfe0f},   {0xfeff, 0xfeff},	{0xffa0, 0xffa0},   {0xfff0, 0xfffb},
	{0x13430, 0x1345f}, {0x1bca0, 0x1bca3}, {0x1d159, 0x1d159}, {0x1d173, 0x1d17a},
	{0xe0000, 0xe0fff},
};
#define INVISIBLE (sizeof(invisible) / sizeof(invisible[0]))

static bool is_between(unsigned char byte, unsigned char first, unsigned char last)
{
	return byte >= first && byte <= last;
}

/*
 * The Unicode standard's table of well-formed byte sequences. Only the second byte's range depends on the first: that
 * is where overlong forms, surrogates and what lies beyond U+10FFFF are.
 */
static size_t length_of(unsigned char first, unsigned char second)
{
	if (is_between(first, 0xc2, 0xdf))
		return is_between(second, 0x80, 0xbf) ? 2 : 0;
	if (is_between(first, 0xe0, 0xef))
		return is_between(second, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf)
			       ? 3
			       : 0;
	if (is_between(first, 0xf0, 0xf4))
		return is_between(second, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf)
			       ? 4
			       : 0;
	return 0;
}

size_t utf8_character(const char *bytes, size_t len)
{
	const unsigned char *byte = (const unsigned char *)bytes;

	if (len == 0)
		return 0;
	if (byte[0] < 0x80)
		return 1;
	size_t all = len < 2 ? 0 : length_of(byte[0], byte[1]);

	if (all > len)
		return 0;
	for (size_t i = 2; i < all; i++)
		if (!is_between(byte[i], 0x80, 0xbf))
			return 0;
	return all;
}

static uint32_t code_of(const char *bytes, size_t len)
{
	static const unsigned char first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t code = (unsigned char)bytes[0] & first_bits[len];

	for (size_t i = 1; i < len; i++)
		code = code << 6 | ((unsigned char)bytes[i] & 0x3f);
	return code;
}

static bool is_visible(uint32_t code)
{
	size_t low = 0, high = INVISIBLE;

	/* The last two of every plane are no characters. */
	if ((code & 0xfffe) == 0xfffe)
		return false;
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (code > invisible[middle].last)
			low = middle + 1;
		else if (code < invisible[middle].first)
			high = middle;
		else
			return false;
	}
	return true;
}

bool utf8_is_printable_word(const char *bytes, size_t len)
{
	for (size_t at = 0; at < len;) {
		size_t one = utf8_character(bytes + at, len - at);

		if (one == 0 || !is_visible(code_of(bytes + at, one)))
			return false;
		at += one;
	}
	return len > 0;
}

#define UNIT_MAX 4 /* the longest character, and the longest escape */

/* Writes one character or escaped byte, and says in `taken` how many bytes it stands for. Returns its length. */
static size_t escape_one(char unit[UNIT_MAX], const char *bytes, size_t len, size_t *taken)
{
	static const char names[] = "n\nr\rt\t0\0\\\\";
	static const char hex[] = "0123456789abcdef";
	size_t one = utf8_character(bytes, len);

	*taken = one;
	if (one > 0 && bytes[0] != '\\' && (bytes[0] == ' ' || is_visible(code_of(bytes, one)))) {
		memcpy(unit, bytes, one);
		return one;
	}
	*taken = 1;
	unit[0] = '\\';
	for (size_t i = 0; i + 1 < sizeof(names) - 1; i += 2) {
		if (names[i + 1] == bytes[0]) {
			unit[1] = names[i];
			return 2;
		}
	}
	unit[1] = 'x';
	unit[2] = hex[(unsigned char)bytes[0] >> 4];
	unit[3] = hex[(unsigned char)bytes[0] & 15];
	return 4;
}

size_t utf8_escape(char *text, size_t size, const char *bytes, size_t len)
{
	static const char dots[] = "...";
	size_t written = 0, with_dots = 0;

	if (size == 0)
		return 0;
	for (size_t at = 0, taken; at < len; at += taken) {
		char unit[UNIT_MAX];
		size_t unit_len = escape_one(unit, bytes + at, len - at, &taken);

		if (written + unit_len >= size) {
			size_t room = size - 1 - with_dots;
			size_t dots_len = room < 3 ? room : 3;

			memcpy(text + with_dots, dots, dots_len);
			written = with_dots + dots_len;
			break;
		}
		memcpy(text + written, unit, unit_len);
		written += unit_len;
		/* The last place from where the dots would still fit. */
		if (written + 3 < size)
			with_dots = written;
	}
	text[written] = '\0';
	return written;
}
