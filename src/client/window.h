#ifndef CLIENT_WINDOW_H
#define CLIENT_WINDOW_H

/*
 * What a client has said and has not been answered yet, in order. The server answers every message once and in order,
 * so the next reply always belongs to the oldest of them. The bytes of a message stay here until its reply comes: that
 * matches the two, and lets what was never answered be said again on another connection.
 *
 *   bytes:   ····[ owed a reply ][ under way ][ not sent yet ]····
 *                ^begin         ^whole       ^sent          ^end
 *
 * No sockets, no clock; memory is allocated once. One thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/time.h"

/* Room that ordinary messages leave free, so that a greeting, an id and a `stop` can always be said. */
#define WINDOW_RESERVE_BYTES 16384
#define WINDOW_RESERVE_MESSAGES 8

enum message_kind {
	MESSAGE_ORDINARY,
	MESSAGE_GREETING,
	MESSAGE_ID,
	MESSAGE_HEARTBEAT,
	MESSAGE_STOP,
	MESSAGE_KINDS
};

struct message {
	uint64_t number; /* counts from 1, in the order in which they were first sent */
	struct mono at;	 /* when its last byte was handed over */
	uint32_t len;	 /* with its end of line */
	uint8_t kind;	 /* enum message_kind */
	uint8_t lf;	 /* bytes of its end of line, 0 or 1 */
};

struct window {
	char *bytes;
	size_t limit; /* bytes that may be waiting; the memory is larger, so that moving them down is rare */
	size_t size;
	size_t begin, whole, sent, end;
	struct message *messages; /* a ring */
	uint32_t slots;		  /* a power of two */
	uint32_t first;
	uint32_t count;
	uint32_t owed; /* how many of them have been sent whole: each of these is owed a reply */
	uint32_t kinds[MESSAGE_KINDS]; /* how many of each are here */
	uint64_t numbered;
};

/* `slots` is a power of two. 0, or -ENOMEM. */
int window_init(struct window *window, size_t limit, uint32_t slots)
	__attribute__((warn_unused_result));
void window_fini(struct window *window);

/* Whether an ordinary message of `len` bytes can be said now. */
bool window_has_room(const struct window *window, size_t len);

/*
 * Copies a message; with `lf` its end of line is added. False where there is no room:
 * ordinary messages leave the reserve alone, the other kinds may use it.
 */
bool window_say(struct window *window, enum message_kind kind, const char *text, size_t len,
		bool lf) __attribute__((warn_unused_result));

/* The same, before all others. Nothing may be sent yet. */
bool window_say_first(struct window *window, enum message_kind kind, const char *text, size_t len,
		      bool lf) __attribute__((warn_unused_result));

/*
 * The bytes to be sent now, borrowed until the next call. With `one` only those of the oldest message, and none
 * while a reply is owed to it: a server that knows no lines would take two as one.
 */
const char *window_output(const struct window *window, bool one, size_t *len);

/* The first `bytes` of the output were taken, at `now`. */
void window_sent(struct window *window, size_t bytes, struct mono now);

/* The oldest message that is owed a reply, NULL where none is; its text is borrowed until it is answered. */
const struct message *window_oldest(const struct window *window, const char **text, size_t *len);

/* The oldest message that is owed a reply has it. */
void window_answered(struct window *window);

/* Forgets the messages of which nothing was sent. */
void window_drop_unsent(struct window *window);

/*
 * The connection is lost: everything unanswered is to be sent again, but the kinds that belong to one connection only
 * (greeting, id, heartbeat), which are forgotten.
 */
void window_rewind(struct window *window);

/* Verifies what must always hold. */
void window_check(const struct window *window);

#endif
