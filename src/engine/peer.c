/* What Linux tells about a socket: TCP_INFO, and whether something waits to be received. */

#include "engine/peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

/* All that is used is in the kernel's structure since 2.6; a shorter answer is not from a TCP socket. */
#define INFO_NEEDED (offsetof(struct tcp_info, tcpi_rtt))

#define US_PER_MS 1000

bool peer_is_unheard(int fd, bool ended)
{
	struct pollfd look = {.fd = fd, .events = ended ? 0 : POLLIN | POLLRDHUP};
	int found;

	do
		found = poll(&look, 1, 0);
	while (found < 0 && errno == EINTR);
	/* Where that cannot be told, nobody is to be called silent. */
	return found != 0;
}

static uint32_t earlier(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/*
 * Keepalive sends its first probe after so much silence. UINT32_MAX where that is not known.
 */
static uint32_t probe_ms(int fd)
{
	int idle_s = 0;
	socklen_t len = sizeof(idle_s);

	if (getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, &len) != 0)
		return UINT32_MAX;
	return (uint32_t)idle_s * (uint32_t)MS_PER_S;
}

/*
 * Asked, and no answer for longer than the kernel itself waits before it asks again (not counting that it waits longer
 * each time). What was asked a moment ago may be answered in the next: the wait counts from the last byte sent, where
 * none was sent again; from the first probe, where there was no second.
 */
static bool is_unanswered(int fd, const struct tcp_info *info)
{
	uint32_t silent = earlier(info->tcpi_last_ack_recv, info->tcpi_last_data_recv);
	uint32_t patience = (info->tcpi_rto >> info->tcpi_backoff) / US_PER_MS + 1;

	if (silent <= patience)
		return false;
	if (info->tcpi_unacked > 0)
		return info->tcpi_retransmits > 0 || info->tcpi_last_data_sent > patience;
	if (info->tcpi_probes == 1) {
		uint32_t asked = probe_ms(fd);

		return silent > asked && silent - asked > patience;
	}
	return info->tcpi_probes > 1;
}

int peer_ask(int fd, bool ended, struct engine_view *view)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	memset(view, 0, sizeof(*view));
	/* First the past, then what waits: bytes that come in between are seen, not missed. */
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && len >= INFO_NEEDED) {
		view->is_tcp = true;
		view->unanswered = is_unanswered(fd, &info);
		view->answered_ms = earlier(info.tcpi_last_ack_recv, info.tcpi_last_data_recv);
		view->data_ms = info.tcpi_last_data_recv;
	}
	view->unheard = peer_is_unheard(fd, ended);
	return 0;
}

static int set(int fd, int option, int value)
{
	if (setsockopt(fd, IPPROTO_TCP, option, &value, sizeof(value)) == 0)
		return 0;
	/* No TCP: nothing to look after. */
	return errno == EOPNOTSUPP || errno == ENOPROTOOPT ? 0 : -errno;
}

static int set_probes(int fd, int probe_s)
{
	int on = 1;
	int error = set(fd, TCP_KEEPIDLE, probe_s);

	if (error == 0)
		error = set(fd, TCP_KEEPINTVL, 1);
	if (error == 0 && setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) != 0)
		error = -errno;
	return error;
}

int peer_tune(int fd, unsigned probe_s, unsigned give_up_ms)
{
	int error = set(fd, TCP_USER_TIMEOUT, (int)give_up_ms);

	return error == 0 && probe_s > 0 ? set_probes(fd, (int)probe_s) : error;
}

int peer_error(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

enum engine_end peer_end(int error)
{
	switch (error) {
	case ECONNRESET:
	case EPIPE:
	case ECONNABORTED:
		return ENGINE_END_RESET;
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EHOSTDOWN:
	case ENETDOWN:
	case ENONET:
		return ENGINE_END_TIMEOUT;
	default:
		return ENGINE_END_FAILED;
	}
}
