#ifndef WIRE_CONVERSATION_H
#define WIRE_CONVERSATION_H

/*
 * One client's conversation: bytes in, messages out, and what is owed in return.
 *
 * Pure: no sockets, no clock, no allocation, no calls out. The caller hands in the bytes of each receive, is told what
 * was in them, asks what is to be sent, and says how much of it was. docs/PROTOCOL.md is the specification.
 *
 * Every message is answered with the same text, so what is owed is a number of bytes, sent from one constant block: a
 * client that does not read costs four bytes, not a buffer. The only bytes ever kept are the first WIRE_HEAD_BYTES of a
 * line that has not ended yet, in a slot of `struct heads` that is taken when it begins and given back when it ends.
 *
 * Threads: one conversation (and one struct heads) belongs to one thread at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/final.h"
#include "wire/heads.h"

enum framing {
	FRAMING_AUTO, /* not decided: LF in the first bytes makes it line, else raw */
	FRAMING_LINE,
	FRAMING_RAW,
};

/*
 * The longest message, unless set (--max-message). A line is measured without its end, LF or CR LF; in raw, all that one
 * receive returned is measured.
 */
#define WIRE_MESSAGE_MAX_DEFAULT 65536

/* At most this many pieces are given out by conversation_output at once. */
#define WIRE_SLICES 8

struct conversation {
	uint32_t owed;	    /* bytes of replies not sent yet */
	uint32_t part;	    /* bytes of the unfinished line so far */
	uint32_t head;	    /* slot of its first bytes, HEADS_NONE while there is none */
	uint8_t framing;    /* enum framing */
	uint8_t final;	    /* enum final: the last text, said after all that is owed */
	uint8_t final_sent; /* bytes of the last text sent */
	uint8_t tail : 3; /* how much of "stop" the last bytes spell: in raw, and after HEARD_STOP */
	uint8_t over : 1; /* nothing more is heard */
	uint8_t cr : 1;	  /* the unfinished line's last byte was a CR */
};

struct slice {
	const char *bytes; /* constant memory, valid for ever */
	size_t len;
};

enum heard {
	HEARD_ALL,	/* all bytes are used up; nothing special in them */
	HEARD_MESSAGE,	/* one message; only where `each` was asked for */
	HEARD_ID,	/* `id` or one that begins so, its reply owed: the caller decides */
	HEARD_STOP,	/* the message `stop`, whose answer is owed: nothing after it is heard */
	HEARD_TOO_LONG, /* longer than it may be; the error is owed: nothing after it is heard */
};

struct hearing {
	enum heard what;
	uint32_t messages; /* how many it took, the special one counted; too long is none */
	size_t used;	   /* bytes of the input taken by this call */
	/*
	 * The text of HEARD_MESSAGE, HEARD_ID and HEARD_STOP without its end: CR LF or LF; in raw, all CR, LF and NUL
	 * that it ends with. Borrowed from the input or from the head until the next call for any conversation. `len` is
	 * its true length; where it came in pieces and is longer than WIRE_HEAD_BYTES, only `kept` bytes are there
	 * (kept == len otherwise).
	 */
	const char *text;
	size_t kept;
	size_t len;
};

void conversation_init(struct conversation *conversation, enum framing framing);

/* Gives back what it holds of `heads`. */
void conversation_fini(struct conversation *conversation, struct heads *heads);

/*
 * Hears the bytes of one receive, up to the first thing that the caller must decide about. Call again with the rest
 * while the answer is not HEARD_ALL and the conversation is not over. In raw, one call with all bytes of one receive is
 * one message. Messages found are owed a reply at once; the caller stops hearing one that owes too much, long before
 * `owed` is full. `longest` is the limit for one message, in bytes. With `each`, every message is returned by itself.
 * Once it is over, bytes are used up unheard.
 */
struct hearing conversation_hear(struct conversation *conversation, struct heads *heads,
				 const char *bytes, size_t len, size_t longest, bool each);

/*
 * The client's end of stream: an unterminated last line is a message (HEARD_MESSAGE, HEARD_ID or HEARD_STOP, else
 * HEARD_ALL with no message); a CR that it ends with is dropped. Nothing is heard after it. What is owed is still to be
 * sent, and conversation_finish may still say a last text. The tail rule of raw is the caller's to ask for, by
 * conversation_spells_stop: those bytes were answered when they came.
 */
struct hearing conversation_end(struct conversation *conversation, struct heads *heads);

/*
 * Whether the last bytes heard spell `stop`: one that ends now, by end of stream or by reset, has stopped. In line, they
 * are a whole line or an unfinished one; in raw, they may be glued to others. True too after HEARD_STOP, and unchanged by
 * conversation_end.
 */
bool conversation_spells_stop(const struct conversation *conversation, const struct heads *heads);

/*
 * Says `final` once all that is owed is sent, and hears nothing more. The first one said stands. Before framing is
 * decided it is said as in line.
 */
void conversation_finish(struct conversation *conversation, enum final final);

/* What is to be sent now, as up to WIRE_SLICES pieces in order. Returns how many; 0: nothing. */
size_t conversation_output(const struct conversation *conversation,
			   struct slice slices[WIRE_SLICES]);

/* `bytes` of the output were taken. */
void conversation_sent(struct conversation *conversation, size_t bytes);

/* The last `bytes` of what was said to be sent were not taken after all. */
void conversation_unsent(struct conversation *conversation, size_t bytes);

/* Bytes that are still to be sent, replies and last text. */
static inline size_t conversation_owes(const struct conversation *conversation)
{
	size_t owed = conversation->owed;

	if (conversation->final != FINAL_NONE)
		owed += final_len((enum final)conversation->final,
				  conversation->framing != FRAMING_RAW) -
			conversation->final_sent;
	return owed;
}

/* Nothing more is heard; once nothing is owed either, the connection is to be closed. */
static inline bool conversation_is_over(const struct conversation *conversation)
{
	return conversation->over;
}

#endif
