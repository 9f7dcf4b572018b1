/*
 * The floor for `epoll`: one edge-triggered loop, no state for a client at all.
 *
 * Ideas: level (triggered by level), empty (receive until there is nothing), nap=US (sleep so long before a wait, where
 * the last one brought more than one client).
 */

#include "answer.h"

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>

#define EVENTS 512

static unsigned level, empty, nap;

static void let_in(int epoll, int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET,
					    .data.fd = fd};
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	}
}

static void serve(int fd, bool until_end)
{
	static char bytes[RECEIVE_BYTES];
	ssize_t len;

	do {
		struct answer answer;

		len = recv(fd, bytes, sizeof(bytes), 0);
		if (len < 0 && errno == EAGAIN)
			return;
		if (len <= 0)
			break;
		answer = answer_to(bytes, (size_t)len);
		if (answer.len > 0 &&
		    send(fd, answer.bytes, answer.len, MSG_NOSIGNAL) != (ssize_t)answer.len)
			break;
		if (answer.stop)
			break;
		if (len < (ssize_t)sizeof(bytes) && !until_end && !empty)
			return;
	} while (true);
	close(fd);
}

int main(int argc, char **argv)
{
	int listener = answer_listen(argc, argv, SOCK_NONBLOCK), epoll = epoll_create1(0);
	struct epoll_event events[EVENTS], event = {.events = EPOLLIN, .data.fd = listener};

	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	puts("ready");
	fflush(stdout);
	level = answer_idea(argc, argv, "level");
	empty = answer_idea(argc, argv, "empty");
	nap = answer_idea(argc, argv, "nap");
	prctl(PR_SET_TIMERSLACK, 1UL);
	while (true) {
		int count = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			if (events[i].data.fd == listener)
				let_in(epoll, listener);
			else
				serve(events[i].data.fd, (events[i].events & EPOLLRDHUP) != 0);
		}
		if (nap > 0 && count > 1)
			nanosleep(&(struct timespec){.tv_nsec = nap * 1000L}, NULL);
	}
}
