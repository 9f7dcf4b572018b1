/*
 * The engine for everywhere: POSIX threads and sockets. The main thread lets newcomers in and keeps the time; each
 * client has a thread of its own, with a small stack.
 *
 * All calls up are made under one lock. For a message its thread takes it once: it waits in poll, takes the lock, reads
 * the clock (`woke`), takes the bytes, tells them, copies what is to be sent, tells that as sent, gives the lock back
 * and sends. What the socket did not take it takes back (`blocked`); the main thread sends on when there is room.
 *
 *   who sends             without the lock: its own thread alone (`sending` is not QUIET meanwhile)
 *                         with the lock: anybody, while `sending` is QUIET; else it is noted for its own thread
 *   who receives          with the lock, anybody
 *   who ends it           with the lock, anybody: tells `closed`, and shuts the socket so that its thread wakes
 *   who closes it         its own thread, with the lock, when it has given the slot back: nobody else ever acts on a
 *                         descriptor that may be another's by now
 *   HOLD, ended, closing  its own thread has nothing to do and waits at a condition; the main thread watches the socket
 *                         for errors, and for room
 *
 * Hear before you bury. Bytes that somebody has taken out of the kernel and not told yet would be invisible: a server
 * that is stopped or starved in that moment would find nothing unread, and call the client silent. Therefore nobody ever
 * has bytes in hand: a thread waits for them with poll, which takes nothing, and receives only with the lock, telling
 * them before it gives the lock back. So for whoever holds the lock, what has arrived is either told or still in the
 * kernel, where poll sees it; that holds for unix sockets, too, and needs no counting of milliseconds.
 * Before a whole turn the main thread takes the lock, reads the clock, lets in all who wait, and looks at every
 * connection; what is unread it receives and tells itself. It keeps the lock from the reading of the clock to
 * `turned`, because calls up are made with ever later clocks. The look costs some 0.1 us a connection; when it takes
 * long, the next one waits for LOOK_REST times as long, so that it takes a small part of the time of everybody else.
 *
 * Fairness. A pthread mutex goes to whoever comes first, and one who has just given it back comes first again: a few
 * busy clients would keep everybody else out, and a thousand the timekeeper. So there is a gate in front of the lock.
 * Who waits behind it holds up all who come later, and gets the lock after those who are queuing already: the main
 * thread always does so, the others when they have waited for PATIENCE_NS. Without such need the lock stays a plain one,
 * because handing it from one to the next would cost a change of threads for each message.
 *
 * Between whole turns the worker is asked for its next deadline at most TICK_NS after anything was told, for what was
 * told may have made an earlier one.
 */

#include "engine/threads.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/peer.h"

#define STACK_BYTES (64 * 1024)
#define ACCEPTS_MAX 64
#define LOOKS_AT_ONCE 512
#define LOOKS_AGAIN 4 /* times that a look is begun anew before the turn is given up as not whole */
#define LOOK_REST 10
#define PATIENCE_NS 2000000L
#define TICK_NS (10 * NS_PER_MS)
#define LEAVING_NS (100 * NS_PER_MS) /* how often it is looked whose thread is to be made to go */

static const struct mono never = {UINT64_MAX};

/* ---- the lock */

void threads_begin(struct engine *engine)
{
	engine->now = clock_mono();
	engine->calls->woke(engine->worker, engine->now);
}

/* The next one to have the lock, after those who are queuing already. */
static void lock_first(struct engine *engine)
{
	pthread_mutex_lock(&engine->gate);
	atomic_store(&engine->is_gated, true);
	pthread_mutex_lock(&engine->lock);
	atomic_store(&engine->is_gated, false);
	pthread_mutex_unlock(&engine->gate);
}

static bool lock_patiently(struct engine *engine)
{
	struct timespec until;

	if (pthread_mutex_trylock(&engine->lock) == 0)
		return true;
	/* The wall clock is what POSIX has for this; where it steps, somebody waits longer or is impatient once. */
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += PATIENCE_NS;
	if (until.tv_nsec >= (long)NS_PER_S) {
		until.tv_nsec -= (long)NS_PER_S;
		until.tv_sec++;
	}
	return pthread_mutex_timedlock(&engine->lock, &until) == 0;
}

void threads_enter(struct engine *engine)
{
	if (atomic_load_explicit(&engine->is_gated, memory_order_relaxed)) {
		pthread_mutex_lock(&engine->gate);
		pthread_mutex_unlock(&engine->gate);
	}
	if (!lock_patiently(engine))
		lock_first(engine);
	threads_begin(engine);
}

static void write_waker(struct engine *engine)
{
	/* Full, it wakes as well. */
	(void)!write(engine->waker[1], "", 1);
}

void threads_poke(struct engine *engine)
{
	if (!engine->is_poked)
		write_waker(engine);
	engine->is_poked = true;
}

/* Something was told: the worker's next deadline may have changed. */
static void stir(struct engine *engine)
{
	if (engine->is_stirred)
		return;
	engine->is_stirred = true;
	engine->stirred_at = engine->now;
	if (mono_before(mono_after(engine->now, TICK_NS), engine->sleeps))
		threads_poke(engine);
}

/* Its own thread is sending, and will look for what is noted for it. */
static bool is_left_to_sender(struct engine *engine, uint32_t slot)
{
	int found = THREADS_SENDING;

	return atomic_compare_exchange_strong(&engine->clients[slot].sending, &found,
					      THREADS_CALLED) ||
	       found == THREADS_CALLED;
}

static void defer_to_sender(struct engine *engine, uint32_t slot)
{
	struct link *link = threads_link(engine, slot);

	if (is_left_to_sender(engine, slot))
		link->flags |= LINK_DEFERS;
	else
		link->flags &= ~(uint32_t)LINK_DEFERS;
}

/*
 * What was left to the sending thread is not sent in this turn: to the worker, that is a socket that takes no more for
 * now. It is asked for its output all the same, as it was promised.
 */
static enum link_fate tell_deferred(struct engine *engine, uint32_t slot)
{
	struct link *link = threads_link(engine, slot);
	struct connection name = links_name(&engine->links, slot);
	struct engine_slice slices[ENGINE_SLICES];

	if ((link->flags & (LINK_DEFERS | LINK_TO_SEND)) != (LINK_DEFERS | LINK_TO_SEND) ||
	    link->flags & (LINK_BLOCKED | LINK_BROKEN) ||
	    engine->calls->output(engine->worker, name, slices) == 0)
		return LINK_STAYS;
	return links_take_duties(&engine->links, slot,
				 engine->calls->blocked(engine->worker, name, 0));
}

static void perform_marks(struct engine *engine)
{
	enum link_fate fate;
	uint32_t slot;

	while ((slot = links_unmark(&engine->links)) != LINKS_NONE) {
		if (threads_link(engine, slot)->flags & THREADS_OVER)
			continue;
		defer_to_sender(engine, slot);
		fate = links_perform_marked(&engine->links, slot);
		if (fate == LINK_STAYS)
			fate = tell_deferred(engine, slot);
		threads_settle(engine, slot, fate, false);
	}
}

void threads_leave(struct engine *engine)
{
	perform_marks(engine);
	stir(engine);
	pthread_mutex_unlock(&engine->lock);
}

/* ---- ends */

bool threads_is_idle(const struct link *link)
{
	if (link->flags & THREADS_OVER)
		return false;
	return link->flags & (LINK_ENDED | LINK_CLOSING) ||
	       (link->flags & (LINK_HELD | THREADS_GONE)) == LINK_HELD;
}

static void rouse(struct engine *engine, uint32_t slot)
{
	const struct link *link = threads_link(engine, slot);

	if (link->flags & THREADS_IDLE && !threads_is_idle(link))
		pthread_cond_broadcast(&engine->conditions[slot % THREADS_CONDITIONS]);
}

/* Its thread waits for bytes, which may never come. It is made to go when the peer had time to close. */
static void leave_to_peer(struct engine *engine, uint32_t slot)
{
	threads_link(engine, slot)->flags |= THREADS_LEAVING;
	engine->clients[slot].until = mono_after(engine->now, SHED_PARTING_MS * NS_PER_MS);
	if (engine->leaving++ == 0)
		threads_poke(engine);
}

static void shut(struct engine *engine, uint32_t slot, enum link_fate fate)
{
	struct link *link = threads_link(engine, slot);

	if (fate == LINK_DROPPED && link->flags & LINK_BLOCKED)
		shed_abort(link->fd);
	if (fate != LINK_FINISHED) {
		shutdown(link->fd, SHUT_RDWR);
	} else if (shutdown(link->fd, SHUT_WR) == 0 && !(link->flags & LINK_ENDED)) {
		link->flags |= THREADS_SEE_OFF;
	}
}

void threads_end(struct engine *engine, uint32_t slot, enum link_fate fate, bool is_own)
{
	static const enum engine_end ends[] = {
		[LINK_FINISHED] = ENGINE_END_FINISHED, [LINK_DROPPED] = ENGINE_END_DROPPED};
	struct link *link = threads_link(engine, slot);
	int error = fate == LINK_FAILED ? link->error : 0;

	shut(engine, slot, fate);
	link->flags |= THREADS_OVER;
	engine->over++;
	if (link->flags & THREADS_SEE_OFF && !is_own)
		leave_to_peer(engine, slot);
	engine->calls->closed(engine->worker, links_name(&engine->links, slot),
			      fate == LINK_FAILED ? peer_end(error) : ends[fate], error);
	rouse(engine, slot);
}

/* Something that its own thread does not wait for. */
static bool is_troubled(const struct link *link)
{
	return link->flags & (LINK_BLOCKED | LINK_HELD | LINK_ENDED) &&
	       !(link->flags & (THREADS_OVER | THREADS_GONE));
}

void threads_settle(struct engine *engine, uint32_t slot, enum link_fate fate, bool is_own)
{
	struct link *link = threads_link(engine, slot);

	if (fate == LINK_STAYS && link->flags & LINK_BROKEN)
		fate = links_receive_rest(&engine->links, slot, engine->bytes);
	if (fate == LINK_STAYS && link->flags & THREADS_GONE &&
	    link->flags & (LINK_ENDED | LINK_CLOSING))
		fate = links_gone(&engine->links, slot);
	if (fate != LINK_STAYS) {
		threads_end(engine, slot, fate, is_own);
		return;
	}
	if (is_troubled(link) && !engine->is_troubled) {
		engine->is_troubled = true;
		threads_poke(engine);
	}
	/* No longer held: what it holds is to be heard before the turn is whole. */
	if (link->flags & THREADS_IDLE && !threads_is_idle(link))
		engine->again = true;
	rouse(engine, slot);
}

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
	shut(engine, slot, LINK_FINISHED);
	link->flags |= THREADS_OVER;
	engine->over++;
	leave_to_peer(engine, slot);
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
		perform_marks(engine);
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
		defer_to_sender(engine, slot);
		fate = links_receive(&engine->links, slot, engine->bytes, &got);
		if (fate == LINK_STAYS)
			fate = tell_deferred(engine, slot);
	}
	threads_settle(engine, slot, fate, false);
	perform_marks(engine);
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
	} else if (link->flags & LINK_BLOCKED && !is_left_to_sender(engine, slot)) {
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

		if (link->flags & LINK_USED && is_troubled(link))
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

		if (engine->looks[i].revents == 0 || link == NULL || !is_troubled(link))
			continue;
		on_trouble(engine, engine->looked_at[i].slot, engine->looks[i].revents);
		perform_marks(engine);
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

/* The worker's turn, where it is time for it. */
static void turn(struct engine *engine, bool is_asked)
{
	bool is_due = is_asked || !mono_before(engine->now, engine->until);
	bool is_rested = !mono_before(engine->now, engine->rest);
	bool is_whole = is_due && is_rested && hear_all(engine);

	if (!is_due && mono_before(engine->now, mono_after(engine->stirred_at, TICK_NS)))
		return;
	engine->until = engine->calls->turned(engine->worker, is_whole);
	if (is_due && !is_whole)
		engine->until = mono_earlier(engine->until, engine->rest);
	if (is_whole)
		engine->rest = mono_after(engine->now,
					  LOOK_REST * mono_between(engine->now, clock_mono()));
	engine->is_stirred = false;
	if (engine->links.marked_first == LINKS_NONE)
		return;
	/* What is told of that belongs to the next turn. */
	threads_begin(engine);
	perform_marks(engine);
	stir(engine);
}

static struct mono sleep_until(const struct engine *engine)
{
	struct mono until = engine->until;

	if (mono_before(until, engine->rest))
		until = engine->rest;
	until = mono_earlier(until, shed_next(&engine->shed, engine->now));
	if (engine->is_stirred)
		until = mono_earlier(until, mono_after(engine->stirred_at, TICK_NS));
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
	lock_first(engine);
	threads_begin(engine);
	engine->is_poked = true;
	is_asked = drain_waker(engine);
	if (found > 0) {
		for (uint32_t i = 1; i < own; i++)
			if (engine->looks[i].revents != 0 && accept_some(engine, i - 1))
				stir(engine);
		look_after_troubled(engine, own, count);
	}
	see_to_leaving(engine);
	shed_turn(&engine->shed, engine->now);
	turn(engine, is_asked);
	return 0;
}

static int run_threads(struct engine *engine)
{
	int error = 0;

	pthread_mutex_lock(&engine->lock);
	while (error == 0 && !(engine->is_finishing && engine->threads == 0))
		error = main_turn(engine);
	pthread_mutex_unlock(&engine->lock);
	return error;
}

/* ---- calls down */

static void wake_threads(struct engine *engine)
{
	if (!atomic_exchange(&engine->woken, true))
		write_waker(engine);
}

static void admit_threads(struct engine *engine, bool open)
{
	engine->open = open;
	threads_poke(engine);
}

static void finish_threads(struct engine *engine)
{
	engine->is_finishing = true;
	threads_poke(engine);
}

/* NULL where the name is stale. */
static struct link *named(struct engine *engine, struct connection connection)
{
	struct link *link = links_named(&engine->links, connection);

	return link != NULL && !(link->flags & THREADS_OVER) ? link : NULL;
}

static void act_threads(struct engine *engine, struct connection connection, unsigned duties)
{
	if (named(engine, connection) != NULL)
		links_mark(&engine->links, connection.slot,
			   (duties & ENGINE_SEND ? LINK_TO_SEND : 0) |
				   (duties & ENGINE_CLOSE ? LINK_TO_CLOSE : 0));
}

static void drop_threads(struct engine *engine, struct connection connection)
{
	if (named(engine, connection) != NULL)
		links_mark(&engine->links, connection.slot, LINK_TO_DROP);
}

static int ask_threads(struct engine *engine, struct connection connection,
		       struct engine_view *view)
{
	const struct link *link = named(engine, connection);

	return link == NULL ? -ESTALE : peer_ask(link->fd, link->flags & LINK_ENDED, view);
}

static int tune_threads(struct engine *engine, struct connection connection, unsigned probe_s,
			unsigned give_up_ms)
{
	const struct link *link = named(engine, connection);

	return link == NULL ? -ESTALE : peer_tune(link->fd, probe_s, give_up_ms);
}

/* ---- life */

static void *map(size_t count, size_t size)
{
	void *memory = mmap(NULL, count * size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static size_t looks_max(const struct engine *engine)
{
	return (size_t)engine->links.max + ENGINE_LISTENERS_MAX + 1;
}

/* Unmaps what of them there is. */
static void fini_tables(struct engine *engine)
{
	if (engine->clients != NULL)
		munmap(engine->clients, engine->links.max * sizeof(*engine->clients));
	if (engine->looks != NULL)
		munmap(engine->looks, looks_max(engine) * sizeof(*engine->looks));
	if (engine->looked_at != NULL)
		munmap(engine->looked_at, looks_max(engine) * sizeof(*engine->looked_at));
	links_fini(&engine->links);
}

static int init_tables(struct engine *engine, uint32_t max)
{
	int error = links_init(&engine->links, max, engine->calls, engine->worker);

	if (error != 0)
		return error;
	engine->clients = map(max, sizeof(*engine->clients));
	engine->looks = map(looks_max(engine), sizeof(*engine->looks));
	engine->looked_at = map(looks_max(engine), sizeof(*engine->looked_at));
	if (engine->clients != NULL && engine->looks != NULL && engine->looked_at != NULL)
		return 0;
	fini_tables(engine);
	return -ENOMEM;
}

static void init_threads(struct engine *engine)
{
	pthread_mutex_init(&engine->lock, NULL);
	pthread_mutex_init(&engine->gate, NULL);
	for (int i = 0; i < THREADS_CONDITIONS; i++)
		pthread_cond_init(&engine->conditions[i], NULL);
	pthread_cond_init(&engine->all_gone, NULL);
	pthread_attr_init(&engine->attributes);
	pthread_attr_setdetachstate(&engine->attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&engine->attributes, (size_t)PTHREAD_STACK_MIN + STACK_BYTES);
}

static void fini_threads(struct engine *engine)
{
	pthread_attr_destroy(&engine->attributes);
	pthread_cond_destroy(&engine->all_gone);
	for (int i = 0; i < THREADS_CONDITIONS; i++)
		pthread_cond_destroy(&engine->conditions[i]);
	pthread_mutex_destroy(&engine->gate);
	pthread_mutex_destroy(&engine->lock);
}

static int open_waker(struct engine *engine)
{
	if (pipe(engine->waker) != 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		fcntl(engine->waker[i], F_SETFD, FD_CLOEXEC);
		fcntl(engine->waker[i], F_SETFL, O_NONBLOCK);
	}
	return 0;
}

static int open_threads(struct engine **given, const struct engine_config *config,
			const struct engine_calls *calls, void *worker)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	int error = -ENOMEM;

	if (engine == NULL)
		return error;
	engine->calls = calls;
	engine->worker = worker;
	engine->open = true;
	engine->now = clock_mono();
	engine->until = engine->now;
	engine->sleeps = never;
	error = init_tables(engine, config->connections_max);
	if (error != 0)
		goto fail_tables;
	error = shed_init(&engine->shed, config);
	if (error != 0)
		goto fail_shed;
	error = open_waker(engine);
	if (error != 0)
		goto fail_waker;
	init_threads(engine);
	*given = engine;
	return 0;

fail_waker:
	shed_fini(&engine->shed);
fail_shed:
	fini_tables(engine);
fail_tables:
	free(engine);
	return error;
}

/* Ends all that are left, and waits for their threads. */
static void drop_all(struct engine *engine)
{
	pthread_mutex_lock(&engine->lock);
	for (uint32_t slot = 0; slot < engine->links.used; slot++) {
		struct link *link = threads_link(engine, slot);

		if (!(link->flags & LINK_USED))
			continue;
		if (!(link->flags & THREADS_OVER))
			threads_end(engine, slot, LINK_DROPPED, false);
		shutdown(link->fd, SHUT_RDWR);
	}
	while (engine->threads > 0)
		pthread_cond_wait(&engine->all_gone, &engine->lock);
	pthread_mutex_unlock(&engine->lock);
}

static void close_threads(struct engine *engine)
{
	if (engine == NULL)
		return;
	drop_all(engine);
	fini_threads(engine);
	close(engine->waker[0]);
	close(engine->waker[1]);
	shed_fini(&engine->shed);
	fini_tables(engine);
	free(engine);
}

const struct engine_kind engine_threads = {
	.name = "threads",
	.open = open_threads,
	.run = run_threads,
	.close = close_threads,
	.wake = wake_threads,
	.admit = admit_threads,
	.finish = finish_threads,
	.act = act_threads,
	.drop = drop_threads,
	.ask = ask_threads,
	.tune = tune_threads,
};
