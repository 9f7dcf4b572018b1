#ifndef PRESENCE_SESSION_H
#define PRESENCE_SESSION_H

/*
 * What the server keeps of one connection, beside the conversation. An idle anonymous session owns nothing else.
 */

#include <assert.h>
#include <stdint.h>

#include "base/address.h"
#include "base/time.h"
#include "presence/verdict.h"
#include "presence/wheel.h"

#define CLIENT_NONE UINT32_MAX

struct session {
	struct wheel_node node; /* its next deadline, at or before the true one */
	struct awake heard;     /* when bytes last came */
	uint64_t tag;           /* 0: no session in this place */
	uint64_t messages;
	uint64_t bytes;
	uint64_t accepted_ms;   /* awake time */
	uint32_t generation;    /* of the connection */
	uint32_t client;        /* in the directory; CLIENT_NONE: anonymous */
	uint32_t owing_ms;      /* awake time (its low 32 bits) since which it takes nothing of what it is owed; 0: it does */
	uint32_t held_ms;       /* how long a suspect is held, from its deadline on */
	struct address peer;
	uint8_t state;          /* enum state: alive, late or suspect; gone once it is judged and not ended yet */
	uint8_t ending;         /* enum reason, once it is decided why the session ends; else REASON_NONE */
	uint8_t listener;
	uint8_t names;          /* how many it has had */
};

static_assert(sizeof(struct session) <= 96, "an idle client's budget is 128 bytes, with its conversation");

#endif
