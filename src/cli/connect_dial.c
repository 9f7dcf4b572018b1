/* Makes connections. Does not decide whether to try again. */

#include "cli/connect_dial.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT_DEFAULT 6666

static void set_up(int fd, int family)
{
	int on = 1;

	if (family == AF_UNIX)
		return;
	/* What is said goes out at once, and a server that is gone without a word is noticed in the end. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
}

static int start(struct connect_dial *dial, const struct endpoint *endpoint, struct mono now)
{
	int family = endpoint->address.ss_family;

	dial->deadline = mono_after(now, dial->timeout_ns);
	dial->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (dial->fd < 0)
		return -errno;
	set_up(dial->fd, family);
	if (connect(dial->fd, (const struct sockaddr *)&endpoint->address, endpoint->len) < 0)
		return -errno;
	return 0;
}

static enum connect_dial_state try_next(struct connect_dial *dial, struct mono now)
{
	while (dial->next < dial->count) {
		int error = -start(dial, &dial->endpoints[dial->next++], now);

		if (error == 0)
			return CONNECT_DIAL_DONE;
		if (error == EINPROGRESS)
			return CONNECT_DIAL_PENDING;
		dial->error = error;
		connect_dial_drop(dial);
	}
	return CONNECT_DIAL_FAILED;
}

/* A name that is not there now may be there later; a port that is no number never will. */
static bool is_misspelled(const char *why)
{
	return strstr(why, "looked up") == NULL && strstr(why, "no such name") == NULL;
}

enum connect_dial_state connect_dial_begin(struct connect_dial *dial, const char *target,
					   uint64_t timeout_ns, struct mono now)
{
	*dial = (struct connect_dial){.fd = -1, .timeout_ns = timeout_ns};
	dial->count = endpoint_read(dial->endpoints, CONNECT_DIAL_ADDRESSES, target, PORT_DEFAULT,
				    false, &dial->why);
	if (dial->count < 0) {
		dial->is_misspelled = is_misspelled(dial->why);
		return CONNECT_DIAL_FAILED;
	}
	dial->error = EADDRNOTAVAIL;
	return try_next(dial, now);
}

/* What became of a connection that was being made, as an errno. */
static int outcome(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return errno;
	return error;
}

enum connect_dial_state connect_dial_go_on(struct connect_dial *dial, bool ready, struct mono now)
{
	assert(dial->fd >= 0);
	if (ready) {
		dial->error = outcome(dial->fd);
		if (dial->error == 0)
			return CONNECT_DIAL_DONE;
	} else if (mono_before(now, dial->deadline)) {
		return CONNECT_DIAL_PENDING;
	} else {
		dial->error = ETIMEDOUT;
	}
	connect_dial_drop(dial);
	return try_next(dial, now);
}

int connect_dial_take(struct connect_dial *dial)
{
	int fd = dial->fd;

	dial->fd = -1;
	return fd;
}

void connect_dial_drop(struct connect_dial *dial)
{
	if (dial->fd >= 0)
		close(dial->fd);
	dial->fd = -1;
}

const char *connect_dial_reason(const struct connect_dial *dial)
{
	return dial->why ? dial->why : strerror(dial->error);
}

const char *connect_dial_remedy(const struct connect_dial *dial)
{
	if (dial->why)
		return dial->is_misspelled ? "write it as HOST:PORT or unix:PATH"
					   : "is the name right?";
	switch (dial->error) {
	case ECONNREFUSED:
	case ENOENT:
		return "is `lifeline serve` running there?";
	case ETIMEDOUT:
		return "is the host up, and does a firewall let the port through?";
	case ENETUNREACH:
	case EHOSTUNREACH:
		return "is this host's network up?";
	case EACCES:
	case EPERM:
		return "may this user connect to it?";
	default:
		return NULL;
	}
}
