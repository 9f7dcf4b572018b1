/*
 * Anything in any order, from fixed seeds. After every step all invariants are checked (the stage does), and what was
 * told is held against a model that knows only the notes and who said what:
 *
 *     each client's verdicts follow each other: every one begins where the one before ended
 *     nobody is told late or gone by silence before its time
 *     who was named last and has not ended holds the name, and is not gone
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "stage.h"

#define NAMES 14
#define ACTORS 60
#define WORKERS 3

struct person {
	struct actor actor;
	bool there;
	int name; /* which it holds, -1: none */
};

struct belief {
	bool known;
	enum state state;
	int holder; /* which person, -1: none */
};

static struct stage stage;
static struct person people[ACTORS];
static struct belief beliefs[NAMES];
static struct displaced waiting[ACTORS * 4];
static unsigned waiting_count;
static uint64_t random_state;
static uint64_t first_seed = 1, seeds = 10;

static uint64_t random_below(uint64_t n)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (random_state * UINT64_C(2685821657736338717) >> 11) % n;
}

static int name_index(const char *name)
{
	return name[0] == 'n' ? atoi(name + 1) : -1;
}

static void believe_verdict(const struct note *note)
{
	struct belief *belief = &beliefs[name_index(note->name)];

	if (note->is_new)
		assert_false(belief->known);
	else
		assert_int_equal(belief->state, note->from);
	if (!note->is_new)
		assert_int_not_equal(note->from, note->to);
	assert_int_equal(note->to == STATE_GONE, note->reason != REASON_NONE);
	belief->known = true;
	belief->state = note->to;
	if (note->to == STATE_LATE)
		assert_true(note->happened.ns - note->heard.ns >= 100 * NS_PER_MS);
	if (note->to == STATE_GONE &&
	    (note->reason == REASON_HUNG || note->reason == REASON_UNREACHABLE))
		assert_true(note->happened.ns - note->heard.ns >= 150 * NS_PER_MS);
	if (note->to == STATE_GONE && belief->holder >= 0 &&
	    note->tag == people[belief->holder].actor.tag) {
		people[belief->holder].name = -1;
		belief->holder = -1;
	}
}

static void believe(const struct note *note)
{
	if (note->name_len == 0 || name_index(note->name) < 0)
		return;
	if (note->kind == NOTE_VERDICT) {
		believe_verdict(note);
	} else if (note->kind == NOTE_FORGOTTEN) {
		assert_int_equal(beliefs[name_index(note->name)].state, STATE_GONE);
		beliefs[name_index(note->name)].known = false;
	}
}

static void compare(void)
{
	char name[16];

	for (int i = 0; i < NAMES; i++) {
		struct known known;

		snprintf(name, sizeof(name), "n%d", i);
		assert_int_equal(directory_find(stage.directory, name, strlen(name), &known),
				 beliefs[i].known);
		if (!beliefs[i].known)
			continue;
		assert_int_equal(known.state, beliefs[i].state);
		assert_int_equal(known.has_session, beliefs[i].holder >= 0);
		if (beliefs[i].holder >= 0)
			assert_int_equal(known.tag, people[beliefs[i].holder].actor.tag);
	}
}

static struct person *somebody(void)
{
	struct person *person = &people[random_below(ACTORS)];

	if (person->there && !stage_is_there(&stage, person->actor))
		person->there = false; /* judged */
	return person;
}

static void come(struct person *person)
{
	*person = (struct person){stage_connect(&stage, (unsigned)random_below(WORKERS)), true, -1};
	stage_place(&stage, person->actor)->unreachable = random_below(2) == 0;
	stage_place(&stage, person->actor)->local = random_below(4) == 0;
}

static void say_name(struct person *person, int who)
{
	static const char *const options[] = {
		"",	    " every=100ms",	  " grace=50ms every=1s",
		" group=g", " group=h every=30s", " key=k"};
	int name = (int)random_below(NAMES);
	char id[64];
	enum named named;

	snprintf(id, sizeof(id), "id n%d%s", name, options[random_below(6)]);
	named = stage_name(&stage, person->actor, id);
	if (named != NAMED)
		return;
	if (beliefs[name].holder >= 0)
		people[beliefs[name].holder].name = -1;
	beliefs[name].holder = who;
	person->name = name;
	if (stage.displaced.any)
		waiting[waiting_count++] = stage.displaced;
}

static void leave(struct person *person)
{
	static const enum reason reasons[] = {REASON_STOPPED, REASON_CLOSED, REASON_RESET,
					      REASON_SLOW, REASON_MALFORMED};
	int name = person->name;

	person->name = -1;
	person->there = false;
	if (name >= 0)
		beliefs[name].holder = -1;
	stage_end(&stage, person->actor, reasons[random_below(5)]);
}

/* The mailbox of the workers: who was displaced ends sooner or later, if it has not yet. */
static void end_one_displaced(void)
{
	struct displaced displaced;
	struct session *session;

	if (waiting_count == 0)
		return;
	displaced = waiting[--waiting_count];
	session = &stage.places[displaced.worker][displaced.slot].session;
	if (session->tag == 0 || session->generation != displaced.generation)
		return;
	watch_woke(&stage.watches[displaced.worker], stage.now);
	watch_end(&stage.watches[displaced.worker], displaced.slot, REASON_REPLACED);
	stage_listen(&stage);
}

static void let_time_pass(void)
{
	static const uint64_t steps_ms[] = {1, 7, 40, 100, 300, 2000};

	if (random_below(40) == 0)
		stage_jump_ns(&stage, random_below(20 * NS_PER_S)); /* stopped for a while */
	else if (random_below(400) == 0)
		stage_pass(&stage, 20000);
	else
		stage_pass(&stage, steps_ms[random_below(6)]);
}

static void step(void)
{
	struct person *person = somebody();
	int who = (int)(person - people);

	if (!person->there)
		come(person);
	else
		switch (random_below(12)) {
		case 0:
		case 1:
		case 2:
			say_name(person, who);
			break;
		case 3:
			leave(person);
			break;
		case 4:
			let_time_pass();
			break;
		case 5:
			end_one_displaced();
			break;
		case 6:
			watch_owing(stage_watch(&stage, person->actor), person->actor.slot);
			break;
		case 7:
			watch_owing_cleared(stage_watch(&stage, person->actor), person->actor.slot);
			break;
		case 8:
			stage_place(&stage, person->actor)->unheard = random_below(3) == 0;
			break;
		default:
			stage_beat(&stage, person->actor);
			break;
		}
}

static void play(uint64_t seed, unsigned steps)
{
	struct directory_config config = stage_config();

	random_state = seed * UINT64_C(0x9e3779b97f4a7c15);
	config.rhythm.every_ms = 2000;
	config.rhythm.grace_ms = 1000;
	config.known_max = 4 + (uint32_t)random_below(12);
	config.refuse_duplicates = random_below(4) == 0;
	config.rejoin_ms = random_below(4) == 0 ? 0 : 500;
	config.forget_ms = 20000;
	config.suspect_share = (unsigned)random_below(2) * 40;
	config.suspect_min = 4;
	config.suspect_hold_ms = random_below(3) * 1000;
	config.flap_changes = (unsigned)random_below(4);
	config.flap_window_ms = 5000;
	stage_open(&stage, &config, WORKERS);
	stage.keep_displaced = true;
	stage.on_note = believe;
	memset(people, 0, sizeof(people));
	memset(beliefs, 0, sizeof(beliefs));
	for (int i = 0; i < NAMES; i++)
		beliefs[i].holder = -1;
	waiting_count = 0;
	for (unsigned i = 0; i < steps; i++) {
		step();
		while (waiting_count > ACTORS)
			end_one_displaced();
		compare();
		stage_told_whatever(&stage);
	}
	/* Left alone, everybody is gone, and then nobody is known. */
	while (waiting_count > 0)
		end_one_displaced();
	for (unsigned i = 0; i < ACTORS; i++)
		if (people[i].there && stage_is_there(&stage, people[i].actor))
			stage_place(&stage, people[i].actor)->unheard = false;
	for (unsigned i = 0; i < 200; i++) {
		stage.unchecked = true;
		stage_pass(&stage, 1000);
		stage.unchecked = false;
		stage_check(&stage);
		stage_told_whatever(&stage);
	}
	compare();
	for (int i = 0; i < NAMES; i++)
		assert_false(beliefs[i].known);
	for (unsigned i = 0; i < WORKERS; i++)
		assert_int_equal(stage.watches[i].live, 0);
	stage_close(&stage);
}

static void any_story_keeps_to_the_rules(void **state)
{
	(void)state;
	for (uint64_t seed = first_seed; seed < first_seed + seeds; seed++) {
		print_message("seed %llu\n", (unsigned long long)seed);
		play(seed, 1000);
	}
}

/* [FIRST-SEED [SEEDS]] */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_story_keeps_to_the_rules),
	};

	if (argc > 1)
		first_seed = strtoull(argv[1], NULL, 10);
	if (argc > 1)
		seeds = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
