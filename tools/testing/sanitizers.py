"""How sanitized programs are run here. Kernels that spread addresses wider than LLVM 14 expects break TSan and ASan;
systems that forbid ptrace break the search for leaks. A small program finds out."""

import os

from testing import builds

PROGRAM = "#include <stdlib.h>\nint main(void) { return getenv(\"LIFELINE_NONE\") != NULL; }\n"
OPTIONS = {
    "asan": {"ASAN_OPTIONS": "detect_stack_use_after_return=1:strict_string_checks=1:detect_leaks=1",
             "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"},
    "tsan": {"TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1:die_after_fork=0:atexit_sleep_ms=50"},
}
FLAGS = {"asan": "address,undefined", "tsan": "thread"}


class Way:
    def __init__(self, prefix, env, note=""):
        self.prefix, self.env, self.note = prefix, env, note


def find_way(suite, name):
    """The prefix and environment with which programs of this sanitizer run here; None and an outcome where none do."""
    source = os.path.join(builds.BUILDS, f"{suite.name}-probe.c")
    probe = source[:-2]
    with open(source, "w", encoding="utf-8") as file:
        file.write(PROGRAM)
    outcome = suite.run(["clang", "-g", f"-fsanitize={FLAGS[name]}", source, "-o", probe], timeout=120)
    if not outcome.good:
        return None, outcome
    env = OPTIONS[name]
    leakless = {**env, "ASAN_OPTIONS": env.get("ASAN_OPTIONS", "").replace("leaks=1", "leaks=0")}
    ways = [Way([], env), Way(["setarch", "-R"], env, "without address randomization")]
    if name == "asan":
        ways += [Way([], leakless, "without the search for leaks: this system does not let it"),
                 Way(["setarch", "-R"], leakless, "without address randomization and the search for leaks")]
    for way in ways:
        # Where addresses are the trouble, it is so only sometimes.
        outcomes = [suite.run(way.prefix + [probe], timeout=60, env=way.env) for _ in range(5)]
        if all(outcome.good for outcome in outcomes):
            return way, None
    return None, outcomes[-1]
