/* Keeps unanswered messages. Knows nothing of what they or their replies mean. */

#include "client/window.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int window_init(struct window *window, size_t limit, uint32_t slots)
{
	assert(limit > 0 && limit <= UINT32_MAX / 4);
	assert(slots > WINDOW_RESERVE_MESSAGES && (slots & (slots - 1)) == 0);
	*window = (struct window){.limit = limit, .slots = slots};
	window->size = 2 * (limit + WINDOW_RESERVE_BYTES);
	window->bytes = malloc(window->size);
	window->messages = calloc(slots, sizeof(*window->messages));
	if (window->bytes && window->messages)
		return 0;
	window_fini(window);
	return -ENOMEM;
}

void window_fini(struct window *window)
{
	free(window->bytes);
	free(window->messages);
	*window = (struct window){0};
}

static struct message *message_at(const struct window *window, uint32_t index)
{
	return &window->messages[(window->first + index) & (window->slots - 1)];
}

static size_t waiting(const struct window *window)
{
	return window->end - window->begin;
}

bool window_has_room(const struct window *window, size_t len)
{
	return waiting(window) + len + 1 <= window->limit &&
	       window->count < window->slots - WINDOW_RESERVE_MESSAGES;
}

static bool has_room_for(const struct window *window, enum message_kind kind, size_t len)
{
	if (kind == MESSAGE_ORDINARY || kind == MESSAGE_HEARTBEAT)
		return window_has_room(window, len);
	return waiting(window) + len + 1 <= window->limit + WINDOW_RESERVE_BYTES &&
	       window->count < window->slots;
}

/* Moves what is waiting so that it begins at `begin`. */
static void move_to(struct window *window, size_t begin)
{
	memmove(window->bytes + begin, window->bytes + window->begin, waiting(window));
	window->whole = begin + (window->whole - window->begin);
	window->sent = begin + (window->sent - window->begin);
	window->end = begin + waiting(window);
	window->begin = begin;
}

static void write_at(struct window *window, size_t at, const char *text, size_t len, bool lf)
{
	if (len > 0)
		memcpy(window->bytes + at, text, len);
	if (lf)
		window->bytes[at + len] = '\n';
}

static struct message describe(struct window *window, enum message_kind kind, size_t len, bool lf)
{
	assert(len + lf > 0);
	window->kinds[kind]++;
	return (struct message){.len = (uint32_t)(len + lf), .kind = (uint8_t)kind, .lf = lf};
}

bool window_say(struct window *window, enum message_kind kind, const char *text, size_t len,
		bool lf)
{
	if (!has_room_for(window, kind, len))
		return false;
	if (window->end + len + 1 > window->size)
		move_to(window, 0);
	write_at(window, window->end, text, len, lf);
	*message_at(window, window->count) = describe(window, kind, len, lf);
	window->end += len + lf;
	window->count++;
	return true;
}

bool window_say_first(struct window *window, enum message_kind kind, const char *text, size_t len,
		      bool lf)
{
	assert(window->sent == window->begin);
	if (!has_room_for(window, kind, len))
		return false;
	if (window->begin < len + 1)
		move_to(window, window->size - waiting(window));
	window->begin -= len + lf;
	window->whole = window->begin;
	window->sent = window->begin;
	write_at(window, window->begin, text, len, lf);
	window->first = (window->first - 1) & (window->slots - 1);
	window->count++;
	*message_at(window, 0) = describe(window, kind, len, lf);
	return true;
}

const char *window_output(const struct window *window, bool one, size_t *len)
{
	*len = window->end - window->sent;
	/* Nothing is left of it while it is owed a reply. */
	if (one && window->count > 0)
		*len = window->begin + message_at(window, 0)->len - window->sent;
	return window->bytes + window->sent;
}

void window_sent(struct window *window, size_t bytes, struct mono now)
{
	assert(bytes <= window->end - window->sent);
	window->sent += bytes;
	while (window->owed < window->count) {
		struct message *message = message_at(window, window->owed);

		if (window->whole + message->len > window->sent)
			break;
		message->at = now;
		if (message->number == 0)
			message->number = ++window->numbered;
		window->whole += message->len;
		window->owed++;
	}
}

const struct message *window_oldest(const struct window *window, const char **text, size_t *len)
{
	const struct message *message = message_at(window, 0);

	if (window->owed == 0)
		return NULL;
	*text = window->bytes + window->begin;
	*len = message->len - message->lf;
	return message;
}

void window_answered(struct window *window)
{
	assert(window->owed > 0);
	window->begin += message_at(window, 0)->len;
	window->kinds[message_at(window, 0)->kind]--;
	window->first = (window->first + 1) & (window->slots - 1);
	window->count--;
	window->owed--;
}

void window_drop_unsent(struct window *window)
{
	size_t end = window->whole;
	uint32_t kept = window->owed;

	/* One that is under way must be finished: the server has its beginning. */
	if (window->sent > window->whole)
		end += message_at(window, kept++)->len;
	for (uint32_t i = kept; i < window->count; i++)
		window->kinds[message_at(window, i)->kind]--;
	window->end = end;
	window->count = kept;
}

static bool outlives_connection(const struct message *message)
{
	return message->kind == MESSAGE_ORDINARY || message->kind == MESSAGE_STOP;
}

void window_rewind(struct window *window)
{
	size_t from = window->begin, to = window->begin;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < window->count; i++) {
		struct message message = *message_at(window, i);

		if (outlives_connection(&message)) {
			memmove(window->bytes + to, window->bytes + from, message.len);
			to += message.len;
			*message_at(window, kept++) = message;
		} else {
			window->kinds[message.kind]--;
		}
		from += message.len;
	}
	window->whole = window->begin;
	window->sent = window->begin;
	window->end = to;
	window->count = kept;
	window->owed = 0;
}

void window_check(const struct window *window)
{
	size_t whole = window->begin, end = window->begin;
	uint32_t kinds = 0;

	assert(window->begin <= window->whole && window->whole <= window->sent);
	assert(window->sent <= window->end && window->end <= window->size);
	assert(window->owed <= window->count && window->count <= window->slots);
	for (uint32_t i = 0; i < window->count; i++) {
		end += message_at(window, i)->len;
		if (i + 1 == window->owed)
			whole = end;
	}
	for (int kind = 0; kind < MESSAGE_KINDS; kind++)
		kinds += window->kinds[kind];
	assert(kinds == window->count);
	assert(whole == window->whole && end == window->end);
	assert(window->owed == window->count ||
	       window->sent < window->whole + message_at(window, window->owed)->len);
}
