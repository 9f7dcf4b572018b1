#ifndef ENGINE_LINGER_H
#define ENGINE_LINGER_H

/*
 * When a busy worker does better to wait a moment, so that one wake-up serves many. Pure: time is an argument; one
 * thread. The engine says what each turn brought and is told for how long it may gather before the next.
 *
 * It gathers only where many *different* connections have something to say, often, and few at a time: below
 * LINGER_WORTH events within the longest moment there is nothing to be gained; where a turn serves many anyway, too; and
 * a handful of clients, each waiting for its answer before it speaks again, would only be slowed down. What it cannot
 * know beforehand it tries: where gathering brings fewer than LINGER_WORTH a turn, or makes the events come more slowly
 * than they did without (clients that wait for answers), it rests, for twice as long each time.
 */

#include <stdint.h>

#include "base/time.h"

#define LINGER_WORTH 16	 /* events a turn that make a moment's wait worth while */
#define LINGER_ENOUGH 64 /* events a turn beyond which more gain nothing */
#define LINGER_DIFFERENT                                                                           \
	24 /* of 64 places that connections fall into by chance: about 30 connections */
#define LINGER_WINDOW_NS (5 * NS_PER_MS)
#define LINGER_REST_MAX 4096 /* windows: about 20 s */
#define LINGER_TRUST                                                                               \
	400 /* windows of gathering, after which the rate without it is measured anew */

struct linger_policy {
	uint64_t most_ns;   /* the bound; 0: never gathers */
	uint64_t gather_ns; /* for how long it gathers now; 0: not at all */
	struct mono began;  /* the window */
	uint32_t events;    /* in this window */
	uint32_t turns;
	uint64_t different; /* a bit for each place that this window's connections fell into */
	uint64_t rate;	    /* events a second in the window before gathering began */
	uint32_t rest;	    /* windows for which it will not try */
	uint32_t rest_next; /* for how many it will not, the next time it failed */
	uint32_t trust;	    /* windows of gathering that are left before it measures anew */
};

void linger_init(struct linger_policy *linger, uint64_t most_ns, struct mono now);

/* A connection had something to say. */
static inline void linger_event(struct linger_policy *linger, uint32_t slot)
{
	linger->events++;
	linger->different |= UINT64_C(1) << (slot * UINT32_C(0x9E3779B1) >> 26);
}

/* A turn is over, which woke at `now`. Returns for how many nanoseconds to gather before the next, 0: not at all. */
uint64_t linger_turn(struct linger_policy *linger, struct mono now);

#endif
