"""The page that is written, and the raw logs beside it."""

import os
import re
import shutil


def table(head, rows):
    widths = [max(len(row[at]) for row in [head, *rows]) for at in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines)


class Page:
    def __init__(self):
        self.sections = []
        self.logs = {}

    def section(self, title, words, rows):
        self.sections.append(f"## {title}\n{words.rstrip()}\n\n{rows}\n")

    def raw(self, question, subject, lines, what):
        name = re.sub(r"[^a-z0-9]+", "-", f"{question}-{subject.name}".lower()).strip("-") + ".txt"
        self.logs[name] = "".join(f"{line}\n" for line in ([f"# {what}"] if what else []) + lines)

    def text(self, versions, machine):
        return "\n".join(["# Who tells the truth", "", f"""\
What `make truth` measured: lifeline beside mosquitto, and beside nats-server where a question applies to it, all on the
same machine and asked the same way. The raw logs lie in [truth/](truth/). Measured with {versions}; {machine}.
""", *self.sections])

    def write(self, into, text):
        shutil.rmtree(os.path.join(into, "truth"), ignore_errors=True)
        os.makedirs(os.path.join(into, "truth"))
        with open(os.path.join(into, "TRUTH.md"), "w") as file:
            file.write(text)
        for name, log in self.logs.items():
            with open(os.path.join(into, "truth", name), "w") as file:
                file.write(log)
