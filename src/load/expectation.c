/* Lays out the repeated pattern that replies are compared with. */

#include "load/expectation.h"

#include <errno.h>
#include <stdlib.h>

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

void expectation_fini(struct expectation *expectation)
{
	free(expectation->block);
	expectation->block = NULL;
}
