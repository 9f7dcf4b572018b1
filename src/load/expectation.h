#ifndef LOAD_EXPECTATION_H
#define LOAD_EXPECTATION_H

/*
 * What replies must look like. All replies on a connection are the same text, so what is to come is a repeated pattern,
 * and what came is compared with it in one piece, wherever TCP cut it. Pure; any thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define EXPECTATION_READ_MAX 65536 /* the most bytes that are matched at once */
#define EXPECTATION_REPLY_MAX 1048576

struct expectation {
	char *block; /* the reply, repeated: any position and EXPECTATION_READ_MAX bytes from there; NULL: any bytes do */
	uint32_t len; /* of one reply; 0: no reply is expected */
	char *aside;  /* what may be said between replies without being one; NULL: nothing */
	uint32_t aside_len;
	uint32_t shared; /* bytes with which both begin: it may be either */
};

/* How far the next reply has come. All zero at first. */
struct progress {
	uint32_t position; /* bytes of it */
	uint32_t aside;	   /* bytes of what is no reply */
};

struct match {
	uint32_t replies; /* that were completed */
	uint32_t surplus; /* bytes beyond all that was owed */
	bool wrong;	  /* a byte differs; nothing else is told then */
};

/* Copies the reply; `bytes` NULL: any `len` bytes are one. 0, or -ENOMEM, or -EMSGSIZE beyond EXPECTATION_REPLY_MAX. */
int expectation_init(struct expectation *expectation, const char *bytes, size_t len)
	__attribute__((warn_unused_result));

/* Lets the server say this at any time between replies. Copies it. 0, or -ENOMEM, or -EMSGSIZE. */
int expectation_ignore(struct expectation *expectation, const char *bytes, size_t len)
	__attribute__((warn_unused_result));

void expectation_fini(struct expectation *expectation);

/* As expectation_match, byte by byte, with an eye on what is to be ignored. */
struct match expectation_match_slowly(const struct expectation *expectation,
				      struct progress *progress, uint64_t owed, const char *bytes,
				      size_t len);

/*
 * Matches the `len` bytes of one receive, at most EXPECTATION_READ_MAX, against `owed` replies.
 */
static inline struct match expectation_match(const struct expectation *expectation,
					     struct progress *progress, uint64_t owed,
					     const char *bytes, size_t len)
{
	struct match match = {0};
	uint64_t due = owed * expectation->len - progress->position;
	uint32_t taken = (uint32_t)(len < due ? len : due);
	uint32_t end = progress->position + taken;
	bool differs = taken > 0 && expectation->block != NULL &&
		       memcmp(bytes, expectation->block + progress->position, taken) != 0;

	if (expectation->aside != NULL && (differs || taken < len || progress->aside > 0))
		return expectation_match_slowly(expectation, progress, owed, bytes, len);
	match.surplus = (uint32_t)len - taken;
	if (differs) {
		match.wrong = true;
	} else if (end < expectation->len || expectation->len == 0) {
		progress->position = end;
	} else if (end == expectation->len) {
		match.replies = 1;
		progress->position = 0;
	} else {
		match.replies = end / expectation->len;
		progress->position = end % expectation->len;
	}
	return match;
}

#endif
