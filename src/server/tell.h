#ifndef SERVER_TELL_H
#define SERVER_TELL_H

/* What a worker tells the console. It never waits: what the console cannot take is lost, and counted. */

#include "presence/naming.h"
#include "server/worker.h"

void tell_connect(struct worker *worker, const struct session *session);
void tell_message(struct worker *worker, const struct session *session,
		  const struct hearing *hearing);
void tell_id(struct worker *worker, const struct session *session, const struct naming *naming);
/* The house's lock is held: the session's name is the directory's. */
void tell_end(struct worker *worker, const struct session *session, enum reason reason);
void tell_stall(struct worker *worker, uint64_t stall_ns);
void tell_shed(struct worker *worker, unsigned listener, int error);

/* From the main thread, in the place of a worker. */
void tell_overflow(struct house *house, uint64_t count);
void tell_drain(struct house *house, uint64_t clients);

#endif
