/* Ways to cut a stream, and a failure that a person can read. */

#include "cuts.h"

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/utf8.h"

static void fail_of(const struct script *script, const char *fault)
{
	size_t at = 0;

	print_error(
		"%s\n  framing %d, longest %zu, ends %d, takes %zu, gives back %zu, receives:\n",
		fault, script->framing, script->longest, script->ends, script->take,
		script->give_back);
	for (size_t i = 0; i < script->count && i < 100; i++) {
		char text[200];

		utf8_escape(text, sizeof(text), script->bytes + at, script->pieces[i]);
		print_error("  %5zu \"%s\"\n", script->pieces[i], text);
		at += script->pieces[i];
	}
	fail();
}

void cuts_check(const struct script *script)
{
	const char *fault = transcript_check(script);

	if (fault != NULL)
		fail_of(script, fault);
}

/* Cuts at `places`, which are in order; one place twice gives a receive of nothing between. */
static void check_at(struct script script, size_t len, const size_t *places, size_t count)
{
	size_t pieces[8], begin = 0;

	assert(count < sizeof(pieces) / sizeof(pieces[0]));
	for (size_t i = 0; i < count; i++) {
		pieces[i] = places[i] - begin;
		begin = places[i];
	}
	pieces[count] = len - begin;
	script.pieces = pieces;
	script.count = count + 1;
	cuts_check(&script);
}

void cuts_check_every(struct script script, size_t len)
{
	size_t pieces[CUTS_EVERY_MAX + 1];

	assert(len <= CUTS_EVERY_MAX);
	script.pieces = pieces;
	for (uint32_t set = 0; set < (UINT32_C(1) << (len > 0 ? len - 1 : 0)); set++) {
		script.count = 0;
		size_t begin = 0;

		for (size_t at = 1; at <= len; at++) {
			if (at < len && (set >> (at - 1) & 1) == 0)
				continue;
			pieces[script.count++] = at - begin;
			begin = at;
		}
		cuts_check(&script);
	}
}

void cuts_check_single(struct script script, size_t len)
{
	for (size_t a = 0; a <= len; a++)
		check_at(script, len, &a, 1);
}

void cuts_check_pairs(struct script script, size_t len, size_t far)
{
	for (size_t a = 0; a <= len && a <= far; a++)
		for (size_t b = a; b <= len; b++)
			check_at(script, len, (size_t[]){a, b}, 2);
}

void cuts_check_triples(struct script script, size_t len)
{
	for (size_t a = 0; a <= len; a++)
		for (size_t b = a; b <= len; b++)
			for (size_t c = b; c <= len; c++)
				check_at(script, len, (size_t[]){a, b, c}, 3);
}

void cuts_check_extremes(struct script script, size_t len)
{
	size_t *pieces = calloc(len + 1, sizeof(*pieces));

	assert_non_null(pieces);
	script.pieces = pieces;
	pieces[0] = len;
	script.count = 1;
	cuts_check(&script);
	for (size_t i = 0; i < len; i++)
		pieces[i] = 1;
	script.count = len;
	cuts_check(&script);
	free(pieces);
}
