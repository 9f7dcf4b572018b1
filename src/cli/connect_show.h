#ifndef CLI_CONNECT_SHOW_H
#define CLI_CONNECT_SHOW_H

/*
 * What `lifeline connect` shows: as text or JSON on standard output (what is not an answer goes to standard error), or
 * above the prompt of a terminal. Standard output may be slow: what it has not taken yet is kept, and the caller takes
 * no more from the server while that is much. One thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/client.h"

enum connect_show_mode {
	CONNECT_SHOW_TEXT,
	CONNECT_SHOW_JSON,
	CONNECT_SHOW_PROMPT,
};

struct connect_show {
	enum connect_show_mode mode;
	bool rtt, quiet;
	bool to_terminal; /* then unprintable bytes are escaped */
	bool colour;
	int error; /* writing failed: errno */
	char *bytes;
	size_t begin, end, size;
};

void connect_show_init(struct connect_show *show, enum connect_show_mode mode, bool rtt,
		       bool quiet);
void connect_show_fini(struct connect_show *show);

/* Whether more is to be taken from the server. */
bool connect_show_has_room(const struct connect_show *show);

/* Whether standard output is to be polled for writing; then, once it is ready, this writes some. */
bool connect_show_is_waiting(const struct connect_show *show);
void connect_show_write(struct connect_show *show);

/* Writes all that is left, waiting for it. */
void connect_show_flush(struct connect_show *show);

void connect_show_event(struct connect_show *show, const struct client_event *event);

/* The connection. `next_ms` is when it is tried again, UINT64_MAX for not at all; a remedy may be NULL.
 * That there is a connection now goes without saying, unless there was trouble. */
void connect_show_connected(struct connect_show *show, const char *target, bool troubled);
void connect_show_failed(struct connect_show *show, const char *target, const char *reason,
			 const char *remedy, uint64_t next_ms);
void connect_show_lost(struct connect_show *show, const char *reason, uint32_t unanswered,
		       uint64_t next_ms);

/* Anything else that went wrong. */
void connect_show_error(struct connect_show *show, const char *text);

#endif
