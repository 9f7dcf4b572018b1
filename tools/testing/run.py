"""Running a command to its end, within a time, with all that it says kept in a file."""

import fcntl
import os
import signal
import subprocess
import threading
import time

_running = set()
_lock = threading.Lock()


_locks = []


def lock(path, say):
    """Builds are shared: whoever comes second waits. Held until this process ends."""
    file = open(path, "w")
    _locks.append(file)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(f"another run holds {path}; waiting for it")
        fcntl.flock(file, fcntl.LOCK_EX)


class Outcome:
    def __init__(self, command, status, text, seconds, out_of_time):
        self.command, self.status, self.text = command, status, text
        self.seconds, self.out_of_time = seconds, out_of_time

    @property
    def good(self):
        return self.status == 0 and not self.out_of_time

    @property
    def why(self):
        if self.out_of_time:
            return f"did not end within {self.out_of_time} s"
        if self.status < 0:
            return f"was killed by {signal.Signals(-self.status).name}"
        return f"exit status {self.status}"


def run(command, log, timeout, nice=0, env=None, cwd=None):
    """Runs a command in a process group of its own; what is left of the group afterwards is killed."""
    begun = time.monotonic()
    with open(log, "ab") as sink:
        sink.write(f"\n$ {' '.join(command)}\n".encode())
        sink.flush()
        start = sink.tell()
        try:
            process = subprocess.Popen((["nice", "-n", str(nice)] if nice else []) + command, stdin=subprocess.DEVNULL,
                                       stdout=sink, stderr=subprocess.STDOUT, start_new_session=True, cwd=cwd,
                                       env={**os.environ, **(env or {})})
        except OSError as error:
            sink.write(f"{error}\n".encode())
            return Outcome(command, 127, str(error), 0.0, 0)
        with _lock:
            _running.add(process.pid)
        out_of_time = 0
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            out_of_time = timeout
            # SIGTERM first, on which Python and meson say where they are.
            kill_group(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                pass
        finally:
            kill_group(process.pid, signal.SIGKILL)
            process.wait()
            with _lock:
                _running.discard(process.pid)
        if out_of_time:
            sink.write(f"\nkilled: did not end within {out_of_time} s\n".encode())
    with open(log, "rb") as source:
        source.seek(start)
        text = source.read().decode("utf-8", "backslashreplace")
    return Outcome(command, process.returncode, text, time.monotonic() - begun, out_of_time)


def kill_group(group, number):
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        pass


def kill_all():
    with _lock:
        for group in list(_running):
            kill_group(group, signal.SIGKILL)
