/*
 * The engine for Linux as everybody has it: one loop a worker, level-triggered epoll.
 *
 * A turn is: wait; read the clock; do what was told, each ready connection one receive and its replies one send; let the
 * worker judge. What a call down asks for is only marked, and done when the call up has returned.
 *
 * When a turn is whole. What epoll_wait told was true when it returned, and the server may have been stopped for hours
 * before the clock was read. So only what is asked of the kernel *after* the reading counts: a wait without a timeout
 * (harvest) that leaves nothing behind, and of each flooded connection as many bytes as it held then. This second look
 * is taken where somebody may be judged (the time that `turned` asked for has come, or it was woken), else at most once
 * in LOOK_NS; other turns are not whole. A loop so busy that it need not wait reads the clock first and has the look for
 * nothing.
 */

#include "engine/epoll.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/peer.h"

#define BUSY_EVENTS 32 /* a turn that brought as many is followed by one that does not wait */
#define ACCEPTS_MAX 64 /* newcomers of one listener before the others have their turn */
#define LOOK_NS (10 * NS_PER_MS)

/* The data of events that are not a connection's; a connection's generation is never 0. */
#define DATA_LISTENER(i) ((uint64_t)(i))
#define DATA_WAKER ((uint64_t)UINT32_MAX)

/* ---- newcomers */

/* Gives the newcomer a slot and arms it. Returns the slot or a negative errno. */
static int64_t seat(struct engine *engine, int fd)
{
	uint32_t slot = links_take(&engine->links, fd);
	struct epoll_event event;

	if (slot == LINKS_NONE)
		return -ENOSPC;
	epoll_link(engine, slot)->flags |= ARMED_IN;
	event = epoll_event_of(engine, slot);
	if (epoll_ctl(engine->epoll, EPOLL_CTL_ADD, fd, &event) == 0)
		return slot;
	links_give(&engine->links, slot);
	return -errno;
}

static void welcome(struct engine *engine, unsigned listener, int fd,
		    const struct sockaddr_storage *peer)
{
	int64_t seated = seat(engine, fd);
	uint32_t slot = (uint32_t)seated;

	if (seated < 0) {
		shed_refuse(&engine->shed, listener, engine->now, fd);
		engine->calls->shed(engine->worker, listener, (int)-seated);
		return;
	}
	/* What it has said already is still to be told. */
	engine->again = true;
	if (engine->calls->accepted(engine->worker, links_name(&engine->links, slot), listener,
				    peer))
		return;
	epoll_ctl(engine->epoll, EPOLL_CTL_DEL, fd, NULL);
	links_give(&engine->links, slot);
	shed_refuse(&engine->shed, listener, engine->now, fd);
}

static void accept_some(struct engine *engine, unsigned listener)
{
	struct sockaddr_storage peer;

	for (int i = 0; i < ACCEPTS_MAX; i++) {
		int fd;

		/* The call before may have said that it is enough. */
		if (!engine->open || engine->is_finishing)
			return;
		fd = shed_accept(&engine->shed, listener, engine->now, &peer);
		if (fd == -EAGAIN)
			return;
		engine->work++;
		if (fd >= 0)
			welcome(engine, listener, fd, &peer);
		else
			engine->calls->shed(engine->worker, listener, -fd);
		epoll_perform_marks(engine);
	}
	engine->again = true;
}

/* Arms or disarms the listeners, as it is wanted now. */
static int sync_listeners(struct engine *engine)
{
	bool want = engine->open && !engine->is_finishing &&
		    !shed_is_paused(&engine->shed, engine->now);

	if (want == engine->is_listening)
		return 0;
	for (unsigned i = 0; i < engine->shed.listeners_count; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.u64 = DATA_LISTENER(i)};

		if (epoll_ctl(engine->epoll, want ? EPOLL_CTL_ADD : EPOLL_CTL_DEL,
			      engine->shed.listeners[i].fd, &event) != 0)
			return -errno;
	}
	engine->is_listening = want;
	return 0;
}

/* ---- turns */

/* Waits, not beyond `until`. Returns how many events there are; interrupted, none, but there may be more. */
static int harvest(struct engine *engine, struct mono now, struct mono until)
{
	uint64_t ns = mono_between(now, until);
	struct timespec wait = {(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};
	bool is_endless = until.ns == UINT64_MAX;
	int coarse = ns < NS_PER_S * 3600 ? (int)((ns + NS_PER_MS - 1) / NS_PER_MS) : 3600 * 1000;
	int count;

	if (engine->is_coarse || ns == 0)
		count = epoll_wait(engine->epoll, engine->events, EPOLL_EVENTS_MAX,
				   is_endless ? -1 : coarse);
	else
		count = epoll_pwait2(engine->epoll, engine->events, EPOLL_EVENTS_MAX,
				     is_endless ? NULL : &wait, NULL);
	if (count >= 0)
		return count;
	engine->again |= errno == EINTR;
	return errno == EINTR ? 0 : -errno;
}

static void on_waker(struct engine *engine)
{
	uint64_t count;

	/* Emptied before the flag is cleared: who wakes in between is served by this very turn. */
	(void)!read(engine->waker, &count, sizeof(count));
	atomic_store(&engine->woken, false);
}

static void dispatch(struct engine *engine, int count)
{
	for (int i = 0; i < count; i++) {
		uint64_t data = engine->events[i].data.u64;
		struct connection name = {(uint32_t)data, (uint32_t)(data >> 32)};

		if (data == DATA_WAKER)
			on_waker(engine);
		else if (name.generation == 0)
			accept_some(engine, name.slot);
		else if (links_named(&engine->links, name) != NULL)
			epoll_on_event(engine, name.slot, engine->events[i].events);
		epoll_perform_marks(engine);
	}
}

/*
 * Tells what `count` events say, and looks again until the turn is whole, where it is to be. `is_after`: these events
 * were asked for after the clock was read. Returns whether it is whole, or a negative errno.
 */
static int tell_all(struct engine *engine, int count, bool is_after)
{
	/* What was ready then is told within as many events as there are connections: epoll goes round. */
	uint64_t enough = (uint64_t)engine->links.live + engine->shed.listeners_count + 1;
	uint64_t told = 0;

	for (;;) {
		bool is_all;

		dispatch(engine, count);
		if (!engine->is_whole_wanted)
			return is_after && count < EPOLL_EVENTS_MAX && !engine->again;
		epoll_drain_floods(engine);
		told += is_after ? (uint64_t)count : 0;
		is_all = is_after && (count < EPOLL_EVENTS_MAX || told >= enough) && !engine->again;
		if (is_all || engine->work >= EPOLL_WORK_MAX)
			break;
		engine->again = false;
		is_after = true;
		count = harvest(engine, engine->now, engine->now);
		if (count < 0)
			return count;
	}
	is_after = engine->work < EPOLL_WORK_MAX && engine->floods_count == 0;
	epoll_forget_floods(engine);
	return is_after;
}

/* Lets more come together, where that is worth it. */
static void gather(struct engine *engine)
{
	struct timespec moment = {.tv_nsec = (long)engine->gather_ns};
	uint64_t left = mono_between(engine->now, engine->until);

	if (engine->gather_ns > 0 && engine->gather_ns < left)
		nanosleep(&moment, NULL);
}

/* When the next wait is to end at the latest. */
static struct mono wait_until(const struct engine *engine)
{
	return mono_earlier(engine->until, shed_next(&engine->shed, engine->now));
}

/*
 * Reads the clock and brings events: without waiting where the loop is busy or has something to do, and then they are
 * from after the reading. Returns how many, or a negative errno.
 */
static int begin_turn(struct engine *engine, bool *is_after)
{
	bool is_marked = engine->links.marked_first != LINKS_NONE;
	int count = 0;

	engine->again = false;
	engine->now = clock_mono();
	*is_after = true;
	if (engine->is_busy || is_marked) {
		count = harvest(engine, engine->now, engine->now);
		if (count != 0 || is_marked)
			return count;
	}
	gather(engine);
	*is_after = false;
	count = harvest(engine, engine->now, wait_until(engine));
	engine->now = clock_mono();
	return count;
}

static int turn(struct engine *engine)
{
	bool is_after;
	int whole;
	int count = begin_turn(engine, &is_after);

	if (count < 0)
		return count;
	engine->calls->woke(engine->worker, engine->now);
	engine->work = 0;
	engine->is_whole_wanted =
		engine->again || atomic_load(&engine->woken) ||
		!mono_before(engine->now, engine->until) ||
		(count < EPOLL_EVENTS_MAX && mono_between(engine->looked, engine->now) >= LOOK_NS);
	epoll_perform_marks(engine);
	whole = tell_all(engine, count, is_after);
	if (whole < 0)
		return whole;
	shed_turn(&engine->shed, engine->now);
	engine->until = engine->calls->turned(engine->worker, whole);
	if (whole)
		engine->looked = engine->now;
	else
		engine->until = mono_earlier(engine->until, mono_after(engine->looked, LOOK_NS));
	engine->gather_ns = linger_turn(&engine->linger, engine->now);
	engine->is_busy = count >= BUSY_EVENTS && engine->gather_ns == 0;
	return sync_listeners(engine);
}

static int run_epoll(struct engine *engine)
{
	int error = sync_listeners(engine);

	/* The last words are on their way until their peers have closed, too, or had time to. */
	while (error == 0 &&
	       !(engine->is_finishing && engine->links.live == 0 && engine->shed.count == 0))
		error = turn(engine);
	return error;
}

/* ---- calls down */

static void wake_epoll(struct engine *engine)
{
	uint64_t one = 1;

	if (!atomic_exchange(&engine->woken, true))
		(void)!write(engine->waker, &one, sizeof(one));
}

static void admit_epoll(struct engine *engine, bool open)
{
	engine->open = open;
}

static void finish_epoll(struct engine *engine)
{
	engine->is_finishing = true;
}

static void act_epoll(struct engine *engine, struct connection connection, unsigned duties)
{
	if (links_named(&engine->links, connection) != NULL)
		links_mark(&engine->links, connection.slot,
			   (duties & ENGINE_SEND ? LINK_TO_SEND : 0) |
				   (duties & ENGINE_CLOSE ? LINK_TO_CLOSE : 0));
}

static void drop_epoll(struct engine *engine, struct connection connection)
{
	if (links_named(&engine->links, connection) != NULL)
		links_mark(&engine->links, connection.slot, LINK_TO_DROP);
}

static int ask_epoll(struct engine *engine, struct connection connection, struct engine_view *view)
{
	const struct link *link = links_named(&engine->links, connection);

	return link == NULL ? -ESTALE : peer_ask(link->fd, link->flags & LINK_ENDED, view);
}

static int tune_epoll(struct engine *engine, struct connection connection, unsigned probe_s,
		      unsigned give_up_ms)
{
	const struct link *link = links_named(&engine->links, connection);

	return link == NULL ? -ESTALE : peer_tune(link->fd, probe_s, give_up_ms);
}

/* ---- life */

static int open_waits(struct engine *engine)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = DATA_WAKER};
	struct timespec none = {0};

	engine->epoll = epoll_create1(EPOLL_CLOEXEC);
	engine->waker = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (engine->epoll < 0 || engine->waker < 0)
		return -errno;
	if (epoll_ctl(engine->epoll, EPOLL_CTL_ADD, engine->waker, &event) != 0)
		return -errno;
	engine->is_coarse = epoll_pwait2(engine->epoll, engine->events, 1, &none, NULL) < 0;
	return 0;
}

static void close_waits(struct engine *engine)
{
	if (engine->waker >= 0)
		close(engine->waker);
	if (engine->epoll >= 0)
		close(engine->epoll);
}

static int open_epoll(struct engine **given, const struct engine_config *config,
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
	linger_init(&engine->linger, config->linger_ns, engine->now);
	error = links_init(&engine->links, config->connections_max, calls, worker);
	if (error != 0)
		goto fail_links;
	error = shed_init(&engine->shed, config);
	if (error != 0)
		goto fail_shed;
	error = open_waits(engine);
	if (error != 0)
		goto fail_waits;
	*given = engine;
	return 0;

fail_waits:
	close_waits(engine);
	shed_fini(&engine->shed);
fail_shed:
	links_fini(&engine->links);
fail_links:
	free(engine);
	return error;
}

static void close_epoll(struct engine *engine)
{
	if (engine == NULL)
		return;
	for (uint32_t slot = 0; slot < engine->links.used; slot++)
		if (epoll_link(engine, slot)->flags & LINK_USED)
			epoll_end(engine, slot, LINK_DROPPED);
	assert(engine->links.live == 0);
	shed_fini(&engine->shed);
	close_waits(engine);
	links_fini(&engine->links);
	free(engine);
}

const struct engine_kind engine_epoll = {
	.name = "epoll",
	.open = open_epoll,
	.run = run_epoll,
	.close = close_epoll,
	.wake = wake_epoll,
	.admit = admit_epoll,
	.finish = finish_epoll,
	.act = act_epoll,
	.drop = drop_epoll,
	.ask = ask_epoll,
	.tune = tune_epoll,
};
