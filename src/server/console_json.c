/* One JSON object a line: the stable event format of docs/EVENTS.md, put together by jansson. */

#include "server/console.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/utf8.h"

static json_t *time_of(struct wall at)
{
	time_t seconds = (time_t)(at.ns / NS_PER_S);
	struct tm parts;
	char text[64];
	size_t len;

	gmtime_r(&seconds, &parts);
	len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(text + len, sizeof(text) - len, ".%06uZ", (unsigned)(at.ns % NS_PER_S / 1000));
	return json_string(text);
}

static json_t *number(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static json_t *object(const char *event)
{
	json_t *self = json_object();

	json_object_set_new(self, "event", json_string(event));
	return self;
}

static json_t *object_at(const char *event, struct wall at)
{
	json_t *self = object(event);

	json_object_set_new(self, "time", time_of(at));
	return self;
}

/* Writes it as a line, and frees it. What does not fit is not written at all. */
static void end(struct console_line *line, json_t *self)
{
	size_t len = json_dumpb(self, line->text, line->size - 1, JSON_COMPACT);

	json_decref(self);
	if (len == 0 || len > line->size - 1)
		return;
	line->text[len] = '\n';
	line->len = len + 1;
}

static void write_ready(struct console_line *line, const struct console_self *self,
			const struct console_ready *ready, struct wall at)
{
	json_t *addresses = json_array(), *event = object_at("ready", at);

	for (unsigned i = 0; i < ready->addresses_count; i++)
		json_array_append_new(addresses, json_string(ready->addresses[i]));
	json_object_set_new(event, "addresses", addresses);
	json_object_set_new(event, "engine", json_string(ready->engine));
	json_object_set_new(event, "workers", number(ready->workers));
	json_object_set_new(event, "max_clients", number(ready->clients_max));
	json_object_set_new(event, "pid", number((uint64_t)getpid()));
	json_object_set_new(event, "node", json_string(self->node));
	json_object_set_new(event, "epoch", number(self->epoch));
	end(line, event);
}

static void set_address(json_t *event, const struct address *peer)
{
	char text[ADDRESS_TEXT];

	json_object_set_new(event, "address", json_string(address_write(text, peer)));
}

static void set_reason(json_t *event, enum reason reason)
{
	json_object_set_new(event, "reason", json_string(reason_word(reason)));
	json_object_set_new(event, "fault", json_string(fault_word(fault_of(reason))));
}

static json_t *session_event(const char *name, const struct event *event, struct wall at)
{
	json_t *self = object_at(name, at);

	json_object_set_new(self, "tag", number(event->tag));
	return self;
}

static json_t *message_event(const struct event *event, const char *text, size_t len,
			     struct wall at)
{
	char shown[4 * EVENT_TEXT_MAX + 8];
	json_t *self = session_event("message", event, at);

	utf8_escape(shown, sizeof(shown), text, len);
	json_object_set_new(self, "bytes", number(event->bytes));
	json_object_set_new(self, "text", json_string(shown));
	if (event->bytes > len)
		json_object_set_new(self, "cut", json_true());
	return self;
}

static json_t *end_event(const struct event *event, const char *name, size_t len, struct wall at)
{
	json_t *self = session_event("end", event, at);

	set_address(self, &event->peer);
	if (len > 0)
		json_object_set_new(self, "id", json_stringn(name, len));
	json_object_set_new(self, "lasted_ms", number(event->lasted_ms));
	json_object_set_new(self, "messages", number(event->messages));
	json_object_set_new(self, "bytes", number(event->bytes));
	set_reason(self, (enum reason)event->reason);
	return self;
}

static json_t *id_event(const struct event *event, const char *text, size_t len, struct wall at)
{
	json_t *self = session_event("id", event, at);

	json_object_set_new(self, "id", json_stringn(text, event->name_len));
	if (len > event->name_len)
		json_object_set_new(self, "group",
				    json_stringn(text + event->name_len, len - event->name_len));
	json_object_set_new(self, "every_ms", number(event->every_ms));
	json_object_set_new(self, "grace_ms", number(event->grace_ms));
	return self;
}

static json_t *shed_event(const struct event *event, struct wall at)
{
	json_t *self = object_at("shed", at);

	json_object_set_new(self, "listener", number(event->listener));
	json_object_set_new(
		self, "error",
		json_string(event->error == 0 ? "--max-clients are in" : strerror(event->error)));
	return self;
}

static void write_event(struct console_line *line, const struct console_self *self,
			const struct event *event, const char *text, size_t len, struct wall at)
{
	json_t *object = NULL;

	(void)self;
	switch ((enum event_kind)event->kind) {
	case EVENT_CONNECT:
		object = session_event("connect", event, at);
		set_address(object, &event->peer);
		json_object_set_new(object, "listener", number(event->listener));
		break;
	case EVENT_MESSAGE:
		object = message_event(event, text, len, at);
		break;
	case EVENT_ID:
		object = id_event(event, text, len, at);
		break;
	case EVENT_END:
		object = end_event(event, text, len, at);
		break;
	case EVENT_STALL:
		object = object_at("stall", at);
		json_object_set_new(object, "worker", number(event->worker));
		json_object_set_new(object, "lasted_ms", number(event->lasted_ms));
		break;
	case EVENT_SHED:
		object = shed_event(event, at);
		break;
	case EVENT_OVERFLOW:
		object = object_at("overflow", at);
		json_object_set_new(object, "count", number(event->messages));
		break;
	case EVENT_DRAIN:
		object = object_at("drain", at);
		json_object_set_new(object, "clients", number(event->messages));
		break;
	}
	end(line, object);
}

static const char *note_word(enum note_kind kind)
{
	switch (kind) {
	case NOTE_VERDICT:
		return "verdict";
	case NOTE_PARTITION:
		return "partition-suspected";
	case NOTE_FLAPPING:
		return "flapping";
	case NOTE_STEADY:
		return "steady";
	case NOTE_FORGOTTEN:
		return "forgotten";
	}
	return "";
}

static void set_verdict(json_t *event, const struct note *note, uint64_t ahead_ns)
{
	json_object_set_new(event, "tag", number(note->tag));
	if (note->is_new)
		json_object_set_new(event, "new", json_true());
	else
		json_object_set_new(event, "from", json_string(state_word(note->from)));
	json_object_set_new(event, "state", json_string(state_word(note->to)));
	if (note->reason != REASON_NONE)
		set_reason(event, note->reason);
	json_object_set_new(event, "heard", time_of((struct wall){note->heard.ns + ahead_ns}));
	json_object_set_new(event, "happened",
			    time_of((struct wall){note->happened.ns + ahead_ns}));
	json_object_set_new(event, "rejoined", number(note->count));
	json_object_set_new(event, "announced", json_boolean(note->announced));
}

static void write_note(struct console_line *line, const struct console_self *self,
		       const struct note *note, uint64_t ahead_ns)
{
	json_t *event = object(note_word(note->kind));

	json_object_set_new(event, "node", json_string(self->node));
	json_object_set_new(event, "epoch", number(self->epoch));
	json_object_set_new(event, "sequence", number(note->sequence));
	if (note->name_len > 0)
		json_object_set_new(event, "id", json_stringn(note->name, note->name_len));
	if (note->group_len > 0 || note->kind == NOTE_PARTITION)
		json_object_set_new(event, "group", json_stringn(note->group, note->group_len));
	if (note->kind == NOTE_VERDICT)
		set_verdict(event, note, ahead_ns);
	else if (note->kind == NOTE_PARTITION)
		json_object_set_new(event, "clients", number(note->count));
	else
		json_object_set_new(event, "count", number(note->count));
	json_object_set_new(event, "judged", time_of((struct wall){note->judged.ns + ahead_ns}));
	end(line, event);
}

static void write_dropped(struct console_line *line, const struct console_self *self,
			  uint64_t count, struct wall at)
{
	json_t *event = object_at("dropped", at);

	(void)self;
	json_object_set_new(event, "count", number(count));
	end(line, event);
}

static void write_stopped(struct console_line *line, const struct console_self *self,
			  struct wall at)
{
	(void)self;
	end(line, object_at("stopped", at));
}

static const struct console_format format = {
	.name = "json",
	.ready = write_ready,
	.event = write_event,
	.note = write_note,
	.dropped = write_dropped,
	.stopped = write_stopped,
};

const struct console_format *const console_json = &format;
