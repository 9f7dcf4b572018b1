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

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/engine.h"
#include "engine/linger.h"
#include "engine/links.h"
#include "engine/peer.h"
#include "engine/shed.h"

#define EVENTS_MAX 512
#define BUSY_EVENTS 32 /* a turn that brought as many is followed by one that does not wait */
#define ACCEPTS_MAX 64 /* newcomers of one listener before the others have their turn */
#define WORK_MAX 65536 /* receives and accepts after which a turn ends, whole or not */
#define FLOODS_MAX 512 /* connections with more than one receive in a turn that is to be whole */
#define LOOK_NS (10 * NS_PER_MS)

#define READABLE (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)
#define GONE (EPOLLHUP | EPOLLERR)

enum epoll_flag {
	ARMED_IN = LINK_ENGINES,
	ARMED_OUT = LINK_ENGINES << 1,
	FLOOD = LINK_ENGINES << 2, /* in the turn's list of floods */
};

struct flood {
	uint32_t slot;
	uint32_t generation;
	int left; /* bytes that it held when it was found out */
};

struct engine {
	const struct engine_calls *calls;
	void *worker;
	struct links links;
	int epoll;
	int waker;
	atomic_bool woken;
	bool is_coarse; /* the kernel has no epoll_pwait2 */
	bool open;
	bool is_finishing;
	bool is_listening; /* the listeners are armed */
	bool is_busy;
	bool is_whole_wanted; /* this turn is to be whole */
	bool again;	      /* there was more than could be told, or something new: look again */
	uint32_t work;	      /* receives and accepts of this turn */
	uint32_t floods_count;
	uint64_t gather_ns;
	struct mono now;
	struct mono until;  /* when the worker wants its turn */
	struct mono looked; /* the last whole turn */
	struct linger_policy linger;
	struct shed shed;
	struct epoll_event events[EVENTS_MAX];
	struct flood floods[FLOODS_MAX];
	char bytes[ENGINE_RECEIVE_BYTES];
};

/* The data of events that are not a connection's; a connection's generation is never 0. */
#define DATA_LISTENER(i) ((uint64_t)(i))
#define DATA_WAKER ((uint64_t)UINT32_MAX)

static struct link *link_at(const struct engine *engine, uint32_t slot)
{
	return &engine->links.table[slot];
}

/* ---- what is armed */

static uint32_t wanted(const struct link *link)
{
	uint32_t flags = 0;

	if (!(link->flags & (LINK_HELD | LINK_ENDED | LINK_CLOSING)))
		flags |= ARMED_IN;
	if (link->flags & LINK_BLOCKED)
		flags |= ARMED_OUT;
	return flags;
}

static struct epoll_event event_of(const struct engine *engine, uint32_t slot)
{
	const struct link *link = link_at(engine, slot);
	struct epoll_event event = {.data.u64 = (uint64_t)link->generation << 32 | slot};

	if (link->flags & ARMED_IN)
		event.events |= EPOLLIN | EPOLLRDHUP;
	if (link->flags & ARMED_OUT)
		event.events |= EPOLLOUT;
	return event;
}

/* Arms what the connection's state calls for; errors and hang-ups are told in any case. */
static void arm(struct engine *engine, uint32_t slot)
{
	struct link *link = link_at(engine, slot);
	uint32_t want = wanted(link);
	struct epoll_event event;
	int error;

	if ((link->flags & (ARMED_IN | ARMED_OUT)) == want)
		return;
	/* No longer held: what it holds had perhaps arrived before this turn. */
	if (want & ~link->flags & ARMED_IN)
		engine->again = true;
	link->flags = (link->flags & ~(uint32_t)(ARMED_IN | ARMED_OUT)) | want;
	event = event_of(engine, slot);
	error = epoll_ctl(engine->epoll, EPOLL_CTL_MOD, link->fd, &event);
	assert(error == 0);
	(void)error;
}

/* ---- one connection's part of a turn */

static void disarm_and_see_off(struct engine *engine, const struct link *link)
{
	if (!(link->flags & LINK_ENDED))
		epoll_ctl(engine->epoll, EPOLL_CTL_DEL, link->fd, NULL);
	shed_see_off(&engine->shed, engine->now, link->fd, link->flags & LINK_ENDED);
}

static void end(struct engine *engine, uint32_t slot, enum link_fate fate)
{
	static const enum engine_end ends[] = {
		[LINK_FINISHED] = ENGINE_END_FINISHED, [LINK_DROPPED] = ENGINE_END_DROPPED};
	struct link *link = link_at(engine, slot);
	int error = fate == LINK_FAILED ? link->error : 0;

	/* The kernel need not go on offering what the peer does not take. */
	if (fate == LINK_DROPPED && link->flags & LINK_BLOCKED)
		shed_abort(link->fd);
	if (fate == LINK_FINISHED)
		disarm_and_see_off(engine, link);
	else
		close(link->fd);
	link->flags &= ~(uint32_t)LINK_USED;
	engine->calls->closed(engine->worker, links_name(&engine->links, slot),
			      fate == LINK_FAILED ? peer_end(error) : ends[fate], error);
	links_give(&engine->links, slot);
}

/* What is left to do after anything was done with a connection: its end, the rest of a broken one, what is armed. */
static void settle(struct engine *engine, uint32_t slot, enum link_fate fate)
{
	if (fate == LINK_STAYS && link_at(engine, slot)->flags & LINK_BROKEN)
		fate = links_receive_rest(&engine->links, slot, engine->bytes);
	if (fate == LINK_STAYS)
		arm(engine, slot);
	else
		end(engine, slot, fate);
}

static void perform_marks(struct engine *engine)
{
	uint32_t slot;

	while ((slot = links_unmark(&engine->links)) != LINKS_NONE)
		settle(engine, slot, links_perform_marked(&engine->links, slot));
}

/* A receive filled its buffer: what is left is told in this turn, once all others had theirs. */
static void note_flood(struct engine *engine, uint32_t slot)
{
	struct link *link = link_at(engine, slot);
	struct flood *flood = &engine->floods[engine->floods_count];

	if (link->flags & FLOOD)
		return;
	if (!engine->is_whole_wanted || engine->floods_count == FLOODS_MAX) {
		engine->again = true;
		return;
	}
	flood->slot = slot;
	flood->generation = link->generation;
	if (ioctl(link->fd, FIONREAD, &flood->left) != 0)
		flood->left = 0;
	link->flags |= FLOOD;
	engine->floods_count++;
}

/*
 * Receives once; up to the end of the stream where that has come. A hold has lost its sense once the peer is gone:
 * nothing that it holds up can be sent any more.
 */
static enum link_fate receive(struct engine *engine, uint32_t slot, uint32_t events)
{
	struct link *link = link_at(engine, slot);
	enum link_fate fate = LINK_STAYS;
	size_t got = 1;

	if (events & GONE && link->flags & (LINK_ENDED | LINK_CLOSING))
		return links_gone(&engine->links, slot);
	while (fate == LINK_STAYS && got > 0 && !(link->flags & (LINK_ENDED | LINK_CLOSING)) &&
	       (!(link->flags & LINK_HELD) || events & GONE)) {
		engine->work++;
		fate = links_receive(&engine->links, slot, engine->bytes, &got);
		if (fate == LINK_STAYS && got == sizeof(engine->bytes)) {
			note_flood(engine, slot);
			break;
		}
		if (!(events & (EPOLLRDHUP | GONE)))
			break;
	}
	return fate;
}

static void on_event(struct engine *engine, uint32_t slot, uint32_t events)
{
	struct link *link = link_at(engine, slot);
	enum link_fate fate = LINK_STAYS;

	linger_event(&engine->linger, slot);
	if (events & READABLE)
		fate = receive(engine, slot, events);
	if (fate == LINK_STAYS && events & EPOLLOUT && link->flags & LINK_BLOCKED) {
		link->flags &= ~(uint32_t)LINK_BLOCKED;
		fate = links_transmit(&engine->links, slot);
	}
	settle(engine, slot, fate);
}

/* ---- newcomers */

/* Gives the newcomer a slot and arms it. Returns the slot or a negative errno. */
static int64_t seat(struct engine *engine, int fd)
{
	uint32_t slot = links_take(&engine->links, fd);
	struct epoll_event event;

	if (slot == LINKS_NONE)
		return -ENOSPC;
	link_at(engine, slot)->flags |= ARMED_IN;
	event = event_of(engine, slot);
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
		perform_marks(engine);
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
		count = epoll_wait(engine->epoll, engine->events, EVENTS_MAX,
				   is_endless ? -1 : coarse);
	else
		count = epoll_pwait2(engine->epoll, engine->events, EVENTS_MAX,
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
			on_event(engine, name.slot, engine->events[i].events);
		perform_marks(engine);
	}
}

/* Whether the end of the stream, or its reset, waits behind what was told. */
static bool ends(int fd)
{
	struct pollfd look = {.fd = fd, .events = POLLRDHUP};

	return poll(&look, 1, 0) != 0;
}

/* One more receive for one that flooded. Returns whether it still is to be received from in this turn. */
static bool drain_flood(struct engine *engine, struct flood *flood)
{
	struct connection name = {flood->slot, flood->generation};
	struct link *link = links_named(&engine->links, name);
	size_t got;

	if (link == NULL)
		return false;
	if (link->flags & (LINK_HELD | LINK_ENDED | LINK_CLOSING) ||
	    (flood->left <= 0 && !ends(link->fd))) {
		link->flags &= ~(uint32_t)FLOOD;
		return false;
	}
	flood->left -= ENGINE_RECEIVE_BYTES;
	engine->work++;
	settle(engine, flood->slot,
	       links_receive(&engine->links, flood->slot, engine->bytes, &got));
	return true;
}

/* Each of them in turn, until all that they held is told. */
static void drain_floods(struct engine *engine)
{
	while (engine->floods_count > 0 && engine->work < WORK_MAX) {
		uint32_t stay = 0;

		for (uint32_t i = 0; i < engine->floods_count; i++) {
			struct flood flood = engine->floods[i];

			if (drain_flood(engine, &flood))
				engine->floods[stay++] = flood;
			perform_marks(engine);
		}
		engine->floods_count = stay;
	}
}

/* The turn ends before they were done. (Whose slot has a new life loses nothing by it but a little time.) */
static void forget_floods(struct engine *engine)
{
	for (uint32_t i = 0; i < engine->floods_count; i++)
		link_at(engine, engine->floods[i].slot)->flags &= ~(uint32_t)FLOOD;
	engine->floods_count = 0;
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
			return is_after && count < EVENTS_MAX && !engine->again;
		drain_floods(engine);
		told += is_after ? (uint64_t)count : 0;
		is_all = is_after && (count < EVENTS_MAX || told >= enough) && !engine->again;
		if (is_all || engine->work >= WORK_MAX)
			break;
		engine->again = false;
		is_after = true;
		count = harvest(engine, engine->now, engine->now);
		if (count < 0)
			return count;
	}
	is_after = engine->work < WORK_MAX && engine->floods_count == 0;
	forget_floods(engine);
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
		(count < EVENTS_MAX && mono_between(engine->looked, engine->now) >= LOOK_NS);
	perform_marks(engine);
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
		if (link_at(engine, slot)->flags & LINK_USED)
			end(engine, slot, LINK_DROPPED);
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
