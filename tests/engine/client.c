/* Blocking sockets with a limit on waiting. */

#include "client.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cmocka.h>

struct client client_open(struct rig *rig, int receive_buffer)
{
	struct client client = {0};
	struct sockaddr_storage own = {0};
	socklen_t own_len = sizeof(own);
	struct timeval limit = {.tv_sec = RIG_WAIT_S};

	client.fd = socket(rig->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(client.fd >= 0);
	if (receive_buffer != 0)
		setsockopt(client.fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(int));
	setsockopt(client.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(client.fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(client.fd, (struct sockaddr *)&rig->address, rig->address_len) != 0)
		fail_msg("connect: %s", strerror(errno));
	assert_int_equal(getsockname(client.fd, (struct sockaddr *)&own, &own_len), 0);
	if (own.ss_family == AF_INET) {
		int yes = 1;

		client.port = ntohs(((struct sockaddr_in *)&own)->sin_port);
		setsockopt(client.fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	}
	return client;
}

void client_say_bytes(struct client *client, const char *bytes, size_t len)
{
	client->digest = rig_digest(client->digest, bytes, len);
	client->said += len;
	while (len > 0) {
		ssize_t sent = send(client->fd, bytes, len, MSG_NOSIGNAL);

		if (sent < 0)
			fail_msg("send: %s", strerror(errno));
		bytes += sent;
		len -= (size_t)sent;
	}
}

void client_say(struct client *client, const char *text)
{
	client_say_bytes(client, text, strlen(text));
}

size_t client_say_while_it_goes(struct client *client, char byte, size_t limit)
{
	char bytes[8192];
	size_t said = 0;

	memset(bytes, byte, sizeof(bytes));
	while (said < limit) {
		size_t len = limit - said < sizeof(bytes) ? limit - said : sizeof(bytes);
		ssize_t sent = send(client->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0)
			break;
		client->digest = rig_digest(client->digest, bytes, (size_t)sent);
		said += (size_t)sent;
	}
	client->said += said;
	return said;
}

static size_t read_some(struct client *client, char *bytes, size_t len)
{
	ssize_t got = recv(client->fd, bytes, len, 0);

	if (got < 0)
		fail_msg("recv: %s", strerror(errno));
	return (size_t)got;
}

void client_hear_bytes(struct client *client, uint64_t bytes)
{
	char buffer[16384];

	while (bytes > 0) {
		size_t want = bytes < sizeof(buffer) ? (size_t)bytes : sizeof(buffer);
		size_t got = read_some(client, buffer, want);

		if (got == 0)
			fail_msg("the stream ends and %lu bytes are still owed",
				 (unsigned long)bytes);
		for (size_t i = 0; i < got; i++)
			if (buffer[i] != rig_line_byte(client->lines + i))
				fail_msg("byte %lu of the lines is wrong",
					 (unsigned long)(client->lines + i));
		client->lines += got;
		bytes -= got;
	}
}

void client_hear_lines(struct client *client, uint64_t lines)
{
	client_hear_bytes(client, lines * RIG_LINE_BYTES);
}

void client_hear_text(struct client *client, const char *text)
{
	size_t len = strlen(text);
	char buffer[256];
	size_t got = 0;

	assert_true(len < sizeof(buffer));
	while (got < len) {
		size_t more = read_some(client, buffer + got, len - got);

		if (more == 0)
			fail_msg("the stream ends after \"%.*s\" instead of \"%s\"", (int)got,
				 buffer, text);
		got += more;
	}
	assert_memory_equal(buffer, text, len);
}

void client_hear_end(struct client *client)
{
	char byte;
	size_t got = read_some(client, &byte, 1);

	if (got != 0)
		fail_msg("'%c' comes where the stream should end", byte);
}

void client_hear_out(struct client *client)
{
	char buffer[16384];

	while (recv(client->fd, buffer, sizeof(buffer), 0) > 0)
		;
}

void client_talk(struct client *client)
{
	client_say(client, "\n");
	client_hear_lines(client, 1);
}

uint64_t client_acknowledged(struct client *client)
{
	int waiting = 0;

	assert_int_equal(ioctl(client->fd, SIOCOUTQ, &waiting), 0);
	return client->said - (uint64_t)waiting;
}

static bool is_acknowledged(struct client *client, bool shut)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	if (client_acknowledged(client) != client->said)
		return false;
	if (!shut)
		return true;
	assert_int_equal(getsockopt(client->fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	return info.tcpi_state != TCP_FIN_WAIT1;
}

void client_await_acknowledged(struct client *client, bool shut)
{
	struct timespec ms = {.tv_nsec = 1000 * 1000};

	for (int i = 0; !is_acknowledged(client, shut); i++) {
		assert_true(i < RIG_WAIT_S * 1000);
		nanosleep(&ms, NULL);
	}
}

void client_shut(struct client *client)
{
	assert_int_equal(shutdown(client->fd, SHUT_WR), 0);
}

void client_close(struct client *client)
{
	close(client->fd);
	client->fd = -1;
}

void client_reset(struct client *client)
{
	struct linger at_once = {.l_onoff = 1, .l_linger = 0};

	setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	client_close(client);
}
