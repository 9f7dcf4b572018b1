/*
 * Runs an engine, in a thread or in a child, between a listener and the worker of worker.c.
 * Everything here is called from the main thread of the test, and asserts.
 */

#include "rig.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cmocka.h>

#include "base/clock.h"
#include "worker.h"

const struct engine_kind *rig_kind;

static void nap(void)
{
	struct timespec ms = {.tv_nsec = 1000 * 1000};

	nanosleep(&ms, NULL);
}

static void *nothing(void *context)
{
	return context;
}

/* Sanitizers start a thread of their own with the first one of the process, which never ends. */
static void start_own_threads(void)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, nothing, NULL), 0);
	pthread_join(thread, NULL);
}

static int entries_of(const char *directory)
{
	DIR *dir = opendir(directory);
	int count = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

static void listen_tcp(struct rig *rig)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int yes = 1;

	rig->listener.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(rig->listener.fd >= 0);
	setsockopt(rig->listener.fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	assert_int_equal(bind(rig->listener.fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

static void listen_unix(struct rig *rig)
{
	/* No name: the kernel finds one outside the file system. */
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	rig->listener.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(rig->listener.fd >= 0);
	assert_int_equal(bind(rig->listener.fd, (struct sockaddr *)&address, sizeof(sa_family_t)),
			 0);
}

static void start_listening(struct rig *rig)
{
	if (rig->options.at_unix)
		listen_unix(rig);
	else
		listen_tcp(rig);
	if (rig->options.send_buffer != 0)
		setsockopt(rig->listener.fd, SOL_SOCKET, SO_SNDBUF, &rig->options.send_buffer,
			   sizeof(int));
	if (rig->options.receive_buffer != 0)
		setsockopt(rig->listener.fd, SOL_SOCKET, SO_RCVBUF, &rig->options.receive_buffer,
			   sizeof(int));
	assert_int_equal(listen(rig->listener.fd, 4096), 0);
	rig->address_len = sizeof(rig->address);
	assert_int_equal(
		getsockname(rig->listener.fd, (struct sockaddr *)&rig->address, &rig->address_len),
		0);
	rig->listener.refusal = RIG_REFUSAL;
	rig->listener.refusal_len = strlen(RIG_REFUSAL);
}

static int open_engine(struct rig *rig)
{
	struct engine_config config = {.listeners = &rig->listener,
				       .listeners_count = 1,
				       .connections_max = rig->options.connections_max,
				       .linger_ns = rig->options.linger_ns};

	return rig->kind->open(&rig->engine, &config, &worker_calls, rig);
}

static void *run_engine(void *arg)
{
	struct rig *rig = arg;

	rig->result = rig->kind->run(rig->engine);
	return NULL;
}

/* The child: nothing of cmocka, and nothing of the parent's descriptors but the listener. */
static void be_the_child(struct rig *rig)
{
	struct rlimit limit = {rig->options.descriptors, rig->options.descriptors};
	int error;

	/* Also where the test ends unexpectedly. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int fd = 3; fd < 1024; fd++)
		if (fd != rig->listener.fd)
			close(fd);
	if (rig->options.descriptors != 0)
		setrlimit(RLIMIT_NOFILE, &limit);
	error = open_engine(rig);
	if (error == 0) {
		error = rig->kind->run(rig->engine);
		rig->kind->close(rig->engine);
	}
	rig->result = error;
	_exit(error != 0);
}

static void start(struct rig *rig)
{
	if (rig->options.place == RIG_PROCESS) {
		pid_t child = fork();

		assert_true(child >= 0);
		if (child == 0)
			be_the_child(rig);
		rig->child = child; /* by the parent only: the memory is shared */
		return;
	}
	assert_int_equal(open_engine(rig), 0);
	assert_int_equal(pthread_create(&rig->thread, NULL, run_engine, rig), 0);
}

struct rig *rig_open(const struct rig_options *options)
{
	struct rig *rig = mmap(NULL, sizeof(*rig), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_true(rig != MAP_FAILED);
	rig->kind = rig_kind;
	rig->options = *options;
	if (rig->options.connections_max == 0)
		rig->options.connections_max = 1024;
	assert_true(rig->options.connections_max <= RIG_SLOTS_MAX);
	rig->ask_ns = options->ask_ns != 0 ? options->ask_ns : 3600 * NS_PER_S;
	rig->result = 1;
	rig->descriptors_before = entries_of("/proc/self/fd");
	start_own_threads();
	rig->threads_before = entries_of("/proc/self/task");
	start_listening(rig);
	start(rig);
	return rig;
}

static bool has_returned(struct rig *rig, uint64_t ignored)
{
	(void)ignored;
	return rig->result != 1;
}

static bool has_no_thread_left(struct rig *rig, uint64_t ignored)
{
	(void)ignored;
	return entries_of("/proc/self/task") <= rig->threads_before;
}

/* A child hears of it like everybody: from a client. */
static void finish_child(struct rig *rig)
{
	while (rig->result == 1 && !rig->is_finished) {
		int fd = socket(rig->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (connect(fd, (struct sockaddr *)&rig->address, rig->address_len) == 0)
			(void)!send(fd, "F", 1, MSG_NOSIGNAL);
		for (int i = 0; i < 100 && !rig->is_finished; i++)
			nap();
		close(fd);
	}
}

static void end_child(struct rig *rig)
{
	int status;

	finish_child(rig);
	rig_await(rig, has_returned, 0, "run returns");
	assert_int_equal(waitpid(rig->child, &status, 0), rig->child);
	rig->child = 0;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void end_thread(struct rig *rig)
{
	if (rig->result == 1 && !rig->is_finished)
		rig_do(rig, rig_order_finish, NULL);
	rig_await(rig, has_returned, 0, "run returns");
	pthread_join(rig->thread, NULL);
	rig->kind->close(rig->engine);
}

static void assert_nothing_wrong(struct rig *rig)
{
	if (rig->failed) {
		/* The engine's process must not outlive the test. */
		if (rig->child > 0)
			kill(rig->child, SIGKILL);
		fail_msg("%s", rig->failure);
	}
}

void rig_close(struct rig *rig)
{
	if (rig->options.place == RIG_PROCESS)
		end_child(rig);
	else
		end_thread(rig);
	assert_nothing_wrong(rig);
	assert_int_equal(rig->result, 0);
	assert_int_equal(rig->accepted, rig->closed);
	close(rig->listener.fd);
	rig_await(rig, has_no_thread_left, 0, "the engine's threads end");
	assert_int_equal(entries_of("/proc/self/fd"), rig->descriptors_before);
	munmap(rig, sizeof(*rig));
}

static void give_up(struct rig *rig, const char *what)
{
	if (rig->child > 0)
		kill(rig->child, SIGKILL);
	fail_msg("waited in vain: %s (accepted %u, closed %u, ended %u, heard %lu, turns %lu, "
		 "whole %lu, shed %u)",
		 what, rig->accepted, rig->closed, rig->ended, (unsigned long)rig->heard,
		 (unsigned long)rig->turns, (unsigned long)rig->whole, rig->shed);
}

void rig_await(struct rig *rig, bool (*is_true)(struct rig *rig, uint64_t arg), uint64_t arg,
	       const char *what)
{
	struct mono limit = mono_after(clock_mono(), RIG_WAIT_S * NS_PER_S);

	while (!is_true(rig, arg)) {
		assert_nothing_wrong(rig);
		if (mono_before(limit, clock_mono()))
			give_up(rig, what);
		nap();
	}
}

bool rig_has_accepted(struct rig *rig, uint64_t count)
{
	return rig->accepted >= count;
}

bool rig_has_closed(struct rig *rig, uint64_t count)
{
	return rig->closed >= count;
}

bool rig_has_ended(struct rig *rig, uint64_t count)
{
	return rig->ended >= count;
}

bool rig_has_heard(struct rig *rig, uint64_t bytes)
{
	return rig->heard >= bytes;
}

bool rig_has_turned(struct rig *rig, uint64_t turns)
{
	return rig->turns >= turns;
}

bool rig_is_at_gate(struct rig *rig, uint64_t ignored)
{
	(void)ignored;
	return rig->at_gate;
}

bool rig_demand_is_met(struct rig *rig, uint64_t ignored)
{
	(void)ignored;
	return !rig->demand.stands;
}

static struct rig_life *find_port(struct rig *rig, uint16_t port)
{
	for (uint32_t i = rig->accepted; i-- > 0;)
		if (rig->lives[i].port == port)
			return &rig->lives[i];
	return NULL;
}

static bool has_port(struct rig *rig, uint64_t port)
{
	return find_port(rig, (uint16_t)port) != NULL;
}

struct rig_life *rig_life_of_port(struct rig *rig, uint16_t port)
{
	rig_await(rig, has_port, port, "a client is accepted");
	return find_port(rig, port);
}

struct rig_life *rig_life(struct rig *rig, uint32_t index)
{
	rig_await(rig, rig_has_accepted, (uint64_t)index + 1, "a client is accepted");
	return &rig->lives[index];
}

static bool order_is_done(struct rig *rig, uint64_t ignored)
{
	(void)ignored;
	return rig->order == NULL;
}

void rig_do(struct rig *rig, void (*order)(struct rig *rig, void *arg), void *arg)
{
	assert_int_equal(rig->options.place, RIG_THREAD);
	assert_true(rig->order == NULL);
	rig->order_arg = arg;
	rig->order = order;
	rig->kind->wake(rig->engine);
	rig_await(rig, order_is_done, 0, "a turn after wake");
}

void rig_gate_open(struct rig *rig)
{
	rig->gate_is_open = true;
}

static void demand(struct rig *rig, const struct rig_demand *demand)
{
	assert_true(rig->at_gate);
	rig->demand = *demand;
	rig->demand.at = clock_mono();
	rig->demand.stands = true;
}

void rig_demands(struct rig *rig, uint64_t heard, uint32_t accepted, uint32_t ended)
{
	demand(rig, &(struct rig_demand){.heard = heard, .accepted = accepted, .ended = ended});
}

void rig_demands_of(struct rig *rig, const struct rig_life *life, uint64_t heard)
{
	demand(rig, &(struct rig_demand){.life = life, .life_heard = heard});
}
