"""How these tests wait, and what they do when the machine itself slept.

No test here measures how fast anything is. A test waits for a condition, for a whole minute if it must, and fails only
when the condition does not come. The few tests whose premise is that this process was scheduled on time (a healthy
client that must beat twice a second) watch their own beats: a beat that came too late raises MachineSlept, which says
nothing about the server, and only then is the test repeated.
"""

import functools
import os
import time

# Seconds. While one works on the server, less saves time: LIFELINE_PATIENCE=5.
PATIENCE = float(os.environ.get("LIFELINE_PATIENCE", 60))
ATTEMPTS = 5


class MachineSlept(Exception):
    """This process was not scheduled when its test needed it: the premise is broken, not the server."""


def repeated_when_machine_slept(test):
    """Runs a test anew, up to ATTEMPTS times in all, when it raised MachineSlept; on nothing else."""

    @functools.wraps(test)
    def attempts(*args, **kwargs):
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return test(*args, **kwargs)
            except MachineSlept as slept:
                print(f"attempt {attempt} of {ATTEMPTS}: the machine slept: {slept}")
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    return attempts


def until(condition, what, patience=PATIENCE, pause=0.01):
    """Waits until condition() is true and returns its value. What is waited for may be a function that tells it."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience:.0f} s in vain for: {what() if callable(what) else what}")
        time.sleep(pause)


class Promptly:
    """A premise: what is done inside takes no longer than this. Else MachineSlept, whatever else happened inside."""

    def __init__(self, seconds, what):
        self.seconds = seconds
        self.what = what

    def __enter__(self):
        self.begun = time.monotonic()
        return self

    def __exit__(self, kind, error, trace):
        took = time.monotonic() - self.begun
        if took > self.seconds:
            raise MachineSlept(f"{self.what} took {took:.3f} s instead of {self.seconds} s") from error
