"""`lifeline serve` as a child of this process, all that it says, and simple clients of it."""

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

from patience import PATIENCE, until

ENGINES = os.environ.get("LIFELINE_ENGINES", "uring epoll threads").split()

KEEP_ALIVE = b"keep alive"


def binary():
    path = os.environ.get("LIFELINE")
    assert path, "LIFELINE must name the lifeline binary to test"
    return path


def run(*arguments, prefix=(), env=None, patience=PATIENCE):
    """Runs lifeline to its end, which must come by itself. For uses that are errors."""
    return subprocess.run([*prefix, binary(), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=patience, env={**os.environ, **(env or {})})


def address_of(text):
    """What connect() takes for an address as the server writes it."""
    if text.startswith("unix:"):
        return text[len("unix:"):]
    if text == "unix":  # one that was handed over, whose path its giver knows
        return None
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    host = {"::": "::1", "0.0.0.0": "127.0.0.1", "*": "127.0.0.1", "": "127.0.0.1"}.get(host, host)
    return (host, int(port))


class Server:
    """One server. Use it by `with`: leaving it well says SIGTERM and demands exit status 0.

    Events are read by a thread as they come, so the server never waits for this process to read.
    """

    def __init__(self, *options, engine=None, listen=("127.0.0.1:0",), framing=None, log_format="json", prefix=(),
                 env=None, stdout=None, ready=True, pass_fds=()):
        arguments = [binary(), "serve"]
        if log_format:
            arguments += ["--log-format", log_format]
        if engine:
            arguments += ["--engine", engine]
        for address in listen:
            arguments += ["--listen", address + (f",framing={framing}" if framing else "")]
        arguments += options
        self.arguments = arguments
        self.log_format = log_format
        self.events = []  # what was read, in order
        self.lines = []   # the same as text
        self.closed = False
        self.changed = threading.Condition()
        self.stderr = tempfile.TemporaryFile()
        # The server dies with this process, however that ends. setpriv executes it in its own place: the pid stays.
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *prefix, *arguments], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdout is None else stdout, stderr=self.stderr, start_new_session=True,
            env={**os.environ, **(env or {})}, pass_fds=pass_fds)
        self.pid = self.process.pid
        self.reader = None
        if stdout is None:
            with contextlib.suppress(OSError):
                fcntl.fcntl(self.process.stdout, fcntl.F_SETPIPE_SZ, 1 << 20)
            self.reader = threading.Thread(target=self._read, daemon=True)
            self.reader.start()
            if ready:
                try:
                    self._wait_ready()
                except BaseException:
                    self.process.kill()
                    self.process.wait()
                    raise

    def _read(self):
        with self.process.stdout as stdout:
            for raw in stdout:
                line = raw.decode("utf-8", "backslashreplace").rstrip("\n")
                event = {"event": "text", "text": line}
                if self.log_format == "json":
                    try:
                        event = json.loads(line)
                    except ValueError:
                        event = {"event": "not-json", "text": line}
                with self.changed:
                    self.lines.append(line)
                    self.events.append(event)
                    self.changed.notify_all()
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def _wait_ready(self):
        if self.log_format == "json":
            self.ready = self.expect("ready")
            self.addresses = self.ready["addresses"]
        else:
            line = self.wait_for(lambda e: "listening on " in e["text"], "the ready line")["text"]
            self.ready = line
            self.addresses = [word.rstrip(",;.") for word in line.split("listening on ", 1)[1].split()
                              if ":" in word]
        self.address = address_of(self.addresses[0])

    # What it said

    def wait_for(self, predicate, what="an event", patience=PATIENCE):
        """The first event for which predicate is true, waited for."""
        end = time.monotonic() + patience
        seen = 0
        with self.changed:
            while True:
                for event in self.events[seen:]:
                    if predicate(event):
                        return event
                seen = len(self.events)
                left = end - time.monotonic()
                if self.closed or left <= 0:
                    break
                self.changed.wait(min(left, 1.0))
        why = "the server's output ended" if self.closed else f"after {patience:.0f} s"
        raise AssertionError(f"{what} did not come: {why}\n{self.dump()}")

    def expect(self, event, patience=PATIENCE, **fields):
        """The first event of this kind with these fields, waited for."""
        return self.wait_for(lambda e: matches(e, event, fields), f"event {event} {fields}", patience)

    def seen(self, event, **fields):
        """All events of this kind with these fields so far."""
        with self.changed:
            return [e for e in self.events if matches(e, event, fields)]

    def verdicts(self, **fields):
        return self.seen("verdict", **fields)

    def settle(self):
        """Everything that was judged until now has been said: a marker's verdict came, and all numbered before it."""
        with self.changed:
            self.markers = getattr(self, "markers", 0) + 1
        name = f"marker-{self.markers}"
        with Client(self) as marker:
            marker.say(f"id {name} every=1h\n")
            assert marker.hear_line() == KEEP_ALIVE
            last = self.expect("verdict", id=name)["sequence"]
            marker.say("stop\n")
            assert marker.hear_rest() == b"stop\n"
        until(lambda: len(self.numbered(last)) == last, f"sequences 1 to {last} without a gap")
        return [e for e in self.numbered(last) if not e.get("id", "").startswith("marker-")]

    def numbered(self, last=None):
        """The events that have a sequence, in its order."""
        with self.changed:
            events = [e for e in self.events if "sequence" in e and (last is None or e["sequence"] <= last)]
        return sorted(events, key=lambda e: e["sequence"])

    def tag_of(self, client):
        """The tag of a client of ours, by its address."""
        return self.expect("connect", address=client.name)["tag"]

    def end_of(self, client, **fields):
        """Its end, waited for."""
        return self.expect("end", tag=self.tag_of(client), **fields)

    def errors(self):
        self.stderr.seek(0)
        return self.stderr.read().decode("utf-8", "backslashreplace")

    def dump(self, last=300):
        with self.changed:
            lines = list(self.lines)
        cut = max(0, len(lines) - last)
        head = [f"... {cut} lines before ..."] if cut else []
        return "\n".join(["server: " + " ".join(self.arguments), f"exit status: {self.process.poll()}",
                          "its stdout:", *head, *lines[cut:], "its stderr:", self.errors()])

    # What the system says of it

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def until_free(self, before):
        """Waits until it has as many descriptors as before."""

        def left():
            links = {}
            for fd in os.listdir(f"/proc/{self.pid}/fd"):
                with contextlib.suppress(OSError):
                    links[int(fd)] = os.readlink(f"/proc/{self.pid}/fd/{fd}")
            return f"{before} descriptors again; there are {sorted(links.items())}\n{self.dump()}"

        until(lambda: self.descriptors() == before, left)

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def private_bytes(self):
        """Memory of its own, of no one else's."""
        with open(f"/proc/{self.pid}/smaps_rollup") as rollup:
            return sum(int(line.split()[1]) * 1024 for line in rollup if line.startswith("Private_"))

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # Its life

    def send_signal(self, number):
        self.process.send_signal(number)

    @contextlib.contextmanager
    def asleep(self):
        """Stopped inside of this, every thread of it; awake again afterwards."""
        self.send_signal(signal.SIGSTOP)
        until(self._is_stopped, "every thread of the server to stop")
        try:
            yield
        finally:
            self.send_signal(signal.SIGCONT)

    def _is_stopped(self):
        states = []
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{self.pid}/task/{task}/stat") as stat:
                states.append(stat.read().rpartition(")")[2].split()[0])
        return states and all(state == "T" for state in states)

    def wait(self, patience=PATIENCE):
        """Its exit status, and all that it said is read."""
        try:
            status = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server does not end\n{self.dump()}") from None
        if self.reader:
            self.reader.join(PATIENCE)
        return status

    def stop(self, number=signal.SIGTERM):
        """Ends it as one ends a service, and demands that it ended well."""
        if self.process.poll() is None:
            self.send_signal(number)
        status = self.wait()
        assert status == 0, f"exit status {status}\n{self.dump()}"
        assert "Sanitizer" not in self.errors(), self.dump()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        self.killed = True

    killed = False

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        try:
            if kind is None and not self.killed:
                self.stop()
            elif kind is not None:
                print(self.dump())
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            if self.reader:
                self.reader.join(PATIENCE)
            self.stderr.close()


def matches(event, kind, fields):
    return event.get("event") == kind and all(
        value(event.get(name)) if callable(value) else event.get(name) == value for name, value in fields.items())


class Client:
    """A client that blocks, a minute at most. `with` closes it."""

    def __init__(self, server, address=None, receive_buffer=None):
        address = address if address is not None else server.address
        if isinstance(address, str):
            family = socket.AF_UNIX
        else:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self.socket.settimeout(PATIENCE)
            if receive_buffer:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.socket.connect(address)
            if family != socket.AF_UNIX:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                own = self.socket.getsockname()
                self.name = f"[{own[0]}]:{own[1]}" if family == socket.AF_INET6 else f"{own[0]}:{own[1]}"
        except BaseException:
            self.socket.close()
            raise
        self.ahead = b""  # received, not yet asked for

    def say(self, text):
        self.socket.sendall(text.encode() if isinstance(text, str) else text)

    def _more(self):
        piece = self.socket.recv(65536)
        self.ahead += piece
        return piece

    def hear_line(self):
        """One line without its LF; what came before an end of stream that came first."""
        while b"\n" not in self.ahead:
            if not self._more():
                line, self.ahead = self.ahead, b""
                return line
        line, _, self.ahead = self.ahead.partition(b"\n")
        return line

    def hear(self, count):
        """Exactly so many bytes."""
        while len(self.ahead) < count:
            if not self._more():
                break
        heard, self.ahead = self.ahead[:count], self.ahead[count:]
        return heard

    def hear_rest(self):
        """All until the end of the stream."""
        while self._more():
            pass
        rest, self.ahead = self.ahead, b""
        return rest

    def hear_refusal(self):
        """The error that ends the session because of an `id`, which is a message, and answered like any before that."""
        rest = self.hear_rest()
        answer, error, text = rest.partition(b"error ")
        assert error and answer.rstrip(b"\n") in (b"", KEEP_ALIVE), rest
        return (error + text).rstrip(b"\n")

    def ask(self, line):
        """Says a line and hears the answer."""
        self.say(line + "\n")
        return self.hear_line()

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Closes by a reset, as a crashed host that came back does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()

    def fill(self, text=b"x\n"):
        """Writes without reading until nothing more is taken, by our buffer or by the server, or the server ends it.

        Returns how many messages that were, and how many bytes of one more.
        """
        self.socket.setblocking(False)
        block = text * 8192
        sent = 0
        try:
            while True:
                try:
                    sent += self.socket.send(block[sent % len(text):])
                except BlockingIOError:
                    # Full for now; it stays so once the server reads no more. Half a second tells nearly always, and
                    # where it does not, fewer bytes are written, which no test minds.
                    if not select.select([], [self.socket], [], 0.5)[1]:
                        break
                except ConnectionError:
                    break
        finally:
            self.socket.settimeout(PATIENCE)
        return sent // len(text), sent % len(text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
