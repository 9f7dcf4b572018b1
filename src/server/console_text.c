/* Lines for people. */

#include "server/console.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/duration.h"
#include "base/utf8.h"

static void append(struct console_line *line, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void append(struct console_line *line, const char *format, ...)
{
	size_t room = line->len < line->size ? line->size - line->len : 0;
	va_list arguments;
	int len;

	va_start(arguments, format);
	len = vsnprintf(line->text + line->len, room, format, arguments);
	va_end(arguments);
	if (len > 0)
		line->len += (size_t)len;
}

static void append_time(struct console_line *line, struct wall at)
{
	time_t seconds = (time_t)(at.ns / NS_PER_S);
	struct tm parts;
	char text[16];

	localtime_r(&seconds, &parts);
	strftime(text, sizeof(text), "%H:%M:%S", &parts);
	append(line, "%s.%03u  ", text, (unsigned)(at.ns % NS_PER_S / NS_PER_MS));
}

static const char *about(char text[DURATION_TEXT], uint64_t ms)
{
	return duration_about(text, ms);
}

static void write_ready(struct console_line *line, const struct console_self *self,
			const struct console_ready *ready, struct wall at)
{
	append_time(line, at);
	append(line, "lifeline is ready: listening on ");
	for (unsigned i = 0; i < ready->addresses_count; i++)
		append(line, "%s%s", i > 0 ? ", " : "", ready->addresses[i]);
	append(line, " (engine %s, %u worker%s, up to %u clients, node %s)\n", ready->engine,
	       ready->workers, ready->workers == 1 ? "" : "s", ready->clients_max, self->node);
}

static void write_message(struct console_line *line, const struct event *event, const char *text,
			  size_t len)
{
	char shown[4 * EVENT_TEXT_MAX + 8];

	utf8_escape(shown, sizeof(shown), text, len);
	append(line, "#%llu  %llu byte%s: %s%s\n", (unsigned long long)event->tag,
	       (unsigned long long)event->bytes, event->bytes == 1 ? "" : "s", shown,
	       event->bytes > len ? "..." : "");
}

static void write_end(struct console_line *line, const struct event *event, const char *text,
		      size_t len)
{
	char address[ADDRESS_TEXT], lasted[DURATION_TEXT];
	enum reason reason = (enum reason)event->reason;

	append(line, "#%llu  ", (unsigned long long)event->tag);
	if (len > 0)
		append(line, "%.*s  ", (int)len, text);
	append(line, "%s  ended after %s: %llu message%s, %llu bytes, %s (%s)\n",
	       address_write(address, &event->peer), about(lasted, event->lasted_ms),
	       (unsigned long long)event->messages, event->messages == 1 ? "" : "s",
	       (unsigned long long)event->bytes, reason_word(reason), fault_word(fault_of(reason)));
}

static void write_event(struct console_line *line, const struct console_self *self,
			const struct event *event, const char *text, size_t len, struct wall at)
{
	char address[ADDRESS_TEXT], first[DURATION_TEXT], second[DURATION_TEXT];
	unsigned long long tag = event->tag;

	(void)self;
	append_time(line, at);
	switch ((enum event_kind)event->kind) {
	case EVENT_CONNECT:
		append(line, "#%llu  %s  connected\n", tag, address_write(address, &event->peer));
		break;
	case EVENT_MESSAGE:
		write_message(line, event, text, len);
		break;
	case EVENT_ID:
		append(line, "#%llu  is %.*s, every %s, grace %s%s%.*s\n", tag, event->name_len,
		       text, duration_write(first, event->every_ms),
		       duration_write(second, event->grace_ms),
		       len > event->name_len ? ", group " : "", (int)(len - event->name_len),
		       text + event->name_len);
		break;
	case EVENT_END:
		write_end(line, event, text, len);
		break;
	case EVENT_STALL:
		append(line, "worker %u was away for %s: it is not held against anybody\n",
		       event->worker, about(first, event->lasted_ms));
		break;
	case EVENT_SHED:
		append(line, "a newcomer was turned away with `retry 5`: %s\n",
		       event->error == 0 ? "--max-clients are in" : strerror(event->error));
		break;
	case EVENT_OVERFLOW:
		append(line,
		       "the listen queue was full: %llu newcomers have to try again; see "
		       "net.core.somaxconn\n",
		       (unsigned long long)event->messages);
		break;
	case EVENT_DRAIN:
		append(line, "draining: %llu client%s\n", (unsigned long long)event->messages,
		       event->messages == 1 ? "" : "s");
		break;
	}
}

static const char *colour_of(enum state state)
{
	switch (state) {
	case STATE_ALIVE:
		return "\033[32m";
	case STATE_LATE:
	case STATE_SUSPECT:
		return "\033[33m";
	case STATE_GONE:
	case STATE_UNKNOWN:
		return "\033[31m";
	}
	return "";
}

static void write_verdict(struct console_line *line, const struct console_self *self,
			  const struct note *note)
{
	char text[DURATION_TEXT];
	const char *back = note->to == STATE_ALIVE && !note->is_new ? "back, " : "";

	append(line, "%s%s%s%s%s", self->colours ? colour_of(note->to) : "", back,
	       state_word(note->to), self->colours ? "\033[0m" : "", note->is_new ? " (new)" : "");
	if (note->to == STATE_ALIVE && !note->is_new)
		append(line, " (was %s)", state_word(note->from));
	if (note->reason != REASON_NONE)
		append(line, ": %s (%s)", reason_word(note->reason),
		       fault_word(fault_of(note->reason)));
	if (note->to != STATE_ALIVE)
		append(line, ", last heard %s ago",
		       about(text, mono_between(note->heard, note->judged) / NS_PER_MS));
	append(line, "\n");
}

/* Of an anonymous one that is gone, the line of its session's end has said all. */
static bool is_said_already(const struct note *note)
{
	return note->kind == NOTE_VERDICT && note->name_len == 0 && note->to == STATE_GONE;
}

static void write_note(struct console_line *line, const struct console_self *self,
		       const struct note *note, uint64_t ahead_ns)
{
	if (is_said_already(note) || (note->kind == NOTE_VERDICT && !note->announced))
		return;
	append_time(line, (struct wall){note->judged.ns + ahead_ns});
	if (note->kind != NOTE_PARTITION && note->name_len > 0)
		append(line, "%s  ", note->name);
	else if (note->kind != NOTE_PARTITION)
		append(line, "#%llu  ", (unsigned long long)note->tag);
	switch (note->kind) {
	case NOTE_VERDICT:
		write_verdict(line, self, note);
		break;
	case NOTE_PARTITION:
		append(line,
		       "partition suspected: %u clients of %s%s fell silent at once; verdicts "
		       "wait\n",
		       note->count, note->group_len > 0 ? "group " : "all", note->group);
		break;
	case NOTE_FLAPPING:
		append(line, "is flapping: its changes are recorded, and not announced until it is "
			     "steady\n");
		break;
	case NOTE_STEADY:
		append(line, "is steady again\n");
		break;
	case NOTE_FORGOTTEN:
		append(line, "is forgotten\n");
		break;
	}
}

static void write_dropped(struct console_line *line, const struct console_self *self,
			  uint64_t count, struct wall at)
{
	(void)self;
	append_time(line, at);
	append(line, "%llu line%s dropped: nobody read them in time\n", (unsigned long long)count,
	       count == 1 ? " was" : "s were");
}

static void write_stopped(struct console_line *line, const struct console_self *self,
			  struct wall at)
{
	(void)self;
	append_time(line, at);
	append(line, "lifeline has stopped\n");
}

const struct console_format console_text = {
	.name = "text",
	.ready = write_ready,
	.event = write_event,
	.note = write_note,
	.dropped = write_dropped,
	.stopped = write_stopped,
};
