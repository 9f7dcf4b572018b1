/* Recounts everything in the directory, slowly. For tests. */

#include "presence/directory_state.h"

#include <string.h>

static struct member member_of(const struct client *client)
{
	return (struct member){client->every_ms, client->grace_ms, client->group,
			       (enum state)client->state, (enum scope)client->scope};
}

static void check_client(const struct directory *directory, const struct client *client)
{
	uint32_t index = clients_index(directory, client);

	assert(client->met);
	assert(clients_find(directory, client->name, client->name_len) == client);
	assert(client->tag >= 1 && client->tag <= directory->tags);
	assert(client->state <= STATE_GONE);
	assert(client->watched == client->has_session);
	assert((client->state == STATE_GONE) == (!client->has_session && !client->open));
	assert((client->state == STATE_GONE) == (client->reason != REASON_NONE));
	assert(client->state != STATE_SUSPECT || client->scope != SCOPE_NONE);
	assert(wheel_is_armed(&directory->wheel, index) == (client->open || client->flapping));
	assert(client->group == GROUP_NONE || directory->groups[client->group].clients > 0);
	assert(client->worker < directory->config.workers);
}

static void check_clients(const struct directory *directory)
{
	uint32_t states[STATE_UNKNOWN + 1] = {0};
	uint32_t known = 0, free = 0, anonymous = 0;

	for (uint32_t i = 0; i < directory->clients_used; i++) {
		const struct client *client = &directory->clients[i];

		if (client->name_len == 0)
			continue;
		known++;
		states[client->state]++;
		check_client(directory, client);
	}
	for (uint32_t link = directory->clients_free; link != 0;
	     link = directory->clients[link - 1].next) {
		assert(directory->clients[link - 1].name_len == 0);
		free++;
	}
	for (unsigned i = 0; i < directory->config.workers; i++) {
		for (unsigned state = 0; state <= STATE_SUSPECT; state++) {
			states[state] += directory->workers[i].anonymous[state];
			anonymous += directory->workers[i].anonymous[state];
		}
	}
	assert(known == directory->known && known <= directory->config.known_max);
	assert(known + free == directory->clients_used);
	assert(anonymous == directory->anonymous);
	assert(memcmp(states, directory->states, sizeof(states)) == 0);
}

static void check_gone(const struct directory *directory)
{
	uint32_t count = 0, before = 0;
	uint64_t since_ms = 0;

	for (uint32_t link = directory->gone_first; link != 0;) {
		const struct client *client = &directory->clients[link - 1];

		assert(client->state == STATE_GONE && client->prev == before);
		assert(client->gone_ms >= since_ms);
		since_ms = client->gone_ms;
		before = link;
		link = client->next;
		count++;
	}
	assert(before == directory->gone_last);
	assert(count == directory->states[STATE_GONE]);
}

static void add_members(struct tally *tally, const struct member *member, uint32_t count)
{
	tally->clients += count;
	tally->late += member->state == STATE_LATE ? count : 0;
	tally->suspects += member->state == STATE_SUSPECT ? count : 0;
	tally->grace_ms += member->grace_ms * count;
	if (member->state != STATE_SUSPECT)
		tally->expected += suspicion_expected(member) * count;
}

static void check_equal(const struct tally *tally, const struct tally *counted)
{
	assert(tally->clients == counted->clients);
	assert(tally->late == counted->late);
	assert(tally->suspects == counted->suspects);
	assert(tally->held == counted->held);
	assert(tally->expected == counted->expected);
	assert(tally->grace_ms == counted->grace_ms);
	assert(!tally->told || tally->held > 0);
}

static void count_anonymous(const struct directory *directory, struct tally *all)
{
	const struct rhythm_limits *rhythm = &directory->config.rhythm;

	for (unsigned i = 0; i < directory->config.workers; i++) {
		for (unsigned state = 0; state <= STATE_SUSPECT; state++) {
			struct member member = {rhythm->every_ms, rhythm->grace_ms, GROUP_NONE,
						(enum state)state, SCOPE_ALL};

			add_members(all, &member, directory->workers[i].anonymous[state]);
			if (state == STATE_SUSPECT)
				all->held += directory->workers[i].anonymous[state];
		}
	}
}

static void count_group(const struct directory *directory, uint32_t index, struct tally *tally,
			uint32_t *refs)
{
	for (uint32_t i = 0; i < directory->clients_used; i++) {
		const struct client *client = &directory->clients[i];
		struct member member = member_of(client);

		if (client->name_len == 0 || client->group != index)
			continue;
		++*refs;
		if (!client->watched)
			continue;
		add_members(tally, &member, 1);
		tally->held += client->state == STATE_SUSPECT && client->scope == SCOPE_GROUP;
	}
}

static void check_tallies(const struct directory *directory)
{
	struct tally all = {0}, explained = {0};

	count_anonymous(directory, &all);
	for (uint32_t i = 0; i < directory->clients_used; i++) {
		const struct client *client = &directory->clients[i];
		struct member member = member_of(client);

		if (!client->watched)
			continue;
		add_members(&all, &member, 1);
		all.held += client->state == STATE_SUSPECT && client->scope == SCOPE_ALL;
		if (member.group != GROUP_NONE && directory->groups[member.group].tally.told)
			add_members(&explained, &member, 1);
	}
	check_equal(&directory->all, &all);
	check_equal(&directory->explained, &explained);
}

static void check_groups(const struct directory *directory)
{
	uint32_t free = 0, used = 0;

	for (uint32_t i = 0; i < directory->groups_used; i++) {
		struct tally tally = {0};
		uint32_t refs = 0;

		if (directory->groups[i].clients == 0)
			continue;
		used++;
		count_group(directory, i, &tally, &refs);
		check_equal(&directory->groups[i].tally, &tally);
		assert(refs == directory->groups[i].clients);
	}
	for (uint32_t link = directory->groups_free; link != 0;
	     link = directory->groups[link - 1].chain)
		free++;
	assert(used + free == directory->groups_used);
	assert(used <= directory->known);
}

static void check_notes(const struct directory *directory)
{
	uint64_t sequence = directory->sequence - directory->notes_count;
	struct mono judged = {0};

	assert(directory->notes_count <= NOTES_ROOM);
	for (uint32_t i = 0; i < directory->notes_count; i++) {
		const struct note *note =
			&directory->notes[(directory->notes_first + i) % NOTES_ROOM];

		assert(note->sequence == ++sequence);
		assert(!mono_before(note->judged, note->happened));
		assert(!mono_before(note->judged, judged));
		judged = note->judged;
	}
}

void directory_check(const struct directory *directory)
{
	check_clients(directory);
	check_gone(directory);
	check_tallies(directory);
	check_groups(directory);
	check_notes(directory);
	assert(directory->back_ns <= directory->front_ns);
	assert(directory->front_ns <= directory->stamp_ns);
	assert(directory->wheel.now_ms == directory->back_ns / NS_PER_MS);
	wheel_check(&directory->wheel, directory->config.known_max);
}
