/* How sessions end, and how their connections leave. */

#include "server/farewell.h"

#include "server/tell.h"

static struct wheel_node *leaving(const struct worker *worker, uint32_t slot)
{
	return &worker->seats[slot].session.node;
}

/* All leave with the same patience, so the list is in order by itself. The wheel has let go of the node. */
static void leave(struct worker *worker, uint32_t slot)
{
	struct wheel_node *node = leaving(worker, slot);

	node->due_ms = worker->watch.awake.ns / NS_PER_MS + worker->house->send_timeout_ms;
	node->next = WHEEL_NONE;
	node->prev = worker->leaving_last;
	if (node->prev == WHEEL_NONE)
		worker->leaving_first = slot;
	else
		leaving(worker, node->prev)->next = slot;
	worker->leaving_last = slot;
}

static void leave_no_more(struct worker *worker, uint32_t slot)
{
	struct wheel_node *node = leaving(worker, slot);

	if (node->prev == WHEEL_NONE)
		worker->leaving_first = node->next;
	else
		leaving(worker, node->prev)->next = node->next;
	if (node->next == WHEEL_NONE)
		worker->leaving_last = node->prev;
	else
		leaving(worker, node->next)->prev = node->prev;
}

/* For presence it is over, and the console is told. The tag is 0 from here on. */
static void end_session(struct worker *worker, uint32_t slot, enum reason reason)
{
	struct session ended = worker->seats[slot].session;

	house_lock(worker->house);
	tell_end(worker, &ended, reason);
	watch_end(&worker->watch, slot, reason);
	house_unlock(worker->house);
	/* The connection is still there, and is called by this name until it is closed. */
	worker->seats[slot].session.generation = ended.generation;
}

void farewell_begin(struct worker *worker, uint32_t slot, enum reason reason)
{
	struct seat *seat = &worker->seats[slot];
	struct connection connection = {slot, seat->session.generation};

	end_session(worker, slot, reason);
	leave(worker, slot);
	worker->kind->act(worker->engine, connection, ENGINE_SEND | ENGINE_CLOSE);
}

void farewell_say(struct worker *worker, uint32_t slot, enum reason reason, enum final final)
{
	conversation_finish(&worker->seats[slot].conversation, final);
	farewell_begin(worker, slot, reason);
}

void farewell_drop(struct worker *worker, uint32_t slot, enum reason reason)
{
	struct seat *seat = &worker->seats[slot];
	struct connection connection = {slot, seat->session.generation};

	end_session(worker, slot, reason);
	leave(worker, slot);
	worker->kind->drop(worker->engine, connection);
}

static enum reason reason_of_end(const struct worker *worker, uint32_t slot, enum engine_end end)
{
	if (conversation_spells_stop(&worker->seats[slot].conversation, &worker->heads))
		return REASON_STOPPED;
	switch (end) {
	case ENGINE_END_TIMEOUT:
		return REASON_UNREACHABLE;
	case ENGINE_END_DROPPED:
		return REASON_DRAINED;
	case ENGINE_END_FINISHED:
	case ENGINE_END_RESET:
	case ENGINE_END_FAILED:
		break;
	}
	return REASON_RESET;
}

void farewell_closed(struct worker *worker, uint32_t slot, enum engine_end end)
{
	struct seat *seat = &worker->seats[slot];

	if (seat->session.tag != 0)
		end_session(worker, slot, reason_of_end(worker, slot, end));
	else
		leave_no_more(worker, slot);
	conversation_fini(&seat->conversation, &worker->heads);
}

void farewell_displaced(struct worker *worker)
{
	uint32_t slot, generation;

	while (mailbox_take(&worker->mailbox, &slot, &generation)) {
		const struct session *session = &worker->seats[slot].session;

		if (session->tag != 0 && session->generation == generation)
			farewell_say(worker, slot, REASON_REPLACED, FINAL_STOP);
	}
}

static void say_stop_to_all(struct worker *worker)
{
	for (uint32_t slot = 0; slot < worker->seats_count && worker->watch.live > 0; slot++)
		if (worker->seats[slot].session.tag != 0)
			farewell_say(worker, slot, REASON_DRAINED, FINAL_STOP);
}

static void drop_all_leaving(const struct worker *worker)
{
	for (uint32_t slot = worker->leaving_first; slot != WHEEL_NONE;
	     slot = leaving(worker, slot)->next)
		worker->kind->drop(
			worker->engine,
			(struct connection){slot, worker->seats[slot].session.generation});
}

void farewell_drain(struct worker *worker, bool whole)
{
	uint64_t until = atomic_load_explicit(&worker->house->drain_until, memory_order_relaxed);
	bool is_over;

	if (until == 0)
		return;
	is_over = worker->watch.now.ns >= until;
	if (!worker->draining) {
		/* Newcomers wait from now on; those who are in are heard once more, in a turn that is whole. */
		worker->draining = true;
		worker->kind->finish(worker->engine);
		atomic_fetch_add(&worker->house->doors_closed, 1);
	} else if (worker->watch.live > 0 && (whole || is_over)) {
		/* Whoever is told only when the time is up may take it at once: the next turn drops. */
		say_stop_to_all(worker);
	} else if (is_over && !worker->dropped) {
		worker->dropped = true;
		drop_all_leaving(worker);
	}
}

void farewell_late(struct worker *worker)
{
	uint64_t now_ms = worker->watch.awake.ns / NS_PER_MS;

	for (uint32_t slot = worker->leaving_first; slot != WHEEL_NONE;
	     slot = leaving(worker, slot)->next) {
		if (leaving(worker, slot)->due_ms > now_ms)
			break;
		/* Moved on, lest it be dropped in every turn until the engine has done so. */
		leaving(worker, slot)->due_ms = now_ms + MS_PER_S;
		worker->kind->drop(
			worker->engine,
			(struct connection){slot, worker->seats[slot].session.generation});
	}
}

struct mono farewell_next(const struct worker *worker)
{
	uint64_t until = atomic_load_explicit(&worker->house->drain_until, memory_order_relaxed);
	struct mono next = {UINT64_MAX};

	if (until != 0 && !worker->dropped)
		next = worker->watch.live > 0 ? worker->watch.now : (struct mono){until};
	if (worker->leaving_first != WHEEL_NONE) {
		uint64_t now_ms = worker->watch.awake.ns / NS_PER_MS;
		uint64_t due_ms = leaving(worker, worker->leaving_first)->due_ms;
		uint64_t wait_ms = due_ms > now_ms ? due_ms - now_ms : 0;

		next = mono_earlier(next, mono_after(worker->watch.now, wait_ms * NS_PER_MS));
	}
	return next;
}
