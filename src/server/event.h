#ifndef SERVER_EVENT_H
#define SERVER_EVENT_H

/*
 * What a worker tells the console: fixed records in a feed, each followed by text (a message's, or a name).
 * Verdicts travel beside them, as struct note, in a feed of their own.
 */

#include <stdint.h>

#include "base/address.h"
#include "base/time.h"

enum event_kind {
	EVENT_CONNECT,
	EVENT_MESSAGE,	/* text: the message; bytes: its true length */
	EVENT_ID,	/* text: the name, name_len bytes of it, then the group, if it has one */
	EVENT_END,	/* text: the name, if it has one */
	EVENT_STALL,	/* lasted_ms: how long the worker was away */
	EVENT_SHED,	/* error: why there was no room for a newcomer; 0: --max-clients */
	EVENT_OVERFLOW, /* messages: how many newcomers the listen queue had no room for */
	EVENT_DRAIN,
};

struct event {
	struct mono at;
	uint64_t tag;
	uint64_t messages;
	uint64_t bytes;
	uint64_t lasted_ms;
	uint64_t every_ms, grace_ms;
	struct address peer;
	int error;
	uint8_t kind;	/* enum event_kind */
	uint8_t reason; /* EVENT_END: enum reason */
	uint8_t listener;
	uint8_t worker;
	uint8_t name_len; /* EVENT_ID */
};

/* Of a message at most this much is shown. */
#define EVENT_TEXT_MAX 1024

#endif
