"""The figures to reach: each from the runs of a scene, beside its goal. A figure that compares two servers is the median,
over the rounds, of the ratio within a round."""

import statistics


class Figure:
    """`values` is one for each round; reached if their median is on the right side of the goal."""

    def __init__(self, what, against, goal, values, unit="", at_least=False, detail=""):
        self.what, self.against, self.goal, self.unit, self.at_least = what, against, goal, unit, at_least
        self.values, self.detail = values, detail

    @property
    def median(self):
        return statistics.median(self.values) if self.values else None

    @property
    def reached(self):
        if not self.values:
            return None
        return self.median >= self.goal if self.at_least else self.median <= self.goal

    def as_json(self):
        return {"what": self.what, "against": self.against, "goal": self.goal, "at_least": self.at_least,
                "unit": self.unit, "values": self.values, "median": self.median, "reached": self.reached}


def dig(report, path):
    for step in path.split("."):
        report = report.get(step) if isinstance(report, dict) else None
    return report


class Runs:
    """All reports: runs[scene][server] is a list, one for each round, None where there is none."""

    def __init__(self):
        self.reports = {}

    def add(self, scene, server, number, report):
        rounds = self.reports.setdefault(scene, {}).setdefault(server, [])
        rounds.extend([None] * (number + 1 - len(rounds)))
        rounds[number] = report

    def good(self, scene, server):
        """(round, report) of those that went well."""
        rounds = self.reports.get(scene, {}).get(server, [])
        return [(number, report) for number, report in enumerate(rounds) if report and "error" not in report]

    def values(self, scene, server, path):
        return {number: dig(report, path) for number, report in self.good(scene, server)
                if dig(report, path) is not None}

    def median(self, scene, server, path):
        values = list(self.values(scene, server, path).values())
        return statistics.median(values) if values else None

    def ratios(self, scene, server, against, path):
        ours, theirs = self.values(scene, server, path), self.values(scene, against, path)
        return [ours[number] / theirs[number] for number in ours if theirs.get(number)]

    def differences(self, scene, server, against, path):
        ours, theirs = self.values(scene, server, path), self.values(scene, against, path)
        return [ours[number] - theirs[number] for number in ours if number in theirs]

    def growth(self, server, small, large, path):
        few, many = self.values(small, server, path), self.values(large, server, path)
        return {number: many[number] / few[number] for number in few if many.get(number) and few[number]}

    def errors(self):
        """(scene, server, what) for each run that failed."""
        return [(scene, server, report["error"]) for scene, servers in self.reports.items()
                for server, rounds in servers.items() for report in rounds if report and "error" in report]


CPU = "server.cpu_us"
NAMES = {"uring": "bare io_uring loop", "epoll": "bare epoll loop", "threads": "bare thread per client"}


def per_message(runs):
    figures = []
    pairs = [("uring", "bare_uring", 1.05), ("epoll", "bare_epoll", 1.05), ("uring", "libuv", 0.95),
             ("uring", "libevent", 0.95), ("uring", "bare_threads", 0.62), ("threads", "bare_threads", 1.10)]
    titles = {"bare_uring": "bare io_uring loop", "bare_epoll": "bare epoll loop",
              "bare_threads": "bare thread per client"}
    for ours, theirs, goal in pairs:
        for scene, clients in (("closed-1000", "1,000"), ("closed-15000", "15,000")):
            figures.append(Figure(f"server CPU a message, {clients} clients, one under way each, `{ours}`",
                                  titles.get(theirs, theirs), goal, runs.ratios(scene, ours, theirs, CPU), "×"))
    return figures


def rates(runs):
    figures = []
    for engine in ("uring", "epoll"):
        figures.append(Figure(f"messages/s, 64 lines a write, `{engine}`", "Redis `PING`, likewise", 3,
                              runs.ratios("pipelined", engine, "redis", "messages_per_s"), "×", at_least=True))
    for engine in ("uring", "epoll"):
        figures.append(Figure(f"server CPU a message at 20,000/s over 10,000 clients, `{engine}`", "bare epoll loop",
                              0.78, runs.ratios("given-rate", engine, "bare_epoll", CPU), "×"))
        for quantile, name in (("p50", "median"), ("p99", "p99")):
            added = runs.differences("given-rate", engine, "bare_epoll", f"latency_us.{quantile}")
            figures.append(Figure(f"latency that this adds ({name}), `{engine}`", "bare epoll loop", 2,
                                  [value / 1000 for value in added], " ms"))
    for engine in ("uring", "epoll"):
        figures.append(Figure(f"p99.9 latency at half of the saturating rate, `{engine} --linger 0`", "bare epoll loop",
                              1.1, runs.ratios("half-rate", f"{engine}-linger0", "bare_epoll", "latency_us.p999"), "×"))
    for engine in ("uring", "epoll"):
        figures.append(Figure(f"connect–say–stop cycles/s, `{engine}`", "bare epoll loop", 0.95,
                              runs.ratios("churn", engine, "bare_epoll", "rounds_per_s"), "×", at_least=True))
        # Connecting costs the load more than the server: where the load's core is full, only this tells them apart.
        figures.append(Figure(f"server CPU a connect–say–stop cycle, `{engine}`", "bare epoll loop", 1.05,
                              runs.ratios("churn", engine, "bare_epoll", CPU), "×"))
    return figures


def idle(runs):
    figures = []
    for engine in ("uring", "epoll"):
        figures.append(Figure(f"user memory an idle anonymous client at 15,000, `{engine}`", "—", 128,
                              list(runs.values("idle", engine, "server.bytes_per_client_end").values()), " bytes"))
    for engine in ("uring", "epoll"):
        ours = runs.growth(engine, "closed-100", "closed-15000", CPU)
        theirs = runs.growth(f"bare_{engine}", "closed-100", "closed-15000", CPU)
        figures.append(Figure(f"growth of CPU a message from 100 to 15,000 clients, `{engine}`",
                              f"that of the {NAMES[engine]}", 1.0,
                              [ours[number] / theirs[number] for number in ours if number in theirs], "×"))
    for engine in ("uring", "epoll"):
        figures.append(Figure(f"15,000 idle clients, a message each 30 s: share of a core, `{engine}`", NAMES[engine],
                              1.2, runs.ratios("idle", engine, f"bare_{engine}", "server.cpu_share"), "×"))
    return figures


def alone(core, binary):
    """Those that no load is needed for."""
    figures = []
    if core:
        figures.append(Figure("pure core, one thread, 5-byte lines, no I/O", "—", 50, [core["messages_per_s"] / 1e6],
                              " million messages/s", at_least=True))
        few, many = core["sizes"][0], core["sizes"][-1]
        for key, name in (("accept_ns", "an accept"), ("neighbour_ns", "a message, neighbours in turn"),
                          ("foretold_ns", "a message at random, fetched ahead"), ("at_random_ns", "a message at random"),
                          ("wheel_ns", "a deadline"), ("end_ns", "an end at random"), ("bytes", "memory")):
            figures.append(Figure(f"pure core, {name}: {many['sessions']:,} sessions",
                                  f"{few['sessions']:,} sessions", 1.5, [many[key] / few[key]], "×"))
    if binary.get("bytes"):
        figures.append(Figure("binary, stripped, without optional libraries", "—", 300, [binary["bytes"] / 1024],
                              " KiB"))
    if binary.get("ready_ms"):
        figures.append(Figure("start to ready", "—", 20, binary["ready_ms"], " ms"))
    return figures


def all_figures(runs, core, binary):
    return per_message(runs) + rates(runs) + idle(runs) + alone(core, binary)
