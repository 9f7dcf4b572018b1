#ifndef PRESENCE_STANDING_H
#define PRESENCE_STANDING_H

/*
 * Where a session stands with the directory: under its client's name, as an anonymous client, or displaced by a newer
 * session and no longer anybody. For the watch. Every call needs the directory's lock.
 *
 * Sessions are borrowed. What is decided is told by notes, and the session's state follows.
 */

#include "presence/directory_state.h"
#include "presence/session.h"
#include "presence/watch.h"

struct standing {
	struct directory *directory;
	struct session *session;
	unsigned worker;
	uint32_t slot;
};

/* A session begins: an anonymous client, alive. Gives it its tag. */
void standing_begin(const struct standing *standing);

/* Its state changes. */
void standing_move(const struct standing *standing, enum state to, enum reason reason,
		   const struct moment *moment);

/* Its deadline has passed: suspect, or gone for this reason. A displaced one is only replaced. */
enum reason standing_judge(const struct standing *standing, enum reason silent,
			   const struct moment *moment);

enum named standing_name(const struct standing *standing, const struct naming *naming,
			 const struct moment *moment, struct displaced *displaced);

/* Its connection is over. What was told of it already is not told again. */
void standing_end(const struct standing *standing, enum reason reason, const struct moment *moment);

/* The client whose one session this is; NULL: none. */
struct client *standing_client(const struct standing *standing);

/* watch.c, for watch_check: the true next deadline of a session, in awake ms rounded up. */
uint64_t watch_deadline_ms(const struct watch *watch, const struct session *session);

#endif
