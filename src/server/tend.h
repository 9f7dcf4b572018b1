#ifndef SERVER_TEND_H
#define SERVER_TEND_H

/* How the kernel looks after a session's peer for us. The worker's own thread, without the house's lock. */

#include "server/worker.h"

/*
 * Its rhythm has changed, or it is heard again: its host is asked for life once it is silent for `every`. Where it
 * `is_late` it is asked each second from now on, so that there is an answer, or none, by the deadline. Either way the
 * kernel gives up on it only long after it has been judged.
 */
void tend(struct worker *worker, uint32_t slot, bool is_late);

#endif
