#ifndef LOAD_PLAN_H
#define LOAD_PLAN_H

/* What a run is to do. Made by the command, constant while it runs. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/endpoint.h"
#include "load/expectation.h"
#include "load/literal.h"
#include "load/sources.h"

#define PLAN_PIDS_MAX 16
#define PLAN_THREADS_MAX 64

/* More connections than this are never being opened at once by one thread: the server's backlog is finite. */
#define PLAN_OPENING_MAX 128

struct load_plan {
	const char *target_text;
	struct endpoint target;
	struct sources sources;
	const char *congestion; /* control of our end; NULL: the system's */

	uint32_t clients;
	unsigned threads;
	double ramp; /* clients a second; 0: as fast as it goes */
	uint64_t
		timeout_ns; /* to connect and be greeted; for the last replies; for one round of churn */
	uint64_t warmup_ns;   /* not measured */
	uint64_t duration_ns; /* measured */

	double rate; /* messages a second of all clients together, on schedule; 0: closed loop */
	uint32_t pipeline; /* closed loop: messages that a client has under way */
	bool one_at_a_time; /* raw: what is received at once is one message, so no second one is sent before the reply */
	bool churn; /* connect, say, bye, again */

	bool greeting;	      /* the server speaks first, one line */
	struct literal hello; /* said once by each client */
	struct expectation hello_reply;
	struct literal message;
	struct expectation reply;
	struct literal bye; /* said at the end; the server is to close then */
	struct expectation bye_reply;

	pid_t pids[PLAN_PIDS_MAX]; /* of the server */
	unsigned pids_count;
};

#endif
