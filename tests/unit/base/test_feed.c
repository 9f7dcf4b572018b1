/* The queue from one writer to one reader: in order, whole, counted where it did not fit; also with two threads. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <pthread.h>
#include <sched.h>

#include <cmocka.h>

#include "base/feed.h"

#define SIZE 64

static void nothing_is_taken_from_an_empty_one(void **state)
{
	struct feed feed;
	char memory[SIZE], record[SIZE];

	(void)state;
	feed_init(&feed, memory, SIZE);
	assert_int_equal(feed_take(&feed, record, sizeof(record)), 0);
	assert_true(feed_put(&feed, "a", 1, NULL, 0));
	assert_int_equal(feed_take(&feed, record, sizeof(record)), 1);
	assert_int_equal(feed_take(&feed, record, sizeof(record)), 0);
}

static void in_order_and_whole(void **state)
{
	struct feed feed;
	char memory[SIZE], record[SIZE];

	(void)state;
	feed_init(&feed, memory, SIZE);
	assert_true(feed_put(&feed, "first", 5, NULL, 0));
	assert_true(feed_put(&feed, "sec", 3, "ond", 3));
	assert_true(feed_put(&feed, NULL, 0, "third", 5));
	assert_int_equal(feed_take(&feed, record, sizeof(record)), 5);
	assert_memory_equal(record, "first", 5);
	assert_int_equal(feed_take(&feed, record, sizeof(record)), 6);
	assert_memory_equal(record, "second", 6);
	assert_int_equal(feed_take(&feed, record, sizeof(record)), 5);
	assert_memory_equal(record, "third", 5);
}

static void what_does_not_fit_is_counted(void **state)
{
	struct feed feed;
	char memory[SIZE], record[SIZE], big[SIZE] = {0};

	(void)state;
	feed_init(&feed, memory, SIZE);
	assert_false(feed_put(&feed, big, SIZE - 3, NULL, 0));
	assert_false(feed_put(&feed, big, 2, big, SIZE_MAX));
	assert_int_equal(feed.lost, 2);
	assert_true(feed_put(&feed, big, SIZE - 5, big, 1));
	assert_false(feed_put(&feed, big, 1, NULL, 0));
	assert_false(feed_put(&feed, big, SIZE_MAX, big, 1));
	assert_int_equal(feed.lost, 4);
	assert_int_equal(feed_take(&feed, record, sizeof(record)), SIZE - 4);
	assert_true(feed_put(&feed, big, 1, NULL, 0));
	assert_int_equal(feed.lost, 4);
}

/* What feed_has_room says is what feed_put does, at every filling. */
static void room_is_what_fits(void **state)
{
	char memory[SIZE], big[2 * SIZE] = {0};

	(void)state;
	for (size_t filled = 1; filled <= SIZE - 4; filled++) {
		for (size_t more = 1; more <= SIZE; more++) {
			struct feed feed;

			feed_init(&feed, memory, SIZE);
			assert_true(feed_put(&feed, big, filled, NULL, 0));
			bool room = feed_has_room(&feed, more, 0);

			assert_int_equal(room, filled + 4 + more + 4 <= SIZE);
			assert_int_equal(feed_has_room(&feed, more, 10),
					 filled + 4 + more + 4 + 10 <= SIZE);
			assert_int_equal(feed_put(&feed, big, more, NULL, 0), room);
		}
	}
	struct feed feed;

	feed_init(&feed, memory, SIZE);
	assert_false(feed_has_room(&feed, SIZE_MAX, 0));
	assert_false(feed_has_room(&feed, 0, SIZE_MAX));
	assert_false(feed_has_room(&feed, SIZE_MAX, SIZE_MAX));
}

/* The end of the memory falls everywhere: into a length, into a record, between the two. */
static void round_the_end_at_every_place(void **state)
{
	struct feed feed;
	char guarded[SIZE + 2], record[SIZE], text[SIZE];

	(void)state;
	memset(guarded, '#', sizeof(guarded));
	feed_init(&feed, guarded + 1, SIZE);
	for (size_t i = 0; i < 100 * SIZE; i++) {
		size_t len = 1 + i % (SIZE - 4), first = i % len;

		for (size_t at = 0; at < len; at++)
			text[at] = (char)(i + at);
		assert_true(feed_put(&feed, text, first, text + first, len - first));
		memset(record, 0, sizeof(record));
		assert_int_equal(feed_take(&feed, record, sizeof(record)), len);
		assert_memory_equal(record, text, len);
	}
	assert_int_equal(guarded[0], '#');
	assert_int_equal(guarded[SIZE + 1], '#');
}

static void a_record_that_is_cut(void **state)
{
	struct feed feed;
	char memory[SIZE], record[4] = "###";

	(void)state;
	feed_init(&feed, memory, SIZE);
	assert_true(feed_put(&feed, "abcdef", 6, NULL, 0));
	assert_true(feed_put(&feed, "g", 1, NULL, 0));
	assert_int_equal(feed_take(&feed, record, 2), 2);
	assert_memory_equal(record, "ab#", 3);
	assert_int_equal(feed_take(&feed, record, 2), 1);
	assert_memory_equal(record, "g", 1);
}

/*
 * Two threads. Record n is n itself and then n % 50 bytes of it: the reader knows what must come. What did not fit is
 * written again until it does, so nothing may be missing.
 */

#define RECORDS 200000
#define BIG 1024

static size_t make_record(unsigned char *record, uint32_t number)
{
	memcpy(record, &number, sizeof(number));
	memset(record + sizeof(number), (int)(number & 0xff), number % 50);
	return sizeof(number) + number % 50;
}

static void *write_records(void *argument)
{
	struct feed *feed = argument;
	unsigned char record[64];

	for (uint32_t number = 0; number < RECORDS; number++) {
		size_t len = make_record(record, number);

		while (!feed_put(feed, record, len / 2, record + len / 2, len - len / 2))
			sched_yield();
	}
	return NULL;
}

/* Asserts of cmocka belong to the main thread: it is the one that reads. */
static void two_threads(void **state)
{
	static char memory[BIG];
	static struct feed feed;
	pthread_t writer;
	uint32_t number = 0;

	(void)state;
	feed_init(&feed, memory, BIG);
	assert_int_equal(pthread_create(&writer, NULL, write_records, &feed), 0);
	while (number < RECORDS) {
		unsigned char record[64], right[64];
		size_t len = feed_take(&feed, record, sizeof(record));

		if (len == 0) {
			sched_yield();
			continue;
		}
		assert_int_equal(len, make_record(right, number));
		assert_memory_equal(record, right, len);
		number++;
	}
	assert_int_equal(pthread_join(writer, NULL), 0);
	assert_int_equal(feed.read, feed.written);
}

static void what_has_been_read_is_given_back(void **state)
{
	enum {
		FEED_BYTES = 4 * FEED_CHUNK,
		PAGES = FEED_BYTES / 4096
	};
	unsigned char there[PAGES];
	char record[1000], taken[1000];
	unsigned pages = 0;
	struct feed feed;
	void *memory =
		mmap(NULL, FEED_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_ptr_not_equal(memory, MAP_FAILED);
	feed_init(&feed, memory, FEED_BYTES);
	feed_give_back(&feed);
	/* Always as full as it can be, so that the writer is right behind the reader. */
	for (int round = 0, read = 0; round < 2000; round++) {
		memset(record, round, sizeof(record));
		while (!feed_put(&feed, record, sizeof(record), NULL, 0)) {
			memset(taken, 0, sizeof(taken));
			assert_int_equal(feed_take(&feed, taken, sizeof(taken)), sizeof(taken));
			assert_int_equal((unsigned char)taken[0], (unsigned char)read);
			assert_int_equal((unsigned char)taken[999], (unsigned char)read);
			read++;
		}
	}
	while (feed_take(&feed, taken, sizeof(taken)) > 0)
		;
	assert_int_equal(mincore(memory, FEED_BYTES, there), 0);
	for (int page = 0; page < PAGES; page++)
		pages += there[page] & 1;
	assert_true(pages <= FEED_CHUNK / 4096);
	munmap(memory, FEED_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_has_been_read_is_given_back),
		cmocka_unit_test(nothing_is_taken_from_an_empty_one),
		cmocka_unit_test(in_order_and_whole),
		cmocka_unit_test(what_does_not_fit_is_counted),
		cmocka_unit_test(room_is_what_fits),
		cmocka_unit_test(round_the_end_at_every_place),
		cmocka_unit_test(a_record_that_is_cut),
		cmocka_unit_test(two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
