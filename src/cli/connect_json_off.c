/* Without jansson there is no JSON; `--json` is refused before any of this is called. */

#include "cli/connect_json.h"

#include <stddef.h>

bool connect_json_is_there(void)
{
	return false;
}

char *connect_json_event(const struct client_event *event)
{
	(void)event;
	return NULL;
}

char *connect_json_connected(const char *target)
{
	(void)target;
	return NULL;
}

char *connect_json_failed(const char *target, const char *reason, uint64_t next_ms)
{
	(void)target;
	(void)reason;
	(void)next_ms;
	return NULL;
}

char *connect_json_lost(const char *reason, uint32_t unanswered, uint64_t next_ms)
{
	(void)reason;
	(void)unanswered;
	(void)next_ms;
	return NULL;
}
