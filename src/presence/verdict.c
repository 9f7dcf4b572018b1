/* The words, and whose fault each reason is. */

#include "presence/verdict.h"

#include <assert.h>

static const char *const states[] = {
	[STATE_ALIVE] = "alive", [STATE_LATE] = "late",	      [STATE_SUSPECT] = "suspect",
	[STATE_GONE] = "gone",	 [STATE_UNKNOWN] = "unknown",
};

static const struct {
	const char *word;
	enum fault fault;
} reasons[REASON_COUNT] = {
	[REASON_NONE] = {"", FAULT_NONE},
	[REASON_STOPPED] = {"stopped", FAULT_CLIENT},
	[REASON_CLOSED] = {"closed", FAULT_CLIENT},
	[REASON_RESET] = {"reset", FAULT_CLIENT_OR_NETWORK},
	[REASON_HUNG] = {"hung", FAULT_CLIENT},
	[REASON_UNREACHABLE] = {"unreachable", FAULT_NETWORK},
	[REASON_REPLACED] = {"replaced", FAULT_CLIENT},
	[REASON_KICKED] = {"kicked", FAULT_OPERATOR},
	[REASON_SLOW] = {"slow", FAULT_CLIENT},
	[REASON_REFUSED] = {"refused", FAULT_CLIENT},
	[REASON_MALFORMED] = {"malformed", FAULT_CLIENT},
	[REASON_SHED] = {"shed", FAULT_SERVER},
	[REASON_DRAINED] = {"drained", FAULT_SERVER},
	[REASON_SERVER_LOST] = {"server-lost", FAULT_SERVER},
};

static const char *const faults[] = {
	[FAULT_NONE] = "",
	[FAULT_CLIENT] = "client",
	[FAULT_NETWORK] = "network",
	[FAULT_CLIENT_OR_NETWORK] = "client or network",
	[FAULT_OPERATOR] = "operator",
	[FAULT_SERVER] = "server",
};

enum fault fault_of(enum reason reason)
{
	assert((unsigned)reason < REASON_COUNT);
	return reasons[reason].fault;
}

const char *state_word(enum state state)
{
	assert((unsigned)state <= STATE_UNKNOWN);
	return states[state];
}

const char *reason_word(enum reason reason)
{
	assert((unsigned)reason < REASON_COUNT);
	return reasons[reason].word;
}

const char *fault_word(enum fault fault)
{
	assert((unsigned)fault <= FAULT_SERVER);
	return faults[fault];
}
