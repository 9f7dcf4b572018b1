#ifndef CLIENT_WORDS_H
#define CLIENT_WORDS_H

/*
 * Parts a stream of input into the messages to be said: its lines for a server that knows lines, its words (what
 * spaces, tabs and ends of lines part) for one that does not. An unterminated last one counts at the end of input.
 *
 * Pure but for the one allocation of the memory, which is touched only as it fills. One thread.
 */

#include <stdbool.h>
#include <stddef.h>

#include "wire/conversation.h"

struct words {
	enum framing framing; /* line or raw */
	bool ended;
	size_t longest; /* the longest line or word, without its end */
	size_t begin, end, size;
	size_t searched; /* bytes from `begin` on that are known to hold no end */
	char *bytes;
};

enum word {
	WORD_NONE, /* more input is needed; at the end of input: there is no more */
	WORD_TAKEN,
	WORD_TOO_LONG, /* nothing can be taken any more */
};

/* 0, or -ENOMEM. */
int words_init(struct words *words, enum framing framing, size_t longest)
	__attribute__((warn_unused_result));
void words_fini(struct words *words);

/* Where the next input is to be written, and how much fits. It is never 0 once words_take said WORD_NONE. */
char *words_room(struct words *words, size_t *len);

/* So many bytes were written there. */
void words_filled(struct words *words, size_t len);

/* The end of input. */
void words_end(struct words *words);

/* Takes the next message; its text is borrowed until the next call of words_room. */
enum word words_take(struct words *words, const char **text, size_t *len);

#endif
