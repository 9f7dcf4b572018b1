"""One client and its rhythm: alive, late, back, gone; and never too early."""

import contextlib
import socket

import pytest

from crowd import Crowd, Rhythm
from patience import repeated_when_machine_slept, until
from serving import KEEP_ALIVE, Client, Server
from verdicts import check_log, check_silence, check_times, seconds, story


def test_a_new_client_is_alive(serve):
    with serve("--node", "north") as server, Client(server) as client:
        assert client.ask("id pump-7 group=site7") == KEEP_ALIVE
        verdict = server.expect("verdict", id="pump-7")
        assert verdict["state"] == "alive" and verdict["new"] is True and verdict["tag"] == server.tag_of(client)
        assert verdict["node"] == "north" and verdict["epoch"] == server.ready["epoch"]
        assert verdict["announced"] is True and verdict["rejoined"] == 0
        assert verdict["group"] == "site7"
        check_times(verdict)


def test_stop_is_final_at_once(serve):
    with serve("--rejoin", "1h") as server, Client(server) as client:
        assert client.ask("id pump-7") == KEEP_ALIVE
        assert client.ask("stop") == b"stop"
        verdict = server.expect("verdict", id="pump-7", state="gone")
        assert verdict["reason"] == "stopped" and verdict["fault"] == "client" and verdict["from"] == "alive"
        check_times(verdict)


def test_late_then_back(serve):
    with serve("--max-grace", "7d") as server, Client(server) as client:
        assert client.ask("id pump-7 every=200ms grace=1d") == KEEP_ALIVE
        for _ in range(3):
            count = len(server.verdicts(id="pump-7", state="late"))
            late = until(lambda: server.verdicts(id="pump-7", state="late")[count:], "the verdict late")[0]
            assert late["from"] == "alive" and "reason" not in late
            check_silence(late, 0.2)
            assert client.ask("here I am") == KEEP_ALIVE
            back = until(lambda: [v for v in server.verdicts(id="pump-7", state="alive")
                                  if v["sequence"] > late["sequence"]], "the verdict alive")[0]
            assert back["from"] == "late" and back["sequence"] > late["sequence"]
            assert seconds(back["heard"]) >= seconds(late["happened"])


def test_late_then_gone(serve):
    with serve() as server:
        before = server.descriptors()
        with Client(server) as client:
            assert client.ask("id pump-7 every=200ms grace=300ms") == KEEP_ALIVE
            late = server.expect("verdict", id="pump-7", state="late")
            gone = server.expect("verdict", id="pump-7", state="gone")
            check_silence(late, 0.2)
            check_silence(gone, 0.5)
            assert late["from"] == "alive" and gone["from"] == "late"
            assert gone["reason"] == "hung" and gone["fault"] == "client"  # this machine answers for it
            server.end_of(client, reason="hung", fault="client", id="pump-7")
            server.until_free(before)
            with contextlib.suppress(ConnectionResetError):
                assert client.hear_rest() in (b"", b"stop\n")
        assert story(server, "pump-7") == ["alive", "late", "gone hung"]


def test_gone_then_back(serve):
    with serve() as server:
        with Client(server) as client:
            assert client.ask("id pump-7 every=200ms grace=200ms") == KEEP_ALIVE
            server.expect("verdict", id="pump-7", state="gone")
        with Client(server) as client:
            assert client.ask("id pump-7 every=1h") == KEEP_ALIVE
            back = until(lambda: server.verdicts(id="pump-7", state="alive")[1:], "it to be alive again")[0]
            assert back["from"] == "gone" and not back.get("new")


def test_the_defaults_watch_a_client_without_a_name(serve):
    with serve("--every", "200ms", "--grace", "300ms") as server, Client(server) as client:
        assert client.ask("hello") == KEEP_ALIVE
        tag = server.tag_of(client)
        gone = server.expect("verdict", tag=tag, state="gone")
        assert "id" not in gone and gone["reason"] == "hung"
        check_silence(server.expect("verdict", tag=tag, state="late"), 0.2)
        check_silence(gone, 0.5)
        server.end_of(client, reason="hung")


def test_the_defaults_watch_one_who_never_spoke(serve):
    with serve("--every", "200ms", "--grace", "200ms") as server, Client(server) as client:
        server.end_of(client, reason="hung", messages=0)


def test_a_rhythm_may_be_changed(serve):
    with serve("--every", "200ms", "--grace", "200ms") as server, Client(server) as client:
        assert client.ask("id pump-7 every=1h") == KEEP_ALIVE
        with Client(server) as witness:  # watched by the short rhythm: when it is gone, so much time has passed
            server.end_of(witness, reason="hung")
        assert client.ask("id pump-7 every=200ms grace=200ms") == KEEP_ALIVE
        server.expect("id", id="pump-7", every_ms=200)
        server.expect("verdict", id="pump-7", state="gone")
        assert story(server, "pump-7")[-2:] == ["late", "gone hung"]


@repeated_when_machine_slept
def test_a_healthy_client_is_left_alone(serve):
    with serve() as server, Crowd(server) as crowd:
        crowd.connect(20)
        for member in crowd.members:
            crowd.say([member], f"id healthy-{member.number} every=600ms grace=600ms\n")
        crowd.until_answered()
        with Rhythm(crowd, 0.5):
            crowd.beat(crowd.members, 0.1)
            crowd.pass_time(3)
            for event in server.settle():
                assert event.get("state") == "alive" and event.get("new"), event


def test_part_of_a_line_is_a_sign_of_life(serve):
    """Bytes that are no whole message yet: its host and its program live, so it is not silent."""
    with serve(framing="line") as server, Client(server) as client:
        assert client.ask("id pump-7 every=300ms grace=1d") == KEEP_ALIVE
        late = server.expect("verdict", id="pump-7", state="late")
        client.say("a line that has no end yet")
        server.wait_for(lambda e: e.get("id") == "pump-7" and e.get("state") == "alive"
                        and e["sequence"] > late["sequence"], "it to be alive again")


def test_a_second_name_gives_up_the_first(serve):
    with serve() as server, Client(server) as client:
        assert client.ask("id first") == KEEP_ALIVE
        assert client.ask("id second") == KEEP_ALIVE
        server.expect("verdict", id="second", state="alive")
        server.expect("verdict", id="first", state="gone", reason="stopped")
        assert client.ask("stop") == b"stop"
        server.end_of(client, id="second")
        server.settle()
        assert story(server, "first") == ["alive", "gone stopped"]
        assert story(server, "second") == ["alive", "gone stopped"]


def test_too_many_names(serve):
    with serve() as server, Client(server) as client:
        for number in range(8):
            assert client.ask(f"id name-{number}") == KEEP_ALIVE
        client.say("id name-8\n")
        assert client.hear_refusal() == b"error id: too many names for one connection"
        server.end_of(client, reason="refused", fault="client")


def test_hundred_silent_ones_none_judged_early(serve):
    with serve("--suspect-share", "0") as server, Crowd(server) as crowd:
        crowd.connect(100)
        limits = {}
        for member in crowd.members:
            every, grace = 200 + 7 * member.number, 100 + 3 * member.number
            limits[f"silent-{member.number}"] = (every / 1000, (every + grace) / 1000)
            crowd.say([member], f"id silent-{member.number} every={every}ms grace={grace}ms\n")
        crowd.until(lambda: len(server.verdicts(state="gone", id=lambda name: name)) == 100, "all to be gone")
        for verdict in server.verdicts():
            if verdict["state"] != "alive" and verdict.get("id"):
                check_silence(verdict, limits[verdict["id"]][verdict["state"] == "gone"])
        assert {v["reason"] for v in server.verdicts(state="gone")} == {"hung"}
        for name in limits:
            assert story(server, name) == ["alive", "late", "gone hung"]
        server.settle()
        check_log(server.numbered())


def test_sequences_have_no_gap(serve):
    with serve("--rejoin", "0", "--workers", "4") as server:
        for number in range(60):
            client = Client(server)
            assert client.ask(f"id client-{number % 7}") == KEEP_ALIVE
            if number % 3 == 0:
                assert client.ask("stop") == b"stop"
                client.close()
            elif number % 3 == 1:
                client.reset()
            else:
                client.close()
        server.settle()
        server.stop()
        states = check_log(server.numbered())
        assert set(states.values()) == {"gone"}


@pytest.mark.parametrize("how, reason, fault", [
    ("close", "closed", "client"), ("reset", "reset", "client or network"),
])
def test_ends_without_stop_are_gone_after_rejoin(serve, how, reason, fault):
    with serve("--rejoin", "300ms") as server:
        client = Client(server)
        assert client.ask("id pump-7") == KEEP_ALIVE
        getattr(client, how)()
        gone = server.expect("verdict", id="pump-7", state="gone")
        assert gone["reason"] == reason and gone["fault"] == fault and gone["from"] == "alive"
        check_times(gone)
        # It ended when it ended; it was judged when the time for coming back had passed.
        assert seconds(gone["judged"]) - seconds(gone["happened"]) >= 0.298
        server.end_of(client, reason=reason, fault=fault)


@pytest.mark.parametrize("line, reason", [
    ("id pump-7 colour=red", "refused"), ("x" * 70000, "malformed"),
])
def test_ends_by_the_server_are_final_at_once(serve, line, reason):
    with serve("--rejoin", "1h") as server, Client(server) as client:
        assert client.ask("id pump-7") == KEEP_ALIVE
        client.say(line + "\n")
        assert client.hear_refusal().startswith(b"error ")
        server.expect("verdict", id="pump-7", state="gone", reason=reason, fault="client")


def test_draining_is_the_servers_fault(serve):
    with serve() as server, Client(server) as client:
        assert client.ask("id pump-7") == KEEP_ALIVE
        server.stop()
        server.expect("verdict", id="pump-7", state="gone", reason="drained", fault="server")
        check_log(server.numbered())


def test_slow_is_gone(serve):
    with serve("--send-timeout", "500ms", "--rejoin", "1h") as server, Client(server, receive_buffer=4096) as client:
        assert client.ask("id pump-7 every=1d") == KEEP_ALIVE
        client.fill()
        server.expect("verdict", id="pump-7", state="gone", reason="slow", fault="client")


def test_a_unix_socket_is_watched_too(serve, tmp_path):
    path = f"{tmp_path}/s"
    with serve(listen=(f"unix:{path}",)) as server, Client(server, path) as client:
        assert client.ask("id pump-7 every=200ms grace=200ms") == KEEP_ALIVE
        server.expect("verdict", id="pump-7", state="gone", reason="hung")


def test_one_who_hung_with_replies_unread_is_found(serve):
    """It filled its pipe and fell silent, as a stopped process does, with words of its own unread by the server."""
    with serve("--send-timeout", "2s") as server:
        before = server.descriptors()
        with Client(server, receive_buffer=4096) as client:
            assert client.ask("id pump-7 every=500ms grace=500ms") == KEEP_ALIVE
            client.fill()
            server.expect("verdict", id="pump-7", state="gone")
            server.until_free(before)


def test_verdicts_in_text(engine):
    with Server("--rejoin", "0", engine=engine, log_format="text") as server:
        with Client(server) as client:
            assert client.ask("id pump-7 every=200ms grace=300ms") == KEEP_ALIVE
            server.wait_for(lambda e: "pump-7" in e["text"] and "late" in e["text"], "a line that it is late")
            server.wait_for(lambda e: "pump-7" in e["text"] and "gone" in e["text"] and "hung" in e["text"],
                            "a line that it is gone")
        with Client(server) as client:
            seen = len(server.lines)
            assert client.ask("id pump-7 every=1h") == KEEP_ALIVE
            until(lambda: [line for line in server.lines[seen:] if "pump-7" in line and "alive" in line],
                  "a line that it is alive again")


def test_a_client_of_another_protocol_is_no_trouble(serve):
    """A browser, say."""
    with serve() as server, socket.create_connection(server.address, 60) as browser:
        browser.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        heard = b""
        while heard.count(b"keep alive\n") < 3:
            piece = browser.recv(1000)
            assert piece
            heard += piece
