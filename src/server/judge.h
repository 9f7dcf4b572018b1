#ifndef SERVER_JUDGE_H
#define SERVER_JUDGE_H

/*
 * What a worker does at the end of a whole turn: everything that had arrived has been heard, so those whom the watch
 * gives out as due may be judged, once the kernel has been asked about them. The worker's own thread.
 */

#include "server/worker.h"

/* Whether there is anything for judge_turn to do. */
bool judge_is_wanted(struct worker *worker);

void judge_turn(struct worker *worker);

/* By when the next turn is wanted. */
struct mono judge_next(struct worker *worker);

#endif
