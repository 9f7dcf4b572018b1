"""How it ends; and that neither its console nor being stopped for seconds costs a client anything."""

import contextlib
import json
import os
import signal
import socket
import tempfile
import threading
import time

import pytest

from crowd import Crowd
from patience import PATIENCE, until
from serving import KEEP_ALIVE, Client

REPLY = KEEP_ALIVE + b"\n"


# Draining

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_says_stop_to_each_and_exits_0(serve, number):
    with serve() as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(server)) for _ in range(20)]
        for client in clients:
            assert client.ask("hello") == KEEP_ALIVE
        server.stop(number)
        for client in clients:
            assert client.hear_rest() == b"stop\n"
        server.expect("drain", clients=20)
        assert len(server.seen("end", reason="drained", fault="server")) == 20
        assert server.events[-1]["event"] in ("stopped", "bye")


def test_nobody_there(serve):
    with serve() as server:
        server.stop()


def test_one_who_never_spoke_gets_stop_too(serve):
    with serve() as server, Client(server) as client:
        server.tag_of(client)
        server.stop()
        assert client.hear_rest().rstrip(b"\n") == b"stop"


def test_stop_in_raw(serve):
    with serve(framing="raw") as server, Client(server) as client:
        client.say("hello")
        assert client.hear(len(KEEP_ALIVE)) == KEEP_ALIVE
        server.stop()
        assert client.hear_rest() == b"stop"


def test_what_has_arrived_is_answered_first(serve):
    with serve() as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(server)) for _ in range(20)]
        for client in clients:
            assert client.ask("hello") == KEEP_ALIVE
        with server.asleep():
            for client in clients:
                client.say("one\ntwo\nthree\n")
            server.send_signal(signal.SIGTERM)
        for client in clients:
            assert client.hear_rest() == REPLY * 3 + b"stop\n"
        assert server.wait() == 0


def test_a_newcomer_who_waits_at_the_door_is_not_left_hanging(serve):
    with serve() as server, Client(server) as client:
        assert client.ask("hello") == KEEP_ALIVE
        with server.asleep():
            late = Client(server)
            server.send_signal(signal.SIGTERM)
        with late:
            with contextlib.suppress(ConnectionResetError):
                assert late.hear_rest().rstrip(b"\n") in (b"stop", b"retry 5", b"")
        assert server.wait() == 0


def test_nobody_is_let_in_any_more(serve):
    with serve("--drain", "1h", "--send-timeout", "1d") as server, Client(server, receive_buffer=4096) as stuck:
        stuck.fill()
        server.send_signal(signal.SIGTERM)
        server.expect("drain")

        def is_refused():
            try:
                with Client(server) as newcomer:
                    newcomer.socket.settimeout(1)
                    return newcomer.hear_rest() != b"" or True
            except ConnectionError:
                return True
            except TimeoutError:
                return False

        until(is_refused, "newcomers to be refused")
        server.send_signal(signal.SIGTERM)
        server.wait()
        server.killed = True


def test_one_who_takes_nothing_is_waited_for_no_longer_than_drain(serve):
    with serve("--drain", "300ms") as server, Client(server, receive_buffer=4096) as stuck:
        stuck.fill()
        server.stop()
        server.expect("end", tag=server.tag_of(stuck))


def test_a_drain_of_no_time_says_stop_nevertheless(serve):
    with serve("--drain", "0s") as server:
        clients = [Client(server) for _ in range(30)]
        for client in clients:
            assert client.ask("hello") == KEEP_ALIVE
        server.send_signal(signal.SIGTERM)
        for client in clients:
            assert client.hear_rest() == b"stop\n"
            client.close()
        assert server.wait() == 0


def test_one_who_takes_his_time_is_waited_for(serve):
    with serve("--drain", "1h") as server, Client(server, receive_buffer=4096) as client:
        messages, part = client.fill()
        server.send_signal(signal.SIGTERM)
        server.expect("drain")
        heard = client.hear_rest()
        assert heard.endswith(b"stop\n")
        replies = heard[:-len(b"stop\n")]
        assert replies == REPLY * (len(replies) // len(REPLY))
        # Only what had arrived is answered: the rest of it was still in the client's own buffer, or on its way.
        assert 0 < len(replies) // len(REPLY) <= messages + 1
        assert server.wait() == 0


def test_a_second_signal_ends_it_at_once(serve):
    with serve("--drain", "1h", "--send-timeout", "1d") as server, Client(server, receive_buffer=4096) as stuck:
        stuck.fill()
        server.send_signal(signal.SIGTERM)
        server.expect("drain")
        server.send_signal(signal.SIGTERM)
        server.wait()
        server.killed = True


def test_clients_that_end_while_it_drains(serve):
    with serve() as server:
        clients = [Client(server) for _ in range(40)]
        for client in clients:
            assert client.ask("hello") == KEEP_ALIVE
        with server.asleep():
            for number, client in enumerate(clients):
                if number % 4 == 0:
                    client.reset()
                elif number % 4 == 1:
                    client.close()
                elif number % 4 == 2:
                    client.say("stop\n")
            server.send_signal(signal.SIGTERM)
        for number, client in enumerate(clients):
            if number % 4 >= 2:
                assert client.hear_rest() == b"stop\n"
            client.close()
        assert server.wait() == 0
        assert len(server.seen("end")) == 40


# Asleep

def test_stopped_for_seconds_while_clients_go_on(serve):
    with serve() as server, Crowd(server) as crowd:
        crowd.connect(50)
        crowd.beat(crowd.members, 0.1)
        crowd.pass_time(0.5)
        for _ in range(2):
            with server.asleep():
                crowd.pass_time(3)
            crowd.pass_time(0.3)
        crowd.still()
        crowd.until_answered()
        assert server.seen("end") == []
        crowd.stop_all()
        for member in crowd.members:
            tag = server.expect("connect", address=member.name)["tag"]
            server.expect("end", tag=tag, reason="stopped", messages=member.said)
        server.expect("stall", lasted_ms=lambda ms: ms >= 1500)


def test_newcomers_while_it_is_stopped(serve):
    with serve() as server, contextlib.ExitStack() as stack:
        with server.asleep():
            clients = [stack.enter_context(Client(server)) for _ in range(50)]
            for client in clients:
                client.say("hello\nid a-" + client.name + "\n")
            gone = [Client(server) for _ in range(10)]
            for client in gone:
                client.say("stop\n")
                client.close()
        for client in clients:
            assert client.hear(2 * len(REPLY)) == REPLY * 2
        for client in gone:
            server.end_of(client, reason="stopped")


# The console

def read_all(fd):
    said = []
    while piece := os.read(fd, 1 << 16):
        said.append(piece)
    return b"".join(said)


def test_a_console_that_is_never_read_slows_nobody(serve):
    reading, writing = os.pipe()
    try:
        with tempfile.TemporaryDirectory() as place, \
                serve("--show-messages", listen=(f"unix:{place}/s",), stdout=writing) as server:
            os.close(writing)
            writing = -1
            until(lambda: can_connect(f"{place}/s"), "the server")
            with Client(server, f"{place}/s") as client:
                for _ in range(40):
                    client.say("a message that fills the console\n" * 1000)
                    assert client.hear(1000 * len(REPLY)) == REPLY * 1000
                assert client.ask("stop") == b"stop"
            # Somebody reads at last: what was dropped is counted, and after it all is told again.
            said = []
            reader = threading.Thread(target=lambda: said.append(read_all(reading)), daemon=True)
            reader.start()
            with Client(server, f"{place}/s") as client:
                assert client.ask("hello again") == KEEP_ALIVE
            server.stop()
            reader.join(PATIENCE)
            events = [json.loads(line) for line in said[0].splitlines()]
            shown = sum(1 for event in events if event["event"] == "message")
            dropped = sum(event["count"] for event in events if event["event"] == "dropped")
            assert dropped > 0 and shown > 0
            assert shown + dropped >= 40000
    finally:
        os.close(reading)
        if writing >= 0:
            os.close(writing)


def can_connect(path):
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(path)
            return True
        except OSError:
            return False


def test_a_console_that_goes_away(serve):
    reading, writing = os.pipe()
    try:
        with tempfile.TemporaryDirectory() as place, \
                serve("--show-messages", listen=(f"unix:{place}/s",), stdout=writing) as server:
            os.close(writing)
            writing = -1
            until(lambda: can_connect(f"{place}/s"), "the server")
            os.close(reading)
            reading = -1
            for _ in range(20):
                with Client(server, f"{place}/s") as client:
                    assert client.ask("hello") == KEEP_ALIVE
                    assert client.ask("stop") == b"stop"
    finally:
        for fd in (reading, writing):
            if fd >= 0:
                os.close(fd)


def test_without_a_console(serve):
    with tempfile.TemporaryDirectory() as place, open(os.devnull, "w") as null, \
            serve(listen=(f"unix:{place}/s",), stdout=null,
                  prefix=("bash", "-c", 'exec "$0" "$@" >&-')) as server:
        until(lambda: can_connect(f"{place}/s"), "the server")
        for _ in range(20):
            with Client(server, f"{place}/s") as client:
                assert client.ask("hello") == KEEP_ALIVE
                assert client.ask("stop") == b"stop"


def test_closed_standard_descriptors_are_never_a_clients(serve):
    with tempfile.TemporaryDirectory() as place, open(os.devnull, "w") as null, \
            serve(listen=(f"unix:{place}/s",), stdout=null,
                  prefix=("bash", "-c", 'exec "$0" "$@" <&- >&- 2>&-')) as server:
        until(lambda: can_connect(f"{place}/s"), "the server")
        with Client(server, f"{place}/s") as client:
            assert client.ask("hello") == KEEP_ALIVE
            for number in range(3):
                assert os.readlink(f"/proc/{server.pid}/fd/{number}") == os.devnull


def test_a_full_disk(serve):
    with tempfile.TemporaryDirectory() as place, open("/dev/full", "w") as full, \
            serve(listen=(f"unix:{place}/s",), stdout=full) as server:
        until(lambda: can_connect(f"{place}/s"), "the server")
        for _ in range(20):
            with Client(server, f"{place}/s") as client:
                assert client.ask("hello") == KEEP_ALIVE


def test_nothing_is_dropped_where_the_console_is_read(serve):
    with serve("--show-messages") as server, Client(server) as client:
        for number in range(500):
            assert client.ask(f"message {number}") == KEEP_ALIVE
        assert client.ask("stop") == b"stop"
        server.end_of(client, messages=501)
        if not server.seen("dropped"):
            assert [e["text"] for e in server.seen("message")] == [f"message {n}" for n in range(500)] + ["stop"]


def test_an_idle_server_uses_no_time(serve):
    with serve() as server, Client(server) as client:
        assert client.ask("hello") == KEEP_ALIVE
        before = server.cpu_seconds()
        time.sleep(1)
        assert server.cpu_seconds() - before < 0.2
        assert client.ask("hello") == KEEP_ALIVE


def test_sigpipe_is_ignored(serve):
    with serve() as server, Client(server) as client:
        server.send_signal(signal.SIGPIPE)
        assert client.ask("still here") == KEEP_ALIVE
