/* The things a server says, however their bytes come: each stream is cut in every way into three pieces, and in bytes. */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "client/splitter.h"

#define FOUND_MAX 2048

static struct splitter splitter;
static char found[FOUND_MAX];

/* One letter a saying, and its text: "K|R5|T hello|". */
static void take_all(void)
{
	struct saying saying;

	while (splitter_take(&splitter, &saying)) {
		size_t at = strlen(found);

		switch (saying.what) {
		case SAID_KEEP_ALIVE:
			snprintf(found + at, FOUND_MAX - at, "K|");
			break;
		case SAID_STOP:
			snprintf(found + at, FOUND_MAX - at, "S|");
			break;
		case SAID_RETRY:
			snprintf(found + at, FOUND_MAX - at, "R%u|", saying.seconds);
			break;
		case SAID_ERROR:
			snprintf(found + at, FOUND_MAX - at, "E %.*s|", (int)saying.len,
				 saying.text);
			break;
		case SAID_TEXT:
			snprintf(found + at, FOUND_MAX - at, "T %.*s|", (int)saying.len,
				 saying.text);
			break;
		}
	}
}

static void hear(const char *bytes, size_t len)
{
	assert_int_equal(splitter_feed(&splitter, bytes, len), len);
	take_all();
}

static void start(enum framing framing)
{
	splitter_init(&splitter, framing);
	found[0] = '\0';
}

/* After the stream the server is quiet, or ends. */
static void finish(bool end)
{
	if (end)
		splitter_end(&splitter);
	else
		splitter_quiet(&splitter);
	take_all();
}

static void check_cuts(enum framing framing, const char *stream, size_t len, bool end,
		       const char *expected)
{
	for (size_t first = 0; first <= len; first++)
		for (size_t second = first; second <= len; second++) {
			start(framing);
			hear(stream, first);
			hear(stream + first, second - first);
			hear(stream + second, len - second);
			finish(end);
			assert_string_equal(found, expected);
		}
	start(framing);
	for (size_t i = 0; i < len; i++)
		hear(stream + i, 1);
	finish(end);
	assert_string_equal(found, expected);
}

struct stream {
	const char *bytes;
	const char *expected;
};

static void test_lines(void **state)
{
	static const struct stream streams[] = {
		{"", ""},
		{"keep alive\n", "K|"},
		{"keep alive\nkeep alive\r\nstop\n", "K|K|S|"},
		{"\n\r\n", "T |T |"},
		{"retry 5\nstop\n", "R5|S|"},
		{"retry 0\nretry 4294967297\n", "R0|R31622400|"},
		{"retry \nretry\nretry 5s\nretry -1\n", "T retry |T retry|T retry 5s|T retry -1|"},
		{"error id: wrong key\n", "E error id: wrong key|"},
		{"error\nerrors are many\n", "E error|T errors are many|"},
		{"keep alive!\nKeep alive\n keep alive\nstop it\n",
		 "T keep alive!|T Keep alive|T  keep alive|T stop it|"},
		{"stop\rx\n", "T stop\rx|"},
		{"keep alivekeep alive\n", "T keep alivekeep alive|"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
		check_cuts(FRAMING_LINE, streams[i].bytes, strlen(streams[i].bytes), false,
			   streams[i].expected);
		check_cuts(FRAMING_LINE, streams[i].bytes, strlen(streams[i].bytes), true,
			   streams[i].expected);
	}
}

static void test_last_line_without_an_end(void **state)
{
	(void)state;
	check_cuts(FRAMING_LINE, "keep alive\nstop", 15, true, "K|S|");
	check_cuts(FRAMING_LINE, "keep alive\nstop", 15, false, "K|");
	check_cuts(FRAMING_LINE, "keep alive\r", 11, true, "K|");
}

static void test_raw_until_the_server_is_quiet(void **state)
{
	static const struct stream streams[] = {
		{"", ""},
		{"keep alive", "K|"},
		{"keep alivekeep alivekeep alive", "K|K|K|"},
		{"keep alivestop", "K|S|"},
		{"stop", "S|"},
		{"keep alive\r\nstop\n", "K|S|"},
		{"retry 5", "R5|"},
		{"keep aliveretry 12", "K|R12|"},
		{"error message too long", "E error message too long|"},
		{"keep aliveerror id: in use", "K|E error id: in use|"},
		{"hello allkeep alive", "T hello all|K|"},
		{"keep alivehello all", "K|T hello all|"},
		{"keep keep alive", "T keep |K|"},
		{"keep akeep alive", "T keep a|K|"},
		{"stopkeep alive", "S|K|"},
		{"do not stop", "T do not stop|"},
		{"retry 12stop", "R12|S|"},
		{"retry 12keep alive", "R12|K|"},
		{"retry later", "T retry later|"},
		/* The beginning of a word of the protocol waits for its rest. */
		{"keep alivekeep al", "K|"},
		{"st", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++)
		check_cuts(FRAMING_RAW, streams[i].bytes, strlen(streams[i].bytes), false,
			   streams[i].expected);
}

static void test_raw_until_the_end(void **state)
{
	static const struct stream streams[] = {
		{"keep alivestop", "K|S|"},
		{"keep alivekeep al", "K|T keep al|"},
		{"bye, stop", "T bye, |S|"},
		{"retry 5stop", "R5|S|"},
		{"error do not stop", "E error do not stop|"},
		{"stop\r\n", "S|"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++)
		check_cuts(FRAMING_RAW, streams[i].bytes, strlen(streams[i].bytes), true,
			   streams[i].expected);
	check_cuts(FRAMING_RAW, "keep alive\0keep alive\0stop\0", 27, true, "K|K|S|");
	check_cuts(FRAMING_RAW, "keep alive\0keep alive\0stop\0", 27, false, "K|K|S|");
}

static void test_raw_dribbled_slowly(void **state)
{
	static const char stream[] = "keep alivestop";

	(void)state;
	/* Quiet after every single byte, and still nothing is taken for something else. */
	start(FRAMING_RAW);
	for (size_t i = 0; i < strlen(stream); i++) {
		hear(stream + i, 1);
		finish(false);
	}
	assert_string_equal(found, "K|S|");
}

static void test_long_line_comes_in_pieces(void **state)
{
	static char line[3 * SPLITTER_BYTES];
	size_t fed = 0, texts = 0, total = 0;
	struct saying saying = {.more = true};

	(void)state;
	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	start(FRAMING_LINE);
	while (fed < sizeof(line)) {
		fed += splitter_feed(&splitter, line + fed, sizeof(line) - fed);
		while (splitter_take(&splitter, &saying)) {
			assert_int_equal(saying.what, SAID_TEXT);
			total += saying.len;
			texts++;
		}
	}
	assert_int_equal(total, sizeof(line) - 1);
	assert_true(texts >= 3);
	assert_false(saying.more);
	/* The rest of a long line is text, whatever it looks like. */
	start(FRAMING_LINE);
	assert_int_equal(splitter_feed(&splitter, line, SPLITTER_BYTES), SPLITTER_BYTES);
	assert_true(splitter_take(&splitter, &saying));
	assert_true(saying.more);
	hear("keep alive\nkeep alive\n", 22);
	assert_string_equal(found, "T keep alive|K|");
}

static void test_missing_line_end_is_seen(void **state)
{
	(void)state;
	start(FRAMING_LINE);
	hear("keep aliv", 9);
	assert_false(splitter_lacks_line_end(&splitter));
	hear("e", 1);
	assert_true(splitter_lacks_line_end(&splitter));
	hear("\n", 1);
	assert_false(splitter_lacks_line_end(&splitter));
	start(FRAMING_RAW);
	hear("keep alive", 10);
	assert_false(splitter_lacks_line_end(&splitter));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_last_line_without_an_end),
		cmocka_unit_test(test_raw_until_the_server_is_quiet),
		cmocka_unit_test(test_raw_until_the_end),
		cmocka_unit_test(test_raw_dribbled_slowly),
		cmocka_unit_test(test_long_line_comes_in_pieces),
		cmocka_unit_test(test_missing_line_end_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
