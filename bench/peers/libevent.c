/* A server by libevent: an event for each client, received and sent without its buffers, which cost more. */

#include "answer.h"

#include <event2/event.h>

static void on_readable(evutil_socket_t fd, short what, void *self)
{
	static char bytes[RECEIVE_BYTES];
	struct event **event = self;
	ssize_t len = recv(fd, bytes, sizeof(bytes), 0);

	(void)what;
	if (len < 0 && errno == EAGAIN)
		return;
	if (len > 0) {
		struct answer answer = answer_to(bytes, (size_t)len);

		if (!answer.stop && (answer.len == 0 || send(fd, answer.bytes, answer.len,
							     MSG_NOSIGNAL) == (ssize_t)answer.len))
			return;
		if (answer.stop)
			send(fd, answer.bytes, answer.len, MSG_NOSIGNAL);
	}
	event_free(*event);
	free(event);
	close(fd);
}

static void on_connection(evutil_socket_t listener, short what, void *base)
{
	int fd;

	(void)what;
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		struct event **event = malloc(sizeof(struct event *));

		*event = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, event);
		event_add(*event, NULL);
	}
}

int main(int argc, char **argv)
{
	int listener = answer_listen(argc, argv, SOCK_NONBLOCK);
	struct event_base *base = event_base_new();
	struct event *event = event_new(base, listener, EV_READ | EV_PERSIST, on_connection, base);

	event_add(event, NULL);
	puts("ready");
	fflush(stdout);
	return event_base_dispatch(base);
}
