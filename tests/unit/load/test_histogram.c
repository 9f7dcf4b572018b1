/* The histogram against quantiles that are exact, because all values are kept and sorted. */

#include "load/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct histogram histogram;

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Three significant digits: wrong by less than one in two thousand. */
static void assert_close(uint64_t found, uint64_t exact)
{
	uint64_t difference = found > exact ? found - exact : exact - found;

	if (difference * 2000 > exact)
		fail_msg("%llu is no good for %llu", (unsigned long long)found,
			 (unsigned long long)exact);
}

static void check_against_sorted(uint64_t *values, size_t count)
{
	static const unsigned ppms[] = {1,	1000,	100000, 250000, 500000,
					900000, 990000, 999000, 999990, 1000000};

	histogram_init(&histogram);
	for (size_t i = 0; i < count; i++)
		histogram_add(&histogram, values[i], 1);
	qsort(values, count, sizeof(*values), by_size);
	for (size_t i = 0; i < sizeof(ppms) / sizeof(ppms[0]); i++) {
		size_t rank = (size_t)(((uint64_t)count * ppms[i] + 999999) / 1000000);

		assert_close(histogram_quantile(&histogram, ppms[i]), values[rank - 1]);
	}
	assert_int_equal(histogram.min, values[0]);
	assert_int_equal(histogram.max, values[count - 1]);
	assert_int_equal(histogram.count, count);
}

static void quantiles_are_right_for_every_shape(void **state)
{
	enum {
		COUNT = 20000
	};
	static uint64_t values[COUNT];
	uint64_t seed = 88172645463325252u;

	(void)state;
	for (unsigned shape = 0; shape < 40; shape++) {
		/* From a few nanoseconds to half an hour, evenly or with a long tail. */
		for (size_t i = 0; i < COUNT; i++) {
			uint64_t value = next_random(&seed) >> (22 + shape);

			values[i] = shape % 2 ? value >> (next_random(&seed) % 16) : value;
		}
		check_against_sorted(values, COUNT);
	}
}

static void few_values(void **state)
{
	uint64_t one[] = {123456789}, two[] = {5000, 3}, three[] = {7, 7, 7};

	(void)state;
	check_against_sorted(one, 1);
	check_against_sorted(two, 2);
	check_against_sorted(three, 3);
	histogram_init(&histogram);
	assert_int_equal(histogram_quantile(&histogram, 500000), 0);
	assert_int_equal(histogram_mean(&histogram), 0);
}

static void buckets_follow_each_other(void **state)
{
	uint32_t last = 0;

	(void)state;
	/* Around every power of two, where the width changes. */
	for (unsigned bit = 5; bit < HISTOGRAM_BITS; bit++) {
		uint64_t from = (UINT64_C(1) << bit) - 5;

		for (uint64_t value = from; value < from + 10; value++) {
			uint32_t bucket = histogram_bucket(value);

			assert_true(bucket >= last);
			assert_true(bucket < HISTOGRAM_BUCKETS);
			assert_true(value >= 2048 || bucket == value);
			last = bucket;
		}
	}
	assert_int_equal(histogram_bucket((UINT64_C(1) << HISTOGRAM_BITS) - 1),
			 HISTOGRAM_BUCKETS - 1);
	assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void no_bucket_is_skipped(void **state)
{
	uint32_t expected = 0;

	(void)state;
	for (uint64_t value = 0; value < 1 << 15; value++) {
		uint32_t bucket = histogram_bucket(value);

		assert_true(bucket == expected || bucket == expected + 1);
		expected = bucket;
	}
}

static void merging_is_adding_up(void **state)
{
	static struct histogram parts[2], whole;
	uint64_t seed = 4711;

	(void)state;
	histogram_init(&whole);
	histogram_init(&parts[0]);
	histogram_init(&parts[1]);
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t value = next_random(&seed) >> (20 + i % 40);

		histogram_add(&whole, value, 1);
		histogram_add(&parts[i % 3 == 0], value, 1);
	}
	histogram_merge(&parts[0], &parts[1]);
	assert_memory_equal(&parts[0], &whole, sizeof(whole));
}

static void many_at_once(void **state)
{
	static struct histogram one_by_one, at_once;

	(void)state;
	histogram_init(&one_by_one);
	histogram_init(&at_once);
	for (unsigned i = 0; i < 64; i++)
		histogram_add(&one_by_one, 98765, 1);
	histogram_add(&at_once, 98765, 64);
	assert_memory_equal(&one_by_one, &at_once, sizeof(at_once));
}

static void an_empty_one_adds_nothing(void **state)
{
	static struct histogram empty, one;

	(void)state;
	histogram_init(&empty);
	histogram_init(&one);
	histogram_add(&one, 42, 1);
	histogram_merge(&one, &empty);
	assert_int_equal(one.min, 42);
	assert_int_equal(one.max, 42);
	assert_int_equal(histogram_mean(&one), 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles_are_right_for_every_shape),
		cmocka_unit_test(few_values),
		cmocka_unit_test(buckets_follow_each_other),
		cmocka_unit_test(no_bucket_is_skipped),
		cmocka_unit_test(merging_is_adding_up),
		cmocka_unit_test(many_at_once),
		cmocka_unit_test(an_empty_one_adds_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
