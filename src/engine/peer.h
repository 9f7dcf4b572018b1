#ifndef ENGINE_PEER_H
#define ENGINE_PEER_H

/*
 * What the kernel knows about the peer of a socket, and how it is to look after it. For all engines, by descriptor:
 * what an engine itself holds (bytes received and not told yet) it must add to the view on its own. Any thread.
 */

#include <stdbool.h>

#include "engine/engine.h"

/*
 * Fills in the view. `ended` says that the end of the stream has been told already: it is then not `unheard` any more,
 * though the socket stays readable for ever; an error that waits still is. Returns 0, or a negative errno.
 */
int peer_ask(int fd, bool ended, struct engine_view *view);

/* Whether bytes, an end or an error wait to be received; the one question of peer_ask that wholeness needs. */
bool peer_is_unheard(int fd, bool ended);

/* See engine_kind.tune. A unix socket has nothing to tune: 0. Returns 0, or a negative errno. */
int peer_tune(int fd, unsigned probe_s, unsigned give_up_ms);

/* The error that waits at the socket (SO_ERROR, which takes it), 0 where there is none. */
int peer_error(int fd);

/* How a connection ended that ended with this errno (positive). */
enum engine_end peer_end(int error);

#endif
