/* Writes what happened for people and programs. Decides nothing. */

#include "cli/connect_show.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/time.h"
#include "base/utf8.h"
#include "cli/connect_json.h"
#include "cli/connect_prompt.h"

/* With so much waiting for standard output, no more is taken from the server. */
#define ENOUGH (256 * 1024)

/* POSIX lets a pipe that polls ready take that much without waiting. */
#define WRITE_AT_ONCE 4096

/* Of a text on a terminal no more is shown. */
#define TERMINAL_TEXT 8192

/* Of a message beside its reply no more is shown. */
#define BESIDE_TEXT 64

#define DIM "\033[2m"
#define BOLD "\033[1m"
#define RED "\033[31m"
#define PLAIN "\033[0m"

static bool wants_colour(void)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no_color && *no_color) && term &&
	       strcmp(term, "dumb") != 0;
}

void connect_show_init(struct connect_show *show, enum connect_show_mode mode, bool rtt, bool quiet)
{
	*show = (struct connect_show){.mode = mode,
				      .rtt = rtt,
				      .quiet = quiet,
				      .to_terminal = isatty(STDOUT_FILENO),
				      .colour = mode != CONNECT_SHOW_JSON && wants_colour()};
}

void connect_show_fini(struct connect_show *show)
{
	free(show->bytes);
	show->bytes = NULL;
}

/*
 * Standard output
 */

bool connect_show_has_room(const struct connect_show *show)
{
	return show->end - show->begin < ENOUGH;
}

bool connect_show_is_waiting(const struct connect_show *show)
{
	return show->end > show->begin;
}

void connect_show_write(struct connect_show *show)
{
	size_t len = show->end - show->begin;
	ssize_t written;

	if (len > WRITE_AT_ONCE)
		len = WRITE_AT_ONCE;
	written = write(STDOUT_FILENO, show->bytes + show->begin, len);
	if (written > 0)
		show->begin += (size_t)written;
	else if (written < 0 && errno != EINTR && errno != EAGAIN)
		show->error = errno;
	/* Nobody reads it any more. */
	if (show->error)
		show->begin = show->end;
}

void connect_show_flush(struct connect_show *show)
{
	struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};

	while (connect_show_is_waiting(show)) {
		poll(&output, 1, -1);
		connect_show_write(show);
	}
}

static bool make_room(struct connect_show *show, size_t len)
{
	size_t waiting = show->end - show->begin;
	size_t size = show->size ? show->size : ENOUGH;
	char *bytes;

	if (show->size - show->end >= len)
		return true;
	if (show->begin > 0)
		memmove(show->bytes, show->bytes + show->begin, waiting);
	show->begin = 0;
	show->end = waiting;
	while (size - waiting < len)
		size *= 2;
	if (size == show->size)
		return true;
	bytes = realloc(show->bytes, size);
	if (!bytes)
		return false;
	show->bytes = bytes;
	show->size = size;
	return true;
}

static void put(struct connect_show *show, const char *text, size_t len)
{
	if (show->error)
		return;
	if (!make_room(show, len)) {
		show->error = ENOMEM;
		return;
	}
	memcpy(show->bytes + show->end, text, len);
	show->end += len;
}

/* Takes the line. */
static void put_json(struct connect_show *show, char *line)
{
	if (line) {
		put(show, line, strlen(line));
		put(show, "\n", 1);
	} else {
		show->error = ENOMEM;
	}
	free(line);
}

/*
 * Lines
 */

/* A line in a style: above the prompt, or on standard output. */
static void put_line(struct connect_show *show, const char *style, const char *line)
{
	char styled[TERMINAL_TEXT + 2 * BESIDE_TEXT + 32];

	snprintf(styled, sizeof(styled), "%s%s%s", show->colour ? style : "", line,
		 show->colour && *style ? PLAIN : "");
	if (show->mode == CONNECT_SHOW_PROMPT) {
		connect_prompt_above(styled);
	} else {
		put(show, styled, strlen(styled));
		put(show, "\n", 1);
	}
}

/* What the server said: on a terminal made harmless, else as it came. */
static void put_text(struct connect_show *show, const char *style, const struct client_event *event)
{
	char line[TERMINAL_TEXT];

	if (show->to_terminal) {
		utf8_escape(line, sizeof(line), event->text, event->len);
		put_line(show, style, line);
		return;
	}
	put(show, event->text, event->len);
	if (!event->more)
		put(show, "\n", 1);
}

/* What is not an answer: above the prompt, or on standard error. */
__attribute__((format(printf, 3, 4))) static void tell(struct connect_show *show, const char *style,
						       const char *format, ...)
{
	char line[TERMINAL_TEXT + 512];
	va_list values;

	va_start(values, format);
	vsnprintf(line, sizeof(line), format, values);
	va_end(values);
	if (show->mode == CONNECT_SHOW_PROMPT)
		put_line(show, style, line);
	else
		fprintf(stderr, "lifeline: %s\n", line);
}

/*
 * Events
 */

static void put_with_time(struct connect_show *show, const struct client_event *event)
{
	char reply[BESIDE_TEXT], said[BESIDE_TEXT], line[3 * BESIDE_TEXT];

	utf8_escape(reply, sizeof(reply), event->text, event->len);
	utf8_escape(said, sizeof(said), event->said, event->said_len);
	snprintf(line, sizeof(line), "%s\t%.3f ms\t%s", reply,
		 (double)event->took_ns / (double)NS_PER_MS, said);
	put_line(show, DIM, line);
}

/* Replies to what lifeline said by itself are shown only to those who measure. */
static void put_reply(struct connect_show *show, const struct client_event *event)
{
	bool own = event->message.kind == MESSAGE_ID || event->message.kind == MESSAGE_HEARTBEAT;

	if (show->quiet || (own && !show->rtt))
		return;
	if (show->rtt)
		put_with_time(show, event);
	else
		put_text(show, DIM, event);
}

static void tell_saying(struct connect_show *show, const char *what,
			const struct client_event *event)
{
	char text[TERMINAL_TEXT];

	utf8_escape(text, sizeof(text), event->text, event->len);
	tell(show, RED, "%s: %s", what, text);
}

void connect_show_event(struct connect_show *show, const struct client_event *event)
{
	if (show->mode == CONNECT_SHOW_JSON) {
		put_json(show, connect_json_event(event));
		return;
	}
	switch (event->kind) {
	case CLIENT_REPLY:
		put_reply(show, event);
		break;
	case CLIENT_TEXT:
		put_text(show, BOLD, event);
		break;
	case CLIENT_STOP:
		tell(show, BOLD, "the server says stop");
		break;
	case CLIENT_RETRY:
		tell(show, RED,
		     "the server says retry %" PRIu32 ": it takes nobody now, come back in %" PRIu32
		     " s",
		     event->seconds, event->seconds);
		break;
	case CLIENT_ERROR:
		tell_saying(show, "the server refuses", event);
		break;
	case CLIENT_NO_LINES:
		tell(show, RED, "the server's replies have no ends of lines; try --framing raw");
		break;
	}
}

void connect_show_connected(struct connect_show *show, const char *target, bool troubled)
{
	if (show->mode == CONNECT_SHOW_JSON)
		put_json(show, connect_json_connected(target));
	else if (show->quiet)
		return;
	else if (troubled)
		tell(show, DIM, "connected to %s", target);
	else if (show->mode == CONNECT_SHOW_PROMPT)
		tell(show, DIM, "connected to %s: every line is a message, `stop` ends it", target);
}

static const char *next_attempt(char text[DURATION_TEXT + 32], uint64_t next_ms)
{
	char duration[DURATION_TEXT];

	text[0] = '\0';
	if (next_ms != UINT64_MAX)
		snprintf(text, DURATION_TEXT + 32, "; next attempt in %s",
			 duration_about(duration, next_ms));
	return text;
}

void connect_show_failed(struct connect_show *show, const char *target, const char *reason,
			 const char *remedy, uint64_t next_ms)
{
	char next[DURATION_TEXT + 32];

	if (show->mode == CONNECT_SHOW_JSON)
		put_json(show, connect_json_failed(target, reason, next_ms));
	if (next_ms == UINT64_MAX)
		tell(show, RED, "cannot connect to %s: %s%s%s", target, reason, remedy ? "; " : "",
		     remedy ? remedy : "");
	else if (!show->quiet && show->mode != CONNECT_SHOW_JSON)
		tell(show, RED, "cannot connect to %s: %s%s", target, reason,
		     next_attempt(next, next_ms));
}

void connect_show_lost(struct connect_show *show, const char *reason, uint32_t unanswered,
		       uint64_t next_ms)
{
	char next[DURATION_TEXT + 32], owed[64] = "";

	if (unanswered > 0)
		snprintf(owed, sizeof(owed), ", %" PRIu32 " message%s unanswered", unanswered,
			 unanswered == 1 ? "" : "s");
	if (show->mode == CONNECT_SHOW_JSON)
		put_json(show, connect_json_lost(reason, unanswered, next_ms));
	if (next_ms == UINT64_MAX || (!show->quiet && show->mode != CONNECT_SHOW_JSON))
		tell(show, RED, "connection lost: %s%s%s", reason, owed,
		     next_attempt(next, next_ms));
}

void connect_show_error(struct connect_show *show, const char *text)
{
	tell(show, RED, "%s", text);
}
