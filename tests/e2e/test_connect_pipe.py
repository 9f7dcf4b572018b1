"""`lifeline connect` from a pipe."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading

import pytest

from connecting import KEEP_ALIVE, Piped, Tiny, binary, closed_port, connect, events_of, line, raw
from patience import PATIENCE


def test_each_line_is_a_message_and_each_reply_a_line():
    with Tiny(line) as server:
        done = connect(server.address, input=b"one\n\ntwo words\nlast without its end")
        assert done.stdout == b"keep alive\n" * 4 + b"stop\n"
        assert done.stderr == b""
        assert done.returncode == 0
        assert server.until_heard(0, b"stop") == b"one\n\ntwo words\nlast without its end\nstop\n"


def test_no_input_says_stop():
    with Tiny(line) as server:
        done = connect(server.address)
        assert (done.stdout, done.returncode) == (b"stop\n", 0)
        assert server.heard == [b"stop\n"]


def test_stop_in_the_input_ends_it():
    with Tiny(line) as server:
        done = connect(server.address, input=b"one\nstop\nnever said\n")
        assert (done.stdout, done.returncode) == (b"keep alive\nstop\n", 0)
        assert server.heard == [b"one\nstop\n"]


def test_stop_in_an_open_input_ends_it():
    with Tiny(line) as server, Piped(server.address) as client:
        client.say(b"stop\n")
        assert client.status() == 0
        assert client.output == b"stop\n"


def test_bytes_are_said_as_they_are():
    said = bytes(byte for byte in range(256) if byte != 10)
    with Tiny(line) as server:
        done = connect(server.address, input=said + b"\n")
        assert done.returncode == 0
        assert server.heard == [said + b"\nstop\n"]


def test_no_stop_half_closes_and_takes_what_is_owed():
    def answer_at_the_end(talk):
        lines = list(talk.lines())
        talk.send(b"keep alive\n" * len(lines))

    with Tiny(answer_at_the_end) as server:
        done = connect("--no-stop", server.address, input=b"one\ntwo\n")
        assert (done.stdout, done.stderr, done.returncode) == (b"keep alive\n" * 2, b"", 0)
        assert server.heard == [b"one\ntwo\n"]


def test_no_stop_misses_a_reply():
    def answer_one(talk):
        list(talk.lines())
        talk.send(b"keep alive\n")

    with Tiny(answer_one) as server:
        done = connect("--no-stop", server.address, input=b"one\ntwo\n")
        assert (done.stdout, done.returncode) == (b"keep alive\n", 1)
        assert b"1 message unanswered" in done.stderr


def test_no_stop_of_a_server_that_does_not_close():
    def answer_and_stay(talk):
        line(talk)
        talk.server.left.wait(PATIENCE)

    with Tiny(answer_and_stay) as server:
        server.left = threading.Event()
        done = connect("--no-stop", server.address, input=b"one\n")
        server.left.set()
        assert (done.stdout, done.returncode) == (b"keep alive\n", 0)


def test_stay_outlasts_the_input():
    def answer_then_stop(talk):
        for number, _ in enumerate(talk.lines(), 1):
            talk.send(b"keep alive\n")
            if number == 3:
                talk.send(b"stop\n")

    with Tiny(answer_then_stop) as server:
        done = connect("--stay", "--every", "50ms", server.address, input=b"one\n")
        assert (done.stdout, done.returncode) == (b"keep alive\n", 0)
        assert b"the server says stop" in done.stderr
        assert server.heard[0] == b"one\nping\nping\n"


@pytest.mark.parametrize("server_kind", [line, raw])
def test_ten_thousand_lines_at_once(server_kind):
    lines = [b"message %d" % number for number in range(10000)]
    framing = "line" if server_kind is line else "raw"
    with Tiny(server_kind) as server:
        done = connect("--framing", framing, server.address, input=b"\n".join(lines) + b"\n")
        count = 10000 if server_kind is line else 20000
        assert done.stdout == b"keep alive\n" * count + b"stop\n"
        assert (done.stderr, done.returncode) == (b"", 0)
        if server_kind is line:
            assert server.heard[0].split(b"\n")[:-1] == lines + [b"stop"]


def test_a_large_input_to_a_server_that_answers_only_when_it_is_read():
    """Both directions full: nothing may wait for the other."""
    with Tiny(line) as server:
        text = (b"x" * 100 + b"\n") * 100000
        with subprocess.Popen([binary(), "connect", server.address], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as client:
            writer = threading.Thread(target=lambda: (client.stdin.write(text), client.stdin.close()))
            writer.start()
            # Until here nobody reads what the client writes: it, the server and the writer all get stuck, and no one
            # gives up.
            server.until_heard(0, lambda said: len(said) > 1000000)
            output = client.stdout.read()
            writer.join()
            assert output == b"keep alive\n" * 100000 + b"stop\n"
            assert client.wait(PATIENCE) == 0


def test_heartbeats_go_on_while_nobody_reads_the_output():
    """A client whose reader has fallen asleep is alive all the same, and so is the server it does not listen to."""
    def flood(talk):
        def push():
            with contextlib.suppress(OSError):
                talk.send(b"pushed\n" * 3000000)

        threading.Thread(target=push, daemon=True).start()
        while talk.receive():
            pass

    with Tiny(flood) as server, subprocess.Popen(
            [binary(), "connect", "--every", "20ms", "--reply-timeout", "100ms", server.address],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        server.until_heard(0, lambda said: said.count(b"ping\n") > 50)
        assert client.poll() is None
        client.kill()


def test_long_lines():
    said = b"y" * (1024 * 1024)
    with Tiny(line) as server:
        done = connect(server.address, input=said + b"\n" + said + b"\nz\n")
        assert (done.stdout, done.returncode) == (b"keep alive\n" * 3 + b"stop\n", 0)
        assert server.heard[0] == said + b"\n" + said + b"\nz\nstop\n"


def test_too_long_a_line_is_refused():
    with Tiny(line) as server:
        done = connect(server.address, input=b"one\n" + b"y" * (1024 * 1024 + 1) + b"\ntwo\n")
        assert (done.stdout, done.returncode) == (b"keep alive\nstop\n", 2)
        assert b"more than 1048576 bytes" in done.stderr
        assert server.heard == [b"one\nstop\n"]


def test_raw_words_wait_for_their_replies():
    with Tiny(raw) as server:
        done = connect("--framing", "raw", "--greeting", "Hello Server!", server.address,
                       input=b"one two\r\n\n  three\tfour")
        assert (done.stdout, done.stderr, done.returncode) == (b"keep alive\n" * 5 + b"stop\n", b"", 0)
        assert server.heard == [b"Hello Server!onetwothreefourstop"]


def test_raw_replies_in_pieces_and_glued():
    def dribble(talk):
        while data := talk.receive():
            if data == b"stop":
                for byte in b"stop":
                    talk.send(bytes([byte]))
                return
            if data == b"two":
                talk.send(b"alivehello")
                continue
            talk.send(b"keep alivekeep " if data == b"one" else KEEP_ALIVE)

    with Tiny(dribble) as server:
        done = connect("--framing", "raw", server.address, input=b"one two three")
        assert done.stdout.replace(b"hello\n", b"") == b"keep alive\n" * 3 + b"stop\n"
        assert done.returncode == 0


def test_raw_word_too_long_is_refused():
    with Tiny(raw) as server:
        done = connect("--framing", "raw", server.address, input=b"x" * 4096 + b" " + b"y" * 4097 + b" z")
        assert (done.stdout, done.returncode) == (b"keep alive\nstop\n", 2)
        assert b"more than 4096 bytes" in done.stderr
        assert server.heard == [b"x" * 4096 + b"stop"]


def test_raw_server_that_sends_its_strings_with_the_nul():
    def answer(talk):
        while (data := talk.receive()) != b"stop":
            assert data
            talk.send(b"keep alive\0")
        talk.send(b"stop\0")

    with Tiny(answer) as server:
        done = connect("--framing", "raw", server.address, input=b"one two")
        assert (done.stdout, done.returncode) == (b"keep alive\nkeep alive\nstop\n", 0)


def test_line_client_of_a_raw_server_is_told_what_helps():
    with Tiny(raw) as server, Piped(server.address) as client:
        client.say(b"hello\n")
        client.until_error(b"try --framing raw")
        client.signal(signal.SIGINT)
        assert client.status() == 0


def test_rtt_is_shown_beside_what_it_answers():
    with Tiny(line) as server:
        done = connect("--rtt", server.address, input=b"one\ntw\too\n")
        rows = [row.split("\t") for row in done.stdout.decode().splitlines()]
        assert [(row[0], row[2]) for row in rows] == [("keep alive", "one"), ("keep alive", "tw\\too"),
                                                      ("stop", "stop")]
        for row in rows:
            number, unit = row[1].split(" ")
            assert unit == "ms" and float(number) >= 0


def test_id_carries_all_it_was_given():
    with Tiny(line) as server:
        done = connect("--id", "pump-7", "--every", "90s", "--grace", "1500ms", "--group", "site7", "--key", "secret",
                       server.address, input=b"one\n")
        assert (done.stdout, done.returncode) == (b"keep alive\nstop\n", 0)
        assert server.heard == [b"id pump-7 every=90s grace=1500ms group=site7 key=secret\none\nstop\n"]


def test_greeting_comes_first_and_its_reply_is_shown():
    with Tiny(line) as server:
        done = connect("--id", "me", "--greeting", "hello there", server.address, input=b"one\n")
        assert done.stdout == b"keep alive\nkeep alive\nstop\n"
        assert server.heard == [b"hello there\nid me\none\nstop\n"]


def test_heartbeats_by_itself():
    with Tiny(line) as server, Piped("--every", "50ms", "--heartbeat", "still here", server.address) as client:
        assert server.until_heard(0, b"still here\nstill here\nstill here\n")
        client.say(b"one\n")
        client.until_output(b"keep alive\n")
        client.end_input()
        assert client.status() == 0
        # Only what was said by the user is answered on standard output.
        assert client.output == b"keep alive\nstop\n"


def test_json_has_everything():
    with Tiny(line) as server:
        done = connect("--json", "--id", "me", "--greeting", "hi", server.address, input=b'say "it"\n\xff\xe4\n')
        connected, *replies = events_of(done.stdout)
        assert connected == {"event": "connected", "to": server.address}
        assert [(reply["event"], reply["number"], reply["kind"], reply["message"], reply["reply"])
                for reply in replies] == [
            ("reply", 1, "greeting", "hi", "keep alive"),
            ("reply", 2, "id", "id me", "keep alive"),
            ("reply", 3, "message", 'say "it"', "keep alive"),
            ("reply", 4, "message", "\ufffd\ufffd", "keep alive"),
            ("reply", 5, "stop", "stop", "stop")]
        assert all(reply["rtt_ms"] >= 0 for reply in replies)
        assert (done.stderr, done.returncode) == (b"", 0)


def test_json_of_what_is_said_unasked():
    def push(talk):
        talk.receive()
        talk.send("keep alive\nhé\nretry 3\nerror id: in use\n".encode())
        talk.receive()

    with Tiny(push) as server:
        done = connect("--json", "--stay", server.address, input=b"one\n")
        assert events_of(done.stdout)[2:] == [{"event": "text", "text": "hé", "more": False},
                                              {"event": "retry", "seconds": 3},
                                              {"event": "error", "text": "error id: in use"}]
        assert done.returncode == 1


def test_quiet():
    with Tiny(line) as server:
        done = connect("-q", server.address, input=b"one\n")
        assert (done.stdout, done.stderr, done.returncode) == (b"", b"", 0)


def test_pushed_text_is_shown_the_moment_it_comes():
    def push(talk):
        talk.send(b"good morning\n")
        line(talk)

    with Tiny(push) as server, Piped(server.address) as client:
        client.until_output(b"good morning\n")
        client.end_input()
        assert client.status() == 0


def test_stop_unasked_ends_it():
    def stop(talk):
        talk.send(b"stop\n")
        talk.receive()

    with Tiny(stop) as server, Piped(server.address) as client:
        assert client.status() == 0
        assert client.errors == b"lifeline: the server says stop\n"
        assert client.output == b""


def test_error_is_shown_and_refuses():
    def refuse(talk):
        talk.receive()
        talk.send(b"error id: wrong key\n")

    with Tiny(refuse) as server:
        done = connect("--id", "me", "--reconnect", server.address, input=b"one\n")
        assert done.returncode == 1
        assert done.stderr == b"lifeline: the server refuses: error id: wrong key\n"
        assert len(server.heard) == 1


def test_retry_is_shown_and_without_reconnect_ends_it():
    def shed(talk):
        talk.send(b"retry 5\n")

    with Tiny(shed) as server:
        done = connect("--stay", server.address)
        assert done.returncode == 1
        assert b"the server says retry 5" in done.stderr
        assert b"connection lost" in done.stderr


def test_connection_lost_says_what_is_unanswered():
    def close(talk):
        talk.receive()
        talk.send(b"keep alive\n")

    with Tiny(close) as server, Piped(server.address) as client:
        client.say(b"one\ntwo\nthree\n")
        assert client.status() == 1
        assert client.output == b"keep alive\n"
        assert b"connection lost: " in client.errors
        assert b"2 messages unanswered" in client.errors


def test_stop_unanswered_by_a_server_that_closes_is_still_a_stop():
    def close_on_stop(talk):
        for said in talk.lines():
            if said == b"stop":
                return
            talk.send(b"keep alive\n")

    with Tiny(close_on_stop) as server:
        done = connect(server.address, input=b"one\n")
        assert (done.stdout, done.stderr, done.returncode) == (b"keep alive\n", b"", 0)


def test_mute_server_is_given_up():
    def mute(talk):
        while talk.receive():
            pass

    with Tiny(mute) as server:
        done = connect("--reply-timeout", "200ms", server.address, input=b"one\n")
        assert done.returncode == 1
        assert b"owed a reply for 200ms" in done.stderr


def test_nobody_there():
    holder, address = closed_port()
    with holder:
        done = connect(address, input=b"one\n")
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.decode() == (f"lifeline: cannot connect to {address}: Connection refused; "
                                    "is `lifeline serve` running there?\n")


def test_no_such_name():
    done = connect("no-such-name.invalid:6666")
    assert done.returncode == 1
    assert b"cannot connect to no-such-name.invalid:6666: " in done.stderr


def test_connecting_takes_no_longer_than_it_may():
    # A listener whose queue is full answers nothing: that is what a host that is not there looks like.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(address)
            waiting.append(one)
        done = connect("--connect-timeout", "300ms", f"127.0.0.1:{address[1]}")
        assert done.returncode == 1
        assert b"Connection timed out; is the host up" in done.stderr
        for one in waiting:
            one.close()


def test_unix_socket(tmp_path):
    with Tiny(line, path=str(tmp_path / "s")) as server:
        done = connect(server.address, input=b"one\n")
        assert (done.stdout, done.returncode) == (b"keep alive\nstop\n", 0)
    done = connect(f"unix:{tmp_path}/nothing")
    assert done.returncode == 1
    assert b"No such file or directory; is `lifeline serve` running there?" in done.stderr


def test_every_address_of_a_name_is_tried():
    """localhost is ::1 and 127.0.0.1 on most systems; a server at one of them is found by name."""
    with Tiny(line) as server:
        done = connect("localhost:" + server.address.split(":")[1], input=b"one\n")
        assert (done.stdout, done.returncode) == (b"keep alive\nstop\n", 0)


def test_interrupted_says_stop():
    with Tiny(line) as server, Piped(server.address) as client:
        client.say(b"one\n")
        client.until_output(b"keep alive\n")
        client.signal(signal.SIGINT)
        assert client.status() == 0
        assert client.output == b"keep alive\nstop\n"
        assert server.heard == [b"one\nstop\n"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_twice_ends_at_once(number):
    def mute(talk):
        while talk.receive():
            pass

    with Tiny(mute) as server, Piped(server.address) as client:
        client.say(b"one\n")
        server.until_heard(0, b"one\n")
        client.signal(number)
        server.until_heard(0, b"stop\n")
        client.signal(number)
        assert client.status() == 128 + number


def test_interrupted_with_a_mute_server_leaves_soon():
    def mute(talk):
        while talk.receive():
            pass

    with Tiny(mute) as server, Piped(server.address) as client:
        client.say(b"one\n")
        server.until_heard(0, b"one\n")
        client.signal(signal.SIGTERM)
        assert client.status() == 0


def test_output_closed_by_its_reader():
    with Tiny(line) as server:
        read, write = os.pipe()
        with subprocess.Popen([binary(), "connect", server.address], stdin=subprocess.PIPE, stdout=write,
                              stderr=subprocess.PIPE) as client:
            os.close(write)
            os.close(read)
            client.stdin.write(b"one\n")
            client.stdin.flush()
            assert client.wait(PATIENCE) == 1
            assert client.stderr.read() == b""
        assert server.until_heard(0, b"stop\n") == b"one\nstop\n"


def test_full_disk_is_an_error():
    with Tiny(line) as server, open("/dev/full", "wb") as full:
        done = subprocess.run([binary(), "connect", server.address], input=b"one\n", stdout=full,
                              stderr=subprocess.PIPE, timeout=PATIENCE)
        assert done.returncode == 1
        assert b"cannot write the replies: No space left on device" in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_descriptors_do_not_become_sockets(closed):
    with Tiny(line) as server:
        done = subprocess.run(["sh", "-c", f'exec "$0" connect "$1" {closed}', binary(), server.address],
                              stdin=subprocess.DEVNULL, timeout=PATIENCE, capture_output=True)
        assert done.returncode == 0
        assert server.heard == [b"stop\n"]


@pytest.mark.parametrize("arguments, complaint", [
    (["--every", "3"], "500ms, 30s, 5m or 2h"),
    (["--every", "0"], "must be longer"),
    (["--grace", "1x", "--id", "a"], "500ms, 30s, 5m or 2h"),
    (["--framing", "auto"], "line or raw"),
    (["--id", "two words"], "without spaces"),
    (["--id", ""], "1 to 128 bytes"),
    (["--id", "x" * 129], "1 to 128 bytes"),
    (["--group", "a"], "need --id"),
    (["--key", "a"], "need --id"),
    (["--grace", "5s"], "need --id"),
    (["--greeting", "stop"], "would end the conversation"),
    (["--greeting", "a\nb"], "one line"),
    (["--heartbeat", ""], "1 to 4096"),
    (["--no-stop", "--stay"], "one of them"),
    (["one", "two"], "one server"),
    (["--nonsense"], "unrecognized option"),
    (["--id"], "requires an argument"),
    (["host:port"], "a port is a number"),
    (["host:0"], "a port is a number"),
    (["unix:"], "path"),
])
def test_usage(arguments, complaint):
    done = connect(*arguments)
    assert done.returncode == 2
    assert done.stdout == b""
    assert complaint in done.stderr.decode()
    assert done.stderr.startswith(b"lifeline")


def test_help():
    done = connect("--help")
    assert done.returncode == 0
    assert done.stderr == b""
    text = done.stdout.decode()
    for option in ("--id", "--group", "--key", "--grace", "--every", "--heartbeat", "--greeting", "--framing",
                   "--reconnect", "--reconnect-max", "--connect-timeout", "--reply-timeout", "--no-stop", "--stay",
                   "--rtt", "--json", "--quiet", "--help"):
        assert option in text
    assert all(len(row) <= 100 for row in text.splitlines())


def test_json_is_one_object_a_line():
    with Tiny(line) as server:
        done = connect("--json", server.address, input=b"a\nb\n")
        for row in done.stdout.splitlines():
            assert isinstance(json.loads(row), dict)
