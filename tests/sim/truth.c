/*
 * What the server tells, against what is so. The world knows when bytes of each client came into the server's host, who
 * is silent and why, and when the server itself was stopped; it takes nothing of that from the server.
 */

#include "sim/world.h"

#include <arpa/inet.h>
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "server/event.h"

/* Scheduling of the virtual engines, a tick of the wheel, and looking again at one who could not be judged. */
#define SLACK_MS 40

/* How long a host has to answer a probe, as the kernel's retransmission timeout has it. */
#define RTO_MS 300

void truth_fail(struct world *world, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fprintf(stderr, "seed %" PRIu64 " at %.4f s: ", world->seed,
		(double)(world->now.ns - 1000 * NS_PER_S) / 1e9);
	vfprintf(stderr, format, arguments);
	fprintf(stderr, "\nthe same again, with its story: sim --seed %" PRIu64 " -v\n",
		world->seed);
	va_end(arguments);
	fflush(stdout);
	exit(1);
}

static uint64_t stalled_between(const struct world *world, struct mono from, struct mono to)
{
	uint64_t ns = 0;

	for (unsigned i = 0; i < world->stalls_count; i++) {
		uint64_t begin =
			world->stalls[i].from.ns > from.ns ? world->stalls[i].from.ns : from.ns;
		uint64_t end = world->stalls[i].to.ns < to.ns ? world->stalls[i].to.ns : to.ns;

		if (end > begin)
			ns += end - begin;
	}
	return ns;
}

void truth_view(void *context, unsigned worker, uint32_t socket, struct mono now,
		struct engine_view *view)
{
	struct world *world = context;
	struct line *line = world_line(world, worker, socket);
	const struct actor *actor = &world->actors[line->client];
	bool cut = actor_is_cut(world, actor, now);
	struct mono since = actor->host_dead ? actor->died : world->cut_from;
	struct mono probe;

	view->is_tcp = true;
	view->data_ms = (uint32_t)(mono_between(line->arrived, now) / NS_PER_MS);
	view->answered_ms = 0;
	if (!actor->host_dead && !cut)
		return;
	/* The kernel probes each second from `every` on; the first one after the host was gone stays unanswered. */
	probe = mono_after(line->arrived, actor->every_ms * NS_PER_MS + 5 * NS_PER_MS);
	while (mono_before(probe, since))
		probe = mono_after(probe, NS_PER_S);
	view->unanswered = mono_between(probe, now) > RTO_MS * NS_PER_MS;
	view->answered_ms = (uint32_t)(mono_between(since, now) / NS_PER_MS);
}

static struct line *line_tagged(struct world *world, uint64_t tag)
{
	for (unsigned i = world->lines_count; i-- > 0;)
		if (world->lines[i].tag == tag)
			return &world->lines[i];
	return NULL;
}

static bool is_cut_off(const struct world *world, const struct line *line, struct mono at)
{
	const struct actor *actor = &world->actors[line->client];

	return actor->host_dead || actor_is_cut(world, actor, at);
}

/* One session that was judged for its silence: it was silent for so long, and not for much longer. */
static void check_silence(struct world *world, const struct note *note, const struct line *line,
			  uint64_t limit_ms, uint64_t hold_ms)
{
	uint64_t silent_ns = mono_between(line->arrived, note->judged);
	uint64_t away_ns = stalled_between(world, line->arrived, note->judged);
	uint64_t longest_ns = (limit_ms + hold_ms + SLACK_MS) * NS_PER_MS + away_ns;

	/* One who takes nothing of what it is owed, and whose host acknowledges nothing, has another limit. */
	if (note->reason == REASON_UNREACHABLE &&
	    mono_between(line->took, note->judged) >= world->send_timeout_ms * NS_PER_MS)
		return;
	if (silent_ns < limit_ms * NS_PER_MS)
		truth_fail(world, "%s is %s after a silence of only %.3f s, its limit is %.3f s",
			   note->name, state_word(note->to), (double)silent_ns / 1e9,
			   (double)limit_ms / 1e3);
	/* ... and that its host is silent is known only a while after it was cut off. */
	if (note->to == STATE_LATE && is_cut_off(world, line, note->judged) &&
	    virtual_has_unheard(virtual_of(line->worker), line->socket))
		return;
	if (silent_ns > longest_ns)
		truth_fail(world,
			   "%s is %s after a silence of %.3f s, with a limit of %.3f s and %.3f s "
			   "of stalls",
			   note->name, state_word(note->to), (double)silent_ns / 1e9,
			   (double)limit_ms / 1e3, (double)away_ns / 1e9);
	/* Of one that is cut off and not received from, what came long before is no sign of life. */
	if (virtual_has_unheard(virtual_of(line->worker), line->socket) &&
	    !is_cut_off(world, line, note->judged))
		truth_fail(world, "%s is %s though something of it is unheard", note->name,
			   state_word(note->to));
}

/* A newer session of the same name, whose naming had arrived before it was too late, must have been heard. */
static void check_no_newer(struct world *world, const struct note *note, const struct line *line,
			   struct mono too_late)
{
	for (unsigned i = 0; i < world->lines_count; i++) {
		const struct line *other = &world->lines[i];

		/* Of several that are heard in one turn any may be the last. */
		if (other->was_named || other->end_seen)
			continue;
		if (other->client == line->client && other->named.ns > line->named.ns &&
		    mono_before(other->named, too_late) &&
		    !virtual_is_shut(virtual_of(other->worker), other->socket))
			truth_fail(world, "%s is %s though it came back on another session before",
				   note->name, state_word(note->to));
	}
}

static void check_reason(struct world *world, const struct note *note, const struct line *line)
{
	const struct actor *actor = &world->actors[line->client];
	bool cut = mono_between(world->cut_from, note->judged) > 0 &&
		   actor_is_cut(world, actor, note->judged);

	if (note->reason == REASON_UNREACHABLE && !actor->host_dead && !cut)
		truth_fail(world, "%s is unreachable, though its host answers", note->name);
	if (note->reason == REASON_HUNG && actor->host_dead &&
	    actor->grace_ms > 1000 + RTO_MS + SLACK_MS &&
	    mono_between(actor->died, note->judged) > (1000 + RTO_MS + SLACK_MS) * NS_PER_MS)
		truth_fail(world, "%s has hung, though its host is dead", note->name);
	if (note->reason == REASON_STOPPED && !line->said_stop)
		truth_fail(world, "%s has stopped, though it never said so", note->name);
	if (note->reason == REASON_CLOSED && line->ended.ns == 0)
		truth_fail(world, "%s has closed, though it never did", note->name);
}

static bool is_judged_by_silence(const struct note *note)
{
	return note->to == STATE_LATE || note->to == STATE_SUSPECT ||
	       (note->to == STATE_GONE &&
		(note->reason == REASON_HUNG || note->reason == REASON_UNREACHABLE));
}

static void check_verdict(struct world *world, const struct note *note)
{
	struct line *line = line_tagged(world, note->tag);
	struct actor *actor;
	uint64_t limit_ms;

	if (line == NULL)
		truth_fail(world, "a verdict about tag %" PRIu64 ", which nobody has", note->tag);
	actor = &world->actors[line->client];
	if (mono_before(note->judged, note->happened))
		truth_fail(world, "%s: judged before it happened", note->name);
	if (!is_judged_by_silence(note)) {
		if (note->to == STATE_GONE)
			check_reason(world, note, line);
		if (note->name_len > 0 && world->config.rejoin_ms > 0 &&
		    (note->reason == REASON_CLOSED || note->reason == REASON_RESET))
			check_no_newer(
				world, note, line,
				mono_after(note->happened, world->config.rejoin_ms * NS_PER_MS));
		return;
	}
	limit_ms = actor->every_ms + (note->to == STATE_LATE ? 0 : actor->grace_ms);
	if (note->name_len == 0) {
		/* It has not named itself (yet): the server's rhythm is its. */
		limit_ms = world->config.rhythm.every_ms +
			   (note->to == STATE_LATE ? 0 : world->config.rhythm.grace_ms);
	}
	check_silence(world, note, line, limit_ms,
		      note->to == STATE_GONE && note->from == STATE_SUSPECT
			      ? world->config.suspect_hold_ms
			      : 0);
	if (note->name_len > 0)
		check_no_newer(world, note, line, note->happened);
	if (note->to == STATE_GONE)
		check_reason(world, note, line);
}

static struct actor *named_actor(struct world *world, const struct note *note)
{
	unsigned index = (unsigned)strtoul(note->name + 1, NULL, 10);

	return note->name[0] == 'c' && index < world->actors_count ? &world->actors[index] : NULL;
}

/* Each client's verdicts follow each other. */
static void check_order(struct world *world, const struct note *note)
{
	struct actor *actor = named_actor(world, note);

	if (actor == NULL || note->kind != NOTE_VERDICT)
		return;
	if (note->is_new == actor->known)
		truth_fail(world, "%s is told as %s", note->name,
			   note->is_new ? "new, but was known" : "known, but is new");
	if (!note->is_new && (note->from != actor->told || note->to == actor->told))
		truth_fail(world, "%s goes from %s to %s, but was %s", note->name,
			   state_word(note->from), state_word(note->to), state_word(actor->told));
	if (mono_before(note->judged, actor->told_at))
		truth_fail(world, "%s: judged before its last verdict", note->name);
	actor->known = true;
	actor->told = note->to;
	actor->told_at = note->judged;
}

static void look_at_note(struct world *world, const struct note *note)
{
	struct actor *actor = named_actor(world, note);

	world->verdicts++;
	if (note->sequence != ++world->sequence)
		truth_fail(world, "the sequence has a gap: %" PRIu64 " after %" PRIu64,
			   note->sequence, world->sequence - 1);
	world_say(world, "note %" PRIu64 " kind %d #%" PRIu64 " %s %s -> %s %s", note->sequence,
		  (int)note->kind, note->tag, note->name,
		  note->is_new ? "new" : state_word(note->from), state_word(note->to),
		  reason_word(note->reason));
	if (note->kind == NOTE_PARTITION)
		world->partitions++;
	if (note->kind == NOTE_FORGOTTEN && actor != NULL) {
		if (actor->told != STATE_GONE)
			truth_fail(world, "%s is forgotten, but was not gone", note->name);
		actor->known = false;
	}
	if (note->kind == NOTE_VERDICT) {
		check_order(world, note);
		check_verdict(world, note);
	}
}

static void look_at_event(struct world *world, const struct event *event)
{
	struct line *line;

	switch ((enum event_kind)event->kind) {
	case EVENT_CONNECT:
		line = &world->lines[event->peer.port - 1];
		line->tag = event->tag;
		world_say(world, "#%" PRIu64 " is a session of %s", event->tag,
			  world->actors[line->client].name);
		break;
	case EVENT_ID:
		line_tagged(world, event->tag)->was_named = true;
		break;
	case EVENT_END:
		line = line_tagged(world, event->tag);
		if (line->end_seen)
			truth_fail(world, "#%" PRIu64 " ended twice", event->tag);
		line->end_seen = true;
		world_say(world, "#%" PRIu64 " ended: %s", event->tag,
			  reason_word((enum reason)event->reason));
		if (line->said_stop && event->reason != REASON_STOPPED &&
		    event->reason != REASON_REPLACED && event->reason != REASON_RESET &&
		    event->reason != REASON_SLOW && event->reason != REASON_REFUSED &&
		    event->reason != REASON_MALFORMED)
			truth_fail(world, "#%" PRIu64 " said stop, but ended as %s", event->tag,
				   reason_word((enum reason)event->reason));
		break;
	case EVENT_MESSAGE:
	case EVENT_STALL:
	case EVENT_SHED:
	case EVENT_OVERFLOW:
	case EVENT_DRAIN:
		break;
	}
}

void truth_look(struct world *world)
{
	struct {
		struct event event;
		char text[EVENT_TEXT_MAX];
	} record;
	struct note note;

	/* Ends are written before the verdict that they lead to, connects before all. */
	for (unsigned i = 0; i < world->workers_count; i++)
		while (feed_take(&world->workers[i].feed, &record, sizeof(record)) > 0)
			look_at_event(world, &record.event);
	while (house_take_note(&world->house, &note))
		look_at_note(world, &note);
}

void truth_turned(struct world *world, unsigned worker)
{
	for (unsigned i = 0; i < world->lines_count; i++)
		if (world->lines[i].worker == worker && world->lines[i].heard_by.ns == 0)
			world->lines[i].heard_by = world->now;
	truth_look(world);
}

/* After the faults and a while: who speaks is alive, who does not is gone, and every message has been answered. */
static void check_actor_at_end(struct world *world, struct actor *actor)
{
	struct line *line = actor->line < 0 ? NULL : &world->lines[actor->line];
	struct known known;
	bool found;

	if (line != NULL && !actor->is_silent) {
		actor_reads(world, line);
		actor_reads(world, line);
	}
	if (line == NULL || actor->anonymous)
		return;
	found = directory_find(world->house.directory, actor->name, strlen(actor->name), &known);
	if (actor->is_silent && found && known.state != STATE_GONE)
		truth_fail(world, "%s is %s at the end, but has been silent for long", actor->name,
			   state_word(known.state));
	if (found && known.state != actor->told)
		truth_fail(world, "%s is %s, but was told as %s", actor->name,
			   state_word(known.state), state_word(actor->told));
	if (!actor->is_silent && line->was_named && (!found || known.state != STATE_ALIVE))
		truth_fail(world, "%s is %s at the end, but speaks", actor->name,
			   found ? state_word(known.state) : "not known");
}

static void check_line_at_end(struct world *world, const struct line *line)
{
	const struct actor *actor = &world->actors[line->client];
	bool closed = virtual_is_closed(virtual_of(line->worker), line->socket);

	if (line->is_live && actor->is_silent && !closed && line->tag != 0 && !line->end_seen)
		truth_fail(world, "#%" PRIu64 " of %s is still there, but has been silent for long",
			   line->tag, actor->name);
	if (line->is_live && !actor->is_silent && !closed && line->tag != 0 && !line->final &&
	    line->reply_bytes < (line->messages > 3 ? line->messages - 3 : 0) * 11)
		truth_fail(world,
			   "#%" PRIu64 ": %" PRIu64 " messages, but %" PRIu64 " bytes of replies",
			   line->tag, line->messages, line->reply_bytes);
}

void truth_of_end(struct world *world)
{
	for (unsigned i = 0; i < world->actors_count; i++)
		check_actor_at_end(world, &world->actors[i]);
	for (unsigned i = 0; i < world->lines_count; i++)
		check_line_at_end(world, &world->lines[i]);
}
