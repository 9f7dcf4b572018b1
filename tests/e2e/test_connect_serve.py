"""`lifeline connect` and `lifeline serve` together, on every engine: what one says the other understands."""

import signal
import socket

from connecting import Piped, Terminal, connect
from serving import Server


def address_text(server):
    return server.addresses[0]


def test_lines(serve):
    with serve() as server:
        done = connect(address_text(server), input=b"one\n\nthree\n")
        assert (done.stdout, done.stderr, done.returncode) == (b"keep alive\n" * 3 + b"stop\n", b"", 0)
        server.expect("end", tag=1, reason="stopped", fault="client", messages=4)


def test_raw(serve):
    with serve() as server:
        done = connect("--framing", "raw", "--greeting", "Hello Server!", address_text(server), input=b"one two\nthree")
        assert (done.stdout, done.stderr, done.returncode) == (b"keep alive\n" * 4 + b"stop\n", b"", 0)
        server.expect("end", tag=1, reason="stopped", messages=5)


def test_unix_socket(tmp_path, serve):
    with serve(listen=(f"unix:{tmp_path}/s",)):
        done = connect(f"unix:{tmp_path}/s", input=b"one\n")
        assert (done.stdout, done.returncode) == (b"keep alive\nstop\n", 0)


def test_no_stop(serve):
    with serve() as server:
        done = connect("--no-stop", address_text(server), input=b"one\ntwo\n")
        assert (done.stdout, done.stderr, done.returncode) == (b"keep alive\n" * 2, b"", 0)
        server.expect("end", tag=1, reason="closed", messages=2)


def test_a_hundred_thousand_lines(serve):
    with serve() as server:
        lines = b"".join(b"message %d\n" % number for number in range(100000))
        done = connect(address_text(server), input=lines)
        assert done.stdout == b"keep alive\n" * 100000 + b"stop\n"
        assert (done.stderr, done.returncode) == (b"", 0)
        server.expect("end", tag=1, reason="stopped", messages=100001)


def test_id_and_heartbeats(serve):
    with serve() as server, Piped("--id", "pump-7", "--group", "site7", "--every", "300ms", "--grace", "1h", "--rtt",
                                  address_text(server)) as client:
        client.until_output(b"\tid pump-7 every=300ms grace=1h group=site7\n")
        client.until_output(b"\tping\n")
        client.end_input()
        assert client.status() == 0
        server.expect("verdict", id="pump-7", state="alive")
        server.expect("end", tag=1, reason="stopped")


def test_bad_id_is_refused(serve):
    with serve("--min-every", "10s") as server:
        done = connect("--id", "me", "--every", "1s", "--reconnect", address_text(server), input=b"one\n")
        assert done.returncode == 1
        assert b"the server refuses: error id: " in done.stderr
        server.expect("end", tag=1, reason="refused")
        assert len(server.seen("connect")) == 1


def test_server_that_ends_says_stop(serve):
    with serve() as server, Piped("--stay", address_text(server)) as client:
        client.say(b"one\n")
        client.until_output(b"keep alive\n")
        server.stop()
        assert client.status() == 0
        assert client.errors == b"lifeline: the server says stop\n"


def test_server_that_dies_is_lost(serve):
    with serve() as server, Piped(address_text(server)) as client:
        client.say(b"one\n")
        client.until_output(b"keep alive\n")
        server.kill()
        assert client.status() == 1
        assert b"connection lost: " in client.errors


def test_comes_back_to_a_server_that_was_started_again(engine):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        address = f"127.0.0.1:{holder.getsockname()[1]}"
    with Piped("--reconnect", "--reconnect-max", "200ms", "--id", "pump", "--every", "1h", address) as client:
        with Server(engine=engine, listen=(address,)) as first:
            client.say(b"one\n")
            client.until_output(b"keep alive\n")
            first.kill()
        client.until_error(b"next attempt in ")
        client.say(b"two\n")
        with Server(engine=engine, listen=(address,)) as second:
            client.until_output(b"keep alive\nkeep alive\n")
            second.expect("verdict", id="pump", state="alive")
            client.end_input()
            assert client.status() == 0


def test_full_server_asks_to_come_back(serve):
    with serve("--max-clients", "1") as server, Piped(address_text(server)) as first:
        first.say(b"one\n")
        first.until_output(b"keep alive\n")
        done = connect("--stay", address_text(server))
        assert done.returncode == 1
        assert b"the server says retry " in done.stderr
        first.end_input()
        assert first.status() == 0


def test_gets_in_when_there_is_room_again(serve):
    with serve("--max-clients", "1") as server, Piped(address_text(server)) as first:
        first.say(b"one\n")
        first.until_output(b"keep alive\n")
        with Piped("--reconnect", address_text(server)) as second:
            second.say(b"two\n")
            second.until_error(b"the server says retry ")
            first.end_input()
            assert first.status() == 0
            second.until_output(b"keep alive\n")
            second.end_input()
            assert second.status() == 0


def test_server_asleep(serve):
    """What is said while the server sleeps is answered when it wakes, and nobody is lost."""
    with serve() as server, Piped(address_text(server)) as client:
        client.say(b"one\n")
        client.until_output(b"keep alive\n")
        with server.asleep():
            client.say(b"two\n" * 20000)
        client.end_input()
        assert client.status() == 0
        assert client.output == b"keep alive\n" * 20001 + b"stop\n"


def test_interrupted(serve):
    with serve() as server, Piped(address_text(server)) as client:
        client.say(b"one\n")
        client.until_output(b"keep alive\n")
        client.signal(signal.SIGINT)
        assert client.status() == 0
        server.expect("end", tag=1, reason="stopped")


def test_prompt(serve):
    with serve() as server, Terminal("--id", "desk", address_text(server)) as terminal:
        terminal.until_prompt()
        terminal.type("hello\r")
        terminal.until_line("keep alive")
        terminal.type("stop\r")
        assert terminal.status() == 0
        server.expect("end", tag=1, reason="stopped", messages=3)


def test_take_over(serve):
    """The same name on a newer connection: the older one is told to stop, and does not fight for it."""
    with serve() as server, Piped("--id", "me", "--reconnect", address_text(server)) as old:
        server.expect("verdict", id="me", state="alive")
        with Piped("--id", "me", "--reconnect", address_text(server)) as new:
            assert old.status() == 0
            assert b"the server says stop" in old.errors
            new.say(b"one\n")
            new.until_output(b"keep alive\n")
            new.end_input()
            assert new.status() == 0
        server.expect("connect", tag=2)
        assert len(server.seen("connect")) == 2
