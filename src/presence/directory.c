/*
 * The directory as a whole: where its parts lie, its clock, and what is judged by that clock.
 *
 * The clock. A client that closed without a stop may come back to any worker, so it is over only when each worker has
 * lived through the time of rejoining, and has heard all that had arrived by its end. Workers' awake times differ by the
 * stalls that each had, so they cannot be compared. The directory's clock counts the time in which no worker was away:
 * the machine's, without all stalls of all workers (several at once count once). It has two hands:
 *
 *     front   the latest turn that was seen of any worker: deadlines are set from here
 *     back    the last whole turn of the slowest worker: deadlines are judged from here
 *
 * A deadline is never judged early: when `back` has passed it, every worker has been awake for all of it. It is judged
 * late by as much as workers' turns lie apart, which is a few ms where all of them wait by directory_next_ms.
 *
 * `front` may move back when a stall of one worker is seen that the others did not have: what was set by it before is
 * late by that stall. `back` never does, and `front` is never behind it.
 */

#include "presence/directory_state.h"

#include <string.h>

/* What one client may be told of at once: gone, flapping, steady; with another one's forgetting. */
#define NOTES_A_CLIENT 4

static uint32_t table_size(const struct directory_config *config)
{
	uint32_t size = 64;

	while (size < config->known_max && size < UINT32_C(1) << 31)
		size *= 2;
	return size;
}

static unsigned flap_changes(const struct directory_config *config)
{
	return config->flap_changes < FLAP_CHANGES_MAX ? config->flap_changes : FLAP_CHANGES_MAX;
}

/* Where each part begins in the block. */
struct layout {
	size_t clients, groups, flaps, names, group_names, bytes;
};

static size_t part(size_t *at, size_t size, size_t count)
{
	size_t begin = (*at + 63) / 64 * 64;

	*at = begin + size * count;
	return begin;
}

static struct layout layout_of(const struct directory_config *config)
{
	size_t at = sizeof(struct directory) + config->workers * sizeof(struct worker_clock);
	struct layout layout;

	layout.clients = part(&at, sizeof(struct client), config->known_max);
	layout.groups = part(&at, sizeof(struct group), config->known_max);
	layout.flaps = part(&at, sizeof(uint64_t) * (flap_changes(config) + 1), config->known_max);
	layout.names = part(&at, sizeof(uint32_t), table_size(config));
	layout.group_names = part(&at, sizeof(uint32_t), table_size(config));
	layout.bytes = at;
	return layout;
}

size_t directory_bytes(const struct directory_config *config)
{
	return layout_of(config).bytes;
}

static void *at(void *memory, size_t offset)
{
	return (char *)memory + offset;
}

struct directory *directory_init(void *memory, const struct directory_config *config,
				 struct mono now)
{
	struct directory *directory = memory;
	struct layout layout = layout_of(config);

	assert(config->workers >= 1 && config->workers <= DIRECTORY_WORKERS_MAX);
	directory->config = *config;
	directory->config.flap_changes = flap_changes(config);
	directory->clients = at(memory, layout.clients);
	directory->groups = at(memory, layout.groups);
	directory->flaps = at(memory, layout.flaps);
	directory->names = at(memory, layout.names);
	directory->group_names = at(memory, layout.group_names);
	directory->mask = table_size(config) - 1;
	directory->start = directory->latest = directory->judged = now;
	directory->away_from = directory->away_to = now;
	for (unsigned i = 0; i < config->workers; i++)
		directory->workers[i].now = directory->workers[i].seen = now;
	wheel_init(&directory->wheel, directory->clients, sizeof(struct client), 0);
	return directory;
}

/* The time up to `time` in which no worker was away. */
static uint64_t clock_at(const struct directory *directory, struct mono time)
{
	uint64_t passed = mono_between(directory->start, time);

	return passed > directory->away_ns ? passed - directory->away_ns : 0;
}

/* Counts a time in which a worker was away, once where it overlaps the one before. */
static void count_away(struct directory *directory, struct mono from, struct mono to)
{
	struct mono late_from = mono_before(from, directory->away_to) ? directory->away_to : from;
	struct mono early_to = mono_before(directory->away_from, to) ? directory->away_from : to;

	directory->away_ns += mono_between(late_from, to) + mono_between(from, early_to);
	if (mono_before(directory->away_to, from) || mono_before(to, directory->away_from)) {
		directory->away_from = from;
		directory->away_to = to;
		return;
	}
	directory->away_from = mono_earlier(directory->away_from, from);
	if (mono_before(directory->away_to, to))
		directory->away_to = to;
}

static void set_front(struct directory *directory)
{
	uint64_t front = clock_at(directory, directory->latest);

	directory->front_ns = front > directory->back_ns ? front : directory->back_ns;
	if (directory->front_ns > directory->stamp_ns)
		directory->stamp_ns = directory->front_ns;
}

void directory_see(struct directory *directory, unsigned worker, struct mono now,
		   struct awake awake)
{
	struct worker_clock *clock = &directory->workers[worker];
	uint64_t passed = mono_between(clock->seen, now);
	uint64_t lived = awake_between(clock->awake, awake);

	assert(worker < directory->config.workers);
	if (passed > lived)
		count_away(directory, (struct mono){now.ns - (passed - lived)}, now);
	if (mono_before(clock->seen, now))
		clock->seen = now;
	if (awake_before(clock->awake, awake))
		clock->awake = awake;
	if (mono_before(directory->latest, now))
		directory->latest = now;
	set_front(directory);
}

static struct mono slowest(const struct directory *directory)
{
	struct mono time = directory->workers[0].now;

	for (unsigned i = 1; i < directory->config.workers; i++)
		time = mono_earlier(time, directory->workers[i].now);
	return time;
}

bool directory_all_heard(const struct directory *directory, struct mono time)
{
	return !mono_before(slowest(directory), time);
}

static bool has_room_for_notes(const struct directory *directory, uint32_t before)
{
	return directory->notes_count - before + NOTES_A_CLIENT <= DIRECTORY_NOTES_A_CALL;
}

static void judge_client(struct directory *directory, struct client *client, struct mono now)
{
	uint64_t back_ms = directory->back_ns / NS_PER_MS;

	if (client->open && client->open_until_ms <= back_ms) {
		struct moment moment = {client->heard, client->ended, now};

		client->open = false;
		clients_move(directory, client, STATE_GONE, (enum reason)client->open_reason,
			     &moment);
	}
	if (client->flapping && flapping_until_ms(directory, client) <= back_ms)
		flapping_end(directory, client, now);
	clients_arm(directory, client);
}

/* The one that went first, if it is to be forgotten by now. */
static struct client *to_forget(const struct directory *directory)
{
	struct client *client;
	uint64_t back_ms = directory->back_ns / NS_PER_MS;

	if (directory->gone_first == 0)
		return NULL;
	client = &directory->clients[directory->gone_first - 1];
	return back_ms >= client->gone_ms &&
			       back_ms - client->gone_ms >= directory->config.forget_ms
		       ? client
		       : NULL;
}

bool directory_turn(struct directory *directory, unsigned worker, struct mono now,
		    struct awake awake)
{
	uint32_t before = directory->notes_count;
	struct client *client;
	uint64_t back;
	uint32_t index;

	directory_see(directory, worker, now, awake);
	if (mono_before(directory->workers[worker].now, now))
		directory->workers[worker].now = now;
	back = clock_at(directory, slowest(directory));
	if (back > directory->back_ns)
		directory->back_ns = back;
	set_front(directory);
	wheel_turn(&directory->wheel, directory->back_ns / NS_PER_MS);

	while (has_room_for_notes(directory, before)) {
		if ((index = wheel_take(&directory->wheel)) != WHEEL_NONE)
			judge_client(directory, &directory->clients[index], now);
		else if ((client = to_forget(directory)) != NULL)
			clients_forget(directory, client, now);
		else
			return false;
	}
	return true;
}

uint64_t directory_next_ms(const struct directory *directory)
{
	uint64_t due_ms = wheel_next_ms(&directory->wheel);
	uint64_t front_ms = directory->front_ns / NS_PER_MS;
	uint64_t forget_ms = directory->config.forget_ms;

	if (directory->gone_first != 0) {
		uint64_t gone_ms = directory->clients[directory->gone_first - 1].gone_ms;

		if (gone_ms <= UINT64_MAX - forget_ms && gone_ms + forget_ms < due_ms)
			due_ms = gone_ms + forget_ms;
	}
	if (due_ms == UINT64_MAX)
		return due_ms;
	return due_ms > front_ms ? due_ms - front_ms : 0;
}

bool directory_forget(struct directory *directory, const char *name, size_t len, struct mono now)
{
	struct client *client = clients_find(directory, name, len);

	if (client == NULL || client->state != STATE_GONE)
		return false;
	clients_forget(directory, client, now);
	return true;
}

void directory_count(const struct directory *directory, struct directory_counts *counts)
{
	counts->known = directory->known;
	counts->anonymous = directory->anonymous;
	memcpy(counts->states, directory->states, sizeof(counts->states));
	counts->rejoined = directory->rejoined;
	counts->forgotten = directory->forgotten;
	counts->notes = directory->sequence;
}

static void describe(const struct directory *directory, const struct client *client,
		     struct known *known)
{
	*known = (struct known){
		.name = client->name,
		.group = client->group == GROUP_NONE ? "" : directory->groups[client->group].name,
		.state = (enum state)client->state,
		.reason = (enum reason)client->reason,
		.has_session = client->has_session,
		.worker = client->worker,
		.slot = client->slot,
		.generation = client->generation,
		.tag = client->tag,
		.every_ms = client->every_ms,
		.grace_ms = client->grace_ms,
		.rejoined = client->rejoined,
		.flapping = client->flapping,
		.since = client->since,
		.heard = client->heard,
	};
}

bool directory_find(const struct directory *directory, const char *name, size_t len,
		    struct known *known)
{
	const struct client *client = clients_find(directory, name, len);

	if (client != NULL)
		describe(directory, client, known);
	return client != NULL;
}

bool directory_walk(const struct directory *directory, uint32_t *cursor, struct known *known)
{
	while (*cursor < directory->clients_used) {
		const struct client *client = &directory->clients[(*cursor)++];

		if (client->name_len > 0) {
			describe(directory, client, known);
			return true;
		}
	}
	return false;
}

const char *directory_name(const struct directory *directory, uint32_t client)
{
	return client == CLIENT_NONE ? "" : directory->clients[client].name;
}
