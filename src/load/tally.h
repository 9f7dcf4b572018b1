#ifndef LOAD_TALLY_H
#define LOAD_TALLY_H

/* What happened, as one thread counts it. */

#include <stdint.h>

#include "load/histogram.h"

enum load_fault {
	LOAD_WRONG,	  /* a reply differs from what was expected */
	LOAD_MISSING,	  /* a message was not answered */
	LOAD_SURPLUS,	  /* a reply that nothing was owed for */
	LOAD_HELLO,	  /* no greeting, or the wrong answer to hello */
	LOAD_CLOSED,	  /* the server closed */
	LOAD_RESET,	  /* the server reset */
	LOAD_REFUSED,	  /* ECONNREFUSED */
	LOAD_TIMEOUT,	  /* no connection in time */
	LOAD_UNREACHABLE, /* no way there */
	LOAD_PORTS,	  /* no port left to connect from */
	LOAD_DESCRIPTORS, /* no descriptor left */
	LOAD_OTHER,
	LOAD_FAULTS
};

struct tally {
	uint64_t sent; /* messages, whole or in part */
	uint64_t replies;
	uint64_t lost;	  /* messages whose client ended before the reply */
	uint64_t skipped; /* messages on the schedule of a client that was not there */
	uint64_t connects;
	uint64_t cycles; /* of churn */
	uint64_t faults[LOAD_FAULTS];
	int other_error; /* the last errno behind LOAD_OTHER */
	struct histogram latency;
	struct histogram connecting;
	struct histogram cycle;
};

void tally_init(struct tally *tally);
void tally_merge(struct tally *tally, const struct tally *other);
uint64_t tally_faults(const struct tally *tally);

/* Which fault an errno is. */
enum load_fault tally_fault_of(int error);

/* "wrong reply", ... for people, and "wrong", ... for programs. Constant memory. */
const char *tally_fault_text(enum load_fault fault);
const char *tally_fault_key(enum load_fault fault);

#endif
