"""The machine that it is measured on, and what it was doing otherwise."""

import os
import platform
import re
import subprocess


def read(path):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""


def cpu():
    for line in read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def virtual():
    return "hypervisor" in read("/proc/cpuinfo")


def system():
    for line in read("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.split("=", 1)[1].strip('"')
    return platform.system()


def memory_gib():
    for line in read("/proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return round(int(line.split()[1]) / 1024 / 1024)
    return 0


def describe():
    return {
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "virtual": virtual(),
        "memory_gib": memory_gib(),
        "system": system(),
        "kernel": re.match(r"[0-9.]*", platform.release())[0],
        "congestion": read("/proc/sys/net/ipv4/tcp_congestion_control"),
        "load_before": os.getloadavg()[0],
    }


def commit(root):
    """The commit that is measured, with a mark where the tree differs from it."""
    def git(*arguments):
        return subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True).stdout.strip()
    name = git("rev-parse", "--short", "HEAD")
    return (name + ("+" if git("status", "--porcelain", "--untracked-files=no", "src") else "")) if name else "unknown"
