/* Sockets, bound and listening, with what newcomers inherit from them: keepalive, and no delay. */

#include "server/listen.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/address.h"
#include "base/endpoint.h"

/* systemd hands over descriptors from this one on. */
#define HANDED_OVER_FIRST 3

/* As large as the system allows: the kernel cuts it to net.core.somaxconn. */
#define BACKLOG 1000000

/* A peer is taken as gone by the kernel only long after we have judged it. */
#define PROBES_MAX 120

static int complain(const char *where, const char *what, int error)
{
	const char *remedy = "";

	if (error == EADDRINUSE)
		remedy = "; is another server running there? Stop it, or choose another port with "
			 "--listen";
	else if (error == EACCES)
		remedy = "; ports below 1024 and some directories need root; choose another with "
			 "--listen";
	else if (error == EADDRNOTAVAIL)
		remedy = "; this machine has no such address; see `ip address`";
	fprintf(stderr, "lifeline: cannot %s %s: %s%s\n", what, where, strerror(error), remedy);
	return -1;
}

/* What the kernel does for those who come in here: it asks silent hosts, and gives up on none before we do. */
static void set_inherited(int fd, const struct options *options)
{
	int on = 1, probes = PROBES_MAX, second = 1;
	uint64_t idle_s = (options->every_ms + MS_PER_S - 1) / MS_PER_S;
	int idle = idle_s > 32767 ? 32767 : (int)idle_s;
	uint64_t limit_ms =
		options->every_ms + options->grace_ms + options->suspect_hold_ms + 5 * MS_PER_S;
	unsigned give_up = limit_ms > INT32_MAX ? INT32_MAX : (unsigned)limit_ms;

	/* Unix sockets know none of these, and need none. */
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &second, sizeof(second));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &give_up, sizeof(give_up));
}

static int bound_socket(const struct endpoint *endpoint, bool share_port)
{
	int on = 1, off = 0;
	int fd = socket(endpoint->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (endpoint->address.ss_family != AF_UNIX) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (share_port)
			setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	}
	if (endpoint->address.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, (const struct sockaddr *)&endpoint->address, endpoint->len) != 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

static void set_port(struct endpoint *endpoint, int fd)
{
	socklen_t len = sizeof(endpoint->address);

	getsockname(fd, (struct sockaddr *)&endpoint->address, &len);
}

/* A socket file that nobody listens at any more is in the way; one that is alive is somebody else's. */
static void remove_if_dead(const struct endpoint *endpoint)
{
	const struct sockaddr_un *address = (const struct sockaddr_un *)&endpoint->address;
	struct stat status;
	int fd;

	if (lstat(address->sun_path, &status) != 0 || !S_ISSOCK(status.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)address, endpoint->len) != 0 &&
	    errno == ECONNREFUSED)
		unlink(address->sun_path);
	close(fd);
}

/*
 * A server that was killed a moment ago may still hold its address: the kernel takes apart what its io_uring held after the
 * process is gone. It is worth a moment's patience.
 */
static int bound_soon(const struct endpoint *endpoint)
{
	const struct timespec moment = {.tv_nsec = 50 * (long)NS_PER_MS};
	int fd = -EADDRINUSE;

	for (unsigned attempt = 0; attempt < 20 && fd == -EADDRINUSE; attempt++) {
		if (attempt > 0)
			nanosleep(&moment, NULL);
		if (endpoint->address.ss_family == AF_UNIX)
			remove_if_dead(endpoint);
		fd = bound_socket(endpoint, false);
		if (fd >= 0 && listen(fd, 1) != 0) {
			int error = errno;

			close(fd);
			fd = -error;
		}
	}
	return fd;
}

/*
 * The first socket is bound without sharing, which fails where anybody else listens (another lifeline of the same user
 * would otherwise share the port silently), and picks the port where that is 0. Then each worker gets its own.
 */
static int open_tcp(struct listening *listening, unsigned at, struct endpoint *endpoint,
		    const char *where)
{
	int probe = bound_soon(endpoint);
	int on = 1, error = 0;

	if (probe < 0)
		return complain(where, "listen at", -probe);
	set_port(endpoint, probe);
	/* Held until the others are bound, so that nobody else comes between. */
	setsockopt(probe, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	for (unsigned worker = 0; worker < listening->workers && error == 0; worker++) {
		int fd = bound_socket(endpoint, true);

		listening->fds[worker * listening->count + at] = fd;
		error = fd < 0 ? -fd : 0;
	}
	close(probe);
	return error == 0 ? 0 : complain(where, "listen at", error);
}

static int open_unix(struct listening *listening, unsigned at, const struct endpoint *endpoint,
		     const char *where)
{
	const struct sockaddr_un *address = (const struct sockaddr_un *)&endpoint->address;
	struct stat status;
	int fd;

	fd = bound_soon(endpoint);
	if (fd < 0)
		return complain(where, "listen at", -fd);
	if (lstat(address->sun_path, &status) == 0) {
		snprintf(listening->unlink[at], LISTEN_ADDRESS_TEXT, "%s", address->sun_path);
		listening->unlink_inode[at] = status.st_ino;
	}
	listening->is_shared[at] = true;
	for (unsigned worker = 0; worker < listening->workers; worker++)
		listening->fds[worker * listening->count + at] = fd;
	return 0;
}

static void write_address(struct listening *listening, unsigned at, const char *where)
{
	struct sockaddr_storage name = {0};
	socklen_t len = sizeof(name);
	struct address address;
	char text[ADDRESS_TEXT];

	getsockname(listening->fds[at], (struct sockaddr *)&name, &len);
	address_of(&address, &name);
	snprintf(listening->addresses[at], LISTEN_ADDRESS_TEXT, "%s",
		 address.family == ADDRESS_UNIX ? where : address_write(text, &address));
}

static int open_one(struct listening *listening, unsigned at, const struct options *options)
{
	const char *where = options->listen[at].where, *why;
	struct endpoint endpoint;
	int opened;

	if (endpoint_read(&endpoint, 1, where, 6666, true, &why) < 1) {
		fprintf(stderr, "lifeline: --listen %s: %s\n", where, why);
		return -1;
	}
	if (endpoint.address.ss_family == AF_UNIX)
		opened = open_unix(listening, at, &endpoint, where);
	else
		opened = open_tcp(listening, at, &endpoint, where);
	if (opened != 0)
		return -1;
	for (unsigned worker = 0; worker < listening->workers; worker++) {
		int fd = listening->fds[worker * listening->count + at];

		set_inherited(fd, options);
		if (listen(fd, BACKLOG) != 0)
			return complain(where, "listen at", errno);
	}
	listening->framings[at] = (uint8_t)options->listen[at].framing;
	write_address(listening, at, where);
	return 0;
}

/* How many descriptors systemd has handed to this very process. */
static unsigned handed_over(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");

	if (pid == NULL || fds == NULL || strtol(pid, NULL, 10) != getpid())
		return 0;
	long count = strtol(fds, NULL, 10);

	return count < 0		      ? 0
	       : count > ENGINE_LISTENERS_MAX ? ENGINE_LISTENERS_MAX
					      : (unsigned)count;
}

static int take_handed_over(struct listening *listening, const struct options *options)
{
	for (unsigned at = 0; at < listening->count; at++) {
		int fd = HANDED_OVER_FIRST + (int)at, accepts = 0;
		socklen_t len = sizeof(accepts);

		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &len) != 0 || !accepts) {
			fprintf(stderr,
				"lifeline: descriptor %d from LISTEN_FDS is not a listening stream "
				"socket; see "
				"systemd.socket(5)\n",
				fd);
			return -1;
		}
		set_inherited(fd, options);
		listening->is_shared[at] = true;
		for (unsigned worker = 0; worker < listening->workers; worker++)
			listening->fds[worker * listening->count + at] = fd;
		listening->framings[at] = FRAMING_AUTO;
		write_address(listening, at, "unix");
	}
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	return 0;
}

int listen_open(struct listening *listening, const struct options *options, unsigned workers)
{
	unsigned given = handed_over();

	memset(listening, 0, sizeof(*listening));
	listening->count = given > 0 ? given : options->listen_count;
	listening->workers = workers;
	listening->fds = malloc(sizeof(int) * workers * listening->count);
	if (listening->fds == NULL)
		return complain("sockets", "make room for", ENOMEM);
	for (unsigned i = 0; i < workers * listening->count; i++)
		listening->fds[i] = -1;
	listening->is_handed_over = given > 0;
	if (given > 0) {
		if (take_handed_over(listening, options) == 0)
			return 0;
		goto fail;
	}
	for (unsigned at = 0; at < listening->count; at++)
		if (open_one(listening, at, options) != 0)
			goto fail;
	return 0;

fail:
	listen_close(listening);
	return -1;
}

void listen_close(struct listening *listening)
{
	for (unsigned at = 0; at < listening->count; at++) {
		struct stat status;

		for (unsigned worker = 0; worker < listening->workers; worker++) {
			int fd = listening->fds[worker * listening->count + at];

			if (fd >= 0 && (worker == 0 || !listening->is_shared[at]))
				close(fd);
		}
		if (listening->unlink[at][0] != '\0' &&
		    lstat(listening->unlink[at], &status) == 0 &&
		    status.st_ino == listening->unlink_inode[at])
			unlink(listening->unlink[at]);
	}
	free(listening->fds);
	listening->fds = NULL;
	listening->count = 0;
}

void listen_stop(const struct listening *listening)
{
	if (listening->is_handed_over)
		return;
	for (unsigned i = 0; i < listening->workers * listening->count; i++)
		shutdown(listening->fds[i], SHUT_RDWR);
}

void listen_of_worker(const struct listening *listening, unsigned worker,
		      struct engine_listener *listeners)
{
	for (unsigned at = 0; at < listening->count; at++) {
		bool lf = listening->framings[at] != FRAMING_RAW;

		listeners[at] = (struct engine_listener){
			.fd = listening->fds[worker * listening->count + at],
			.refusal = final_text(FINAL_RETRY),
			.refusal_len = final_len(FINAL_RETRY, lf),
		};
	}
}

static uint64_t drops(int fd)
{
	uint32_t memory[SK_MEMINFO_VARS] = {0};
	socklen_t len = sizeof(memory);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &len) != 0)
		return 0;
	return memory[SK_MEMINFO_DROPS];
}

uint64_t listen_overflows(const struct listening *listening)
{
	uint64_t overflows = 0;

	for (unsigned worker = 0; worker < listening->workers; worker++)
		for (unsigned at = 0; at < listening->count; at++)
			if (worker == 0 || !listening->is_shared[at])
				overflows += drops(listening->fds[worker * listening->count + at]);
	return overflows;
}
