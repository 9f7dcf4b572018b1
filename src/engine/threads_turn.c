/*
 * The lock, and what everybody does who has it: telling, noting, ending. See threads.c.
 */

#include "engine/threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/peer.h"

#define PATIENCE_NS 2000000L /* after which a client's thread is let in first */

void threads_begin(struct engine *engine)
{
	engine->now = clock_mono();
	engine->calls->woke(engine->worker, engine->now);
}

/* The next one to have the lock, after those who are queuing already. */
void threads_lock_first(struct engine *engine)
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
		threads_lock_first(engine);
	threads_begin(engine);
}

void threads_wake_main(struct engine *engine)
{
	/* Full, it wakes as well. */
	(void)!write(engine->waker[1], "", 1);
}

void threads_poke(struct engine *engine)
{
	if (!engine->is_poked)
		threads_wake_main(engine);
	engine->is_poked = true;
}

/* Something was told: the worker's next deadline may have changed. */
void threads_stir(struct engine *engine)
{
	if (engine->is_stirred)
		return;
	engine->is_stirred = true;
	engine->stirred_at = engine->now;
	if (mono_before(mono_after(engine->now, THREADS_TICK_NS), engine->sleeps))
		threads_poke(engine);
}

/* Its own thread is sending, and will look for what is noted for it. */
bool threads_is_left_to_sender(struct engine *engine, uint32_t slot)
{
	int found = THREADS_SENDING;

	return atomic_compare_exchange_strong(&engine->clients[slot].sending, &found,
					      THREADS_CALLED) ||
	       found == THREADS_CALLED;
}

void threads_defer_to_sender(struct engine *engine, uint32_t slot)
{
	struct link *link = threads_link(engine, slot);

	if (threads_is_left_to_sender(engine, slot))
		link->flags |= LINK_DEFERS;
	else
		link->flags &= ~(uint32_t)LINK_DEFERS;
}

/*
 * What was left to the sending thread is not sent in this turn: to the worker, that is a socket that takes no more for
 * now. It is asked for its output all the same, as it was promised.
 */
enum link_fate threads_tell_deferred(struct engine *engine, uint32_t slot)
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

void threads_perform_marks(struct engine *engine)
{
	enum link_fate fate;
	uint32_t slot;

	while ((slot = links_unmark(&engine->links)) != LINKS_NONE) {
		if (threads_link(engine, slot)->flags & THREADS_OVER)
			continue;
		threads_defer_to_sender(engine, slot);
		fate = links_perform_marked(&engine->links, slot);
		if (fate == LINK_STAYS)
			fate = threads_tell_deferred(engine, slot);
		threads_settle(engine, slot, fate, false);
	}
}

void threads_leave(struct engine *engine)
{
	threads_perform_marks(engine);
	threads_stir(engine);
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
void threads_leave_to_peer(struct engine *engine, uint32_t slot)
{
	threads_link(engine, slot)->flags |= THREADS_LEAVING;
	engine->clients[slot].until = mono_after(engine->now, SHED_PARTING_MS * NS_PER_MS);
	if (engine->leaving++ == 0)
		threads_poke(engine);
}

void threads_shut(struct engine *engine, uint32_t slot, enum link_fate fate)
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

	threads_shut(engine, slot, fate);
	link->flags |= THREADS_OVER;
	engine->over++;
	if (link->flags & THREADS_SEE_OFF && !is_own)
		threads_leave_to_peer(engine, slot);
	engine->calls->closed(engine->worker, links_name(&engine->links, slot),
			      fate == LINK_FAILED ? peer_end(error) : ends[fate], error);
	rouse(engine, slot);
}

/* Something that its own thread does not wait for. */
bool threads_is_troubled(const struct link *link)
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
	if (threads_is_troubled(link) && !engine->is_troubled) {
		engine->is_troubled = true;
		threads_poke(engine);
	}
	/* No longer held: what it holds is to be heard before the turn is whole. */
	if (link->flags & THREADS_IDLE && !threads_is_idle(link))
		engine->again = true;
	rouse(engine, slot);
}
