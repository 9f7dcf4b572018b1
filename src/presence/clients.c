/* The table of clients: by name, and in the order in which they went. */

#include "presence/directory_state.h"

#include <string.h>

#include "presence/name_hash.h"

static uint32_t hash_of(const struct directory *directory, const char *name, size_t len)
{
	return (uint32_t)name_hash(directory->config.seed, name, len);
}

struct client *clients_find(const struct directory *directory, const char *name, size_t len)
{
	uint32_t hash = hash_of(directory, name, len);
	uint32_t index = directory->names[hash & directory->mask];

	while (index != 0) {
		struct client *client = &directory->clients[index - 1];

		if (client->hash == hash && client->name_len == len &&
		    memcmp(client->name, name, len) == 0)
			return client;
		index = client->chain;
	}
	return NULL;
}

static void gone_append(struct directory *directory, struct client *client)
{
	uint32_t link = clients_index(directory, client) + 1;

	client->prev = directory->gone_last;
	client->next = 0;
	if (client->prev == 0)
		directory->gone_first = link;
	else
		directory->clients[client->prev - 1].next = link;
	directory->gone_last = link;
}

static void gone_remove(struct directory *directory, struct client *client)
{
	if (client->prev == 0)
		directory->gone_first = client->next;
	else
		directory->clients[client->prev - 1].next = client->next;
	if (client->next == 0)
		directory->gone_last = client->prev;
	else
		directory->clients[client->next - 1].prev = client->prev;
	client->prev = client->next = 0;
}

bool clients_has_room(const struct directory *directory)
{
	return directory->known < directory->config.known_max || directory->gone_first != 0;
}

static void unchain(struct directory *directory, const struct client *client)
{
	uint32_t *link = &directory->names[client->hash & directory->mask];

	while (*link != clients_index(directory, client) + 1)
		link = &directory->clients[*link - 1].chain;
	*link = client->chain;
}

void clients_forget(struct directory *directory, struct client *client, struct mono now)
{
	struct moment moment = {client->heard, now, now};

	assert(client->state == STATE_GONE && !client->has_session && !client->watched);
	directory->forgotten++;
	notes_add_about(directory, NOTE_FORGOTTEN, client, &moment)->count =
		(uint32_t)directory->forgotten;
	wheel_disarm(&directory->wheel, clients_index(directory, client));
	gone_remove(directory, client);
	unchain(directory, client);
	if (client->group != GROUP_NONE)
		groups_leave(directory, client->group);
	directory->known--;
	directory->states[STATE_GONE]--;
	client->name_len = 0;
	client->tag = 0;
	client->next = directory->clients_free;
	directory->clients_free = clients_index(directory, client) + 1;
}

static uint32_t take_place(struct directory *directory, struct mono now)
{
	uint32_t index;

	if (directory->known == directory->config.known_max)
		clients_forget(directory, &directory->clients[directory->gone_first - 1], now);
	if (directory->clients_free == 0)
		return directory->clients_used++;
	index = directory->clients_free - 1;
	directory->clients_free = directory->clients[index].next;
	return index;
}

struct client *clients_add(struct directory *directory, const char *name, size_t len,
			   struct mono now)
{
	uint32_t index = take_place(directory, now);
	size_t ring = directory->config.flap_changes + 1;
	struct client *client = &directory->clients[index];
	uint32_t *chain;

	memset(client, 0, sizeof(*client));
	memset(directory->flaps + index * ring, 0, ring * sizeof(*directory->flaps));
	wheel_node_init(&directory->wheel, index);
	client->hash = hash_of(directory, name, len);
	client->group = GROUP_NONE;
	client->state = STATE_GONE;
	client->name_len = (uint8_t)len;
	memcpy(client->name, name, len);
	chain = &directory->names[client->hash & directory->mask];
	client->chain = *chain;
	*chain = index + 1;
	directory->known++;
	directory->states[STATE_GONE]++;
	gone_append(directory, client);
	return client;
}

static struct member member_of(const struct client *client)
{
	return (struct member){client->every_ms, client->grace_ms, client->group,
			       (enum state)client->state, (enum scope)client->scope};
}

void clients_watch(struct directory *directory, struct client *client)
{
	struct member member = member_of(client);

	assert(!client->watched && client->has_session);
	client->watched = true;
	suspicion_enter(directory, &member);
}

void clients_unwatch(struct directory *directory, struct client *client)
{
	struct member member = member_of(client);

	if (!client->watched)
		return;
	client->watched = false;
	suspicion_leave(directory, &member);
}

/* Moves it from one list and count to the other. */
static void change_state(struct directory *directory, struct client *client, enum state to)
{
	if (client->state == STATE_GONE && to != STATE_GONE)
		gone_remove(directory, client);
	if (client->state != STATE_GONE && to == STATE_GONE) {
		client->gone_ms = directory_stamp_ms(directory);
		client->has_session = false;
		gone_append(directory, client);
	}
	directory->states[client->state]--;
	directory->states[to]++;
	client->state = (uint8_t)to;
}

void clients_move(struct directory *directory, struct client *client, enum state to,
		  enum reason reason, const struct moment *moment)
{
	struct moment told = *moment;
	enum state from = (enum state)client->state;
	bool is_new = !client->met;
	bool watched = client->watched;
	struct note *note;

	clients_unwatch(directory, client);
	change_state(directory, client, to);
	if (watched && to != STATE_GONE)
		clients_watch(directory, client);

	/* Workers read the clock each for itself: a client's changes happen one after the other. */
	if (mono_before(told.happened, client->since))
		told.happened = client->since;
	client->met = true;
	client->since = told.happened;
	client->heard = told.heard;
	client->reason = (uint8_t)reason;

	note = notes_add_about(directory, NOTE_VERDICT, client, &told);
	note->from = is_new ? to : from;
	note->is_new = is_new;
	note->announced = !client->flapping;
	if (!is_new)
		flapping_changed(directory, client, &told);
}

/* For whatever comes first. */
void clients_arm(struct directory *directory, struct client *client)
{
	uint64_t due_ms = UINT64_MAX;

	if (client->open)
		due_ms = client->open_until_ms;
	if (client->flapping && flapping_until_ms(directory, client) < due_ms)
		due_ms = flapping_until_ms(directory, client);
	if (due_ms == UINT64_MAX)
		wheel_disarm(&directory->wheel, clients_index(directory, client));
	else
		wheel_arm(&directory->wheel, clients_index(directory, client), due_ms);
}
