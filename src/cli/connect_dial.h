#ifndef CLI_CONNECT_DIAL_H
#define CLI_CONNECT_DIAL_H

/*
 * Connects to one of the addresses that a name stands for: each is tried in turn, for as long as the timeout.
 * Nothing here waits, but for the look-up of a name. One thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/time.h"

#define CONNECT_DIAL_ADDRESSES 16

struct connect_dial {
	struct endpoint endpoints[CONNECT_DIAL_ADDRESSES];
	int count, next;
	int fd; /* the attempt under way, -1 for none: poll it for writing */
	uint64_t timeout_ns;
	struct mono deadline;
	int error;	    /* of the last attempt that failed */
	const char *why;    /* why there is no address to try, NULL where there was one */
	bool is_misspelled; /* and no look-up will change that */
};

enum connect_dial_state {
	CONNECT_DIAL_PENDING,
	CONNECT_DIAL_DONE,
	CONNECT_DIAL_FAILED,
};

/* Looks the target up and begins with its first address. */
enum connect_dial_state connect_dial_begin(struct connect_dial *dial, const char *target,
					   uint64_t timeout_ns, struct mono now);

/* Goes on: `ready` is whether poll found anything at the descriptor. */
enum connect_dial_state connect_dial_go_on(struct connect_dial *dial, bool ready, struct mono now);

/* Gives the connected descriptor (nonblocking) to the caller. */
int connect_dial_take(struct connect_dial *dial);

/* Gives up what is under way. */
void connect_dial_drop(struct connect_dial *dial);

/* Why it failed, and what may help (NULL: nothing known). */
const char *connect_dial_reason(const struct connect_dial *dial);
const char *connect_dial_remedy(const struct connect_dial *dial);

#endif
