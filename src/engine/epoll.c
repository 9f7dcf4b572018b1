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
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/engine.h"
#include "engine/linger.h"
#include "engine/output.h"
#include "engine/peer.h"
#include "engine/shed.h"

#define NONE UINT32_MAX
#define EVENTS_MAX 512
#define BUSY_EVENTS 32 /* a turn that brought as many is followed by one that does not wait */
#define ACCEPTS_MAX 64 /* newcomers of one listener before the others have their turn */
#define WORK_MAX 65536 /* receives and accepts after which a turn ends, whole or not */
#define FLOODS_MAX 512 /* connections with more than one receive in a turn that is to be whole */
#define LOOK_NS (10 * NS_PER_MS)

#define READABLE (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)
#define GONE (EPOLLHUP | EPOLLERR)

enum flag {
	USED = 1 << 0,
	HELD = 1 << 1,	  /* the worker wants no more for now */
	ENDED = 1 << 2,	  /* the end of the stream was told */
	CLOSING = 1 << 3, /* once all is sent */
	BLOCKED = 1 << 4, /* the socket takes no more for now */
	BROKEN =
		1
		<< 5, /* the socket takes no more ever: what it still holds is received, then it is over */
	FLOOD = 1 << 6, /* in the turn's list of floods */
	ARMED_IN = 1 << 7,
	ARMED_OUT = 1 << 8,
	MARKED = 1 << 9, /* in the list of marked ones */
	DO_SEND = 1 << 10,
	DO_CLOSE = 1 << 11,
	DO_DROP = 1 << 12,
};

struct link {
	int32_t fd; /* of a free one: the next free one, -1 at the end */
	uint32_t generation;
	uint32_t next; /* of the marked ones */
	uint16_t flags;
	uint16_t error; /* of a broken one */
};

static_assert(sizeof(struct link) <= 24, "a connection costs no more");

struct flood {
	uint32_t slot;
	uint32_t generation;
	int left; /* bytes that it held when it was found out */
};

struct engine {
	const struct engine_calls *calls;
	void *worker;
	struct link *links;
	uint32_t max;
	uint32_t used; /* slots ever taken: those beyond have not been touched */
	uint32_t live;
	int32_t free;	       /* the slot that was given back last; -1: none */
	uint32_t marked_first; /* those with duties, oldest first */
	uint32_t marked_last;
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

static uint64_t data_of(uint32_t slot, uint32_t generation)
{
	return (uint64_t)generation << 32 | slot;
}

/* ---- slots */

static uint32_t take_slot(struct engine *engine)
{
	uint32_t slot;

	if (engine->free >= 0) {
		slot = (uint32_t)engine->free;
		engine->free = engine->links[slot].fd;
	} else if (engine->used < engine->max) {
		slot = engine->used++;
		engine->links[slot].generation = 1;
		engine->links[slot].flags = 0;
	} else {
		return NONE;
	}
	engine->live++;
	/* It may still be in the list of marked ones, from its life before. */
	engine->links[slot].flags = USED | (engine->links[slot].flags & MARKED);
	return slot;
}

/* Its name is stale from here on. */
static void give_slot(struct engine *engine, uint32_t slot)
{
	struct link *link = &engine->links[slot];

	if (++link->generation == 0)
		link->generation = 1;
	link->flags &= MARKED;
	link->fd = engine->free;
	engine->free = (int32_t)slot;
	engine->live--;
}

static struct connection name_of(const struct engine *engine, uint32_t slot)
{
	return (struct connection){slot, engine->links[slot].generation};
}

/* NULL where the name is stale. */
static struct link *link_named(struct engine *engine, struct connection connection)
{
	struct link *link = &engine->links[connection.slot];

	if (connection.slot >= engine->used || !(link->flags & USED) ||
	    link->generation != connection.generation)
		return NULL;
	return link;
}

/* ---- what is armed */

static uint16_t wanted(const struct link *link)
{
	uint16_t flags = 0;

	if (!(link->flags & (HELD | ENDED | CLOSING)))
		flags |= ARMED_IN;
	if (link->flags & BLOCKED)
		flags |= ARMED_OUT;
	return flags;
}

static struct epoll_event event_of(const struct engine *engine, uint32_t slot)
{
	const struct link *link = &engine->links[slot];
	struct epoll_event event = {.data.u64 = data_of(slot, link->generation)};

	if (link->flags & ARMED_IN)
		event.events |= EPOLLIN | EPOLLRDHUP;
	if (link->flags & ARMED_OUT)
		event.events |= EPOLLOUT;
	return event;
}

/* Arms what the connection's state calls for; errors and hang-ups are told in any case. */
static void arm(struct engine *engine, uint32_t slot)
{
	struct link *link = &engine->links[slot];
	uint16_t want = wanted(link);
	struct epoll_event event;
	int error;

	if ((link->flags & (ARMED_IN | ARMED_OUT)) == want)
		return;
	/* No longer held: what it holds had perhaps arrived before this turn. */
	if (want & ~link->flags & ARMED_IN)
		engine->again = true;
	link->flags = (uint16_t)((link->flags & ~(ARMED_IN | ARMED_OUT)) | want);
	event = event_of(engine, slot);
	error = epoll_ctl(engine->epoll, EPOLL_CTL_MOD, link->fd, &event);
	assert(error == 0);
	(void)error;
}

/* ---- ends */

static void over(struct engine *engine, uint32_t slot, enum engine_end end, int error)
{
	struct link *link = &engine->links[slot];

	link->flags &= (uint16_t)~USED;
	engine->calls->closed(engine->worker, name_of(engine, slot), end, error);
	give_slot(engine, slot);
}

static void over_finished(struct engine *engine, uint32_t slot)
{
	struct link *link = &engine->links[slot];

	if (!(link->flags & ENDED))
		epoll_ctl(engine->epoll, EPOLL_CTL_DEL, link->fd, NULL);
	shed_see_off(&engine->shed, engine->now, link->fd, link->flags & ENDED);
	over(engine, slot, ENGINE_END_FINISHED, 0);
}

static void over_dropped(struct engine *engine, uint32_t slot)
{
	struct link *link = &engine->links[slot];

	/* The kernel need not go on offering what the peer does not take. */
	if (link->flags & BLOCKED)
		shed_abort(link->fd);
	close(link->fd);
	over(engine, slot, ENGINE_END_DROPPED, 0);
}

static void over_failed(struct engine *engine, uint32_t slot, int error)
{
	close(engine->links[slot].fd);
	over(engine, slot, peer_end(error), error);
}

/* ---- what the worker wants */

/* What a call up returned, and what calls down have asked for meanwhile. False where it has been dropped. */
static bool take_duties(struct engine *engine, uint32_t slot, unsigned duties)
{
	struct link *link = &engine->links[slot];

	if (link->flags & DO_DROP) {
		over_dropped(engine, slot);
		return false;
	}
	if (duties & ENGINE_CLOSE)
		link->flags |= CLOSING;
	if (duties & ENGINE_HOLD)
		link->flags |= HELD;
	else
		link->flags &= (uint16_t)~HELD;
	return true;
}

/* The peer takes nothing more. What it said before is still to be heard, unless nobody wants to. */
static bool broke(struct engine *engine, uint32_t slot, int error)
{
	struct link *link = &engine->links[slot];

	if (link->flags & (CLOSING | ENDED)) {
		over_failed(engine, slot, error);
		return false;
	}
	link->flags |= BROKEN;
	link->flags &= (uint16_t) ~(BLOCKED | HELD);
	link->error = (uint16_t)error;
	return true;
}

/*
 * One piece of the output. Returns whether there is more to be tried now; `*here`: whether the connection is still
 * there.
 */
static bool transmit_some(struct engine *engine, uint32_t slot, bool *here)
{
	const struct engine_calls *calls = engine->calls;
	struct connection name = name_of(engine, slot);
	struct link *link = &engine->links[slot];
	struct engine_slice slices[ENGINE_SLICES];
	size_t count = calls->output(engine->worker, name, slices);
	size_t len = output_len(slices, count);
	ssize_t took = len > 0 ? output_send(link->fd, slices, count) : 0;
	unsigned duties = ENGINE_SEND;

	if (took < 0) {
		*here = broke(engine, slot, (int)-took);
		return false;
	}
	if (len == 0)
		return false;
	if (took > 0)
		duties = calls->sent(engine->worker, name, (size_t)took);
	if ((size_t)took < len) {
		link->flags |= BLOCKED;
		duties = (duties & ENGINE_CLOSE) | calls->blocked(engine->worker, name, 0);
	}
	*here = take_duties(engine, slot, duties);
	return *here && !(link->flags & BLOCKED) && (duties & ENGINE_SEND || link->flags & CLOSING);
}

/* Sends what there is, and closes where that was all. Returns whether the connection is still there. */
static bool transmit(struct engine *engine, uint32_t slot)
{
	struct link *link = &engine->links[slot];
	bool here = true;

	if (link->flags & (BLOCKED | BROKEN))
		return true;
	while (transmit_some(engine, slot, &here))
		;
	if (!here)
		return false;
	if ((link->flags & (CLOSING | BLOCKED | BROKEN)) == CLOSING) {
		over_finished(engine, slot);
		return false;
	}
	return true;
}

/* Does what a call up wants done. Returns whether the connection is still there. */
static bool perform(struct engine *engine, uint32_t slot, unsigned duties)
{
	struct link *link = &engine->links[slot];

	if (!take_duties(engine, slot, duties))
		return false;
	if ((link->flags & (BROKEN | CLOSING)) == (BROKEN | CLOSING)) {
		over_failed(engine, slot, link->error);
		return false;
	}
	return duties & ENGINE_SEND || link->flags & CLOSING ? transmit(engine, slot) : true;
}

/* ---- receiving */

/* A receive filled its buffer: what is left is told in this turn, once all others had theirs. */
static void note_flood(struct engine *engine, uint32_t slot)
{
	struct link *link = &engine->links[slot];
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

/* Returns whether the connection is still there. */
static bool end_of_stream(struct engine *engine, uint32_t slot)
{
	struct link *link = &engine->links[slot];

	/* A reset that a send has met leaves an end behind that is none; EPIPE says that there was one before it. */
	if (!(link->flags & BROKEN) || link->error == EPIPE) {
		link->flags |= ENDED;
		if (!perform(engine, slot,
			     engine->calls->received(engine->worker, name_of(engine, slot), "", 0)))
			return false;
	}
	if (!(link->flags & BROKEN))
		return true;
	over_failed(engine, slot, link->error);
	return false;
}

static bool receive_failed(struct engine *engine, uint32_t slot, int error)
{
	struct link *link = &engine->links[slot];

	if (error == EINTR || error == EAGAIN || error == EWOULDBLOCK) {
		engine->again |= error == EINTR;
		if (!(link->flags & BROKEN))
			return true;
		error = link->error;
	}
	over_failed(engine, slot, error);
	return false;
}

/* One receive. `*more`: whether another is wanted at once, where the end is known to be near. */
static bool receive_some(struct engine *engine, uint32_t slot, bool *more)
{
	struct link *link = &engine->links[slot];
	ssize_t got = recv(link->fd, engine->bytes, sizeof(engine->bytes), MSG_DONTWAIT);

	*more = false;
	engine->work++;
	if (got < 0)
		return receive_failed(engine, slot, errno);
	if (got == 0)
		return end_of_stream(engine, slot);
	if (!perform(engine, slot,
		     engine->calls->received(engine->worker, name_of(engine, slot), engine->bytes,
					     (size_t)got)))
		return false;
	if (got == sizeof(engine->bytes) && !(link->flags & BROKEN))
		note_flood(engine, slot);
	else
		*more = true;
	return true;
}

/* The peer is no more there, and nothing is wanted from it. */
static bool gone(struct engine *engine, uint32_t slot)
{
	int error = peer_error(engine->links[slot].fd);

	over_failed(engine, slot, error != 0 ? error : EPIPE);
	return false;
}

/*
 * Receives once; up to the end of the stream where that has come. Returns whether the connection is still there.
 * A hold has lost its sense once the peer is gone: nothing that it holds up can be sent any more.
 */
static bool receive(struct engine *engine, uint32_t slot, uint32_t events)
{
	struct link *link = &engine->links[slot];
	bool more = true;

	if (events & GONE && link->flags & (ENDED | CLOSING))
		return gone(engine, slot);
	while (more && !(link->flags & (ENDED | CLOSING)) &&
	       (!(link->flags & HELD) || events & GONE)) {
		if (!receive_some(engine, slot, &more))
			return false;
		more &= link->flags & BROKEN || events & (EPOLLRDHUP | GONE);
	}
	return true;
}

/* ---- one connection's part of a turn */

/* What remains after anything was done with a connection: the rest of a broken one, and what is to be armed. */
static void settle(struct engine *engine, uint32_t slot)
{
	struct link *link = &engine->links[slot];

	if (link->flags & BROKEN && !receive(engine, slot, GONE))
		return;
	arm(engine, slot);
}

static void on_event(struct engine *engine, uint32_t slot, uint32_t events)
{
	struct link *link = &engine->links[slot];

	linger_event(&engine->linger, slot);
	if (events & READABLE && !receive(engine, slot, events))
		return;
	if (events & EPOLLOUT && link->flags & BLOCKED) {
		link->flags &= (uint16_t)~BLOCKED;
		if (!transmit(engine, slot))
			return;
	}
	settle(engine, slot);
}

static void mark(struct engine *engine, uint32_t slot, unsigned flags)
{
	struct link *link = &engine->links[slot];

	link->flags |= (uint16_t)flags;
	if (link->flags & MARKED)
		return;
	link->flags |= MARKED;
	link->next = NONE;
	if (engine->marked_first == NONE)
		engine->marked_first = slot;
	else
		engine->links[engine->marked_last].next = slot;
	engine->marked_last = slot;
}

static void perform_mark(struct engine *engine, uint32_t slot)
{
	struct link *link = &engine->links[slot];
	unsigned hold = link->flags & HELD ? ENGINE_HOLD : 0;
	uint16_t flags = link->flags;

	link->flags &= (uint16_t) ~(MARKED | DO_SEND | DO_CLOSE);
	if (!(flags & USED) || !(flags & (DO_SEND | DO_CLOSE | DO_DROP)))
		return;
	if (perform(engine, slot,
		    hold | (flags & DO_SEND ? ENGINE_SEND : 0) |
			    (flags & DO_CLOSE ? ENGINE_CLOSE : 0)))
		settle(engine, slot);
}

static void perform_marks(struct engine *engine)
{
	while (engine->marked_first != NONE) {
		uint32_t slot = engine->marked_first;

		engine->marked_first = engine->links[slot].next;
		perform_mark(engine, slot);
	}
}

/* ---- newcomers */

/* Gives the newcomer a slot and arms it. Returns the slot or a negative errno. */
static int64_t seat(struct engine *engine, int fd)
{
	uint32_t slot = take_slot(engine);
	struct epoll_event event;

	if (slot == NONE)
		return -ENOSPC;
	engine->links[slot].fd = fd;
	engine->links[slot].flags |= ARMED_IN;
	event = event_of(engine, slot);
	if (epoll_ctl(engine->epoll, EPOLL_CTL_ADD, fd, &event) == 0)
		return slot;
	give_slot(engine, slot);
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
	if (engine->calls->accepted(engine->worker, name_of(engine, slot), listener, peer))
		return;
	epoll_ctl(engine->epoll, EPOLL_CTL_DEL, fd, NULL);
	give_slot(engine, slot);
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
		else if (link_named(engine, name) != NULL)
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
	struct link *link = link_named(engine, (struct connection){flood->slot, flood->generation});
	bool more;

	if (link == NULL)
		return false;
	if (link->flags & (HELD | ENDED | CLOSING) || (flood->left <= 0 && !ends(link->fd))) {
		link->flags &= (uint16_t)~FLOOD;
		return false;
	}
	flood->left -= ENGINE_RECEIVE_BYTES;
	if (receive_some(engine, flood->slot, &more))
		settle(engine, flood->slot);
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
		engine->links[engine->floods[i].slot].flags &= (uint16_t)~FLOOD;
	engine->floods_count = 0;
}

/*
 * Tells what `count` events say, and looks again until the turn is whole, where it is to be. `is_after`: these events
 * were asked for after the clock was read. Returns whether it is whole, or a negative errno.
 */
static int tell_all(struct engine *engine, int count, bool is_after)
{
	/* What was ready then is told within as many events as there are connections: epoll goes round. */
	uint64_t enough = (uint64_t)engine->live + engine->shed.listeners_count + 1;
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
	int count = 0;

	engine->again = false;
	engine->now = clock_mono();
	*is_after = true;
	if (engine->is_busy || engine->marked_first != NONE) {
		count = harvest(engine, engine->now, engine->now);
		if (count != 0 || engine->marked_first != NONE)
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
	       !(engine->is_finishing && engine->live == 0 && engine->shed.count == 0))
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
	if (link_named(engine, connection) != NULL)
		mark(engine, connection.slot,
		     (duties & ENGINE_SEND ? DO_SEND : 0) | (duties & ENGINE_CLOSE ? DO_CLOSE : 0));
}

static void drop_epoll(struct engine *engine, struct connection connection)
{
	if (link_named(engine, connection) != NULL)
		mark(engine, connection.slot, DO_DROP);
}

static int ask_epoll(struct engine *engine, struct connection connection, struct engine_view *view)
{
	const struct link *link = link_named(engine, connection);

	return link == NULL ? -ESTALE : peer_ask(link->fd, link->flags & ENDED, view);
}

static int tune_epoll(struct engine *engine, struct connection connection, unsigned probe_s,
		      unsigned give_up_ms)
{
	const struct link *link = link_named(engine, connection);

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

static size_t links_bytes(const struct engine *engine)
{
	return (size_t)engine->max * sizeof(struct link);
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
	engine->max = config->connections_max;
	engine->free = -1;
	engine->marked_first = NONE;
	engine->open = true;
	engine->now = clock_mono();
	engine->until = engine->now;
	linger_init(&engine->linger, config->linger_ns, engine->now);
	engine->links = mmap(NULL, links_bytes(engine), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (engine->links == MAP_FAILED)
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
	munmap(engine->links, links_bytes(engine));
fail_links:
	free(engine);
	return error;
}

static void close_epoll(struct engine *engine)
{
	if (engine == NULL)
		return;
	for (uint32_t slot = 0; slot < engine->used; slot++)
		if (engine->links[slot].flags & USED)
			over_dropped(engine, slot);
	assert(engine->live == 0);
	shed_fini(&engine->shed);
	close_waits(engine);
	munmap(engine->links, links_bytes(engine));
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
