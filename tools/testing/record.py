"""A pytest plugin: writes each test's outcome as a line of JSON to the file that LIFELINE_RECORD names."""

import json
import os


class Record:
    def __init__(self, path):
        self.file = open(path, "w", encoding="utf-8", buffering=1)

    def write(self, **fields):
        self.file.write(json.dumps(fields) + "\n")

    def pytest_runtest_logstart(self, nodeid, location):
        self.write(id=nodeid, outcome="started")

    def pytest_runtest_logreport(self, report):
        # A test is what its call says, or its set-up where that went wrong; a broken tear-down counts too.
        if report.when == "call" or report.outcome != "passed":
            self.write(id=report.nodeid, outcome=report.outcome, when=report.when, seconds=report.duration,
                       text=report.longreprtext + "".join(f"\n--- {name}\n{text}" for name, text in report.sections))

    def pytest_collectreport(self, report):
        if report.failed:
            self.write(id=report.nodeid or "collection", outcome="failed", when="collect", seconds=0,
                       text=report.longreprtext)


def pytest_collection_modifyitems(items):
    """LIFELINE_ONLY names the one test to run: on the command line, not every name can be said."""
    only = os.environ.get("LIFELINE_ONLY")
    if only:
        items[:] = [item for item in items if item.nodeid == only]


def pytest_configure(config):
    # With xdist, each worker is a pytest too: only the one who hears all of them writes.
    path = os.environ.get("LIFELINE_RECORD")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Record(path), "lifeline-record")
