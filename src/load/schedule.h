#ifndef LOAD_SCHEDULE_H
#define LOAD_SCHEDULE_H

/*
 * Events at a steady rate, numbered from 0: event k is due at start + k / rate, whatever became of those before it.
 * Pure; any thread.
 */

#include <stdint.h>

#include "base/time.h"

struct schedule {
	struct mono start;
	double interval_ns;
};

/* `per_second` is above 0. */
void schedule_init(struct schedule *schedule, struct mono start, double per_second);

static inline struct mono schedule_time(const struct schedule *schedule, uint64_t event)
{
	return mono_after(schedule->start, (uint64_t)((double)event * schedule->interval_ns));
}

/* How many events are due by `now`: all those numbered below the answer. */
uint64_t schedule_due(const struct schedule *schedule, struct mono now);

#endif
