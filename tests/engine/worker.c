/*
 * The worker of the contract test: does what clients say (see rig.h), and watches that every call up is one that the
 * contract allows at this point. Runs where the engine runs; asserts nothing, but keeps the first thing that is wrong.
 */

#include "worker.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "rig.h"

/* The lines that are sent: constant memory, the same for everybody, after which the numbers begin again. */
#define BLOCK_LINES 131072
#define BLOCK_BYTES (BLOCK_LINES * RIG_LINE_BYTES)

/* The worker gives its output in pieces of at most this, so that an engine sees several. */
#define PIECE_BYTES 30011

static char block[BLOCK_BYTES + 1];

__attribute__((constructor)) static void fill_block(void)
{
	for (unsigned line = 0; line < BLOCK_LINES; line++)
		snprintf(block + (size_t)line * RIG_LINE_BYTES, RIG_LINE_BYTES + 1, "%07u\n", line);
}

char rig_line_byte(uint64_t offset)
{
	return block[offset % BLOCK_BYTES];
}

uint64_t rig_digest(uint64_t digest, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		digest = (digest ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3) + 1;
	return digest;
}

void rig_fail(struct rig *rig, const char *format, ...)
{
	va_list list;

	if (rig->failed)
		return;
	va_start(list, format);
	vsnprintf(rig->failure, sizeof(rig->failure), format, list);
	va_end(list);
	rig->failed = true;
}

/* Every call up begins and ends here. */
static void enter(struct rig *rig, const char *call)
{
	if (rig->down)
		rig_fail(rig, "%s is told inside a call down", call);
	else if (atomic_exchange(&rig->inside, true))
		rig_fail(rig, "%s is told while another call up is being made", call);
	if (!rig->has_woken && strcmp(call, "woke") != 0 && rig->result == 1)
		rig_fail(rig, "%s is told outside a turn", call);
}

static void leave(struct rig *rig)
{
	rig->inside = false;
}

/* The life that the engine speaks of, or NULL where there is none. */
static struct rig_life *life_of(struct rig *rig, struct connection connection, const char *call)
{
	struct rig_life *life;

	if (connection.slot >= rig->options.connections_max) {
		rig_fail(rig, "%s: slot %u is out of range", call, connection.slot);
		return NULL;
	}
	if (rig->slots[connection.slot] == 0) {
		rig_fail(rig, "%s is told of slot %u, where nobody is", call, connection.slot);
		return NULL;
	}
	life = &rig->lives[rig->slots[connection.slot] - 1];
	if (life->connection.generation != connection.generation) {
		rig_fail(rig, "%s is told of slot %u, generation %u instead of %u", call,
			 connection.slot, connection.generation, life->connection.generation);
		return NULL;
	}
	return life;
}

static uint64_t unsent(const struct rig_life *life)
{
	return life->owed + life->last - life->told;
}

static void set_asked_for(struct rig *rig, struct rig_life *life, bool asked_for)
{
	if (life->asked_for != asked_for)
		rig->pending += asked_for ? 1u : -1u;
	life->asked_for = asked_for;
}

static unsigned duties_of(struct rig_life *life)
{
	unsigned duties = 0;

	if (life->is_last_wanted && life->last == 0)
		life->last = strlen(RIG_LAST);
	if (unsent(life) != 0)
		duties |= ENGINE_SEND;
	life->held = life->stuck || unsent(life) > RIG_HOLD_BYTES;
	if (life->held)
		duties |= ENGINE_HOLD;
	if (life->closing)
		duties |= ENGINE_CLOSE;
	return duties;
}

static void on_woke(void *worker, struct mono now)
{
	struct rig *rig = worker;

	enter(rig, "woke");
	rig->has_woken = true;
	if (mono_before(now, rig->now))
		rig_fail(rig, "woke goes back in time");
	if (!mono_before(now, rig->asked))
		rig->punctual++;
	if (mono_before(clock_mono(), now))
		rig_fail(rig, "woke is ahead of the clock");
	rig->now = now;
	leave(rig);
}

static uint16_t port_of(const struct sockaddr_storage *peer)
{
	return peer->ss_family == AF_INET ? ntohs(((const struct sockaddr_in *)peer)->sin_port) : 0;
}

static bool take_in(struct rig *rig, struct connection connection,
		    const struct sockaddr_storage *peer)
{
	struct rig_life *life;

	if (rig->accepted == RIG_LIVES_MAX) {
		rig_fail(rig, "the test has no room for so many");
		return false;
	}
	life = &rig->lives[rig->accepted];
	life->connection = connection;
	life->port = port_of(peer);
	life->open = true;
	rig->slots[connection.slot] = rig->accepted + 1;
	rig->generations[connection.slot] = connection.generation;
	rig->accepted++;
	return true;
}

static bool on_accepted(void *worker, struct connection connection, unsigned listener,
			const struct sockaddr_storage *peer)
{
	struct rig *rig = worker;
	bool is_in = false;

	enter(rig, "accepted");
	if (connection.slot >= rig->options.connections_max)
		rig_fail(rig, "accepted: slot %u is out of range", connection.slot);
	else if (rig->slots[connection.slot] != 0)
		rig_fail(rig, "accepted: slot %u is taken", connection.slot);
	else if (connection.generation == 0)
		rig_fail(rig, "accepted: generation 0");
	else if (connection.generation == rig->generations[connection.slot])
		rig_fail(rig, "accepted: generation %u of slot %u again", connection.generation,
			 connection.slot);
	else if (listener != 0)
		rig_fail(rig, "accepted: listener %u", listener);
	else if (rig->is_finished)
		rig_fail(rig, "accepted after finish");
	else if (rig->refuses)
		rig->refused++;
	else
		is_in = take_in(rig, connection, peer);
	leave(rig);
	return is_in;
}

static void wait_at_gate(struct rig *rig)
{
	struct timespec ms = {.tv_nsec = 1000 * 1000};

	rig->at_gate = true;
	for (int i = 0; i < RIG_WAIT_S * 1000 && !rig->gate_is_open; i++)
		nanosleep(&ms, NULL);
	rig->gate_is_open = false;
	rig->at_gate = false;
}

static void hear_byte(struct rig *rig, struct rig_life *life, char byte)
{
	switch (byte) {
	case '\n':
		life->owed += RIG_LINE_BYTES;
		break;
	case 'B':
		life->owed += RIG_BIG_BYTES;
		break;
	case 'H':
		life->stuck = true;
		break;
	case 'C':
		life->closing = true;
		life->is_last_wanted = true;
		break;
	case 'D':
		rig_drop(rig, life->connection);
		break;
	case 'G':
		wait_at_gate(rig);
		break;
	case 'F':
		rig_order_finish(rig, NULL);
		break;
	default:
		break;
	}
}

static void toil(uint64_t ns)
{
	struct mono until = mono_after(clock_mono(), ns);

	while (mono_before(clock_mono(), until))
		;
}

static void hear(struct rig *rig, struct rig_life *life, const char *bytes, size_t len)
{
	if (rig->options.toil_ns > 0)
		toil(rig->options.toil_ns);
	if (life->held)
		life->heard_held += len;
	life->digest = rig_digest(life->digest, bytes, len);
	/* What comes after C is not heard, as with any server that was told to stop. */
	for (size_t i = 0; i < len && !life->closing && !life->dropped; i++)
		hear_byte(rig, life, bytes[i]);
	life->heard += len;
	rig->heard += len;
}

static void hear_end(struct rig *rig, struct rig_life *life)
{
	life->ended = true;
	rig->ended++;
	if (!rig->options.keep_ended)
		life->closing = true;
}

static unsigned on_received(void *worker, struct connection connection, const char *bytes,
			    size_t len)
{
	struct rig *rig = worker;
	struct rig_life *life;
	unsigned duties = 0;

	enter(rig, "received");
	life = life_of(rig, connection, "received");
	if (life != NULL) {
		if (len > ENGINE_RECEIVE_BYTES)
			rig_fail(rig, "received: %zu bytes at once", len);
		if (life->ended)
			rig_fail(rig, "received after the end");
		if (life->closing)
			rig_fail(rig, "received after CLOSE");
		if (life->dropped)
			rig_fail(rig, "received after drop");
		if (len == 0)
			hear_end(rig, life);
		else
			hear(rig, life, bytes, len);
		if (!life->dropped)
			duties = duties_of(life);
		set_asked_for(rig, life, (duties & ENGINE_SEND) != 0 && !life->blocked);
	}
	leave(rig);
	return duties;
}

/* The lines that are owed, in pieces, and the last text when there is a piece left for it. */
static size_t cut(const struct rig_life *life, struct engine_slice slices[ENGINE_SLICES])
{
	uint64_t at = life->told;
	size_t count = 0;

	while (at < life->owed && count < ENGINE_SLICES) {
		uint64_t len = life->owed - at;
		uint64_t to_end = BLOCK_BYTES - at % BLOCK_BYTES;

		len = len < to_end ? len : to_end;
		len = len < PIECE_BYTES ? len : PIECE_BYTES;
		slices[count++] = (struct engine_slice){block + at % BLOCK_BYTES, len};
		at += len;
	}
	if (at >= life->owed && at < life->owed + life->last && count < ENGINE_SLICES)
		slices[count++] = (struct engine_slice){&RIG_LAST[at - life->owed],
							life->owed + life->last - at};
	return count;
}

static size_t on_output(void *worker, struct connection connection,
			struct engine_slice slices[ENGINE_SLICES])
{
	struct rig *rig = worker;
	struct rig_life *life;
	size_t count = 0;

	enter(rig, "output");
	life = life_of(rig, connection, "output");
	if (life != NULL) {
		set_asked_for(rig, life, false);
		count = cut(life, slices);
	}
	leave(rig);
	return count;
}

static unsigned on_sent(void *worker, struct connection connection, size_t bytes)
{
	struct rig *rig = worker;
	struct rig_life *life;
	unsigned duties = 0;

	enter(rig, "sent");
	life = life_of(rig, connection, "sent");
	if (life != NULL && bytes > unsent(life)) {
		rig_fail(rig, "sent %zu bytes where %lu are owed", bytes,
			 (unsigned long)unsent(life));
	} else if (life != NULL) {
		life->told += bytes;
		life->blocked = false;
		duties = duties_of(life);
	}
	leave(rig);
	return duties;
}

static unsigned on_blocked(void *worker, struct connection connection, size_t bytes)
{
	struct rig *rig = worker;
	struct rig_life *life;
	unsigned duties = 0;

	enter(rig, "blocked");
	life = life_of(rig, connection, "blocked");
	if (life != NULL && bytes > life->told) {
		rig_fail(rig, "blocked takes back %zu bytes of %lu", bytes,
			 (unsigned long)life->told);
	} else if (life != NULL) {
		life->told -= bytes;
		life->blocks++;
		life->blocked = true;
		set_asked_for(rig, life, false);
		duties = duties_of(life);
	}
	leave(rig);
	return duties;
}

static void on_closed(void *worker, struct connection connection, enum engine_end end, int error)
{
	struct rig *rig = worker;
	struct rig_life *life;

	enter(rig, "closed");
	life = life_of(rig, connection, "closed");
	if (life != NULL) {
		if (end == ENGINE_END_FINISHED && !life->closing)
			rig_fail(rig, "closed as finished, which nobody wanted");
		if (end == ENGINE_END_FINISHED && unsent(life) != 0)
			rig_fail(rig, "closed as finished with %lu bytes unsent",
				 (unsigned long)unsent(life));
		if (end == ENGINE_END_DROPPED && !life->dropped)
			rig_fail(rig, "closed as dropped, which nobody wanted");
		if (end == ENGINE_END_FAILED)
			rig_fail(rig, "closed as failed: %s", strerror(error));
		set_asked_for(rig, life, false);
		life->end = (int)end;
		life->error = error;
		life->open = false;
		rig->slots[connection.slot] = 0;
		rig->closed++;
	}
	leave(rig);
}

static void on_shed(void *worker, unsigned listener, int error)
{
	struct rig *rig = worker;

	enter(rig, "shed");
	if (listener != 0 || error <= 0)
		rig_fail(rig, "shed: listener %u, error %d", listener, error);
	rig->shed_error = error;
	rig->shed++;
	leave(rig);
}

/* All that was there when the demand was made must have been told in a turn that woke later and is whole. */
static void check_demand(struct rig *rig)
{
	struct rig_demand *demand = &rig->demand;

	if (!demand->stands || mono_before(rig->now, demand->at))
		return;
	if (rig->heard < demand->heard)
		rig_fail(rig, "judged before hearing: %lu of %lu bytes", (unsigned long)rig->heard,
			 (unsigned long)demand->heard);
	if (rig->accepted < demand->accepted)
		rig_fail(rig, "judged before letting in: %u of %u newcomers", rig->accepted,
			 demand->accepted);
	if (rig->ended < demand->ended)
		rig_fail(rig, "judged before hearing of ends: %u of %u", rig->ended, demand->ended);
	if (demand->life != NULL && demand->life->heard < demand->life_heard)
		rig_fail(rig, "judged before hearing one out: %lu of %lu bytes",
			 (unsigned long)demand->life->heard, (unsigned long)demand->life_heard);
	demand->stands = false;
}

static struct mono on_turned(void *worker, bool whole)
{
	struct rig *rig = worker;
	void (*order)(struct rig *, void *);

	enter(rig, "turned");
	if (whole)
		check_demand(rig);
	if (rig->pending != 0)
		rig_fail(rig, "the turn ends, and %u with SEND were not asked for output",
			 rig->pending);
	rig->whole += whole;
	rig->turns++;
	order = rig->order;
	if (order != NULL) {
		order(rig, rig->order_arg);
		rig->order = NULL;
	}
	rig->has_woken = false;
	rig->asked = mono_after(rig->now, rig->ask_ns);
	leave(rig);
	return rig->asked;
}

void rig_act(struct rig *rig, struct connection connection, unsigned duties)
{
	rig->down = true;
	rig->kind->act(rig->engine, connection, duties);
	rig->down = false;
}

void rig_drop(struct rig *rig, struct connection connection)
{
	if (connection.slot < rig->options.connections_max && rig->slots[connection.slot] != 0) {
		struct rig_life *life = &rig->lives[rig->slots[connection.slot] - 1];

		if (life->connection.generation == connection.generation)
			life->dropped = true;
	}
	rig->down = true;
	rig->kind->drop(rig->engine, connection);
	rig->down = false;
}

int rig_ask(struct rig *rig, struct connection connection, struct engine_view *view)
{
	int result;

	rig->down = true;
	result = rig->kind->ask(rig->engine, connection, view);
	rig->down = false;
	return result;
}

int rig_tune(struct rig *rig, struct connection connection, unsigned probe_s, unsigned give_up_ms)
{
	int result;

	rig->down = true;
	result = rig->kind->tune(rig->engine, connection, probe_s, give_up_ms);
	rig->down = false;
	return result;
}

void rig_order_close(struct rig *rig, void *arg)
{
	struct rig_life *life = arg;

	if (!life->open)
		return;
	life->closing = true;
	rig_act(rig, life->connection, duties_of(life));
}

void rig_order_drop(struct rig *rig, void *arg)
{
	struct rig_life *life = arg;

	rig_drop(rig, life->connection);
}

void rig_order_release(struct rig *rig, void *arg)
{
	struct rig_life *life = arg;

	life->stuck = false;
	life->owed += RIG_LINE_BYTES;
	rig_act(rig, life->connection, duties_of(life));
}

void rig_order_nothing(struct rig *rig, void *ignored)
{
	(void)rig;
	(void)ignored;
}

static void admit(struct rig *rig, bool open)
{
	rig->down = true;
	rig->kind->admit(rig->engine, open);
	rig->down = false;
}

void rig_order_shut_doors(struct rig *rig, void *ignored)
{
	(void)ignored;
	admit(rig, false);
}

void rig_order_open_doors(struct rig *rig, void *ignored)
{
	(void)ignored;
	admit(rig, true);
}

void rig_order_finish(struct rig *rig, void *ignored)
{
	(void)ignored;
	rig->down = true;
	rig->kind->finish(rig->engine);
	rig->down = false;
	rig->is_finished = true;
	for (uint32_t slot = 0; slot < rig->options.connections_max; slot++)
		if (rig->slots[slot] != 0)
			rig_order_close(rig, &rig->lives[rig->slots[slot] - 1]);
}

/* Here every turn is one to judge in. */
static bool on_judges(void *context)
{
	(void)context;
	return true;
}

const struct engine_calls worker_calls = {
	.woke = on_woke,
	.accepted = on_accepted,
	.received = on_received,
	.output = on_output,
	.sent = on_sent,
	.blocked = on_blocked,
	.closed = on_closed,
	.shed = on_shed,
	.judges = on_judges,
	.turned = on_turned,
};
