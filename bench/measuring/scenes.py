"""What is measured: for each scene who takes part, how much, and how often. The order of a round is turned by one from
round to round, so that nobody always comes after the same one."""

import json
import os
import resource
import subprocess
import time

from measuring.servers import LOAD_CORE, Running, on_core

OURS = ["uring", "epoll", "threads"]
BARE = ["bare_uring", "bare_epoll", "bare_threads"]
LOOPS = ["uring", "bare_uring", "epoll", "bare_epoll"]
OTHERS = ["libuv", "libevent", "go", "node", "redis", "mosquitto", "nats"]


class Scene:
    def __init__(self, name, title, servers, options, seconds, warmup=1.0, rounds=99):
        self.name, self.title, self.servers = name, title, servers
        self.options, self.seconds, self.warmup, self.rounds = options, seconds, warmup, rounds


def scenes(clients_max):
    """`clients_max` is what the descriptors of this machine allow."""
    many, ten_thousand = str(min(15000, clients_max)), str(min(10000, clients_max))
    # Interleaved by kin, so that those who are compared follow each other closely.
    everyone = ["uring", "bare_uring", "epoll", "bare_epoll", "threads", "bare_threads", *OTHERS]
    return [
        Scene("closed-100", "100 clients, one message under way each", LOOPS, ["--clients", "100"], 2, 0.5),
        Scene("closed-1000", "1,000 clients, one message under way each", everyone, ["--clients", "1000"], 2, 0.5),
        Scene("closed-15000", "15,000 clients, one message under way each", everyone, ["--clients", many], 3),
        Scene("pipelined", "100 clients, 64 lines a write", ["uring", "epoll", "bare_epoll", "redis"],
              ["--clients", "100", "--pipeline", "64"], 2, 0.5),
        Scene("given-rate", "20,000 messages/s over 10,000 clients, on schedule", [*LOOPS, "uring-linger0"],
              ["--clients", ten_thousand, "--rate", "20000"], 4),
        # The rate is filled in once the first round has shown what half of it is.
        Scene("half-rate", "half of what saturates the bare epoll loop, 1,000 clients, on schedule",
              ["uring-linger0", "epoll-linger0", "bare_epoll", "bare_uring"], ["--clients", "1000", "--rate", None], 4),
        Scene("churn", "64 clients: connect, say, stop, again", LOOPS, ["--clients", "64", "--churn"], 2, 0.5),
        Scene("idle", "15,000 clients, a message each 30 s", [*LOOPS, "redis", "mosquitto", "nats"],
              ["--clients", many, "--idle", "--every", "30s"], 8, 1.0, rounds=3),
    ]


def allowed_congestion():
    with open("/proc/sys/net/ipv4/tcp_allowed_congestion_control") as file:
        allowed = file.read().split()
    with open("/proc/sys/net/ipv4/tcp_available_congestion_control") as file:
        return file.read().split() if os.geteuid() == 0 else allowed


def busy_ticks():
    """What all cores did, in ticks, but idling."""
    with open("/proc/stat") as stat:
        fields = [int(field) for field in stat.readline().split()[1:9]]
    return sum(fields) - fields[3] - fields[4]


def cpu_seconds(pid):
    """Of a process that runs, all its threads."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children_seconds():
    """Of the children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(program, kind, scene, quick):
    """One run: the report of `lifeline bench`, or what went wrong."""
    seconds, warmup = (scene.seconds / 4 if quick else scene.seconds), scene.warmup
    command = [program, "bench", "", "--json", "--duration", f"{int(seconds * 1000)}ms", "--warmup",
               f"{int(warmup * 1000)}ms", "--timeout", "20s", *scene.options, *kind.talk]
    if "reno" in allowed_congestion() and "--churn" not in scene.options:
        # The least work for our end; the server's stays what the system has. Where all is connecting, to say so is more.
        command += ["--congestion", "reno"]
    if "--churn" in scene.options and kind.talk:
        return {"error": "its protocol has no stop"}
    try:
        with Running(kind) as server:
            command[2] = f"127.0.0.1:{server.port}"
            ticks, began = busy_ticks(), time.monotonic()
            known = -cpu_seconds(server.pid) - children_seconds()
            load = subprocess.run([*command, "--pid", str(server.pid)], stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, preexec_fn=on_core(LOAD_CORE), timeout=120)
            known += children_seconds()
            took = time.monotonic() - began
            busy = (busy_ticks() - ticks) / os.sysconf("SC_CLK_TCK")
            ended = server.process.poll()
            known += cpu_seconds(server.pid) if ended is None else 0
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        return {"error": str(error).strip()}
    if ended is not None:
        return {"error": f"the server ended by itself, exit status {ended}"}
    try:
        report = json.loads(load.stdout)
    except ValueError:
        return {"error": (load.stderr or load.stdout or f"exit status {load.returncode}").strip()[-300:]}
    # What neither server nor load took of the machine.
    report["others_share"] = round(max(0.0, busy - known) / took / os.cpu_count(), 4)
    if not report["ok"]:
        faults = ", ".join(f"{count} {name}" for name, count in report["errors"].items() if count)
        report["error"] = faults or f"{report['not_sent']} messages could not be sent"
    return report
