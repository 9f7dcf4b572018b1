/* Events are made here, from what the worker knows. */

#include "server/tell.h"

#include <string.h>

#include "base/clock.h"
#include "server/event.h"

static void put(struct worker *worker, struct event *event, const char *text, size_t len)
{
	event->at = worker->watch.now;
	event->worker = (uint8_t)worker->index;
	feed_put(&worker->feed, event, sizeof(*event), text, len);
	house_tell(worker->house);
}

void tell_connect(struct worker *worker, const struct session *session)
{
	struct event event = {
		.kind = EVENT_CONNECT,
		.tag = session->tag,
		.peer = session->peer,
		.listener = session->listener,
	};

	put(worker, &event, NULL, 0);
}

void tell_message(struct worker *worker, const struct session *session,
		  const struct hearing *hearing)
{
	struct event event = {.kind = EVENT_MESSAGE, .tag = session->tag, .bytes = hearing->len};

	put(worker, &event, hearing->text,
	    hearing->kept < EVENT_TEXT_MAX ? hearing->kept : EVENT_TEXT_MAX);
}

void tell_id(struct worker *worker, const struct session *session, const struct naming *naming)
{
	struct event event = {
		.kind = EVENT_ID,
		.tag = session->tag,
		.every_ms = naming->every_ms,
		.grace_ms = naming->grace_ms,
		.name_len = naming->name_len,
	};
	char text[NAME_BYTES_MAX + GROUP_BYTES_MAX];

	memcpy(text, naming->name, naming->name_len);
	memcpy(text + naming->name_len, naming->group, naming->group_len);
	put(worker, &event, text, (size_t)naming->name_len + naming->group_len);
}

void tell_end(struct worker *worker, const struct session *session, enum reason reason)
{
	const char *name = directory_name(worker->house->directory, session->client);
	struct event event = {
		.kind = EVENT_END,
		.tag = session->tag,
		.peer = session->peer,
		.messages = session->messages,
		.bytes = session->bytes,
		.lasted_ms = worker->watch.awake.ns / NS_PER_MS - session->accepted_ms,
		.reason = (uint8_t)reason,
		.listener = session->listener,
	};

	put(worker, &event, name, strlen(name));
}

void tell_stall(struct worker *worker, uint64_t stall_ns)
{
	struct event event = {.kind = EVENT_STALL, .lasted_ms = stall_ns / NS_PER_MS};

	put(worker, &event, NULL, 0);
}

void tell_shed(struct worker *worker, unsigned listener, int error)
{
	struct event event = {.kind = EVENT_SHED, .listener = (uint8_t)listener, .error = error};

	put(worker, &event, NULL, 0);
}

static void put_own(struct house *house, enum event_kind kind, uint64_t count)
{
	struct event event = {.kind = (uint8_t)kind, .at = clock_mono(), .messages = count};

	feed_put(&house->own, &event, sizeof(event), NULL, 0);
	house_tell(house);
}

void tell_overflow(struct house *house, uint64_t count)
{
	put_own(house, EVENT_OVERFLOW, count);
}

void tell_drain(struct house *house, uint64_t clients)
{
	put_own(house, EVENT_DRAIN, clients);
}
