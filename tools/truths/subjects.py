"""The servers that are asked for the truth, each with what one says to it."""

import contextlib
import math
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile

from patience import until
from serving import Server


def free_port():
    """A port of an address that nobody else here uses: nothing takes it before the server has it."""
    host = f"127.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250}.9"
    with socket.socket() as sock:
        sock.bind((host, 0))
        return sock.getsockname()


def is_there(address):
    try:
        with socket.create_connection(address, 1):
            return True
    except OSError:
        return False


def first_line(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return (done.stdout + done.stderr).strip().splitlines()[0]


class Subject:
    """One kind of server. `run` gives a context with its pid and address."""

    answer = None   # what a client must say back by itself
    waits_for = 1   # bytes that a client hears before it is in
    options = ()    # so that it judges each client by itself

    def limits(self):
        """Silence after which it is to notice, in seconds, for clients 0, 1, 2, ...: what it can be told."""
        raise NotImplementedError


class Lifeline(Subject):
    limits_text = "1 to 10 s"
    beat = b"beat\n"
    options = ("--suspect-share", "0", "--flap", "0")

    def __init__(self, engine):
        self.engine = engine
        self.name = f"lifeline ({engine})"

    @staticmethod
    def version():
        return first_line(os.environ["LIFELINE"], "--version")

    @contextlib.contextmanager
    def run(self, *options, limit=None, prefix=(), host="127.0.0.1", reached=None):
        with Server(*options, engine=self.engine, listen=(f"{host}:0",), prefix=prefix) as server:
            yield server
            server.kill()

    def limits(self, number):
        return 1 + number % 91 * 0.1

    def hello(self, name, limit):
        every = int(limit * 1000 * 0.6)
        return f"id {name} every={every}ms grace={int(limit * 1000) - every}ms\n".encode()


def field(data):
    data = data.encode() if isinstance(data, str) else data
    return struct.pack(">H", len(data)) + data


def packet(kind, body):
    """An MQTT packet: its kind, its length seven bits at a time, its body."""
    length, more = b"", len(body)
    while True:
        length += bytes([more % 128 | (0x80 if more > 127 else 0)])
        more //= 128
        if not more:
            return bytes([kind]) + length + body


class Started:
    def __init__(self, process, address):
        self.process = process
        self.pid = process.pid
        self.address = address

    def send_signal(self, number):
        self.process.send_signal(number)


@contextlib.contextmanager
def started(command, address, prefix=(), reached=None):
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *prefix, *command], stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log, start_new_session=True)
        try:
            until(lambda: (reached or is_there)(address), f"{command[0]} at {address}")
            yield Started(process, address)
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


class Mosquitto(Subject):
    name = "mosquitto"
    limits_text = "1.5 to 10.5 s (1.5 x keepalive)"
    beat = b"\xc0\x00"  # PINGREQ
    waits_for = 4       # CONNACK

    @staticmethod
    def is_here():
        return shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")

    def version(self):
        return re.sub(r"\s*\(build.*", "", first_line(self.is_here(), "-h"))

    @contextlib.contextmanager
    def run(self, *options, limit=None, prefix=(), host=None, reached=None):
        address = (host, 1883) if host else free_port()
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
            config.write(f"listener {address[1]} {address[0]}\nallow_anonymous true\nuser root\n"
                         "max_connections -1\nset_tcp_nodelay true\n")
            config.flush()
            with started([self.is_here(), "-c", config.name], address, prefix, reached) as server:
                yield server

    def limits(self, number):
        return 1.5 * (1 + number % 7)  # keepalive is in whole seconds, and half as much again is given

    def hello(self, name, limit, will=True):
        keepalive = math.ceil(limit / 1.5 - 1e-9)
        flags = 0x02 | (0x24 if will else 0)  # a clean session; a will that is kept
        body = field("MQTT") + bytes([4, flags]) + struct.pack(">H", keepalive) + field(name)
        if will:
            body += field(f"presence/{name}") + field("offline")
        return packet(0x10, body)

    @staticmethod
    def publish(topic, text, keep=True):
        return packet(0x31 if keep else 0x30, field(topic) + (text.encode() if isinstance(text, str) else text))

    @staticmethod
    def subscribe(topic):
        return packet(0x82, struct.pack(">H", 1) + field(topic) + b"\0")

    disconnect = b"\xe0\x00"


class Nats(Subject):
    name = "nats-server"
    limits_text = "2 s, for all"
    beat = b"PING\r\n"
    waits_for = 20  # INFO, and PONG

    @staticmethod
    def is_here():
        return shutil.which("nats-server", path=os.environ["PATH"] + ":/usr/sbin")

    def version(self):
        return first_line(self.is_here(), "--version")

    @staticmethod
    def answer(heard):
        return b"PONG\r\n" if b"PING\r\n" in heard else None

    @contextlib.contextmanager
    def run(self, *options, limit=2, prefix=(), host=None, reached=None):
        address = (host, 4222) if host else free_port()
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
            # It asks by itself, each interval; one that owes two answers when the next is due is stale.
            config.write(f'listen: "{address[0]}:{address[1]}"\nping_interval: "{limit / 2}s"\nping_max: 1\n')
            config.flush()
            with started([self.is_here(), "-c", config.name], address, prefix, reached) as server:
                yield server

    def limits(self, number):
        return 2.0  # one for all of a server

    def hello(self, name, limit):
        return b'CONNECT {"verbose":false,"pedantic":false,"name":"%s"}\r\nPING\r\n' % name.encode()
