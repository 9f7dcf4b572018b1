/*
 * The policy of gathering. Windows of a few milliseconds are counted, and decided about when they are over; within a
 * window nothing changes. See the header for what is decided.
 */

#include "engine/linger.h"

#include <stdbool.h>
#include <string.h>

#define REST_FIRST 8 /* windows */

void linger_init(struct linger_policy *linger, uint64_t most_ns, struct mono now)
{
	memset(linger, 0, sizeof(*linger));
	linger->most_ns = most_ns;
	linger->began = now;
	linger->rest_next = REST_FIRST;
}

/* Long enough to gather enough at this rate, and no longer. */
static uint64_t moment(const struct linger_policy *linger, uint64_t rate)
{
	uint64_t ns = LINGER_ENOUGH * NS_PER_S / rate;

	return ns < linger->most_ns ? ns : linger->most_ns;
}

static bool is_worth_trying(const struct linger_policy *linger, uint64_t rate)
{
	return rate * linger->most_ns >= LINGER_WORTH * NS_PER_S &&
	       linger->events < (uint64_t)linger->turns * (LINGER_ENOUGH / 2) &&
	       __builtin_popcountll(linger->different) >= LINGER_DIFFERENT;
}

/* Fewer than were hoped for came together, or the clients speak more slowly for it. */
static bool has_failed(const struct linger_policy *linger, uint64_t rate)
{
	return linger->events < (uint64_t)linger->turns * LINGER_WORTH ||
	       rate < linger->rate - linger->rate / 4;
}

static void begin(struct linger_policy *linger, uint64_t rate)
{
	linger->rate = rate;
	linger->gather_ns = moment(linger, rate);
	linger->trust = LINGER_TRUST;
}

static void rest(struct linger_policy *linger)
{
	linger->gather_ns = 0;
	linger->rest = linger->rest_next;
	if (linger->rest_next < LINGER_REST_MAX)
		linger->rest_next *= 2;
}

static void go_on(struct linger_policy *linger, uint64_t rate)
{
	linger->rest_next = REST_FIRST;
	linger->gather_ns = --linger->trust > 0 ? moment(linger, rate) : 0;
}

static void decide(struct linger_policy *linger, uint64_t rate)
{
	if (linger->gather_ns > 0) {
		if (has_failed(linger, rate))
			rest(linger);
		else
			go_on(linger, rate);
	} else if (linger->rest > 0) {
		linger->rest--;
	} else if (is_worth_trying(linger, rate)) {
		begin(linger, rate);
	}
}

uint64_t linger_turn(struct linger_policy *linger, struct mono now)
{
	uint64_t lasted = mono_between(linger->began, now);

	if (linger->most_ns == 0)
		return 0;
	linger->turns++;
	if (lasted < LINGER_WINDOW_NS || (linger->gather_ns > 0 && lasted < 2 * LINGER_WINDOW_NS))
		return linger->gather_ns;
	decide(linger, linger->events * NS_PER_S / lasted);
	linger->began = now;
	linger->events = 0;
	linger->turns = 0;
	linger->different = 0;
	return linger->gather_ns;
}
