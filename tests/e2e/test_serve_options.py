"""Options on the command line and in a file, and what is printed."""

import os
import re
import select

import pytest

from patience import PATIENCE
from serving import KEEP_ALIVE, Client, Server, run
from test_serve_listen import only_complaint


# On the command line

@pytest.mark.parametrize("options, told", [
    (["--no-such-option"], "no-such-option"),
    (["--engine"], "engine"),
    (["--engine", "steam"], "steam"),
    (["--workers", "0"], "workers"),
    (["--workers", "many"], "many"),
    (["--workers", "-1"], "-1"),
    (["--max-clients", "0"], "max-clients"),
    (["--max-message", "0"], "max-message"),
    (["--max-message", "12x"], "12x"),
    (["--drain", "soon"], "soon"),
    (["--drain", "5"], "drain"),
    (["--linger", "1h"], "linger"),
    (["--every", "1y"], "1y"),
    (["--suspect-share", "101"], "suspect-share"),
    (["--duplicate", "both"], "both"),
    (["--log-format", "xml"], "xml"),
    (["--config", "/no/such/file"], "/no/such/file"),
    (["left-over"], "left-over"),
])
def test_wrong_usage(options, told):
    done = run("serve", "--listen", "127.0.0.1:0", *options)
    assert done.returncode == 2, done
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and told in lines[0] and done.stdout == "", done


@pytest.mark.parametrize("engine_name", ["auto", "uring", "epoll", "threads"])
def test_engines_by_name(engine_name):
    if engine_name != "auto" and engine_name not in os.environ.get("LIFELINE_ENGINES", engine_name).split():
        pytest.skip("not in this build")
    with Server("--engine", engine_name) as server, Client(server) as client:
        assert client.ask("hello") == KEEP_ALIVE


# In a file

@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "lifeline.conf"
        path.write_text(text)
        return str(path)
    return write


def test_a_file_of_options(file, engine):
    path = file(f"""# how this one serves
listen = 127.0.0.1:0,framing=line
listen = 127.0.0.1:0,framing=raw
engine = {engine}
log-format = json
max-message = 100
show-messages = yes
every = 5m
node = north
""")
    with Server("--config", path, listen=()) as server:
        assert server.ready["engine"] == engine and server.ready["node"] == "north"
        assert len(server.addresses) == 2
        with Client(server) as client:
            assert client.ask("id a") == KEEP_ALIVE
            server.expect("id", id="a", every_ms=300000)
            assert client.ask("hello") == KEEP_ALIVE
            server.expect("message", text="hello")
            assert client.ask("x" * 101) == b"error message too long"


def test_every_long_option_may_stand_in_a_file(file):
    """Whatever --help names, with the value that the help calls its default, or one that is surely good."""
    options = re.findall(r"^\s+--([a-z-]+)(?: (\S+))?", run("serve", "--help").stdout, re.MULTILINE)
    names = [name for name, _ in options if name not in ("config", "help", "version")]
    good = {"listen": "127.0.0.1:0", "engine": "auto", "workers": "1", "max-clients": "100", "max-message": "1000",
            "linger": "1ms", "drain": "5s", "send-timeout": "30s", "every": "60s", "grace": "30s", "min-every": "100ms",
            "max-every": "1d", "min-grace": "100ms", "max-grace": "1d", "rejoin": "5s", "duplicate": "replace",
            "suspect-share": "30", "suspect-min": "20", "suspect-hold": "60s", "flap": "5", "flap-window": "10m",
            "forget": "30d", "max-known": "1000", "node": "north", "log-format": "json", "show-messages": "no",
            "verbose": "no"}
    assert set(good) <= set(names), set(good) - set(names)
    path = file("".join(f"{name} = {good[name]}\n" for name in names if name in good))
    with Server("--config", path, listen=()) as server, Client(server) as client:
        assert client.ask("hello") == KEEP_ALIVE


def test_the_command_line_has_the_last_word(file):
    path = file("node = file\nmax-message = 50\n")
    for order in [("--node", "line", "--config", path), ("--config", path, "--node", "line")]:
        with Server(*order) as server, Client(server) as client:
            assert server.ready["node"] == "line"
            assert client.ask("x" * 51) == b"error message too long"


@pytest.mark.parametrize("text, line, told", [
    ("node = a\ncolour = red\n", 2, "colour"),
    ("node = a\n\n# a comment\nworkers = many\n", 4, "workers"),
    ("engine = steam\n", 1, "engine"),
    ("drain = 5\n", 1, "drain"),
    ("node = a\nthis is no option\n", 2, ""),
    ("node = a\n[section]\nnode = b\n", 3, "section"),
    ("listen = 127.0.0.1:0,framing=loud\n", 1, "listen"),
    ("show-messages = perhaps\n", 1, "show-messages"),
    ("config = other.conf\n", 1, "config"),
    ("\n" * 30 + "workers = 0\ncolour = red\n", 31, "workers"),
])
def test_errors_in_a_file(file, text, line, told):
    path = file(text)
    complaint = only_complaint(run("serve", "--listen", "127.0.0.1:0", "--config", path), 2)
    assert f"{path}:{line}:" in complaint and told in complaint


# What is printed

def test_text_for_a_person(engine):
    with Server(engine=engine, log_format="text") as server:
        assert "lifeline" in server.ready or "listening" in server.ready
        assert engine in "\n".join(server.lines)
        with Client(server) as client:
            connect = server.wait_for(lambda e: client.name in e["text"], "a line for the connect")["text"]
            assert "1" in connect
            assert client.ask("id pump-7") == KEEP_ALIVE
            server.wait_for(lambda e: "pump-7" in e["text"], "a line for the id")
            assert client.ask("this is not for everybody") == KEEP_ALIVE
            assert client.ask("stop") == b"stop"
        end = server.wait_for(lambda e: "stopped" in e["text"] and client.name in e["text"], "a line for the end")["text"]
        assert "pump-7" in end and "3" in end
        server.stop()
        assert not any("not for everybody" in line for line in server.lines)


def test_text_has_a_line_for_each(engine):
    with Server(engine=engine, log_format="text") as server:
        for _ in range(10):
            with Client(server) as client:
                assert client.ask("stop") == b"stop"
        server.stop()
        assert sum("stopped" in line for line in server.lines) >= 10
        assert all(line.strip() for line in server.lines)


def test_messages_are_shown_when_asked(engine):
    with Server("--show-messages", engine=engine, log_format="text") as server, Client(server) as client:
        assert client.ask("hello there") == KEEP_ALIVE
        server.wait_for(lambda e: "hello there" in e["text"], "the message")


def test_messages_are_shown_escaped(serve):
    with serve("--show-messages") as server, Client(server) as client:
        tag = server.tag_of(client)
        for text in [b"plain", b"", b"tab\tnul\0esc\x1b[2J", b"\xff\xfe", "grüße 泵".encode(), b'quote " backslash \\',
                     b"long " * 100]:
            client.say(text + b"\n")
            assert client.hear_line() == KEEP_ALIVE
            event = server.expect("message", tag=tag, bytes=len(text))
            assert "\x1b" not in event["text"] and "\0" not in event["text"]
        assert server.expect("message", bytes=5)["text"] == "plain"
        assert server.expect("message", bytes=len("grüße 泵".encode()))["text"] == "grüße 泵"
        assert not any(event["event"] == "not-json" for event in server.events)


def test_escapes_in_text(engine):
    with Server("--show-messages", engine=engine, log_format="text") as server, Client(server) as client:
        client.say(b"evil \x1b[2J\rnew\x07 line\xc2\x9b\n")
        assert client.hear_line() == KEEP_ALIVE
        server.wait_for(lambda e: "evil" in e["text"], "the message")
        assert client.ask("stop") == b"stop"
        server.stop()
        assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]", "".join(server.lines))


def test_messages_are_never_shown_unasked(serve):
    with serve() as server:
        with Client(server) as client:
            assert client.ask("a secret") == KEEP_ALIVE
            assert client.ask("stop") == b"stop"
        server.end_of(client)
        server.stop()
        assert server.seen("message") == []
        assert not any("a secret" in line for line in server.lines)


def more_of(terminal):
    assert select.select([terminal], [], [], PATIENCE)[0], "nothing more is printed"
    return os.read(terminal, 65536)


def test_messages_are_shown_at_a_terminal(engine):
    primary, secondary = os.openpty()
    try:
        with Server(engine=engine, log_format="text", stdout=secondary) as server:
            os.close(secondary)
            secondary = -1
            said = b""
            while not (found := re.search(rb"listening on (\S+:\d+)", said)):
                said += more_of(primary)
            host, _, port = found.group(1).decode().rpartition(":")
            with Client(server, (host, int(port))) as client:
                assert client.ask("for your eyes") == KEEP_ALIVE
                while b"for your eyes" not in said:
                    said += more_of(primary)
    finally:
        os.close(primary)
        if secondary >= 0:
            os.close(secondary)


def test_every_line_is_json_and_has_its_time(serve):
    with serve("-v", "--show-messages") as server:
        for text in ["hello", "id a", "id a colour=red"]:
            with Client(server) as client:
                client.ask(text)
        server.settle()
        server.stop()
        for event in server.events:
            assert event["event"] not in ("not-json", "text"), event
            if "time" in event:
                assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["time"]), event
        assert server.events[0]["event"] == "ready"
