/* The lines of both formats, letter by letter: people read one, programs the other. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/console.h"

static const struct console_self self = {.node = "alpha", .epoch = 1700000000};

/* 2023-11-14T22:13:20.25Z; the monotonic clock is at 50 s then. */
static const struct wall at = {UINT64_C(1700000000250000000)};
#define MONO(seconds) ((struct mono){(uint64_t)((seconds)*1e9)})
#define AHEAD (UINT64_C(1700000000250000000) - UINT64_C(50000000000))

static char text[CONSOLE_LINE_MAX];

static struct console_line begin(void)
{
	return (struct console_line){.text = text, .size = sizeof(text)};
}

static const char *end(const struct console_line *line)
{
	text[line->len] = '\0';
	return text;
}

static const char *event_line(const struct console_format *format, const struct event *event,
			      const char *words)
{
	struct console_line line = begin();

	format->event(&line, &self, event, words, strlen(words), at);
	return end(&line);
}

static const char *note_line(const struct console_format *format, const struct note *note)
{
	struct console_line line = begin();

	format->note(&line, &self, note, AHEAD);
	return end(&line);
}

static struct event session_event(enum event_kind kind)
{
	return (struct event){
		.kind = (uint8_t)kind,
		.tag = 7,
		.peer = {.bytes = {192, 0, 2, 1}, .port = 4711, .family = ADDRESS_IPV4},
	};
}

static struct note verdict(enum state from, enum state to, enum reason reason)
{
	struct note note = {
		.kind = NOTE_VERDICT,
		.sequence = 12,
		.tag = 7,
		.from = from,
		.to = to,
		.reason = reason,
		.announced = true,
		.heard = MONO(5),
		.happened = MONO(49.5),
		.judged = MONO(50),
		.name_len = 6,
		.group_len = 5,
	};

	strcpy(note.name, "pump-7");
	strcpy(note.group, "north");
	return note;
}

static void lines_for_people(void **state)
{
	struct event event = session_event(EVENT_CONNECT);

	(void)state;
	assert_string_equal(event_line(&console_text, &event, ""),
			    "22:13:20.250  #7  192.0.2.1:4711  connected\n");
	event = session_event(EVENT_MESSAGE);
	event.bytes = 6;
	assert_string_equal(event_line(&console_text, &event, "a\x01\xff z\\"),
			    "22:13:20.250  #7  6 bytes: a\\x01\\xff z\\\\\n");
	event = session_event(EVENT_ID);
	event.name_len = 6;
	event.every_ms = 30000;
	event.grace_ms = 1500;
	assert_string_equal(event_line(&console_text, &event, "pump-7"),
			    "22:13:20.250  #7  is pump-7, every 30s, grace 1500ms\n");
	assert_string_equal(event_line(&console_text, &event, "pump-7north"),
			    "22:13:20.250  #7  is pump-7, every 30s, grace 1500ms, group north\n");
	event = session_event(EVENT_END);
	event.messages = 1;
	event.bytes = 5;
	event.lasted_ms = 4200;
	event.reason = REASON_RESET;
	assert_string_equal(event_line(&console_text, &event, "pump-7"),
			    "22:13:20.250  #7  pump-7  192.0.2.1:4711  ended after 4.2s: 1 "
			    "message, 5 bytes, reset (client or "
			    "network)\n");
}

static void verdicts_for_people(void **state)
{
	struct note note = verdict(STATE_LATE, STATE_GONE, REASON_HUNG);

	(void)state;
	assert_string_equal(note_line(&console_text, &note),
			    "22:13:20.250  pump-7  gone: hung (client), last heard 45s ago\n");
	note = verdict(STATE_LATE, STATE_ALIVE, REASON_NONE);
	assert_string_equal(note_line(&console_text, &note),
			    "22:13:20.250  pump-7  back, alive (was late)\n");
	note.is_new = true;
	assert_string_equal(note_line(&console_text, &note), "22:13:20.250  pump-7  alive (new)\n");
	note = verdict(STATE_LATE, STATE_GONE, REASON_HUNG);
	note.announced = false;
	assert_string_equal(note_line(&console_text, &note), "");
	note = verdict(STATE_LATE, STATE_GONE, REASON_CLOSED);
	note.name_len = 0;
	assert_string_equal(note_line(&console_text, &note), "");
	note = (struct note){.kind = NOTE_PARTITION,
			     .count = 31,
			     .judged = MONO(50),
			     .group_len = 5,
			     .group = "north"};
	assert_string_equal(note_line(&console_text, &note),
			    "22:13:20.250  partition suspected: 31 clients of group north fell "
			    "silent at once; verdicts wait\n");
}

static void lines_for_programs(void **state)
{
	struct event event = session_event(EVENT_CONNECT);

	(void)state;
	if (console_json == NULL)
		skip();
	assert_string_equal(
		event_line(console_json, &event, ""),
		"{\"event\":\"connect\",\"time\":\"2023-11-14T22:13:20.250000Z\",\"tag\":7,"
		"\"address\":\"192.0.2.1:4711\",\"listener\":0}\n");
	event = session_event(EVENT_END);
	event.messages = 1;
	event.bytes = 5;
	event.lasted_ms = 4200;
	event.reason = REASON_STOPPED;
	assert_string_equal(
		event_line(console_json, &event, ""),
		"{\"event\":\"end\",\"time\":\"2023-11-14T22:13:20.250000Z\",\"tag\":7,"
		"\"address\":\"192.0.2.1:4711\",\"lasted_ms\":4200,\"messages\":1,\"bytes\":5,"
		"\"reason\":\"stopped\",\"fault\":\"client\"}\n");
}

static void verdicts_for_programs(void **state)
{
	struct note note = verdict(STATE_LATE, STATE_GONE, REASON_UNREACHABLE);

	(void)state;
	if (console_json == NULL)
		skip();
	assert_string_equal(
		note_line(console_json, &note),
		"{\"event\":\"verdict\",\"node\":\"alpha\",\"epoch\":1700000000,\"sequence\":12,"
		"\"id\":\"pump-7\","
		"\"group\":\"north\",\"tag\":7,\"from\":\"late\",\"state\":\"gone\",\"reason\":"
		"\"unreachable\","
		"\"fault\":\"network\",\"heard\":\"2023-11-14T22:12:35.250000Z\","
		"\"happened\":\"2023-11-14T22:13:19.750000Z\",\"rejoined\":0,\"announced\":true,"
		"\"judged\":\"2023-11-14T22:13:20.250000Z\"}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_for_people),
		cmocka_unit_test(verdicts_for_people),
		cmocka_unit_test(lines_for_programs),
		cmocka_unit_test(verdicts_for_programs),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
