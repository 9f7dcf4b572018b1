"""The wire: every message answered once and in order, however its bytes come; and every way of ending."""

import pytest

from serving import KEEP_ALIVE, Client

REPLY = KEEP_ALIVE + b"\n"


@pytest.mark.parametrize("framing", ["auto", "line"])
def test_lines_are_answered_in_order(serve, framing):
    with serve(framing=framing) as server, Client(server) as client:
        for number in range(100):
            assert client.ask(f"message {number}") == KEEP_ALIVE
        assert client.ask("stop") == b"stop"
        assert client.hear_rest() == b""
        server.end_of(client, reason="stopped", fault="client", messages=101,
                      bytes=sum(len(f"message {n}\n") for n in range(100)) + len("stop\n"))


def test_words_are_answered_one_by_one_in_raw(serve):
    with serve(framing="raw") as server, Client(server) as client:
        for number in range(100):
            client.say(f"word {number}")
            assert client.hear(len(KEEP_ALIVE)) == KEEP_ALIVE
        client.say("stop")
        assert client.hear_rest() == b"stop"
        server.end_of(client, reason="stopped", messages=101)


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n", b"\0", b"\r\n\0", b"\0\0\0"])
def test_ends_of_a_raw_stop_that_do_not_count(serve, ending):
    with serve(framing="raw") as server, Client(server) as client:
        client.say(b"hello" + ending)
        assert client.hear(len(KEEP_ALIVE)) == KEEP_ALIVE
        client.say(b"stop" + ending)
        assert client.hear_rest() == b"stop"
        server.end_of(client, reason="stopped", messages=2)


@pytest.mark.parametrize("first, is_line", [
    (b"hello\n", True), (b"a\nb", True), (b"\n", True), (b"hello", False), (b"hello\r", False), (b"\0", False),
])
def test_auto_is_decided_by_the_first_bytes(serve, first, is_line):
    with serve() as server, Client(server) as client:
        client.say(first)
        assert client.hear(len(KEEP_ALIVE)) == KEEP_ALIVE
        client.say(b"\nstop\n" if is_line else b"stop\n")
        rest = client.hear_rest()
        if not is_line:
            assert rest == b"stop"
        else:
            # "b" or nothing stood before the newline: one more line, then stop.
            assert rest == b"\n" + REPLY + b"stop\n"


def test_auto_is_decided_once(serve):
    with serve() as server, Client(server) as client:
        client.say("bare")
        assert client.hear(len(KEEP_ALIVE)) == KEEP_ALIVE
        client.say("with a newline\nand another\n")
        assert client.hear(len(KEEP_ALIVE)) == KEEP_ALIVE  # one receive, one message, as raw has it
        client.half_close()
        assert client.hear_rest() == b""


@pytest.mark.parametrize("text", [b"hello", b"hello\r", b"", b"\r", b"\0\0\0", b"\xff\xfe\x80", "grüße".encode(),
                                  b"a" * 5000, b"sto\0p", b"stop ", b" stop", b"STOP", b"stop\0", b"error", b"retry 5"])
def test_anything_may_be_a_message(serve, text):
    with serve(framing="line") as server, Client(server) as client:
        client.say(text + b"\n")
        assert client.hear_line() == KEEP_ALIVE
        assert client.ask("stop") == b"stop"
        server.end_of(client, reason="stopped", messages=2)


@pytest.mark.parametrize("text", [b"stop\n", b"stop\r\n"])
def test_stop(serve, text):
    with serve() as server, Client(server) as client:
        client.say(text)
        assert client.hear_rest() == b"stop\n"
        server.end_of(client, reason="stopped", fault="client", messages=1)


def test_what_is_owed_comes_before_stop_and_nothing_after_it_is_heard(serve):
    with serve() as server, Client(server) as client:
        client.say("one\ntwo\nthree\nstop\nfour\nstop\nfive\n")
        assert client.hear_rest() == REPLY * 3 + b"stop\n"
        server.end_of(client, reason="stopped", messages=4)


def test_stop_with_much_behind_it(serve):
    """What comes after `stop` is ignored, however much it is, and costs the client none of its replies."""
    with serve() as server, Client(server) as client:
        client.say(b"x\n" * 5000 + b"stop\n" + b"y\n" * 50000)
        assert client.hear_rest() == REPLY * 5000 + b"stop\n"
        server.end_of(client, reason="stopped", messages=5001)


def test_one_byte_at_a_time(serve):
    with serve(framing="line") as server, Client(server) as client:
        for byte in b"id pump-7\nhello\r\n\nstop\n":
            client.say(bytes([byte]))
        assert client.hear_rest() == REPLY * 3 + b"stop\n"
        server.end_of(client, reason="stopped", id="pump-7", messages=4, bytes=23)


def test_one_byte_at_a_time_in_raw(serve):
    with serve() as server, Client(server) as client:
        for byte in b"Hello Server!":
            client.say(bytes([byte]))
            assert client.hear(len(KEEP_ALIVE)) == KEEP_ALIVE
        client.half_close()
        assert client.hear_rest() == b""
        server.end_of(client, reason="closed", messages=13, bytes=13)


def test_st_and_op_apart(serve):
    with serve(framing="line") as server, Client(server) as client:
        assert client.ask("hello") == KEEP_ALIVE
        client.say("st")
        # That this has arrived by itself cannot be seen from here; another session's turn makes it likely.
        with Client(server) as other:
            assert other.ask("hello") == KEEP_ALIVE
        client.say("op\n")
        assert client.hear_rest() == b"stop\n"
        server.end_of(client, reason="stopped", messages=2)


def test_ten_thousand_messages_in_one_write(serve):
    with serve() as server, Client(server) as client:
        client.say(b"x\n" * 10000 + b"stop\n")
        assert client.hear_rest() == REPLY * 10000 + b"stop\n"
        server.end_of(client, reason="stopped", messages=10001, bytes=20005)


def test_a_half_close_still_gets_its_replies(serve):
    with serve() as server, Client(server) as client:
        client.say("x\n" * 5000 + "the last one without a newline")
        client.half_close()
        assert client.hear_rest() == REPLY * 5001
        server.end_of(client, reason="closed", fault="client", messages=5001)


def test_a_last_line_without_newline_is_a_message(serve):
    with serve(framing="line") as server, Client(server) as client:
        client.say("hello")
        client.half_close()
        assert client.hear_rest() == REPLY
        server.end_of(client, reason="closed", messages=1)


def test_a_last_stop_without_newline(serve):
    with serve(framing="line") as server, Client(server) as client:
        client.say("hello\nstop")
        client.half_close()
        assert client.hear_rest() == REPLY + b"stop\n"
        server.end_of(client, reason="stopped", messages=2)


def test_a_half_close_without_a_word(serve):
    with serve() as server, Client(server) as client:
        client.half_close()
        assert client.hear_rest() == b""
        server.end_of(client, reason="closed", messages=0, bytes=0)


def test_closing_without_a_word(serve):
    with serve() as server:
        before = server.descriptors()
        with Client(server) as client:
            pass
        server.end_of(client, reason="closed", fault="client", messages=0, bytes=0)
        server.until_free(before)


def test_closing_after_some_words(serve):
    with serve() as server:
        with Client(server) as client:
            assert client.ask("hello") == KEEP_ALIVE
        server.end_of(client, reason="closed", messages=1, bytes=6)


@pytest.mark.parametrize("words", ["", "hello\n"])
def test_a_reset(serve, words):
    with serve() as server:
        before = server.descriptors()
        client = Client(server)
        server.tag_of(client)
        if words:
            assert client.ask(words.strip()) == KEEP_ALIVE
        client.reset()
        server.end_of(client, reason="reset", fault="client or network", messages=1 if words else 0)
        server.until_free(before)


def test_saying_nothing_is_no_fault(serve):
    with serve() as server, Client(server) as silent:
        for _ in range(50):
            with Client(server) as client:
                assert client.ask("hello") == KEEP_ALIVE
                assert client.ask("stop") == b"stop"
        assert server.seen("end", tag=server.tag_of(silent)) == []
        assert silent.ask("here I am") == KEEP_ALIVE


def test_tags_count_up_from_one(serve):
    with serve() as server:
        for _ in range(10):
            with Client(server) as client:
                assert client.ask("stop") == b"stop"
                server.end_of(client)
        assert [event["tag"] for event in server.seen("connect")] == list(range(1, 11))


def test_a_session_is_told_whole(serve):
    with serve() as server:
        with Client(server) as client:
            assert client.ask("id pump-7") == KEEP_ALIVE
            assert client.ask("hello") == KEEP_ALIVE
            assert client.ask("stop") == b"stop"
            assert client.hear_rest() == b""
        end = server.end_of(client)
        assert end["id"] == "pump-7" and end["address"] == client.name
        assert end["messages"] == 3 and end["bytes"] == len("id pump-7\nhello\nstop\n")
        assert end["lasted_ms"] >= 0
        assert [e["event"] for e in server.events if e.get("tag") == end["tag"] and e["event"] in ("connect", "end")] \
            == ["connect", "end"]


# Too long

def test_far_too_long_a_line(serve):
    with serve() as server, Client(server) as client:
        assert client.ask("hello") == KEEP_ALIVE
        # The server has heard enough after 64 KiB; the client hears why all the same.
        try:
            client.say(b"x" * 1000000)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert client.hear_rest() == b"error message too long\n"
        server.end_of(client, reason="malformed")


@pytest.mark.parametrize("pieces", [1, 7])
def test_too_long_a_line(serve, pieces):
    with serve() as server, Client(server) as client:
        assert client.ask("hello") == KEEP_ALIVE
        text = b"x" * 65537
        step = -(-len(text) // pieces)
        for start in range(0, len(text), step):
            client.say(text[start:start + step])
        assert client.hear_rest() == b"error message too long\n"
        server.end_of(client, reason="malformed", fault="client", messages=lambda count: count in (1, 2))


def test_the_longest_line_that_is_allowed(serve):
    with serve() as server, Client(server) as client:
        client.say(b"first\n" + b"x" * 65536 + b"\n" + b"y" * 65536 + b"\r\n")
        assert [client.hear_line() for _ in range(3)] == [KEEP_ALIVE] * 3
        assert client.ask("stop") == b"stop"


def test_the_longest_message_as_set(serve):
    with serve("--max-message", "100") as server:
        with Client(server) as client:
            assert client.ask("x" * 100) == KEEP_ALIVE
            assert client.ask("x" * 101) == b"error message too long"
            assert client.hear_rest() == b""
            server.end_of(client, reason="malformed")
        with Client(server) as client:
            client.say("one\ntwo\n" + "x" * 101)  # no end of line is needed to see that it is too long
            assert client.hear_rest() == REPLY * 2 + b"error message too long\n"


# id

def test_id_is_answered_like_any_message_and_remembered(serve):
    with serve() as server, Client(server) as client:
        assert client.ask("id pump-7") == KEEP_ALIVE
        event = server.expect("id", id="pump-7")
        assert event["tag"] == server.tag_of(client)
        assert client.ask("stop") == b"stop"
        server.end_of(client, id="pump-7", reason="stopped")


def test_id_in_raw(serve):
    with serve() as server, Client(server) as client:
        client.say("id pump-7 every=5m")
        assert client.hear(len(KEEP_ALIVE)) == KEEP_ALIVE
        server.expect("id", id="pump-7", every_ms=300000)
        client.say("stop")
        assert client.hear_rest() == b"stop"
        server.end_of(client, id="pump-7", reason="stopped")


def test_no_id_is_told_where_there_is_none(serve):
    with serve() as server:
        with Client(server) as client:
            assert client.ask("stop") == b"stop"
        assert "id" not in server.end_of(client)


def test_a_word_that_only_begins_like_id(serve):
    with serve() as server, Client(server) as client:
        for text in ["idle", "ids pump-7", "ID pump-7", " id pump-7"]:
            assert client.ask(text) == KEEP_ALIVE
        assert client.ask("stop") == b"stop"
        server.end_of(client)
        assert server.seen("id") == []


NAME = b"error id: a name is 1 to 128 bytes of printable UTF-8 without spaces"
OPTION = b"error id: unknown option, or one given twice; there are every, grace, group and key"
DURATION = b"error id: every and grace are durations like 500ms, 30s, 5m or 2h"
RANGE = b"error id: every or grace is outside of what this server allows"
GROUP = b"error id: a group is 1 to 128 bytes of printable UTF-8 without spaces"


@pytest.mark.parametrize("text, error", [
    pytest.param(b"id", NAME, id="no-name"),
    pytest.param(b"id ", NAME, id="empty-name"),
    pytest.param(b"id " + b"x" * 129, NAME, id="long-name"),
    pytest.param(b"id \xff\xfe", NAME, id="not-utf-8"),
    pytest.param(b"id a\x01b", NAME, id="control"),
    pytest.param(b"id a\0b", NAME, id="nul"),
    pytest.param(b"id " + b"x" * 3000, NAME, id="very-long-name"),
    pytest.param(b"id pump-7 colour=red", OPTION, id="colour=red"),
    pytest.param(b"id pump-7 pump-8", OPTION, id="pump-8"),
    pytest.param(b"id pump-7 every=30s every=30s", OPTION, id="every=30s-every=30s"),
    pytest.param(b"id pump-7 every=30", DURATION, id="every=30"),
    pytest.param(b"id pump-7 every=soon", DURATION, id="every=soon"),
    pytest.param(b"id pump-7 every=-5s", DURATION, id="every=-5s"),
    pytest.param(b"id pump-7 grace=1.5s", DURATION, id="grace=1.5s"),
    pytest.param(b"id pump-7 every=1ms", RANGE, id="every=1ms"),
    pytest.param(b"id pump-7 every=3000d", RANGE, id="every=3000d"),
    pytest.param(b"id pump-7 group=" + b"g" * 129, GROUP, id="long-group"),
])
def test_a_bad_id(serve, text, error):
    with serve() as server, Client(server) as client:
        assert client.ask("hello") == KEEP_ALIVE
        client.say(text + b"\nthis is not heard\nstop\n")
        assert client.hear_refusal() == error
        server.end_of(client, reason="refused", fault="client")
        assert server.seen("id") == []


def test_a_bad_id_in_raw(serve):
    with serve() as server, Client(server) as client:
        client.say("id pump-7 every=never")
        assert client.hear_refusal() == DURATION
        server.end_of(client, reason="refused")


@pytest.mark.parametrize("name", ["x", "x" * 128, "grüße-7", "泵/7", "a=b", "192.0.2.1:4711", "\U0001f600"])
def test_good_names(serve, name):
    with serve() as server, Client(server) as client:
        assert client.ask(f"id {name}") == KEEP_ALIVE
        server.expect("id", id=name)


def test_rhythms_are_told(serve):
    with serve() as server, Client(server) as client:
        assert client.ask("id a every=500ms grace=2h group=site7 key=s3cret") == KEEP_ALIVE
        server.expect("id", id="a", every_ms=500, grace_ms=7200000, group="site7")
        assert not any("s3cret" in line for line in server.lines)
        assert client.ask("id b every=5m") == KEEP_ALIVE
        server.expect("id", id="b", every_ms=300000, grace_ms=30000)
        assert client.ask("id c") == KEEP_ALIVE
        server.expect("id", id="c", every_ms=60000, grace_ms=30000)
