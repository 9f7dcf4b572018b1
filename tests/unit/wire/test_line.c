/* Lines: however they are cut, the same messages are heard and the same replies are said. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cuts.h"

/* Text with its length: NULs are welcome. */
struct stream {
	const char *bytes;
	size_t len;
};
#define STREAM(text)                                                                               \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

static const struct stream nasty[] = {
	STREAM(""),
	STREAM("\n"),
	STREAM("\r"),
	STREAM("\r\n"),
	STREAM("a\n"),
	STREAM("stop"),
	STREAM("stop\n"),
	STREAM("stop\r\nab\n"),
	STREAM("\nstop\nx\n"),
	STREAM("stop\nstop\n"),
	STREAM("stop\r\r\n"),
	STREAM("\rstop\n"),
	STREAM("\r\n\r\r\n\n\r"),
	STREAM("stopp\nstop"),
	STREAM("sstop\nstop\r"),
	STREAM("st\rop\nstop"),
	STREAM("s\nst\nsto\nst"),
	STREAM("stop \n stop"),
	STREAM("Stop\nSTOP\n"),
	STREAM("stop\0\nstop"),
	STREAM("id\nid a\nidx"),
	STREAM("id a\r\nstop\r"),
	STREAM("id\r\nid\ta"),
	STREAM("i\nid \niid\n"),
	STREAM("ids\nid\0\nid"),
	STREAM("Id a\nid  \r\n"),
	STREAM("a\0b\n\0\n\0"),
	STREAM("\xff\xfe\n\x8a\n\x0a"),
	STREAM("\x73\x0b\x09\x0a\x8d\n"),
	STREAM("\n\n\n\nstop\n\n"),
	STREAM("\n\x0b\n\x0b\x0b\n\x09\x0b\n"),
	STREAM("a\nb\nc\nd\ne\nf"),
	STREAM("12345678\nid\n"),
	STREAM("1234567\nstop\n"),
	STREAM("123\nid\n\nsto\n"),
};
#define NASTY (sizeof(nasty) / sizeof(nasty[0]))

static struct script script_of(enum framing framing, size_t longest, const struct stream *stream,
			       bool ends)
{
	return (struct script){
		.framing = framing, .longest = longest, .bytes = stream->bytes, .ends = ends};
}

static void nasty_streams_cut_in_every_way(void **state)
{
	(void)state;
	for (size_t i = 0; i < NASTY; i++)
		for (int ends = 0; ends < 2; ends++)
			cuts_check_every(script_of(FRAMING_LINE, 65536, &nasty[i], ends),
					 nasty[i].len);
}

/* In every way where that is not too many for a test that is run often. */
static void check_many(struct script script, size_t len)
{
	if (len <= 11)
		cuts_check_every(script, len);
	else
		cuts_check_triples(script, len);
}

static void limits_in_every_way(void **state)
{
	(void)state;
	for (size_t i = 0; i < NASTY; i++)
		for (size_t longest = 0; longest <= 5; longest++)
			check_many(script_of(FRAMING_LINE, longest, &nasty[i], true), nasty[i].len);
}

static void longer_streams_cut_three_times(void **state)
{
	static const struct stream streams[] = {
		STREAM("Hello Server!\r\nping\nid pump-7 "
		       "every=30s\nping\n\nsilence\nstop\nafter\n"),
		STREAM("ping\nping\nping\nping\nping\nping\nping\nping\nsing\niing\n"),
		STREAM("12345678901234567890\n1234567890\n123456789\n12345678\n1\n"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
		cuts_check_triples(script_of(FRAMING_LINE, 65536, &streams[i], true),
				   streams[i].len);
		cuts_check_triples(script_of(FRAMING_LINE, 19, &streams[i], true), streams[i].len);
	}
}

/* Output taken by and by, and some of it given back: what is said stays the same. */
static void replies_taken_in_pieces(void **state)
{
	static const size_t takes[] = {0, 1, 3, 10, 11, 12, 16, 40};
	static const struct stream stream = STREAM("ping\nping\nid a\nping\nstop\n");

	(void)state;
	for (size_t i = 0; i < sizeof(takes) / sizeof(takes[0]); i++) {
		struct script script = script_of(FRAMING_LINE, 65536, &stream, true);

		script.take = takes[i];
		for (script.give_back = 0; script.give_back <= 13; script.give_back++)
			cuts_check_pairs(script, stream.len, stream.len);
	}
}

/* Fills a line of `len` bytes and its end, at `at`. */
static size_t put_line(char *bytes, size_t at, size_t len, const char *begin, const char *end)
{
	memset(bytes + at, 'x', len);
	memcpy(bytes + at, begin, strlen(begin) < len ? strlen(begin) : len);
	memcpy(bytes + at + len, end, strlen(end));
	return at + len + strlen(end);
}

/* Around the length of which the first bytes are kept. */
static void lines_as_long_as_a_head(void **state)
{
	static const char *const ends[] = {"\n", "\r\n", "\r\r\n", "\nstop\n"};
	char bytes[2 * WIRE_HEAD_BYTES];

	(void)state;
	for (size_t len = WIRE_HEAD_BYTES - 3; len <= WIRE_HEAD_BYTES + 3; len++) {
		for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
			size_t all = put_line(bytes, 0, len, "id ", ends[i]);
			struct stream stream = {bytes, all};

			cuts_check_single(script_of(FRAMING_LINE, 65536, &stream, true), all);
			cuts_check_single(script_of(FRAMING_LINE, len, &stream, false), all);
			cuts_check_single(script_of(FRAMING_LINE, len - 1, &stream, true), all);
			cuts_check_extremes(script_of(FRAMING_LINE, 65536, &stream, true), all);
		}
	}
}

/* One more than the longest is too long, with or without an end, and what follows is not heard. */
static void the_longest_line_and_one_more(void **state)
{
	static const char *const ends[] = {"\n", "\r\n", "", "\r", "\nping\n"};
	char bytes[400];

	(void)state;
	for (size_t len = 100; len <= 102; len++) {
		for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
			size_t begin = put_line(bytes, 0, 4, "ping", "\n");
			size_t all = put_line(bytes, begin, len, "", ends[i]);
			struct stream stream = {bytes, all};

			cuts_check_pairs(script_of(FRAMING_LINE, 101, &stream, true), all, 20);
			cuts_check_pairs(script_of(FRAMING_LINE, 100, &stream, false), all, 20);
		}
	}
}

static void a_line_without_an_end_is_too_long_as_soon_as_it_is(void **state)
{
	struct conversation conversation;
	struct heads heads;
	_Alignas(uint32_t) char memory[WIRE_HEAD_BYTES + 4];

	(void)state;
	heads_init(&heads, memory, 1);
	conversation_init(&conversation, FRAMING_LINE);
	for (int i = 0; i < 10; i++) {
		struct hearing hearing =
			conversation_hear(&conversation, &heads, "x", 1, 10, false);

		assert_int_equal(hearing.what, HEARD_ALL);
	}
	assert_int_equal(conversation_hear(&conversation, &heads, "\r", 1, 10, false).what,
			 HEARD_ALL);
	assert_false(conversation_is_over(&conversation));
	assert_int_equal(conversation_hear(&conversation, &heads, "x", 1, 10, false).what,
			 HEARD_TOO_LONG);
	assert_true(conversation_is_over(&conversation));
	assert_int_equal(heads.taken, 0);
	assert_int_equal(conversation_owes(&conversation), strlen("error message too long\n"));
	assert_int_equal(conversation_hear(&conversation, &heads, "stop\n", 5, 10, false).what,
			 HEARD_ALL);
	assert_int_equal(conversation_owes(&conversation), strlen("error message too long\n"));
	conversation_fini(&conversation, &heads);
}

/* As many lines as one receive may bring, and every alignment of the first letter that needs a closer look. */
static void many_lines_in_one_receive(void **state)
{
	size_t len = 0;
	char *bytes = malloc(65536);

	(void)state;
	assert_non_null(bytes);
	for (size_t line = 0; len < 60000; line++)
		len = put_line(bytes, len, line % 23,
			       line % 7 == 0	? "id "
			       : line % 11 == 0 ? "sto"
						: "",
			       "\n");
	struct stream stream = {bytes, len};

	cuts_check_extremes(script_of(FRAMING_LINE, 65536, &stream, true), len);
	cuts_check_extremes(script_of(FRAMING_LINE, SIZE_MAX, &stream, true), len);
	cuts_check_extremes(script_of(FRAMING_LINE, 22, &stream, true), len);
	cuts_check_extremes(script_of(FRAMING_LINE, 21, &stream, true), len);
	free(bytes);
}

/* Said literally, beside the comparison: the specification's own example. */
static void what_a_client_reads(void **state)
{
	static const char heard[] = "Hello Server!\r\nping\r\nstop\r\nmore\r\n";
	static const char said[] = "keep alive\nkeep alive\nstop\n";
	const size_t pieces[] = {sizeof(heard) - 1};
	struct script script = {.framing = FRAMING_LINE,
				.longest = 65536,
				.bytes = heard,
				.pieces = pieces,
				.count = 1,
				.take = 4};
	struct transcript played;

	(void)state;
	transcript_play(&played, &script, false);
	assert_null(played.fault);
	assert_int_equal(played.messages, 3);
	assert_int_equal(played.count, 1);
	assert_int_equal(played.told[0].what, HEARD_STOP);
	assert_int_equal(played.said.len, sizeof(said) - 1);
	assert_memory_equal(played.said.bytes, said, sizeof(said) - 1);
	transcript_fini(&played);
}

static void reset_with_a_pending_stop(void **state)
{
	static const struct {
		const char *bytes;
		bool stopped;
	} cases[] = {
		{"ping\nstop", true}, {"stop\r", true},
		{"stop", true},	      {"ping\nsto", false},
		{"xstop", false},     {"stop ", false},
		{"stopx", false},     {"ping\nstop\nping", true},
		{"stop\r\r", false},  {"ping\n", false},
		{"", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const size_t pieces[] = {strlen(cases[i].bytes)};
		struct script script = {.framing = FRAMING_LINE,
					.longest = 65536,
					.bytes = cases[i].bytes,
					.pieces = pieces,
					.count = 1};
		struct transcript played;

		transcript_play(&played, &script, false);
		assert_null(played.fault);
		assert_int_equal(played.spells_stop, cases[i].stopped);
		transcript_fini(&played);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nasty_streams_cut_in_every_way),
		cmocka_unit_test(limits_in_every_way),
		cmocka_unit_test(longer_streams_cut_three_times),
		cmocka_unit_test(replies_taken_in_pieces),
		cmocka_unit_test(lines_as_long_as_a_head),
		cmocka_unit_test(the_longest_line_and_one_more),
		cmocka_unit_test(a_line_without_an_end_is_too_long_as_soon_as_it_is),
		cmocka_unit_test(many_lines_in_one_receive),
		cmocka_unit_test(what_a_client_reads),
		cmocka_unit_test(reset_with_a_pending_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
