/* Times are computed from the event's number, so that no rounding adds up however long it runs. */

#include "load/schedule.h"

#include <assert.h>

void schedule_init(struct schedule *schedule, struct mono start, double per_second)
{
	assert(per_second > 0);
	schedule->start = start;
	schedule->interval_ns = (double)NS_PER_S / per_second;
}

uint64_t schedule_due(const struct schedule *schedule, struct mono now)
{
	uint64_t count;

	if (mono_before(now, schedule->start))
		return 0;
	/* The division may be off by one in either direction; schedule_time decides. */
	count = (uint64_t)((double)mono_between(schedule->start, now) / schedule->interval_ns) + 1;
	while (count > 1 && mono_before(now, schedule_time(schedule, count - 1)))
		count--;
	while (!mono_before(now, schedule_time(schedule, count)))
		count++;
	return count;
}
