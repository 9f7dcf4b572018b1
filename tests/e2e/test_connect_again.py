"""`lifeline connect --reconnect`: it comes back, when it should, and says again what was not answered."""

import signal
import socket
import time

from connecting import PATIENCE, Piped, Terminal, Tiny, closed_port, connect, events_of, line, raw
from patience import until


class InTurn:
    """Answers the first connection by the first function, and so on; the last one answers all that follow."""

    def __init__(self, *answers):
        self.answers = answers

    def __call__(self, talk):
        self.answers[min(talk.index, len(self.answers) - 1)](talk)


def close_at_once(talk):
    pass


def reset_at_once(talk):
    talk.reset()


def answer_one_and_close(talk):
    for _ in talk.lines():
        talk.send(b"keep alive\n")
        return


def close_after_hearing(talk):
    talk.receive()


def test_comes_back_after_a_close_and_says_the_unanswered_again():
    with Tiny(InTurn(answer_one_and_close, close_at_once, line)) as server:
        done = connect("--reconnect", server.address, input=b"one\ntwo\nthree\n")
        assert (done.stdout, done.returncode) == (b"keep alive\n" * 3 + b"stop\n", 0)
        assert b"connection lost: " in done.stderr
        assert b"2 messages unanswered; next attempt in " in done.stderr
        assert f"lifeline: connected to {server.address}\n".encode() in done.stderr
        assert len(server.heard) == 3
        assert server.heard[2] == b"two\nthree\nstop\n"


def test_comes_back_after_a_reset():
    with Tiny(InTurn(reset_at_once, reset_at_once, line)) as server:
        done = connect("--reconnect", server.address, input=b"one\n")
        assert (done.stdout, done.returncode) == (b"keep alive\nstop\n", 0)
        assert server.heard[-1] == b"one\nstop\n"


def test_greeting_and_id_are_said_on_every_connection():
    with Tiny(InTurn(close_after_hearing, line)) as server:
        done = connect("--reconnect", "--id", "me", "--every", "1h", "--greeting", "hello", server.address,
                       input=b"one\n")
        assert done.returncode == 0
        assert server.heard[1] == b"hello\nid me every=1h\none\nstop\n"


def test_waits_for_a_server_that_is_not_there_yet():
    holder, address = closed_port()
    with Piped("--reconnect", "--reconnect-max", "100ms", address) as client:
        client.say(b"one\n")
        client.until_error(b"Connection refused; next attempt in ")
        with holder:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.listen()
            connection, _ = holder.accept()
            with connection:
                connection.settimeout(PATIENCE)
                assert connection.recv(100) == b"one\n"
                connection.sendall(b"keep alive\n")
                client.until_output(b"keep alive\n")
                client.end_input()
                assert connection.recv(100) == b"stop\n"
                connection.sendall(b"stop\n")
                assert client.status() == 0


def test_retry_is_the_least_wait():
    times = []

    def shed(talk):
        times.append(time.monotonic())
        talk.send(b"retry 1\n")
        times.append(time.monotonic())

    def serve(talk):
        times.append(time.monotonic())
        line(talk)

    with Tiny(InTurn(shed, serve)) as server:
        done = connect("--reconnect", "--reconnect-max", "1ms", server.address, input=b"one\n")
        assert (done.stdout, done.returncode) == (b"keep alive\nstop\n", 0)
        assert b"the server says retry 1" in done.stderr
        # Not before: the one thing about time that holds on every machine. It began to wait after it was told.
        assert times[2] - times[0] >= 1.0


def test_retry_in_raw():
    def shed(talk):
        talk.send(b"retry 1")

    with Tiny(InTurn(shed, raw)) as server:
        done = connect("--reconnect", "--framing", "raw", server.address, input=b"one two")
        assert (done.stdout, done.returncode) == (b"keep alive\nkeep alive\nstop\n", 0)
        assert server.heard[1] == b"onetwostop"


def test_error_is_final():
    def refuse(talk):
        talk.send(b"error id: wrong key\n")
        talk.receive()

    with Tiny(refuse) as server:
        done = connect("--reconnect", server.address, input=b"one\n")
        assert done.returncode == 1
        assert len(server.heard) == 1


def test_stop_is_final():
    def stop(talk):
        talk.send(b"stop\n")
        talk.receive()

    with Tiny(stop) as server:
        done = connect("--reconnect", "--stay", server.address, input=b"")
        assert done.returncode == 0
        assert len(server.heard) == 1


def test_retry_before_stop_asks_to_come_back():
    def drain(talk):
        talk.receive()
        talk.send(b"retry 1\nstop\n")
        talk.receive()

    with Tiny(InTurn(drain, line)) as server:
        done = connect("--reconnect", server.address, input=b"one\n")
        assert (done.stdout, done.returncode) == (b"keep alive\nstop\n", 0)
        assert server.heard[1] == b"one\nstop\n"
    with Tiny(drain) as server:
        assert connect(server.address, input=b"one\n").returncode == 0
        assert len(server.heard) == 1


def test_nothing_to_come_back_for_after_stop():
    def reset_on_stop(talk):
        for said in talk.lines():
            if said == b"stop":
                talk.reset()
                return
            talk.send(b"keep alive\n")

    with Tiny(reset_on_stop) as server:
        done = connect("--reconnect", server.address, input=b"one\n")
        assert (done.stdout, done.returncode) == (b"keep alive\n", 1)
        assert len(server.heard) == 1


def test_mute_server_is_left_for_another_try():
    def mute(talk):
        while talk.receive():
            pass

    with Tiny(InTurn(mute, line)) as server:
        done = connect("--reconnect", "--reply-timeout", "300ms", server.address, input=b"one\n")
        assert (done.stdout, done.returncode) == (b"keep alive\nstop\n", 0)
        assert b"owed a reply for 300ms" in done.stderr


def test_heartbeats_are_not_said_again():
    def hear_a_beat(talk):
        until(lambda: b"ping\n" in talk.receive(), "a heartbeat")

    with Tiny(InTurn(hear_a_beat, line)) as server, \
            Piped("--reconnect", "--reconnect-max", "1ms", "--every", "50ms", server.address) as client:
        server.until_heard(1, b"ping\nping\n")
        client.end_input()
        assert client.status() == 0
        # The first beat of the second connection is its own, one `every` after its beginning: before it nothing.
        assert client.output == b"stop\n"


def test_ten_thousand_lines_over_a_server_that_fails_again_and_again():
    def answer_some(talk):
        count = 0
        for _ in talk.lines():
            talk.send(b"keep alive\n")
            count += 1
            if count == 1500:
                return

    with Tiny(InTurn(*[answer_some] * 6, line)) as server:
        lines = [b"message %d" % number for number in range(10000)]
        done = connect("--reconnect", "--reconnect-max", "1ms", server.address, input=b"\n".join(lines) + b"\n")
        assert done.stdout == b"keep alive\n" * 10000 + b"stop\n"
        assert done.returncode == 0
        # Every message was heard at least once, and in order.
        heard = b"".join(server.heard)
        assert all(message + b"\n" in heard for message in lines[::97])
        assert server.heard[-1].endswith(b"message 9998\nmessage 9999\nstop\n")


def test_interrupted_while_waiting():
    holder, address = closed_port()
    with holder, Piped("--reconnect", "--reconnect-max", "1h", address) as client:
        client.until_error(b"next attempt in ")
        client.signal(signal.SIGINT)
        assert client.status() == 1


def test_json_tells_of_the_connection():
    with Tiny(InTurn(close_after_hearing, line)) as server:
        done = connect("--json", "--reconnect", server.address, input=b"one\n")
        assert done.stderr == b""
        found = events_of(done.stdout)
        assert [event["event"] for event in found] == ["connected", "lost", "connected", "reply", "reply"]
        assert found[1]["reason"] == "the server closed it"
        assert found[1]["unanswered"] == 1
        assert isinstance(found[1]["next_ms"], int)
        assert found[3]["number"] == 1  # It kept its number.


def test_on_a_terminal_one_may_type_while_there_is_no_connection():
    holder, address = closed_port()
    with Terminal("--reconnect", "--reconnect-max", "100ms", address) as terminal:
        terminal.until_prompt()
        terminal.type("one\r")
        terminal.until_line("> one")
        with holder:
            holder.listen()
            connection, _ = holder.accept()
            with connection:
                connection.settimeout(PATIENCE)
                assert connection.recv(100) == b"one\n"
                connection.sendall(b"keep alive\n")
                terminal.until_line("keep alive")
                terminal.type("stop\r")
                assert connection.recv(100) == b"stop\n"
                connection.sendall(b"stop\n")
                assert terminal.status() == 0
