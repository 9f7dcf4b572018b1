/*
 * A client's thread: waits for bytes, and takes, tells and answers them. See threads.c.
 *
 * It never takes bytes out of the kernel without the lock, and never sends with it.
 */

#include "engine/threads.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/output.h"

/* Waits until the socket has bytes, an end or an error, and takes none of them. */
static void await_bytes(int fd)
{
	struct pollfd look = {.fd = fd, .events = POLLIN};

	while (poll(&look, 1, -1) < 0 && errno == EINTR)
		;
}

/* Waits, where it is to receive nothing for now, until it is, or its connection is over. */
static void await_work(struct engine *engine, uint32_t slot)
{
	struct link *link = threads_link(engine, slot);

	if (!threads_is_idle(link))
		return;
	link->flags |= THREADS_IDLE;
	while (threads_is_idle(link))
		pthread_cond_wait(&engine->conditions[slot % THREADS_CONDITIONS], &engine->lock);
	link->flags &= ~(uint32_t)THREADS_IDLE;
	threads_begin(engine);
}

/* What was told as sent is not all gone: the main thread goes on when there is room. */
static enum link_fate take_back(struct engine *engine, uint32_t slot, size_t unsent)
{
	struct link *link = threads_link(engine, slot);

	link->flags |= LINK_BLOCKED;
	return links_take_duties(
		&engine->links, slot,
		engine->calls->blocked(engine->worker, links_name(&engine->links, slot), unsent));
}

/*
 * Sends without the lock, and takes it again where there is more to do: `*is_locked` says so. Others may have ended the
 * connection meanwhile, or left work for this thread.
 */
static enum link_fate send_unlocked(struct engine *engine, uint32_t slot,
				    const struct engine_slice *slices, size_t count,
				    bool *is_locked)
{
	struct link *link = threads_link(engine, slot);
	atomic_int *sending = &engine->clients[slot].sending;
	bool is_last = !(link->flags & (LINK_TO_SEND | LINK_CLOSING));
	size_t len = output_len(slices, count);
	int fd = link->fd;
	ssize_t took;

	atomic_store(sending, THREADS_SENDING);
	threads_leave(engine);
	took = output_send(fd, slices, count);
	*is_locked = !is_last || took != (ssize_t)len ||
		     atomic_exchange(sending, THREADS_QUIET) == THREADS_CALLED;
	if (!*is_locked)
		return LINK_STAYS;
	threads_enter(engine);
	atomic_store(sending, THREADS_QUIET);
	if (link->flags & THREADS_OVER)
		return LINK_STAYS;
	if (took < 0)
		return links_broke(&engine->links, slot, (int)-took);
	if ((size_t)took < len)
		return take_back(engine, slot, len - (size_t)took);
	return links_perform_marked(&engine->links, slot);
}

/* One piece of the output: told as sent, then sent. */
static enum link_fate send_piece(struct engine *engine, uint32_t slot, bool *is_locked)
{
	struct link *link = threads_link(engine, slot);
	struct connection name = links_name(&engine->links, slot);
	struct engine_slice slices[ENGINE_SLICES];
	size_t count = engine->calls->output(engine->worker, name, slices);
	size_t len = output_len(slices, count);
	unsigned duties;
	enum link_fate fate;

	link->flags &= ~(uint32_t)LINK_TO_SEND;
	if (len == 0)
		return link->flags & LINK_CLOSING ? LINK_FINISHED : LINK_STAYS;
	duties = engine->calls->sent(engine->worker, name, len);
	fate = links_take_duties(&engine->links, slot, duties);
	if (fate != LINK_STAYS)
		return fate;
	if (duties & ENGINE_SEND)
		link->flags |= LINK_TO_SEND;
	return send_unlocked(engine, slot, slices, count, is_locked);
}

static bool has_to_send(const struct link *link)
{
	return link->flags & (LINK_TO_SEND | LINK_CLOSING) &&
	       !(link->flags & (LINK_BLOCKED | LINK_BROKEN | THREADS_OVER));
}

/* One receive and all that follows from it. Returns false, with the lock, when the connection is over. */
static bool serve(struct engine *engine, uint32_t slot)
{
	struct link *link = threads_link(engine, slot);
	enum link_fate fate = LINK_STAYS;
	bool is_locked = true;
	size_t got;

	threads_enter(engine);
	await_work(engine, slot);
	link->flags |= LINK_DEFERS;
	if (!(link->flags & THREADS_OVER))
		fate = links_receive(&engine->links, slot, engine->bytes, &got);
	while (fate == LINK_STAYS && is_locked && has_to_send(link))
		fate = send_piece(engine, slot, &is_locked);
	if (!is_locked)
		return true;
	link->flags &= ~(uint32_t)LINK_DEFERS;
	if (!(link->flags & THREADS_OVER))
		threads_settle(engine, slot, fate, true);
	if (link->flags & THREADS_OVER)
		return false;
	threads_leave(engine);
	return true;
}

/* Reads and throws away what comes, until the peer has closed as well, or has had time to. */
static void see_off(int fd)
{
	struct mono until = mono_after(clock_mono(), SHED_PARTING_MS * NS_PER_MS);
	struct pollfd look = {.fd = fd, .events = POLLIN};
	char bytes[1024];
	ssize_t got = 1;

	while (got > 0) {
		uint64_t left_ms = mono_between(clock_mono(), until) / NS_PER_MS;

		if (left_ms == 0 || poll(&look, 1, (int)left_ms) <= 0)
			return;
		got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	}
}

/* Gives back the slot, then the descriptor, which nobody else knows any more. With the lock, which it gives back. */
static void bury(struct engine *engine, uint32_t slot)
{
	struct link *link = threads_link(engine, slot);
	bool is_seen_off = link->flags & THREADS_SEE_OFF && engine->lingering < SHED_PARTINGS_MAX;
	int fd = link->fd;

	if (link->flags & THREADS_LEAVING)
		engine->leaving--;
	if (threads_is_full(engine))
		threads_poke(engine);
	engine->over--;
	links_give(&engine->links, slot);
	if (is_seen_off) {
		engine->lingering++;
		threads_leave(engine);
		see_off(fd);
		threads_enter(engine);
		engine->lingering--;
	}
	close(fd);
	if (--engine->threads == 0) {
		pthread_cond_signal(&engine->all_gone);
		threads_poke(engine);
	}
	threads_leave(engine);
}

void *threads_client(void *argument)
{
	struct threads_client *client = argument;
	struct engine *engine = client->engine;
	uint32_t slot = (uint32_t)(client - engine->clients);
	int fd = threads_link(engine, slot)->fd;

	do
		await_bytes(fd);
	while (serve(engine, slot));
	bury(engine, slot);
	return NULL;
}
