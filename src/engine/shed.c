/* Sockets without a connection: newcomers who are let in or turned away, and peers who are seen off. */

#include "engine/shed.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define DISCARD_BYTES 4096
#define DISCARD_ROUNDS 16 /* 64 KiB of a peer that sends on and on are enough */
#define ACCEPT_ROUNDS 32  /* newcomers in a row that went away before they were accepted */

static const struct mono never = {UINT64_MAX};

static void take_spare(struct shed *shed)
{
	if (shed->spare < 0)
		shed->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void give_spare(struct shed *shed)
{
	if (shed->spare >= 0)
		close(shed->spare);
	shed->spare = -1;
}

static void hurry_small_sends(int fd)
{
	int on = 1;

	/* Fails where it is no TCP, which has no delay to be switched off either. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

int shed_init(struct shed *shed, const struct engine_config *config)
{
	memset(shed, 0, sizeof(*shed));
	shed->spare = -1;
	shed->look = never;
	if (config->listeners_count > ENGINE_LISTENERS_MAX)
		return -EINVAL;
	shed->listeners_count = config->listeners_count;
	for (unsigned i = 0; i < shed->listeners_count; i++) {
		int flags = fcntl(config->listeners[i].fd, F_GETFL);

		if (flags < 0 || fcntl(config->listeners[i].fd, F_SETFL, flags | O_NONBLOCK) < 0)
			return -errno;
		/* Accepted sockets inherit it, which saves a call for each. */
		hurry_small_sends(config->listeners[i].fd);
		shed->listeners[i] = config->listeners[i];
	}
	take_spare(shed);
	return shed->spare >= 0 ? 0 : -errno;
}

/* Reads what is there and throws it away. True when the peer has ended, or is not to be waited for. */
static bool discard(int fd)
{
	char bytes[DISCARD_BYTES];

	for (int round = 0; round < DISCARD_ROUNDS; round++) {
		ssize_t got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

		if (got < 0)
			return errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
		if (got == 0)
			return true;
	}
	return false;
}

static struct shed_parting *parting_at(struct shed *shed, uint32_t i)
{
	return &shed->parting[(shed->first + i) % SHED_PARTINGS_MAX];
}

static void part_with_oldest(struct shed *shed)
{
	struct shed_parting *oldest = parting_at(shed, 0);

	discard(oldest->fd);
	close(oldest->fd);
	shed->first = (shed->first + 1) % SHED_PARTINGS_MAX;
	shed->count--;
}

void shed_fini(struct shed *shed)
{
	while (shed->count > 0)
		part_with_oldest(shed);
	give_spare(shed);
}

static struct mono ms_after(struct mono time, uint64_t ms)
{
	return mono_after(time, ms * NS_PER_MS);
}

void shed_see_off(struct shed *shed, struct mono now, int fd, bool ended)
{
	/* All input was read, up to its end: nothing can make a reset. */
	if (ended || shutdown(fd, SHUT_WR) != 0) {
		close(fd);
		return;
	}
	if (shed->count == SHED_PARTINGS_MAX)
		part_with_oldest(shed);
	if (shed->count == 0)
		shed->look = ms_after(now, SHED_LOOK_MS);
	*parting_at(shed, shed->count++) = (struct shed_parting){
		.fd = fd,
		.until = ms_after(now, SHED_PARTING_MS),
		.at_last = ms_after(now, SHED_PARTING_MAX_MS),
		.unsent = INT_MAX,
	};
}

void shed_abort(int fd)
{
	struct linger at_once = {.l_onoff = 1, .l_linger = 0};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

/*
 * Its time is up; but a peer that is still taking what it was sent, however slowly, is not to lose the rest.
 * Asked only here: most peers have long closed by now.
 */
static bool is_still_taking(struct shed_parting *parting, struct mono now)
{
	int unsent = 0;

	if (ioctl(parting->fd, SIOCOUTQ, &unsent) != 0 || unsent == 0 ||
	    unsent >= parting->unsent || !mono_before(now, parting->at_last))
		return false;
	parting->unsent = unsent;
	parting->until = ms_after(now, SHED_PARTING_MS);
	return true;
}

/* Those that stay move up, in their order. */
static void look_after_all(struct shed *shed, struct mono now)
{
	uint32_t stay = 0;

	for (uint32_t i = 0; i < shed->count; i++) {
		struct shed_parting parting = *parting_at(shed, i);

		if (discard(parting.fd) ||
		    (!mono_before(now, parting.until) && !is_still_taking(&parting, now)))
			close(parting.fd);
		else
			*parting_at(shed, stay++) = parting;
	}
	shed->count = stay;
}

void shed_turn(struct shed *shed, struct mono now)
{
	if (mono_before(now, shed->look))
		return;
	look_after_all(shed, now);
	shed->look = shed->count > 0 ? ms_after(now, SHED_LOOK_MS) : never;
}

struct mono shed_next(const struct shed *shed, struct mono now)
{
	struct mono pause = shed_is_paused(shed, now) ? shed->pause : never;

	return mono_earlier(pause, shed->count > 0 ? shed->look : never);
}

static void say_refusal(const struct shed *shed, unsigned listener, int fd)
{
	const struct engine_listener *said = &shed->listeners[listener];

	/* It goes into an empty buffer; where it does not, there is nothing more to be done. */
	if (said->refusal_len > 0)
		(void)send(fd, said->refusal, said->refusal_len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void shed_refuse(struct shed *shed, unsigned listener, struct mono now, int fd)
{
	say_refusal(shed, listener, fd);
	shed_see_off(shed, now, fd, false);
}

/* Errors of the newcomer's own network that accept(2) passes on: the next one may be better off. */
static bool is_newcomers(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case EPERM:
	case EPROTO:
	case ENOPROTOOPT:
	case EOPNOTSUPP:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
		return true;
	default:
		return false;
	}
}

static bool is_want_of_room(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

/* One who waits, or a negative errno that is not the newcomer's own. */
static int accept_one(struct shed *shed, unsigned listener, struct sockaddr_storage *peer)
{
	for (int round = 0; round < ACCEPT_ROUNDS; round++) {
		socklen_t len = sizeof(*peer);
		int fd = accept4(shed->listeners[listener].fd, (struct sockaddr *)peer, &len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			return fd;
		if (errno == EWOULDBLOCK)
			return -EAGAIN;
		if (!is_newcomers(errno))
			return -errno;
	}
	return -EAGAIN;
}

static int pause_accepting(struct shed *shed, struct mono now)
{
	shed->pause = ms_after(now, SHED_PAUSE_MS);
	return -EAGAIN;
}

int shed_turn_away(struct shed *shed, unsigned listener, struct mono now, int error)
{
	struct sockaddr_storage peer;
	int fd;

	if (shed_is_paused(shed, now))
		return -EAGAIN;
	if (!is_want_of_room(error))
		return pause_accepting(shed, now);
	give_spare(shed);
	fd = accept_one(shed, listener, &peer);
	if (fd >= 0) {
		/* No descriptor to see it off with: what came by now is read, so that no reset comes of it. */
		say_refusal(shed, listener, fd);
		shutdown(fd, SHUT_WR);
		discard(fd);
		close(fd);
	}
	take_spare(shed);
	if (fd >= 0)
		return -error;
	return fd == -EAGAIN ? -EAGAIN : pause_accepting(shed, now);
}

int shed_accept(struct shed *shed, unsigned listener, struct mono now,
		struct sockaddr_storage *peer)
{
	int fd;

	if (shed_is_paused(shed, now))
		return -EAGAIN;
	take_spare(shed);
	fd = accept_one(shed, listener, peer);
	if ((fd == -EMFILE || fd == -ENFILE) && shed->count > 0) {
		/* A newcomer is worth more than a peer that has been told everything. */
		part_with_oldest(shed);
		fd = accept_one(shed, listener, peer);
	}
	return fd >= 0 || fd == -EAGAIN ? fd : shed_turn_away(shed, listener, now, -fd);
}
