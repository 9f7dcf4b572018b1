/* Recounts everything in a watch, slowly. For tests. */

#include "presence/standing.h"

static void check_armed(const struct standing *standing, const struct watch *watch)
{
	const struct session *session = standing->session;
	uint64_t last_ms = watch_deadline_ms(watch, session);
	uint64_t wait_ms = watch->awake.ns / NS_PER_MS + MS_PER_S + 1;

	if (standing->slot == watch->given || session->state == STATE_GONE)
		return;
	assert(wheel_is_armed(&watch->wheel, standing->slot));
	/* One that was displaced sees its successor's rhythm now; it is still looked at by its own. */
	if (session->client != CLIENT_NONE && standing_client(standing) == NULL)
		return;
	/* At or before its deadline; one that waits is looked at again soon. */
	assert(session->node.due_ms <= (last_ms > wait_ms ? last_ms : wait_ms));
}

static void check_session(const struct watch *watch, uint32_t slot)
{
	struct standing standing = {watch->directory, watch_at(watch, slot), watch->worker, slot};
	const struct session *session = standing.session;
	const struct client *client = standing_client(&standing);

	assert(session->tag <= watch->directory->tags);
	assert(session->names <= SESSION_NAMES_MAX);
	assert((session->client == CLIENT_NONE) == (session->names == 0));
	assert(!awake_before(watch->awake, session->heard));
	assert(session->state <= STATE_GONE);
	check_armed(&standing, watch);
	if (client == NULL)
		return;
	assert(client->state == session->state);
	assert(client->worker == watch->worker && client->slot == slot);
	assert(client->generation == session->generation);
}

void watch_check(const struct watch *watch)
{
	uint32_t live = 0, anonymous[STATE_GONE + 1] = {0};

	for (uint32_t slot = 0; slot < watch->count; slot++) {
		const struct session *session = watch_at(watch, slot);

		if (session->tag == 0)
			continue;
		live++;
		if (session->client == CLIENT_NONE)
			anonymous[session->state]++;
		check_session(watch, slot);
	}
	assert(live == watch->live);
	for (unsigned state = 0; state <= STATE_SUSPECT; state++)
		assert(anonymous[state] ==
		       watch->directory->workers[watch->worker].anonymous[state]);
	assert(watch->awake.ns == watch->now.ns - watch->start.ns - watch->away_ns);
	wheel_check(&watch->wheel, watch->count);
}
