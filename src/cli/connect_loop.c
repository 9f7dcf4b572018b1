/* Turns the client's conversation on real sockets and the real clock. What is shown, and how, is decided elsewhere. */

#include "cli/connect_loop.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/duration.h"
#include "cli/connect_signals.h"

#define NEVER ((struct mono){UINT64_MAX})

/* The first wait of --reconnect is drawn from 0 to this. */
#define FIRST_WAIT_MS 1000

/* How long an interrupted conversation waits for the reply to its stop. */
#define LEAVE_NS (2 * NS_PER_S)

/* How long a server that has answered all may take to close after our half-close. */
#define LINGER_NS (2 * NS_PER_S)

/* A heartbeat is a tenth early where the server was told its rhythm: on time it would be late there. */
#define EARLY 10

#define HEAR_BYTES 16384
#define HEARINGS_A_TURN 16

static uint64_t beat_ns(const struct connect_options *options)
{
	uint64_t every = options->every_ms * NS_PER_MS;

	return options->name ? every - every / EARLY : every;
}

static void dialed(struct connect_loop *loop, enum connect_dial_state state, struct mono now);

static void dial(struct connect_loop *loop, struct mono now)
{
	uint64_t timeout = loop->options->connect_timeout_ms * NS_PER_MS;

	loop->state = CONNECT_DIALING;
	dialed(loop, connect_dial_begin(&loop->dial, loop->options->target, timeout, now), now);
}

int connect_loop_init(struct connect_loop *loop, const struct connect_options *options,
		      enum connect_show_mode mode)
{
	struct client_settings settings = {.framing = options->framing,
					   .greeting = options->greeting,
					   .id = options->name ? options->id : NULL,
					   .heartbeat = options->heartbeat,
					   .every_ns = beat_ns(options),
					   .reply_limit_ns = options->reply_timeout_ms * NS_PER_MS};
	int error = client_init(&loop->client, &settings);

	if (error < 0)
		return error;
	loop->options = options;
	loop->status = 1;
	loop->fd = -1;
	loop->troubled = false;
	loop->refused = false;
	loop->interrupted = false;
	loop->leave_at = NEVER;
	backoff_init(&loop->backoff, FIRST_WAIT_MS, options->reconnect_max_ms);
	connect_show_init(&loop->show, mode, options->rtt, options->quiet);
	dial(loop, clock_mono());
	return 0;
}

void connect_loop_fini(struct connect_loop *loop)
{
	connect_dial_drop(&loop->dial);
	if (loop->fd >= 0)
		close(loop->fd);
	connect_show_flush(&loop->show);
	connect_show_fini(&loop->show);
	client_fini(&loop->client);
}

/*
 * The states
 */

static void finish(struct connect_loop *loop, int status)
{
	connect_dial_drop(&loop->dial);
	if (loop->fd >= 0)
		close(loop->fd);
	loop->fd = -1;
	loop->state = CONNECT_OVER;
	loop->status = loop->show.error ? 1 : status;
}

/* Chooses when to try again. */
static uint64_t wait_for_next(struct connect_loop *loop, struct mono now)
{
	uint64_t random, wait;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = clock_mono().ns;
	wait = backoff_next(&loop->backoff, random);
	loop->next_attempt = mono_after(now, wait * NS_PER_MS);
	loop->state = CONNECT_WAITING;
	return wait;
}

static void connected(struct connect_loop *loop, struct mono now)
{
	loop->fd = connect_dial_take(&loop->dial);
	loop->state = CONNECT_TALKING;
	loop->send_error = 0;
	loop->asked_back = false;
	loop->stopped = false;
	loop->half_closed = false;
	connect_show_connected(&loop->show, loop->options->target, loop->troubled);
	client_connected(&loop->client, now);
}

static void failed(struct connect_loop *loop, struct mono now)
{
	const char *reason = connect_dial_reason(&loop->dial);
	const char *remedy = connect_dial_remedy(&loop->dial);
	uint64_t next = UINT64_MAX;

	loop->troubled = true;
	if (loop->options->reconnect && !loop->dial.is_misspelled)
		next = wait_for_next(loop, now);
	connect_show_failed(&loop->show, loop->options->target, reason, remedy, next);
	if (next == UINT64_MAX)
		finish(loop, loop->dial.is_misspelled ? 2 : 1);
}

static void dialed(struct connect_loop *loop, enum connect_dial_state state, struct mono now)
{
	if (state == CONNECT_DIAL_DONE)
		connected(loop, now);
	else if (state == CONNECT_DIAL_FAILED)
		failed(loop, now);
}

/* Where nothing but our own stop is left, there is nothing to come back for. */
static bool comes_back(const struct connect_loop *loop)
{
	const struct client *client = &loop->client;

	return loop->options->reconnect && !loop->interrupted &&
	       !((client->stopping || client->silent) && client_unanswered_own(client) == 0);
}

static void lost(struct connect_loop *loop, const char *reason, struct mono now)
{
	uint32_t unanswered = client_unanswered_own(&loop->client);
	uint64_t next = UINT64_MAX;

	close(loop->fd);
	loop->fd = -1;
	client_disconnected(&loop->client);
	loop->troubled = true;
	if (comes_back(loop))
		next = wait_for_next(loop, now);
	if (!loop->interrupted)
		connect_show_lost(&loop->show, reason, unanswered, next);
	if (next == UINT64_MAX)
		finish(loop, loop->interrupted ? 0 : 1);
}

/* The server has closed, or the connection is broken. */
static void ended(struct connect_loop *loop, int error, struct mono now)
{
	const struct client *client = &loop->client;
	uint32_t unanswered = client_unanswered(client);

	if (loop->send_error && !error)
		error = loop->send_error;
	if (!error && client->silent && unanswered == 0)
		finish(loop, 0);
	else if (!error && client->stopping && unanswered == client->window.kinds[MESSAGE_STOP])
		finish(loop, 0);
	else if (error == EPIPE || (error == 0 && !loop->send_error))
		lost(loop, "the server closed it", now);
	else
		lost(loop, strerror(error), now);
}

/* Once: says stop, forgetting what was not sent yet, and waits a little for the answer. */
static void interrupt(struct connect_loop *loop, struct mono now)
{
	if (loop->interrupted)
		return;
	loop->interrupted = true;
	if (loop->state != CONNECT_TALKING) {
		finish(loop, 1);
		return;
	}
	loop->leave_at = mono_after(now, LEAVE_NS);
	if (!loop->client.silent)
		client_stop_now(&loop->client);
}

/*
 * Talking
 */

static void happened(struct connect_loop *loop, const struct client_event *event)
{
	connect_show_event(&loop->show, event);
	switch (event->kind) {
	case CLIENT_REPLY:
		backoff_reset(&loop->backoff);
		break;
	case CLIENT_RETRY:
		backoff_ask(&loop->backoff, event->seconds * MS_PER_S);
		loop->asked_back = true;
		break;
	case CLIENT_STOP:
		loop->stopped = true;
		break;
	case CLIENT_ERROR:
		loop->refused = true;
		break;
	default:
		break;
	}
}

static void take_events(struct connect_loop *loop)
{
	struct client_event event;

	while (!loop->refused && client_next(&loop->client, &event))
		happened(loop, &event);
}

static void take_in(struct connect_loop *loop, const char *bytes, size_t len, struct mono now)
{
	while (len > 0 && !loop->refused && !loop->client.over) {
		size_t used = client_received(&loop->client, bytes, len, now);

		take_events(loop);
		bytes += used;
		len -= used;
	}
}

/* Hears what has arrived, or some of it where it is much. After the end of the connection the state is another one. */
static void hear(struct connect_loop *loop, struct mono now)
{
	char bytes[HEAR_BYTES];

	for (int i = 0; i < HEARINGS_A_TURN && connect_show_has_room(&loop->show); i++) {
		ssize_t len = recv(loop->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

		if (len < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (len <= 0) {
			int error = len < 0 ? errno : 0;

			client_ended(&loop->client);
			take_events(loop);
			if (!loop->client.over && !loop->refused)
				ended(loop, error, now);
			return;
		}
		take_in(loop, bytes, (size_t)len, now);
		if (loop->client.over || loop->refused)
			return;
	}
}

/* Everything is said. In raw it is not enough that nothing can be sent for the moment. */
static bool is_to_half_close(const struct connect_loop *loop)
{
	return loop->client.silent && !loop->half_closed && !loop->send_error &&
	       loop->client.window.owed == client_unanswered(&loop->client);
}

static void say(struct connect_loop *loop, struct mono now)
{
	size_t len;
	const char *bytes = client_output(&loop->client, &len);

	while (len > 0 && !loop->send_error) {
		ssize_t sent = send(loop->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno == EAGAIN)
			return;
		if (sent < 0 && errno != EINTR)
			loop->send_error = errno;
		if (sent > 0)
			client_sent(&loop->client, (size_t)sent, now);
		bytes = client_output(&loop->client, &len);
	}
	if (is_to_half_close(loop)) {
		shutdown(loop->fd, SHUT_WR);
		loop->half_closed = true;
	}
}

static void give_up(struct connect_loop *loop, struct mono now)
{
	char text[128], duration[DURATION_TEXT];

	snprintf(text, sizeof(text), "the server has owed a reply for %s (--reply-timeout)",
		 duration_write(duration, loop->options->reply_timeout_ms));
	lost(loop, text, now);
}

static void judge_time(struct connect_loop *loop, struct mono now)
{
	if (client_tick(&loop->client, now) == CLIENT_GIVE_UP) {
		give_up(loop, now);
		return;
	}
	take_events(loop);
	if (loop->half_closed && client_unanswered(&loop->client) == 0 &&
	    loop->leave_at.ns == UINT64_MAX)
		loop->leave_at = mono_after(now, LINGER_NS);
	if (!mono_before(now, loop->leave_at))
		finish(loop, 0);
}

static void talk(struct connect_loop *loop, bool ready, struct mono now)
{
	if (ready)
		hear(loop, now);
	if (!connect_show_has_room(&loop->show))
		client_deaf(&loop->client, now);
	/* What has arrived by `now` was heard, or so much of it that no reply is missed. */
	if (loop->state == CONNECT_TALKING && !loop->client.over && !loop->refused)
		judge_time(loop, now);
	if (loop->state != CONNECT_TALKING)
		return;
	/* A stop alone is final; after a retry it only says that this connection is. */
	if (loop->client.over && loop->stopped && loop->asked_back && comes_back(loop))
		lost(loop, "the server stops, and asks to come back", now);
	else if (loop->client.over)
		finish(loop, 0);
	else if (loop->refused)
		finish(loop, 1);
	else
		say(loop, now);
}

/*
 * The loop
 */

enum {
	POLL_SIGNALS,
	POLL_INPUT,
	POLL_OUTPUT,
	POLL_SOCKET,
	POLL_COUNT
};

static struct pollfd watch_socket(const struct connect_loop *loop)
{
	struct pollfd socket = {.fd = -1};
	size_t len;

	if (loop->state == CONNECT_DIALING)
		return (struct pollfd){.fd = loop->dial.fd, .events = POLLOUT};
	if (loop->state != CONNECT_TALKING)
		return socket;
	if (connect_show_has_room(&loop->show))
		socket.events |= POLLIN;
	client_output(&loop->client, &len);
	if ((len > 0 && !loop->send_error) || is_to_half_close(loop))
		socket.events |= POLLOUT;
	/* An end of the connection is reported even where nothing is waited for; it can wait, too. */
	if (socket.events)
		socket.fd = loop->fd;
	return socket;
}

static struct mono due(const struct connect_loop *loop)
{
	switch (loop->state) {
	case CONNECT_DIALING:
		return loop->dial.deadline;
	case CONNECT_WAITING:
		return loop->next_attempt;
	case CONNECT_TALKING:
		return mono_earlier(client_due(&loop->client), loop->leave_at);
	case CONNECT_OVER:
		break;
	}
	return NEVER;
}

/* Rounded up, so that it has come when poll returns. */
static int timeout_ms(struct mono due, struct mono now)
{
	uint64_t ms;

	if (due.ns == UINT64_MAX)
		return -1;
	ms = (mono_between(now, due) + NS_PER_MS - 1) / NS_PER_MS;
	return ms < 60 * MS_PER_S ? (int)ms : (int)(60 * MS_PER_S);
}

static void go_on(struct connect_loop *loop, bool ready, struct mono now)
{
	switch (loop->state) {
	case CONNECT_DIALING:
		dialed(loop, connect_dial_go_on(&loop->dial, ready, now), now);
		break;
	case CONNECT_WAITING:
		if (!mono_before(now, loop->next_attempt))
			dial(loop, now);
		break;
	case CONNECT_TALKING:
		talk(loop, ready, now);
		break;
	case CONNECT_OVER:
		break;
	}
}

bool connect_loop_turn(struct connect_loop *loop, bool input)
{
	struct pollfd polls[POLL_COUNT] = {
		[POLL_SIGNALS] = {.fd = connect_signals_fd(), .events = POLLIN},
		[POLL_INPUT] = {.fd = input ? STDIN_FILENO : -1, .events = POLLIN},
		[POLL_OUTPUT] = {.fd = connect_show_is_waiting(&loop->show) ? STDOUT_FILENO : -1,
				 .events = POLLOUT},
		[POLL_SOCKET] = watch_socket(loop)};
	struct mono now;

	if (loop->state == CONNECT_OVER)
		return false;
	/* An interrupted wait knows nothing of what has arrived: wait again before anything is judged. */
	if (poll(polls, POLL_COUNT, timeout_ms(due(loop), clock_mono())) < 0)
		return false;
	now = clock_mono();
	if (polls[POLL_OUTPUT].revents)
		connect_show_write(&loop->show);
	if ((polls[POLL_SIGNALS].revents && connect_signals_end()) || loop->show.error)
		interrupt(loop, now);
	go_on(loop, polls[POLL_SOCKET].revents != 0, now);
	return polls[POLL_INPUT].revents != 0;
}

/*
 * What is said
 */

bool connect_loop_has_room(const struct connect_loop *loop)
{
	return client_has_room(&loop->client, loop->options->framing == FRAMING_LINE
						      ? CLIENT_LINE_MAX
						      : CLIENT_RAW_MAX);
}

bool connect_loop_say(struct connect_loop *loop, const char *text, size_t len)
{
	char why[128];
	int error = client_say(&loop->client, text, len);

	if (error != -EMSGSIZE)
		return error == 0;
	snprintf(why, sizeof(why), "a message of %zu bytes is too long; %s", len,
		 loop->options->framing == FRAMING_LINE
			 ? "a line may have 1048576"
			 : "without lines a word may have 4096, or the server takes it for two");
	connect_show_error(&loop->show, why);
	return false;
}

void connect_loop_end_input(struct connect_loop *loop)
{
	if (loop->options->stay || loop->client.stopping)
		return;
	if (loop->options->no_stop)
		client_fall_silent(&loop->client);
	else
		client_stop(&loop->client);
}
