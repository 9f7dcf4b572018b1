/* Reads the clocks of the machine. Engines and the console call it; nothing that decides does. */

#include "base/clock.h"

#include <time.h>

static uint64_t read_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

struct mono clock_mono(void)
{
	return (struct mono){read_ns(CLOCK_MONOTONIC)};
}

struct wall clock_wall(void)
{
	return (struct wall){read_ns(CLOCK_REALTIME)};
}

void clock_both(struct mono *mono, struct wall *wall)
{
	/* Interrupted between the two readings, the pair is off by as long: take the closest of a few. */
	uint64_t best = UINT64_MAX;

	for (int attempt = 0; attempt < 5 && best > 20 * 1000; attempt++) {
		struct mono before = clock_mono();
		struct wall between = clock_wall();
		uint64_t took = mono_between(before, clock_mono());

		if (took < best) {
			best = took;
			*mono = mono_after(before, took / 2);
			*wall = between;
		}
	}
}
