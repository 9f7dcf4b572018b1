#ifndef LOAD_HISTOGRAM_H
#define LOAD_HISTOGRAM_H

/*
 * A log-linear histogram of durations: exact below 2048, from there on 1024 buckets to each power of two, so that what
 * it answers is right to three significant digits. Pure; one thread.
 */

#include <stdint.h>

#define HISTOGRAM_BITS 42 /* nanoseconds: more than an hour */
#define HISTOGRAM_BUCKETS ((HISTOGRAM_BITS - 9) * 1024)

struct histogram {
	uint64_t count;
	uint64_t sum;
	uint64_t min, max; /* exact; of an empty one min is UINT64_MAX and max 0 */
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_init(struct histogram *histogram);

/* Which bucket a value falls into; all beyond HISTOGRAM_BITS share the last one. */
static inline uint32_t histogram_bucket(uint64_t value)
{
	unsigned shift;

	if (value < 2048)
		return (uint32_t)value;
	if (value >> HISTOGRAM_BITS)
		return HISTOGRAM_BUCKETS - 1;
	shift = 53 - (unsigned)__builtin_clzll(value);
	return (shift << 10) + (uint32_t)(value >> shift);
}

/* Adds a value `times` times. */
static inline void histogram_add(struct histogram *histogram, uint64_t value, uint64_t times)
{
	histogram->count += times;
	histogram->sum += value * times;
	if (value < histogram->min)
		histogram->min = value;
	if (value > histogram->max)
		histogram->max = value;
	histogram->buckets[histogram_bucket(value)] += times;
}

/* Adds all that the other one has. */
void histogram_merge(struct histogram *histogram, const struct histogram *other);

/*
 * The smallest value that at least `ppm` millionths of all values do not exceed (500000 is the median), to three
 * significant digits. 0 of an empty one.
 */
uint64_t histogram_quantile(const struct histogram *histogram, unsigned ppm);

/* 0 of an empty one. */
uint64_t histogram_mean(const struct histogram *histogram);

#endif
