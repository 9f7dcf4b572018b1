/*
 * Nobody is judged here while anything of theirs may be unheard: not while bytes wait in their socket, and, for a client
 * with a name, who may be back on a session of another worker, not before every worker has heard all that had arrived.
 */

#include "server/judge.h"

#include "server/farewell.h"
#include "server/tend.h"

/* How soon one that could not be judged is looked at again. */
#define LOOK_AGAIN_MS 2

/* In one turn so many are judged at most; the rest in the next one, after hearing again. */
#define JUDGED_A_TURN 4096

static void wake_others(const struct worker *worker)
{
	for (unsigned i = 0; i < worker->house->workers_count; i++)
		if (i != worker->index && worker->house->workers[i] != NULL)
			worker_wake(worker->house->workers[i]);
}

static bool all_heard(struct worker *worker, const struct session *session, struct mono since)
{
	bool heard = true;

	if (session->client == CLIENT_NONE)
		return true;
	house_lock(worker->house);
	heard = directory_all_heard(worker->house->directory, since);
	house_unlock(worker->house);
	if (!heard)
		wake_others(worker);
	return heard;
}

/*
 * Whether something of it is unheard. Of one who takes nothing of what it is owed, and so is not received from, what
 * waits in the socket is a sign of life only as old as the kernel says, and none where its host does not answer either.
 */
static bool is_unheard(const struct session *session, const struct engine_view *view,
		       uint64_t limit_ms)
{
	bool is_cut_off = session->owing_ms != 0 && view->is_tcp && view->unanswered &&
			  view->data_ms >= limit_ms;

	return view->unheard && !is_cut_off;
}

/*
 * Bytes are dated by the reading of the clock in the turn that told them, which may be older than they are: the kernel
 * knows better when they came. How much too early it is to judge, in milliseconds.
 */
static unsigned too_early_ms(const struct engine_view *view, uint64_t limit_ms)
{
	return view->is_tcp && view->data_ms < limit_ms ? (unsigned)(limit_ms - view->data_ms) : 0;
}

static void judge_silent(struct worker *worker, uint32_t slot, enum due due,
			 const struct engine_view *view)
{
	struct session *session = &worker->seats[slot].session;
	struct peer_view peer = {view->is_tcp, view->unanswered, view->answered_ms};
	enum reason reason = REASON_NONE;
	uint64_t limit_ms = watch_limit_ms(&worker->watch, slot);
	unsigned early_ms = too_early_ms(view, limit_ms);

	if (early_ms > 0 || is_unheard(session, view, limit_ms) ||
	    !all_heard(worker, session, watch_due_since(&worker->watch, slot, due))) {
		watch_wait(&worker->watch, slot, early_ms > 0 ? early_ms : LOOK_AGAIN_MS);
		return;
	}
	house_lock(worker->house);
	if (due == DUE_LATE)
		watch_late(&worker->watch, slot);
	else
		reason = watch_judge(&worker->watch, slot, &peer);
	house_unlock(worker->house);
	if (reason == REASON_REPLACED)
		farewell_say(worker, slot, reason, FINAL_STOP);
	else if (reason != REASON_NONE)
		farewell_drop(worker, slot, reason);
	else if (due == DUE_LATE)
		tend(worker, slot, true);
}

static void judge(struct worker *worker, uint32_t slot, enum due due)
{
	struct connection connection = {slot, worker->seats[slot].session.generation};
	struct engine_view view;

	if (worker->kind->ask(worker->engine, connection, &view) != 0) {
		/* Its end is on its way up. */
		watch_wait(&worker->watch, slot, LOOK_AGAIN_MS);
	} else if (due == DUE_STUCK) {
		struct peer_view peer = {view.is_tcp, view.unanswered, view.answered_ms};

		farewell_drop(worker, slot, watch_judge_stuck(&worker->watch, slot, &peer));
	} else {
		judge_silent(worker, slot, due, &view);
	}
}

bool judge_is_wanted(struct worker *worker)
{
	return watch_is_due(&worker->watch) ||
	       !mono_before(worker->watch.now, worker->directory_due) ||
	       atomic_load_explicit(&worker->house->drain_until, memory_order_relaxed) != 0;
}

/* The directory counts from its latest turn. Where it is due already, another worker has to look first. */
static void look_at_directory(struct worker *worker)
{
	uint64_t wait_ms;

	house_lock(worker->house);
	wait_ms = directory_next_ms(worker->house->directory);
	house_unlock(worker->house);
	if (wait_ms == 0) {
		/* Something is due, and waits for one who has not looked since. */
		worker->directory_due = mono_after(worker->watch.now, LOOK_AGAIN_MS * NS_PER_MS);
		wake_others(worker);
		return;
	}
	if (wait_ms > MS_PER_S)
		wait_ms = MS_PER_S;
	worker->directory_due = mono_after(worker->directory_turned, wait_ms * NS_PER_MS);
}

void judge_turn(struct worker *worker)
{
	struct house *house = worker->house;
	uint32_t slot;
	enum due due;
	bool more;

	do {
		house_lock(house);
		more = directory_turn(house->directory, worker->index, worker->watch.now,
				      worker->watch.awake);
		house_unlock(house);
	} while (more);
	worker->directory_turned = worker->watch.now;
	for (unsigned judged = 0; judged < JUDGED_A_TURN; judged++) {
		due = watch_due(&worker->watch, &slot);
		if (due == DUE_NOTHING)
			break;
		judge(worker, slot, due);
	}
}

struct mono judge_next(struct worker *worker)
{
	struct mono next = mono_earlier(watch_next(&worker->watch), farewell_next(worker));

	look_at_directory(worker);
	return mono_earlier(next, worker->directory_due);
}
