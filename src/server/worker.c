/*
 * The calls up from the engine. Bytes go to the conversation, the fact that they came to the watch, and what the two
 * want goes back as duties. What is judged is in judge.c, how sessions leave in farewell.c.
 */

#include "server/worker.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "server/farewell.h"
#include "server/judge.h"
#include "server/tell.h"
#include "server/tend.h"

#define FEED_BYTES (1u << 20)

static_assert(ENGINE_SLICES == WIRE_SLICES, "what the conversation gives out, the engine takes");
static_assert(sizeof(struct slice) == sizeof(struct engine_slice), "slices are handed through");

static unsigned duties_of(const struct seat *seat, size_t limit)
{
	size_t owes = conversation_owes(&seat->conversation);

	return (owes > 0 ? ENGINE_SEND : 0) | (owes > limit ? ENGINE_HOLD : 0) |
	       (conversation_is_over(&seat->conversation) ? ENGINE_CLOSE : 0);
}

static void on_woke(void *context, struct mono now)
{
	struct worker *worker = context;
	uint64_t stall_ns = watch_woke(&worker->watch, now);

	if (stall_ns > 0)
		tell_stall(worker, stall_ns);
}

/* A place for one more, if there is one. Counted first, so that two workers never let in the same last one. */
static bool take_place(struct house *house)
{
	if (atomic_fetch_add(&house->clients, 1) < house->clients_max)
		return true;
	atomic_fetch_sub(&house->clients, 1);
	return false;
}

static bool on_accepted(void *context, struct connection connection, unsigned listener,
			const struct sockaddr_storage *peer)
{
	struct worker *worker = context;
	struct seat *seat = &worker->seats[connection.slot];
	struct address address;

	if (worker->draining)
		return false;
	if (!take_place(worker->house)) {
		tell_shed(worker, listener, 0);
		return false;
	}
	address_of(&address, peer);
	conversation_init(&seat->conversation, (enum framing)worker->framings[listener]);
	house_lock(worker->house);
	watch_accept(&worker->watch, connection.slot, connection.generation, listener, &address);
	house_unlock(worker->house);
	tell_connect(worker, &seat->session);
	return true;
}

static enum final final_of_naming(enum naming_fault fault)
{
	switch (fault) {
	case NAMING_NAME:
		return FINAL_ID_NAME;
	case NAMING_OPTION:
		return FINAL_ID_OPTION;
	case NAMING_DURATION:
		return FINAL_ID_DURATION;
	case NAMING_RANGE:
		return FINAL_ID_RANGE;
	case NAMING_GROUP:
		return FINAL_ID_GROUP;
	case NAMING_KEY:
		return FINAL_ID_KEY;
	case NAMING_GOOD:
		break;
	}
	return FINAL_NONE;
}

static enum final final_of_named(enum named named)
{
	switch (named) {
	case NAMED_TAKEN:
		return FINAL_ID_TAKEN;
	case NAMED_KEY:
		return FINAL_ID_KEY;
	case NAMED_MANY:
		return FINAL_ID_MANY;
	case NAMED_FULL:
		return FINAL_ID_FULL;
	case NAMED:
	case NAMED_DISPLACED:
		break;
	}
	return FINAL_NONE;
}

static void name_session(struct worker *worker, uint32_t slot, const struct hearing *hearing)
{
	struct seat *seat = &worker->seats[slot];
	struct displaced displaced = {.any = false};
	struct naming naming;
	enum named named = NAMED;
	enum final final = FINAL_ID_NAME;

	if (hearing->kept == hearing->len)
		final = final_of_naming(
			naming_read(&naming, hearing->text, hearing->len, &worker->house->rhythm));
	if (final == FINAL_NONE) {
		house_lock(worker->house);
		named = watch_name(&worker->watch, slot, &naming, &displaced);
		house_unlock(worker->house);
		final = final_of_named(named);
	}
	if (final != FINAL_NONE) {
		farewell_say(worker, slot, REASON_REFUSED, final);
		return;
	}
	if (named == NAMED_DISPLACED)
		return;
	tell_id(worker, &seat->session, &naming);
	tend(worker, slot, false);
	if (displaced.any)
		worker_replace(worker->house->workers[displaced.worker], displaced.slot,
			       displaced.generation);
}

static void on_special(struct worker *worker, uint32_t slot, const struct hearing *hearing)
{
	switch (hearing->what) {
	case HEARD_ID:
		name_session(worker, slot, hearing);
		break;
	case HEARD_STOP:
		farewell_begin(worker, slot, REASON_STOPPED);
		break;
	case HEARD_TOO_LONG:
		farewell_begin(worker, slot, REASON_MALFORMED);
		break;
	case HEARD_MESSAGE:
	case HEARD_ALL:
		break;
	}
}

/* Counts it, shows it, and does what is special about it. */
static void heard(struct worker *worker, uint32_t slot, const struct hearing *hearing)
{
	struct session *session = &worker->seats[slot].session;

	if (watch_heard(&worker->watch, session, hearing->messages, hearing->used)) {
		house_lock(worker->house);
		watch_back(&worker->watch, slot);
		house_unlock(worker->house);
		tend(worker, slot, false);
	}
	if (worker->house->show_messages && hearing->messages > 0 &&
	    hearing->what != HEARD_TOO_LONG)
		tell_message(worker, session, hearing);
	if (hearing->what != HEARD_ALL)
		on_special(worker, slot, hearing);
}

static void end_of_stream(struct worker *worker, uint32_t slot)
{
	struct seat *seat = &worker->seats[slot];
	bool stopped = conversation_spells_stop(&seat->conversation, &worker->heads);
	struct hearing last = conversation_end(&seat->conversation, &worker->heads);

	if (last.messages > 0)
		heard(worker, slot, &last);
	if (seat->session.tag != 0)
		farewell_begin(worker, slot, stopped ? REASON_STOPPED : REASON_CLOSED);
}

static unsigned on_received(void *context, struct connection connection, const char *bytes,
			    size_t len)
{
	struct worker *worker = context;
	struct seat *seat = &worker->seats[connection.slot];

	if (seat->session.tag != 0 && len == 0)
		end_of_stream(worker, connection.slot);
	while (len > 0 && seat->session.tag != 0) {
		struct hearing hearing =
			conversation_hear(&seat->conversation, &worker->heads, bytes, len,
					  worker->house->message_max, worker->house->show_messages);

		heard(worker, connection.slot, &hearing);
		bytes += hearing.used;
		len -= hearing.used;
	}
	return duties_of(seat, WORKER_OWED_MAX);
}

static size_t on_output(void *context, struct connection connection,
			struct engine_slice slices[ENGINE_SLICES])
{
	struct worker *worker = context;

	return conversation_output(&worker->seats[connection.slot].conversation,
				   (struct slice *)slices);
}

static unsigned on_sent(void *context, struct connection connection, size_t bytes)
{
	struct worker *worker = context;
	struct seat *seat = &worker->seats[connection.slot];

	conversation_sent(&seat->conversation, bytes);
	if (seat->session.owing_ms != 0 && seat->session.tag != 0 && bytes > 0) {
		if (conversation_owes(&seat->conversation) > 0)
			watch_owing_progress(&worker->watch, connection.slot);
		else
			watch_owing_cleared(&worker->watch, connection.slot);
	}
	return duties_of(seat, WORKER_OWED_MAX / 2);
}

static unsigned on_blocked(void *context, struct connection connection, size_t unsent)
{
	struct worker *worker = context;
	struct seat *seat = &worker->seats[connection.slot];

	conversation_unsent(&seat->conversation, unsent);
	if (seat->session.tag != 0 && seat->session.owing_ms == 0)
		watch_owing(&worker->watch, connection.slot);
	return duties_of(seat, WORKER_OWED_MAX / 2);
}

static void on_closed(void *context, struct connection connection, enum engine_end end, int error)
{
	struct worker *worker = context;

	(void)error;
	farewell_closed(worker, connection.slot, end);
	atomic_fetch_sub(&worker->house->clients, 1);
}

static void on_shed(void *context, unsigned listener, int error)
{
	tell_shed(context, listener, error);
}

static bool on_judges(void *context)
{
	return judge_is_wanted(context);
}

static struct mono on_turned(void *context, bool whole)
{
	struct worker *worker = context;
	struct mono next;

	farewell_displaced(worker);
	if (whole)
		judge_turn(worker);
	farewell_drain(worker, whole);
	farewell_late(worker);
	next = judge_next(worker);
	watch_promise(&worker->watch, next);
	return next;
}

static const struct engine_calls calls = {
	.woke = on_woke,
	.accepted = on_accepted,
	.received = on_received,
	.output = on_output,
	.sent = on_sent,
	.blocked = on_blocked,
	.closed = on_closed,
	.shed = on_shed,
	.judges = on_judges,
	.turned = on_turned,
};

static void *map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

int worker_open(struct worker *worker, struct house *house, const struct worker_config *config)
{
	struct engine_config engine = {
		.listeners = config->listeners,
		.listeners_count = config->listeners_count,
		.connections_max = config->connections_max,
		.linger_ns = config->linger_ns,
	};
	uint32_t count = config->connections_max;
	void *feed = NULL, *heads = NULL;
	int error = -ENOMEM;

	memset(worker, 0, sizeof(*worker));
	worker->house = house;
	worker->index = config->index;
	worker->kind = config->kind;
	worker->seats_count = count;
	worker->leaving_first = worker->leaving_last = WHEEL_NONE;
	worker->directory_turned = config->now;
	memcpy(worker->framings, config->framings, config->listeners_count);
	worker->seats = map(count * sizeof(*worker->seats));
	heads = map(heads_bytes(count));
	feed = map(FEED_BYTES);
	if (worker->seats == NULL || heads == NULL || feed == NULL)
		goto fail_memory;
	heads_init(&worker->heads, heads, count);
	feed_init(&worker->feed, feed, FEED_BYTES);
	feed_give_back(&worker->feed);
	error = mailbox_open(&worker->mailbox, count);
	if (error != 0)
		goto fail_memory;
	watch_init(&worker->watch, house->directory, config->index, &worker->seats[0].session,
		   sizeof(*worker->seats), count, house->send_timeout_ms, config->now);
	error = config->kind->open(&worker->engine, &engine, &calls, worker);
	if (error != 0)
		goto fail_engine;
	return 0;

fail_engine:
	mailbox_close(&worker->mailbox);
fail_memory:
	if (feed != NULL)
		munmap(feed, FEED_BYTES);
	if (heads != NULL)
		munmap(heads, heads_bytes(count));
	if (worker->seats != NULL)
		munmap(worker->seats, count * sizeof(*worker->seats));
	return error;
}

int worker_run(struct worker *worker)
{
	return worker->kind->run(worker->engine);
}

void worker_close(struct worker *worker)
{
	worker->kind->close(worker->engine);
	mailbox_close(&worker->mailbox);
	munmap(worker->feed.memory, FEED_BYTES);
	munmap(worker->heads.memory, heads_bytes(worker->seats_count));
	munmap(worker->seats, worker->seats_count * sizeof(*worker->seats));
}

void worker_wake(struct worker *worker)
{
	worker->kind->wake(worker->engine);
}

void worker_replace(struct worker *worker, uint32_t slot, uint32_t generation)
{
	mailbox_post(&worker->mailbox, slot, generation);
	worker_wake(worker);
}
