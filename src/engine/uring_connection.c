/*
 * One connection of the io_uring engine: what is told of it, what is armed for it, and its end.
 *
 * The receive is armed while bytes are wanted. While they are not (held, or ended), a poll watches for the peer's end
 * instead; and for room, where a send came short. To end a connection, whatever is armed is cancelled, and its slot goes
 * back when the last completion is there.
 */

#include "engine/uring.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "engine/output.h"
#include "engine/peer.h"

static_assert(sizeof(struct engine_slice) == sizeof(struct iovec), "a slice is an iovec");

/* ---- what the worker wants */

/* Receiving, and nothing else to be done: as nearly all connections are, nearly always. */
static bool is_settled(const struct uring_link *link)
{
	return (link->flags & ~(URING_LISTED | URING_FLOOD)) == (URING_USED | URING_RECEIVING);
}

static void take_duties(struct engine *engine, uint32_t slot, unsigned duties)
{
	struct uring_link *link = uring_table_at(engine, slot);

	if (duties & ENGINE_HOLD && !(link->flags & URING_BROKEN))
		uring_link_set(link, URING_HELD);
	else
		uring_link_clear(link, URING_HELD);
	if (duties & ENGINE_SEND)
		uring_link_set(link, URING_TO_SEND);
	if (duties & ENGINE_CLOSE)
		uring_link_set(link, URING_CLOSING | URING_TO_SEND);
	if (!is_settled(link))
		uring_table_note(engine, slot, 0);
}

static void fail(struct engine *engine, uint32_t slot, int error)
{
	struct uring_link *link = uring_table_at(engine, slot);

	if (!(link->flags & (URING_OVER | URING_BROKEN)))
		link->error = (uint8_t)error;
	uring_table_note(engine, slot, URING_FAILED);
}

/* It cannot be sent to any more. What it holds is still to be told, whether it is held or not. */
static void break_off(struct engine *engine, uint32_t slot, int error)
{
	struct uring_link *link = uring_table_at(engine, slot);

	if (link->flags & (URING_CLOSING | URING_ENDED)) {
		fail(engine, slot, error);
		return;
	}
	if (!(link->flags & URING_BROKEN))
		link->error = (uint8_t)error;
	uring_link_clear(link, URING_BLOCKED | URING_HELD | URING_TO_SEND);
	uring_table_note(engine, slot, URING_BROKEN);
}

/* ---- arming */

static void arm_receive(struct engine *engine, uint32_t slot)
{
	struct uring_link *link = uring_table_at(engine, slot);
	struct io_uring_sqe *entry = uring_ring_entry(&engine->ring);

	io_uring_prep_recv_multishot(entry, link->fd, NULL, 0, 0);
	entry->flags |= IOSQE_BUFFER_SELECT;
	entry->buf_group = URING_RING_GROUP;
	entry->user_data = uring_mark(URING_RECEIVE, slot, link->generation);
	uring_link_set(link, URING_RECEIVING);
	engine->again = true;
}

/*
 * For room to send, and for what is told in any case: error and hang-up. Multishot, that is: told once for each change.
 * A poll that is told once would be told at once, again and again, once the peer has shut its side.
 */
static void arm_watch(struct engine *engine, uint32_t slot)
{
	struct uring_link *link = uring_table_at(engine, slot);
	struct io_uring_sqe *entry = uring_ring_entry(&engine->ring);

	io_uring_prep_poll_multishot(entry, link->fd, POLLOUT);
	entry->user_data = uring_mark(URING_WATCH, slot, link->generation);
	uring_link_set(link, URING_WATCHING);
}

/* Its own completion comes where there is nothing to be cancelled, or not now; the operation's comes in any case. */
static void cancel(struct engine *engine, uint32_t slot, enum uring_operation operation)
{
	struct uring_link *link = uring_table_at(engine, slot);
	struct io_uring_sqe *entry = uring_ring_entry(&engine->ring);
	bool is_receive = operation == URING_RECEIVE;

	io_uring_prep_cancel64(entry, uring_mark(operation, slot, link->generation), 0);
	entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
	entry->user_data = uring_mark(is_receive ? URING_CANCEL_RECEIVE : URING_CANCEL_WATCH, slot,
				      link->generation);
	uring_link_set(link, is_receive ? URING_NO_RECEIVING : URING_NO_WATCHING);
}

static void sync_receive(struct engine *engine, uint32_t slot, bool is_wanted)
{
	struct uring_link *link = uring_table_at(engine, slot);

	if (is_wanted && !(link->flags & URING_RECEIVING))
		arm_receive(engine, slot);
	else if (!is_wanted &&
		 (link->flags & (URING_RECEIVING | URING_NO_RECEIVING)) == URING_RECEIVING)
		cancel(engine, slot, URING_RECEIVE);
	else if (is_wanted && link->flags & URING_NO_RECEIVING)
		/* Armed anew once the cancellation is through. */
		engine->again = true;
}

static void sync_watch(struct engine *engine, uint32_t slot, bool is_wanted)
{
	struct uring_link *link = uring_table_at(engine, slot);

	if (is_wanted && !(link->flags & URING_WATCHING))
		arm_watch(engine, slot);
	else if (!is_wanted &&
		 (link->flags & (URING_WATCHING | URING_NO_WATCHING)) == URING_WATCHING)
		cancel(engine, slot, URING_WATCH);
}

static bool is_receiving_wanted(const struct uring_link *link)
{
	return !(link->flags & (URING_HELD | URING_ENDED | URING_CLOSING));
}

static void arm_what_is_wanted(struct engine *engine, uint32_t slot)
{
	struct uring_link *link = uring_table_at(engine, slot);

	/*
	 * A link that is released because of what was told as sent is not received from before that is known to be true:
	 * a client that does not read would be let in a little further each time.
	 */
	if (is_receiving_wanted(link) && !(link->flags & URING_RECEIVING) &&
	    uring_table_is_in_batch(engine, link))
		engine->again = true;
	else
		sync_receive(engine, slot, is_receiving_wanted(link));
	sync_watch(engine, slot, link->flags & (URING_HELD | URING_ENDED | URING_BLOCKED));
}

/* ---- sending */

static struct uring_message *next_message(struct engine *engine)
{
	if (engine->messages_count == URING_MESSAGES) {
		uring_ring_submit(&engine->ring);
		engine->messages_count = 0;
	}
	return &engine->messages[engine->messages_count++];
}

static void enter_send(struct engine *engine, uint32_t slot, const struct engine_slice *slices,
		       size_t count, size_t len)
{
	const int flags = MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL;
	struct uring_link *link = uring_table_at(engine, slot);
	struct io_uring_sqe *entry;

	if (count == 1) {
		entry = uring_ring_entry(&engine->ring);
		io_uring_prep_send(entry, link->fd, slices[0].bytes, slices[0].len, flags);
	} else {
		struct uring_message *message = next_message(engine);

		memcpy(message->pieces, slices, count * sizeof(*slices));
		message->header = (struct msghdr){.msg_iov = message->pieces, .msg_iovlen = count};
		entry = uring_ring_entry(&engine->ring);
		io_uring_prep_sendmsg(entry, link->fd, &message->header, (unsigned)flags);
	}
	entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
	entry->user_data = uring_mark(URING_SEND, slot, (uint32_t)len);
	link->batch = engine->batch;
}

static void transmit(struct engine *engine, uint32_t slot)
{
	struct connection name = uring_table_name(engine, slot);
	struct engine_slice slices[ENGINE_SLICES];
	size_t count;
	size_t len;

	uring_link_clear(uring_table_at(engine, slot), URING_TO_SEND);
	count = engine->calls->output(engine->worker, name, slices);
	assert(count <= ENGINE_SLICES);
	len = output_len(slices, count);
	assert(len <= INT32_MAX);
	if (len == 0)
		return;
	enter_send(engine, slot, slices, count, len);
	take_duties(engine, slot, engine->calls->sent(engine->worker, name, len));
}

/* Only a send that came short, or failed, completes. */
static void on_send(struct engine *engine, uint32_t slot, int result, uint32_t len)
{
	struct uring_link *link = uring_table_at(engine, slot);
	uint32_t unsent = len;

	assert(link->flags & URING_USED && uring_table_is_in_batch(engine, link));
	if (result > 0)
		unsent -= (uint32_t)result;
	else if (result != -EAGAIN && result != -ENOBUFS && result != -EINTR && result != 0) {
		break_off(engine, slot, -result);
		return;
	}
	if (unsent == 0 || link->flags & URING_OVER)
		return;
	uring_link_set(link, URING_BLOCKED);
	take_duties(engine, slot,
		    engine->calls->blocked(engine->worker, uring_table_name(engine, slot), unsent));
	/* There is output in any case: what was taken back. */
	uring_link_set(link, URING_TO_SEND);
}

/* ---- receiving */

static void tell_received(struct engine *engine, uint32_t slot, const char *bytes, size_t len)
{
	take_duties(engine, slot,
		    engine->calls->received(engine->worker, uring_table_name(engine, slot), bytes,
					    len));
}

static void on_bytes(struct engine *engine, uint32_t slot, const struct io_uring_cqe *completion)
{
	struct uring_link *link = uring_table_at(engine, slot);

	engine->receives++;
	linger_event(&engine->linger, slot);
	uring_flood_count(engine, slot, completion->res);
	if (!(link->flags & (URING_CLOSING | URING_ENDED | URING_OVER)))
		tell_received(engine, slot, uring_ring_buffer(&engine->ring, completion),
			      (size_t)completion->res);
}

static void on_end(struct engine *engine, uint32_t slot)
{
	struct uring_link *link = uring_table_at(engine, slot);

	if (link->flags & (URING_CLOSING | URING_ENDED | URING_OVER))
		return;
	/* A reset that a send has met leaves an end behind that is none; EPIPE says that there was one before it. */
	if (!(link->flags & URING_BROKEN) || link->error == EPIPE) {
		uring_link_set(link, URING_ENDED);
		linger_event(&engine->linger, slot);
		tell_received(engine, slot, "", 0);
	}
	if (link->flags & URING_BROKEN)
		fail(engine, slot, link->error);
}

static void on_receive(struct engine *engine, uint32_t slot, const struct io_uring_cqe *completion)
{
	struct uring_link *link = uring_table_at(engine, slot);
	int result = completion->res;

	assert(link->flags & URING_RECEIVING);
	if (!(completion->flags & IORING_CQE_F_MORE)) {
		uring_link_clear(link, URING_RECEIVING | URING_NO_RECEIVING);
		uring_table_note(engine, slot, 0);
	}
	if (result > 0)
		on_bytes(engine, slot, completion);
	else if (result == 0)
		on_end(engine, slot);
	else if (result == -ENOBUFS)
		uring_ring_grow(&engine->ring);
	else if (result != -ECANCELED && result != -EINTR && result != -EAGAIN)
		fail(engine, slot, -result);
	uring_ring_give_back(&engine->ring, completion);
}

/* ---- watching */

static void on_watch(struct engine *engine, uint32_t slot, const struct io_uring_cqe *completion)
{
	struct uring_link *link = uring_table_at(engine, slot);

	assert(link->flags & URING_WATCHING);
	if (!(completion->flags & IORING_CQE_F_MORE))
		uring_link_clear(link, URING_WATCHING | URING_NO_WATCHING);
	uring_table_note(engine, slot, 0);
	if (completion->res < 0 || link->flags & URING_OVER)
		return;
	if (completion->res & (POLLERR | POLLHUP)) {
		int error = peer_error(link->fd);

		break_off(engine, slot, error != 0 ? error : EPIPE);
	} else if (completion->res & POLLOUT) {
		uring_link_clear(link, URING_BLOCKED);
	}
}

/* There was nothing to be cancelled: the operation is through already, or it is to be tried again. */
static void on_not_cancelled(struct engine *engine, uint32_t slot, unsigned flag)
{
	struct uring_link *link = uring_table_at(engine, slot);

	if (!(link->flags & flag))
		return;
	uring_link_clear(link, flag);
	uring_table_note(engine, slot, 0);
}

void uring_connection_completed(struct engine *engine, const struct io_uring_cqe *completion)
{
	enum uring_operation operation = completion->user_data & 0xf;
	uint32_t slot = (uint32_t)completion->user_data >> 4;
	uint32_t rest = (uint32_t)(completion->user_data >> 32);
	bool is_stale = uring_table_at(engine, slot)->generation != rest;

	assert(slot < engine->used);
	switch (operation) {
	case URING_SEND:
		on_send(engine, slot, completion->res, rest);
		break;
	case URING_RECEIVE:
		assert(!is_stale);
		on_receive(engine, slot, completion);
		break;
	case URING_WATCH:
		assert(!is_stale);
		on_watch(engine, slot, completion);
		break;
	case URING_CANCEL_RECEIVE:
		if (!is_stale)
			on_not_cancelled(engine, slot, URING_NO_RECEIVING);
		break;
	case URING_CANCEL_WATCH:
		if (!is_stale)
			on_not_cancelled(engine, slot, URING_NO_WATCHING);
		break;
	default:
		assert(!"a connection has no such operation");
	}
}

/* ---- the end */

static void end(struct engine *engine, uint32_t slot)
{
	struct uring_link *link = uring_table_at(engine, slot);
	enum engine_end how = ENGINE_END_FINISHED;
	int error = 0;

	if (link->flags & URING_DROPPED) {
		how = ENGINE_END_DROPPED;
		/* The kernel need not go on offering what the peer does not take. */
		if (link->flags & URING_BLOCKED)
			shed_abort(link->fd);
		close(link->fd);
	} else if (link->flags & URING_FAILED) {
		error = link->error;
		how = peer_end(error);
		close(link->fd);
	} else {
		shed_see_off(&engine->shed, engine->now, link->fd, link->flags & URING_ENDED);
	}
	/* Already now, so that calls down find nobody. */
	link->flags &= URING_IN_FLIGHT | URING_LISTED;
	engine->calls->closed(engine->worker, uring_table_name(engine, slot), how, error);
	uring_table_give(engine, slot);
}

static bool is_over(const struct uring_link *link)
{
	if (link->flags & URING_OVER)
		return true;
	if (!(link->flags & URING_CLOSING))
		return false;
	return link->flags & URING_BROKEN || !(link->flags & (URING_TO_SEND | URING_BLOCKED));
}

static bool can_send(const struct uring_link *link)
{
	return (link->flags & (URING_TO_SEND | URING_BLOCKED | URING_BROKEN | URING_OVER)) ==
	       URING_TO_SEND;
}

/* Ends it if nothing of it is in flight, else sees to it that soon nothing is. */
static void part(struct engine *engine, uint32_t slot)
{
	struct uring_link *link = uring_table_at(engine, slot);

	if ((link->flags & (URING_BROKEN | URING_DROPPED)) == URING_BROKEN)
		uring_link_set(link, URING_FAILED);
	sync_receive(engine, slot, false);
	sync_watch(engine, slot, false);
	/* It will be in the list again when that has completed. */
	if (link->flags & (URING_IN_FLIGHT | URING_LISTED))
		return;
	if (uring_table_is_in_batch(engine, link))
		uring_table_list(engine, &engine->later, slot);
	else
		end(engine, slot);
}

static void work_at(struct engine *engine, uint32_t slot)
{
	struct uring_link *link = uring_table_at(engine, slot);

	if (can_send(link) && !uring_table_is_in_batch(engine, link))
		transmit(engine, slot);
	if (is_over(link)) {
		part(engine, slot);
		return;
	}
	arm_what_is_wanted(engine, slot);
	/* More, when it is known what became of this. */
	if ((can_send(link) || (is_receiving_wanted(link) && !(link->flags & URING_RECEIVING))) &&
	    !(link->flags & URING_LISTED))
		uring_table_list(engine, &engine->later, slot);
}

void uring_connection_work(struct engine *engine)
{
	while (engine->work.first != URING_NONE)
		work_at(engine, uring_table_unlist(engine, &engine->work));
}

void uring_connection_bury(struct engine *engine, uint32_t slot)
{
	struct uring_link *link = uring_table_at(engine, slot);

	link->batch = (uint16_t)(engine->batch - 1);
	link->flags = URING_USED | URING_DROPPED;
	end(engine, slot);
}
