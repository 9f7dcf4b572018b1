/*
 * For bench/instructions: turns of the epoll engine with a worker on top, over real sockets.
 *
 * Everything is in one thread, so that each turn finds the same: an engine is put between worker and epoll that, at the
 * end of each turn, plays all the clients at once, uncounted: they take their replies and say their next message.
 */

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

#include "base/clock.h"
#include "server/worker.h"

#define CLIENTS 100
#define ROUNDS_BEFORE 5
#define ROUNDS 60

static struct house house;
static struct worker worker;
static const struct engine_calls *calls; /* the worker's */
static struct engine_calls between;
static struct sockaddr_in address = {.sin_family = AF_INET};
static int clients[CLIENTS];
static unsigned rounds, messages;
static bool counting;

static void need(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

static void connect_all(void)
{
	for (unsigned i = 0; i < CLIENTS; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		need(clients[i] >= 0, "socket");
		need(connect(clients[i], (struct sockaddr *)&address, sizeof(address)) == 0,
		     "connect");
	}
}

/* Whether all have their replies; each takes its own where it is there. */
static bool replies_are_there(void)
{
	static bool is_answered[CLIENTS];
	static unsigned answered;
	char reply[64];

	for (unsigned i = 0; i < CLIENTS; i++) {
		if (is_answered[i] || recv(clients[i], reply, sizeof(reply), MSG_DONTWAIT) < 0)
			continue;
		need(memcmp(reply, "keep alive\n", 11) == 0, "wrong reply");
		is_answered[i] = true;
		answered++;
	}
	if (answered < CLIENTS)
		return false;
	memset(is_answered, 0, sizeof(is_answered));
	answered = 0;
	return true;
}

static void say_all(void)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		need(send(clients[i], "beat\n", 5, 0) == 5, "send");
}

static void play(void)
{
	if (rounds == 0)
		connect_all();
	else if (!replies_are_there())
		return;
	if (rounds == ROUNDS_BEFORE)
		counting = true;
	else if (counting)
		messages += CLIENTS;
	rounds++;
	if (messages == CLIENTS * ROUNDS) {
		counting = false;
		house_drain(&house, clock_mono());
	} else {
		say_all();
	}
}

static struct mono on_turned(void *context, bool whole)
{
	static bool toggled;
	struct mono next = calls->turned(context, whole);

	if (toggled)
		CALLGRIND_TOGGLE_COLLECT;
	if (messages < CLIENTS * ROUNDS)
		play();
	toggled = counting;
	if (toggled)
		CALLGRIND_TOGGLE_COLLECT;
	return next;
}

static int open_between(struct engine **engine, const struct engine_config *config,
			const struct engine_calls *worker_calls, void *context)
{
	calls = worker_calls;
	between = *worker_calls;
	between.turned = on_turned;
	return engine_epoll.open(engine, config, &between, context);
}

static int listen_anywhere(void)
{
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	need(bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, 2 * CLIENTS) == 0 &&
		     getsockname(fd, (struct sockaddr *)&address, &len) == 0,
	     "listen");
	return fd;
}

static void open_house(void)
{
	static struct worker *workers[] = {&worker};
	const struct directory_config config = {
		.rhythm = {.every_ms = 3600000,
			   .grace_ms = 3600000,
			   .every_max_ms = 86400000,
			   .grace_max_ms = 86400000},
		.workers = 1,
		.known_max = 1000,
		.rejoin_ms = 5000,
		.forget_ms = 86400000,
		.suspect_hold_ms = 60000,
		.flap_window_ms = 600000,
	};

	need(house_open(&house, &config, clock_mono()) == 0, "house");
	house.clients_max = CLIENTS;
	house.message_max = WIRE_MESSAGE_MAX_DEFAULT;
	house.send_timeout_ms = 30000;
	house.workers = workers;
	house.workers_count = 1;
}

int main(void)
{
	static const uint8_t framings[] = {FRAMING_AUTO};
	const struct engine_listener listener = {
		.fd = listen_anywhere(), .refusal = "retry 5\n", .refusal_len = 8};
	struct engine_kind kind = engine_epoll;
	struct worker_config config = {
		.kind = &kind,
		.listeners = &listener,
		.framings = framings,
		.listeners_count = 1,
		.connections_max = CLIENTS,
	};

	kind.open = open_between;
	open_house();
	config.now = clock_mono();
	need(worker_open(&worker, &house, &config) == 0, "worker");
	/* The first turn, in which the clients come, must not wait for anybody. */
	worker_wake(&worker);
	need(worker_run(&worker) == 0, "run");
	worker_close(&worker);
	house_close(&house);
	printf("%u\n", messages);
	return 0;
}
