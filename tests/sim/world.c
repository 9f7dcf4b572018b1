/* Makes the world and lets time pass: always to the next thing that happens. */

#include "sim/world.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "wire/final.h"

#define START_NS (UINT64_C(1000) * NS_PER_S)
#define SLOTS_A_WORKER 512

void world_say(struct world *world, const char *format, ...)
{
	va_list arguments;

	if (!world->verbose)
		return;
	va_start(arguments, format);
	printf("%10.4f  ", (double)(world->now.ns - START_NS) / 1e9);
	vprintf(format, arguments);
	printf("\n");
	va_end(arguments);
}

struct line *world_line(struct world *world, unsigned worker, uint32_t socket)
{
	for (unsigned i = world->lines_count; i-- > 0;)
		if (world->lines[i].worker == worker && world->lines[i].socket == socket)
			return &world->lines[i];
	return NULL;
}

static void choose_config(struct world *world)
{
	struct random *random = &world->random;
	uint64_t every_ms = random_between(random, 500, 20000);

	world->workers_count = (unsigned)random_between(random, 1, 3);
	world->send_timeout_ms = random_between(random, 1000, 10000);
	world->config = (struct directory_config){
		.rhythm = {every_ms, random_between(random, 200, every_ms * 2), 100,
			   3600 * MS_PER_S, 100, 3600 * MS_PER_S},
		.workers = world->workers_count,
		.known_max = random_chance(random, 10) ? 16 : 256,
		.refuse_duplicates = random_chance(random, 15),
		.rejoin_ms = random_chance(random, 15) ? 0 : random_between(random, 100, 8000),
		.forget_ms = random_between(random, 20, 4000) * MS_PER_S,
		.suspect_share = random_chance(random, 20) ? 0 : 30,
		.suspect_min = (unsigned)random_between(random, 4, 20),
		.suspect_hold_ms = random_between(random, 500, 20000),
		.flap_changes = (unsigned)random_between(random, 0, 6),
		.flap_window_ms = random_between(random, 5, 120) * MS_PER_S,
	};
	for (unsigned i = 0; i < sizeof(world->config.seed); i++)
		world->config.seed[i] = (uint8_t)random_next(random);
}

static void open_server(struct world *world)
{
	struct engine_listener listener = {.fd = -1,
					   .refusal = final_text(FINAL_RETRY),
					   .refusal_len = final_len(FINAL_RETRY, true)};
	uint8_t framing = FRAMING_LINE;
	int error = house_open(&world->house, &world->config, world->now);

	assert(error == 0);
	world->house.clients_max = random_chance(&world->random, 20) ? 40 : SLOTS_A_WORKER;
	world->house.message_max = 256;
	world->house.send_timeout_ms = world->send_timeout_ms;
	world->house.workers = calloc(world->workers_count, sizeof(*world->house.workers));
	world->workers = calloc(world->workers_count, sizeof(*world->workers));
	for (unsigned i = 0; i < world->workers_count; i++) {
		struct worker_config config = {
			.index = i,
			.kind = &engine_virtual,
			.listeners = &listener,
			.framings = &framing,
			.listeners_count = 1,
			.connections_max = SLOTS_A_WORKER,
			.now = world->now,
		};

		virtual_expect(i, &world->random, truth_view, world);
		error = worker_open(&world->workers[i], &world->house, &config);
		assert(error == 0);
		world->house.workers[i] = &world->workers[i];
		world->turn_at[i] = world->now;
	}
	world->house.workers_count = world->workers_count;
}

static void close_server(struct world *world)
{
	for (unsigned i = 0; i < world->workers_count; i++)
		worker_close(&world->workers[i]);
	free(world->house.workers);
	free(world->workers);
	house_close(&world->house);
}

/* Engines turn soon after something has arrived, not at once: a thread must be scheduled. */
static void plan_turns(struct world *world)
{
	for (unsigned i = 0; i < world->workers_count; i++) {
		struct mono wants = virtual_wants(virtual_of(i), world->now);

		if (wants.ns == UINT64_MAX)
			continue;
		if (wants.ns <= world->now.ns)
			wants = mono_after(world->now,
					   random_below(&world->random, 3) * NS_PER_MS / 2);
		world->turn_at[i] = mono_earlier(world->turn_at[i], wants);
	}
}

static void turn(struct world *world, unsigned worker)
{
	virtual_turn(virtual_of(worker), world->now, random_chance(&world->random, 20));
	world->turn_at[worker] = (struct mono){UINT64_MAX};
	truth_turned(world, worker);
	actor_read_all(world);
}

static void begin_stall(struct world *world)
{
	struct random *random = &world->random;
	uint64_t lasts = random_chance(random, 50) ? random_between(random, 150, 2000)
						   : random_between(random, 2000, 30000);

	if (world->stalls_count == WORLD_STALLS_MAX)
		return;
	world->stalled_until = mono_after(world->now, lasts * NS_PER_MS);
	world->stalls[world->stalls_count++] = (struct away){world->now, world->stalled_until};
	world_say(world, "the server is stopped for %llu ms", (unsigned long long)lasts);
}

static void begin_cut(struct world *world)
{
	struct random *random = &world->random;

	world->cut_group = random_chance(random, 40)   ? ""
			   : random_chance(random, 50) ? "north"
						       : "south";
	world->cut_from = world->now;
	world->cut_until = mono_after(world->now, random_between(random, 500, 30000) * NS_PER_MS);
	world_say(world, "the network is cut for group `%s` until %.3f", world->cut_group,
		  (double)(world->cut_until.ns - START_NS) / 1e9);
}

static void fault(struct world *world)
{
	struct random *random = &world->random;
	unsigned worker = (unsigned)random_below(random, world->workers_count);

	switch (random_below(random, 4)) {
	case 0:
	case 1:
		begin_stall(world);
		break;
	case 2:
		if (!mono_before(world->now, world->cut_until))
			begin_cut(world);
		break;
	case 3:
		virtual_limit(virtual_of(worker), random_chance(random, 50) ? UINT32_MAX : 8);
		break;
	}
	world->next_stall = mono_after(world->now, random_between(random, 1000, 40000) * NS_PER_MS);
}

static void faults_off(struct world *world)
{
	world->next_stall = (struct mono){UINT64_MAX};
	world->cut_until = mono_earlier(world->cut_until, world->now);
	for (unsigned i = 0; i < world->workers_count; i++)
		virtual_limit(virtual_of(i), UINT32_MAX);
	for (unsigned i = 0; i < world->actors_count; i++)
		actor_settle(world, i);
	world_say(world, "the faults are over");
}

/* To the next thing that happens, and what happens then. */
static void step(struct world *world)
{
	struct mono next = mono_earlier(world->until, world->next_stall);

	plan_turns(world);
	for (unsigned i = 0; i < world->workers_count; i++) {
		struct mono at = world->turn_at[i];

		if (at.ns != UINT64_MAX && mono_before(at, world->stalled_until))
			at = mono_after(world->stalled_until, i * 1000);
		next = mono_earlier(next, at);
	}
	for (unsigned i = 0; i < world->actors_count; i++)
		next = mono_earlier(next, world->actors[i].next);
	if (world->faults_until.ns > world->now.ns)
		next = mono_earlier(next, world->faults_until);
	if (mono_before(world->now, next))
		world->now = next;
	if (world->faults_until.ns == world->now.ns) {
		world->faults_until = (struct mono){0};
		faults_off(world);
	}
	if (world->next_stall.ns <= world->now.ns)
		fault(world);
	for (unsigned i = 0; i < world->actors_count; i++)
		if (world->actors[i].next.ns <= world->now.ns)
			actor_act(world, i);
	for (unsigned i = 0; i < world->workers_count; i++)
		if (world->turn_at[i].ns <= world->now.ns &&
		    !mono_before(world->now, world->stalled_until))
			turn(world, i);
	truth_look(world);
}

static void check(struct world *world)
{
	for (unsigned i = 0; i < world->workers_count; i++)
		watch_check(&world->workers[i].watch);
	directory_check(world->house.directory);
}

uint64_t world_run(uint64_t seed, bool verbose)
{
	struct world *world = calloc(1, sizeof(*world));
	uint64_t verdicts;

	assert(world != NULL);
	world->seed = seed;
	world->verbose = verbose;
	world->random.state = seed * UINT64_C(0x2545f4914f6cdd1d) + 1;
	world->now = (struct mono){START_NS};
	world->lines = calloc(WORLD_SOCKETS_MAX, sizeof(*world->lines));
	choose_config(world);
	open_server(world);
	world->faults_until =
		mono_after(world->now, random_between(&world->random, 20, 90) * NS_PER_S);
	world->until = mono_after(world->faults_until, 3600 * NS_PER_S);
	world->next_stall =
		random_chance(&world->random, 70)
			? mono_after(world->now,
				     random_between(&world->random, 1000, 20000) * NS_PER_MS)
			: (struct mono){UINT64_MAX};
	world->actors_count = (unsigned)random_between(&world->random, 3,
						       random_chance(&world->random, 30) ? 60 : 20);
	for (unsigned i = 0; i < world->actors_count; i++)
		actor_init(world, i);
	/* After the faults, long enough for the slowest deadline and hold. */
	world->until = mono_after(world->faults_until,
				  (world->config.suspect_hold_ms + 70000) * NS_PER_MS);
	while (mono_before(world->now, world->until)) {
		step(world);
		if (world->steps++ % 16 == 0)
			check(world);
	}
	check(world);
	truth_of_end(world);
	verdicts = world->verdicts;
	close_server(world);
	free(world->lines);
	free(world);
	return verdicts;
}
