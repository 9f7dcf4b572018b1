/* Lays out the repeated pattern that replies are compared with; and compares byte by byte where that is not enough. */

#include "load/expectation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int expectation_init(struct expectation *expectation, const char *bytes, size_t len)
{
	size_t size = len + EXPECTATION_READ_MAX;

	*expectation = (struct expectation){.len = (uint32_t)len};
	if (len > EXPECTATION_REPLY_MAX)
		return -EMSGSIZE;
	if (bytes == NULL || len == 0)
		return 0;
	expectation->block = malloc(size);
	if (expectation->block == NULL)
		return -ENOMEM;
	for (size_t at = 0; at < size; at++)
		expectation->block[at] = bytes[at % len];
	return 0;
}

int expectation_ignore(struct expectation *expectation, const char *bytes, size_t len)
{
	uint32_t shared = 0;

	if (len > EXPECTATION_REPLY_MAX)
		return -EMSGSIZE;
	expectation->aside = malloc(len > 0 ? len : 1);
	if (expectation->aside == NULL)
		return -ENOMEM;
	memcpy(expectation->aside, bytes, len);
	expectation->aside_len = (uint32_t)len;
	while (expectation->block != NULL && shared < len && shared < expectation->len &&
	       bytes[shared] == expectation->block[shared])
		shared++;
	expectation->shared = shared;
	return 0;
}

/* Whether the byte goes on with an aside: with one that has begun, or with one that looked like a reply until now. */
static bool takes_aside(const struct expectation *expectation, struct progress *progress, char byte)
{
	uint32_t at = progress->aside > 0 ? progress->aside : progress->position;

	if (progress->aside == 0 && at > expectation->shared)
		return false;
	if (at >= expectation->aside_len || byte != expectation->aside[at])
		return false;
	progress->position = 0;
	progress->aside = at + 1 < expectation->aside_len ? at + 1 : 0;
	return true;
}

struct match expectation_match_slowly(const struct expectation *expectation,
				      struct progress *progress, uint64_t owed, const char *bytes,
				      size_t len)
{
	struct match match = {0};

	for (size_t i = 0; i < len; i++) {
		bool is_owed = owed > match.replies && progress->aside == 0;

		if (is_owed && (expectation->block == NULL ||
				bytes[i] == expectation->block[progress->position])) {
			progress->position++;
			if (progress->position == expectation->len) {
				progress->position = 0;
				match.replies++;
			}
		} else if (!takes_aside(expectation, progress, bytes[i])) {
			match.wrong = is_owed || progress->aside > 0;
			match.surplus = (uint32_t)(len - i);
			return match;
		}
	}
	return match;
}

void expectation_fini(struct expectation *expectation)
{
	free(expectation->block);
	free(expectation->aside);
	expectation->block = expectation->aside = NULL;
}
