#ifndef BASE_TIME_H
#define BASE_TIME_H

/*
 * Times have types, so that none is taken for another. Nothing here reads a clock; base/clock.h does.
 */

#include <stdbool.h>
#include <stdint.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define MS_PER_S UINT64_C(1000)

/* A point of the machine's monotonic clock, in nanoseconds. Deadlines and durations are made of it. */
struct mono {
	uint64_t ns;
};

/* A point of the wall clock, in nanoseconds since 1970-01-01 UTC. For people; nothing is decided by it. */
struct wall {
	uint64_t ns;
};

/*
 * A point of a worker's awake time, in nanoseconds since the worker was opened: like mono, but standing still while the
 * server itself was away (stopped, suspended, starved). All deadlines of clients are points of awake time.
 */
struct awake {
	uint64_t ns;
};

static inline struct mono mono_after(struct mono time, uint64_t ns)
{
	return (struct mono){time.ns + ns};
}

static inline bool mono_before(struct mono a, struct mono b)
{
	return a.ns < b.ns;
}

/* Nanoseconds from one point to a later one; 0 where it is not later. */
static inline uint64_t mono_between(struct mono from, struct mono to)
{
	return to.ns > from.ns ? to.ns - from.ns : 0;
}

static inline struct mono mono_earlier(struct mono a, struct mono b)
{
	return a.ns < b.ns ? a : b;
}

static inline struct awake awake_after(struct awake time, uint64_t ns)
{
	return (struct awake){time.ns + ns};
}

static inline bool awake_before(struct awake a, struct awake b)
{
	return a.ns < b.ns;
}

static inline uint64_t awake_between(struct awake from, struct awake to)
{
	return to.ns > from.ns ? to.ns - from.ns : 0;
}

#endif
