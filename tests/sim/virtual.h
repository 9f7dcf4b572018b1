#ifndef SIM_VIRTUAL_H
#define SIM_VIRTUAL_H

/*
 * One more engine: its sockets lie in memory, its clock is an argument, and it turns when it is told to. It keeps the
 * contract of engine/engine.h and uses all the freedom that this leaves: the order in which connections are told, how
 * much of what has arrived is told in a turn that is not whole, how little a socket takes.
 *
 * The world (world.c) is the other side of the sockets.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/time.h"
#include "engine/engine.h"
#include "sim/random.h"

struct virtual_engine;

extern const struct engine_kind engine_virtual;

/* What the kernel would know about this peer at `now`; the engine itself sets `unheard`. */
typedef void virtual_view(void *world, unsigned worker, uint32_t socket, struct mono now,
			  struct engine_view *view);

/* Before worker_open: the engine that is opened next is this worker's. All calls of the world name engines by this. */
void virtual_expect(unsigned worker, struct random *random, virtual_view *view, void *world);
struct virtual_engine *virtual_of(unsigned worker);

/* A client's side. Sockets are numbered from 0 and never reused within a world; at most VIRTUAL_SOCKETS a worker. */
#define VIRTUAL_SOCKETS 8192
uint32_t virtual_connect(struct virtual_engine *engine, unsigned listener,
			 const struct sockaddr_storage *peer);

/* Bytes have arrived in the server's socket. Ignored where it is closed. */
void virtual_arrive(struct virtual_engine *engine, uint32_t socket, const void *bytes, size_t len);

enum virtual_end {
	VIRTUAL_EOF,
	VIRTUAL_RESET,
	VIRTUAL_TIMEOUT
};
void virtual_end(struct virtual_engine *engine, uint32_t socket, enum virtual_end end);

/* The peer has taken all that was sent: there is room for `bytes` more. */
void virtual_room(struct virtual_engine *engine, uint32_t socket, size_t bytes);

/* Moves what was sent to the client into `bytes`; returns how many. */
size_t virtual_take(struct virtual_engine *engine, uint32_t socket, char *bytes, size_t size);

/* The server has closed it, or refused it, and all that was sent has been taken. */
bool virtual_is_closed(const struct virtual_engine *engine, uint32_t socket);

/* The server has closed or refused it, whether the client has seen that or not. */
bool virtual_is_shut(const struct virtual_engine *engine, uint32_t socket);

/* Bytes or an end, or a newcomer, that the worker has not been told of. */
bool virtual_has_unheard(const struct virtual_engine *engine, uint32_t socket);

/* Descriptors: from now on so many sockets may be open at once. */
void virtual_limit(struct virtual_engine *engine, uint32_t open_max);

/*
 * When the engine would turn by itself: at once where something has arrived or it was woken, else by what the worker
 * asked for. UINT64_MAX where it has finished.
 */
struct mono virtual_wants(const struct virtual_engine *engine, struct mono now);

/*
 * One turn at `now`. With `partial`, only some of what has arrived is told, and the turn is not whole unless that was all.
 */
void virtual_turn(struct virtual_engine *engine, struct mono now, bool partial);

bool virtual_is_finished(const struct virtual_engine *engine);
uint32_t virtual_live(const struct virtual_engine *engine);

#endif
