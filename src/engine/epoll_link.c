/*
 * One connection's part of a turn: what it said, what it is sent, what is to be waited for. See epoll.c.
 */

#include "engine/epoll.h"

#include <assert.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "engine/peer.h"

#define READABLE (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)
#define GONE (EPOLLHUP | EPOLLERR)

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

struct epoll_event epoll_event_of(const struct engine *engine, uint32_t slot)
{
	const struct link *link = epoll_link(engine, slot);
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
	struct link *link = epoll_link(engine, slot);
	uint32_t want = wanted(link);
	struct epoll_event event;
	int error;

	if ((link->flags & (ARMED_IN | ARMED_OUT)) == want)
		return;
	/* No longer held: what it holds had perhaps arrived before this turn. */
	if (want & ~link->flags & ARMED_IN)
		engine->again = true;
	link->flags = (link->flags & ~(uint32_t)(ARMED_IN | ARMED_OUT)) | want;
	event = epoll_event_of(engine, slot);
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

void epoll_end(struct engine *engine, uint32_t slot, enum link_fate fate)
{
	static const enum engine_end ends[] = {
		[LINK_FINISHED] = ENGINE_END_FINISHED, [LINK_DROPPED] = ENGINE_END_DROPPED};
	struct link *link = epoll_link(engine, slot);
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
	if (fate == LINK_STAYS && epoll_link(engine, slot)->flags & LINK_BROKEN)
		fate = links_receive_rest(&engine->links, slot, engine->bytes);
	if (fate == LINK_STAYS)
		arm(engine, slot);
	else
		epoll_end(engine, slot, fate);
}

void epoll_perform_marks(struct engine *engine)
{
	uint32_t slot;

	while ((slot = links_unmark(&engine->links)) != LINKS_NONE)
		settle(engine, slot, links_perform_marked(&engine->links, slot));
}

/* A receive filled its buffer: what is left is told in this turn, once all others had theirs. */
static void note_flood(struct engine *engine, uint32_t slot)
{
	struct link *link = epoll_link(engine, slot);
	struct flood *flood = &engine->floods[engine->floods_count];

	if (link->flags & FLOOD)
		return;
	if (!engine->is_whole_wanted || engine->floods_count == EPOLL_FLOODS_MAX) {
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
	struct link *link = epoll_link(engine, slot);
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

void epoll_on_event(struct engine *engine, uint32_t slot, uint32_t events)
{
	struct link *link = epoll_link(engine, slot);
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

/* ---- floods */

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
void epoll_drain_floods(struct engine *engine)
{
	while (engine->floods_count > 0 && engine->work < EPOLL_WORK_MAX) {
		uint32_t stay = 0;

		for (uint32_t i = 0; i < engine->floods_count; i++) {
			struct flood flood = engine->floods[i];

			if (drain_flood(engine, &flood))
				engine->floods[stay++] = flood;
			epoll_perform_marks(engine);
		}
		engine->floods_count = stay;
	}
}

/* The turn ends before they were done. (Whose slot has a new life loses nothing by it but a little time.) */
void epoll_forget_floods(struct engine *engine)
{
	for (uint32_t i = 0; i < engine->floods_count; i++)
		epoll_link(engine, engine->floods[i].slot)->flags &= ~(uint32_t)FLOOD;
	engine->floods_count = 0;
}
