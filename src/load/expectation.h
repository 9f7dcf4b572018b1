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
};

struct match {
	uint32_t replies; /* that were completed */
	uint32_t surplus; /* bytes beyond all that was owed */
	bool wrong;	  /* a byte differs; nothing else is told then */
};

/* Copies the reply; `bytes` NULL: any `len` bytes are one. 0, or -ENOMEM, or -EMSGSIZE beyond EXPECTATION_REPLY_MAX. */
int expectation_init(struct expectation *expectation, const char *bytes, size_t len)
	__attribute__((warn_unused_result));
void expectation_fini(struct expectation *expectation);

/*
 * Matches the `len` bytes of one receive against `owed` replies. `position`, how much of the next reply has come, is
 * the caller's to keep and 0 at first.
 */
static inline struct match expectation_match(const struct expectation *expectation,
					     uint32_t *position, uint64_t owed, const char *bytes,
					     size_t len)
{
	struct match match = {0};
	uint64_t due = owed * expectation->len - *position;
	uint32_t taken = (uint32_t)(len < due ? len : due);
	uint32_t end = *position + taken;

	if (taken > 0 && expectation->block != NULL &&
	    memcmp(bytes, expectation->block + *position, taken) != 0) {
		match.wrong = true;
		return match;
	}
	match.surplus = (uint32_t)len - taken;
	if (end < expectation->len || expectation->len == 0) {
		*position = end;
	} else if (end == expectation->len) {
		match.replies = 1;
		*position = 0;
	} else {
		match.replies = end / expectation->len;
		*position = end % expectation->len;
	}
	return match;
}

#endif
