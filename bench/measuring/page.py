"""Writes docs/BENCHMARKS.md and its charts from what was measured."""

import os
import statistics

from measuring import charts

HEAD = """# Benchmarks

Written by `make bench`, which measures all of this anew on the machine at hand; nothing here is edited by hand. What it
means, and what was tried, is in [SPEED.md](SPEED.md).

"""

HOW = """## How it is measured

- Server and load have a core each ({server} and {load}), and everything goes over loopback. The load is `lifeline bench`: one
  thread, and every reply is compared with what it should be. A run with a wrong, missing or surplus reply has failed.
- The peers are in `bench/peers`, each the simplest honest program of its kind: a reply for each end of line, `stop`
  answered by `stop` and the end. Redis, mosquitto and nats-server answer their own pings.
- Rounds alternate: in each of them every server is started anew, in an order that shifts from round to round. A ratio
  is that of two servers within one round; what is shown is the median of those, with the least and the greatest.
- Our end of the connections uses the congestion control with the least work (reno) where it may; the server's end is as
  the system has it.
- CPU a message is the CPU time of the server's process, in user and kernel mode, by the number of replies in that time.
"""

CLASSES = {"uring": "ours", "epoll": "ours", "threads": "ours", "uring-linger0": "ours", "epoll-linger0": "ours",
           "bare_uring": "floor", "bare_epoll": "floor", "bare_threads": "floor"}


def show(value, unit):
    if value is None:
        return "—"
    text = f"{value:.2f}" if unit in ("×", " ms") else charts.number(value)
    return text + unit


def table(heads, rows, right):
    """A Markdown table; columns whose index is in `right` are aligned there."""
    lines = ["| " + " | ".join(heads) + " |",
             "|" + "|".join(" ---: " if i in right else " --- " for i in range(len(heads))) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def figures_table(figures):
    rows = []
    for figure in figures:
        spread = "—"
        if len(figure.values) > 1:
            spread = f"{show(min(figure.values), '×')[:-1]} – {show(max(figure.values), '×')[:-1]}"
        verdict = {True: "yes", False: "**no**", None: "not measured"}[figure.reached]
        rows.append([figure.what, figure.against, f"{'≥' if figure.at_least else '≤'} {figure.goal:g}{figure.unit}",
                     show(figure.median, figure.unit), spread, verdict])
    return table(["figure", "against", "goal", "measured", "least – greatest", "reached"], rows, {2, 3, 4})


def scene_rows(runs, scene, kinds):
    rows = []
    for server in scene.servers:
        title = kinds[server].title
        good = [report for _, report in runs.good(scene.name, server)]
        if not good:
            failed = [report for report in runs.reports.get(scene.name, {}).get(server, []) if report]
            why = kinds[server].missing or (failed[-1]["error"] if failed else "not measured")
            rows.append([title, why.replace("\n", " ").replace("|", "/")[:80]] + [""] * 6)
            continue
        rows.append([title, *scene_values(runs, scene, server)])
    return rows


def scene_values(runs, scene, server):
    churn = "--churn" in scene.options
    cpu = list(runs.values(scene.name, server, "server.cpu_us").values())

    def median(path, scale=1.0, digits=None):
        value = runs.median(scene.name, server, path)
        if value is None:
            return ""
        return charts.number(value * scale) if digits is None else f"{value * scale:.{digits}f}"

    latency = "round_us" if churn else "latency_us"
    return [f"{statistics.median(cpu):.2f} ({min(cpu):.2f} – {max(cpu):.2f})" if cpu else "",
            median("rounds_per_s" if churn else "messages_per_s"),
            *(median(f"{latency}.{quantile}") for quantile in ("p50", "p99", "p999")),
            median("server.cpu_share", 100, 1), median("load_share", 100, 1)]


def scene_part(runs, scene, kinds):
    unit = "cycle" if "--churn" in scene.options else "message"
    heads = ["server", f"CPU µs a {unit}", f"{unit}s/s", "p50 µs", "p99 µs", "p99.9 µs", "server's core %", "load's core %"]
    rows = scene_rows(runs, scene, kinds)
    title = scene.title[0].upper() + scene.title[1:]
    part = f"### {title}\n\n`lifeline bench {' '.join(str(option) for option in scene.options)}`\n\n"
    part += table(heads, rows, set(range(1, 8)))
    if scene.name == "idle":
        memory = []
        for server in scene.servers:
            values = list(runs.values("idle", server, "server.bytes_per_client_end").values())
            if values:
                memory.append([kinds[server].title, charts.number(statistics.median(values)),
                               f"{runs.median('idle', server, 'server.cpu_share') * 100:.3f}"])
        part += "\n" + table(["server", "bytes of user memory a client", "% of a core"], memory, {1, 2})
    return part


def bar_rows(runs, scene, path, kinds, servers, scale=1.0):
    rows = []
    for server in servers:
        values = [value * scale for value in runs.values(scene, server, path).values()]
        if values:
            rows.append((kinds[server].title, CLASSES.get(server, "other"), statistics.median(values), min(values),
                         max(values)))
    return sorted(rows, key=lambda row: row[2])


def draw(folder, runs, scenes, kinds, core):
    """Writes the charts, and returns (file, what it shows) of those that there is something for."""
    by_name = {scene.name: scene for scene in scenes}
    wanted = [
        ("cpu-1000", "closed-1000", "server.cpu_us", "Server CPU a message, 1,000 clients",
         "µs, one message under way for each client; less is better", " µs"),
        ("cpu-15000", "closed-15000", "server.cpu_us", "Server CPU a message, 15,000 clients",
         "µs, one message under way for each client; less is better", " µs"),
        ("cpu-rate", "given-rate", "server.cpu_us", "Server CPU a message at 20,000 messages/s",
         "µs, 10,000 clients, on schedule; less is better", " µs"),
        ("tail", "half-rate", "latency_us.p999", "p99.9 latency at half of the saturating rate",
         "µs, 1,000 clients, on schedule; less is better", " µs"),
        ("churn", "churn", "rounds_per_s", "Connect, say, stop", "cycles/s of 64 clients; more is better", ""),
        ("memory", "idle", "server.bytes_per_client_end", "User memory for an idle client",
         "bytes, of 15,000 clients; less is better", " B"),
    ]
    drawn = []
    os.makedirs(folder, exist_ok=True)
    for name, scene, path, title, subtitle, unit in wanted:
        rows = bar_rows(runs, scene, path, kinds, by_name[scene].servers if scene in by_name else [])
        if rows:
            with open(os.path.join(folder, name + ".svg"), "w") as file:
                file.write(charts.bars(title, subtitle, rows, unit))
            drawn.append((name, title))
    if core:
        keys = (("neighbour_ns", "neighbours"), ("foretold_ns", "fetched ahead"), ("at_random_ns", "at random"),
                ("wheel_ns", "deadline"))
        with open(os.path.join(folder, "sessions.svg"), "w") as file:
            file.write(charts.lines("The pure core as sessions grow", "ns for a message, and for keeping a deadline",
                                    [f"{size['sessions']:,}" for size in core["sizes"]],
                                    [(name, [size[key] for size in core["sizes"]]) for key, name in keys], " ns"))
        drawn.append(("sessions", "The pure core as sessions grow"))
    return drawn


def machine_part(about):
    machine = about["machine"]
    others = about["others_share"]
    lines = [f"- {machine['cpu']}, {machine['cores']} cores{', virtual' if machine['virtual'] else ''}, "
             f"{machine['memory_gib']} GiB; {machine['system']}, Linux {machine['kernel']}, "
             f"TCP congestion control {machine['congestion']}",
             "- " + "; ".join(f"{name}: {version}" for name, version in about["versions"].items()),
             f"- lifeline {about['commit']}, {about['date']}, rounds: {about['rounds']} in {about['minutes']:.0f} minutes"
             + (", cut short" if about["cut_short"] else "")]
    if others is not None:
        lines.append(f"- While it was measured, other programs took {others:.1%} of the machine"
                     + (": **too much for figures that can be relied on**" if others > 0.05 else ""))
    return "## The machine\n\n" + "\n".join(lines) + "\n"


def write(path, charts_folder, raw, about, runs, scenes, kinds, figures, core):
    drawn = draw(charts_folder, runs, scenes, kinds, core)
    link = os.path.relpath(charts_folder, os.path.dirname(path))
    reached = sum(figure.reached is True for figure in figures)
    measured = sum(figure.reached is not None for figure in figures)
    page = HEAD
    page += f"{reached} of {measured} goals are reached. The raw reports of all runs: `{raw}`.\n\n"
    page += "".join(f"![{title}]({link}/{name}.svg)\n\n" for name, title in drawn)
    page += "## The figures to reach\n\n" + figures_table(figures) + "\n"
    page += machine_part(about) + "\n"
    page += HOW.format(server=about["server_core"], load=about["load_core"]) + "\n"
    page += "## All runs\n\n" + "\n".join(scene_part(runs, scene, kinds) for scene in scenes if scene.name in runs.reports)
    if core:
        keys = ["accept_ns", "at_random_ns", "foretold_ns", "neighbour_ns", "wheel_ns", "end_ns", "bytes"]
        heads = ["sessions", "accept ns", "message at random ns", "fetched ahead ns", "neighbours ns", "deadline ns",
                 "end at random ns", "bytes"]
        page += ("\n### The pure core\n\n`bench/core`: conversation, watch and directory under a false clock. "
                 f"{core['messages_per_s'] / 1e6:.0f} million 5-byte lines a second in receives of 800, "
                 f"{core['receives_per_s'] / 1e6:.0f} million where each is received alone.\n\n")
        page += table(heads, [[f"{size['sessions']:,}", *(f"{size[key]:.1f}" for key in keys)]
                              for size in core["sizes"]], set(range(8)))
    errors = sorted(set(runs.errors()))
    if errors:
        page += "\n### What failed\n\n" + "".join(
            f"- {kinds[server].title}, {scene}: {what.strip().splitlines()[0] if what.strip() else 'unknown'}\n"
            for scene, server, what in errors)
    with open(path, "w") as file:
        file.write(page)
