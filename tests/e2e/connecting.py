"""`lifeline connect` as a child of this process, on pipes or a pseudo-terminal, and tiny servers for it to talk to.

The servers are what someone might write in an afternoon, on purpose: none of this project's own code is in them.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import signal
import socket
import struct
import subprocess
import termios
import threading

from patience import PATIENCE, until

KEEP_ALIVE = b"keep alive"


def binary():
    path = os.environ.get("LIFELINE")
    assert path, "LIFELINE must name the lifeline binary to test"
    return path


def connect(*arguments, input=b"", env=None, patience=PATIENCE):
    """Runs `lifeline connect` to its end."""
    return subprocess.run([binary(), "connect", *map(str, arguments)], input=input, capture_output=True,
                          timeout=patience, env={**os.environ, **(env or {})})


def events_of(output):
    return [json.loads(line) for line in output.splitlines()]


class Tiny:
    """A TCP server that answers each connection, in a thread of its own, by `answer(connection)`.

    `heard` has the bytes of each connection, one bytearray each, in order of accept.
    """

    def __init__(self, answer, path=None):
        self.answer = answer
        self.heard = []
        self.changed = threading.Condition()
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            self.listener.listen()
            self.address = f"unix:{path}"
        else:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.connections = []
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.changed:
                self.heard.append(bytearray())
                talk = Talk(self, connection, len(self.heard) - 1)
                self.connections.append(connection)
                self.changed.notify_all()
            threading.Thread(target=self._talk, args=(talk,), daemon=True).start()

    def _talk(self, talk):
        with contextlib.suppress(OSError):
            self.answer(talk)
        with contextlib.suppress(OSError):
            talk.socket.close()

    def until_heard(self, index, what):
        """Waits until connection `index` is there and has said `what` (bytes, or a function of all it said)."""
        heard = what if callable(what) else lambda said: what in said
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.heard) > index and heard(bytes(self.heard[index])),
                                         PATIENCE), f"waited in vain for {what!r} in {self.heard!r}"
            return bytes(self.heard[index])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # shutdown wakes the accept; close alone would not.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Talk:
    """A tiny server's side of one connection."""

    def __init__(self, server, connection, index):
        self.server = server
        self.socket = connection
        self.index = index  # how many came before

    def receive(self, size=65536):
        data = self.socket.recv(size)
        with self.server.changed:
            self.server.heard[self.index] += data
            self.server.changed.notify_all()
        return data

    def send(self, data):
        self.socket.sendall(data)

    def lines(self):
        rest = b""
        while data := self.receive():
            *lines, rest = (rest + data).split(b"\n")
            yield from lines

    def reset(self):
        """Closes so that the client's kernel is told of a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def raw(talk):
    """Answers each receive, and `stop` with stop. Knows no lines."""
    while data := talk.receive():
        if data == b"stop":
            talk.send(b"stop")
            return
        talk.send(KEEP_ALIVE)


def line(talk):
    """Answers each line, and `stop` with stop."""
    for said in talk.lines():
        if said == b"stop":
            talk.send(b"stop\n")
            return
        talk.send(KEEP_ALIVE + b"\n")


def closed_port():
    """A port at which nobody listens: bound, so that nobody else gets it, while the context lasts."""
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    return holder, f"127.0.0.1:{holder.getsockname()[1]}"


class Piped:
    """`lifeline connect` on pipes, with input given bit by bit. Use it by `with`."""

    def __init__(self, *arguments, env=None):
        self.process = subprocess.Popen([binary(), "connect", *map(str, arguments)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env={**os.environ, **(env or {})})
        self.output = bytearray()
        self.errors = bytearray()
        self.changed = threading.Condition()
        self.readers = [threading.Thread(target=self._read, args=pair, daemon=True)
                        for pair in ((self.process.stdout, self.output), (self.process.stderr, self.errors))]
        for reader in self.readers:
            reader.start()

    def _read(self, stream, into):
        while data := os.read(stream.fileno(), 65536):
            with self.changed:
                into += data
                self.changed.notify_all()

    def say(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def _until(self, where, what):
        with self.changed:
            assert self.changed.wait_for(lambda: what in where, PATIENCE), \
                f"waited in vain for {what!r}; out: {bytes(self.output)!r}, err: {bytes(self.errors)!r}"

    def until_output(self, what):
        self._until(self.output, what)

    def until_error(self, what):
        self._until(self.errors, what)

    def signal(self, number):
        self.process.send_signal(number)

    def end_input(self):
        self.process.stdin.close()

    def status(self):
        """Waits for the end."""
        status = self.process.wait(PATIENCE)
        for reader in self.readers:
            reader.join(PATIENCE)
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for reader in self.readers:
            reader.join(PATIENCE)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            with contextlib.suppress(OSError):
                stream.close()


def end_of(pid):
    """Waits until the child ends, and returns its exit status, or the signal's number negated."""
    def ended():
        found, status = os.waitpid(pid, os.WNOHANG)
        return found and (os.waitstatus_to_exitcode(status),)

    return until(ended, "the end of lifeline connect")[0]


class Screen:
    """Enough of a terminal to see what a person sees: text, CR, LF, backspace, and the ECMA-48 moves libedit makes."""

    def __init__(self, columns=80):
        self.columns = columns
        self.rows = [[]]
        self.row = self.column = 0
        self.rest = ""

    def feed(self, text):
        text = self.rest + text
        self.rest = ""
        at = 0
        while at < len(text):
            if text[at] == "\033":
                sequence = re.compile(r"\033(\[[0-9;?]*[@-~]|[()].|[=>78cDEHM])").match(text, at)
                if not sequence:
                    self.rest = text[at:]
                    return
                self._escape(sequence.group(1))
                at = sequence.end()
                continue
            self._character(text[at])
            at += 1

    def _line(self):
        while len(self.rows) <= self.row:
            self.rows.append([])
        return self.rows[self.row]

    def _character(self, character):
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self.row += 1
            self._line()
        elif character == "\b":
            self.column = max(0, self.column - 1)
        elif character == "\t":
            self.column = (self.column // 8 + 1) * 8
        elif character >= " ":
            if self.column >= self.columns:
                self.column = 0
                self.row += 1
            line = self._line()
            line.extend(" " * (self.column + 1 - len(line)))
            line[self.column] = character
            self.column += 1

    def _escape(self, sequence):
        if not sequence.startswith("["):
            return
        kind = sequence[-1]
        number = int(sequence[1:-1]) if sequence[1:-1].isdigit() else 0
        line = self._line()
        if kind == "A":
            self.row = max(0, self.row - max(1, number))
        elif kind == "B":
            self.row += max(1, number)
        elif kind == "C":
            self.column += max(1, number)
        elif kind == "D":
            self.column = max(0, self.column - max(1, number))
        elif kind == "G":
            self.column = max(1, number) - 1
        elif kind == "K" and number == 0:
            del line[self.column:]
        elif kind == "J" and number == 0:
            del line[self.column:]
            del self.rows[self.row + 1:]
        elif kind == "P":
            del line[self.column:self.column + max(1, number)]
        elif kind == "@":
            line[self.column:self.column] = " " * max(1, number)

    def lines(self):
        return ["".join(row).rstrip() for row in self.rows]

    def __str__(self):
        return "\n".join(self.lines())


class Terminal:
    """`lifeline connect` under a pseudo-terminal, driven as a person would: typing, and looking at the screen."""

    def __init__(self, *arguments, env=None, columns=80):
        self.screen = Screen(columns)
        self.bytes = bytearray()
        self.changed = threading.Condition()
        self.closed = False
        self.hung_up = False
        environment = {**os.environ, "TERM": "xterm", "HOME": "/nonexistent", **(env or {})}
        # Our own hold on its side keeps the terminal's modes when the client ends, as a shell would.
        self.fd, self.other_side = os.openpty()
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.first_modes = self.modes()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.login_tty(os.dup(self.other_side))
                os.execve(binary(), [binary(), "connect", *map(str, arguments)], environment)
            finally:
                os._exit(127)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while True:
            try:
                data = os.read(self.fd, 65536)
            except OSError as error:
                # The other side is closed; that is how Linux says it.
                assert error.errno == errno.EIO
                data = b""
            with self.changed:
                self.bytes += data
                self.screen.feed(data.decode("utf-8", "replace"))
                self.closed = not data
                self.changed.notify_all()
            if not data or self.hung_up:
                return

    def type(self, text):
        os.write(self.fd, text.encode())

    def until(self, seen, what):
        """Waits until `seen(lines of the screen)`."""
        with self.changed:
            assert self.changed.wait_for(lambda: seen(self.screen.lines()), PATIENCE), \
                f"waited in vain for {what}; the screen:\n{self.screen}\nbytes: {bytes(self.bytes)!r}"

    def until_line(self, line, times=1):
        self.until(lambda lines: lines.count(line) >= times, f"{line!r} on {times} lines")

    def until_prompt(self, typed=""):
        """The last line is the prompt with this typed."""
        prompt = f"> {typed}".rstrip()
        self.until(lambda lines: lines[-1] == prompt, f"the prompt {prompt!r}")

    def modes(self):
        return termios.tcgetattr(self.fd)

    def resize(self, columns):
        self.screen.columns = columns
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def signal(self, number):
        os.kill(self.pid, number)

    def hang_up(self):
        """The terminal goes away, as when its window is closed."""
        self.hung_up = True
        self._let_go()
        # A read under way would keep the terminal open: let it end first, with what this makes the terminal say.
        self.type("\x0c")
        self.reader.join(PATIENCE)
        os.close(self.fd)

    def status(self):
        """Waits for the end."""
        status = end_of(self.pid)
        self.pid = None
        self.last_modes = None if self.hung_up else self.modes()
        self._let_go()
        self.reader.join(PATIENCE)
        return status

    def _let_go(self):
        if self.other_side is not None:
            os.close(self.other_side)
        self.other_side = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        self._let_go()
        self.reader.join(PATIENCE)
        if not self.hung_up:
            os.close(self.fd)
