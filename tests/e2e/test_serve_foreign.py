"""Clients that no one here wrote: nc, ncat, socat, telnet, bash, and the client that lifeline was first written for."""

import os
import select
import signal
import socket
import subprocess
import tempfile

import pytest

from patience import PATIENCE
from serving import KEEP_ALIVE, Client


def pipe(command, words, patience=PATIENCE):
    """Runs a client with these words as its standard input; what it printed."""
    done = subprocess.run(command, input=words, capture_output=True, timeout=patience)
    return done.stdout


class Interactive:
    """A client program whose standard input stays open, as a person's does."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, bufsize=0)
        self.heard = b""

    def say(self, words):
        self.process.stdin.write(words)

    def _more(self):
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        assert ready, f"it says no more than {self.heard!r}"
        piece = os.read(self.process.stdout.fileno(), 65536)
        self.heard += piece
        return piece

    def hear(self, text, count=1):
        """Until it has printed this text so many times."""
        while self.heard.count(text) < count:
            assert self._more(), f"it ended, having printed {self.heard!r}"

    def hear_end(self):
        while self._more():
            pass
        return self.process.wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def host_and_port(server):
    return [server.address[0], str(server.address[1])]


# Lines from a pipe: each program as people really call it

LINE_PROGRAMS = {
    "nc": lambda host, port: ["nc", host, port],
    "nc-N": lambda host, port: ["nc", "-N", host, port],
    "nc-C": lambda host, port: ["nc", "-C", host, port],
    "ncat": lambda host, port: ["ncat", host, port],
    "ncat-C": lambda host, port: ["ncat", "-C", host, port],
    "socat": lambda host, port: ["socat", "-t60", "-", f"TCP:{host}:{port}"],
    "socat-crnl": lambda host, port: ["socat", "-t60", "STDIO,crnl", f"TCP:{host}:{port}"],
}


# `nc -C` writes a line and its CR LF apart, so the first bytes that arrive hold no LF: it needs a listener for lines.
@pytest.mark.parametrize("program, framing", [(program, framing) for program in LINE_PROGRAMS
                                              for framing in ("auto", "line") if (program, framing) != ("nc-C", "auto")])
def test_lines_from_a_pipe(serve, program, framing):
    with serve(framing=framing) as server:
        heard = pipe(LINE_PROGRAMS[program](*host_and_port(server)), b"hello\nhow are you\n\nstop\n")
        assert heard.replace(b"\r", b"") == b"keep alive\nkeep alive\nkeep alive\nstop\n"
        server.expect("end", tag=1, reason="stopped", fault="client", messages=4)


@pytest.mark.parametrize("command", [
    pytest.param(lambda host, port: ["nc", "-N", host, port], id="nc-N"),
    pytest.param(lambda host, port: ["ncat", host, port], id="ncat"),
    pytest.param(lambda host, port: ["socat", "-t60", "-", f"TCP:{host}:{port}"], id="socat"),
])
def test_a_pipe_that_ends_without_stop_hears_all_replies(serve, command):
    with serve() as server:
        heard = pipe(command(*host_and_port(server)), b"one\ntwo\nthree\n")
        assert heard == b"keep alive\n" * 3
        server.expect("end", tag=1, reason="closed", fault="client", messages=3)


@pytest.mark.parametrize("framing", ["auto", "raw"])
@pytest.mark.parametrize("program", ["nc-N", "socat", "ncat"])
def test_a_word_without_newline_from_a_pipe(serve, program, framing):
    with serve(framing=framing) as server:
        heard = pipe(LINE_PROGRAMS[program](*host_and_port(server)), b"hello")
        assert heard == KEEP_ALIVE
        server.expect("end", tag=1, reason="closed", messages=1)


@pytest.mark.parametrize("program", ["nc-N", "socat", "ncat"])
def test_a_bare_stop_from_a_pipe(serve, program):
    with serve() as server:
        heard = pipe(LINE_PROGRAMS[program](*host_and_port(server)), b"stop")
        assert heard == b"stop"
        server.expect("end", tag=1, reason="stopped", messages=1)


def test_a_line_at_a_time_at_a_raw_listener(serve):
    with serve(framing="raw") as server, Interactive(["nc", *host_and_port(server)]) as nc:
        for count in range(1, 6):
            nc.say(b"hello\n")
            nc.hear(KEEP_ALIVE, count)
        nc.say(b"stop\n")
        nc.hear(b"stop")
        assert nc.heard == KEEP_ALIVE * 5 + b"stop"
        server.expect("end", tag=1, reason="stopped", messages=6)


@pytest.mark.parametrize("framing", ["auto", "line"])
@pytest.mark.parametrize("program", ["nc", "ncat", "socat"])
def test_a_person_typing(serve, program, framing):
    with serve(framing=framing) as server, Interactive(LINE_PROGRAMS[program](*host_and_port(server))) as person:
        for count in range(1, 4):
            person.say(b"still here\n")
            person.hear(KEEP_ALIVE + b"\n", count)
        person.say(b"stop\n")
        person.hear(b"stop\n")
        # Whether such a program notices that the server has closed before it writes again is its own affair.
        server.expect("end", tag=1, reason="stopped", messages=4)
        assert person.heard == b"keep alive\n" * 3 + b"stop\n"


@pytest.mark.parametrize("framing", ["auto", "line", "raw"])
def test_telnet(serve, framing):
    with serve(framing=framing) as server, Interactive(["telnet", *host_and_port(server)]) as telnet:
        telnet.hear(b"Connected to")
        for count in range(1, 4):
            telnet.say(b"hello\n")
            telnet.hear(KEEP_ALIVE, count)
        telnet.say(b"stop\n")
        telnet.hear_end()
        assert b"Connection closed by foreign host" in telnet.heard
        server.expect("end", tag=1, reason="stopped", messages=4)


def test_bash(serve):
    script = """
        exec 3<>"/dev/tcp/$0/$1" || exit 1
        for word in one two three stop; do
            echo "$word" >&3
            IFS= read -r reply <&3 || exit 1
            echo "$word: $reply"
        done
        IFS= read -r more <&3 && echo "more: $more"
        echo end
    """
    with serve() as server:
        heard = pipe(["bash", "-c", script, *host_and_port(server)], b"")
        assert heard == b"one: keep alive\ntwo: keep alive\nthree: keep alive\nstop: stop\nend\n"
        server.expect("end", tag=1, reason="stopped", messages=4)


def test_bash_that_says_one_thing_and_is_gone(serve):
    with serve() as server:
        pipe(["bash", "-c", 'echo alive >"/dev/tcp/$0/$1"', *host_and_port(server)], b"")
        server.expect("end", tag=1, messages=1, bytes=6, reason=lambda reason: reason in ("closed", "reset"))


def test_nc_looking_whether_the_port_is_open(serve):
    with serve() as server:
        subprocess.run(["nc", "-z", *host_and_port(server)], check=True, timeout=PATIENCE)
        server.expect("end", tag=1, reason="closed", messages=0, bytes=0)


def test_python_in_three_lines(serve):
    with serve() as server:
        with socket.create_connection(server.address, PATIENCE) as client:
            client.sendall(b"alive\n")
            assert client.recv(100) == b"keep alive\n"
        server.expect("end", tag=1, reason="closed", messages=1)


@pytest.mark.parametrize("command", [
    pytest.param(lambda path: ["nc", "-N", "-U", path], id="nc-U"),
    pytest.param(lambda path: ["ncat", "-U", path], id="ncat-U"),
    pytest.param(lambda path: ["socat", "-t60", "-", f"UNIX-CONNECT:{path}"], id="socat"),
])
def test_programs_at_a_unix_socket(serve, command):
    with tempfile.TemporaryDirectory() as place:
        path = f"{place}/lifeline.sock"
        with serve(listen=(f"unix:{path}",)) as server:
            assert pipe(command(path), b"hello\nstop\n") == b"keep alive\nstop\n"
            server.expect("end", tag=1, reason="stopped", messages=2)


# The client that lifeline was first written for: bare words, a reply awaited for each, closing with `stop` unread

def legacy(server, words, read_ahead):
    client = Client(server)
    for word in ["Hello Server!", *words]:
        client.say(word)
        if read_ahead:
            assert client.hear(len(KEEP_ALIVE)) == KEEP_ALIVE
        else:
            # It looks at one byte of the reply and leaves the others unread: the kernel resets on close.
            client.socket.recv(1, socket.MSG_PEEK)
    client.say("stop")
    client.close()
    return client


@pytest.mark.parametrize("framing", ["auto", "raw"])
def test_the_legacy_client(serve, framing):
    with serve(framing=framing) as server:
        before = server.descriptors()
        for number in range(20):
            client = legacy(server, ["alive", "still alive", f"word {number}"], read_ahead=True)
            server.end_of(client, reason="stopped", fault="client", messages=5)
        server.until_free(before)


@pytest.mark.parametrize("framing", ["auto", "raw"])
def test_the_legacy_client_that_resets_at_once(serve, framing):
    with serve(framing=framing) as server:
        before = server.descriptors()
        for _ in range(20):
            client = legacy(server, [], read_ahead=False)
            server.end_of(client, reason="stopped", fault="client")
        server.until_free(before)


@pytest.mark.parametrize("framing", ["auto", "raw"])
def test_a_stop_that_was_glued_to_the_words_before_it(serve, framing):
    with serve(framing=framing) as server:
        with Client(server) as client:
            client.say("Hello Server!")
            assert client.hear(len(KEEP_ALIVE)) == KEEP_ALIVE
            client.say("I am leavingstop")
            assert client.hear(len(KEEP_ALIVE)) == KEEP_ALIVE  # it is one message, and not `stop`
        server.end_of(client, reason="stopped", messages=2)


@pytest.mark.parametrize("framing", ["auto", "raw"])
def test_a_glued_stop_and_a_reset(serve, framing):
    with serve(framing=framing) as server:
        client = Client(server)
        client.say("Hello Server!")
        assert client.hear(len(KEEP_ALIVE)) == KEEP_ALIVE
        client.say("bye nowstop")
        assert client.hear(len(KEEP_ALIVE)) == KEEP_ALIVE
        client.reset()
        server.end_of(client, reason="stopped")


def test_st_and_op_apart_in_raw(serve):
    with serve(framing="raw") as server:
        with Client(server) as client:
            client.say("st")
            assert client.hear(len(KEEP_ALIVE)) == KEEP_ALIVE
            client.say("op")
            assert client.hear(len(KEEP_ALIVE)) == KEEP_ALIVE
        server.end_of(client, reason="stopped", messages=2)


def test_words_that_only_look_like_stop(serve):
    with serve(framing="raw") as server:
        for words in ["stop!", "Stop", "sto", "stop stopp", "st op"]:
            with Client(server) as client:
                client.say(words)
                assert client.hear(len(KEEP_ALIVE)) == KEEP_ALIVE
            server.end_of(client, reason="closed", messages=1)


def test_a_client_that_is_killed(serve):
    with serve() as server, Interactive(["nc", *host_and_port(server)]) as nc:
        nc.say(b"hello\n")
        nc.hear(b"keep alive\n")
        nc.process.send_signal(signal.SIGKILL)
        server.expect("end", tag=1, messages=1, reason="closed")
