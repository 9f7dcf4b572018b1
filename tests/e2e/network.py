"""Hosts of our own: network namespaces, each behind a cable that can be pulled."""

import contextlib
import ctypes
import itertools
import os
import subprocess

CLONE_NEWNET = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)
numbers = itertools.count(1)


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


class Network:
    """A host for the server, and others around it, each with a cable of its own to it."""

    def __init__(self, hosts):
        self.name = f"lifeline-{os.getpid()}-{next(numbers)}"
        self.namespaces = []
        self.server = self._add("server")
        self.address = {}
        for number, host in enumerate(hosts, 1):
            namespace = self._add(host)
            # Both ends begin their life inside: this machine's own network never sees them.
            ip("-n", self.server, "link", "add", f"to-{host}", "type", "veth", "peer", "name", "cable", "netns", namespace)
            ip("-n", self.server, "address", "add", f"10.77.{number}.1/24", "dev", f"to-{host}")
            ip("-n", namespace, "address", "add", f"10.77.{number}.2/24", "dev", "cable")
            ip("-n", self.server, "link", "set", f"to-{host}", "up")
            ip("-n", namespace, "link", "set", "cable", "up")
            self.address[host] = f"10.77.{number}.1"

    def _add(self, host):
        namespace = f"{self.name}-{host}"
        ip("netns", "add", namespace)
        self.namespaces.append(namespace)
        ip("-n", namespace, "link", "set", "lo", "up")
        return namespace

    @property
    def inside(self):
        """The prefix of a command that runs on the server's host. It executes it in its own place."""
        return ("ip", "netns", "exec", self.server)

    @contextlib.contextmanager
    def at(self, host):
        """What opens a socket in here opens it on that host."""
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.name}-{host}", os.O_RDONLY)
        try:
            enter(there)
            try:
                yield
            finally:
                enter(own)
        finally:
            os.close(own)
            os.close(there)

    def pull(self, host):
        """The cable is out: nothing gets there, nothing comes from there, and nobody is told."""
        ip("-n", f"{self.name}-{host}", "link", "set", "cable", "down")

    def plug(self, host):
        ip("-n", f"{self.name}-{host}", "link", "set", "cable", "up")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for namespace in self.namespaces:
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, timeout=60)


def enter(fd):
    if libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
