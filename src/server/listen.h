#ifndef SERVER_LISTEN_H
#define SERVER_LISTEN_H

/*
 * Opens what is listened at. Each worker has a socket of its own for each TCP address (SO_REUSEPORT), so that they share
 * nothing; unix sockets, and sockets that were handed over, are shared by all. Start-up only, one thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"
#include "server/options.h"

#define LISTEN_ADDRESS_TEXT 128

struct listening {
	unsigned count; /* addresses */
	unsigned workers;
	bool is_handed_over;
	int *fds;				/* [worker * count + address] */
	uint8_t framings[ENGINE_LISTENERS_MAX]; /* enum framing */
	bool is_shared[ENGINE_LISTENERS_MAX];	/* one descriptor for all workers */
	char addresses[ENGINE_LISTENERS_MAX]
		      [LISTEN_ADDRESS_TEXT]; /* with the port that was picked */
	char unlink[ENGINE_LISTENERS_MAX]
		   [LISTEN_ADDRESS_TEXT]; /* unix sockets that are ours to remove */
	uint64_t unlink_inode[ENGINE_LISTENERS_MAX];
};

/* 0, or -1: an error was printed. */
int listen_open(struct listening *listening, const struct options *options, unsigned workers);
void listen_close(struct listening *listening);

/* Nobody can connect any more. Sockets that were handed over go on listening, for whoever holds them. */
void listen_stop(const struct listening *listening);

/* Fills `listeners` for one worker. */
void listen_of_worker(const struct listening *listening, unsigned worker,
		      struct engine_listener *listeners);

/* How many newcomers the kernel has turned away so far because the queue of one of these sockets was full. */
uint64_t listen_overflows(const struct listening *listening);

#endif
