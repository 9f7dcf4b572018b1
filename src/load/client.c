/*
 * What happens on one connection: connect, greeting, hello, messages, bye. A client that fails is counted once, by the
 * first thing that went wrong; what it was still owed is counted as missing.
 *
 * Epoll is edge-triggered and told once about each socket, so that a message costs one receive and one send and
 * nothing else: a receive that comes short has emptied the socket.
 */

#include "load/lane.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"

static void limit_begin(struct lane *lane, uint32_t index)
{
	struct client *client = &lane->clients[index];

	client->limited = true;
	client->next = CLIENT_END;
	client->prev = lane->limit_tail;
	if (lane->limit_tail != CLIENT_END)
		lane->clients[lane->limit_tail].next = index;
	else
		lane->limit_head = index;
	lane->limit_tail = index;
}

static void limit_end(struct lane *lane, uint32_t index)
{
	struct client *client = &lane->clients[index];

	if (!client->limited)
		return;
	client->limited = false;
	if (client->prev != CLIENT_END)
		lane->clients[client->prev].next = client->next;
	else
		lane->limit_head = client->next;
	if (client->next != CLIENT_END)
		lane->clients[client->next].prev = client->prev;
	else
		lane->limit_tail = client->prev;
}

/* The connection is over, for better or worse. */
static void end(struct lane *lane, uint32_t index)
{
	struct client *client = &lane->clients[index];

	limit_end(lane, index);
	if (client->state >= CLIENT_READY)
		lane->live--;
	else if (client->state != CLIENT_ABSENT)
		lane->opening--;
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	client->state = CLIENT_ABSENT;
	if (lane->plan->churn)
		lane->again[lane->again_count++] = index;
}

void client_fail(struct lane *lane, uint32_t index, enum load_fault fault)
{
	struct client *client = &lane->clients[index];
	uint64_t unanswered = client->owed + client->waiting;

	if (client->state == CLIENT_READY && unanswered > 0) {
		/* A wrong reply is one; a missing one is counted already. */
		lane->tally.faults[LOAD_MISSING] +=
			fault == LOAD_WRONG ? unanswered - 1 : unanswered;
		lane->tally.lost += client->owed;
		if (fault != LOAD_MISSING)
			lane->tally.faults[fault]++;
	} else {
		lane->tally.faults[fault]++;
	}
	end(lane, index);
}

static void fail_with(struct lane *lane, uint32_t index, int error)
{
	enum load_fault fault = tally_fault_of(error);

	if (fault == LOAD_OTHER)
		lane->tally.other_error = error;
	client_fail(lane, index, fault);
}

enum load_fault client_lateness(const struct client *client)
{
	switch (client->state) {
	case CLIENT_CONNECTING:
		return LOAD_TIMEOUT;
	case CLIENT_GREETING:
	case CLIENT_HELLO:
		return LOAD_HELLO;
	default:
		return LOAD_MISSING;
	}
}

static int make_socket(const struct lane *lane, uint32_t index)
{
	const struct load_plan *plan = lane->plan;
	const int on = 1;
	int status, fd = socket(plan->target.address.ss_family,
				SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	/* With one message under way nothing is ever held back, and the call can be saved. */
	if ((plan->pipeline > 1 || plan->rate > 0) && plan->target.address.ss_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (plan->congestion != NULL &&
	    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, plan->congestion,
		       (socklen_t)strlen(plan->congestion)) < 0) {
		status = -errno;
		goto fail_socket;
	}
	status = sources_bind(&plan->sources, fd, lane->first + index);
	if (status < 0)
		goto fail_socket;
	if (connect(fd, (const struct sockaddr *)&plan->target.address, plan->target.len) < 0 &&
	    errno != EINPROGRESS) {
		status = -errno;
		goto fail_socket;
	}
	return fd;

fail_socket:
	close(fd);
	return status;
}

void client_open(struct lane *lane, uint32_t index)
{
	struct client *client = &lane->clients[index];
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.u32 = index,
	};

	assert(client->state == CLIENT_ABSENT);
	*client = (struct client){.fd = -1, .state = CLIENT_CONNECTING, .begun = clock_mono()};
	lane->opening++;
	limit_begin(lane, index);
	client->fd = make_socket(lane, index);
	if (client->fd < 0)
		fail_with(lane, index, -client->fd);
	else if (epoll_ctl(lane->epoll, EPOLL_CTL_ADD, client->fd, &event) < 0)
		fail_with(lane, index, errno);
}

/* The first messages of a client in a closed loop, or of a round of churn. */
static void send_first(struct lane *lane, uint32_t index)
{
	client_send(lane, index, lane->plan->pipeline);
}

static void become_ready(struct lane *lane, uint32_t index)
{
	struct client *client = &lane->clients[index];

	client->state = CLIENT_READY;
	lane->opening--;
	lane->live++;
	if (lane->plan->churn)
		send_first(lane, index);
	else
		limit_end(lane, index);
}

/* Sends something short that a socket which was quiet must take at once. False: the client has failed. */
static bool say(struct lane *lane, uint32_t index, const struct literal *words)
{
	size_t len = literal_fill(words, lane->spare, lane->first + index);
	ssize_t sent = send(lane->clients[index].fd, lane->spare, len, MSG_NOSIGNAL);

	if (sent == (ssize_t)len)
		return true;
	fail_with(lane, index, sent < 0 ? errno : EMSGSIZE);
	return false;
}

static void say_hello(struct lane *lane, uint32_t index)
{
	struct client *client = &lane->clients[index];

	if (lane->plan->hello.bytes == NULL) {
		become_ready(lane, index);
		return;
	}
	client->state = CLIENT_HELLO;
	client->progress = (struct progress){0};
	if (say(lane, index, &lane->plan->hello) && lane->plan->hello_reply.len == 0)
		become_ready(lane, index);
}

/* Epoll tells of an error beside that it is writable; only then it is worth a call to ask which. */
static int error_of(const struct client *client, uint32_t events)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (!(events & (EPOLLERR | EPOLLHUP)))
		return 0;
	return getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}

static void on_connected(struct lane *lane, uint32_t index, uint32_t events)
{
	struct client *client = &lane->clients[index];
	int error = error_of(client, events);

	if (error != 0) {
		fail_with(lane, index, error);
		return;
	}
	lane->tally.connects++;
	histogram_add(&lane->tally.connecting, mono_between(client->begun, lane->now), 1);
	if (lane->plan->greeting)
		client->state = CLIENT_GREETING;
	else
		say_hello(lane, index);
}

void client_part(struct lane *lane, uint32_t index)
{
	struct client *client = &lane->clients[index];

	client->state = CLIENT_BYE;
	client->progress = (struct progress){0};
	if (say(lane, index, &lane->plan->bye) && lane->plan->bye_reply.len == 0)
		client->state = CLIENT_ENDING;
}

static void end_cycle(struct lane *lane, uint32_t index)
{
	if (lane->recording) {
		lane->tally.cycles++;
		histogram_add(&lane->tally.cycle,
			      mono_between(lane->clients[index].begun, lane->now), 1);
	}
	end(lane, index);
}

static void record_scheduled(struct lane *lane, uint32_t index, uint32_t replies)
{
	uint64_t answered = lane->clients[index].answered;

	for (uint64_t k = answered; k < answered + replies; k++) {
		struct mono due = schedule_time(&lane->schedule, index + k * lane->count);

		if (!mono_before(due, lane->conductor->from) && mono_before(due, lane->until))
			histogram_add(&lane->tally.latency, mono_between(due, lane->now), 1);
	}
}

/* Messages that were sent together have the same stamp, and their replies mostly come together too. */
static void record_stamped(struct lane *lane, uint32_t index, uint32_t replies)
{
	uint32_t pipeline = lane->plan->pipeline;
	const uint64_t *ring = &lane->stamps[(uint64_t)index * pipeline];
	uint32_t at = pipeline > 1 ? (uint32_t)(lane->clients[index].answered % pipeline) : 0;

	for (uint32_t left = replies; left > 0;) {
		uint64_t stamp = ring[at];
		uint32_t alike = 0;

		while (left > 0 && ring[at] == stamp) {
			at = at + 1 < pipeline ? at + 1 : 0;
			alike++;
			left--;
		}
		histogram_add(&lane->tally.latency, lane->now.ns - stamp, alike);
	}
}

static void record(struct lane *lane, uint32_t index, uint32_t replies)
{
	if (lane->plan->rate > 0)
		record_scheduled(lane, index, replies);
	else if (lane->recording)
		record_stamped(lane, index, replies);
}

static void on_replies(struct lane *lane, uint32_t index, uint32_t replies)
{
	struct client *client = &lane->clients[index];

	record(lane, index, replies);
	client->answered += replies;
	client->owed -= replies;
	lane->tally.replies += replies;
	if (lane->plan->churn) {
		if (client->owed > 0)
			return;
		if (lane->plan->bye.bytes != NULL)
			client_part(lane, index);
		else
			end_cycle(lane, index);
	} else if (lane->plan->rate > 0) {
		if (client->waiting > 0) {
			client->waiting--;
			client_send(lane, index, 1);
		}
	} else if (lane->sending) {
		client_send(lane, index, replies);
	}
}

/* Bytes that belong to the part before the first message, or after the last one. */
static void on_ceremony(struct lane *lane, uint32_t index, const char *bytes, size_t len)
{
	struct client *client = &lane->clients[index];
	const struct load_plan *plan = lane->plan;
	struct match match;

	if (client->state == CLIENT_GREETING) {
		const char *lf = memchr(bytes, '\n', len);

		if (lf == NULL)
			return;
		if (lf + 1 < bytes + len)
			client_fail(lane, index, LOAD_HELLO);
		else
			say_hello(lane, index);
		return;
	}
	if (client->state == CLIENT_HELLO) {
		match = expectation_match(&plan->hello_reply, &client->progress, 1, bytes, len);
		if (match.wrong || match.surplus > 0)
			client_fail(lane, index, LOAD_HELLO);
		else if (match.replies > 0)
			become_ready(lane, index);
		return;
	}
	match = expectation_match(&plan->bye_reply, &client->progress, client->state == CLIENT_BYE,
				  bytes, len);
	if (match.wrong || match.surplus > 0)
		client_fail(lane, index, match.wrong ? LOAD_WRONG : LOAD_SURPLUS);
	else if (match.replies > 0)
		client->state = CLIENT_ENDING;
}

static void on_bytes(struct lane *lane, uint32_t index, const char *bytes, size_t len)
{
	struct client *client = &lane->clients[index];
	struct match match;

	if (client->state != CLIENT_READY) {
		on_ceremony(lane, index, bytes, len);
		return;
	}
	match = expectation_match(&lane->plan->reply, &client->progress, client->owed, bytes, len);
	if (match.wrong) {
		client_fail(lane, index, LOAD_WRONG);
		return;
	}
	if (match.surplus > 0) {
		/* What was owed did come. */
		record(lane, index, match.replies);
		lane->tally.replies += match.replies;
		client->owed -= match.replies;
		client_fail(lane, index, LOAD_SURPLUS);
		return;
	}
	if (match.replies > 0)
		on_replies(lane, index, match.replies);
}

static void on_end(struct lane *lane, uint32_t index)
{
	struct client *client = &lane->clients[index];

	if (client->state == CLIENT_ENDING)
		end_cycle(lane, index);
	else if (client->state == CLIENT_BYE)
		client_fail(lane, index, LOAD_MISSING);
	else
		client_fail(lane, index, LOAD_CLOSED);
}

/* Sends what the socket did not take before. */
static void flush(struct lane *lane, uint32_t index)
{
	struct client *client = &lane->clients[index];

	while (client->unsent > 0) {
		size_t len = lane->messages_len - client->offset;
		ssize_t sent;

		if (len > client->unsent)
			len = client->unsent;
		sent = send(client->fd, lane->messages + client->offset, len, MSG_NOSIGNAL);
		if (sent < 0) {
			if (errno == EINTR)
				continue;
			if (errno != EAGAIN)
				fail_with(lane, index, errno);
			return;
		}
		client->unsent -= (size_t)sent;
		client->offset += (uint32_t)sent;
		if (client->offset >= lane->plan->message.len)
			client->offset %= (uint32_t)lane->plan->message.len;
	}
}

void client_send(struct lane *lane, uint32_t index, uint32_t count)
{
	struct client *client = &lane->clients[index];
	const struct load_plan *plan = lane->plan;

	if (plan->rate <= 0) {
		uint64_t *ring = &lane->stamps[(uint64_t)index * plan->pipeline];
		uint64_t now = clock_mono().ns;
		uint32_t at =
			plan->pipeline > 1
				? (uint32_t)((client->answered + client->owed) % plan->pipeline)
				: 0;

		for (uint32_t i = 0; i < count; i++) {
			ring[at] = now;
			at = at + 1 < plan->pipeline ? at + 1 : 0;
		}
	}
	client->owed += count;
	client->unsent += (uint64_t)count * plan->message.len;
	lane->tally.sent += count;
	flush(lane, index);
}

static void receive(struct lane *lane, uint32_t index, bool until_empty)
{
	struct client *client = &lane->clients[index];
	ssize_t len;

	do {
		len = recv(client->fd, lane->received, sizeof(lane->received), 0);
		if (len > 0) {
			on_bytes(lane, index, lane->received, (size_t)len);
		} else if (len == 0) {
			on_end(lane, index);
		} else if (errno != EAGAIN && errno != EINTR) {
			fail_with(lane, index, errno);
		} else if (errno == EAGAIN) {
			return;
		}
		/* A client that is over has no descriptor any more. */
	} while (client->fd >= 0 &&
		 (until_empty || len < 0 || (size_t)len == sizeof(lane->received)));
}

void client_on_event(struct lane *lane, uint32_t index, uint32_t events)
{
	struct client *client = &lane->clients[index];

	if (client->state == CLIENT_ABSENT)
		return;
	if (client->state == CLIENT_CONNECTING)
		on_connected(lane, index, events);
	else if (client->unsent > 0 && (events & EPOLLOUT))
		flush(lane, index);
	if (client->fd >= 0 && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
		receive(lane, index, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
}
