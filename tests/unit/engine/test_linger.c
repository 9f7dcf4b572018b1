/*
 * When to gather, against small worlds in virtual time: a server that takes SERVICE_NS for each event and sleeps in
 * between, and clients that speak by themselves (open loop) or when they were answered (closed loop).
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/linger.h"

#define MOST_NS (2 * NS_PER_MS)
#define SERVICE_NS 10000
#define WAKE_NS 5000 /* what a turn costs beside its events */
#define CLIENTS_MAX 8192

struct world {
	uint32_t clients;
	uint64_t each_ns;  /* open loop: between two events of all clients; 0: closed loop */
	uint64_t think_ns; /* closed loop: from an answer to the next word */
	uint64_t most_ns;
};

struct outcome {
	uint64_t events, turns, gathered, waited_ns;
};

static uint64_t due[CLIENTS_MAX]; /* when each client speaks next */

static void prepare(const struct world *world)
{
	for (uint32_t i = 0; i < world->clients; i++)
		due[i] = 1 + i * (world->each_ns != 0 ? world->each_ns : 100);
}

static uint64_t earliest(const struct world *world)
{
	uint64_t first = UINT64_MAX;

	for (uint32_t i = 0; i < world->clients; i++)
		first = due[i] < first ? due[i] : first;
	return first;
}

/* Serves all that is due at `now`. Returns when it is done. */
static uint64_t serve(const struct world *world, struct linger_policy *linger, uint64_t now,
		      struct outcome *outcome)
{
	uint64_t at = now + WAKE_NS;

	for (uint32_t i = 0; i < world->clients; i++) {
		if (due[i] > now)
			continue;
		linger_event(linger, i);
		at += SERVICE_NS;
		outcome->events++;
		outcome->waited_ns += at - due[i];
		due[i] = world->each_ns != 0 ? due[i] + world->each_ns * world->clients
					     : at + world->think_ns;
	}
	return at;
}

static struct outcome live_on(const struct world *world, struct linger_policy *linger,
			      uint64_t from_ns, uint64_t ns)
{
	struct outcome outcome = {0};
	uint64_t now = from_ns;
	uint64_t gather = 0;

	while (now < from_ns + ns) {
		uint64_t first = earliest(world);
		uint64_t woke;

		now += gather;
		now = now > first ? now : first;
		woke = now;
		now = serve(world, linger, now, &outcome);
		gather = linger_turn(linger, (struct mono){woke});
		outcome.turns++;
		outcome.gathered += gather > 0;
		assert_true(gather <= world->most_ns);
	}
	return outcome;
}

static struct outcome live(const struct world *world, uint64_t ns)
{
	struct linger_policy linger;

	linger_init(&linger, world->most_ns, (struct mono){0});
	prepare(world);
	return live_on(world, &linger, 0, ns);
}

static void many_that_speak_often_are_gathered(void **state)
{
	struct world world = {.clients = 1000, .each_ns = NS_PER_S / 20000, .most_ns = MOST_NS};
	struct outcome outcome = live(&world, 2 * NS_PER_S);

	(void)state;
	assert_true(outcome.events > 39000);
	assert_true(outcome.events / outcome.turns >= LINGER_WORTH);
	/* The gathering, and its turn: at the longest 2 ms and the service of those that came meanwhile. */
	assert_true(outcome.waited_ns / outcome.events < MOST_NS);
}

static void never_where_it_is_switched_off(void **state)
{
	struct world world = {.clients = 1000, .each_ns = NS_PER_S / 20000};

	(void)state;
	assert_int_equal(live(&world, NS_PER_S).gathered, 0);
}

static void the_quiet_are_answered_at_once(void **state)
{
	struct world world = {.clients = 1000, .each_ns = NS_PER_S / 6500, .most_ns = MOST_NS};

	(void)state;
	assert_int_equal(live(&world, 5 * NS_PER_S).gathered, 0);
}

static void a_few_who_wait_for_answers_are_answered_at_once(void **state)
{
	(void)state;
	for (uint32_t clients = 1; clients <= 20; clients++) {
		struct world world = {.clients = clients, .think_ns = 20000, .most_ns = MOST_NS};

		assert_int_equal(live(&world, NS_PER_S).gathered, 0);
	}
}

/* More than a few: it has to try, and must notice that it does harm. */
static void many_who_wait_for_answers_lose_little(void **state)
{
	(void)state;
	for (uint32_t clients = 25; clients <= 200; clients += 25) {
		struct world world = {.clients = clients, .think_ns = 500000};
		struct outcome without = live(&world, 5 * NS_PER_S);
		struct outcome with;

		world.most_ns = MOST_NS;
		with = live(&world, 5 * NS_PER_S);
		assert_true(with.events >= without.events - without.events / 12);
	}
}

static void it_stops_soon_after_the_crowd_has_gone(void **state)
{
	struct world crowd = {.clients = 1000, .each_ns = NS_PER_S / 20000, .most_ns = MOST_NS};
	struct world one = {.clients = 1, .think_ns = 20000, .most_ns = MOST_NS};
	struct linger_policy linger;

	(void)state;
	linger_init(&linger, MOST_NS, (struct mono){0});
	prepare(&crowd);
	assert_true(live_on(&crowd, &linger, 0, NS_PER_S).gathered > 0);
	due[0] = NS_PER_S;
	assert_true(live_on(&one, &linger, NS_PER_S, NS_PER_S).gathered <=
		    2 * 2 * LINGER_WINDOW_NS / MOST_NS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_that_speak_often_are_gathered),
		cmocka_unit_test(never_where_it_is_switched_off),
		cmocka_unit_test(the_quiet_are_answered_at_once),
		cmocka_unit_test(a_few_who_wait_for_answers_are_answered_at_once),
		cmocka_unit_test(many_who_wait_for_answers_lose_little),
		cmocka_unit_test(it_stops_soon_after_the_crowd_has_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
