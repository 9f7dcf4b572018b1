/* The mailbox: nothing is lost, nothing comes twice, and a newer generation takes the place of an older one. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "server/mailbox.h"

static void what_is_posted_is_taken_once(void **state)
{
	struct mailbox mailbox;
	uint32_t slot, generation, seen = 0;

	(void)state;
	assert_int_equal(mailbox_open(&mailbox, 100), 0);
	assert_false(mailbox_take(&mailbox, &slot, &generation));
	for (uint32_t i = 0; i < 100; i++)
		mailbox_post(&mailbox, i, i + 7);
	while (mailbox_take(&mailbox, &slot, &generation)) {
		assert_int_equal(generation, slot + 7);
		seen++;
	}
	assert_int_equal(seen, 100);
	mailbox_post(&mailbox, 99, 3);
	assert_true(mailbox_take(&mailbox, &slot, &generation));
	assert_int_equal(slot, 99);
	assert_int_equal(generation, 3);
	assert_false(mailbox_take(&mailbox, &slot, &generation));
	mailbox_close(&mailbox);
}

static void a_newer_one_for_the_same_slot_takes_the_place_of_an_older(void **state)
{
	struct mailbox mailbox;
	uint32_t slot, generation;

	(void)state;
	assert_int_equal(mailbox_open(&mailbox, 4), 0);
	mailbox_post(&mailbox, 0, 1);
	mailbox_post(&mailbox, 3, 5);
	mailbox_post(&mailbox, 0, 2);
	assert_true(mailbox_take(&mailbox, &slot, &generation));
	assert_int_equal(slot, 3);
	assert_true(mailbox_take(&mailbox, &slot, &generation));
	assert_int_equal(slot, 0);
	assert_int_equal(generation, 2);
	assert_false(mailbox_take(&mailbox, &slot, &generation));
	mailbox_close(&mailbox);
}

static void an_older_one_that_comes_late_does_not(void **state)
{
	struct mailbox mailbox;
	uint32_t slot, generation;

	(void)state;
	assert_int_equal(mailbox_open(&mailbox, 4), 0);
	mailbox_post(&mailbox, 0, 2);
	mailbox_post(&mailbox, 0, 1);
	assert_true(mailbox_take(&mailbox, &slot, &generation));
	assert_int_equal(generation, 2);
	/* Generations go round. */
	mailbox_post(&mailbox, 0, 3);
	mailbox_post(&mailbox, 0, UINT32_MAX);
	assert_true(mailbox_take(&mailbox, &slot, &generation));
	assert_int_equal(generation, 3);
	/* What was taken counts no more. */
	mailbox_post(&mailbox, 0, 1);
	assert_true(mailbox_take(&mailbox, &slot, &generation));
	assert_int_equal(generation, 1);
	assert_false(mailbox_take(&mailbox, &slot, &generation));
	mailbox_close(&mailbox);
}

#define POSTS 20000

static void *post_many(void *context)
{
	for (uint32_t i = 1; i <= POSTS; i++)
		mailbox_post(context, i % 8, i);
	return NULL;
}

static void others_post_while_it_is_taken(void **state)
{
	struct mailbox mailbox;
	pthread_t thread;
	uint32_t slot, generation, last[8] = {0};

	(void)state;
	assert_int_equal(mailbox_open(&mailbox, 8), 0);
	assert_int_equal(pthread_create(&thread, NULL, post_many, &mailbox), 0);
	for (bool all = false; !all;) {
		while (mailbox_take(&mailbox, &slot, &generation)) {
			assert_true(generation > last[slot]);
			last[slot] = generation;
		}
		all = true;
		for (uint32_t i = 0; i < 8; i++)
			all = all && last[i] > POSTS - 8;
	}
	pthread_join(thread, NULL);
	mailbox_close(&mailbox);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_posted_is_taken_once),
		cmocka_unit_test(a_newer_one_for_the_same_slot_takes_the_place_of_an_older),
		cmocka_unit_test(an_older_one_that_comes_late_does_not),
		cmocka_unit_test(others_post_while_it_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
