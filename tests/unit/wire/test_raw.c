/* Raw and auto: one receive is one message, and `stop` counts though TCP glued it to the words before it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cuts.h"

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
	STREAM("\0"),
	STREAM("a"),
	STREAM("stop"),
	STREAM("stopstop"),
	STREAM("Hellostop"),
	STREAM("pingsstop"),
	STREAM("ststop"),
	STREAM("stostop\n"),
	STREAM("stopx"),
	STREAM("xstop\r\n\0"),
	STREAM("stop\r\n\0stop"),
	STREAM("sto\np"),
	STREAM("st\0op"),
	STREAM("sto\rpstop\n"),
	STREAM("stop\0x\0"),
	STREAM("STOPstoP"),
	STREAM("id astop"),
	STREAM("idid\tid\0"),
	STREAM("\r\n\0\r\n\0"),
	STREAM("\0\0stop\0\0"),
	STREAM("a\nstop\nid a"),
	STREAM("ab\nid\r\nstop"),
	STREAM("\nstop"),
	STREAM("stop \n"),
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
			cuts_check_every(script_of(FRAMING_RAW, 65536, &nasty[i], ends),
					 nasty[i].len);
}

static void nasty_streams_in_auto(void **state)
{
	(void)state;
	for (size_t i = 0; i < NASTY; i++)
		for (int ends = 0; ends < 2; ends++)
			cuts_check_every(script_of(FRAMING_AUTO, 65536, &nasty[i], ends),
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
	for (size_t i = 0; i < NASTY; i++) {
		for (size_t longest = 0; longest <= 5; longest++) {
			check_many(script_of(FRAMING_RAW, longest, &nasty[i], true), nasty[i].len);
			check_many(script_of(FRAMING_AUTO, longest, &nasty[i], true), nasty[i].len);
		}
	}
}

static void longer_streams_cut_three_times(void **state)
{
	static const struct stream streams[] = {
		STREAM("Hello Server!pingid pump-7ping\r\nsilence\0stop\r\n\0afterstop"),
		STREAM("pingpingpingpingstopstopstosstopping\nid a\nstop"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
		cuts_check_triples(script_of(FRAMING_RAW, 65536, &streams[i], true),
				   streams[i].len);
		cuts_check_triples(script_of(FRAMING_AUTO, 65536, &streams[i], true),
				   streams[i].len);
		cuts_check_triples(script_of(FRAMING_RAW, 20, &streams[i], false), streams[i].len);
	}
}

static void replies_taken_in_pieces(void **state)
{
	static const size_t takes[] = {0, 1, 3, 10, 11, 12, 16, 40};
	static const struct stream stream = STREAM("pingid aping\0stop");

	(void)state;
	for (size_t i = 0; i < sizeof(takes) / sizeof(takes[0]); i++) {
		struct script script = script_of(FRAMING_RAW, 65536, &stream, true);

		script.take = takes[i];
		for (script.give_back = 0; script.give_back <= 13; script.give_back++)
			cuts_check_pairs(script, stream.len, stream.len);
	}
}

struct receives {
	const char *bytes[4];
};

static size_t pieces_of(size_t pieces[4], char *all, const struct receives *receives)
{
	size_t count = 0, len = 0;

	for (; count < 4 && receives->bytes[count] != NULL; count++) {
		pieces[count] = strlen(receives->bytes[count]);
		memcpy(all + len, receives->bytes[count], pieces[count]);
		len += pieces[count];
	}
	return count;
}

/* The rule of the tail, said literally. */
static void stop_glued_and_apart(void **state)
{
	static const struct {
		struct receives receives;
		bool stopped;
		const char *said;
	} cases[] = {
		{{{"stop"}}, true, "stop"},
		{{{"stop\r\n"}}, true, "stop"},
		{{{"ping", "stop"}}, true, "keep alivestop"},
		{{{"pingstop"}}, true, "keep alive"},
		{{{"pingstop\r\n", "\r\n"}}, true, "keep alivekeep alive"},
		{{{"st", "op"}}, true, "keep alivekeep alive"},
		{{{"pings", "t", "o", "p"}}, true, "keep alivekeep alivekeep alivekeep alive"},
		{{{"sst", "op"}}, true, "keep alivekeep alive"},
		{{{"pingstop", "ping"}}, false, "keep alivekeep alive"},
		{{{"pingsto"}}, false, "keep alive"},
		{{{"st\r\n", "op"}}, false, "keep alivekeep alive"},
		{{{"stop", "ping"}}, true, "stop"},
		{{{"stop it"}}, false, "keep alive"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t pieces[4];
		char all[100];
		struct script script = {
			.framing = FRAMING_RAW, .longest = 65536, .bytes = all, .pieces = pieces};
		struct transcript played;

		script.count = pieces_of(pieces, all, &cases[i].receives);
		transcript_play(&played, &script, false);
		assert_null(played.fault);
		assert_int_equal(played.spells_stop, cases[i].stopped);
		assert_int_equal(played.said.len, strlen(cases[i].said));
		assert_memory_equal(played.said.bytes, cases[i].said, played.said.len);
		transcript_fini(&played);
		cuts_check(&script);
	}
}

static void a_receive_as_long_as_allowed(void **state)
{
	static char bytes[70000];
	size_t pieces[1];
	struct script script = {
		.longest = 65536, .bytes = bytes, .pieces = pieces, .count = 1, .ends = true};

	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	for (pieces[0] = 65535; pieces[0] <= 65537; pieces[0]++) {
		script.framing = FRAMING_RAW;
		cuts_check(&script);
		script.framing = FRAMING_AUTO;
		cuts_check(&script);
	}
}

/* Decided once, by the first bytes. */
static void auto_is_decided_once(void **state)
{
	struct conversation conversation;
	struct heads heads;
	_Alignas(uint32_t) char memory[WIRE_HEAD_BYTES + 4];

	(void)state;
	heads_init(&heads, memory, 1);
	conversation_init(&conversation, FRAMING_AUTO);
	conversation_hear(&conversation, &heads, "", 0, 10, false);
	assert_int_equal(conversation.framing, FRAMING_AUTO);
	conversation_hear(&conversation, &heads, "ping", 4, 10, false);
	assert_int_equal(conversation.framing, FRAMING_RAW);
	conversation_hear(&conversation, &heads, "ping\nping\n", 10, 10, false);
	assert_int_equal(conversation.framing, FRAMING_RAW);
	assert_int_equal(conversation_owes(&conversation), 20);
	conversation_fini(&conversation, &heads);

	conversation_init(&conversation, FRAMING_AUTO);
	conversation_hear(&conversation, &heads, "a\nb", 3, 10, false);
	assert_int_equal(conversation.framing, FRAMING_LINE);
	conversation_hear(&conversation, &heads, "c", 1, 10, false);
	assert_int_equal(conversation_owes(&conversation), 11);
	conversation_fini(&conversation, &heads);
	assert_int_equal(heads.taken, 0);
}

static void an_end_without_a_word(void **state)
{
	struct conversation conversation;
	struct heads heads;

	(void)state;
	heads_init(&heads, NULL, 0);
	for (enum framing framing = FRAMING_AUTO; framing <= FRAMING_RAW; framing++) {
		conversation_init(&conversation, framing);
		struct hearing hearing = conversation_end(&conversation, &heads);

		assert_int_equal(hearing.what, HEARD_ALL);
		assert_int_equal(hearing.messages, 0);
		assert_int_equal(conversation_owes(&conversation), 0);
		assert_true(conversation_is_over(&conversation));
		assert_false(conversation_spells_stop(&conversation, &heads));
		conversation_fini(&conversation, &heads);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nasty_streams_cut_in_every_way),
		cmocka_unit_test(nasty_streams_in_auto),
		cmocka_unit_test(limits_in_every_way),
		cmocka_unit_test(longer_streams_cut_three_times),
		cmocka_unit_test(replies_taken_in_pieces),
		cmocka_unit_test(stop_glued_and_apart),
		cmocka_unit_test(a_receive_as_long_as_allowed),
		cmocka_unit_test(auto_is_decided_once),
		cmocka_unit_test(an_end_without_a_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
