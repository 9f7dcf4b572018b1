#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

/*
 * The one place that knows both sides: it hands what the engine brings to the conversation and to the watch, and hands
 * their duties to the engine. It decides nothing about liveness itself.
 *
 * One thread (or, for the threads engine, one lock) runs a worker; only worker_wake and worker_replace are for others.
 */

#include <stdint.h>

#include "base/feed.h"
#include "engine/engine.h"
#include "presence/watch.h"
#include "server/house.h"
#include "server/mailbox.h"
#include "wire/conversation.h"

/* A session that owes more than this is not read from; it is again when it owes half of it. */
#define WORKER_OWED_MAX (64 * 1024)

/* All that is kept of one connection beside the engine's own. */
struct seat {
	struct conversation conversation;
	struct session session; /* tag 0: over, perhaps still leaving */
};

struct worker {
	struct house *house;
	unsigned index;
	const struct engine_kind *kind;
	struct engine *engine;
	struct seat *seats;
	uint32_t seats_count;
	struct watch watch;
	struct heads heads;
	struct feed feed; /* struct event, for the console */
	struct mailbox mailbox;
	uint8_t framings[ENGINE_LISTENERS_MAX]; /* enum framing by listener */
	/*
	 * Sessions that are over while their last bytes are on their way: in order of when they are dropped at the latest,
	 * linked through the nodes that the wheel no longer needs.
	 */
	uint32_t leaving_first, leaving_last;
	struct mono directory_turned; /* when it last turned the directory */
	struct mono directory_due;    /* when that wants to be turned again, at the latest */
	bool draining;
	bool dropped; /* the drain's time is up, and all have been dropped */
};

struct worker_config {
	unsigned index;
	const struct engine_kind *kind;
	const struct engine_listener *listeners;
	const uint8_t *framings; /* enum framing, for each listener */
	unsigned listeners_count;
	uint32_t connections_max;
	uint64_t linger_ns;
	struct mono now;
};

/* 0, or a negative errno of the engine or of memory. The house must outlive it. */
int worker_open(struct worker *worker, struct house *house, const struct worker_config *config);

/* Serves until the house is drained. 0 or a negative errno. */
int worker_run(struct worker *worker);
void worker_close(struct worker *worker);

/* Any thread. */
void worker_wake(struct worker *worker);

/* Any thread: this session has been displaced by a newer one. */
void worker_replace(struct worker *worker, uint32_t slot, uint32_t generation);

#endif
