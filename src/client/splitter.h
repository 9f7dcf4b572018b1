#ifndef CLIENT_SPLITTER_H
#define CLIENT_SPLITTER_H

/*
 * Parts the stream that a server sends into the things it says.
 *
 * In line each line is one. In raw nothing ends anything: replies come glued ("keep alivekeep alive") or in pieces
 * ("ke", "ep alive"). There `keep alive` is taken as soon as it is complete, wherever it stands; any other text is
 * complete when `keep alive` follows, when the server has been quiet for a while, or at its end of stream. So how the
 * stream was cut never changes what is found in it.
 *
 * Pure: no sockets, no clock, no allocation. One thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/conversation.h"

/* The longest text that is given out in one piece. */
#define SPLITTER_BYTES 65536

enum said {
	SAID_KEEP_ALIVE,
	SAID_STOP,
	SAID_RETRY,
	SAID_ERROR,
	SAID_TEXT, /* anything else: pushed by the server */
};

struct saying {
	enum said what;
	bool more;	  /* SAID_TEXT: too long for one piece, it goes on in the next */
	uint32_t seconds; /* SAID_RETRY */
	const char *text; /* as received, without its end of line; borrowed until the next call */
	size_t len;
};

struct splitter {
	enum framing framing; /* line or raw */
	bool quiet;	      /* the server has been quiet since the last bytes */
	bool ended;	      /* nothing more will come */
	bool continued;	      /* what comes next is the rest of a long text */
	size_t begin, end;
	char bytes[SPLITTER_BYTES];
};

void splitter_init(struct splitter *splitter, enum framing framing);

/* Copies what was received, as much as there is room for; returns how much. There is room once all is taken out. */
size_t splitter_feed(struct splitter *splitter, const char *bytes, size_t len);

/* Nothing came for a while, or nothing will come any more. */
void splitter_quiet(struct splitter *splitter);
void splitter_end(struct splitter *splitter);

/* Takes the next saying out. False: there is none (yet). */
bool splitter_take(struct splitter *splitter, struct saying *saying);

/* Bytes that are waiting for more. */
static inline size_t splitter_waiting(const struct splitter *splitter)
{
	return splitter->end - splitter->begin;
}

/* Whether what is waiting is a whole `keep alive` but for its end of line: then the server knows no lines. */
bool splitter_lacks_line_end(const struct splitter *splitter);

#endif
