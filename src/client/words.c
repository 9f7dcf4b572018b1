/* Parts input. Says nothing to anyone. */

#include "client/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What is read at once, at least. */
#define CHUNK 65536

int words_init(struct words *words, enum framing framing, size_t longest)
{
	*words =
		(struct words){.framing = framing, .longest = longest, .size = 2 * longest + CHUNK};
	words->bytes = malloc(words->size);
	return words->bytes ? 0 : -ENOMEM;
}

void words_fini(struct words *words)
{
	free(words->bytes);
	*words = (struct words){0};
}

/* At most `longest` bytes are waiting here, so that each move is paid for by as many bytes read before. */
char *words_room(struct words *words, size_t *len)
{
	if (words->begin == words->end) {
		words->begin = 0;
		words->end = 0;
	} else if (words->size - words->end < CHUNK) {
		memmove(words->bytes, words->bytes + words->begin, words->end - words->begin);
		words->end -= words->begin;
		words->begin = 0;
	}
	*len = words->size - words->end;
	return words->bytes + words->end;
}

void words_filled(struct words *words, size_t len)
{
	words->end += len;
}

void words_end(struct words *words)
{
	words->ended = true;
}

static bool parts(const struct words *words, char byte)
{
	if (words->framing == FRAMING_LINE)
		return byte == '\n';
	return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r' || byte == '\v' ||
	       byte == '\f';
}

static void skip_spaces(struct words *words)
{
	while (words->begin < words->end && parts(words, words->bytes[words->begin])) {
		words->begin++;
		words->searched = 0;
	}
}

/* How many bytes from `begin` on hold no end. */
static size_t search(struct words *words)
{
	size_t waiting = words->end - words->begin;

	while (words->searched < waiting &&
	       !parts(words, words->bytes[words->begin + words->searched]))
		words->searched++;
	return words->searched;
}

enum word words_take(struct words *words, const char **text, size_t *len)
{
	size_t found;
	bool whole;

	if (words->framing == FRAMING_RAW)
		skip_spaces(words);
	found = search(words);
	whole = words->begin + found < words->end;
	if (found > words->longest)
		return WORD_TOO_LONG;
	if (!whole && (!words->ended || found == 0))
		return WORD_NONE;
	*text = words->bytes + words->begin;
	*len = found;
	words->begin += found + whole;
	words->searched = 0;
	return WORD_TAKEN;
}
