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

/* The small ones share words: each byte here is one for every client. */
struct session {
	struct wheel_node node; /* its next deadline, at or before the true one */
	struct awake heard;	/* when bytes last came */
	uint64_t tag;		/* 0: no session in this place */
	uint64_t accepted_ms;	/* awake time */
	uint64_t messages : 48;
	uint64_t listener : 8;
	uint64_t names : 8; /* how many it has had */
	uint64_t bytes : 56;
	uint64_t
		state : 8; /* enum state: alive, late or suspect; gone once it is judged and not ended yet */
	uint32_t generation; /* of the connection */
	uint32_t client;     /* in the directory; CLIENT_NONE: anonymous */
	uint32_t
		owing_ms; /* awake time (its low 32 bits) since which it takes nothing of what it is owed; 0: it does */
	struct address peer;
};

static_assert(sizeof(struct session) <= 88,
	      "an idle client's budget is 128 bytes, with its conversation");

#endif
