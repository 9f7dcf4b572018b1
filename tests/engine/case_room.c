/* Cases: letting in and turning away, and what it costs. */

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cmocka.h>

#include "cases.h"
#include "client.h"
#include "rig.h"
#include "worker.h"

void a_refused_newcomer_reads_the_refusal_and_the_end(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){0});
	struct client inside = client_open(rig, 0);

	(void)state;
	client_talk(&inside);
	rig->refuses = true;
	for (int i = 0; i < 50; i++) {
		struct client client = client_open(rig, 0);

		/* Some have spoken already, and go on speaking. */
		if (i % 2 != 0)
			(void)!send(client.fd, "hello\n", 6, MSG_NOSIGNAL);
		client_hear_text(&client, RIG_REFUSAL);
		client_hear_end(&client);
		client_close(&client);
	}
	assert_int_equal(rig->refused, 50);
	assert_int_equal(rig->accepted, 1);
	rig->refuses = false;
	client_talk(&inside);
	client_close(&inside);
	inside = client_open(rig, 0);
	client_talk(&inside);
	client_close(&inside);
	rig_close(rig);
}

/* Talks, or is told the refusal. */
static bool is_let_in(struct client *client)
{
	char text[sizeof(RIG_REFUSAL)];
	ssize_t got;

	(void)!send(client->fd, "\n", 1, MSG_NOSIGNAL);
	got = recv(client->fd, text, RIG_LINE_BYTES, MSG_WAITALL);
	assert_int_equal(got, RIG_LINE_BYTES);
	if (text[0] == '0') {
		client->lines = RIG_LINE_BYTES;
		return true;
	}
	assert_memory_equal(text, RIG_REFUSAL, RIG_LINE_BYTES);
	client_hear_text(client, &RIG_REFUSAL[RIG_LINE_BYTES]);
	client_hear_end(client);
	client_close(client);
	return false;
}

/* Somebody left: newcomers come until one is let in. */
static struct client come_until_let_in(struct rig *rig)
{
	for (int i = 0; i < 10000; i++) {
		struct client client = client_open(rig, 0);

		if (is_let_in(&client))
			return client;
		usleep(1000);
	}
	fail_msg("there is room, and nobody is let in");
	return (struct client){0};
}

void a_full_table_refuses_and_has_room_again(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){.connections_max = 4});
	struct client clients[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		clients[i] = client_open(rig, 0);
		client_talk(&clients[i]);
	}
	for (int round = 0; round < 10; round++) {
		struct client one_too_many = client_open(rig, 0);

		assert_false(is_let_in(&one_too_many));
		client_talk(&clients[round % 4]);
		client_close(&clients[round % 4]);
		clients[round % 4] = come_until_let_in(rig);
	}
	assert_true(rig->shed >= 10);
	for (int i = 0; i < 4; i++)
		client_close(&clients[i]);
	rig_close(rig);
}

static bool has_shed(struct rig *rig, uint64_t count)
{
	return rig->shed >= count;
}

void without_descriptors_newcomers_are_told_and_the_others_served(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){.place = RIG_PROCESS, .descriptors = 48});
	struct client in[48];
	uint32_t in_count = 0;
	uint32_t out_count = 0;
	uint64_t turns;

	(void)state;
	for (int i = 0; i < 150; i++) {
		struct client client = client_open(rig, 0);

		if (is_let_in(&client)) {
			assert_true(in_count < 48);
			in[in_count++] = client;
		} else {
			out_count++;
		}
		if (i % 10 == 0 && in_count > 0)
			client_talk(&in[(uint32_t)i % in_count]);
	}
	assert_true(in_count >= 16);
	assert_true(out_count >= 100);
	rig_await(rig, has_shed, out_count, "each that was refused is told");
	assert_int_equal(rig->shed, out_count);
	/* Nobody spins meanwhile. */
	turns = rig->turns;
	for (int round = 0; round < 10; round++)
		for (uint32_t i = 0; i < in_count; i++)
			client_talk(&in[i]);
	assert_true(rig->turns - turns < 10 * in_count * 10);
	/* There is room again, and nobody has to tell the engine. */
	for (uint32_t i = 0; i < 8; i++)
		client_close(&in[i]);
	for (uint32_t i = 0; i < 8; i++)
		in[i] = come_until_let_in(rig);
	for (uint32_t i = 0; i < in_count; i++)
		client_talk(&in[i]);
	for (uint32_t i = 0; i < in_count; i++)
		client_close(&in[i]);
	rig_close(rig);
}

void newcomers_wait_while_the_doors_are_shut(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){0});
	struct client inside = client_open(rig, 0);
	struct client clients[10];
	uint64_t turns;

	(void)state;
	client_talk(&inside);
	for (uint32_t round = 0; round < 5; round++) {
		rig_do(rig, rig_order_shut_doors, NULL);
		for (int i = 0; i < 10; i++) {
			clients[i] = client_open(rig, 0);
			client_say(&clients[i], "\n");
		}
		turns = rig->turns;
		for (int i = 0; i < 20; i++)
			client_talk(&inside);
		assert_int_equal(rig->accepted, 1 + round * 10);
		assert_true(rig->turns - turns < 1000);
		rig_do(rig, rig_order_open_doors, NULL);
		for (int i = 0; i < 10; i++)
			client_hear_lines(&clients[i], 1);
		for (int i = 0; i < 10; i++)
			client_close(&clients[i]);
	}
	/* Shut and open again before anything could be done about it. */
	rig_do(rig, rig_order_shut_doors, NULL);
	rig_do(rig, rig_order_open_doors, NULL);
	rig_do(rig, rig_order_open_doors, NULL);
	clients[0] = client_open(rig, 0);
	client_talk(&clients[0]);
	client_close(&clients[0]);
	client_close(&inside);
	rig_close(rig);
}

#define BUSY 100

void finish_while_busy_ends_everybody_and_run(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){.send_buffer = 32768});
	struct client clients[BUSY];

	(void)state;
	for (int i = 0; i < BUSY; i++) {
		clients[i] = client_open(rig, 4096);
		client_talk(&clients[i]);
	}
	for (int i = 0; i < BUSY; i++)
		client_say(&clients[i], i % 3 == 0 ? "BB" : "\n\n\n");
	rig_do(rig, rig_order_finish, NULL);
	/* A newcomer finds nobody. Whether its host says so at once depends on the backlog. */
	for (int i = 0; i < BUSY; i++) {
		client_say_while_it_goes(&clients[i], 'x', 1000);
		if (i % 5 == 0)
			client_reset(&clients[i]);
		else if (i % 5 == 1)
			client_close(&clients[i]);
		else
			client_hear_out(&clients[i]);
	}
	for (int i = 0; i < BUSY; i++)
		if (clients[i].fd >= 0)
			client_close(&clients[i]);
	rig_close(rig);
}

static int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

void close_without_run_leaves_nothing(void **state)
{
	int before = descriptors();

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct engine_config config = {.connections_max = 100000};
		struct engine *engine;

		assert_int_equal(rig_kind->open(&engine, &config, &worker_calls, NULL), 0);
		rig_kind->close(engine);
	}
	rig_kind->close(NULL);
	assert_int_equal(descriptors(), before);
}

/* Anonymous memory that the child has touched. The worker's own tables are shared, and not counted. */
static size_t child_bytes(struct rig *rig)
{
	char path[64];
	char line[256];
	unsigned long kib = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)rig->child);
	file = fopen(path, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "Anonymous: %lu kB", &kib) == 1)
			break;
	fclose(file);
	assert_true(kib > 0);
	return kib * 1024;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool is_sanitized = true;
#else
static const bool is_sanitized = false;
#endif

#define WARM 1000
#define IDLE 5000
#define IDLE_BYTES 64

void an_idle_client_costs_next_to_nothing(void **state)
{
	struct client *clients;
	struct rig *rig;
	size_t before = 0;
	size_t each;

	(void)state;
	if (strcmp(rig_kind->name, "threads") == 0) {
		print_message(
			"not asked of threads: each client has a stack, that is what it is\n");
		skip();
	}
	if (is_sanitized) {
		print_message("not measured with sanitizers, whose own memory grows too\n");
		skip();
	}
	rig = rig_open(&(struct rig_options){.place = RIG_PROCESS, .connections_max = 8192});
	clients = calloc(WARM + IDLE, sizeof(*clients));
	/* What is paid once is paid by those who come first. */
	for (int i = 0; i < WARM + IDLE; i++) {
		if (i == WARM)
			before = child_bytes(rig);
		clients[i] = client_open(rig, 0);
		client_talk(&clients[i]);
	}
	each = (child_bytes(rig) - before) / IDLE;
	print_message("an idle client costs %zu bytes of the engine's memory\n", each);
	assert_true(each <= IDLE_BYTES);
	for (int i = 0; i < WARM + IDLE; i++)
		client_close(&clients[i]);
	free(clients);
	rig_close(rig);
}

static struct engine_view view;

static void order_ask(struct rig *rig, void *arg)
{
	struct rig_life *life = arg;
	int error = rig_ask(rig, life->connection, &view);

	if (error != 0)
		rig_fail(rig, "ask: %s", strerror(-error));
}

static void order_tune(struct rig *rig, void *arg)
{
	struct rig_life *life = arg;
	int error = rig_tune(rig, life->connection, 17, 12345);

	if (error != 0)
		rig_fail(rig, "tune: %s", strerror(-error));
}

/* The server's end of this client's connection, which in a thread is a descriptor of this process. */
static int server_end(struct client *client)
{
	for (int fd = 3; fd < 1024; fd++) {
		struct sockaddr_in peer = {0};
		socklen_t len = sizeof(peer);

		if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0 &&
		    peer.sin_family == AF_INET && ntohs(peer.sin_port) == client->port)
			return fd;
	}
	fail_msg("the server's end is nowhere");
	return -1;
}

static int option(int fd, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, name, &value, &len), 0);
	return value;
}

static bool is_stuck(struct rig *rig, uint64_t index)
{
	return rig_life(rig, (uint32_t)index)->stuck;
}

void the_kernel_is_asked_and_told_about_the_peer(void **state)
{
	struct rig *rig = rig_open(&(struct rig_options){0});
	struct client client = client_open(rig, 0);
	struct rig_life *life = rig_life(rig, 0);

	(void)state;
	client_talk(&client);
	rig_do(rig, order_ask, life);
	assert_true(view.is_tcp);
	assert_false(view.unheard);
	assert_false(view.unanswered);
	assert_true(view.data_ms < RIG_WAIT_S * 1000);
	rig_do(rig, order_tune, life);
	assert_int_equal(option(server_end(&client), TCP_KEEPIDLE), 17);
	assert_int_equal(option(server_end(&client), TCP_USER_TIMEOUT), 12345);
	client_say(&client, "H");
	rig_await(rig, is_stuck, 0, "the client is held");
	client_say(&client, "unheard");
	client_await_acknowledged(&client, false);
	/* An engine may have been receiving when HOLD was given; by the second word it is not. */
	rig_do(rig, rig_order_nothing, NULL);
	client_say(&client, "unheard");
	client_await_acknowledged(&client, false);
	rig_do(rig, order_ask, life);
	assert_true(view.unheard);
	client_close(&client);
	rig_close(rig);
	rig = rig_open(&(struct rig_options){.at_unix = true});
	client = client_open(rig, 0);
	client_talk(&client);
	rig_do(rig, order_ask, rig_life(rig, 0));
	assert_false(view.is_tcp);
	assert_false(view.unheard);
	rig_do(rig, order_tune, rig_life(rig, 0));
	client_close(&client);
	rig_close(rig);
}
