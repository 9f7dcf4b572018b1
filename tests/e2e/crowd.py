"""Many clients in one thread of this process, by epoll: for what thousands do at once."""

import collections
import select
import socket
import time

from patience import PATIENCE, MachineSlept
from serving import KEEP_ALIVE, address_of

REPLY = KEEP_ALIVE + b"\n"


class Member:
    """One client of a crowd; it speaks lines."""

    __slots__ = ("socket", "name", "number", "connected", "out", "heard", "said", "ended", "error", "before", "gap")

    def __init__(self, sock, number):
        self.socket = sock
        self.name = None      # its address as the server writes it
        self.number = number
        self.connected = False
        self.out = b""        # said, and not yet taken by the kernel
        self.heard = b""      # all that came that is no whole `keep alive` line
        self.said = 0         # messages
        self.ended = False    # by the other side
        self.error = None
        self.before = None    # just before its last message was handed to the kernel
        self.gap = 0.0        # the longest that the kernel can have been without a message of it

    @property
    def fd(self):
        return self.socket.fileno()


class Crowd:
    def __init__(self, server_or_address):
        address = getattr(server_or_address, "address", server_or_address)
        self.address = address_of(address) if isinstance(address, str) and not address.startswith("/") else address
        self.poll = select.epoll()
        self.members = []
        self.by_fd = {}
        self.replies = collections.Counter()  # member number to replies heard
        self.answered = 0
        self.said = 0
        self.rhythm = None
        self.beating = []
        self.next_beat = None

    # Coming and going

    def connect(self, count, patience=PATIENCE, at_once=500):
        """So many more, all connected; at most `at_once` are on their way at the same time."""
        new = []
        family = socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET
        end = time.monotonic() + patience
        pending = 0
        while len(new) < count or pending:
            while len(new) < count and pending < at_once:
                sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                sock.connect_ex(self.address)
                member = Member(sock, len(self.members))
                self.members.append(member)
                self.by_fd[sock.fileno()] = member
                self.poll.register(sock.fileno(), select.EPOLLIN | select.EPOLLOUT)
                new.append(member)
                pending += 1
            self.pump(1.0)
            pending = sum(1 for member in new if not member.connected and not member.ended)
            assert time.monotonic() < end, f"{pending} of {count} could not connect in {patience:.0f} s"
        return new

    def close(self, members=None):
        for member in list(self.members if members is None else members):
            self._forget(member)
            member.socket.close()
            member.ended = True

    def reset(self, member):
        member.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close([member])

    def _forget(self, member):
        if member.fd >= 0 and self.by_fd.get(member.fd) is member:
            self.poll.unregister(member.fd)
            del self.by_fd[member.fd]

    # Talking

    def say(self, members, text, messages=1):
        """Hands the text to the kernel for each of these, or keeps what it does not take."""
        text = text.encode() if isinstance(text, str) else text
        for member in members:
            if member.ended:
                continue
            before = time.monotonic()
            member.said += messages
            self.said += messages
            if member.out:
                member.out += text
            else:
                self._send(member, text)
            if member.before is not None:
                member.gap = max(member.gap, time.monotonic() - member.before)
            member.before = before

    def _send(self, member, text):
        try:
            taken = member.socket.send(text)
        except BlockingIOError:
            taken = 0
        except OSError as error:
            # It was closed or reset: what it had said before may still be read, so this is no end yet.
            member.error = error
            return
        member.out = text[taken:]
        self.poll.modify(member.fd, select.EPOLLIN | (select.EPOLLOUT if member.out else 0))

    def beat(self, members, seconds, text=b"beat\n"):
        """From now on each of these says this every so many seconds, whenever `pump` runs."""
        self.beating = list(members)
        self.rhythm = seconds
        self.beat_text = text
        self.next_beat = time.monotonic()
        for member in members:
            member.before = None
            member.gap = 0.0

    def still(self):
        self.rhythm = None

    def pump(self, timeout):
        """Does what there is to do, and waits at most so long for it."""
        if self.rhythm is not None:
            now = time.monotonic()
            if now >= self.next_beat:
                self.next_beat = now + self.rhythm
                self.say(self.beating, self.beat_text)
            timeout = max(0.0, min(timeout, self.next_beat - time.monotonic()))
        for fd, events in self.poll.poll(timeout, 1024):
            member = self.by_fd.get(fd)
            if member is None:
                continue
            if not member.connected:
                self._connected(member, events)
            elif events & select.EPOLLOUT and member.out:
                self._send(member, member.out)
            if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                self._receive(member)

    def _connected(self, member, events):
        error = member.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            member.error = OSError(error, "connect")
            self.close([member])
            return
        if not events & select.EPOLLOUT:
            return
        member.connected = True
        own = member.socket.getsockname()
        member.name = f"[{own[0]}]:{own[1]}" if ":" in own[0] else f"{own[0]}:{own[1]}"
        self.poll.modify(member.fd, select.EPOLLIN)

    def _receive(self, member):
        if member.ended:
            return
        try:
            piece = member.socket.recv(262144)
        except BlockingIOError:
            return
        except OSError as error:
            member.error = error
            piece = b""
        if not piece:
            self._forget(member)
            member.ended = True
            return
        heard = member.heard + piece
        count = 0
        while heard.startswith(REPLY):
            run = REPLY * 512 if heard.startswith(REPLY * 512) else REPLY
            count += len(run) // len(REPLY)
            heard = heard[len(run):]
        member.heard = heard
        self.replies[member.number] += count
        self.answered += count

    # Waiting

    def until(self, condition, what, patience=PATIENCE):
        """Pumps until the condition holds."""
        end = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < end, f"waited {patience:.0f} s in vain for: {what}"
            self.pump(0.05)

    def until_answered(self, members=None, patience=PATIENCE):
        """Until each of these has heard one reply for each message it said."""
        members = self.members if members is None else members
        self.until(lambda: all(self.replies[m.number] >= m.said or m.ended for m in members), "replies to all", patience)
        wrong = [m for m in members if self.replies[m.number] != m.said or m.ended]
        assert not wrong, [(m.name, m.said, self.replies[m.number], m.ended, m.error, m.heard[:80]) for m in wrong[:10]]

    def pass_time(self, seconds):
        """Lets time pass, for tests whose matter it is, while everything goes on."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.pump(min(left, 0.05))

    def stop_all(self, members=None, patience=PATIENCE):
        """Each says stop; each hears `stop` and the end, and every message of it was answered once."""
        members = [m for m in (self.members if members is None else members) if not m.ended]
        before = {m.number: m.said for m in members}
        self.say(members, b"stop\n")
        self.until(lambda: all(m.ended for m in members), "the end of each", patience)
        for m in members:
            assert m.heard == b"stop\n" and self.replies[m.number] == before[m.number], \
                (m.name, before[m.number], self.replies[m.number], m.heard[:80], m.error)

    def premise(self, seconds):
        """Raises MachineSlept where the kernel may have been without a message of a beating member for longer."""
        now = time.monotonic()
        for member in self.beating:
            gap = max(member.gap, now - member.before if member.before is not None and self.rhythm is not None else 0.0)
            if gap > seconds:
                raise MachineSlept(f"a beat of {self.rhythm} s came after {gap:.3f} s")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        self.poll.close()


class Rhythm:
    """Inside of this, the crowd's beats must keep a rhythm; where they did not, MachineSlept comes out, whatever failed."""

    def __init__(self, crowd, seconds):
        self.crowd = crowd
        self.seconds = seconds

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        try:
            self.crowd.premise(self.seconds)
        except MachineSlept as slept:
            raise slept from error
