/*
 * The main thread: newcomers, time, wholeness, and sockets that their own threads do not wait for. See threads.c.
 */

#include "engine/threads.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define ACCEPTS_MAX 64
#define LOOKS_AT_ONCE 512
#define LOOKS_AGAIN 4 /* times that a look is begun anew before the turn is given up as not whole */
#define LOOK_REST 10
#define REST_MAX_NS                                                                                \
	(50 * NS_PER_MS) /* ... but no longer than that: half of what would be called a stall */
#define LEAVING_NS (100 * NS_PER_MS) /* how often it is looked whose thread is to be made to go */

/* ---- newcomers */

/* Gives the newcomer a slot and a thread, which waits for the lock. Returns the slot or a negative errno. */
static int64_t seat(struct engine *engine, int fd)
{
	uint32_t slot = links_take(&engine->links, fd);
	struct threads_client *client = &engine->clients[slot];
	pthread_t thread;
	int error;

	if (slot == LINKS_NONE)
		return -ENOSPC;
	client->engine = engine;
	atomic_store(&client->sending, THREADS_QUIET);
	error = pthread_create(&thread, &engine->attributes, threads_client, client);
	if (error == 0) {
		engine->threads++;
		return slot;
	}
	links_give(&engine->links, slot);
	return -error;
}

/* It has a thread, and that sees it off. */
static void refuse(struct engine *engine, unsigned listener, uint32_t slot)
{
	const struct engine_listener *said = &engine->shed.listeners[listener];
	struct link *link = threads_link(engine, slot);

	if (said->refusal_len > 0)
		(void)send(link->fd, said->refusal, said->refusal_len, MSG_NOSIGNAL | MSG_DONTWAIT);
	threads_shut(engine, slot, LINK_FINISHED);
	link->flags |= THREADS_OVER;
	engine->over++;
	threads_leave_to_peer(engine, slot);
}

static void welcome(struct engine *engine, unsigned listener, int fd,
		    const struct sockaddr_storage *peer)
{
	int64_t seated = seat(engine, fd);
	uint32_t slot = (uint32_t)seated;

	if (seated < 0) {
		shed_refuse(&engine->shed, listener, engine->now, fd);
		engine->calls->shed(engine->worker, listener, (int)-seated);
	} else if (!engine->calls->accepted(engine->worker, links_name(&engine->links, slot),
					    listener, peer)) {
		refuse(engine, listener, slot);
	}
}

static bool is_accepting(const struct engine *engine)
{
	return engine->open && !engine->is_finishing && !threads_is_full(engine);
}

/* Returns whether there may be more. */
static bool accept_some(struct engine *engine, unsigned listener)
{
	struct sockaddr_storage peer;

	for (int i = 0; i < ACCEPTS_MAX && is_accepting(engine); i++) {
		int fd = shed_accept(&engine->shed, listener, engine->now, &peer);

		if (fd == -EAGAIN)
			return false;
		if (fd >= 0)
			welcome(engine, listener, fd, &peer);
		else
			engine->calls->shed(engine->worker, listener, -fd);
		threads_perform_marks(engine);
	}
	return is_accepting(engine);
}

/* ---- wholeness */

/* Receives all that a connection held when it was looked at, and its end where that was behind. */
static void hear_out(struct engine *engine, uint32_t slot)
{
	struct link *link = threads_link(engine, slot);
	enum link_fate fate = LINK_STAYS;
	size_t got = 1;
	int left;

	if (ioctl(link->fd, FIONREAD, &left) != 0)
		left = 0;
	/* One receive more than there are bytes: it brings the end, if that had arrived. */
	for (; fate == LINK_STAYS && got > 0 && left > -2 * ENGINE_RECEIVE_BYTES;
	     left -= ENGINE_RECEIVE_BYTES) {
		if (threads_is_idle(link))
			break;
		threads_defer_to_sender(engine, slot);
		fate = links_receive(&engine->links, slot, engine->bytes, &got);
		if (fate == LINK_STAYS)
			fate = threads_tell_deferred(engine, slot);
	}
	threads_settle(engine, slot, fate, false);
	threads_perform_marks(engine);
}

/* Looks at the first `count` that are noted, and hears out those that have something. */
static bool look(struct engine *engine, uint32_t count)
{
	int found = poll(engine->looks, count, 0);

	for (uint32_t i = 0; i < count && found > 0; i++) {
		uint32_t slot = engine->looked_at[i].slot;

		if (engine->looks[i].revents == 0)
			continue;
		found--;
		if (!(threads_link(engine, slot)->flags & THREADS_OVER))
			hear_out(engine, slot);
	}
	return found >= 0;
}

static uint32_t note_look(struct engine *engine, uint32_t count, uint32_t slot, short events)
{
	engine->looks[count] =
		(struct pollfd){.fd = threads_link(engine, slot)->fd, .events = events};
	engine->looked_at[count] = links_name(&engine->links, slot);
	return count + 1;
}

static bool look_at_all(struct engine *engine)
{
	uint32_t count = 0;

	for (uint32_t slot = 0; slot < engine->links.used; slot++) {
		const struct link *link = threads_link(engine, slot);

		if (!(link->flags & LINK_USED) || link->flags & THREADS_OVER ||
		    threads_is_idle(link))
			continue;
		count = note_look(engine, count, slot, POLLIN);
		if (count < LOOKS_AT_ONCE)
			continue;
		if (!look(engine, count))
			return false;
		count = 0;
	}
	return look(engine, count);
}

/* Tells all that had arrived when the clock was read. Returns whether it could. */
static bool hear_all(struct engine *engine)
{
	for (unsigned i = 0; i < engine->shed.listeners_count; i++)
		while (accept_some(engine, i))
			;
	for (int round = 0; round < LOOKS_AGAIN; round++) {
		engine->again = false;
		if (!look_at_all(engine))
			return false;
		if (!engine->again)
			return true;
	}
	return false;
}

/* ---- the main thread */

/* Errors, and room where that is waited for. */
static void on_trouble(struct engine *engine, uint32_t slot, short events)
{
	struct link *link = threads_link(engine, slot);
	enum link_fate fate = LINK_STAYS;

	if (events & (POLLERR | POLLHUP | POLLNVAL)) {
		link->flags |= THREADS_GONE;
	} else if (link->flags & LINK_BLOCKED && !threads_is_left_to_sender(engine, slot)) {
		link->flags &= ~(uint32_t)(LINK_BLOCKED | LINK_DEFERS);
		fate = links_transmit(&engine->links, slot);
	}
	threads_settle(engine, slot, fate, false);
}

/* Notes those that are in trouble, behind the first `count`. Returns how many are noted. */
static uint32_t note_trouble(struct engine *engine, uint32_t count)
{
	uint32_t first = count;

	for (uint32_t slot = 0; engine->is_troubled && slot < engine->links.used; slot++) {
		const struct link *link = threads_link(engine, slot);

		if (link->flags & LINK_USED && threads_is_troubled(link))
			count = note_look(engine, count, slot,
					  link->flags & LINK_BLOCKED ? POLLOUT : 0);
	}
	engine->is_troubled = count > first;
	return count;
}

static void look_after_troubled(struct engine *engine, uint32_t first, uint32_t count)
{
	for (uint32_t i = first; i < count; i++) {
		struct link *link = links_named(&engine->links, engine->looked_at[i]);

		if (engine->looks[i].revents == 0 || link == NULL || !threads_is_troubled(link))
			continue;
		on_trouble(engine, engine->looked_at[i].slot, engine->looks[i].revents);
		threads_perform_marks(engine);
	}
}

/* Makes the threads go whose peers had time enough to close, or whose slots others wait for. */
static void see_to_leaving(struct engine *engine)
{
	for (uint32_t slot = 0; engine->leaving > 0 && slot < engine->links.used; slot++) {
		struct link *link = threads_link(engine, slot);

		if (link->flags & LINK_USED && link->flags & THREADS_LEAVING &&
		    (!mono_before(engine->now, engine->clients[slot].until) ||
		     threads_is_full(engine)))
			shutdown(link->fd, SHUT_RD);
	}
}

/* Whether it was woken by the worker's wish. */
static bool drain_waker(struct engine *engine)
{
	char bytes[64];

	while (read(engine->waker[0], bytes, sizeof(bytes)) > 0)
		;
	/* Emptied before the flag is cleared: who wakes in between is served by this very turn. */
	return atomic_exchange(&engine->woken, false);
}

/* A look that took long is not to be followed by the next one at once. */
static uint64_t rest_after(const struct engine *engine)
{
	uint64_t rest = LOOK_REST * mono_between(engine->now, clock_mono());

	if (engine->is_finishing)
		return 0;
	return rest < REST_MAX_NS ? rest : REST_MAX_NS;
}

/* The worker's turn, where it is time for it. */
static void turn(struct engine *engine, bool is_asked)
{
	bool is_due = is_asked || !mono_before(engine->now, engine->until);
	bool is_rested = !mono_before(engine->now, engine->rest);
	/* Where nobody is to be judged, nobody needs to be looked at: with many clients that is dear. */
	bool is_wanted = is_due && engine->calls->judges(engine->worker);
	bool is_whole = is_wanted && is_rested && hear_all(engine);

	if (!is_due && mono_before(engine->now, mono_after(engine->stirred_at, THREADS_TICK_NS)))
		return;
	engine->until = engine->calls->turned(engine->worker, is_whole);
	if (is_wanted && !is_whole)
		engine->until = mono_earlier(engine->until, engine->rest);
	if (is_whole)
		engine->rest = mono_after(engine->now, rest_after(engine));
	engine->is_stirred = false;
	if (engine->links.marked_first == LINKS_NONE)
		return;
	/* What is told of that belongs to the next turn. */
	threads_begin(engine);
	threads_perform_marks(engine);
	threads_stir(engine);
}

static struct mono sleep_until(const struct engine *engine)
{
	struct mono until = engine->until;

	if (mono_before(until, engine->rest))
		until = engine->rest;
	until = mono_earlier(until, shed_next(&engine->shed, engine->now));
	if (engine->is_stirred)
		until = mono_earlier(until, mono_after(engine->stirred_at, THREADS_TICK_NS));
	if (engine->leaving > 0)
		until = mono_earlier(until, mono_after(engine->now, LEAVING_NS));
	return until;
}

/* What poll waits for, in whole milliseconds, not too short. */
static int wait_ms(const struct engine *engine)
{
	uint64_t ms = (mono_between(engine->now, engine->sleeps) + NS_PER_MS - 1) / NS_PER_MS;

	return engine->sleeps.ns == UINT64_MAX ? -1 : ms < INT_MAX ? (int)ms : INT_MAX;
}

/* The waker and the listeners, in this order. Returns how many. */
static uint32_t note_own(struct engine *engine)
{
	uint32_t count = 0;

	engine->looks[count++] = (struct pollfd){.fd = engine->waker[0], .events = POLLIN};
	if (!is_accepting(engine) || shed_is_paused(&engine->shed, engine->now))
		return count;
	for (unsigned i = 0; i < engine->shed.listeners_count; i++)
		engine->looks[count++] =
			(struct pollfd){.fd = engine->shed.listeners[i].fd, .events = POLLIN};
	return count;
}

/* Waits without the lock, then does what is the main thread's. Returns 0 or a negative errno. */
static int main_turn(struct engine *engine)
{
	uint32_t own = note_own(engine);
	uint32_t count = note_trouble(engine, own);
	bool is_asked;
	int found, ms;

	engine->sleeps = sleep_until(engine);
	ms = wait_ms(engine);
	engine->is_poked = false;
	pthread_mutex_unlock(&engine->lock);
	found = poll(engine->looks, count, ms);
	if (found < 0 && errno != EINTR) {
		found = -errno;
		pthread_mutex_lock(&engine->lock);
		return found;
	}
	threads_lock_first(engine);
	threads_begin(engine);
	engine->is_poked = true;
	is_asked = drain_waker(engine);
	if (found > 0) {
		for (uint32_t i = 1; i < own; i++)
			if (engine->looks[i].revents != 0 && accept_some(engine, i - 1))
				threads_stir(engine);
		look_after_troubled(engine, own, count);
	}
	see_to_leaving(engine);
	shed_turn(&engine->shed, engine->now);
	turn(engine, is_asked);
	return 0;
}

int threads_run(struct engine *engine)
{
	int error = 0;

	pthread_mutex_lock(&engine->lock);
	while (error == 0 && !(engine->is_finishing && engine->threads == 0))
		error = main_turn(engine);
	pthread_mutex_unlock(&engine->lock);
	return error;
}
