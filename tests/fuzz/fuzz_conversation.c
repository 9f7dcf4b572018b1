/*
 * A conversation against the slow reading of the specification. The fuzzer chooses framing, limit, bytes, how they come
 * apart and how the output is taken:
 *
 *     framing and end | limit | take | give back | pieces...
 *
 * A piece is its length and its bytes, up to PIECE_MAX; a greater length is a run of one byte, so that a few bytes of
 * input reach the lengths where heads are full and messages too long.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/wire/transcript.h"

#define PIECE_MAX 239
#define RUN_BYTES 509
#define BYTES_MAX 30000
#define PIECES_MAX 1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char bytes[BYTES_MAX];
static size_t pieces[PIECES_MAX];

static const size_t limits[] = {65536, 0,   1,	 2,    3,    4,	   5,	 8,	  9,
				64,    508, 509, 1023, 1024, 1025, 4096, SIZE_MAX};

/* Appends the piece at the beginning of `data`. Returns how much of `data` it took. */
static size_t add_piece(struct script *script, size_t *at, const uint8_t *data, size_t size)
{
	size_t told = data[0], left = size - 1;
	size_t len = told <= PIECE_MAX ? told : (told - PIECE_MAX) * RUN_BYTES;

	if (told <= PIECE_MAX && len > left)
		len = left;
	if (len > BYTES_MAX - *at)
		len = BYTES_MAX - *at;
	if (told <= PIECE_MAX)
		memcpy(bytes + *at, data + 1, len);
	else
		memset(bytes + *at, left > 0 ? data[1] : 'x', len);
	*at += len;
	pieces[script->count++] = len;
	return 1 + (told <= PIECE_MAX ? len : left > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script script = {.bytes = bytes, .pieces = pieces};
	size_t at = 0;

	if (size < 4)
		return 0;
	script.framing = (enum framing)(data[0] % 3);
	script.ends = data[0] & 0x80;
	script.longest = limits[data[1] % (sizeof(limits) / sizeof(limits[0]))];
	script.take = data[2] == 255 ? SIZE_MAX : data[2];
	script.give_back = data[3];
	for (size_t used = 4; used < size && script.count < PIECES_MAX;)
		used += add_piece(&script, &at, data + used, size - used);

	const char *fault = transcript_check(&script);

	if (fault != NULL) {
		fprintf(stderr, "%s\n", fault);
		abort();
	}
	return 0;
}
