/*
 * The `id` message: whatever stands in it, what is read is within its bounds; and what was read well, written out again in
 * another order, is read the same.
 */

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "presence/naming.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct rhythm_limits limits = {
	.every_ms = 60000,
	.grace_ms = 30000,
	.every_min_ms = 100,
	.every_max_ms = 30 * UINT64_C(86400000),
	.grace_min_ms = 50,
	.grace_max_ms = 10 * UINT64_C(86400000),
};

static void check_word(const char *word, size_t len, size_t most)
{
	assert(len <= most && strlen(word) == len);
	assert(len == 0 || utf8_is_printable_word(word, len));
}

static void check_good(const struct naming *naming)
{
	assert(naming->name_len > 0);
	check_word(naming->name, naming->name_len, NAME_BYTES_MAX);
	check_word(naming->group, naming->group_len, GROUP_BYTES_MAX);
	check_word(naming->key, naming->key_len, KEY_BYTES_MAX);
	assert(naming->every_ms >= limits.every_min_ms && naming->every_ms <= limits.every_max_ms);
	assert(naming->grace_ms >= limits.grace_min_ms && naming->grace_ms <= limits.grace_max_ms);
}

static void check_again(const struct naming *naming)
{
	struct naming again;
	char text[1024];
	int len = snprintf(text, sizeof(text),
			   "id\t%s \t%s%s%s%s grace=%" PRIu64 "ms every=%" PRIu64 "ms\t",
			   naming->name, naming->key_len > 0 ? "key=" : "", naming->key,
			   naming->group_len > 0 ? " group=" : "", naming->group, naming->grace_ms,
			   naming->every_ms);

	assert(len > 0 && (size_t)len < sizeof(text));
	memset(&again, 0xff, sizeof(again));
	assert(naming_read(&again, text, (size_t)len, &limits) == NAMING_GOOD);
	assert(strcmp(again.name, naming->name) == 0 && again.name_len == naming->name_len);
	assert(strcmp(again.group, naming->group) == 0 && again.group_len == naming->group_len);
	assert(strcmp(again.key, naming->key) == 0 && again.key_len == naming->key_len);
	assert(again.every_ms == naming->every_ms && again.grace_ms == naming->grace_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct naming naming;
	/* In memory of its very size, so that reading beyond it is seen. */
	char *text = malloc(size + 3);

	assert(text != NULL);
	memcpy(text, "id ", 3);
	if (size > 0)
		memcpy(text + 3, data, size);
	memset(&naming, 0xff, sizeof(naming));
	enum naming_fault fault = naming_read(&naming, text, size + 3, &limits);

	assert(fault <= NAMING_KEY);
	if (fault == NAMING_GOOD) {
		check_good(&naming);
		check_again(&naming);
	}
	free(text);
	return 0;
}
