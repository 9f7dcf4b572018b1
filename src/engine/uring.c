/* The io_uring engine: not there yet, and says so when it is opened. */

#include <errno.h>

#include "engine/engine.h"

static int open_uring(struct engine **engine, const struct engine_config *config,
		      const struct engine_calls *calls, void *worker)
{
	(void)engine;
	(void)config;
	(void)calls;
	(void)worker;
	return -ENOSYS;
}

const struct engine_kind engine_uring = {
	.name = "uring",
	.open = open_uring,
};
