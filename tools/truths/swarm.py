"""Many connections in one thread, speaking whatever protocol they are told to."""

import select
import socket
import time

from patience import PATIENCE, MachineSlept


class Bee:
    __slots__ = ("socket", "number", "heard", "tail", "ended_at", "spoke_at", "before", "gap", "deaf", "keeps")

    def __init__(self, sock, number):
        self.socket = sock
        self.number = number
        self.heard = 0       # bytes
        self.tail = b""      # the last of them
        self.ended_at = None # wall clock: when the other side was seen to have ended it
        self.spoke_at = None # wall clock: just before it last spoke
        self.before = None
        self.gap = 0.0       # the longest that its server can have been without a word of it
        self.deaf = False    # reads nothing
        self.keeps = 4096    # so much of what it hears


class Swarm:
    def __init__(self, address, answer=None):
        self.address = address
        self.answer = answer  # what a bee says back to what it hears
        self.poll = select.epoll()
        self.bees = []
        self.by_fd = {}
        self.beating = []
        self.rhythm = None

    def open(self, count, receive_buffer=None):
        new = []
        for _ in range(count):
            sock = socket.socket()
            if receive_buffer:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.settimeout(PATIENCE)
            sock.connect(self.address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
            bee = Bee(sock, len(self.bees))
            self.bees.append(bee)
            self.by_fd[sock.fileno()] = bee
            self.poll.register(sock.fileno(), select.EPOLLIN)
            new.append(bee)
        return new

    def say(self, bee, words):
        if bee.ended_at:
            return
        before = time.monotonic()
        bee.spoke_at = time.time()
        try:
            bee.socket.send(words)
        except OSError:
            pass  # its end is seen when it is read
        if bee.before is not None:
            bee.gap = max(bee.gap, time.monotonic() - bee.before)
        bee.before = before

    def beat(self, bees, rhythm, words):
        self.beating, self.rhythm, self.words = list(bees), rhythm, words
        self.next_beat = time.monotonic()
        for bee in bees:
            bee.before, bee.gap = None, 0.0

    def still(self):
        self.rhythm = None

    def premise(self, seconds):
        """Whether the living have kept their rhythm, else MachineSlept."""
        worst = max((bee.gap for bee in self.beating), default=0.0)
        if worst > seconds:
            raise MachineSlept(f"a beat came after {worst:.3f} s")

    def pump(self, timeout):
        if self.rhythm is not None:
            if time.monotonic() >= self.next_beat:
                self.next_beat = time.monotonic() + self.rhythm
                for bee in self.beating:
                    self.say(bee, self.words)
            timeout = max(0.0, min(timeout, self.next_beat - time.monotonic()))
        for fd, _ in self.poll.poll(timeout, 256):
            bee = self.by_fd.get(fd)
            if bee:
                self._hear(bee)

    def _hear(self, bee):
        try:
            piece = bee.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            bee.ended_at = time.time()
            self.drop(bee)
            return
        bee.heard += len(piece)
        bee.tail = (bee.tail + piece)[-bee.keeps:]
        if self.answer:
            words = self.answer(piece)
            if words:
                self.say(bee, words)

    def deafen(self, bee):
        """It reads nothing from now on, not even its end."""
        bee.deaf = True
        self.poll.unregister(bee.socket.fileno())

    def drop(self, bee, how=None):
        fd = bee.socket.fileno()
        if fd in self.by_fd:
            if not bee.deaf:
                self.poll.unregister(fd)
            del self.by_fd[fd]
        if how == "reset":
            bee.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        bee.socket.close()

    def until(self, condition, what, patience=PATIENCE):
        end = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < end, f"waited {patience:.0f} s in vain for: {what}"
            self.pump(0.02)

    def pass_time(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.pump(min(left, 0.02))

    def close(self):
        for bee in self.bees:
            self.drop(bee)
        self.poll.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
