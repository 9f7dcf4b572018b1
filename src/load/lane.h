#ifndef LOAD_LANE_H
#define LOAD_LANE_H

/*
 * A lane is one thread with its share of the clients: one epoll loop that opens them, sends, and checks what comes.
 * client.c has what happens on one connection, lane.c the loop.
 *
 * Threads: all of it is the lane's own, but for what is marked atomic.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/time.h"
#include "load/plan.h"
#include "load/schedule.h"
#include "load/tally.h"

#define CLIENT_END UINT32_MAX

enum client_state {
	CLIENT_ABSENT, /* not opened yet, or over */
	CLIENT_CONNECTING,
	CLIENT_GREETING, /* waits for the server's first line */
	CLIENT_HELLO,	 /* waits for the answer to hello */
	CLIENT_READY,
	CLIENT_BYE,    /* waits for the answer to bye */
	CLIENT_ENDING, /* waits for the server to close */
};

struct client {
	int fd;
	uint8_t state;
	bool limited;		  /* it is in the lane's list of those with a time limit */
	uint32_t offset;	  /* how much of the next message is sent already */
	uint32_t waiting;	  /* one at a time: messages that are due but may not be sent yet */
	struct progress progress; /* of the next reply */
	uint64_t owed;		  /* replies */
	uint64_t unsent;	  /* bytes of messages that the socket did not take yet */
	uint64_t answered;	  /* messages, in all */
	struct mono begun;
	uint32_t next, prev; /* in that list */
};

/* When what happens; given to all lanes at once. */
struct conductor {
	_Atomic bool go;	   /* the times below are set */
	struct mono start;	   /* first message */
	struct mono from;	   /* measured from here ... */
	_Atomic uint64_t until_ns; /* ... to here; nothing is sent that is due later */
	_Atomic bool stop;	   /* the user wants no more: do not open any further */
	_Atomic bool last;	   /* second time: do not wait for replies */
};

struct lane {
	const struct load_plan *plan;
	struct conductor *conductor;
	void (*on_turn)(
		void *argument); /* called at the end of each turn; NULL: nobody wants to be */
	void *on_turn_argument;
	int epoll;
	struct mono now; /* this turn's reading: all that is received in it had come by then */

	struct client *clients;
	uint32_t count;
	uint32_t first; /* the number of the first of them among all lanes' */
	uint32_t live;	/* that are ready */

	uint32_t opened; /* clients that were opened or failed to: the next one to open */
	uint32_t opening;
	uint32_t limit_head, limit_tail; /* those with a time limit, by time */
	struct schedule ramp;
	uint32_t *again; /* churn: a stack of clients to open again */
	uint32_t again_count;

	bool begun, recording, sending; /* by the conductor's times, as of this turn */
	struct mono until;
	uint32_t primed; /* closed loop: clients that have sent their first messages */
	struct schedule schedule;
	uint64_t scheduled; /* messages of the schedule that were sent or skipped */

	char *messages; /* the message, repeated */
	size_t messages_len;
	uint64_t *
		stamps; /* closed loop: when each message under way was sent, a ring for each client */
	char *spare;	/* for a filled-in hello */

	struct tally tally;

	/* For the conductor to read. */
	_Alignas(64) _Atomic uint64_t shown_replies;
	_Atomic uint64_t shown_cycles, shown_faults, shown_live;
	_Atomic bool ready; /* all are opened that can be */
	_Atomic bool done;
	_Alignas(64) char received[EXPECTATION_READ_MAX];
};

/* 0, or a negative errno. `count` clients, the first of which is number `first`. */
int lane_init(struct lane *lane, const struct load_plan *plan, struct conductor *conductor,
	      uint32_t first, uint32_t count) __attribute__((warn_unused_result));
void lane_fini(struct lane *lane);

/* Runs until it is over. A thread's main. */
void lane_run(struct lane *lane);

/* Opens a client that is absent. */
void client_open(struct lane *lane, uint32_t index);

/* Epoll says something about it. */
void client_on_event(struct lane *lane, uint32_t index, uint32_t events);

/* Sends so many more messages, or as much of them as the socket takes. The client is ready. */
void client_send(struct lane *lane, uint32_t index, uint32_t count);

/* Says bye; the server is to close. The client is ready and owed nothing. */
void client_part(struct lane *lane, uint32_t index);

/* Ends it for this fault. */
void client_fail(struct lane *lane, uint32_t index, enum load_fault fault);

/* What its time limit means: why it is late. */
enum load_fault client_lateness(const struct client *client);

#endif
