"""Reading what tests say: how many passed, which failed, and their words."""

import json
import re

# cmocka's lines, for each case and at its end.
PASSED = re.compile(r"^\[       OK \] (.+)$", re.M)
FAILED = re.compile(r"^\[  FAILED  \] ([^ \n]+)$", re.M)
SKIPPED = re.compile(r"^\[  SKIPPED \] ([^ \n]+)$", re.M)
# Those of our own tools: a name, and what is wrong below it, set in.
NAMED = re.compile(r"^FAILED: (.+)((?:\n    .*)*)", re.M)
SUM = re.compile(r"^(\d+) passed, (\d+) failed\b", re.M)


# However rarely it comes: a crash, a failed assertion or a sanitizer's finding is never the machine's fault.
FAULT = re.compile(r"\w+Sanitizer\b|runtime error:|Assertion .+ failed|exit status:? -(4|6|7|8|11)\b")


class Failure:
    def __init__(self, name, text="", again=None):
        self.name, self.text = name, text
        # How to run it again alone, where that may be done.
        self.again = None if FAULT.search(f"{name}\n{text}") else again


class Count:
    """The tests of one suite."""

    def __init__(self):
        self.passed = 0
        self.skipped = []
        self.failures = []
        self.notes = []

    def good(self, count=1):
        self.passed += count

    def bad(self, name, text="", again=None):
        self.failures.append(Failure(name, text, again))

    def check(self, name, outcome):
        """One test that is a command's exit status."""
        if outcome.good:
            self.good()
        else:
            self.bad(f"{name}: {outcome.why}", tail(outcome.text))


def tail(text, lines=60):
    found = text.rstrip().splitlines()
    return "\n".join((["..."] if len(found) > lines else []) + found[-lines:])


def about(text, lines=60):
    """The part of a test's output that tells of a failure, or its tail."""
    found = text.splitlines()
    marks = [i for i, line in enumerate(found)
             if re.search(r"FAILED|Assertion|ERROR|Sanitizer|runtime error|assert|\berror\b", line)]
    if not marks:
        return tail(text, lines)
    kept = sorted({j for i in marks[:20] for j in range(max(0, i - 4), min(len(found), i + 12))})
    return "\n".join(found[j] for j in kept[:3 * lines])


def said_by(case, text):
    """What a program said between the beginning and the end of one case; its complaints are elsewhere, on stderr."""
    found = re.search(rf"^\[ RUN      \] {re.escape(case)}\n(.*?)^\[  FAILED  \]", text, re.M | re.S)
    return tail(found[1], 30) if found else ""


def compiler_errors(text):
    """What compiler, linker and meson complain of; all of it where they do so in words that are not known here."""
    found = [line for line in text.splitlines()
             if re.search(r"\berror\b|ERROR|^FAILED|undefined reference|multiple definition", line)]
    return "\n".join(dict.fromkeys(found[:40])) or tail(text)


def count_program(count, name, text, good, why="", again=None, is_one=False):
    """What a test program said: cmocka's lines, or a line `N passed, N failed`; nothing, where it is one test."""
    passed, failed = len(PASSED.findall(text)), list(dict.fromkeys(FAILED.findall(text)))
    sums = SUM.findall(text)
    if not passed and not failed and sums:
        passed, lost = sum(int(p) for p, _ in sums), sum(int(f) for _, f in sums)
        named = NAMED.findall(text)[:lost]
        for case, wrong in named:
            count.bad(f"{name}: {case}", wrong.strip("\n"), again)
        failed = ["one of its cases"] * (lost - len(named))
        if named and not failed:
            count.passed += passed
            return
    skipped = list(dict.fromkeys(SKIPPED.findall(text)))
    count.passed += passed
    count.skipped += [f"{name}: {case}" for case in skipped]
    complaints = "\n".join(line for line in text.splitlines() if "rror" in line)
    for case in failed:
        count.bad(f"{name}: {case}", said_by(case, text) + "\n" + tail(complaints, 30), again)
    if not good and not failed:
        count.bad(f"{name}: {why}", tail(text), again)
    elif good and is_one and not passed and not skipped:
        count.good()
    elif good and not passed and not failed and not skipped:
        count.bad(f"{name}: printed no count", tail(text), again)


def read_meson_log(path):
    """The tests of meson's testlog.json."""
    try:
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.strip()]
    except (OSError, ValueError):
        return []


def read_record(path):
    """{id: (outcome, text)} of testing/record.py, the worst outcome of each test's phases."""
    tests = {}
    worst = {"started": 0, "skipped": 1, "passed": 1, "failed": 2}
    try:
        with open(path, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file if line.endswith("\n")]
    except (OSError, ValueError):
        return {}
    for line in lines:
        before = tests.get(line["id"], ("started", ""))
        if worst[line["outcome"]] >= worst[before[0]]:
            tests[line["id"]] = (line["outcome"], line.get("text", ""))
    return tests
