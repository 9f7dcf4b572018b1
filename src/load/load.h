#ifndef LOAD_LOAD_H
#define LOAD_LOAD_H

/*
 * A whole run: opens the clients, measures, ends. On SIGINT or SIGTERM it ends early with what there is; on a second
 * one it does not wait for replies that are owed.
 */

#include <stdbool.h>
#include <stdint.h>

#include "load/plan.h"
#include "load/tally.h"

struct load_moment {
	uint64_t ns;
	uint64_t replies, cycles;
	uint64_t own_cpu_ns;
	uint64_t server_cpu_ns, server_bytes;
	bool cpu_known, bytes_known; /* of the server */
};

struct load_result {
	struct tally tally;
	struct load_moment before;	/* nobody is connected */
	struct load_moment connected;	/* all are, nothing is said but hello */
	struct load_moment from, until; /* the measured part */
	bool measured;			/* there was such a part */
	bool interrupted;
	uint32_t live; /* clients at the end of it */
};

/* Called some times a second; `left_ns` is UINT64_MAX while clients are still being opened. */
struct load_progress {
	uint64_t left_ns;
	uint64_t replies, cycles, live, faults;
	uint64_t replies_per_s, cycles_per_s;
};
typedef void (*load_on_progress)(const struct load_plan *plan,
				 const struct load_progress *progress);

/* 0, or a negative errno where it could not begin. `on_progress` may be NULL. Call it from the main thread. */
int load_run(const struct load_plan *plan, struct load_result *result, load_on_progress on_progress)
	__attribute__((warn_unused_result));

#endif
