/*
 * One worker's time and wheel. What an event means for a client is decided in standing.c; here it is only known when.
 *
 * Each session lies on the wheel at or before its next deadline. The wheel counts milliseconds, deadlines are exact to the
 * nanosecond and rounded up on the wheel: nothing is ever early.
 */

#include "presence/watch.h"

#include <assert.h>
#include <string.h>

#include "presence/standing.h"

/* A wait that was asked for is no longer than this. */
#define WAIT_MAX_MS MS_PER_S

static uint64_t ms_up(struct awake time)
{
	return (time.ns + NS_PER_MS - 1) / NS_PER_MS;
}

static uint64_t now_ms(const struct watch *watch)
{
	return watch->awake.ns / NS_PER_MS;
}

void watch_init(struct watch *watch, struct directory *directory, unsigned worker, void *sessions,
		size_t stride, uint32_t count, uint64_t send_timeout_ms, struct mono now)
{
	*watch = (struct watch){
		.directory = directory,
		.worker = worker,
		.sessions = sessions,
		.stride = stride,
		.count = count,
		.now = now,
		.start = now,
		.promised = {UINT64_MAX},
		.send_timeout_ms = send_timeout_ms < INT32_MAX ? send_timeout_ms : INT32_MAX,
		.given = WHEEL_NONE,
	};
	wheel_init(&watch->wheel, watch_at(watch, 0), stride, 0);
}

/* The time that was lost, beginning where awake time stands now. */
static void note_stall(struct watch *watch, uint64_t ns)
{
	struct awake at = {watch->promised.ns - watch->start.ns - watch->away_ns};

	memmove(&watch->last_stalls[1], &watch->last_stalls[0],
		(WATCH_STALLS_KEPT - 1) * sizeof(watch->last_stalls[0]));
	watch->last_stalls[0] = (struct stall){at, ns};
	watch->away_ns += ns;
	watch->stalls++;
}

uint64_t watch_woke(struct watch *watch, struct mono now)
{
	uint64_t late_ns = mono_between(watch->promised, now);
	uint64_t stall_ns = 0;

	if (mono_before(now, watch->now))
		now = watch->now;
	if (late_ns > WATCH_STALL_NS) {
		stall_ns = late_ns;
		note_stall(watch, stall_ns);
	}
	watch->now = now;
	/* Kept where it is not broken: not every turn of every engine ends in a new promise. */
	if (mono_before(watch->promised, now))
		watch->promised = now;
	watch->awake = (struct awake){now.ns - watch->start.ns - watch->away_ns};
	wheel_turn(&watch->wheel, now_ms(watch));
	return stall_ns;
}

void watch_promise(struct watch *watch, struct mono until)
{
	watch->promised = mono_before(until, watch->now) ? watch->now : until;
}

/* When in the machine's time it was so late in awake time. */
static struct mono mono_of(const struct watch *watch, struct awake time)
{
	uint64_t ago_ns = awake_between(time, watch->awake);

	for (unsigned i = 0; i < WATCH_STALLS_KEPT; i++)
		if (awake_before(time, watch->last_stalls[i].at))
			ago_ns += watch->last_stalls[i].ns;
	return (struct mono){watch->now.ns - ago_ns};
}

/* Of an anonymous session the server's rhythm, else its client's; a displaced one may see its successor's. */
static void rhythm_of(const struct watch *watch, const struct session *session, uint64_t *every_ms,
		      uint64_t *grace_ms)
{
	const struct directory *directory = watch->directory;

	if (session->client == CLIENT_NONE) {
		*every_ms = directory->config.rhythm.every_ms;
		*grace_ms = directory->config.rhythm.grace_ms;
	} else {
		*every_ms = rhythm_load(&directory->clients[session->client].every_ms);
		*grace_ms = rhythm_load(&directory->clients[session->client].grace_ms);
	}
}

static struct awake silent_deadline(const struct watch *watch, const struct session *session)
{
	uint64_t every_ms, grace_ms, ms;

	rhythm_of(watch, session, &every_ms, &grace_ms);
	ms = every_ms;
	if (session->state != STATE_ALIVE)
		ms += grace_ms;
	if (session->state == STATE_SUSPECT)
		ms += watch->directory->config.suspect_hold_ms;
	return awake_after(session->heard, ms * NS_PER_MS);
}

/* `owing_ms` goes round, and is ahead of now in the ms in which it began. Whoever is suspect is held, owed to or not. */
static uint64_t stuck_deadline_ms(const struct watch *watch, const struct session *session)
{
	int32_t passed = (int32_t)((uint32_t)now_ms(watch) - session->owing_ms);

	if (session->owing_ms == 0 || watch->send_timeout_ms == 0 ||
	    session->state == STATE_SUSPECT)
		return UINT64_MAX;
	return (uint64_t)((int64_t)now_ms(watch) - passed) + watch->send_timeout_ms;
}

uint64_t watch_deadline_ms(const struct watch *watch, const struct session *session)
{
	uint64_t silent_ms = ms_up(silent_deadline(watch, session));
	uint64_t stuck_ms = stuck_deadline_ms(watch, session);

	return silent_ms < stuck_ms ? silent_ms : stuck_ms;
}

static void arm(struct watch *watch, uint32_t slot)
{
	wheel_arm(&watch->wheel, slot, watch_deadline_ms(watch, watch_at(watch, slot)));
}

/* What was given out is dealt with. */
static void answered(struct watch *watch, uint32_t slot)
{
	if (watch->given != slot)
		return;
	watch->given = WHEEL_NONE;
	watch->is_seen = false;
}

static struct standing standing_of(struct watch *watch, uint32_t slot)
{
	assert(watch_at(watch, slot)->tag != 0);
	directory_see(watch->directory, watch->worker, watch->now, watch->awake);
	return (struct standing){watch->directory, watch_at(watch, slot), watch->worker, slot};
}

static struct moment moment_of(const struct watch *watch, const struct session *session,
			       struct mono happened)
{
	return (struct moment){mono_of(watch, session->heard), happened, watch->now};
}

uint64_t watch_accept(struct watch *watch, uint32_t slot, uint32_t generation, unsigned listener,
		      const struct address *peer)
{
	struct session *session = watch_at(watch, slot);
	struct standing standing = {watch->directory, session, watch->worker, slot};

	assert(slot < watch->count && session->tag == 0);
	directory_see(watch->directory, watch->worker, watch->now, watch->awake);
	*session = (struct session){
		.heard = watch->awake,
		.accepted_ms = now_ms(watch),
		.generation = generation,
		.peer = *peer,
		.listener = (uint8_t)listener,
	};
	wheel_node_init(&watch->wheel, slot);
	standing_begin(&standing);
	watch->live++;
	arm(watch, slot);
	return session->tag;
}

void watch_back(struct watch *watch, uint32_t slot)
{
	struct standing standing = standing_of(watch, slot);
	struct moment moment = moment_of(watch, standing.session, watch->now);

	moment.happened = moment.heard;
	answered(watch, slot);
	if (standing.session->state == STATE_GONE)
		return;
	if (standing.session->state != STATE_ALIVE)
		standing_move(&standing, STATE_ALIVE, REASON_NONE, &moment);
	arm(watch, slot);
}

enum named watch_name(struct watch *watch, uint32_t slot, const struct naming *naming,
		      struct displaced *displaced)
{
	struct standing standing = standing_of(watch, slot);
	struct moment moment = {watch->now, watch->now, watch->now};
	enum named named = standing_name(&standing, naming, &moment, displaced);

	if (standing.session->state == STATE_GONE)
		return named;
	answered(watch, slot);
	if (named == NAMED)
		standing.session->heard = watch->awake;
	arm(watch, slot);
	return named;
}

/* In ms that go round, rounded up; 0 is taken. */
static uint32_t owing_since(const struct watch *watch)
{
	uint32_t ms = (uint32_t)ms_up(watch->awake);

	return ms == 0 ? 1 : ms;
}

void watch_owing(struct watch *watch, uint32_t slot)
{
	struct session *session = watch_at(watch, slot);

	if (session->owing_ms != 0)
		return;
	session->owing_ms = owing_since(watch);
	if (wheel_is_armed(&watch->wheel, slot) &&
	    stuck_deadline_ms(watch, session) < session->node.due_ms)
		arm(watch, slot);
}

void watch_owing_progress(struct watch *watch, uint32_t slot)
{
	if (watch_at(watch, slot)->owing_ms != 0)
		watch_at(watch, slot)->owing_ms = owing_since(watch);
}

void watch_owing_cleared(struct watch *watch, uint32_t slot)
{
	watch_at(watch, slot)->owing_ms = 0;
}

void watch_end(struct watch *watch, uint32_t slot, enum reason reason)
{
	struct standing standing = standing_of(watch, slot);
	struct moment moment = moment_of(watch, standing.session, watch->now);

	standing_end(&standing, reason, &moment);
	answered(watch, slot);
	wheel_disarm(&watch->wheel, slot);
	memset(standing.session, 0, sizeof(*standing.session));
	watch->live--;
}

static enum due due_of(const struct watch *watch, const struct session *session)
{
	if (session->state == STATE_GONE)
		return DUE_NOTHING;
	if (now_ms(watch) >= stuck_deadline_ms(watch, session))
		return DUE_STUCK;
	if (awake_before(watch->awake, silent_deadline(watch, session)))
		return DUE_NOTHING;
	return session->state == STATE_ALIVE ? DUE_LATE : DUE_OVER;
}

enum due watch_due(struct watch *watch, uint32_t *slot)
{
	enum due due;

	if (watch->is_seen) {
		watch->is_seen = false;
		*slot = watch->given;
		due = due_of(watch, watch_at(watch, *slot));
		if (due != DUE_NOTHING)
			return due;
	}
	/* One that was heard after all when it was looked at, and so was not answered. */
	if (watch->given != WHEEL_NONE)
		arm(watch, watch->given);
	while ((*slot = watch->given = wheel_take(&watch->wheel)) != WHEEL_NONE) {
		due = due_of(watch, watch_at(watch, *slot));
		if (due != DUE_NOTHING)
			return due;
		arm(watch, *slot);
	}
	return DUE_NOTHING;
}

bool watch_is_due(struct watch *watch)
{
	uint32_t slot;

	if (!watch->is_seen)
		watch->is_seen = watch_due(watch, &slot) != DUE_NOTHING;
	return watch->is_seen;
}

struct mono watch_due_since(const struct watch *watch, uint32_t slot, enum due due)
{
	const struct session *session = watch_at(watch, slot);

	if (due == DUE_STUCK)
		return mono_of(watch,
			       (struct awake){stuck_deadline_ms(watch, session) * NS_PER_MS});
	return mono_of(watch, silent_deadline(watch, session));
}

uint64_t watch_limit_ms(const struct watch *watch, uint32_t slot)
{
	const struct session *session = watch_at(watch, slot);

	return awake_between(session->heard, silent_deadline(watch, session)) / NS_PER_MS;
}

void watch_wait(struct watch *watch, uint32_t slot, unsigned ms)
{
	answered(watch, slot);
	if (ms > WAIT_MAX_MS)
		ms = WAIT_MAX_MS;
	wheel_arm(&watch->wheel, slot, ms_up(awake_after(watch->awake, ms * NS_PER_MS)));
}

/* Whether it is silent, still: what was unheard may have been heard since it was given out. */
static bool is_due(const struct watch *watch, const struct session *session)
{
	return session->state != STATE_GONE &&
	       !awake_before(watch->awake, silent_deadline(watch, session));
}

void watch_late(struct watch *watch, uint32_t slot)
{
	struct standing standing = standing_of(watch, slot);
	struct moment moment =
		moment_of(watch, standing.session, watch_due_since(watch, slot, DUE_LATE));

	answered(watch, slot);
	if (standing.session->state == STATE_ALIVE && is_due(watch, standing.session))
		standing_move(&standing, STATE_LATE, REASON_NONE, &moment);
	arm(watch, slot);
}

/*
 * A peer of TCP whose host owes an answer is out of reach. Else its host does answer, and it is the client that is
 * silent: how long ago the host last answered says nothing, for it may not have been asked since. The peer at a unix
 * socket is on this host.
 */
static bool is_unreachable(const struct peer_view *view)
{
	return view->is_tcp && view->unanswered;
}

enum reason watch_judge(struct watch *watch, uint32_t slot, const struct peer_view *view)
{
	struct standing standing = standing_of(watch, slot);
	struct session *session = standing.session;
	struct moment moment = moment_of(watch, session, watch_due_since(watch, slot, DUE_OVER));
	enum reason silent = is_unreachable(view) ? REASON_UNREACHABLE : REASON_HUNG;
	enum reason reason;

	answered(watch, slot);
	if (session->state == STATE_ALIVE || !is_due(watch, session)) {
		arm(watch, slot);
		return REASON_NONE;
	}
	reason = standing_judge(&standing, silent, &moment);
	if (reason == REASON_NONE)
		arm(watch, slot);
	else
		wheel_disarm(&watch->wheel, slot);
	return reason;
}

enum reason watch_judge_stuck(const struct watch *watch, uint32_t slot,
			      const struct peer_view *view)
{
	assert(watch_at(watch, slot)->tag != 0);
	return is_unreachable(view) ? REASON_UNREACHABLE : REASON_SLOW;
}

struct mono watch_next(const struct watch *watch)
{
	struct mono most = mono_after(watch->now, WATCH_TURN_MAX_NS);
	uint64_t due_ms = wheel_next_ms(&watch->wheel);

	if (watch->is_seen)
		return watch->now;
	if (due_ms >= watch->awake.ns / NS_PER_MS + WATCH_TURN_MAX_NS / NS_PER_MS)
		return most;
	return mono_earlier(
		most, mono_after(watch->now,
				 awake_between(watch->awake, (struct awake){due_ms * NS_PER_MS})));
}
