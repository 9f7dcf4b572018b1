/*
 * The engine for Linux since 6.1: one ring a worker.
 *
 * A turn is: one enter, which submits what the last turn left to be done, and waits; read the clock; tell what has
 * completed; do what came of it; let the worker judge.
 *
 * When a turn is whole. What had arrived when the clock was read has either completed, and was told, or made the kernel
 * raise its flag that there is more to be told (see uring_ring.h). So without the flag, and with nothing newly armed,
 * the turn is whole, and nobody had to be asked. With the flag, the turn looks again until it is gone, where somebody
 * may be judged or none was whole for a while; where it never goes, because the clients are faster than we are, until it
 * has gone round: the kernel tells in the order in which things happened, and a connection is in its list but once.
 */

#include "engine/uring.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/peer.h"

#define LOOK_NS (10 * NS_PER_MS)
#define LOOK_SHARE 4 /* whole turns that take long are made seldom: a fourth of the time at most */
#define RECEIVES_MAX 65536 /* in a turn: after these it ends, whole or not */
#define BY_HAND_MAX 64	   /* newcomers turned away in a row before the others have their turn */

/* ---- newcomers */

static void welcome(struct engine *engine, unsigned listener, int fd,
		    const struct sockaddr_storage *peer)
{
	uint32_t slot = uring_table_take(engine, fd);

	if (slot == URING_NONE) {
		shed_refuse(&engine->shed, listener, engine->now, fd);
		engine->calls->shed(engine->worker, listener, ENOSPC);
		return;
	}
	if (engine->calls->accepted(engine->worker, uring_table_name(engine, slot), listener,
				    peer)) {
		uring_table_note(engine, slot, 0);
		return;
	}
	uring_table_give(engine, slot);
	shed_refuse(&engine->shed, listener, engine->now, fd);
}

static bool lets_in(const struct engine *engine)
{
	return engine->is_open && !engine->is_finishing;
}

/* Where there may be no room for newcomers: those who wait are let in or turned away one by one. */
static void accept_by_hand(struct engine *engine, unsigned listener)
{
	struct sockaddr_storage peer;

	for (int i = 0; i < BY_HAND_MAX && lets_in(engine); i++) {
		int fd = shed_accept(&engine->shed, listener, engine->now, &peer);

		if (fd == -EAGAIN)
			return;
		/* One found room: the kernel may try again by itself. */
		engine->listeners[listener].is_by_hand = fd < 0;
		if (fd >= 0)
			welcome(engine, listener, fd, &peer);
		else
			engine->calls->shed(engine->worker, listener, -fd);
	}
}

static void on_newcomer(struct engine *engine, unsigned listener, int fd)
{
	struct sockaddr_storage peer = {0};
	socklen_t len = sizeof(peer);

	if (engine->is_finishing) {
		shed_refuse(&engine->shed, listener, engine->now, fd);
		return;
	}
	/* Who is gone already has no name any more. */
	if (getpeername(fd, (struct sockaddr *)&peer, &len) != 0)
		peer.ss_family = AF_UNSPEC;
	welcome(engine, listener, fd, &peer);
}

/* Want of room, mostly: without a descriptor to spare, an accept fails even where nobody waits. */
static void on_accept_failed(struct engine *engine, unsigned listener, int error)
{
	if (error == ECANCELED)
		return;
	engine->listeners[listener].is_by_hand = true;
	accept_by_hand(engine, listener);
}

static void on_accept(struct engine *engine, unsigned listener,
		      const struct io_uring_cqe *completion)
{
	struct uring_listener *state = &engine->listeners[listener];

	if (!(completion->flags & IORING_CQE_F_MORE)) {
		state->is_accepting = false;
		state->is_cancelled = false;
	}
	if (completion->res >= 0)
		on_newcomer(engine, listener, completion->res);
	else
		on_accept_failed(engine, listener, -completion->res);
}

static void on_listen(struct engine *engine, unsigned listener, int result)
{
	struct uring_listener *state = &engine->listeners[listener];

	state->is_watching = false;
	state->is_cancelled = false;
	if (result >= 0)
		accept_by_hand(engine, listener);
}

static void arm_listener(struct engine *engine, unsigned listener)
{
	struct uring_listener *state = &engine->listeners[listener];
	struct io_uring_sqe *entry = uring_ring_entry(&engine->ring);
	int fd = engine->shed.listeners[listener].fd;

	if (state->is_by_hand) {
		io_uring_prep_poll_add(entry, fd, POLLIN);
		entry->user_data = uring_mark(URING_LISTEN, listener, 0);
		state->is_watching = true;
	} else {
		io_uring_prep_multishot_accept(entry, fd, NULL, NULL, SOCK_CLOEXEC);
		entry->user_data = uring_mark(URING_ACCEPT, listener, 0);
		state->is_accepting = true;
	}
	engine->again = true;
}

static void cancel_listener(struct engine *engine, unsigned listener)
{
	struct uring_listener *state = &engine->listeners[listener];
	struct io_uring_sqe *entry = uring_ring_entry(&engine->ring);

	io_uring_prep_cancel64(
		entry, uring_mark(state->is_accepting ? URING_ACCEPT : URING_LISTEN, listener, 0),
		0);
	entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
	entry->user_data = uring_mark(URING_NOTHING, 0, 0);
	state->is_cancelled = true;
}

/* Arms or disarms the listeners, as it is wanted now. */
static void sync_listeners(struct engine *engine)
{
	bool is_wanted = lets_in(engine) && !shed_is_paused(&engine->shed, engine->now);

	for (unsigned i = 0; i < engine->shed.listeners_count; i++) {
		struct uring_listener *state = &engine->listeners[i];
		bool is_armed = state->is_accepting || state->is_watching;

		if (is_wanted && !is_armed)
			arm_listener(engine, i);
		else if (!is_wanted && is_armed && !state->is_cancelled)
			cancel_listener(engine, i);
		else if (is_wanted && state->is_cancelled)
			/* Armed anew once the cancellation is through. */
			engine->again = true;
	}
}

static bool is_listening(const struct engine *engine)
{
	for (unsigned i = 0; i < engine->shed.listeners_count; i++)
		if (engine->listeners[i].is_accepting || engine->listeners[i].is_watching)
			return true;
	return false;
}

/* ---- turns */

static void arm_waker(struct engine *engine)
{
	struct io_uring_sqe *entry = uring_ring_entry(&engine->ring);

	/* Told for each write; that it is never read matters to nobody. */
	io_uring_prep_poll_multishot(entry, engine->waker, POLLIN);
	entry->user_data = uring_mark(URING_WAKE, 0, 0);
	engine->is_waker_armed = true;
}

static void dispatch(struct engine *engine, const struct io_uring_cqe *completion)
{
	unsigned listener = (uint32_t)completion->user_data >> 4;

	switch (completion->user_data & 0xf) {
	case URING_NOTHING:
		break;
	case URING_ACCEPT:
		on_accept(engine, listener, completion);
		break;
	case URING_LISTEN:
		on_listen(engine, listener, completion->res);
		break;
	case URING_WAKE:
		engine->is_waker_armed = completion->flags & IORING_CQE_F_MORE;
		break;
	default:
		uring_connection_completed(engine, completion);
	}
	/* What one thing that happened has to tell is told in a row. */
	engine->entries += completion->user_data != engine->last_mark;
	engine->last_mark = completion->user_data;
}

/* Tells all that has completed, and does what comes of it. */
static void tell(struct engine *engine)
{
	bool is_submitted = uring_ring_is_submitted(&engine->ring);
	struct io_uring_cqe completion;

	engine->again = !is_submitted;
	engine->messages_count = is_submitted ? 0 : engine->messages_count;
	while (uring_ring_take(&engine->ring, &completion))
		dispatch(engine, &completion);
	if (is_submitted)
		uring_table_end_batch(engine);
	uring_flood_measure(engine);
	uring_connection_work(engine);
	sync_listeners(engine);
}

/* Whether all that had arrived has been told, as far as it can be known without looking again. */
static bool is_all_told(const struct engine *engine)
{
	uint64_t enough = (uint64_t)engine->live + engine->shed.listeners_count + 1;

	if (engine->again)
		return false;
	return !uring_ring_has_more(&engine->ring) ||
	       (engine->entries > enough && uring_flood_is_over(engine));
}

static bool is_whole_wanted(const struct engine *engine, bool was_woken)
{
	uint64_t since = mono_between(engine->looked, engine->now);

	return since >= LOOK_SHARE * engine->whole_ns &&
	       (was_woken || !mono_before(engine->now, engine->until) || since >= LOOK_NS);
}

/* Tells, and looks again until the turn is whole, where it is to be. 1: it is, 0: it is not, or a negative errno. */
static int tell_all(struct engine *engine, bool is_wanted)
{
	int error = 0;

	engine->entries = 0;
	engine->receives = 0;
	tell(engine);
	while (error == 0 && is_wanted && !is_all_told(engine) && engine->receives < RECEIVES_MAX) {
		error = uring_ring_look(&engine->ring);
		tell(engine);
	}
	if (error != 0)
		return error;
	return is_all_told(engine);
}

/* When the next wait is to end at the latest. */
static struct mono wait_until(const struct engine *engine)
{
	return mono_earlier(engine->until, shed_next(&engine->shed, engine->now));
}

static int wait_for_more(struct engine *engine)
{
	struct mono now = clock_mono();
	struct mono until = wait_until(engine);
	uint64_t ns = until.ns == UINT64_MAX ? UINT64_MAX : mono_between(now, until);
	bool is_idle = engine->work.first == URING_NONE && engine->later.first == URING_NONE;

	/* The write of a wake may have been taken by the turn before, too late for that turn. */
	if (!is_idle || ns == 0 || atomic_load(&engine->woken))
		return uring_ring_look(&engine->ring);
	if (engine->gather_ns > 0 && engine->gather_ns < ns)
		return uring_ring_wait(&engine->ring, LINGER_ENOUGH, engine->gather_ns);
	return uring_ring_wait(&engine->ring, 1, ns);
}

static void note_whole(struct engine *engine, bool is_whole, bool was_wanted)
{
	if (was_wanted && is_whole && engine->receives > 0)
		engine->whole_ns = mono_between(engine->now, clock_mono());
	if (is_whole)
		engine->looked = engine->now;
	else
		engine->until = mono_earlier(engine->until, mono_after(engine->now, LOOK_NS));
}

static int turn(struct engine *engine)
{
	int error = wait_for_more(engine);
	bool was_woken;
	bool is_wanted;
	int whole;

	if (error != 0)
		return error;
	engine->now = clock_mono();
	/* Whoever wakes from here on is served by the next turn. */
	was_woken = atomic_exchange(&engine->woken, false);
	engine->calls->woke(engine->worker, engine->now);
	is_wanted = is_whole_wanted(engine, was_woken);
	whole = tell_all(engine, is_wanted);
	uring_flood_forget(engine);
	if (whole < 0)
		return whole;
	shed_turn(&engine->shed, engine->now);
	engine->until = engine->calls->turned(engine->worker, whole);
	note_whole(engine, whole, is_wanted);
	engine->gather_ns = linger_turn(&engine->linger, engine->now);
	sync_listeners(engine);
	if (!engine->is_waker_armed)
		arm_waker(engine);
	return 0;
}

static int run_uring(struct engine *engine)
{
	int error = uring_ring_start(&engine->ring);

	if (error != 0)
		return error;
	arm_waker(engine);
	sync_listeners(engine);
	/* The last words are on their way until their peers have closed, too, or had time to. */
	while (error == 0 && !(engine->is_finishing && engine->live == 0 &&
			       engine->shed.count == 0 && !is_listening(engine)))
		error = turn(engine);
	uring_ring_stop(&engine->ring);
	return error;
}

/* ---- calls down */

static void wake_uring(struct engine *engine)
{
	uint64_t one = 1;

	if (!atomic_exchange(&engine->woken, true))
		(void)!write(engine->waker, &one, sizeof(one));
}

static void admit_uring(struct engine *engine, bool open)
{
	engine->is_open = open;
}

static void finish_uring(struct engine *engine)
{
	engine->is_finishing = true;
}

static void act_uring(struct engine *engine, struct connection connection, unsigned duties)
{
	if (uring_table_named(engine, connection) != NULL)
		uring_table_note(
			engine, connection.slot,
			(duties & ENGINE_SEND ? URING_TO_SEND : 0) |
				(duties & ENGINE_CLOSE ? URING_CLOSING | URING_TO_SEND : 0));
}

static void drop_uring(struct engine *engine, struct connection connection)
{
	if (uring_table_named(engine, connection) != NULL)
		uring_table_note(engine, connection.slot, URING_DROPPED);
}

static int ask_uring(struct engine *engine, struct connection connection, struct engine_view *view)
{
	const struct uring_link *link = uring_table_named(engine, connection);
	int error = link == NULL ? -ESTALE : peer_ask(link->fd, link->flags & URING_ENDED, view);

	/* What has been received already waits here, not at the socket. */
	if (error == 0 && !(link->flags & URING_ENDED) &&
	    uring_ring_holds(&engine->ring,
			     uring_mark(URING_RECEIVE, connection.slot, connection.generation)))
		view->unheard = true;
	return error;
}

static int tune_uring(struct engine *engine, struct connection connection, unsigned probe_s,
		      unsigned give_up_ms)
{
	const struct uring_link *link = uring_table_named(engine, connection);

	return link == NULL ? -ESTALE : peer_tune(link->fd, probe_s, give_up_ms);
}

/* ---- life */

static size_t table_bytes(uint32_t max)
{
	return (size_t)max * sizeof(struct uring_link);
}

static void init(struct engine *engine, const struct engine_config *config,
		 const struct engine_calls *calls, void *worker)
{
	engine->calls = calls;
	engine->worker = worker;
	engine->max = config->connections_max;
	engine->free = -1;
	engine->work.first = URING_NONE;
	engine->later.first = URING_NONE;
	engine->is_open = true;
	engine->now = clock_mono();
	engine->until = engine->now;
	linger_init(&engine->linger, config->linger_ns, engine->now);
}

static int open_uring(struct engine **given, const struct engine_config *config,
		      const struct engine_calls *calls, void *worker)
{
	struct engine *engine;
	int error = -ENOMEM;

	if (config->connections_max >= UINT32_C(1) << URING_SLOT_BITS)
		return -EINVAL;
	engine = calloc(1, sizeof(*engine));
	if (engine == NULL)
		return error;
	init(engine, config, calls, worker);
	engine->table = mmap(NULL, table_bytes(engine->max), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (engine->table == MAP_FAILED)
		goto fail_table;
	error = shed_init(&engine->shed, config);
	if (error != 0)
		goto fail_shed;
	engine->waker = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = -errno;
	if (engine->waker < 0)
		goto fail_waker;
	error = uring_ring_open(&engine->ring);
	if (error != 0)
		goto fail_ring;
	*given = engine;
	return 0;

fail_ring:
	close(engine->waker);
fail_waker:
	shed_fini(&engine->shed);
fail_shed:
	munmap(engine->table, table_bytes(engine->max));
fail_table:
	free(engine);
	return error;
}

/* Those who were accepted and never told, because the run failed. */
static void close_newcomers(struct engine *engine)
{
	struct io_uring_cqe completion;

	while (uring_ring_take(&engine->ring, &completion))
		if ((completion.user_data & 0xf) == URING_ACCEPT && completion.res >= 0)
			close(completion.res);
}

static void close_uring(struct engine *engine)
{
	if (engine == NULL)
		return;
	close_newcomers(engine);
	uring_ring_close(&engine->ring);
	for (uint32_t slot = 0; slot < engine->used; slot++)
		if (engine->table[slot].flags & URING_USED)
			uring_connection_bury(engine, slot);
	assert(engine->live == 0);
	close(engine->waker);
	shed_fini(&engine->shed);
	munmap(engine->table, table_bytes(engine->max));
	free(engine);
}

const struct engine_kind engine_uring = {
	.name = "uring",
	.open = open_uring,
	.run = run_uring,
	.close = close_uring,
	.wake = wake_uring,
	.admit = admit_uring,
	.finish = finish_uring,
	.act = act_uring,
	.drop = drop_uring,
	.ask = ask_uring,
	.tune = tune_uring,
};
