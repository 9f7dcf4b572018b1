/* Whoever is not tended to again has what its listener has given it: see listen.c. */

#include "server/tend.h"

#include <string.h>

/* Beyond the deadline and the hold of a suspect. */
#define GIVE_UP_LATER_MS (5 * MS_PER_S)

#define PROBE_S_MAX 32767

/* The lock is held. One that is displaced may see its successor's rhythm, which does no harm. */
static void rhythm_of(const struct worker *worker, const struct session *session,
		      uint64_t *every_ms, uint64_t *grace_ms)
{
	const struct directory *directory = worker->house->directory;
	const char *name = directory_name(directory, session->client);
	struct known known;

	*every_ms = worker->house->rhythm.every_ms;
	*grace_ms = worker->house->rhythm.grace_ms;
	if (directory_find(directory, name, strlen(name), &known)) {
		*every_ms = known.every_ms;
		*grace_ms = known.grace_ms;
	}
}

void tend(struct worker *worker, uint32_t slot, bool is_late)
{
	const struct session *session = &worker->seats[slot].session;
	struct connection connection = {slot, session->generation};
	uint64_t every_ms, grace_ms, probe_s, give_up_ms;

	house_lock(worker->house);
	rhythm_of(worker, session, &every_ms, &grace_ms);
	house_unlock(worker->house);
	probe_s = is_late ? 1 : (every_ms + MS_PER_S - 1) / MS_PER_S;
	give_up_ms = every_ms + grace_ms + worker->house->hold_ms + GIVE_UP_LATER_MS;
	worker->kind->tune(worker->engine, connection,
			   probe_s > PROBE_S_MAX ? PROBE_S_MAX : (unsigned)probe_s,
			   give_up_ms > INT32_MAX ? INT32_MAX : (unsigned)give_up_ms);
}
