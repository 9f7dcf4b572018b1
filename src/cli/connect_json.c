/* Writes events as JSON, by jansson. */

#include "cli/connect_json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "base/utf8.h"

/* U+FFFD: JSON has no bytes, so what is no character is shown as one that was lost. */
#define LOST "\xef\xbf\xbd"

bool connect_json_is_there(void)
{
	return true;
}

static size_t replace_lost(char *text, const char *bytes, size_t len)
{
	size_t to = 0;

	for (size_t from = 0; from < len;) {
		size_t character = utf8_character(bytes + from, len - from);
		const char *source = character > 0 ? bytes + from : LOST;
		size_t taken = character > 0 ? character : strlen(LOST);

		memcpy(text + to, source, taken);
		to += taken;
		from += character > 0 ? character : 1;
	}
	return to;
}

static json_t *text_of(const char *bytes, size_t len)
{
	char *text = malloc(len * strlen(LOST) + 1);
	json_t *value;

	if (!text)
		return NULL;
	value = json_stringn_nocheck(text, replace_lost(text, bytes, len));
	free(text);
	return value;
}

/* Takes the object. */
static char *line_of(json_t *object)
{
	char *line = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;

	json_decref(object);
	return line;
}

static const char *kind_name(uint8_t kind)
{
	switch ((enum message_kind)kind) {
	case MESSAGE_GREETING:
		return "greeting";
	case MESSAGE_ID:
		return "id";
	case MESSAGE_HEARTBEAT:
		return "heartbeat";
	case MESSAGE_STOP:
		return "stop";
	default:
		return "message";
	}
}

static json_t *reply_of(const struct client_event *event)
{
	return json_pack("{s:s, s:I, s:s, s:o, s:o, s:f}", "event", "reply", "number",
			 (json_int_t)event->message.number, "kind", kind_name(event->message.kind),
			 "message", text_of(event->said, event->said_len), "reply",
			 text_of(event->text, event->len), "rtt_ms",
			 (double)event->took_ns / (double)NS_PER_MS);
}

static json_t *object_of(const struct client_event *event)
{
	switch (event->kind) {
	case CLIENT_REPLY:
		return reply_of(event);
	case CLIENT_STOP:
		return json_pack("{s:s}", "event", "stop");
	case CLIENT_RETRY:
		return json_pack("{s:s, s:I}", "event", "retry", "seconds",
				 (json_int_t)event->seconds);
	case CLIENT_ERROR:
		return json_pack("{s:s, s:o}", "event", "error", "text",
				 text_of(event->text, event->len));
	case CLIENT_TEXT:
		return json_pack("{s:s, s:o, s:b}", "event", "text", "text",
				 text_of(event->text, event->len), "more", event->more);
	case CLIENT_NO_LINES:
		return json_pack("{s:s}", "event", "no-lines");
	}
	return NULL;
}

char *connect_json_event(const struct client_event *event)
{
	return line_of(object_of(event));
}

static json_t *milliseconds(uint64_t ms)
{
	return ms == UINT64_MAX ? json_null() : json_integer((json_int_t)ms);
}

char *connect_json_connected(const char *target)
{
	return line_of(json_pack("{s:s, s:o}", "event", "connected", "to",
				 text_of(target, strlen(target))));
}

char *connect_json_failed(const char *target, const char *reason, uint64_t next_ms)
{
	return line_of(json_pack("{s:s, s:o, s:s, s:o}", "event", "failed", "to",
				 text_of(target, strlen(target)), "reason", reason, "next_ms",
				 milliseconds(next_ms)));
}

char *connect_json_lost(const char *reason, uint32_t unanswered, uint64_t next_ms)
{
	return line_of(json_pack("{s:s, s:s, s:I, s:o}", "event", "lost", "reason", reason,
				 "unanswered", (json_int_t)unanswered, "next_ms",
				 milliseconds(next_ms)));
}
