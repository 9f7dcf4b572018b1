/*
 * Stories: a few scenes in virtual time, to be read. A story is a text file; its lines are what happens in the world, and
 * after each line, behind "| ", stands what the server tells until the next one. The test plays the lines that are not
 * behind "| " and compares the whole text. With --write it writes what came out, to be read before it is believed.
 *
 *	server WORD=VALUE ...            every, grace, rejoin, hold, send (durations), share, min, flap, workers
 *	TIME NAME connects [WORKER]
 *	TIME NAME says TEXT              a line
 *	TIME NAME floods COUNT           so many lines at once
 *	TIME NAME closes | resets | takes   (takes: all replies that it was sent; they are shown)
 *	TIME NAME dies                   its host answers nothing from now on
 *	TIME server stops for SECONDS
 *	TIME end
 */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/duration.h"
#include "base/utf8.h"
#include "server/console.h"
#include "server/event.h"
#include "server/worker.h"
#include "sim/virtual.h"
#include "wire/final.h"

#define NAMES_MAX 64
#define WORKERS_MAX 4
#define TEXT_MAX (256 * 1024)
#define START_NS (UINT64_C(86400) * NS_PER_S)

struct person {
	char name[32];
	unsigned worker;
	uint32_t socket;
	struct mono arrived;
	bool dead;
	struct mono died;
};

static struct story {
	struct random random;
	struct house house;
	struct worker workers[WORKERS_MAX];
	struct worker *worker_list[WORKERS_MAX];
	unsigned workers_count;
	bool is_open;
	struct mono now;
	struct person people[NAMES_MAX];
	unsigned people_count;
	char text[TEXT_MAX];
	size_t len;
} story;

static const struct console_self self = {.node = "story"};

static void write_text(const char *prefix, const char *text)
{
	int len = snprintf(story.text + story.len, TEXT_MAX - story.len, "%s%s", prefix, text);

	story.len += (size_t)len;
	assert(story.len < TEXT_MAX);
}

static void view(void *world, unsigned worker, uint32_t socket, struct mono now,
		 struct engine_view *seen)
{
	(void)world;
	seen->is_tcp = true;
	for (unsigned i = 0; i < story.people_count; i++) {
		const struct person *person = &story.people[i];

		if (person->worker != worker || person->socket != socket)
			continue;
		seen->data_ms = (uint32_t)(mono_between(person->arrived, now) / NS_PER_MS);
		if (!person->dead)
			continue;
		seen->answered_ms = (uint32_t)(mono_between(person->died, now) / NS_PER_MS);
		seen->unanswered = seen->answered_ms > 1300;
	}
}

static uint64_t setting(const char *line, const char *word, uint64_t otherwise)
{
	const char *at = strstr(line, word);
	uint64_t ms;

	if (at == NULL)
		return otherwise;
	at += strlen(word);
	if (!duration_read(&ms, at, strcspn(at, " \n")))
		ms = strtoull(at, NULL, 10);
	return ms;
}

static void open_server(const char *line)
{
	struct directory_config config = {
		.rhythm = {setting(line, " every=", 60000), setting(line, " grace=", 30000), 100,
			   86400000, 0, 86400000},
		.workers = (unsigned)setting(line, " workers=", 1),
		.known_max = 1000,
		.rejoin_ms = setting(line, " rejoin=", 5000),
		.forget_ms = setting(line, " forget=", 86400000),
		.suspect_share = (unsigned)setting(line, " share=", 30),
		.suspect_min = (unsigned)setting(line, " min=", 20),
		.suspect_hold_ms = setting(line, " hold=", 60000),
		.flap_changes = (unsigned)setting(line, " flap=", 5),
		.flap_window_ms = 600000,
	};
	struct engine_listener listener = {.fd = -1,
					   .refusal = final_text(FINAL_RETRY),
					   .refusal_len = final_len(FINAL_RETRY, true)};
	uint8_t framing = FRAMING_LINE;
	int error = house_open(&story.house, &config, story.now);

	assert(error == 0);
	story.house.clients_max = 1000;
	story.house.message_max = WIRE_MESSAGE_MAX_DEFAULT;
	story.house.send_timeout_ms = setting(line, " send=", 30000);
	story.house.workers = story.worker_list;
	story.workers_count = config.workers;
	for (unsigned i = 0; i < config.workers; i++) {
		struct worker_config worker = {.index = i,
					       .kind = &engine_virtual,
					       .listeners = &listener,
					       .framings = &framing,
					       .listeners_count = 1,
					       .connections_max = 1000,
					       .now = story.now};

		virtual_expect(i, &story.random, view, NULL);
		error = worker_open(&story.workers[i], &story.house, &worker);
		assert(error == 0);
		story.worker_list[i] = &story.workers[i];
	}
	story.house.workers_count = config.workers;
	story.is_open = true;
}

static void tell(void)
{
	struct {
		struct event event;
		char text[EVENT_TEXT_MAX];
	} record;
	struct note note;
	char text[CONSOLE_LINE_MAX];
	size_t len;

	for (unsigned i = 0; i < story.workers_count; i++) {
		while ((len = feed_take(&story.workers[i].feed, &record, sizeof(record))) > 0) {
			struct console_line line = {.text = text, .size = sizeof(text)};

			console_text.event(&line, &self, &record.event, record.text,
					   len - sizeof(record.event),
					   (struct wall){record.event.at.ns});
			text[line.len] = '\0';
			write_text("| ", text);
		}
	}
	while (house_take_note(&story.house, &note)) {
		struct console_line line = {.text = text, .size = sizeof(text)};

		console_text.note(&line, &self, &note, 0);
		text[line.len] = '\0';
		if (line.len > 0)
			write_text("| ", text);
	}
}

/* Turns, each when it is wanted, up to `until`. */
static void live_until(struct mono until)
{
	while (story.is_open) {
		struct mono next = {UINT64_MAX};
		unsigned worker = 0;

		for (unsigned i = 0; i < story.workers_count; i++) {
			struct mono wants = virtual_wants(virtual_of(i), story.now);

			if (mono_before(wants, next)) {
				next = wants;
				worker = i;
			}
		}
		if (!mono_before(next, until))
			break;
		if (mono_before(story.now, next))
			story.now = next;
		virtual_turn(virtual_of(worker), story.now, false);
		tell();
	}
	if (mono_before(story.now, until))
		story.now = until;
}

static struct person *find(const char *name)
{
	for (unsigned i = story.people_count; i-- > 0;)
		if (strcmp(story.people[i].name, name) == 0)
			return &story.people[i];
	return NULL;
}

static void connects(const char *name, const char *worker)
{
	struct person *person = &story.people[story.people_count++];
	struct sockaddr_storage peer = {.ss_family = AF_UNIX};

	assert(story.people_count < NAMES_MAX);
	snprintf(person->name, sizeof(person->name), "%s", name);
	person->worker = (unsigned)strtoul(worker, NULL, 10);
	person->arrived = story.now;
	person->socket = virtual_connect(virtual_of(person->worker), 0, &peer);
}

static void takes(struct person *person)
{
	char bytes[4096], shown[8192];
	size_t len;

	live_until(mono_after(story.now, 1));
	virtual_room(virtual_of(person->worker), person->socket, 4096);
	len = virtual_take(virtual_of(person->worker), person->socket, bytes, sizeof(bytes));
	utf8_escape(shown, sizeof(shown), bytes, len);
	write_text("| takes ", shown);
	write_text("", "\n");
}

static void act(const char *name, const char *verb, const char *rest)
{
	struct person *person = find(name);

	if (strcmp(verb, "connects") == 0) {
		connects(name, rest);
		return;
	}
	assert(person != NULL);
	if (strcmp(verb, "says") == 0 || strcmp(verb, "floods") == 0)
		person->arrived = story.now;
	if (strcmp(verb, "says") == 0) {
		virtual_arrive(virtual_of(person->worker), person->socket, rest, strlen(rest));
		virtual_arrive(virtual_of(person->worker), person->socket, "\n", 1);
	} else if (strcmp(verb, "floods") == 0) {
		for (unsigned long left = strtoul(rest, NULL, 10); left > 0; left--)
			virtual_arrive(virtual_of(person->worker), person->socket, "a\n", 2);
	} else if (strcmp(verb, "closes") == 0) {
		virtual_end(virtual_of(person->worker), person->socket, VIRTUAL_EOF);
	} else if (strcmp(verb, "resets") == 0) {
		virtual_end(virtual_of(person->worker), person->socket, VIRTUAL_RESET);
	} else if (strcmp(verb, "dies") == 0) {
		person->dead = true;
		person->died = story.now;
	} else if (strcmp(verb, "takes") == 0) {
		takes(person);
	} else {
		fprintf(stderr, "a story has no verb `%s`\n", verb);
		exit(1);
	}
}

static void play(const char *line)
{
	char name[32] = "", verb[32] = "", rest[256] = "";
	double at;
	int used = 0;

	if (strncmp(line, "server ", 7) == 0) {
		open_server(line);
		write_text("", line);
		write_text("", "\n");
		return;
	}
	if (sscanf(line, "%lf %31s %31s %n", &at, name, verb, &used) < 2) {
		write_text("", line);
		write_text("", "\n");
		return;
	}
	live_until((struct mono){START_NS + (uint64_t)(at * 1e9)});
	write_text("", line);
	write_text("", "\n");
	if (strcmp(name, "end") == 0)
		return;
	if (used > 0)
		snprintf(rest, sizeof(rest), "%s", line + used);
	if (strcmp(name, "server") == 0)
		story.now = mono_after(story.now,
				       (uint64_t)(strtod(rest + strlen("for "), NULL) * 1e9));
	else
		act(name, verb, rest);
}

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text = calloc(1, TEXT_MAX);
	size_t len;

	if (file == NULL || text == NULL) {
		fprintf(stderr, "cannot read %s\n", path);
		exit(1);
	}
	len = fread(text, 1, TEXT_MAX - 1, file);
	text[len] = '\0';
	fclose(file);
	return text;
}

static void show_difference(const char *path, const char *expected)
{
	size_t same = 0, line = 1;

	while (expected[same] != '\0' && expected[same] == story.text[same]) {
		if (expected[same] == '\n')
			line++;
		same++;
	}
	while (same > 0 && expected[same - 1] != '\n')
		same--;
	fprintf(stderr, "%s:%zu: the story says\n  %.*s\nbut it went\n  %.*s\n", path, line,
		(int)strcspn(expected + same, "\n"), expected + same,
		(int)strcspn(story.text + same, "\n"), story.text + same);
}

int main(int argc, char **argv)
{
	bool writes = argc > 2 && strcmp(argv[1], "--write") == 0;
	const char *path = argv[argc - 1];
	char *expected, *lines, *line, *rest;
	bool same;

	if (argc < 2)
		return 2;
	setenv("TZ", "UTC", 1);
	tzset();
	expected = read_file(path);
	lines = strdup(expected);
	story.random.state = 1;
	story.now = (struct mono){START_NS};
	for (line = strtok_r(lines, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
		if (line[0] != '|')
			play(line);
	if (writes) {
		FILE *file = fopen(path, "w");

		fputs(story.text, file);
		fclose(file);
		return 0;
	}
	same = strcmp(expected, story.text) == 0;
	if (!same)
		show_difference(path, expected);
	free(lines);
	free(expected);
	return same ? 0 : 1;
}
