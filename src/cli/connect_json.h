#ifndef CLI_CONNECT_JSON_H
#define CLI_CONNECT_JSON_H

/* What happened, as one JSON object a line. Compiled with jansson, or without: then nothing is there. */

#include <stdbool.h>
#include <stdint.h>

#include "client/client.h"

bool connect_json_is_there(void);

/* Each gives a line without its end, NULL where there is no memory for it. */
char *connect_json_event(const struct client_event *event);
char *connect_json_connected(const char *target);
char *connect_json_failed(const char *target, const char *reason, uint64_t next_ms);
char *connect_json_lost(const char *reason, uint32_t unanswered, uint64_t next_ms);

#endif
