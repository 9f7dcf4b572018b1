"""The servers that are measured, how each is started, and what is said to it. One core is theirs, the other the load's."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

SERVER_CORE, LOAD_CORE = 0, 1
READY_SECONDS = 30

LINES = []
REDIS = ["--message", "PING\\r", "--expect", "+PONG\\r"]
# CONNECT with a clean session, no keepalive and no name; then PINGREQ, answered by PINGRESP.
MQTT = ["--framing", "bytes", "--hello", "\\x10\\x0c\\0\\x04MQTT\\x04\\x02\\0\\0\\0\\0",
        "--hello-expect", "\\x20\\x02\\0\\0", "--message", "\\xc0\\0", "--expect", "\\xd0\\0"]
NATS = ["--greeting", "--hello", "CONNECT {\"verbose\":false}\\r\\nPING\\r", "--hello-expect", "PONG\\r",
        "--message", "PING\\r", "--expect", "PONG\\r", "--ignore", "PING\\r"]


class Kind:
    """One server program. `command(port, folder)` is what to run; `missing` says why it cannot be, or is None."""

    def __init__(self, name, title, command, talk=LINES, needs=None, how_to_get=""):
        self.name, self.title, self.command, self.talk = name, title, command, talk
        self.missing = None if needs is None or (os.path.exists(needs) or shutil.which(needs)) else how_to_get

    def version(self):
        return ""


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def lifeline(program, engine, *options):
    return lambda port, folder: [program, "serve", "--engine", engine, "--workers", "1", "--listen", f"127.0.0.1:{port}",
                                 *options]


def mosquitto(port, folder):
    return ["mosquitto", "-c", write(folder, "mosquitto.conf", f"listener {port} 127.0.0.1\nallow_anonymous true\n"
                                     "user root\nlog_type error\npersistence false\n")]


def nats(port, folder):
    return ["nats-server", "-c", write(folder, "nats.conf", f"listen: \"127.0.0.1:{port}\"\nping_interval: \"1h\"\n"
                                       "max_connections: 70000\n")]


def redis(port, folder):
    return ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no",
            "--maxclients", "19900", "--tcp-backlog", "4096", "--dir", folder]


def kinds(build, root):
    """All of them by name, from a build's folder."""
    program = os.path.join(build, "src/cli/lifeline")
    peers = os.path.join(root, "bench/peers")

    def in_c(name, title, package):
        path = os.path.join(build, "bench", "peer_" + name)
        return Kind(name, title, lambda port, folder: [path, str(port)], needs=path, how_to_get=package)

    go = os.path.join(build, "bench", "peer_go")
    listed = [
        Kind("uring", "lifeline, uring", lifeline(program, "uring")),
        Kind("epoll", "lifeline, epoll", lifeline(program, "epoll")),
        Kind("threads", "lifeline, threads", lifeline(program, "threads")),
        Kind("uring-linger0", "lifeline, uring, --linger 0", lifeline(program, "uring", "--linger", "0")),
        Kind("epoll-linger0", "lifeline, epoll, --linger 0", lifeline(program, "epoll", "--linger", "0")),
        in_c("bare_uring", "bare io_uring loop", "liburing-dev is not installed"),
        in_c("bare_epoll", "bare epoll loop", "there is no epoll"),
        in_c("bare_threads", "bare thread per client", "there are no threads"),
        in_c("libuv", "libuv", "libuv1-dev is not installed"),
        in_c("libevent", "libevent", "libevent-dev is not installed"),
        Kind("go", "Go", lambda port, folder: [go, str(port)], needs=go, how_to_get="golang-go is not installed"),
        Kind("node", "Node", lambda port, folder: ["node", os.path.join(peers, "node.js"), str(port)], needs="node",
             how_to_get="nodejs is not installed"),
        Kind("redis", "Redis (PING)", redis, REDIS, "redis-server", "redis-server is not installed"),
        Kind("mosquitto", "mosquitto (PINGREQ)", mosquitto, MQTT, "mosquitto", "mosquitto is not installed"),
        Kind("nats", "nats-server (PING)", nats, NATS, "nats-server", "nats-server is not installed"),
    ]
    return {kind.name: kind for kind in listed}


def versions():
    """What the packages at hand call themselves."""
    found = {}
    for name, command in {"gcc": ["gcc", "--version"], "Go": ["go", "version"], "Node": ["node", "--version"],
                          "Redis": ["redis-server", "--version"], "mosquitto": ["mosquitto", "-h"],
                          "nats-server": ["nats-server", "--version"],
                          "libuv": ["pkg-config", "--modversion", "libuv"],
                          "libevent": ["pkg-config", "--modversion", "libevent"],
                          "liburing": ["pkg-config", "--modversion", "liburing"]}.items():
        with contextlib.suppress(OSError):
            out = subprocess.run(command, capture_output=True, text=True).stdout.strip()
            if out:
                found[name] = out.splitlines()[0]
    return found


def on_core(core):
    return lambda: os.sched_setaffinity(0, {core})


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Running:
    """A server that runs for the time of a `with`, ready for clients."""

    def __init__(self, kind):
        self.kind = kind
        self.port = free_port()

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(self.kind.command(self.port, self.folder.name), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=self.errors, preexec_fn=on_core(SERVER_CORE),
                                        start_new_session=True, cwd=self.folder.name)
        self.pid = self.process.pid
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self):
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                self.errors.seek(0)
                raise RuntimeError(f"it ended at once: {self.errors.read().decode(errors='replace')[-500:]}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                # The visitor has left before anything is measured.
                time.sleep(0.2)
                return
            time.sleep(0.02)
        raise RuntimeError("it is not ready")

    def __exit__(self, *what):
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        self.errors.close()
        self.folder.cleanup()
