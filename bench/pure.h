#ifndef BENCH_PURE_H
#define BENCH_PURE_H

/*
 * The pure core as a worker drives it, without a worker: conversations, watch and directory, under a false clock and
 * without a socket. What is done here for each call is what src/server/worker.c does, less the engine and the console.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "presence/watch.h"
#include "wire/conversation.h"

#define PURE_EVERY_MS 60000

struct place {
	struct conversation conversation;
	struct session session;
};

struct pure {
	struct place *places;
	uint32_t count;
	struct heads heads;
	struct directory *directory;
	struct watch watch;
	struct mono now;
	uint64_t notes; /* what the directory told */
	uint64_t bytes; /* that were said */
	size_t places_size, heads_size, directory_size;
};

/* Room for `count` sessions. Ends the program where there is none. */
void pure_open(struct pure *pure, uint32_t count);
void pure_close(struct pure *pure);

/* Time passes; the turn begins. */
void pure_woke(struct pure *pure, uint64_t passed_ns);

/* The turn ends: everything due is judged. Returns how many were given out as due. */
uint32_t pure_turned(struct pure *pure, uint64_t next_ns);

void pure_accept(struct pure *pure, uint32_t slot);
void pure_end(struct pure *pure, uint32_t slot);

/* One receive of these bytes, and one send of all that is owed then. */
void pure_receive(struct pure *pure, uint32_t slot, const char *bytes, size_t len);

#endif
