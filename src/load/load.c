/*
 * Conducts the lanes: waits until all clients are there, sets the times, reads the server's figures at both ends of the
 * measured part. A single lane runs in this thread and calls back once a turn, because system calls cost less in a
 * process of one thread; several have a thread each, and this one sleeps but for those moments.
 */

#include "load/load.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "load/lane.h"
#include "load/process.h"

#define PROGRESS_NS (500 * NS_PER_MS)

/* How often a conductor that has its own thread looks at the lanes. */
#define STEP_NS (10 * NS_PER_MS)

enum stage {
	OPENING,
	WARMING,
	MEASURING,
	ENDING
};

struct crew {
	const struct load_plan *plan;
	struct load_result *result;
	load_on_progress on_progress;
	enum stage stage;
	struct conductor conductor;
	struct lane *lanes[PLAN_THREADS_MAX];
	pthread_t threads[PLAN_THREADS_MAX];
	unsigned count, running;
	int interrupts; /* seen so far */
	struct mono shown_at;
	uint64_t shown_replies, shown_cycles;
};

static volatile sig_atomic_t interrupts;

static void on_interrupt(int number)
{
	(void)number;
	interrupts++;
}

static uint64_t own_cpu_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

static uint64_t shown(const _Atomic uint64_t *figure)
{
	return atomic_load_explicit(figure, memory_order_relaxed);
}

static struct load_progress sum(const struct crew *crew)
{
	struct load_progress sum = {0};

	for (unsigned i = 0; i < crew->count; i++) {
		sum.replies += shown(&crew->lanes[i]->shown_replies);
		sum.cycles += shown(&crew->lanes[i]->shown_cycles);
		sum.live += shown(&crew->lanes[i]->shown_live);
		sum.faults += shown(&crew->lanes[i]->shown_faults);
	}
	return sum;
}

static bool all_ready(const struct crew *crew)
{
	for (unsigned i = 0; i < crew->count; i++) {
		if (!atomic_load_explicit(&crew->lanes[i]->ready, memory_order_acquire))
			return false;
	}
	return true;
}

static bool all_done(const struct crew *crew)
{
	for (unsigned i = 0; i < crew->count; i++) {
		if (!atomic_load_explicit(&crew->lanes[i]->done, memory_order_acquire))
			return false;
	}
	return true;
}

/* Times first and close together, then what takes longer to find out. */
static void look(const struct crew *crew, struct load_moment *moment, bool at_memory)
{
	const struct load_plan *plan = crew->plan;
	struct load_progress now = sum(crew);
	bool wanted = plan->pids_count > 0;

	moment->ns = clock_mono().ns;
	moment->cpu_known =
		wanted && process_cpu(&moment->server_cpu_ns, plan->pids, plan->pids_count) == 0;
	moment->own_cpu_ns = own_cpu_ns();
	moment->replies = now.replies;
	moment->cycles = now.cycles;
	moment->bytes_known =
		wanted && at_memory &&
		process_resident(&moment->server_bytes, plan->pids, plan->pids_count) == 0;
}

static void show_now_and_then(struct crew *crew, struct mono now)
{
	double seconds = (double)mono_between(crew->shown_at, now) / NS_PER_S;
	struct load_progress progress;

	if (crew->on_progress == NULL || mono_between(crew->shown_at, now) < PROGRESS_NS)
		return;
	progress = sum(crew);
	progress.left_ns =
		crew->stage == OPENING
			? UINT64_MAX
			: mono_between(now, (struct mono){atomic_load(&crew->conductor.until_ns)});
	progress.replies_per_s =
		(uint64_t)((double)(progress.replies - crew->shown_replies) / seconds);
	progress.cycles_per_s =
		(uint64_t)((double)(progress.cycles - crew->shown_cycles) / seconds);
	crew->shown_at = now;
	crew->shown_replies = progress.replies;
	crew->shown_cycles = progress.cycles;
	crew->on_progress(crew->plan, &progress);
}

/* The user wants it to end; the second time, without waiting for replies. */
static void heed_interrupts(struct crew *crew, struct mono now)
{
	if (interrupts == crew->interrupts)
		return;
	if (crew->result->interrupted || interrupts - crew->interrupts > 1)
		atomic_store(&crew->conductor.last, true);
	crew->interrupts = interrupts;
	crew->result->interrupted = true;
	atomic_store(&crew->conductor.stop, true);
	atomic_store(&crew->conductor.until_ns, now.ns);
}

static void begin(struct crew *crew, struct mono now)
{
	struct conductor *conductor = &crew->conductor;
	bool is_over = crew->result->interrupted;

	look(crew, &crew->result->connected, true);
	conductor->start = mono_after(now, 2 * NS_PER_MS);
	conductor->from = mono_after(conductor->start, crew->plan->warmup_ns);
	atomic_store(&conductor->until_ns,
		     is_over ? conductor->start.ns : conductor->from.ns + crew->plan->duration_ns);
	atomic_store_explicit(&conductor->go, true, memory_order_release);
	crew->stage = is_over ? ENDING : WARMING;
}

static void measure(struct crew *crew)
{
	struct load_result *result = crew->result;
	struct load_progress progress = sum(crew);

	look(crew, &result->until, true);
	result->measured = progress.replies + progress.cycles > 0;
	result->live = (uint32_t)progress.live;
	crew->stage = ENDING;
}

/* Moves on to the next stage where it is time. */
static void step(struct crew *crew)
{
	struct mono now = clock_mono(), until = {atomic_load(&crew->conductor.until_ns)};
	bool is_over = all_done(crew);

	heed_interrupts(crew, now);
	if (crew->stage == OPENING && all_ready(crew))
		begin(crew, now);
	if (crew->stage == WARMING && (crew->result->interrupted || is_over)) {
		crew->stage = ENDING;
	} else if (crew->stage == WARMING && !mono_before(now, crew->conductor.from)) {
		look(crew, &crew->result->from, false);
		crew->stage = MEASURING;
	} else if (crew->stage == MEASURING &&
		   (crew->result->interrupted || is_over || !mono_before(now, until))) {
		measure(crew);
	}
	show_now_and_then(crew, now);
}

static void on_turn(void *crew)
{
	step(crew);
}

static void *lane_main(void *lane)
{
	lane_run(lane);
	return NULL;
}

/* Each lane gets an equal part of the clients. */
static int make_lanes(struct crew *crew)
{
	const struct load_plan *plan = crew->plan;
	uint32_t first = 0;

	for (; crew->count < plan->threads; crew->count++) {
		uint32_t end =
			(uint32_t)((uint64_t)plan->clients * (crew->count + 1) / plan->threads);
		struct lane *lane = aligned_alloc(64, (sizeof(*lane) + 63) / 64 * 64);
		int status;

		if (lane == NULL)
			return -ENOMEM;
		status = lane_init(lane, plan, &crew->conductor, first, end - first);
		if (status < 0) {
			free(lane);
			return status;
		}
		crew->lanes[crew->count] = lane;
		first = end;
	}
	return 0;
}

static void free_lanes(struct crew *crew)
{
	for (unsigned i = 0; i < crew->count; i++) {
		tally_merge(&crew->result->tally, &crew->lanes[i]->tally);
		lane_fini(crew->lanes[i]);
		free(crew->lanes[i]);
	}
}

static int run_threads(struct crew *crew)
{
	const struct timespec pause = {.tv_nsec = STEP_NS};
	int error = 0;

	for (; crew->running < crew->count && error == 0; crew->running++)
		error = pthread_create(&crew->threads[crew->running], NULL, lane_main,
				       crew->lanes[crew->running]);
	if (error != 0) {
		/* The last one is none; the others are told that it is over already. */
		crew->running--;
		atomic_store(&crew->conductor.stop, true);
		atomic_store_explicit(&crew->conductor.go, true, memory_order_release);
	}
	while (error == 0 && !all_done(crew)) {
		step(crew);
		nanosleep(&pause, NULL);
	}
	for (unsigned i = 0; i < crew->running; i++)
		pthread_join(crew->threads[i], NULL);
	return -error;
}

static int run_crew(struct crew *crew)
{
	int status = make_lanes(crew);

	if (status == 0) {
		look(crew, &crew->result->before, true);
		if (crew->count == 1) {
			crew->lanes[0]->on_turn = on_turn;
			crew->lanes[0]->on_turn_argument = crew;
			lane_run(crew->lanes[0]);
		} else {
			status = run_threads(crew);
		}
		step(crew);
	}
	free_lanes(crew);
	return status;
}

int load_run(const struct load_plan *plan, struct load_result *result, load_on_progress on_progress)
{
	const struct sigaction action = {.sa_handler = on_interrupt};
	struct crew *crew = calloc(1, sizeof(*crew));
	struct sigaction before[2];
	int status;

	if (crew == NULL)
		return -ENOMEM;
	*result = (struct load_result){.measured = false};
	tally_init(&result->tally);
	*crew = (struct crew){.plan = plan,
			      .result = result,
			      .on_progress = on_progress,
			      .interrupts = interrupts,
			      .shown_at = clock_mono()};
	sigaction(SIGINT, &action, &before[0]);
	sigaction(SIGTERM, &action, &before[1]);
	status = run_crew(crew);
	sigaction(SIGINT, &before[0], NULL);
	sigaction(SIGTERM, &before[1], NULL);
	free(crew);
	return status;
}
