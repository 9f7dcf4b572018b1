#ifndef SERVER_FAREWELL_H
#define SERVER_FAREWELL_H

/*
 * How sessions end. For presence a session is over at once; its connection may still have to take its last bytes, and is
 * dropped when it does not in time.
 *
 * The worker's own thread, except where said.
 */

#include "engine/engine.h"
#include "presence/verdict.h"
#include "server/worker.h"
#include "wire/final.h"

/* The session is over; what its conversation still owes is sent, then it is closed. */
void farewell_begin(struct worker *worker, uint32_t slot, enum reason reason);

/* The same after one more text. */
void farewell_say(struct worker *worker, uint32_t slot, enum reason reason, enum final final);

/* The session is over, and its connection is dropped. */
void farewell_drop(struct worker *worker, uint32_t slot, enum reason reason);

/* The engine has closed the connection. */
void farewell_closed(struct worker *worker, uint32_t slot, enum engine_end end);

/* Ends those whom other workers' newcomers have displaced. */
void farewell_displaced(struct worker *worker);

/* Where the house drains: in the first whole turn says stop to all; after its time drops who is left. */
void farewell_drain(struct worker *worker, bool whole);

/* Drops those who are leaving for too long. */
void farewell_late(struct worker *worker);

/* When the next of the two has something to do. */
struct mono farewell_next(const struct worker *worker);

#endif
