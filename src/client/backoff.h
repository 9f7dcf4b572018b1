#ifndef CLIENT_BACKOFF_H
#define CLIENT_BACKOFF_H

/*
 * How long to wait before the next attempt to connect: exponential backoff with full jitter. After the n-th failure in
 * a row the wait is drawn evenly from 0 to first * 2^n, at most `most`, so that a crowd that lost its server at one
 * moment does not come back at one moment. Pure: the randomness is an argument. One thread.
 */

#include <stdint.h>

struct backoff {
	uint64_t first_ms;
	uint64_t most_ms;
	uint64_t least_ms; /* what the server asked for, for the next wait only */
	uint32_t failures; /* in a row */
};

void backoff_init(struct backoff *backoff, uint64_t first_ms, uint64_t most_ms);

/* The server said `retry`: the next wait is no shorter, and its jitter comes on top. */
void backoff_ask(struct backoff *backoff, uint64_t least_ms);

/* The next wait. `random` is drawn evenly from all 64-bit numbers. */
uint64_t backoff_next(struct backoff *backoff, uint64_t random);

/* The server answered: the next failure is the first again. */
void backoff_reset(struct backoff *backoff);

#endif
