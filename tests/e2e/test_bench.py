"""`lifeline bench` against servers that misbehave in every way that it must see, and against `lifeline serve`."""

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import threading

import pytest

from patience import PATIENCE, until
from serving import binary, run

REPLY = b"keep alive\n"


class Mischief:
    """A TCP server in this process. `answer(line, number)` makes the reply to the number'th line of a client, from 1:
    bytes to be sent, or CLOSE or RESET. Lines are told apart by LF, or in `raw` are what one receive returned."""

    CLOSE, RESET = object(), object()

    def __init__(self, answer=None, greeting=b"", raw=False):
        self.answer = answer or (lambda line, number: REPLY)
        self.greeting = greeting
        self.raw = raw
        self.lines = []  # all that was heard, of all clients
        self.peers = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.target = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, peer = self.listener.accept()
                self.peers.append(peer)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, contextlib.suppress(OSError):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.sendall(self.greeting)
            ahead, number = b"", 0
            while piece := client.recv(65536):
                ahead += piece
                lines = [ahead] if self.raw else ahead.split(b"\n")
                ahead = b"" if self.raw else lines.pop()
                for line in lines:
                    number += 1
                    self.lines.append(line)
                    if not self._say(client, self.answer(line, number)):
                        return

    def _say(self, client, reply):
        if reply is self.RESET:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if reply is self.CLOSE or reply is self.RESET:
            return False
        for piece in [reply] if isinstance(reply, bytes) else reply:
            client.sendall(piece)
        return True

    def __enter__(self):
        return self

    def __exit__(self, *what):
        # Wakes the thread that waits for it.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def bench(target, *options, **settings):
    """The exit status and the report of a run."""
    outcome = run("bench", target, "--json", "--duration", "300ms", *options, **settings)
    assert outcome.stderr == "", outcome.stderr
    report = json.loads(outcome.stdout)
    assert report["ok"] == (outcome.returncode == 0)
    return outcome.returncode, report


def faults(report):
    return {name: count for name, count in report["errors"].items() if count}


def at_the_tenth(what):
    """A reply as it should be, but for the tenth message of each client."""
    return lambda line, number: what if number == 10 else REPLY


def test_a_good_server_is_counted_right():
    with Mischief() as server:
        status, report = bench(server.target, "--clients", "5")
        assert (status, faults(report)) == (0, {})
        assert report["connects"] == len(server.peers) == 5
        assert report["replies_in_all"] == report["sent_in_all"] == len(server.lines) > 50
        assert set(server.lines) == {b"beat"}
        latency = report["latency_us"]
        assert 0 < latency["min"] <= latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["max"]
        assert 0 < latency["count"] <= report["replies_in_all"]
        assert 0 < report["messages"] <= report["replies_in_all"]


def test_replies_in_pieces_are_good_replies():
    pieces = [REPLY[i:i + 1] for i in range(len(REPLY))]
    with Mischief(lambda line, number: pieces) as server:
        status, report = bench(server.target, "--clients", "3", "--pipeline", "4")
        assert (status, faults(report)) == (0, {})
        assert report["replies_in_all"] == len(server.lines)


def test_a_wrong_reply():
    with Mischief(at_the_tenth(b"keep alivf\n")) as server:
        status, report = bench(server.target, "--clients", "3")
        assert (status, faults(report)) == (1, {"wrong": 3})


def test_a_missing_reply():
    with Mischief(at_the_tenth(b"")) as server:
        status, report = bench(server.target, "--clients", "3", "--timeout", "500ms")
        assert (status, faults(report)) == (1, {"missing": 3})
        assert report["sent_in_all"] == 30
        assert report["replies_in_all"] == 27


def test_half_a_reply_is_missing():
    with Mischief(at_the_tenth(REPLY[:-1])) as server:
        status, report = bench(server.target, "--clients", "3", "--timeout", "500ms")
        assert (status, faults(report)) == (1, {"missing": 3})


def test_a_missing_reply_among_others():
    with Mischief(at_the_tenth(b"")) as server:
        status, report = bench(server.target, "--clients", "2", "--pipeline", "8", "--timeout", "500ms")
        assert (status, faults(report)) == (1, {"missing": 2})
        assert report["sent_in_all"] == report["replies_in_all"] + 2


def test_a_surplus_reply_at_once():
    with Mischief(at_the_tenth(REPLY + REPLY)) as server:
        status, report = bench(server.target, "--clients", "3")
        assert (status, faults(report)) == (1, {"surplus": 3})


def test_a_surplus_reply_that_comes_later():
    # It passes for the reply to the next message, and so on: in the end there is one more than there should be.
    with Mischief(at_the_tenth([REPLY, REPLY])) as server:
        status, report = bench(server.target, "--clients", "1")
        assert (status, faults(report)) == (1, {"surplus": 1})


def test_a_server_that_closes():
    with Mischief(at_the_tenth(Mischief.CLOSE)) as server:
        status, report = bench(server.target, "--clients", "3")
        assert (status, faults(report)) == (1, {"missing": 3, "closed": 3})
        assert report["replies_in_all"] == 27


def test_a_server_that_resets():
    with Mischief(at_the_tenth(Mischief.RESET)) as server:
        status, report = bench(server.target, "--clients", "3")
        assert (status, faults(report)) == (1, {"missing": 3, "reset": 3})


def test_no_server():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = "127.0.0.1:%d" % listener.getsockname()[1]
    status, report = bench(target, "--clients", "7")
    assert (status, faults(report)) == (1, {"refused": 7})
    status, report = bench(target, "--clients", "7", "--churn")
    assert status == 1
    assert list(faults(report)) == ["refused"]
    outcome = run("bench", target)
    assert outcome.returncode == 1
    assert "connection refused" in outcome.stdout


def test_a_server_that_does_not_accept():
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        status, report = bench("127.0.0.1:%d" % listener.getsockname()[1], "--clients", "20", "--timeout", "700ms")
        assert status == 1
        assert report["errors"]["timeout"] > 0
        assert report["connects"] < 20


def test_a_stall_is_not_hidden():
    """On schedule, a second in which nothing is answered is seen by all who were due in it, not by one a client."""
    stalled = threading.Event()

    def answer(line, number):
        if number == 50 and not stalled.is_set():
            stalled.set()
            threading.Event().wait(1)
        return REPLY

    with Mischief(answer) as server:
        status, report = bench(server.target, "--clients", "1", "--rate", "200", "--duration", "2s")
        assert (status, faults(report)) == (0, {})
        assert report["replies_in_all"] == report["sent_in_all"] == report["latency_us"]["count"] == 400
        # Half of the time of a stall of a second is half a second: of two seconds, a quarter waited longer than that.
        assert report["latency_us"]["max"] > 900_000
        assert report["latency_us"]["p90"] > 500_000


def test_on_schedule_in_raw_waits_for_its_turn():
    with Mischief(lambda line, number: b"keep alive", raw=True) as server:
        status, report = bench(server.target, "--framing", "raw", "--clients", "2", "--rate", "3000")
        assert (status, faults(report)) == (0, {})
        assert report["sent_in_all"] == 900
        assert set(server.lines) == {b"beat"}


def test_bytes_of_any_kind():
    with Mischief(lambda line, number: b"\xd0\x00" * (len(line) // 2), raw=True) as server:
        status, report = bench(server.target, "--framing", "bytes", "--message", "\\xc0\\0", "--expect", "\\xd0\\x00",
                               "--pipeline", "5", "--clients", "2")
        assert (status, faults(report)) == (0, {})
        assert set(b"".join(server.lines)) == {0xc0, 0}


def test_any_reply_of_a_length():
    with Mischief(lambda line, number: b"%010d\n" % number) as server:
        assert bench(server.target, "--expect", "11")[0] == 0
        status, report = bench(server.target, "--expect", "10")
        assert (status, list(faults(report))) == (1, ["surplus"])


def test_greeting_and_hello():
    def answer(line, number):
        return b"+OK " + line + b"\n" if line.startswith(b"CONNECT") else b"PONG\n"

    with Mischief(answer, greeting=b"INFO {}\r\n") as server:
        options = ["--greeting", "--hello", "CONNECT me-\\#", "--message", "PING", "--expect", "PONG", "--clients", "4"]
        status, report = bench(server.target, *options, "--hello-expect", "17")
        assert (status, faults(report)) == (0, {})
        hellos = {line for line in server.lines if line.startswith(b"CONNECT")}
        assert hellos == {b"CONNECT me-%d" % number for number in range(4)}
        status, report = bench(server.target, *options, "--hello-expect", "+NO")
        assert (status, faults(report)) == (1, {"hello": 4})


def test_what_is_ignored():
    with Mischief(lambda line, number: [b"PI", b"NG\r\nP", b"ONG\r\n", b"PING\r\n"]) as server:
        talk = ["--message", "PING\\r", "--expect", "PONG\\r", "--clients", "3"]
        status, report = bench(server.target, *talk, "--ignore", "PING\\r")
        assert (status, faults(report)) == (0, {})
        assert report["replies_in_all"] == len(server.lines)
        assert bench(server.target, *talk)[0] == 1


def test_congestion_control():
    with Mischief() as server:
        assert bench(server.target, "--congestion", "reno")[0] == 0
        status, report = bench(server.target, "--congestion", "nonsense", "--clients", "2")
        assert (status, faults(report)) == (1, {"other": 2})


def test_a_hello_that_is_not_answered():
    with Mischief(lambda line, number: b"") as server:
        status, report = bench(server.target, "--hello", "hello", "--clients", "2", "--timeout", "300ms")
        assert (status, faults(report)) == (1, {"hello": 2})


class Stopping(Mischief):
    """One that knows `stop`."""

    def _say(self, client, reply):
        super()._say(client, reply)
        return reply != b"stop\n"


def test_churn():
    with Stopping(lambda line, number: b"stop\n" if line == b"stop" else REPLY) as server:
        status, report = bench(server.target, "--churn", "--clients", "4")
        assert (status, faults(report)) == (0, {})
        assert report["rounds"] > 4
        assert server.lines.count(b"beat") == server.lines.count(b"stop") == report["connects"] == len(server.peers)
        assert report["round_us"]["count"] >= report["rounds"]


def test_churn_with_a_server_that_stays():
    with Mischief(lambda line, number: b"stop\n" if line == b"stop" else REPLY) as server:
        status, report = bench(server.target, "--churn", "--clients", "2", "--timeout", "400ms")
        assert (status, faults(report)) == (1, {"missing": 2})


def test_churn_without_bye():
    with Mischief() as server:
        status, report = bench(server.target, "--churn", "--bye", "", "--clients", "4")
        assert (status, faults(report)) == (0, {})
        assert len(server.lines) == report["connects"] > 4


def test_bye_at_the_end():
    with Stopping(lambda line, number: b"stop\n" if line == b"stop" else REPLY) as server:
        status, report = bench(server.target, "--bye", "stop", "--clients", "4")
        assert (status, faults(report)) == (0, {})
        assert server.lines.count(b"stop") == 4


def test_idle():
    with Mischief() as server:
        status, report = bench(server.target, "--idle", "--every", "200ms", "--clients", "30", "--duration", "1s")
        assert (status, faults(report)) == (0, {})
        assert report["sent_in_all"] == len(server.lines) == 150


def test_a_ramp_and_threads():
    with Mischief() as server:
        status, report = bench(server.target, "--ramp", "200/s", "--clients", "21", "--threads", "3")
        assert (status, faults(report)) == (0, {})
        assert report["connects"] == 21
        assert report["replies_in_all"] == len(server.lines)


def test_sources():
    with Mischief() as server:
        status, report = bench(server.target, "--clients", "6", "--source", "127.0.0.2", "--source", "127.0.0.3")
        assert status == 0
        assert sorted(host for host, _ in server.peers) == ["127.0.0.2"] * 3 + ["127.0.0.3"] * 3


def test_the_process_of_the_server():
    with Mischief() as server:
        status, report = bench(server.target, "--pid", str(os.getpid()))
        assert status == 0
        assert report["server"]["cpu_us"] > 0
        assert 0 < report["server"]["cpu_share"] < 64
    gone = subprocess.Popen(["true"])
    gone.wait()
    with Mischief() as server:
        status, report = bench(server.target, "--pid", str(gone.pid))
        assert (status, report["server"]) == (0, None)


@pytest.mark.parametrize("options", [["--rate", "2000"], ["--churn", "--bye", ""], ["--threads", "2"], []])
def test_an_interrupt_ends_it_with_a_report(options):
    with Mischief() as server:
        child = subprocess.Popen([binary(), "bench", server.target, "--json", "--duration", "1h", *options],
                                 stdout=subprocess.PIPE, text=True)
        until(lambda: len(server.lines) > 1000, "messages")
        child.send_signal(signal.SIGINT)
        report = json.loads(child.communicate(timeout=PATIENCE)[0])
        assert child.returncode == 0
        assert report["interrupted"]
        assert faults(report) == {}
        assert 0 < max(report["messages"], report["rounds"]) <= len(server.lines)


def test_an_interrupt_while_connecting():
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        child = subprocess.Popen([binary(), "bench", "127.0.0.1:%d" % listener.getsockname()[1], "--json", "--timeout",
                                  "1h", "--clients", "300"], stdout=subprocess.PIPE, text=True)
        listener.accept()[0].close()
        child.send_signal(signal.SIGINT)
        report = json.loads(child.communicate(timeout=PATIENCE)[0])
        assert report["interrupted"]


def test_the_report_for_people():
    with Mischief(at_the_tenth(b"what?\n")) as server:
        outcome = run("bench", server.target, "--clients", "2", "--duration", "300ms")
        assert outcome.returncode == 1
        assert "2 clients" in outcome.stdout
        assert "2 × wrong reply" in outcome.stdout
    with Mischief() as server:
        outcome = run("bench", server.target, "--clients", "2", "--duration", "300ms", "--pid", str(os.getpid()))
        assert outcome.returncode == 0
        for word in ("messages", "p99.9", "µs of CPU a message", "every reply was checked"):
            assert word in outcome.stdout


@pytest.mark.parametrize("options", [
    ["--clients", "0"], ["--clients", "many"], ["--rate", "-1"], ["--rate", "nan"], ["--duration", "0"],
    ["--duration", "10"], ["--framing", "square"], ["--framing", "raw", "--pipeline", "2"], ["--message", "\\q"],
    ["--framing", "raw", "--message", ""], ["--expect", ""], ["--churn", "--rate", "5"], ["--idle", "--rate", "5"],
    ["--pid", "me"], ["--source", "nowhere"], ["--nonsense"], ["a", "b"], ["127.0.0.1:port"],
    ["--message", "\\#"], ["--clients", "9999999"],
])
def test_usage(options):
    outcome = run("bench", *options)
    assert outcome.returncode == 2
    assert outcome.stdout == ""
    assert 1 <= outcome.stderr.count("\n") <= 3


def test_help():
    outcome = run("bench", "--help")
    assert outcome.returncode == 0
    for option in ("--clients", "--rate", "--churn", "--idle", "--pid", "--json"):
        assert option in outcome.stdout


# Against lifeline itself


@pytest.mark.parametrize("options", [
    ["--clients", "200"],
    ["--clients", "20", "--pipeline", "64"],
    ["--clients", "20", "--rate", "5000"],
    ["--clients", "10", "--churn"],
    ["--clients", "10", "--bye", "stop"],
    ["--clients", "20", "--idle", "--every", "100ms"],
    ["--clients", "20", "--hello", "id worker-\\#"],
    ["--clients", "5", "--message", ""],
], ids=" ".join)
def test_serve_answers_all(serve, options):
    with serve() as server:
        status, report = bench(server.addresses[0], *options, "--pid", str(server.pid))
        assert (status, faults(report)) == (0, {})
        assert report["replies_in_all"] > 0
        assert report["server"]["cpu_us"] > 0


def test_serve_raw(serve):
    with serve(framing="raw") as server:
        for options in ([], ["--rate", "3000"], ["--churn"]):
            status, report = bench(server.addresses[0], "--framing", "raw", *options)
            assert (status, faults(report)) == (0, {})


def test_serve_long_lines(serve):
    with serve(framing="line") as server:
        status, report = bench(server.addresses[0], "--message", "\\0\\xff" * 3000, "--pipeline", "5", "--clients", "5")
        assert (status, faults(report)) == (0, {})
