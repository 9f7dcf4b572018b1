"""The builds that the tests need, each made once, when it is first asked for."""

import json
import os
import threading

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILDS = os.path.join(ROOT, "build-test")
LOGS = os.path.join(BUILDS, "log")

CLANG = {"CC": "clang"}
ALL = ["-During=enabled", "-Depoll=enabled", "-Djansson=enabled", "-Dlibedit=enabled", "-Dinih=enabled"]
NONE = ["-During=disabled", "-Djansson=disabled", "-Dlibedit=disabled", "-Dinih=disabled", "-Dtests=disabled"]
WITH_TESTS = ["-Dtests=enabled", "--werror"]


def sanitized(sanitizers, macro):
    """Sanitizers end the program at the first fault, and their libraries are linked late. The macro is gcc's, and says
    which one it is to tests that measure memory."""
    return ["-Db_lundef=false", f"-Db_sanitize={sanitizers}", "--optimization=1", "-Ddebug=true",
            f"-Dc_args=-fno-sanitize-recover=all -fno-omit-frame-pointer -D{macro}=1"]


ASAN = sanitized("address,undefined", "__SANITIZE_ADDRESS__")
TSAN = sanitized("thread", "__SANITIZE_THREAD__")

# name: (options of meson setup, environment)
OPTIONS = {
    "release": (ALL + ["--optimization=2", "-Ddebug=false", "-Db_lto=true", "-Dtests=disabled", "--werror"], {}),
    "gcc": (ALL + WITH_TESTS + ["--buildtype=debugoptimized"], {}),
    "clang": (ALL + WITH_TESTS + ["--buildtype=debugoptimized"], CLANG),
    "minimal": (NONE + ["--buildtype=debugoptimized", "--werror"], {}),
    "portable": (NONE + ["-Depoll=disabled", "--buildtype=debugoptimized", "--werror"], {}),
    "asan": (ALL + WITH_TESTS + ASAN, CLANG),
    "tsan": (ALL + WITH_TESTS + TSAN, CLANG),
    "coverage": (ALL + WITH_TESTS + ["--optimization=1", "-Ddebug=true", "-Db_coverage=true"], {}),
    "fuzz": (ALL + WITH_TESTS + ASAN + ["-Dfuzz=true"], CLANG),
}

_locks = {name: threading.Lock() for name in OPTIONS}
_set_up, _made = {}, {}


def folder(name):
    return os.path.join(BUILDS, name)


def program(name):
    return os.path.join(folder(name), "src", "cli", "lifeline")


def set_up(run, name):
    """The outcome of meson setup, or None where it was done before with the same options."""
    options, env = OPTIONS[name]
    stamp, wanted = os.path.join(folder(name), "options"), json.dumps(OPTIONS[name])
    was = read(stamp)
    if was == wanted and os.path.exists(os.path.join(folder(name), "build.ninja")):
        return None
    how = [] if was is None else ["--reconfigure"] if was == wanted else ["--wipe"]
    outcome = run(["meson", "setup", *how, *options, folder(name), ROOT], timeout=300, env=env)
    if outcome.good:
        with open(stamp, "w", encoding="utf-8") as file:
            file.write(wanted)
    return outcome


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return None


def make(run, name, targets=()):
    """Builds it; returns the outcome of what failed, or of the build."""
    with _locks[name]:
        if name not in _set_up:
            outcome = set_up(run, name)
            if outcome and not outcome.good:
                return outcome
            _set_up[name] = True
        key = (name, tuple(targets))
        if key not in _made:
            outcome = run(["ninja", "-j", "2", "-C", folder(name), *targets], timeout=1200)
            if not outcome.good:
                return outcome
            _made[key] = outcome
        return _made[key]


def introspect(name, what):
    """meson's own account of a build: tests, targets, ..."""
    with open(os.path.join(folder(name), "meson-info", f"intro-{what}.json"), encoding="utf-8") as file:
        return json.load(file)
