/* Holds a conversation. Connects to nobody, prints nothing, and does not know what is to happen when it is over. */

#include "client/client.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define STOP "stop"

/* Bytes and messages that may wait for their replies; more are not taken from the user. */
#define WINDOW_BYTES (2 * (size_t)CLIENT_LINE_MAX)
#define WINDOW_MESSAGES 16384

/* In raw a text is complete when the server has been quiet for that long. */
#define QUIET_NS (100 * NS_PER_MS)

/* A reply without its end of line for that long: it will not come. */
#define NO_LINES_NS (2 * NS_PER_S)

#define NEVER ((struct mono){UINT64_MAX})

int client_init(struct client *client, const struct client_settings *settings)
{
	client->settings = *settings;
	splitter_init(&client->splitter, settings->framing);
	client->heard_at = (struct mono){0};
	client->said_at = (struct mono){0};
	client->deaf_at = (struct mono){0};
	client->connected = false;
	client->stopping = false;
	client->silent = false;
	client->over = false;
	client->hint = false;
	client->hinted = false;
	return window_init(&client->window, WINDOW_BYTES, WINDOW_MESSAGES);
}

void client_fini(struct client *client)
{
	window_fini(&client->window);
}

static bool in_lines(const struct client *client)
{
	return client->settings.framing == FRAMING_LINE;
}

static void say_first(struct client *client, enum message_kind kind, const char *text)
{
	if (text && !window_say_first(&client->window, kind, text, strlen(text), in_lines(client)))
		assert(!"the window keeps a reserve for what comes first");
}

void client_connected(struct client *client, struct mono now)
{
	assert(!client->connected);
	splitter_init(&client->splitter, client->settings.framing);
	client->connected = true;
	client->heard_at = now;
	client->said_at = now;
	say_first(client, MESSAGE_ID, client->settings.id);
	say_first(client, MESSAGE_GREETING, client->settings.greeting);
}

void client_disconnected(struct client *client)
{
	client->connected = false;
	client->over = false;
	window_rewind(&client->window);
}

bool client_has_room(const struct client *client, size_t len)
{
	return !client->stopping && !client->silent && window_has_room(&client->window, len);
}

/* A server drops a CR before the LF in line, and trailing NULs in raw: it will take these for `stop` too. */
static bool is_stop(const struct client *client, const char *text, size_t len)
{
	if (in_lines(client) && len > 0 && text[len - 1] == '\r')
		len--;
	while (!in_lines(client) && len > 0 && text[len - 1] == '\0')
		len--;
	return len == strlen(STOP) && memcmp(text, STOP, len) == 0;
}

int client_say(struct client *client, const char *text, size_t len)
{
	if (client->stopping || client->silent)
		return -EPIPE;
	if (len > (in_lines(client) ? CLIENT_LINE_MAX : CLIENT_RAW_MAX))
		return -EMSGSIZE;
	if (len == 0 && !in_lines(client))
		return -EINVAL;
	if (is_stop(client, text, len)) {
		client_stop(client);
		return 0;
	}
	return window_say(&client->window, MESSAGE_ORDINARY, text, len, in_lines(client)) ? 0
											  : -EAGAIN;
}

void client_stop(struct client *client)
{
	client->stopping = true;
	if (client->window.kinds[MESSAGE_STOP] == 0 && !client->over &&
	    !window_say(&client->window, MESSAGE_STOP, STOP, strlen(STOP), in_lines(client)))
		assert(!"the window keeps a reserve for stop");
}

void client_stop_now(struct client *client)
{
	window_drop_unsent(&client->window);
	client_stop(client);
}

void client_fall_silent(struct client *client)
{
	client->silent = true;
}

const char *client_output(const struct client *client, size_t *len)
{
	return window_output(&client->window, !in_lines(client), len);
}

void client_sent(struct client *client, size_t bytes, struct mono now)
{
	window_sent(&client->window, bytes, now);
	if (bytes > 0)
		client->said_at = now;
}

size_t client_received(struct client *client, const char *bytes, size_t len, struct mono now)
{
	client->heard_at = now;
	return splitter_feed(&client->splitter, bytes, len);
}

void client_deaf(struct client *client, struct mono now)
{
	client->deaf_at = now;
}

void client_ended(struct client *client)
{
	splitter_end(&client->splitter);
}

static void take_text(struct client_event *event, enum client_event_kind kind,
		      const struct saying *saying)
{
	*event = (struct client_event){.kind = kind,
				       .text = saying->text,
				       .len = saying->len,
				       .more = saying->more,
				       .seconds = saying->seconds};
}

/* The reply to the oldest message. What it was goes with it. */
static void take_reply(struct client *client, struct client_event *event,
		       const struct saying *saying)
{
	const struct message *oldest;

	take_text(event, CLIENT_REPLY, saying);
	oldest = window_oldest(&client->window, &event->said, &event->said_len);
	event->message = *oldest;
	event->took_ns = mono_between(oldest->at, client->heard_at);
	event->stop = saying->what == SAID_STOP;
	window_answered(&client->window);
	if (event->message.kind == MESSAGE_STOP)
		client->over = true;
}

static void take_stop(struct client *client, struct client_event *event,
		      const struct saying *saying)
{
	const char *text;
	size_t len;
	const struct message *oldest = window_oldest(&client->window, &text, &len);

	if (oldest && oldest->kind == MESSAGE_STOP)
		take_reply(client, event, saying);
	else
		take_text(event, CLIENT_STOP, saying);
	client->over = true;
}

static void understand(struct client *client, struct client_event *event,
		       const struct saying *saying)
{
	switch (saying->what) {
	case SAID_KEEP_ALIVE:
		if (client->window.owed > 0)
			take_reply(client, event, saying);
		else
			take_text(event, CLIENT_TEXT, saying);
		break;
	case SAID_STOP:
		take_stop(client, event, saying);
		break;
	case SAID_RETRY:
		take_text(event, CLIENT_RETRY, saying);
		break;
	case SAID_ERROR:
		take_text(event, CLIENT_ERROR, saying);
		break;
	case SAID_TEXT:
		take_text(event, CLIENT_TEXT, saying);
		break;
	}
}

bool client_next(struct client *client, struct client_event *event)
{
	struct saying saying;

	if (client->over)
		return false;
	if (client->hint) {
		client->hint = false;
		*event = (struct client_event){.kind = CLIENT_NO_LINES};
		return true;
	}
	if (!splitter_take(&client->splitter, &saying))
		return false;
	understand(client, event, &saying);
	return true;
}

static bool awaits_quiet(const struct client *client)
{
	return !in_lines(client) && !client->splitter.quiet &&
	       splitter_waiting(&client->splitter) > 0;
}

static bool awaits_line_end(const struct client *client)
{
	return !client->hinted && splitter_lacks_line_end(&client->splitter);
}

static struct mono beat_due(const struct client *client)
{
	if (client->settings.every_ns == 0 || client->stopping || client->silent ||
	    client->window.sent < client->window.end)
		return NEVER;
	return mono_after(client->said_at, client->settings.every_ns);
}

/* From when the oldest message was sent, or from the last bytes that went either way. */
static struct mono reply_due(const struct client *client)
{
	const char *text;
	size_t len;
	const struct message *oldest = window_oldest(&client->window, &text, &len);
	struct mono from = oldest ? oldest->at : client->said_at;

	if (client->settings.reply_limit_ns == 0 || client->window.count == 0)
		return NEVER;
	if (mono_before(from, client->heard_at))
		from = client->heard_at;
	if (mono_before(from, client->deaf_at))
		from = client->deaf_at;
	return mono_after(from, client->settings.reply_limit_ns);
}

struct mono client_due(const struct client *client)
{
	struct mono due = NEVER;

	if (!client->connected || client->over)
		return NEVER;
	due = mono_earlier(beat_due(client), reply_due(client));
	if (awaits_quiet(client))
		due = mono_earlier(due, mono_after(client->heard_at, QUIET_NS));
	if (awaits_line_end(client))
		due = mono_earlier(due, mono_after(client->heard_at, NO_LINES_NS));
	return due;
}

static bool has_come(struct mono due, struct mono now)
{
	return !mono_before(now, due);
}

enum client_duty client_tick(struct client *client, struct mono now)
{
	const char *heartbeat = client->settings.heartbeat;

	if (!client->connected || client->over)
		return CLIENT_GO_ON;
	if (awaits_quiet(client) && has_come(mono_after(client->heard_at, QUIET_NS), now))
		splitter_quiet(&client->splitter);
	if (awaits_line_end(client) && has_come(mono_after(client->heard_at, NO_LINES_NS), now)) {
		client->hint = true;
		client->hinted = true;
	}
	/* Where there is no room for a heartbeat, so much was said that none is needed. */
	if (has_come(beat_due(client), now) &&
	    !window_say(&client->window, MESSAGE_HEARTBEAT, heartbeat, strlen(heartbeat),
			in_lines(client)))
		client->said_at = now;
	return has_come(reply_due(client), now) ? CLIENT_GIVE_UP : CLIENT_GO_ON;
}
