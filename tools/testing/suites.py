"""The suites: what each one does. Every function gets a Suite and counts what passed and what failed."""

import contextlib
import glob
import os
import re

from testing import builds, count, sanitizers

ROOT = builds.ROOT
PYTHON = "/usr/bin/python3"
E2E = "tests/e2e"

# Under sanitizers everything takes ten times as long: of the tests end to end, those that go through most of the code,
# and none of the crowds. TSan does not know io_uring.
SANITIZED_E2E = ["tests/e2e/test_serve_wire.py", "tests/e2e/test_serve_end.py"]
ENGINES, TSAN_ENGINES = "uring epoll threads", "epoll threads"


def files(*patterns):
    found = []
    for pattern in patterns:
        found += glob.glob(os.path.join(ROOT, pattern), recursive=True)
    return sorted(os.path.relpath(path, ROOT) for path in found)


def built(suite, name, *targets):
    outcome = builds.make(suite.run, name, targets)
    if not outcome.good:
        suite.count.bad(f"the {name} build: {outcome.why}", count.compiler_errors(outcome.text))
    return outcome.good


def command(suite, name, *words, timeout=300, **settings):
    """A command that is one test, or prints how many it was."""
    outcome = suite.run(list(words), timeout=timeout, **settings)
    if count.SUM.search(outcome.text):
        count.count_program(suite.count, name, outcome.text, outcome.good, outcome.why)
    else:
        suite.count.check(name, outcome)
    return outcome


# Sources


def form(suite):
    sources = files("src/**/*.[ch]", "tests/**/*.[ch]", "bench/**/*.[ch]")
    outcome = suite.run(["clang-format", "--dry-run", "-Werror", *sources], timeout=300)
    bad = re.findall(r"^(\S+?):\d+:\d+: error", outcome.text, re.M)
    for path in sorted(set(bad)):
        suite.count.bad(f"clang-format: {path}", f"in {bad.count(path)} places; make format")
    if not bad:
        suite.count.check("clang-format", outcome)
    command(suite, "layers", "tools/gates/layers")
    command(suite, "layers --prove", "tools/gates/layers", "--prove")
    command(suite, "documents", "tools/gates/documents")
    command(suite, "documents --prove", "tools/gates/documents", "--prove")
    if built(suite, "gcc"):
        command(suite, "symbols", "tools/gates/symbols", builds.folder("gcc"))
        command(suite, "symbols --prove", "tools/gates/symbols", builds.folder("gcc"), "--prove")
        command(suite, "options", "tools/gates/options", builds.program("gcc"))
        command(suite, "options --prove", "tools/gates/options", builds.program("gcc"), "--prove")
    for script in files("tools/setup", "tools/completion/lifeline.bash", ".ci/run"):
        command(suite, script, "bash", "-n", script)


def clang(suite):
    if built(suite, "clang"):
        suite.count.good()


def tidy(suite):
    if not built(suite, "clang"):
        return
    sources = files("src/**/*.c")
    for start in range(0, len(sources), 8):
        some = sources[start:start + 8]
        outcome = suite.run(["clang-tidy", "--quiet", "-p", builds.folder("clang"), *some], timeout=900)
        if outcome.good:
            suite.count.good(len(some))
            continue
        said = re.findall(r"^.*(?:error|warning): .*$", outcome.text, re.M)
        suite.count.bad(f"clang-tidy {' '.join(some)}: {outcome.why}", "\n".join(said) or count.tail(outcome.text))


# Programs of meson's


def meson_tests(suite, build, kind, multiplier=10, wrapper=None, prefix=(), env=None, retry=False, only=""):
    """Runs a build's tests of one kind, and counts the cases in them."""
    names = [name for name in names_of(build, kind) if re.search(only, name)]
    if not names:
        suite.count.bad(f"{kind}: there are no tests")
        return
    run_meson(suite, build, names, multiplier, wrapper, prefix, env, retry)


def names_of(build, kind):
    return [test["name"] for test in builds.introspect(build, "tests")
            if any(label.split(":")[-1] == kind for label in test["suite"])]


def run_meson(suite, build, names, multiplier, wrapper, prefix, env, retry):
    base = f"{suite.name}-{build}"
    words = [*prefix, "meson", "test", "-C", builds.folder(build), "--no-rebuild", "--num-processes", "2",
             "--timeout-multiplier", str(multiplier), "--logbase", base]
    if wrapper:
        words += ["--wrapper", wrapper]
    outcome = suite.run(words + names, timeout=1800, env=env)
    log = os.path.join(builds.folder(build), "meson-logs", f"{base}{'-valgrind' if wrapper else ''}.json")
    found = count.read_meson_log(newest(builds.folder(build), base) or log)
    for test in found:
        name = test["name"].split(" / ")[-1]
        again = (lambda name=name: again_meson(suite, build, name, multiplier, wrapper, prefix, env)) if retry else None
        text = (test.get("stdout") or "") + "\n" + (test.get("stderr") or "")
        good = test["result"] in ("OK", "SKIP", "EXPECTEDFAIL")
        if test["result"] == "SKIP":
            suite.count.skipped.append(f"{name}: {count.tail(text.strip(), 3)}")
            continue
        count.count_program(suite.count, name, text, good,
                            f"{test['result'].lower()}, exit status {test.get('returncode')}", again,
                            is_one=":sim / " in test["name"])
    if len(found) < len(names):
        suite.count.bad(f"{len(names) - len(found)} of {len(names)} test programs did not run: {outcome.why}",
                        count.tail(outcome.text))


def newest(build, base):
    found = glob.glob(os.path.join(build, "meson-logs", f"{base}*.json"))
    return max(found, key=os.path.getmtime) if found else None


def again_meson(suite, build, name, multiplier, wrapper, prefix, env):
    alone = suite.another()
    run_meson(alone, build, [name], multiplier, wrapper, prefix, env, False)
    return alone.count


def unit(suite):
    if built(suite, "gcc"):
        meson_tests(suite, "gcc", "unit")


def engine(suite):
    if built(suite, "gcc"):
        meson_tests(suite, "gcc", "engine", retry=True)


def sim(suite):
    """Worlds, each from one seed; and the stories that are compared as text."""
    seeds = int(suite.argument or 20000)
    if not built(suite, "gcc"):
        return
    outcome = suite.run([os.path.join(builds.folder("gcc"), "tests/sim/sim"), "--seeds", str(seeds), "--jobs", "2"],
                        timeout=max(900, seeds // 4))
    suite.count.check(f"the simulator over {seeds} worlds", outcome)
    suite.count.notes.append(f"{seeds} worlds")
    stories = [name for name in names_of("gcc", "sim") if name != "sim-some"]
    if stories:
        run_meson(suite, "gcc", stories, 10, None, (), None, False)


def valgrind(suite):
    """Without those that try everything: they take minutes here, and run under ASan."""
    if built(suite, "gcc"):
        left_out = ["unit-wire-line", "unit-presence-random"]
        meson_tests(suite, "gcc", "unit", multiplier=40, only=f"^(?!({'|'.join(left_out)})$)",
                    wrapper="valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite")
        suite.count.notes.append(f"without {' and '.join(left_out)}")


def asan(suite):
    sanitized(suite, "asan", ["unit", "engine"], ENGINES)


def tsan(suite):
    sanitized(suite, "tsan", ["engine"], TSAN_ENGINES)


def sanitizer(suite, name):
    way, outcome = sanitizers.find_way(suite, name)
    if way is None:
        suite.count.bad(f"{name} does not work here: {outcome.why}", count.tail(outcome.text))
    elif way.note:
        suite.count.notes.append(way.note)
    return way


def sanitized(suite, name, kinds, engines):
    way = sanitizer(suite, name)
    if way is None or not built(suite, name):
        return
    env = {**way.env, "LIFELINE_SANITIZED": name}
    for kind in kinds:
        meson_tests(suite, name, kind, multiplier=30, prefix=way.prefix, env=env, retry=kind == "engine",
                    only=engines.replace(" ", "|") if kind == "engine" else "")
    pytest(suite, builds.program(name), SANITIZED_E2E, workers=4, prefix=way.prefix, env=env, engines=engines)


def coverage(suite):
    only = {"unit": "wire|presence", "sim": "story"}
    if not built(suite, "coverage", "build.ninja"):
        return
    programs = {os.path.relpath(test["cmd"][0], builds.folder("coverage"))
                for test in builds.introspect("coverage", "tests")
                if any(re.search(pattern, test["name"]) for pattern in only.values())}
    if not built(suite, "coverage", *sorted(programs)):
        return
    for old in glob.glob(os.path.join(builds.folder("coverage"), "**", "*.gcda"), recursive=True):
        os.unlink(old)
    mute = suite.another()
    for kind, pattern in only.items():
        meson_tests(mute, "coverage", kind, only=pattern)
    if mute.count.failures:
        suite.count.bad("its tests do not pass", f"{mute.count.failures[0].name}\n{mute.count.failures[0].text}")
        return
    outcome = suite.run(["gcovr", "-r", ROOT, "--object-directory", builds.folder("coverage"), "--filter", "src/wire/",
                         "--filter", "src/presence/", "--fail-under-line", "95", builds.folder("coverage")],
                        timeout=300)
    suite.count.check("coverage of wire/ and presence/ is at least 95 % of lines", outcome)
    total = re.search(r"^TOTAL\s+(\d+)\s+(\d+)\s+(\d+)%", outcome.text, re.M)
    if total:
        suite.count.notes.append(f"{int(total[2]) / int(total[1]):.1%} of {total[1]} lines of wire/ and presence/")


def fuzz(suite):
    way = sanitizer(suite, "asan")
    if way is None or not built(suite, "fuzz", "build.ninja"):
        return
    targets = [target for target in builds.introspect("fuzz", "targets") if target["type"] == "executable"
               and os.path.dirname(target["defined_in"]).endswith("tests/fuzz")]
    programs = [os.path.relpath(target["filename"][0], builds.folder("fuzz")) for target in targets]
    if not targets:
        suite.count.bad("there are no targets")
    elif built(suite, "fuzz", *programs):
        for target in targets:
            fuzz_one(suite, way, target["name"], target["filename"][0], int(suite.argument or 60) // len(targets))


def fuzz_one(suite, way, name, program, seconds):
    """From the corpus that is kept; what it finds meanwhile goes into the build."""
    grown = os.path.join(builds.BUILDS, "corpus", name)
    os.makedirs(grown, exist_ok=True)
    kept, dictionary = os.path.join(ROOT, "tests/fuzz/corpus", name), os.path.join(ROOT, "tests/fuzz", f"{name}.dict")
    words = [*way.prefix, program, f"-max_total_time={max(1, seconds)}", "-timeout=60", "-rss_limit_mb=2048", "-print_final_stats=1",
             f"-artifact_prefix={grown}-"]
    words += [f"-dict={dictionary}"] if os.path.exists(dictionary) else []
    outcome = suite.run([*words, grown, *([kept] if os.path.isdir(kept) else [])], timeout=seconds + 300,
                        env=way.env)
    runs = re.search(r"number_of_executed_units: *(\d+)", outcome.text)
    suite.count.check(f"fuzzing {name}", outcome)
    suite.count.notes.append(f"{name}: {int(runs[1]) if runs else 0} runs")
    if not runs or int(runs[1]) < 1000:
        suite.count.bad(f"fuzzing {name}: it ran next to nothing", count.tail(outcome.text))


def instructions(suite):
    command(suite, "instructions", "bench/instructions", timeout=900)


def mutants(suite):
    command(suite, "mutants", "tools/mutate", timeout=1800)


def minimal(suite):
    """All options off: it is built, it serves, it connects."""
    for name, engines in (("minimal", ["threads", "epoll"]), ("portable", ["threads"])):
        if built(suite, name):
            suite.count.good()
            for kind in engines:
                command(suite, f"{name} with {kind}", PYTHON, "tools/testing/minimal.py", builds.program(name), kind)


# End to end


def e2e(suite):
    if built(suite, "release", "src/cli/lifeline"):
        pytest(suite, builds.program("release"), suite.argument.split(",") if suite.argument else [E2E])


def engines_here(suite, program, wanted):
    """Containers often forbid io_uring. What cannot work here is left out, and said so; the others must work."""
    found = []
    for kind in wanted.split():
        outcome = suite.run(["timeout", "1", program, "serve", "--engine", kind, "--listen", "127.0.0.1:0"], timeout=60)
        if kind == "uring" and "does not work here: " in outcome.text:
            suite.count.skipped.append(f"all of {kind}: {count.tail(outcome.text, 2)}")
        else:
            found.append(kind)
    return " ".join(found)


def pytest(suite, program, selection, workers=4, prefix=(), env=None, engines=ENGINES):
    env = {**(env or {}), "LIFELINE_ENGINES": engines_here(suite, program, engines)}
    outcome, tests = run_pytest(suite, program, selection, ["-n", str(workers)], prefix, env)
    for name, (result, text) in tests.items():
        if result == "passed":
            suite.count.good()
        elif result == "skipped":
            suite.count.skipped.append(f"{name}: {count.tail(text, 1)}")
        else:
            text = text if result == "failed" else "it had begun, and did not end"
            again = None if count.FAULT.search(text) else (
                lambda name=name: again_pytest(suite, program, name, prefix, env))
            suite.count.bad(name, count.tail(text, 120), again)
    if not tests or (not outcome.good and not suite.count.failures):
        suite.count.bad(f"pytest: {outcome.why}", count.tail(outcome.text))


def run_pytest(suite, program, selection, options, prefix, env):
    record = os.path.join(builds.LOGS, f"{suite.name}.jsonl")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(record)
    words = [*prefix, PYTHON, "-m", "pytest", "-p", "no:cacheprovider", "-p", "testing.record", "-q", "--tb=short",
             "-o", "faulthandler_timeout=300", *options, *selection]
    path = os.path.join(ROOT, "tools") + os.pathsep + os.environ.get("PYTHONPATH", "")
    outcome = suite.run(words, timeout=1800, env={"LIFELINE": program, "LIFELINE_RECORD": record, "PYTHONPATH": path,
                                                  "PYTHONDONTWRITEBYTECODE": "1", **env})
    return outcome, count.read_record(record)


def again_pytest(suite, program, name, prefix, env):
    """The count of one test, run alone."""
    alone = suite.another()
    outcome, tests = run_pytest(alone, program, [name.split("::")[0]], [], prefix, {**env, "LIFELINE_ONLY": name})
    if tests and all(result == "passed" for result, _ in tests.values()) and outcome.good:
        alone.count.good()
    else:
        alone.count.bad(name, "\n".join(text for _, text in tests.values()) or count.tail(outcome.text))
    return alone.count
