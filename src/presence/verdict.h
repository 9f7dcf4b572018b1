#ifndef PRESENCE_VERDICT_H
#define PRESENCE_VERDICT_H

/*
 * The words for what is known of a client, and the note that tells of a change. docs/EVENTS.md has the table.
 * The words `unknown`, `kicked` and `server-lost` are said by nothing yet.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/time.h"

#define NAME_BYTES_MAX 128
#define GROUP_BYTES_MAX 128
#define KEY_BYTES_MAX 128

enum state {
	STATE_ALIVE, /* heard within its rhythm */
	STATE_LATE,  /* `every` has passed, `grace` has not */
	STATE_SUSPECT, /* the deadline passed together with that of many others: more likely the network */
	STATE_GONE,    /* over, with a reason and a fault */
	STATE_UNKNOWN, /* the server was down or blind, and the client has not been heard since */
};

enum reason {
	REASON_NONE,
	REASON_STOPPED,	    /* client: said stop */
	REASON_CLOSED,	    /* client: end of stream without stop */
	REASON_RESET,	    /* client or network */
	REASON_HUNG,	    /* client: silent, though its host still answers TCP */
	REASON_UNREACHABLE, /* network: silent, and its host answers nothing */
	REASON_REPLACED,    /* client: the same id came on a newer session */
	REASON_KICKED,	    /* operator */
	REASON_SLOW,	    /* client: did not read */
	REASON_REFUSED,	    /* client: limits, key, bad id */
	REASON_MALFORMED,   /* client: too long a message */
	REASON_SHED,	    /* server: overload */
	REASON_DRAINED,	    /* server: shutting down */
	REASON_SERVER_LOST, /* server: crashed */
	REASON_COUNT
};

enum fault {
	FAULT_NONE,
	FAULT_CLIENT,
	FAULT_NETWORK,
	FAULT_CLIENT_OR_NETWORK,
	FAULT_OPERATOR,
	FAULT_SERVER,
};

enum fault fault_of(enum reason reason);

/* The stable words of the event format: "alive", "hung", "client or network", ... Constant memory. */
const char *state_word(enum state state);
const char *reason_word(enum reason reason); /* "" for REASON_NONE */
const char *fault_word(enum fault fault);    /* "" for FAULT_NONE */

enum note_kind {
	NOTE_VERDICT,	/* a client's state changed */
	NOTE_PARTITION, /* many fell silent at once: `group` ("" is all clients) and `count` */
	NOTE_FLAPPING,	/* the client changes so often that its changes are no longer announced */
	NOTE_STEADY,	/* ... and now it is steady again */
	NOTE_FORGOTTEN, /* a client that is gone is no longer known: `count` is how many were forgotten so far */
};

/* One numbered event of the directory. Sequences count from 1 without a gap, in the order in which it was judged. */
struct note {
	enum note_kind kind;
	uint64_t sequence;
	uint64_t tag;	    /* of the session it is about, 0 where there is none */
	enum state from;    /* NOTE_VERDICT: before; equal to `to` where the client is new */
	enum state to;	    /* NOTE_VERDICT: since */
	enum reason reason; /* with STATE_GONE */
	bool is_new;	    /* the client was not known before */
	bool announced;	    /* false: recorded only, the client is flapping */
	uint32_t
		count; /* NOTE_PARTITION: clients; NOTE_FLAPPING: changes; NOTE_FORGOTTEN: so far; else times rejoined */
	struct mono heard; /* when it was last heard */
	struct mono
		happened; /* when it became so: the deadline that passed, the end that came, the message that was heard */
	struct mono judged; /* when the server saw it; never before `happened` */
	uint8_t name_len;   /* 0: an anonymous client, known by its tag */
	uint8_t group_len;  /* 0: no group */
	char name[NAME_BYTES_MAX + 1];
	char group[GROUP_BYTES_MAX + 1];
};

#endif
