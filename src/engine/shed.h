#ifndef ENGINE_SHED_H
#define ENGINE_SHED_H

/*
 * Letting in, turning away and seeing off: the sockets of newcomers before they have a connection, and of peers that
 * have none any more. For all engines; one thread at a time.
 *
 * Turning away. A process without descriptors left cannot even refuse: the newcomer stays in the backlog and the
 * listener readable, so that the loop spins. Therefore one descriptor is kept in reserve; it is given up for as long as
 * it takes to accept a newcomer, say the listener's refusal and close. Where even that fails, accepting pauses for a
 * bounded time: the engine is to disarm its listeners while shed_is_paused, and to wait no longer than shed_next.
 *
 * Seeing off. close(2) with unread input, or input that comes after it, makes a reset, and a reset may destroy the last
 * text on its way to the peer. So the sending side is shut down first, and what still comes is read and thrown away
 * until the peer closes too: for SHED_PARTING_MS, and for as long again while it has taken more of what it was sent, up to
 * SHED_PARTING_MAX_MS; and for at most SHED_PARTINGS_MAX at a time (the oldest gives way, also where descriptors are
 * short). No slot of the engine is held by it.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/time.h"
#include "engine/engine.h"

#define SHED_PAUSE_MS 50	  /* how long accepting rests when it cannot even refuse */
#define SHED_PARTING_MS 1000	  /* a peer that closes on our end does so in a round trip or two */
#define SHED_PARTING_MAX_MS 30000 /* nobody stays longer, however slowly it takes */
#define SHED_PARTINGS_MAX 256 /* descriptors that peers who do not close may keep for that long */
#define SHED_LOOK_MS 25	      /* how often those that are parting are looked at */

struct shed_parting {
	int fd;
	int unsent; /* when it was last looked at */
	struct mono until, at_last;
};

struct shed {
	struct engine_listener listeners[ENGINE_LISTENERS_MAX];
	unsigned listeners_count;
	int spare; /* the descriptor in reserve; -1: lost to somebody quicker, to be had again */
	struct mono pause; /* accepting rests until then */
	struct mono look;  /* when those that are parting are looked at next */
	uint32_t first;	   /* the oldest of those that are parting: a ring, ordered by time */
	uint32_t count;
	struct shed_parting parting[SHED_PARTINGS_MAX];
};

/* Copies the listeners, makes them non-blocking, and takes the reserve. Returns 0, or a negative errno. */
int shed_init(struct shed *shed, const struct engine_config *config);

/* Closes all that are parting, and the reserve. The listeners stay open. */
void shed_fini(struct shed *shed);

/*
 * Accepts one newcomer: non-blocking, close-on-exec, TCP_NODELAY. Gives the descriptor, or
 * -EAGAIN: nobody waits, or accepting has paused;
 * any other negative errno: one was refused for want of room (tell `shed`); there may be more.
 */
int shed_accept(struct shed *shed, unsigned listener, struct mono now,
		struct sockaddr_storage *peer);

/*
 * For an engine that accepts by itself and got `error` (positive): turns away one who waits, if the error is one of
 * having no room. Returns as shed_accept: -error: one was refused for it; -EAGAIN: nobody waits, or a pause has begun.
 */
int shed_turn_away(struct shed *shed, unsigned listener, struct mono now, int error);

/* Says the listener's refusal and sees off. Takes the descriptor. */
void shed_refuse(struct shed *shed, unsigned listener, struct mono now, int fd);

/*
 * Closes a socket whose last bytes have been given to the kernel, so that they arrive. Takes the descriptor, which
 * nothing may be armed for any more. `ended`: the end of the peer's stream has been received.
 */
void shed_see_off(struct shed *shed, struct mono now, int fd, bool ended);

/* Makes close(2) forget what was not sent, by a reset. */
void shed_abort(int fd);

/* Looks after those that are parting where it is time to. To be called once a turn; cheap when there is nothing. */
void shed_turn(struct shed *shed, struct mono now);

/* Whether the listeners are to rest now. */
static inline bool shed_is_paused(const struct shed *shed, struct mono now)
{
	return mono_before(now, shed->pause);
}

/* When the engine must turn again at the latest: the end of a pause, or shed_turn. UINT64_MAX ns: never. */
struct mono shed_next(const struct shed *shed, struct mono now);

#endif
