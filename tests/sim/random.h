#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

/* A small random generator (splitmix64): the same seed gives the same world on every machine. */

#include <stdbool.h>
#include <stdint.h>

struct random {
	uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
	uint64_t z = (random->state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* 0 to below - 1 */
static inline uint64_t random_below(struct random *random, uint64_t below)
{
	return random_next(random) % below;
}

/* from and to are both possible */
static inline uint64_t random_between(struct random *random, uint64_t from, uint64_t to)
{
	return from + random_below(random, to - from + 1);
}

static inline bool random_chance(struct random *random, unsigned percent)
{
	return random_below(random, 100) < percent;
}

#endif
