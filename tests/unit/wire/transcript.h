#ifndef TESTS_WIRE_TRANSCRIPT_H
#define TESTS_WIRE_TRANSCRIPT_H

/*
 * What was heard and said in one conversation: once as a slow reading of the specification has it, byte by byte, once as
 * wire/conversation.h did it. Unit tests and fuzzer lay the two side by side.
 */

#include <stdbool.h>
#include <stddef.h>

#include "wire/conversation.h"

/* What a client does, and how much of what is said to it is taken at a time. */
struct script {
	enum framing framing;
	size_t longest;
	const char *bytes;
	const size_t *pieces; /* lengths of the receives, which make up `bytes` */
	size_t count;
	bool ends;   /* by end of stream */
	size_t take; /* bytes of the output taken after each receive; 0: all of it, at the end */
	size_t give_back; /* of those, not taken after all */
};

struct told {
	enum heard what;
	bool at_end;
	size_t len;
	size_t kept;
	size_t text; /* where it begins in `texts` */
};

struct bytes {
	char *bytes;
	size_t len, size;
};

struct transcript {
	struct told *told;
	size_t count, size;
	struct bytes texts;
	struct bytes said;
	size_t messages;
	bool spells_stop;
	const char *fault; /* a promise of wire/conversation.h that was not kept */
};

void transcript_fini(struct transcript *transcript);

/* By the specification: all messages, each with all of its text. */
void transcript_expect(struct transcript *transcript, const struct script *script);

/* By wire/conversation.h. */
void transcript_play(struct transcript *transcript, const struct script *script, bool each);

/* Returns what is wrong, NULL where nothing is. */
const char *transcript_fault(const struct transcript *expected, const struct transcript *played,
			     bool each);

/* All of the above: expects, plays with and without `each`, and compares. */
const char *transcript_check(const struct script *script);

/* For building one. */
void transcript_tell(struct transcript *transcript, enum heard what, bool at_end, const char *text,
		     size_t kept, size_t len);
void bytes_add(struct bytes *bytes, const char *more, size_t len);

#endif
