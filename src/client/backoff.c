/* Draws waits. Sleeps for none of them. */

#include "client/backoff.h"

#include <assert.h>

void backoff_init(struct backoff *backoff, uint64_t first_ms, uint64_t most_ms)
{
	assert(first_ms > 0 && most_ms > 0);
	*backoff = (struct backoff){.first_ms = first_ms, .most_ms = most_ms};
}

void backoff_ask(struct backoff *backoff, uint64_t least_ms)
{
	backoff->least_ms = least_ms;
}

/* Doubling by halving the cap: nothing overflows, however many failures there were. */
static uint64_t ceiling(const struct backoff *backoff)
{
	if (backoff->failures >= 64 || backoff->first_ms > backoff->most_ms >> backoff->failures)
		return backoff->most_ms;
	return backoff->first_ms << backoff->failures;
}

uint64_t backoff_next(struct backoff *backoff, uint64_t random)
{
	uint64_t top = ceiling(backoff);
	uint64_t wait = backoff->least_ms + (top == UINT64_MAX ? random : random % (top + 1));

	if (backoff->failures < UINT32_MAX)
		backoff->failures++;
	backoff->least_ms = 0;
	return wait;
}

void backoff_reset(struct backoff *backoff)
{
	backoff->failures = 0;
}
