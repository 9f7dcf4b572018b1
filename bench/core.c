/*
 * What the pure core costs with ten thousand, a million and ten million sessions, which no process here could have
 * descriptors for: nanoseconds for an accept, a message, a turn of the wheel, an end, and bytes for a session; and how
 * many messages a second there could be if nothing had to be received or sent.
 *
 *    core [--json] [SESSIONS...]
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "load/process.h"
#include "pure.h"

/* Messages, accepts or ends of one turn, as from one wait for events. */
#define TURN 512

/* Enough for a figure that repeats where the sessions are few. */
#define OPERATIONS_MIN (4u * 1000 * 1000)

struct figures {
	uint32_t sessions;
	double accept_ns, at_random_ns, foretold_ns, neighbour_ns, wheel_ns, end_ns;
	double bytes;
};

static const char message[] = "beat\n";

static uint64_t resident(void)
{
	pid_t self = getpid();
	uint64_t bytes = 0;

	if (process_resident(&bytes, &self, 1) < 0)
		return 0;
	return bytes;
}

static double per_operation(struct mono from, uint64_t operations)
{
	return (double)mono_between(from, clock_mono()) / (double)operations;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void accept_all(struct pure *pure)
{
	for (uint32_t slot = 0; slot < pure->count; slot++) {
		if (slot % TURN == 0) {
			pure_turned(pure, NS_PER_S);
			pure_woke(pure, 1000);
		}
		pure_accept(pure, slot);
	}
	pure_turned(pure, NS_PER_S);
}

/* Whom the messages come from: anyone, or anyone and the next few are known, or each after his neighbour. */
enum order {
	AT_RANDOM,
	FORETOLD,
	NEIGHBOURS
};

/* So far ahead a session is fetched, where it is known: a wait for events gives out many at once. */
#define AHEAD 8

static void choose(uint32_t slots[TURN], const struct pure *pure, enum order order,
		   uint64_t *random)
{
	for (uint32_t i = 0; i < TURN; i++) {
		if (order == NEIGHBOURS)
			slots[i] = (uint32_t)((*random)++ % pure->count);
		else
			slots[i] = (uint32_t)((next_random(random) >> 32) * pure->count >> 32);
	}
}

static void fetch(const struct place *place)
{
	const char *bytes = (const char *)place;

	__builtin_prefetch(bytes, 1);
	__builtin_prefetch(bytes + sizeof(*place) / 2, 1);
	__builtin_prefetch(bytes + sizeof(*place) - 1, 1);
}

static double say(struct pure *pure, uint64_t messages, enum order order)
{
	uint64_t random = 88172645463325252u;
	struct mono from = clock_mono();
	uint32_t slots[TURN];

	for (uint64_t done = 0; done < messages; done += TURN) {
		pure_woke(pure, 1000);
		choose(slots, pure, order, &random);
		for (uint32_t i = 0; i < TURN; i++) {
			if (order == FORETOLD && i + AHEAD < TURN)
				fetch(&pure->places[slots[i + AHEAD]]);
			pure_receive(pure, slots[i], message, sizeof(message) - 1);
		}
		pure_turned(pure, NS_PER_S);
	}
	return per_operation(from, messages);
}

/*
 * Everyone says something each 50 of 60 seconds, for so long that the wheel reaches everyone several times. Only the
 * ends of the turns are measured: for each session, what it costs that it has a deadline.
 */
static double turn_wheel(struct pure *pure)
{
	uint64_t rounds = 1 + OPERATIONS_MIN / pure->count;
	uint64_t step_ns = PURE_EVERY_MS / 6 * 5 * NS_PER_MS * TURN / pure->count;
	uint64_t spent_ns = 0, armed = 0;

	/* A first round from which all are in step with the false clock. */
	for (uint64_t round = 0; round <= rounds; round++) {
		for (uint32_t slot = 0; slot < pure->count; slot++) {
			pure_receive(pure, slot, message, sizeof(message) - 1);
			if (slot % TURN == TURN - 1 || slot == pure->count - 1) {
				struct mono from = clock_mono();

				pure_turned(pure, step_ns);
				if (round > 0)
					spent_ns += mono_between(from, clock_mono());
				pure_woke(pure, step_ns);
			}
		}
		armed += round > 0 ? pure->count : 0;
	}
	return (double)spent_ns / (double)armed;
}

/* In an order that has nothing to do with that of accepting: a step that is prime to any of the counts. */
static void end_all(struct pure *pure)
{
	uint64_t slot = 0;

	for (uint32_t i = 0; i < pure->count; i++) {
		if (i % TURN == 0) {
			pure_turned(pure, NS_PER_S);
			pure_woke(pure, 1000);
		}
		slot = (slot + 2654435761u) % pure->count;
		pure_end(pure, (uint32_t)slot);
	}
}

static struct figures measure(uint32_t sessions)
{
	uint64_t messages = sessions > OPERATIONS_MIN / 2 ? 2u * sessions : OPERATIONS_MIN;
	struct figures figures = {.sessions = sessions};
	uint64_t before = resident();
	struct mono from;
	struct pure pure;

	pure_open(&pure, sessions);
	from = clock_mono();
	accept_all(&pure);
	figures.accept_ns = per_operation(from, sessions);
	figures.bytes = (double)(resident() - before) / sessions;
	figures.at_random_ns = say(&pure, messages, AT_RANDOM);
	figures.foretold_ns = say(&pure, messages, FORETOLD);
	figures.neighbour_ns = say(&pure, messages, NEIGHBOURS);
	figures.wheel_ns = turn_wheel(&pure);
	from = clock_mono();
	end_all(&pure);
	figures.end_ns = per_operation(from, sessions);
	pure_close(&pure);
	return figures;
}

/* Messages a second of one session: many lines in each receive, or one. */
static double messages_per_s(size_t lines)
{
	static char bytes[4096];
	const uint64_t receives = 64u * 1000 * 1000 / (lines + 3);
	struct pure pure;
	double ns;
	struct mono from;

	for (size_t i = 0; i < lines; i++)
		memcpy(bytes + i * 5, message, 5);
	pure_open(&pure, 1);
	pure_accept(&pure, 0);
	from = clock_mono();
	for (uint64_t i = 0; i < receives; i++)
		pure_receive(&pure, 0, bytes, lines * 5);
	ns = per_operation(from, receives * lines);
	pure_close(&pure);
	return 1e9 / ns;
}

static void print(const struct figures *figures, bool json)
{
	printf(json ? "{\"sessions\": %u, \"accept_ns\": %.2f, \"at_random_ns\": %.2f, "
		      "\"foretold_ns\": %.2f, "
		      "\"neighbour_ns\": %.2f, \"wheel_ns\": %.2f, \"end_ns\": %.2f, \"bytes\": "
		      "%.1f}"
		    : "%8u sessions: accept %.1f ns; message %.1f ns at random, %.1f where it is "
		      "known a little "
		      "before, %.1f among neighbours; deadline %.1f ns; end %.1f ns; %.0f bytes "
		      "each\n",
	       figures->sessions, figures->accept_ns, figures->at_random_ns, figures->foretold_ns,
	       figures->neighbour_ns, figures->wheel_ns, figures->end_ns, figures->bytes);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static const uint32_t usual[] = {10 * 1000, 1000 * 1000, 10 * 1000 * 1000};
	bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
	int first = json ? 2 : 1, count = argc > first ? argc - first : 3;
	double in_bulk = messages_per_s(800), one_by_one = messages_per_s(1);

	if (json)
		printf("{\"messages_per_s\": %.0f, \"receives_per_s\": %.0f, \"sizes\": [", in_bulk,
		       one_by_one);
	else
		printf("5-byte lines: %.1f million messages/s, %.1f million where each is received "
		       "alone\n",
		       in_bulk / 1e6, one_by_one / 1e6);
	for (int i = 0; i < count; i++) {
		uint32_t sessions =
			argc > first ? (uint32_t)strtoul(argv[first + i], NULL, 10) : usual[i];
		struct figures figures;

		if (sessions == 0) {
			fprintf(stderr, "usage: core [--json] [SESSIONS...]\n");
			return 2;
		}
		figures = measure(sessions);
		if (json && i > 0)
			printf(", ");
		print(&figures, json);
	}
	if (json)
		printf("]}\n");
	return 0;
}
