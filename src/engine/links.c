/* What is to become of a connection, as the worker and the socket have it. Never waits. */

#include "engine/links.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "engine/output.h"
#include "engine/peer.h"

static_assert(sizeof(struct link) <= 24, "a connection costs no more");

static size_t table_bytes(uint32_t max)
{
	return (size_t)max * sizeof(struct link);
}

int links_init(struct links *links, uint32_t max, const struct engine_calls *calls, void *worker)
{
	memset(links, 0, sizeof(*links));
	links->calls = calls;
	links->worker = worker;
	links->max = max;
	links->free = -1;
	links->marked_first = LINKS_NONE;
	links->table = mmap(NULL, table_bytes(max), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return links->table == MAP_FAILED ? -ENOMEM : 0;
}

void links_fini(struct links *links)
{
	munmap(links->table, table_bytes(links->max));
}

uint32_t links_take(struct links *links, int fd)
{
	struct link *link;
	uint32_t slot;

	if (links->free >= 0) {
		slot = (uint32_t)links->free;
		link = &links->table[slot];
		links->free = link->fd;
	} else if (links->used < links->max) {
		slot = links->used++;
		link = &links->table[slot];
		link->generation = 1;
	} else {
		return LINKS_NONE;
	}
	links->live++;
	/* It may still be in the list of marked ones, from its life before. */
	link->flags = LINK_USED | (link->flags & LINK_MARKED);
	link->fd = fd;
	link->error = 0;
	return slot;
}

void links_give(struct links *links, uint32_t slot)
{
	struct link *link = &links->table[slot];

	if (++link->generation == 0)
		link->generation = 1;
	link->flags &= LINK_MARKED;
	link->fd = links->free;
	links->free = (int32_t)slot;
	links->live--;
}

struct link *links_named(struct links *links, struct connection connection)
{
	struct link *link = &links->table[connection.slot];

	if (connection.slot >= links->used || !(link->flags & LINK_USED) ||
	    link->generation != connection.generation)
		return NULL;
	return link;
}

void links_mark(struct links *links, uint32_t slot, uint32_t flags)
{
	struct link *link = &links->table[slot];

	link->flags |= flags;
	if (link->flags & LINK_MARKED)
		return;
	link->flags |= LINK_MARKED;
	link->next = LINKS_NONE;
	if (links->marked_first == LINKS_NONE)
		links->marked_first = slot;
	else
		links->table[links->marked_last].next = slot;
	links->marked_last = slot;
}

uint32_t links_unmark(struct links *links)
{
	while (links->marked_first != LINKS_NONE) {
		uint32_t slot = links->marked_first;
		struct link *link = &links->table[slot];

		links->marked_first = link->next;
		link->flags &= ~LINK_MARKED;
		if (link->flags & LINK_USED &&
		    link->flags & (LINK_TO_SEND | LINK_TO_CLOSE | LINK_TO_DROP))
			return slot;
	}
	return LINKS_NONE;
}

enum link_fate links_perform_marked(struct links *links, uint32_t slot)
{
	struct link *link = &links->table[slot];
	/* What is done for others does not end a hold. */
	unsigned duties = (link->flags & LINK_HELD ? ENGINE_HOLD : 0) |
			  (link->flags & LINK_TO_SEND ? ENGINE_SEND : 0) |
			  (link->flags & LINK_TO_CLOSE ? ENGINE_CLOSE : 0);

	link->flags &= ~(LINK_TO_SEND | LINK_TO_CLOSE);
	return links_perform(links, slot, duties);
}

enum link_fate links_take_duties(struct links *links, uint32_t slot, unsigned duties)
{
	struct link *link = &links->table[slot];

	if (link->flags & LINK_TO_DROP)
		return LINK_DROPPED;
	if (duties & ENGINE_CLOSE)
		link->flags |= LINK_CLOSING;
	if (duties & ENGINE_HOLD)
		link->flags |= LINK_HELD;
	else
		link->flags &= ~LINK_HELD;
	return LINK_STAYS;
}

enum link_fate links_broke(struct links *links, uint32_t slot, int error)
{
	struct link *link = &links->table[slot];

	link->error = error;
	if (link->flags & (LINK_CLOSING | LINK_ENDED))
		return LINK_FAILED;
	link->flags |= LINK_BROKEN;
	link->flags &= ~(LINK_BLOCKED | LINK_HELD);
	return LINK_STAYS;
}

/* One piece of the output. `*more`: there is more to be tried now. */
static enum link_fate transmit_some(struct links *links, uint32_t slot, bool *more)
{
	struct connection name = links_name(links, slot);
	struct link *link = &links->table[slot];
	struct engine_slice slices[ENGINE_SLICES];
	size_t count = links->calls->output(links->worker, name, slices);
	size_t len = output_len(slices, count);
	unsigned duties = ENGINE_SEND;
	enum link_fate fate;
	ssize_t took;

	*more = false;
	if (len == 0)
		return LINK_STAYS;
	took = output_send(link->fd, slices, count);
	if (took < 0)
		return links_broke(links, slot, (int)-took);
	if (took > 0)
		duties = links->calls->sent(links->worker, name, (size_t)took);
	if ((size_t)took < len) {
		link->flags |= LINK_BLOCKED;
		duties = (duties & ENGINE_CLOSE) | links->calls->blocked(links->worker, name, 0);
	}
	fate = links_take_duties(links, slot, duties);
	*more = fate == LINK_STAYS && !(link->flags & LINK_BLOCKED) &&
		(duties & ENGINE_SEND || link->flags & LINK_CLOSING);
	return fate;
}

enum link_fate links_transmit(struct links *links, uint32_t slot)
{
	struct link *link = &links->table[slot];
	enum link_fate fate = LINK_STAYS;
	bool more = !(link->flags & (LINK_BLOCKED | LINK_BROKEN));

	while (more)
		fate = transmit_some(links, slot, &more);
	if (fate == LINK_STAYS &&
	    (link->flags & (LINK_CLOSING | LINK_BLOCKED | LINK_BROKEN)) == LINK_CLOSING)
		return LINK_FINISHED;
	return fate;
}

enum link_fate links_perform(struct links *links, uint32_t slot, unsigned duties)
{
	struct link *link = &links->table[slot];

	if (links_take_duties(links, slot, duties) == LINK_DROPPED)
		return LINK_DROPPED;
	if (link->flags & LINK_BROKEN)
		return link->flags & LINK_CLOSING ? LINK_FAILED : LINK_STAYS;
	if (!(duties & ENGINE_SEND) && !(link->flags & LINK_CLOSING))
		return LINK_STAYS;
	if (!(link->flags & LINK_DEFERS))
		return links_transmit(links, slot);
	link->flags |= LINK_TO_SEND;
	return LINK_STAYS;
}

static enum link_fate end_of_stream(struct links *links, uint32_t slot)
{
	struct link *link = &links->table[slot];
	enum link_fate fate = LINK_STAYS;

	/* A reset that a send has met leaves an end behind that is none; EPIPE says that there was one before it. */
	if (!(link->flags & LINK_BROKEN) || link->error == EPIPE) {
		link->flags |= LINK_ENDED;
		fate = links_perform(
			links, slot,
			links->calls->received(links->worker, links_name(links, slot), "", 0));
	}
	return fate == LINK_STAYS && link->flags & LINK_BROKEN ? LINK_FAILED : fate;
}

static enum link_fate receive_failed(struct links *links, uint32_t slot, int error)
{
	struct link *link = &links->table[slot];

	if (error == EAGAIN || error == EWOULDBLOCK)
		return link->flags & LINK_BROKEN ? LINK_FAILED : LINK_STAYS;
	link->error = error;
	return LINK_FAILED;
}

enum link_fate links_receive(struct links *links, uint32_t slot, char *bytes, size_t *got)
{
	struct link *link = &links->table[slot];
	ssize_t len;

	assert(!(link->flags & (LINK_ENDED | LINK_CLOSING)));
	do
		len = recv(link->fd, bytes, ENGINE_RECEIVE_BYTES, MSG_DONTWAIT);
	while (len < 0 && errno == EINTR);
	*got = len > 0 ? (size_t)len : 0;
	if (len < 0)
		return receive_failed(links, slot, errno);
	if (len == 0)
		return end_of_stream(links, slot);
	return links_perform(
		links, slot,
		links->calls->received(links->worker, links_name(links, slot), bytes, *got));
}

enum link_fate links_receive_rest(struct links *links, uint32_t slot, char *bytes)
{
	enum link_fate fate = LINK_STAYS;
	size_t got = 1;

	assert(links->table[slot].flags & LINK_BROKEN);
	while (fate == LINK_STAYS && got > 0)
		fate = links_receive(links, slot, bytes, &got);
	assert(fate != LINK_STAYS);
	return fate;
}

enum link_fate links_gone(struct links *links, uint32_t slot)
{
	struct link *link = &links->table[slot];
	int error = peer_error(link->fd);

	link->error = error != 0 ? error : EPIPE;
	return LINK_FAILED;
}
