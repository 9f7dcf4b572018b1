/* A client's conversation in virtual time, each test a story: what was said, heard, and when. */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/client.h"

#define STORY_MAX 4096

static struct client client;
static char story[STORY_MAX];
static struct mono now;

static void note(const char *text)
{
	snprintf(story + strlen(story), STORY_MAX - strlen(story), "%s ", text);
}

static void note_reply(const struct client_event *event)
{
	char text[128];

	snprintf(text, sizeof(text), "%s(%.*s)%s+%u", event->stop ? "stop" : "reply",
		 (int)event->said_len, event->said,
		 event->message.kind == MESSAGE_HEARTBEAT ? "beat" : "",
		 (unsigned)(event->took_ns / NS_PER_MS));
	note(text);
}

static void note_events(void)
{
	struct client_event event;
	char text[128];

	while (client_next(&client, &event)) {
		switch (event.kind) {
		case CLIENT_REPLY:
			note_reply(&event);
			break;
		case CLIENT_STOP:
			note("STOP");
			break;
		case CLIENT_RETRY:
			snprintf(text, sizeof(text), "RETRY%u", event.seconds);
			note(text);
			break;
		case CLIENT_ERROR:
			note("ERROR");
			break;
		case CLIENT_TEXT:
			snprintf(text, sizeof(text), "TEXT(%.*s)", (int)event.len, event.text);
			note(text);
			break;
		case CLIENT_NO_LINES:
			note("NO_LINES");
			break;
		}
	}
}

static void start(struct client_settings settings)
{
	story[0] = '\0';
	now = (struct mono){NS_PER_S};
	settings.heartbeat = "ping";
	assert_int_equal(client_init(&client, &settings), 0);
	client_connected(&client, now);
}

static void pass_ms(uint64_t ms)
{
	now = mono_after(now, ms * NS_PER_MS);
}

static void say(const char *text)
{
	assert_int_equal(client_say(&client, text, strlen(text)), 0);
}

/* Sends all that is to be sent and notes it. */
static void send_all(void)
{
	size_t len;
	const char *bytes = client_output(&client, &len);
	char text[256];

	snprintf(text, sizeof(text), "[%.*s]", (int)len, bytes);
	for (char *lf = text; (lf = strchr(lf, '\n'));)
		*lf = '/';
	client_sent(&client, len, now);
	note(text);
}

static void hear(const char *bytes)
{
	assert_int_equal(client_received(&client, bytes, strlen(bytes), now), strlen(bytes));
	note_events();
	window_check(&client.window);
}

static enum client_duty tick(void)
{
	enum client_duty duty = client_tick(&client, now);

	note_events();
	return duty;
}

static void end(const char *expected)
{
	assert_string_equal(story, expected);
	client_fini(&client);
}

static void test_replies_are_matched_and_timed(void **state)
{
	(void)state;
	start((struct client_settings){.framing = FRAMING_LINE});
	say("one");
	send_all();
	pass_ms(5);
	say("two");
	send_all();
	pass_ms(10);
	hear("keep alive\nkeep al");
	pass_ms(1);
	hear("ive\n");
	assert_int_equal(client_unanswered(&client), 0);
	end("[one/] [two/] reply(one)+15 reply(two)+11 ");
}

static void test_raw_says_one_at_a_time(void **state)
{
	(void)state;
	start((struct client_settings){.framing = FRAMING_RAW, .greeting = "Hello Server!"});
	say("one");
	say("stop");
	send_all();
	send_all();
	hear("keep");
	send_all();
	hear(" alive");
	send_all();
	hear("keep alive");
	send_all();
	hear("stop");
	assert_false(client.over);
	client_ended(&client);
	note_events();
	assert_true(client.over);
	end("[Hello Server!] [] [] reply(Hello Server!)+0 [one] reply(one)+0 [stop] stop(stop)+0 ");
}

static void test_raw_stop_is_understood_when_the_server_is_quiet(void **state)
{
	(void)state;
	start((struct client_settings){.framing = FRAMING_RAW});
	say("stop");
	send_all();
	pass_ms(3);
	hear("stop");
	assert_true(client_due(&client).ns == now.ns + 100 * NS_PER_MS);
	pass_ms(99);
	tick();
	assert_false(client.over);
	pass_ms(1);
	tick();
	assert_true(client.over);
	end("[stop] stop(stop)+3 ");
}

static void test_stop_ends_it(void **state)
{
	(void)state;
	start((struct client_settings){.framing = FRAMING_LINE});
	say("one");
	say("stop");
	assert_int_equal(client_say(&client, "late", 4), -EPIPE);
	client_stop(&client);
	send_all();
	hear("keep alive\n");
	assert_false(client.over);
	hear("stop\nnothing of this\n");
	assert_true(client.over);
	end("[one/stop/] reply(one)+0 stop(stop)+0 ");
}

static void test_server_stops_unasked(void **state)
{
	(void)state;
	start((struct client_settings){.framing = FRAMING_LINE});
	say("one");
	send_all();
	hear("stop\n");
	assert_true(client.over);
	assert_int_equal(client_unanswered(&client), 1);
	end("[one/] STOP ");
}

static void test_what_looks_like_stop_to_a_server_is_stop(void **state)
{
	(void)state;
	start((struct client_settings){.framing = FRAMING_LINE});
	say("stop\r");
	assert_true(client.stopping);
	end("");
	start((struct client_settings){.framing = FRAMING_LINE});
	say("stop\r\r");
	say(" stop");
	say("STOP");
	assert_false(client.stopping);
	end("");
	start((struct client_settings){.framing = FRAMING_RAW});
	assert_int_equal(client_say(&client, "stop\0", 6), 0);
	assert_true(client.stopping);
	end("");
}

static void test_said_unasked(void **state)
{
	(void)state;
	start((struct client_settings){.framing = FRAMING_LINE});
	hear("keep alive\nhello\nretry 7\nerror id: in use\n");
	end("TEXT(keep alive) TEXT(hello) RETRY7 ERROR ");
}

static void test_greeting_then_id_first_on_every_connection(void **state)
{
	(void)state;
	start((struct client_settings){
		.framing = FRAMING_LINE, .greeting = "hello", .id = "id me"});
	say("one");
	say("two");
	send_all();
	hear("keep alive\nkeep alive\nkeep alive\n");
	client_ended(&client);
	note_events();
	client_disconnected(&client);
	say("three");
	client_connected(&client, now);
	send_all();
	hear("keep alive\nkeep alive\nkeep alive\nkeep alive\n");
	end("[hello/id me/one/two/] reply(hello)+0 reply(id me)+0 reply(one)+0 [hello/id "
	    "me/two/three/] "
	    "reply(hello)+0 reply(id me)+0 reply(two)+0 reply(three)+0 ");
}

static void test_beats_when_nothing_else_was_said(void **state)
{
	(void)state;
	start((struct client_settings){.framing = FRAMING_LINE, .every_ns = 30 * NS_PER_S});
	pass_ms(20000);
	say("one");
	tick();
	send_all();
	hear("keep alive\n");
	pass_ms(29999);
	tick();
	send_all();
	pass_ms(1);
	assert_int_equal(client_due(&client).ns, now.ns);
	tick();
	tick();
	send_all();
	hear("keep alive\n");
	pass_ms(30000);
	tick();
	send_all();
	end("[one/] reply(one)+0 [] [ping/] reply(ping)beat+0 [ping/] ");
}

static void test_beats_not_after_stop_nor_half_close(void **state)
{
	(void)state;
	start((struct client_settings){.framing = FRAMING_LINE, .every_ns = NS_PER_S});
	client_stop(&client);
	send_all();
	pass_ms(5000);
	tick();
	send_all();
	end("[stop/] [] ");
	start((struct client_settings){.framing = FRAMING_LINE, .every_ns = NS_PER_S});
	client_fall_silent(&client);
	pass_ms(5000);
	tick();
	send_all();
	assert_int_equal(client_say(&client, "x", 1), -EPIPE);
	end("[] ");
}

static void test_gives_a_mute_server_up(void **state)
{
	(void)state;
	start((struct client_settings){.framing = FRAMING_LINE, .reply_limit_ns = 60 * NS_PER_S});
	/* Nothing is owed: it may be mute for ever. */
	pass_ms(1000000);
	assert_int_equal(tick(), CLIENT_GO_ON);
	say("one");
	say("two");
	send_all();
	pass_ms(59999);
	assert_int_equal(tick(), CLIENT_GO_ON);
	/* Each sign of life counts. */
	hear("keep alive\n");
	pass_ms(59999);
	assert_int_equal(tick(), CLIENT_GO_ON);
	pass_ms(1);
	assert_int_equal(client_due(&client).ns, now.ns);
	assert_int_equal(tick(), CLIENT_GIVE_UP);
	end("[one/two/] reply(one)+59999 ");
}

static void test_heartbeats_do_not_hide_a_mute_server(void **state)
{
	(void)state;
	start((struct client_settings){.framing = FRAMING_LINE,
				       .every_ns = 10 * NS_PER_S,
				       .reply_limit_ns = 25 * NS_PER_S});
	for (int i = 0; i < 3; i++) {
		pass_ms(10000);
		assert_int_equal(tick(), CLIENT_GO_ON);
		send_all();
	}
	pass_ms(5000);
	assert_int_equal(tick(), CLIENT_GIVE_UP);
	end("[ping/] [ping/] [ping/] ");
}

static void test_sees_a_server_without_lines(void **state)
{
	(void)state;
	start((struct client_settings){.framing = FRAMING_LINE});
	say("one");
	send_all();
	hear("keep alive");
	pass_ms(1999);
	tick();
	pass_ms(1);
	tick();
	pass_ms(10000);
	tick();
	end("[one/] NO_LINES ");
}

static void test_interrupted_stops_at_once(void **state)
{
	(void)state;
	start((struct client_settings){.framing = FRAMING_LINE});
	say("one");
	send_all();
	say("two");
	say("stop");
	client_stop_now(&client);
	send_all();
	hear("keep alive\nstop\n");
	assert_true(client.over);
	end("[one/] [stop/] reply(one)+0 stop(stop)+0 ");
}

static void test_refuses_what_cannot_be_said(void **state)
{
	static char text[CLIENT_LINE_MAX + 1];

	(void)state;
	start((struct client_settings){.framing = FRAMING_LINE});
	assert_int_equal(client_say(&client, text, CLIENT_LINE_MAX + 1), -EMSGSIZE);
	assert_int_equal(client_say(&client, text, CLIENT_LINE_MAX), 0);
	assert_int_equal(client_say(&client, text, CLIENT_LINE_MAX - 2), 0);
	assert_int_equal(client_say(&client, text, 1), -EAGAIN);
	assert_int_equal(client_say(&client, "", 0), -EAGAIN);
	assert_false(client_has_room(&client, 0));
	client_stop(&client);
	end("");
	start((struct client_settings){.framing = FRAMING_RAW});
	assert_int_equal(client_say(&client, text, CLIENT_RAW_MAX + 1), -EMSGSIZE);
	assert_int_equal(client_say(&client, text, CLIENT_RAW_MAX), 0);
	assert_int_equal(client_say(&client, "", 0), -EINVAL);
	end("");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replies_are_matched_and_timed),
		cmocka_unit_test(test_raw_says_one_at_a_time),
		cmocka_unit_test(test_raw_stop_is_understood_when_the_server_is_quiet),
		cmocka_unit_test(test_stop_ends_it),
		cmocka_unit_test(test_server_stops_unasked),
		cmocka_unit_test(test_what_looks_like_stop_to_a_server_is_stop),
		cmocka_unit_test(test_said_unasked),
		cmocka_unit_test(test_greeting_then_id_first_on_every_connection),
		cmocka_unit_test(test_beats_when_nothing_else_was_said),
		cmocka_unit_test(test_beats_not_after_stop_nor_half_close),
		cmocka_unit_test(test_gives_a_mute_server_up),
		cmocka_unit_test(test_heartbeats_do_not_hide_a_mute_server),
		cmocka_unit_test(test_sees_a_server_without_lines),
		cmocka_unit_test(test_interrupted_stops_at_once),
		cmocka_unit_test(test_refuses_what_cannot_be_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
