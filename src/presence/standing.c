/*
 * Sessions and clients: who holds which name, and what the end of a session means for its client.
 *
 *     anonymous   session.client is CLIENT_NONE: the session is the client, its state lies in it
 *     holder      client.tag is session.tag: the client's one session
 *     displaced   its client is on a newer session: nothing of it is told, and its end is on its way
 *
 * A session that was judged gone has state gone until it ends.
 */

#include "presence/standing.h"

#include <string.h>

#include "presence/name_hash.h"

struct client *standing_client(const struct standing *standing)
{
	const struct session *session = standing->session;
	struct client *client;

	if (session->client == CLIENT_NONE)
		return NULL;
	client = &standing->directory->clients[session->client];
	return client->has_session && client->tag == session->tag ? client : NULL;
}

static bool is_anonymous(const struct standing *standing)
{
	return standing->session->client == CLIENT_NONE;
}

/* Without a name there is the server's rhythm and no group, and only `all` to be suspect under. */
static struct member anonymous_member(const struct standing *standing)
{
	const struct rhythm_limits *rhythm = &standing->directory->config.rhythm;

	return (struct member){rhythm->every_ms, rhythm->grace_ms, GROUP_NONE,
			       (enum state)standing->session->state, SCOPE_ALL};
}

static void anonymous_enter(const struct standing *standing)
{
	struct directory *directory = standing->directory;
	struct member member = anonymous_member(standing);

	directory->anonymous++;
	directory->states[member.state]++;
	directory->workers[standing->worker].anonymous[member.state]++;
	suspicion_enter(directory, &member);
}

static void anonymous_leave(const struct standing *standing)
{
	struct directory *directory = standing->directory;
	struct member member = anonymous_member(standing);

	directory->anonymous--;
	directory->states[member.state]--;
	directory->workers[standing->worker].anonymous[member.state]--;
	suspicion_leave(directory, &member);
}

static void anonymous_move(const struct standing *standing, enum state to, enum reason reason,
			   const struct moment *moment)
{
	struct note *note;

	anonymous_leave(standing);
	note = notes_add(standing->directory, NOTE_VERDICT, moment->judged);
	note->tag = standing->session->tag;
	note->from = (enum state)standing->session->state;
	note->to = to;
	note->reason = reason;
	note->heard = moment->heard;
	note->happened = moment->happened;
	standing->session->state = (uint8_t)to;
	if (to != STATE_GONE)
		anonymous_enter(standing);
}

void standing_begin(const struct standing *standing)
{
	standing->session->tag = ++standing->directory->tags;
	standing->session->client = CLIENT_NONE;
	standing->session->state = STATE_ALIVE;
	anonymous_enter(standing);
}

void standing_move(const struct standing *standing, enum state to, enum reason reason,
		   const struct moment *moment)
{
	struct client *client = standing_client(standing);

	if (client != NULL)
		clients_move(standing->directory, client, to, reason, moment);
	else if (is_anonymous(standing))
		anonymous_move(standing, to, reason, moment);
	standing->session->state = (uint8_t)to;
}

static struct member member_of(const struct standing *standing, const struct client *client)
{
	if (client == NULL)
		return anonymous_member(standing);
	return (struct member){client->every_ms, client->grace_ms, client->group,
			       (enum state)client->state, (enum scope)client->scope};
}

enum reason standing_judge(const struct standing *standing, enum reason silent,
			   const struct moment *moment)
{
	struct client *client = standing_client(standing);
	struct member member;
	enum scope scope;

	if (client == NULL && !is_anonymous(standing)) {
		standing->session->state = STATE_GONE;
		return REASON_REPLACED;
	}
	member = member_of(standing, client);
	if (member.state != STATE_SUSPECT) {
		scope = suspicion_judge(standing->directory, &member, moment->judged);
		if (scope != SCOPE_NONE) {
			if (client != NULL)
				client->scope = (uint8_t)scope;
			standing_move(standing, STATE_SUSPECT, REASON_NONE, moment);
			return REASON_NONE;
		}
		suspicion_fell(standing->directory, &member);
	}
	standing_move(standing, STATE_GONE, silent, moment);
	return silent;
}

/* Keys are kept as two keyed hashes, under seeds that differ. */
static void hash_key(const struct directory *directory, const struct naming *naming,
		     uint64_t key[2])
{
	uint8_t seed[16];

	memcpy(seed, directory->config.seed, sizeof(seed));
	for (unsigned i = 0; i < 2; i++) {
		seed[0] ^= (uint8_t)(0x5a + i);
		key[i] = name_hash(seed, naming->key, naming->key_len);
	}
}

/* In the same time wherever they differ. */
static bool key_fits(const struct directory *directory, const struct client *client,
		     const struct naming *naming)
{
	uint64_t key[2];

	hash_key(directory, naming, key);
	return naming->key_len > 0 && ((key[0] ^ client->key[0]) | (key[1] ^ client->key[1])) == 0;
}

/* Rhythm, group and key, as it says now. */
static void set_terms(struct directory *directory, struct client *client,
		      const struct naming *naming)
{
	uint32_t group = client->group;

	assert(!client->watched);
	client->group = naming->group_len > 0
				? groups_join(directory, naming->group, naming->group_len)
				: GROUP_NONE;
	if (group != GROUP_NONE)
		groups_leave(directory, group);
	rhythm_store(&client->every_ms, naming->every_ms);
	rhythm_store(&client->grace_ms, naming->grace_ms);
	if (naming->key_len > 0 && !client->has_key) {
		hash_key(directory, naming, client->key);
		client->has_key = true;
	}
}

/* It says the name that it has, perhaps with other terms. */
static enum named name_again(const struct standing *standing, struct client *client,
			     const struct naming *naming, const struct moment *moment)
{
	struct directory *directory = standing->directory;

	if (naming->key_len > 0 && client->has_key && !key_fits(directory, client, naming))
		return NAMED_KEY;
	clients_unwatch(directory, client);
	set_terms(directory, client, naming);
	clients_watch(directory, client);
	if (client->state != STATE_ALIVE)
		standing_move(standing, STATE_ALIVE, REASON_NONE, moment);
	return NAMED;
}

/* Whether it may have this name; `client` is who is known by it, NULL: nobody. */
static enum named may_have(const struct standing *standing, const struct client *client,
			   const struct naming *naming)
{
	const struct directory *directory = standing->directory;

	if (standing->session->names >= SESSION_NAMES_MAX)
		return NAMED_MANY;
	/* The name that it gives up makes room. */
	if (client == NULL && !clients_has_room(directory) && standing_client(standing) == NULL)
		return NAMED_FULL;
	if (client == NULL)
		return NAMED;
	if (client->has_key && !key_fits(directory, client, naming))
		return NAMED_KEY;
	return client->has_session && directory->config.refuse_duplicates ? NAMED_TAKEN : NAMED;
}

/* What it was until now: under another name it is over, without a name it was nobody. */
static void give_up(const struct standing *standing, const struct moment *moment)
{
	struct client *client = standing_client(standing);

	if (client != NULL) {
		clients_move(standing->directory, client, STATE_GONE, REASON_STOPPED, moment);
		return;
	}
	if (standing->session->state != STATE_ALIVE)
		standing_move(standing, STATE_ALIVE, REASON_NONE, moment);
	anonymous_leave(standing);
}

static void take_over(const struct standing *standing, struct client *client,
		      struct displaced *displaced)
{
	struct directory *directory = standing->directory;

	if (client->has_session)
		*displaced =
			(struct displaced){true, client->worker, client->slot, client->generation};
	clients_unwatch(directory, client);
	if (client->open) {
		client->open = false;
		client->rejoined++;
		directory->rejoined++;
		clients_arm(directory, client);
	}
	client->worker = (uint16_t)standing->worker;
	client->slot = standing->slot;
	client->generation = standing->session->generation;
	client->tag = standing->session->tag;
	standing->session->client = clients_index(directory, client);
	standing->session->names++;
}

enum named standing_name(const struct standing *standing, const struct naming *naming,
			 const struct moment *moment, struct displaced *displaced)
{
	struct directory *directory = standing->directory;
	struct client *client = clients_find(directory, naming->name, naming->name_len);
	struct client *own = standing_client(standing);
	enum named named;

	displaced->any = false;
	/* Displaced or judged: its end is on its way, and it takes nothing back. */
	if (standing->session->state == STATE_GONE || (own == NULL && !is_anonymous(standing)))
		return NAMED_DISPLACED;
	if (own != NULL && own == client)
		return name_again(standing, client, naming, moment);
	named = may_have(standing, client, naming);
	if (named != NAMED)
		return named;

	give_up(standing, moment);
	if (client == NULL)
		client = clients_add(directory, naming->name, naming->name_len, moment->judged);
	take_over(standing, client, displaced);
	set_terms(directory, client, naming);
	if (client->state != STATE_ALIVE)
		clients_move(directory, client, STATE_ALIVE, REASON_NONE, moment);
	client->has_session = true;
	clients_watch(directory, client);
	standing->session->state = STATE_ALIVE;
	return NAMED;
}

/* Whether an end for this reason is none yet, if the client comes back soon. */
static bool may_rejoin(const struct directory *directory, enum reason reason)
{
	return (reason == REASON_CLOSED || reason == REASON_RESET) &&
	       directory->config.rejoin_ms > 0;
}

static void leave_open(struct directory *directory, struct client *client, enum reason reason,
		       const struct moment *moment)
{
	uint64_t until_ns = directory->front_ns + directory->config.rejoin_ms * NS_PER_MS;

	clients_unwatch(directory, client);
	client->has_session = false;
	client->open = true;
	client->open_reason = (uint8_t)reason;
	client->open_until_ms = (until_ns + NS_PER_MS - 1) / NS_PER_MS;
	client->ended = moment->happened;
	client->heard = moment->heard;
	clients_arm(directory, client);
}

void standing_end(const struct standing *standing, enum reason reason, const struct moment *moment)
{
	struct client *client = standing_client(standing);

	if (standing->session->state == STATE_GONE)
		return;
	if (client != NULL && may_rejoin(standing->directory, reason))
		leave_open(standing->directory, client, reason, moment);
	else
		standing_move(standing, STATE_GONE, reason, moment);
}
