/* Opens the house, starts the workers, waits for a signal, and closes it all in the reverse order. */

#include "server/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/kinds.h"
#include "server/console.h"
#include "server/house.h"
#include "server/listen.h"
#include "server/tell.h"
#include "server/worker.h"

/* Descriptors that are not for clients: standard ones, the engine's own, a spare one for each worker, and a few. */
#define DESCRIPTORS_RESERVED 16
#define DESCRIPTORS_A_WORKER 6

/* Where nothing limits descriptors. */
#define CLIENTS_MAX 16000000

struct server {
	const struct options *options;
	struct house house;
	struct listening listening;
	struct worker *workers;
	pthread_t *threads;
	unsigned workers_count;
	unsigned workers_open;
	unsigned threads_running;
	const struct engine_kind *kind;
	struct console console;
	uint64_t overflows;
};

static unsigned cores(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 1;
	return (unsigned)CPU_COUNT(&set);
}

/* The soft limit is raised to the hard one: it is there for programs that use select(2). */
static uint32_t descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return 1024;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	getrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur > CLIENTS_MAX ? CLIENTS_MAX : (uint32_t)limit.rlim_cur;
}

static uint32_t clients_max(const struct server *server)
{
	uint32_t limit = descriptors();
	uint32_t reserved =
		DESCRIPTORS_RESERVED +
		server->workers_count * (DESCRIPTORS_A_WORKER + server->listening.count);
	uint32_t possible = limit > reserved + 1 ? limit - reserved : 1;

	if (server->options->clients_max == 0)
		return possible;
	if (server->options->clients_max > possible)
		fprintf(stderr,
			"lifeline: --max-clients %llu is more than the descriptor limit allows "
			"(%u); raise it with ulimit -n or "
			"LimitNOFILE=\n",
			(unsigned long long)server->options->clients_max, possible);
	return (uint32_t)server->options->clients_max;
}

static int open_house(struct server *server)
{
	const struct options *options = server->options;
	struct directory_config config = {
		.rhythm = {options->every_ms, options->grace_ms, options->every_min_ms,
			   options->every_max_ms, options->grace_min_ms, options->grace_max_ms},
		.workers = server->workers_count,
		.known_max = (uint32_t)options->known_max,
		.refuse_duplicates = options->refuse_duplicates,
		.rejoin_ms = options->rejoin_ms,
		.forget_ms = options->forget_ms,
		.suspect_share = (unsigned)options->suspect_share,
		.suspect_min = (unsigned)options->suspect_min,
		.suspect_hold_ms = options->suspect_hold_ms,
		.flap_changes = (unsigned)options->flap_changes,
		.flap_window_ms = options->flap_window_ms,
	};
	int error;

	if (getrandom(config.seed, sizeof(config.seed), 0) != (ssize_t)sizeof(config.seed))
		return -errno;
	error = house_open(&server->house, &config, clock_mono());
	if (error != 0)
		return error;
	server->house.clients_max = clients_max(server);
	server->house.message_max = (uint32_t)options->message_max;
	server->house.send_timeout_ms = options->send_timeout_ms;
	server->house.show_messages = options->show_messages || isatty(STDOUT_FILENO);
	server->house.workers = calloc(server->workers_count, sizeof(*server->house.workers));
	return server->house.workers == NULL ? -ENOMEM : 0;
}

static void close_workers(struct server *server)
{
	while (server->workers_open > 0)
		worker_close(&server->workers[--server->workers_open]);
	server->house.workers_count = 0;
}

static int open_workers_with(struct server *server, const struct engine_kind *kind)
{
	for (unsigned i = 0; i < server->workers_count; i++) {
		struct engine_listener listeners[ENGINE_LISTENERS_MAX];
		struct worker_config config = {
			.index = i,
			.kind = kind,
			.listeners = listeners,
			.framings = server->listening.framings,
			.listeners_count = server->listening.count,
			.connections_max = server->house.clients_max,
			.linger_ns = server->options->linger_ms * NS_PER_MS,
			.now = clock_mono(),
		};
		int error;

		listen_of_worker(&server->listening, i, listeners);
		error = worker_open(&server->workers[i], &server->house, &config);
		if (error != 0) {
			close_workers(server);
			return error;
		}
		server->workers_open++;
		server->house.workers[i] = &server->workers[i];
	}
	server->house.workers_count = server->workers_count;
	server->kind = kind;
	return 0;
}

/* `auto` takes the first that really works here. */
static int open_workers(struct server *server)
{
	const struct options *options = server->options;
	bool automatic = strcmp(options->engine, "auto") == 0;
	int error = -ENOSYS;

	for (const struct engine_kind *const *kind = engine_kinds; *kind != NULL; kind++) {
		if (!automatic && strcmp((*kind)->name, options->engine) != 0)
			continue;
		error = open_workers_with(server, *kind);
		if (error == 0)
			return 0;
		if (options->verbose || !automatic)
			fprintf(stderr, "lifeline: the engine %s does not work here: %s\n",
				(*kind)->name, strerror(-error));
	}
	if (!automatic && engine_kind_named(options->engine) == NULL)
		fprintf(stderr,
			"lifeline: this build has no engine %s; see lifeline serve --help\n",
			options->engine);
	else if (!automatic)
		fprintf(stderr, "lifeline: try --engine auto, which takes the best that works\n");
	else
		fprintf(stderr, "lifeline: no engine works here: %s\n", strerror(-error));
	return error;
}

/* Without one worker nobody is served in full: all are drained, and the first one who ends begins it. */
static void give_up(struct worker *worker)
{
	struct house *house = worker->house;

	if (!worker->draining)
		atomic_fetch_add(&house->doors_closed, 1);
	if (!atomic_exchange(&house->failed, true) && atomic_load(&house->drain_until) == 0)
		kill(getpid(), SIGTERM);
}

static void *run_worker(void *context)
{
	struct worker *worker = context;
	int error = worker_run(worker);

	if (error != 0) {
		fprintf(stderr, "lifeline: worker %u ended: %s\n", worker->index, strerror(-error));
		give_up(worker);
	}
	return NULL;
}

static int start_threads(struct server *server)
{
	for (unsigned i = 0; i < server->workers_count; i++) {
		int error =
			pthread_create(&server->threads[i], NULL, run_worker, &server->workers[i]);

		if (error != 0) {
			fprintf(stderr, "lifeline: cannot start a worker: %s\n", strerror(error));
			return -error;
		}
		server->threads_running++;
	}
	return 0;
}

static int open_console(struct server *server)
{
	const char *addresses[ENGINE_LISTENERS_MAX];
	struct console_self self = {
		.node = server->options->node,
		.epoch = clock_wall().ns / NS_PER_S,
		.colours = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL,
	};
	struct console_ready ready = {
		.addresses = addresses,
		.addresses_count = server->listening.count,
		.engine = server->kind->name,
		.workers = server->workers_count,
		.clients_max = server->house.clients_max,
	};

	for (unsigned i = 0; i < server->listening.count; i++)
		addresses[i] = server->listening.addresses[i];
	return console_open(&server->console, &server->house,
			    server->options->json ? console_json : &console_text, &self, &ready);
}

/* Newcomers for whom a listen queue had no room are nobody's to see but the kernel's. */
static void look_at_overflows(struct server *server)
{
	uint64_t overflows = listen_overflows(&server->listening);

	if (overflows > server->overflows)
		tell_overflow(&server->house, overflows - server->overflows);
	server->overflows = overflows;
}

/* Waits for the first signal, drains, and exits on the second. */
static void wait_for_signals(struct server *server, const sigset_t *signals)
{
	const struct timespec second = {.tv_sec = 1};
	int signal = -1;

	while (signal < 0) {
		signal = sigtimedwait(signals, NULL, &second);
		look_at_overflows(server);
	}
	tell_drain(&server->house, atomic_load(&server->house.clients));
	house_drain(&server->house,
		    mono_after(clock_mono(), server->options->drain_ms * NS_PER_MS + 1));
}

/* Once no worker accepts any more, the sockets stop listening, so that newcomers are told at once. */
static void close_doors(struct server *server)
{
	const struct timespec moment = {.tv_nsec = (long)NS_PER_MS};
	uint64_t until = atomic_load(&server->house.drain_until);

	while (atomic_load(&server->house.doors_closed) < server->threads_running &&
	       clock_mono().ns < until)
		nanosleep(&moment, NULL);
	listen_stop(&server->listening);
}

static void *exit_on_second(void *context)
{
	int signal;

	if (sigwait(context, &signal) == 0)
		_exit(128 + signal);
	return NULL;
}

static int run(struct server *server, const sigset_t *signals)
{
	pthread_t second;
	int status = 1;

	if (start_threads(server) == 0) {
		wait_for_signals(server, signals);
		status = 0;
	} else {
		house_drain(&server->house, clock_mono());
	}
	if (pthread_create(&second, NULL, exit_on_second, (void *)(uintptr_t)signals) == 0)
		pthread_detach(second);
	close_doors(server);
	while (server->threads_running > 0)
		pthread_join(server->threads[--server->threads_running], NULL);
	return atomic_load(&server->house.failed) ? 1 : status;
}

/* One that is closed would become a client's, who would then be sent what the console prints. */
static void keep_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int serve(const struct options *options)
{
	static struct server server;
	static sigset_t signals; /* the thread that waits for the second one outlives this call */
	int status = 1;

	server.options = options;
	if (options->json && console_json == NULL) {
		fprintf(stderr, "lifeline: this build has no --log-format json; build with "
				"jansson, or use text\n");
		return 2;
	}
	keep_standard_descriptors();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a log that may not grow is as good as a full disk */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	server.workers_count = options->workers > 0 ? (unsigned)options->workers : cores();
	if (strcmp(options->engine, "threads") == 0)
		server.workers_count = 1;
	server.workers = calloc(server.workers_count, sizeof(*server.workers));
	server.threads = calloc(server.workers_count, sizeof(*server.threads));
	if (server.workers == NULL || server.threads == NULL)
		goto fail_memory;
	if (listen_open(&server.listening, options, server.workers_count) != 0)
		goto fail_memory;
	if (open_house(&server) != 0) {
		fprintf(stderr,
			"lifeline: no memory for --max-known and --max-clients of this size\n");
		goto fail_house;
	}
	if (open_workers(&server) != 0)
		goto fail_workers;
	if (open_console(&server) != 0) {
		fprintf(stderr, "lifeline: cannot start the console's thread\n");
		goto fail_console;
	}
	status = run(&server, &signals);
	console_close(&server.console);
fail_console:
	close_workers(&server);
fail_workers:
	free(server.house.workers);
fail_house:
	listen_close(&server.listening);
fail_memory:
	free(server.threads);
	free(server.workers);
	return status;
}
