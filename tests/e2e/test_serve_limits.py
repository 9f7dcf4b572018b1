"""What happens when there is too much: of clients, of descriptors, of replies that nobody reads."""

import contextlib
import resource
import socket
import time

import pytest

from crowd import Crowd
from patience import PATIENCE, until
from serving import KEEP_ALIVE, Client

REPLY = KEEP_ALIVE + b"\n"


def hear_fate(client):
    """What a newcomer heard before the end: `retry 5`, or nothing where a reset ate it."""
    try:
        return client.hear_rest()
    except ConnectionResetError:
        return b""


# --max-clients

def test_a_newcomer_beyond_max_clients_gets_retry(serve):
    with serve("--max-clients", "3") as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(server)) for _ in range(3)]
        for client in clients:
            assert client.ask("hello") == KEEP_ALIVE
        for _ in range(5):
            with Client(server) as newcomer:
                assert newcomer.hear_rest().rstrip(b"\n") == b"retry 5"
        for client in clients:
            assert client.ask("still here") == KEEP_ALIVE
        server.expect("shed")
        for client in clients:
            server.tag_of(client)
        assert len(server.seen("connect")) == 3


def comes_in(server):
    """Whether a newcomer is let in now. Its session is over afterwards, and its place may take a moment to be free."""
    with Client(server) as newcomer:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            newcomer.say("hello\nstop\n")
            return newcomer.hear_rest() == REPLY + b"stop\n"
        return False


def test_there_is_room_again_by_itself(serve):
    with serve("--max-clients", "2") as server:
        before = server.descriptors()
        for _ in range(10):
            with Client(server) as first, Client(server) as second:
                assert first.ask("hello") == KEEP_ALIVE and second.ask("hello") == KEEP_ALIVE
                with Client(server) as newcomer:
                    assert newcomer.hear_rest().rstrip(b"\n") == b"retry 5"
                assert first.ask("stop") == b"stop" and first.hear_rest() == b""
                server.end_of(first, reason="stopped")
                until(lambda: comes_in(server), "room for a newcomer")
                assert second.ask("still here") == KEEP_ALIVE
                assert second.ask("stop") == b"stop" and second.hear_rest() == b""
            server.until_free(before)


def test_retry_in_the_words_of_the_listener(serve):
    with serve("--max-clients", "1", framing="raw") as server, Client(server) as client:
        client.say("hello")
        assert client.hear(len(KEEP_ALIVE)) == KEEP_ALIVE
        with Client(server) as newcomer:
            assert newcomer.hear_rest() == b"retry 5"
    with serve("--max-clients", "1", framing="line") as server, Client(server) as client:
        assert client.ask("hello") == KEEP_ALIVE
        with Client(server) as newcomer:
            assert newcomer.hear_rest() == b"retry 5\n"


def test_one_in_among_a_crowd_at_the_door(serve):
    with serve("--max-clients", "1") as server, Client(server) as client:
        assert client.ask("id the-one") == KEEP_ALIVE
        for _ in range(300):
            with Client(server) as newcomer:
                newcomer.say("let me in\n")
                hear_fate(newcomer)
        assert client.ask("still here") == KEEP_ALIVE
        assert client.ask("stop") == b"stop"
        server.end_of(client, messages=3)


# Descriptors

def fates(server, newcomers):
    """Every newcomer is either in, or was told to come again: parts them, when the server has looked at all."""
    turned_away = []

    def all_decided():
        for client in newcomers:
            if client not in turned_away:
                client.socket.setblocking(False)
                try:
                    while piece := client.socket.recv(100):
                        client.ahead += piece
                    turned_away.append(client)
                except BlockingIOError:
                    pass
                except ConnectionResetError:
                    turned_away.append(client)
                client.socket.settimeout(PATIENCE)
        names = {event["address"] for event in server.seen("connect")}
        return sum(client.name in names for client in newcomers) + len(turned_away) == len(newcomers)

    until(all_decided, "every newcomer to be in or turned away")
    return [client for client in newcomers if client not in turned_away], turned_away


def test_a_descriptor_limit_of_64_and_200_newcomers(serve):
    with serve(prefix=("prlimit", "--nofile=64:64")) as server, contextlib.ExitStack() as stack:
        idle = server.descriptors()
        newcomers = [stack.enter_context(Client(server)) for _ in range(200)]
        inside, turned_away = fates(server, newcomers)
        assert len(inside) >= 10, server.dump()
        for client in turned_away:
            assert client.ahead.rstrip(b"\n") == b"retry 5"
        for _ in range(3):
            for client in inside:
                assert client.ask("hello") == KEEP_ALIVE

        # No busy loop: within a second of nothing at all it used less than half of it.
        before = server.cpu_seconds()
        time.sleep(1)
        assert server.cpu_seconds() - before < 0.5

        for client in inside:
            assert client.ask("stop") == b"stop"
        for client in newcomers:
            client.close()
        server.until_free(idle)
        with Client(server) as client:
            assert client.ask("room again") == KEEP_ALIVE


def test_out_of_descriptors_in_earnest(serve):
    """The limit is lowered while it runs, below what it counted on."""
    with serve() as server, contextlib.ExitStack() as stack:
        old = [stack.enter_context(Client(server)) for _ in range(5)]
        for client in old:
            assert client.ask("hello") == KEEP_ALIVE
        soft, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        low = server.descriptors() + 8
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (low, hard))
        newcomers = [stack.enter_context(Client(server)) for _ in range(60)]

        # Each is in, told to come again, or waits at the door; those who are in are served.
        for client in old:
            assert client.ask("still here") == KEEP_ALIVE
        before = server.cpu_seconds()
        time.sleep(1)
        assert server.cpu_seconds() - before < 0.5

        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (soft, hard))
        for client in old[:2]:
            assert client.ask("stop") == b"stop"
        # Now there is room: nobody waits for ever, and a new one comes in.
        inside, turned_away = fates(server, newcomers)
        for client in turned_away:
            assert client.ahead.rstrip(b"\n") == b"retry 5"
        for client in inside:
            assert client.ask("hello") == KEEP_ALIVE
        with Client(server) as client:
            assert client.ask("room again") == KEEP_ALIVE


# Those who do not read

def test_one_who_never_reads_is_held_and_then_answered_in_full(serve):
    with serve() as server, Client(server, receive_buffer=4096) as client:
        messages, part = client.fill()
        rest = b"x\n"[part:] if part else b""

        # Others are served meanwhile, and the server's memory does not grow with what it owes.
        with Client(server) as other:
            assert other.ask("hello") == KEEP_ALIVE

        heard = 0
        while heard < messages * len(REPLY):
            piece = client.hear(min(1 << 20, messages * len(REPLY) - heard))
            assert piece and piece == (REPLY * (len(piece) // len(REPLY) + 2))[heard % len(REPLY):][:len(piece)]
            heard += len(piece)
        client.say(rest + b"stop\n")
        assert client.hear_rest() == (REPLY if rest else b"") + b"stop\n"
        server.end_of(client, reason="stopped", messages=messages + bool(rest) + 1)


def test_many_who_never_read_cost_no_memory(serve):
    with serve() as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(server, receive_buffer=4096)) for _ in range(8)]
        for client in clients[:4]:
            client.fill()
        before = server.private_bytes()
        for client in clients[4:]:
            client.fill()
        # Each of them is owed more than ten megabytes now; what is used is of fixed size.
        assert server.private_bytes() - before < 1 << 22


def test_one_who_never_reads_is_ended_as_slow(serve):
    with serve("--send-timeout", "1s") as server:
        before = server.descriptors()
        with Client(server, receive_buffer=4096) as client, Client(server) as other:
            client.fill()
            server.end_of(client, reason="slow", fault="client")
            assert other.ask("hello") == KEEP_ALIVE
        server.until_free(before)


def test_one_who_reads_nothing_but_is_owed_little_is_left_alone(serve):
    with serve("--send-timeout", "100ms") as server, Client(server) as client:
        for _ in range(20):
            client.say("hello\n")
        time.sleep(1)  # time enough for a server that took this for slow
        assert client.ask("stop") == KEEP_ALIVE
        assert client.hear_rest() == REPLY * 19 + b"stop\n"
        server.end_of(client, reason="stopped", messages=21)


def test_a_slow_one_who_has_closed_its_half(serve):
    with serve("--send-timeout", "1s") as server, Client(server, receive_buffer=4096) as client:
        client.fill()
        client.half_close()
        server.end_of(client, reason=lambda reason: reason in ("slow", "closed"))


# Ten thousand

def warm(server, crowd):
    """Uses what is of fixed size, and touched only as it fills: the rings of events, the buffers for receiving."""
    for _ in range(3):
        with server.asleep():
            crowd.say(crowd.members, "a message to be shown\n" * 5, messages=5)
        crowd.until_answered()


def test_ten_thousand_at_once_and_what_an_idle_one_costs(serve, engine):
    with serve("--show-messages") as server:
        idle = server.descriptors()
        with Crowd(server) as crowd:
            crowd.connect(2000)
            warm(server, crowd)
            few = server.private_bytes()

            # One at a time: a larger burst than the first would use more buffers, and measure those.
            for member in crowd.connect(8000):
                crowd.say([member], "hello\n")
                crowd.until_answered([member])
            many = server.private_bytes()

            if engine != "threads":  # which pays for its stacks
                assert (many - few) / 8000 <= 128, f"{(many - few) / 8000:.1f} bytes for each idle client"

            crowd.say(crowd.members[5000:], "one\ntwo\nthree\n", messages=3)
            crowd.say(crowd.members[:5000], "four\n")
            crowd.stop_all()
        server.until_free(idle)
        if engine == "threads":
            until(lambda: server.threads() < 100, "the threads to be gone")
        with Client(server) as client:
            assert client.ask("anybody here?") == KEEP_ALIVE


def test_a_burst_that_overflows_the_backlog_is_told_of(serve):
    with open("/proc/sys/net/core/somaxconn") as file:
        backlog = int(file.read())
    if backlog > 8192:
        pytest.skip(f"net.core.somaxconn is {backlog}: too many connections for one process")
    with serve("--workers", "1") as server, contextlib.ExitStack() as stack:
        with Client(server) as client:
            assert client.ask("hello") == KEEP_ALIVE
        with server.asleep():
            for _ in range(backlog + 200):
                sock = stack.enter_context(socket.socket())
                sock.setblocking(False)
                sock.connect_ex(server.address)
        server.expect("overflow")
        with Client(server) as client:
            assert client.ask("hello") == KEEP_ALIVE
