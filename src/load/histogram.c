/*
 * Buckets of one width within a power of two, twice as wide in the next: a value keeps its eleven leading bits.
 *
 *    bucket  0 .. 2047      the value itself
 *            2048 .. 3071   2048 .. 4095 by twos
 *            3072 .. 4095   4096 .. 8191 by fours
 */

#include "load/histogram.h"

#include <string.h>

void histogram_init(struct histogram *histogram)
{
	memset(histogram, 0, sizeof(*histogram));
	histogram->min = UINT64_MAX;
}

void histogram_merge(struct histogram *histogram, const struct histogram *other)
{
	histogram->count += other->count;
	histogram->sum += other->sum;
	if (other->min < histogram->min)
		histogram->min = other->min;
	if (other->max > histogram->max)
		histogram->max = other->max;
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		histogram->buckets[i] += other->buckets[i];
}

/* The middle of a bucket: half a bucket is the most by which it is wrong. */
static uint64_t value_of(uint32_t bucket)
{
	unsigned shift;

	if (bucket < 2048)
		return bucket;
	shift = (bucket >> 10) - 1;
	return ((uint64_t)(bucket - (shift << 10)) << shift) + (UINT64_C(1) << shift) / 2;
}

static uint64_t within(uint64_t value, uint64_t min, uint64_t max)
{
	if (value < min)
		return min;
	return value > max ? max : value;
}

uint64_t histogram_quantile(const struct histogram *histogram, unsigned ppm)
{
	uint64_t rank = (histogram->count * ppm + 999999) / 1000000;
	uint64_t seen = 0;

	if (histogram->count == 0)
		return 0;
	if (rank <= 1)
		return histogram->min;
	if (rank >= histogram->count)
		return histogram->max;
	for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen >= rank)
			return within(value_of(i), histogram->min, histogram->max);
	}
	return histogram->max;
}

uint64_t histogram_mean(const struct histogram *histogram)
{
	return histogram->count > 0 ? histogram->sum / histogram->count : 0;
}
