/* The table of contents of this room. What is in it is decided when it is built. */

#include "engine/kinds.h"

#include <string.h>

#include "config.h"

const struct engine_kind *const engine_kinds[] = {
#if HAVE_LIBURING
	&engine_uring,
#endif
#if HAVE_EPOLL
	&engine_epoll,
#endif
	&engine_threads,
	NULL,
};

const struct engine_kind *engine_kind_named(const char *name)
{
	for (const struct engine_kind *const *kind = engine_kinds; *kind != NULL; kind++)
		if (strcmp((*kind)->name, name) == 0)
			return *kind;
	return NULL;
}
