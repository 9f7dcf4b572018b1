#include "stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Not 0, and no whole ms: what begins at 0 or on the ms hides mistakes. */
#define START_NS (UINT64_C(7777) * NS_PER_S + 123457)

struct directory_config stage_config(void)
{
	return (struct directory_config){
		.rhythm = {60000, 30000, 1, UINT64_C(400) * 86400 * MS_PER_S, 0,
			   UINT64_C(400) * 86400 * MS_PER_S},
		.known_max = 2000,
		.rejoin_ms = 5000,
		.forget_ms = UINT64_C(30) * 86400 * MS_PER_S,
		.suspect_share = 0,
		.suspect_min = 20,
		.suspect_hold_ms = 60000,
		.flap_changes = 0,
		.flap_window_ms = 600000,
		.seed = "0123456789abcde",
	};
}

void stage_open(struct stage *stage, const struct directory_config *config, unsigned workers)
{
	memset(stage, 0, sizeof(*stage));
	stage->config = *config;
	stage->config.workers = stage->workers = workers;
	stage->now = stage->start = (struct mono){START_NS};
	stage->directory = directory_init(calloc(1, directory_bytes(&stage->config)),
					  &stage->config, stage->now);
	for (unsigned i = 0; i < workers; i++) {
		stage->places[i] = calloc(STAGE_SESSIONS, sizeof(struct place));
		watch_init(&stage->watches[i], stage->directory, i, &stage->places[i]->session,
			   sizeof(struct place), STAGE_SESSIONS, 30000, stage->now);
	}
	stage_turn_all(stage);
}

void stage_close(struct stage *stage)
{
	stage->unchecked = false;
	stage_check(stage);
	for (unsigned i = 0; i < stage->workers; i++)
		free(stage->places[i]);
	free(stage->directory);
}

void stage_check(struct stage *stage)
{
	if (stage->unchecked)
		return;
	directory_check(stage->directory);
	for (unsigned i = 0; i < stage->workers; i++)
		watch_check(&stage->watches[i]);
}

static void say(struct stage *stage, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct stage *stage, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	stage->log_len += (size_t)vsnprintf(stage->log + stage->log_len, STAGE_LOG - stage->log_len,
					    format, arguments);
	va_end(arguments);
	assert_true(stage->log_len < STAGE_LOG);
}

/* Milliseconds of the story, rounded down. */
static unsigned long long ms_of(const struct stage *stage, struct mono time)
{
	return mono_between(stage->start, time) / NS_PER_MS;
}

static void say_time(struct stage *stage, struct mono time)
{
	say(stage, "%llu.%03llu", ms_of(stage, time) / 1000, ms_of(stage, time) % 1000);
}

static void say_who(struct stage *stage, const struct note *note)
{
	if (note->name_len > 0)
		say(stage, " %s", note->name);
	else if (note->tag > 0)
		say(stage, " #%llu", (unsigned long long)note->tag);
}

static void say_note(struct stage *stage, const struct note *note)
{
	say_time(stage, note->judged);
	say_who(stage, note);
	switch (note->kind) {
	case NOTE_VERDICT:
		say(stage, " %s%s%s%s%s", note->is_new ? "new " : "", state_word(note->to),
		    note->reason != REASON_NONE ? " " : "", reason_word(note->reason),
		    note->announced ? "" : " (quietly)");
		if (ms_of(stage, note->happened) + 1 < ms_of(stage, note->judged)) {
			say(stage, " (was ");
			say_time(stage, note->happened);
			say(stage, ")");
		}
		break;
	case NOTE_PARTITION:
		say(stage, " partition of %s: %u", note->group_len > 0 ? note->group : "all",
		    note->count);
		stage->partitions++;
		break;
	case NOTE_FLAPPING:
		say(stage, " flapping: %u changes", note->count);
		break;
	case NOTE_STEADY:
		say(stage, " steady");
		break;
	case NOTE_FORGOTTEN:
		say(stage, " forgotten");
		break;
	}
	say(stage, "\n");
}

void stage_listen(struct stage *stage)
{
	const struct note *note;
	unsigned taken = 0;

	stage_check(stage);
	while ((note = directory_take_note(stage->directory)) != NULL) {
		assert_int_equal(note->sequence, stage->sequence + 1);
		assert_true(note->happened.ns <= note->judged.ns);
		assert_true(note->heard.ns <= note->judged.ns);
		assert_true(note->judged.ns >= stage->last.judged.ns);
		stage->sequence = note->sequence;
		stage->last = *note;
		stage->verdicts += note->kind == NOTE_VERDICT;
		say_note(stage, note);
		if (stage->on_note != NULL)
			stage->on_note(note);
		taken++;
	}
	assert_true(taken <= DIRECTORY_NOTES_A_CALL);
}

static void end_displaced(struct stage *stage, struct displaced displaced)
{
	struct session *session = &stage->places[displaced.worker][displaced.slot].session;

	assert_int_equal(session->generation, displaced.generation);
	watch_end(&stage->watches[displaced.worker], displaced.slot, REASON_REPLACED);
	stage_listen(stage);
}

static void judge(struct stage *stage, unsigned worker, uint32_t slot, enum due due)
{
	struct watch *watch = &stage->watches[worker];
	struct place *place = &stage->places[worker][slot];
	struct peer_view view = {!place->local, place->unreachable, 1000};
	enum reason reason = REASON_NONE;

	if (place->unheard) {
		watch_wait(watch, slot, 2);
		return;
	}
	if (due == DUE_LATE)
		watch_late(watch, slot);
	else if (due == DUE_OVER)
		reason = watch_judge(watch, slot, &view);
	else
		reason = watch_judge_stuck(watch, slot, &view);
	stage_listen(stage);
	if (reason != REASON_NONE)
		watch_end(watch, slot, reason);
	stage_listen(stage);
}

void stage_turn(struct stage *stage, unsigned worker)
{
	struct watch *watch = &stage->watches[worker];
	uint32_t slot;
	enum due due;
	bool more;

	watch_woke(watch, stage->now);
	do {
		more = directory_turn(stage->directory, worker, watch->now, watch->awake);
		stage_listen(stage);
	} while (more);
	while ((due = watch_due(watch, &slot)) != DUE_NOTHING)
		judge(stage, worker, slot, due);
	stage_listen(stage);
	watch_promise(watch, watch_next(watch));
}

void stage_turn_all(struct stage *stage)
{
	for (unsigned i = 0; i < stage->workers; i++)
		if (!stage->asleep[i])
			stage_turn(stage, i);
}

static struct mono next_turn(const struct stage *stage)
{
	struct mono next = {UINT64_MAX};
	uint64_t wait_ms = directory_next_ms(stage->directory);

	for (unsigned i = 0; i < stage->workers; i++)
		if (!stage->asleep[i])
			next = mono_earlier(next, watch_next(&stage->watches[i]));
	if (wait_ms < MS_PER_S)
		next = mono_earlier(next, mono_after(stage->now, wait_ms * NS_PER_MS));
	return mono_before(stage->now, next) ? next : mono_after(stage->now, NS_PER_MS);
}

void stage_pass(struct stage *stage, uint64_t ms)
{
	struct mono until = mono_after(stage->now, ms * NS_PER_MS);

	while (mono_before(stage->now, until)) {
		stage->now = mono_earlier(next_turn(stage), until);
		stage_turn_all(stage);
	}
}

void stage_jump_ns(struct stage *stage, uint64_t ns)
{
	stage->now.ns += ns;
}

struct place *stage_place(struct stage *stage, struct actor actor)
{
	return &stage->places[actor.worker][actor.slot];
}

struct watch *stage_watch(struct stage *stage, struct actor actor)
{
	return &stage->watches[actor.worker];
}

bool stage_is_there(const struct stage *stage, struct actor actor)
{
	const struct session *session = &stage->places[actor.worker][actor.slot].session;

	return session->tag == actor.tag;
}

static uint32_t free_slot(struct stage *stage, unsigned worker)
{
	uint32_t slot = stage->used[worker];

	while (stage->places[worker][slot % STAGE_SESSIONS].session.tag != 0)
		slot++;
	stage->used[worker] = (slot + 1) % STAGE_SESSIONS;
	return slot % STAGE_SESSIONS;
}

struct actor stage_connect(struct stage *stage, unsigned worker)
{
	struct address address = {.family = ADDRESS_IPV4};
	struct actor actor = {worker, free_slot(stage, worker), ++stage->generations, 0};
	struct place *place = stage_place(stage, actor);

	memset(place, 0, sizeof(*place));
	watch_woke(&stage->watches[worker], stage->now);
	actor.tag =
		watch_accept(&stage->watches[worker], actor.slot, actor.generation, 0, &address);
	stage_listen(stage);
	watch_promise(&stage->watches[worker], watch_next(&stage->watches[worker]));
	return actor;
}

void stage_beat(struct stage *stage, struct actor actor)
{
	struct watch *watch = stage_watch(stage, actor);

	assert_true(stage_is_there(stage, actor));
	stage_place(stage, actor)->unheard = false;
	watch_woke(watch, stage->now);
	if (watch_heard(watch, watch_at(watch, actor.slot), 1, 5))
		watch_back(watch, actor.slot);
	stage_listen(stage);
	watch_promise(watch, watch_next(watch));
}

enum named stage_name(struct stage *stage, struct actor actor, const char *id)
{
	struct naming naming;
	enum named named;

	stage_beat(stage, actor);
	assert_int_equal(naming_read(&naming, id, strlen(id), &stage->config.rhythm), NAMING_GOOD);
	named = watch_name(stage_watch(stage, actor), actor.slot, &naming, &stage->displaced);
	stage_listen(stage);
	if (stage->displaced.any && !stage->keep_displaced)
		end_displaced(stage, stage->displaced);
	return named;
}

struct actor stage_enter(struct stage *stage, unsigned worker, const char *id)
{
	struct actor actor = stage_connect(stage, worker);

	assert_int_equal(stage_name(stage, actor, id), NAMED);
	return actor;
}

void stage_end(struct stage *stage, struct actor actor, enum reason reason)
{
	watch_woke(stage_watch(stage, actor), stage->now);
	watch_end(stage_watch(stage, actor), actor.slot, reason);
	stage_listen(stage);
	watch_promise(stage_watch(stage, actor), watch_next(stage_watch(stage, actor)));
}

void stage_told_(struct stage *stage, const char *expected, const char *file, int line)
{
	if (strcmp(stage->log, expected) != 0) {
		print_error("expected to be told:\n%sbut was told:\n%s", expected, stage->log);
		_fail(file, line);
	}
	stage_told_whatever(stage);
}

void stage_told_whatever(struct stage *stage)
{
	stage->log_len = 0;
	stage->log[0] = '\0';
}

unsigned stage_count(const struct stage *stage, const char *text)
{
	unsigned count = 0;

	for (const char *at = stage->log; (at = strstr(at, text)) != NULL; at += strlen(text))
		count++;
	return count;
}

struct known stage_known(const struct stage *stage, const char *name)
{
	struct known known;

	assert_true(directory_find(stage->directory, name, strlen(name), &known));
	return known;
}

bool stage_knows(const struct stage *stage, const char *name)
{
	struct known known;

	return directory_find(stage->directory, name, strlen(name), &known);
}
