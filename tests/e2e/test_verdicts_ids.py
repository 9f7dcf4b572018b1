"""Ids: taking over, coming back, keys, flapping, being forgotten."""

import pytest

from patience import Promptly, repeated_when_machine_slept, until
from serving import KEEP_ALIVE, Client
from verdicts import check_log, check_times, story


# Taking over

@pytest.mark.parametrize("framing", ["line", "raw"])
def test_a_newer_session_replaces_the_older(serve, framing):
    end = b"\n" if framing == "line" else b""
    with serve(framing=framing) as server, Client(server) as old, Client(server) as new:
        for client in (old, new):
            client.say(b"id pump-7" + end)
            assert client.hear(len(KEEP_ALIVE + end)) == KEEP_ALIVE + end
        assert old.hear_rest() == b"stop" + end
        server.end_of(old, reason="replaced", fault="client", id="pump-7")
        new.say(b"still here" + end)
        assert new.hear(len(KEEP_ALIVE + end)) == KEEP_ALIVE + end
        server.settle() if framing == "line" else None
        assert story(server, "pump-7") == ["alive"]


def test_twenty_take_overs_on_four_workers_without_a_flicker(serve):
    with serve("--workers", "4", "--rejoin", "0") as server:
        old = None
        for number in range(20):
            new = Client(server)
            assert new.ask("id pump-7") == KEEP_ALIVE
            if old:
                assert old.hear_rest() == b"stop\n"
                server.end_of(old, reason="replaced")
                old.close()
            old = new
        server.settle()
        assert story(server, "pump-7") == ["alive"]
        assert old.ask("stop") == b"stop"
        gone = server.expect("verdict", id="pump-7", state="gone", reason="stopped")
        assert gone["tag"] == server.tag_of(old) and gone["rejoined"] == 0
        old.close()


def test_the_one_who_was_replaced_cannot_speak_for_it_any_more(serve):
    with serve("--workers", "4", "--rejoin", "0") as server:
        for _ in range(10):
            old = Client(server)
            assert old.ask("id pump-7") == KEEP_ALIVE
            with server.asleep():
                # Both arrive while the server sleeps: in whichever order it hears them, one session is left at the end.
                new = Client(server)
                new.say("id pump-7\n")
                old.say("stop\n")
                old.half_close()
            assert new.hear_line() == KEEP_ALIVE
            assert old.hear_rest() == b"stop\n"
            server.end_of(old, reason=lambda reason: reason in ("stopped", "replaced"))
            assert new.ask("hello") == KEEP_ALIVE
            server.settle()
            assert story(server, "pump-7")[-1] == "alive"
            assert new.ask("stop") == b"stop"
            old.close()
            new.close()
        server.settle()
        check_log(server.numbered())


def test_a_take_over_while_it_is_late(serve):
    with serve() as server, Client(server) as old, Client(server) as new:
        assert old.ask("id pump-7 every=200ms grace=1d") == KEEP_ALIVE
        server.expect("verdict", id="pump-7", state="late")
        assert new.ask("id pump-7 every=1h") == KEEP_ALIVE
        assert old.hear_rest() == b"stop\n"
        server.settle()
        assert story(server, "pump-7") == ["alive", "late", "alive"]


def test_a_take_over_from_one_who_does_not_read(serve):
    with serve() as server:
        before = server.descriptors()
        with Client(server, receive_buffer=4096) as stuck, Client(server) as new:
            assert stuck.ask("id pump-7") == KEEP_ALIVE
            stuck.fill()
            assert new.ask("id pump-7") == KEEP_ALIVE
            server.end_of(stuck, reason="replaced")
            assert new.ask("hello") == KEEP_ALIVE
            stuck.close()
        server.until_free(before)


def test_saying_the_same_name_again_changes_nothing(serve):
    with serve() as server, Client(server) as client:
        for _ in range(20):
            assert client.ask("id pump-7") == KEEP_ALIVE
        assert client.ask("stop") == b"stop"
        server.end_of(client, messages=21)
        server.settle()
        assert story(server, "pump-7") == ["alive", "gone stopped"]


def test_duplicates_may_be_refused(serve):
    with serve("--duplicate", "refuse", "--workers", "3") as server, Client(server) as first:
        assert first.ask("id pump-7") == KEEP_ALIVE
        for _ in range(6):
            with Client(server) as second:
                second.say("id pump-7\n")
                assert second.hear_refusal() == b"error id: in use"
                server.end_of(second, reason="refused", fault="client")
        assert first.ask("hello") == KEEP_ALIVE
        server.settle()
        assert story(server, "pump-7") == ["alive"]
        assert first.ask("stop") == b"stop"
        server.expect("verdict", id="pump-7", state="gone", reason="stopped")
        with Client(server) as second:
            assert second.ask("id pump-7") == KEEP_ALIVE


def test_a_key_keeps_others_out(serve):
    with serve() as server, Client(server) as owner:
        assert owner.ask("id pump-7 key=s3cret") == KEEP_ALIVE
        for words in ["id pump-7 key=guess", "id pump-7", "id pump-7 key=s3cre", "id pump-7 key=s3crets"]:
            with Client(server) as thief:
                thief.say(words + "\n")
                assert thief.hear_refusal() == b"error id: wrong key"
                server.end_of(thief, reason="refused", fault="client")
        assert owner.ask("hello") == KEEP_ALIVE
        with Client(server) as owner_again:
            assert owner_again.ask("id pump-7 key=s3cret") == KEEP_ALIVE
            assert owner.hear_rest() == b"stop\n"
        assert not any("s3cret" in line for line in server.lines)


def test_a_key_holds_while_its_owner_is_away(serve):
    with serve() as server:
        with Client(server) as owner:
            assert owner.ask("id pump-7 key=s3cret") == KEEP_ALIVE
            assert owner.ask("stop") == b"stop"
            server.end_of(owner)
        with Client(server) as thief:
            thief.say("id pump-7 key=guess\n")
            assert thief.hear_refusal() == b"error id: wrong key"
        with Client(server) as owner:
            assert owner.ask("id pump-7 key=s3cret") == KEEP_ALIVE


# Coming back

@pytest.mark.parametrize("how", ["close", "reset"])
def test_coming_back_in_time_is_no_event(serve, how):
    with serve("--rejoin", "1h", "--workers", "4") as server:
        for _ in range(5):
            client = Client(server)
            assert client.ask("id pump-7") == KEEP_ALIVE
            getattr(client, how)()
            server.end_of(client)
        with Client(server) as client:
            assert client.ask("id pump-7") == KEEP_ALIVE
            server.settle()
            assert story(server, "pump-7") == ["alive"]
            assert client.ask("stop") == b"stop"
            assert server.expect("verdict", id="pump-7", state="gone")["rejoined"] == 5


def test_stop_in_the_time_of_rejoining_is_final(serve):
    with serve("--rejoin", "1h") as server:
        for round_ in range(3):
            with Client(server) as client:
                assert client.ask("id pump-7") == KEEP_ALIVE
                assert client.ask("stop") == b"stop"
                until(lambda: len(server.verdicts(id="pump-7", state="gone")) == round_ + 1, "it to be gone")
        assert story(server, "pump-7") == ["alive", "gone stopped"] * 3


def test_coming_back_too_late(serve):
    with serve("--rejoin", "200ms") as server:
        with Client(server) as client:
            assert client.ask("id pump-7") == KEEP_ALIVE
        server.expect("verdict", id="pump-7", state="gone", reason="closed")
        with Client(server) as client:
            assert client.ask("id pump-7") == KEEP_ALIVE
            server.settle()
            assert story(server, "pump-7") == ["alive", "gone closed", "alive"]


def test_an_anonymous_client_cannot_come_back(serve):
    with serve("--rejoin", "1h") as server:
        with Client(server) as client:
            assert client.ask("hello") == KEEP_ALIVE
        server.expect("verdict", tag=server.tag_of(client), state="gone", reason="closed")


def test_draining_ends_the_time_of_rejoining(serve):
    """One who may still rejoin is not called gone because the server goes; nor does it hold up the end."""
    with serve("--rejoin", "1h") as server:
        with Client(server) as client:
            assert client.ask("id pump-7") == KEEP_ALIVE
        server.end_of(client)
        server.stop()


# Flapping

def change(server, name):
    """Two changes: alive, and gone by stop."""
    with Client(server) as client:
        assert client.ask(f"id {name}") == KEEP_ALIVE
        assert client.ask("stop") == b"stop"
        assert client.hear_rest() == b""
    server.end_of(client)


def test_flapping(serve):
    with serve("--flap", "5", "--flap-window", "1h") as server:
        for _ in range(10):
            change(server, "pump-7")
            change(server, f"steady-{_}")
        server.settle()
        flapping = server.expect("flapping", id="pump-7")
        assert len(server.seen("flapping")) == 1
        verdicts = sorted(server.verdicts(id="pump-7"), key=lambda v: v["sequence"])
        assert [v["state"] for v in verdicts] == ["alive", "gone"] * 10
        announced = [v["announced"] for v in verdicts]
        assert announced == sorted(announced, reverse=True) and 5 <= sum(announced) <= 7
        for verdict in verdicts:
            assert verdict["announced"] == (verdict["sequence"] < flapping["sequence"])
        assert all(v["announced"] for v in server.verdicts() if v.get("id") != "pump-7")
        check_log(server.numbered())


def test_no_flapping_where_it_is_off(serve):
    with serve("--flap", "0", "--flap-window", "1h") as server:
        for _ in range(20):
            change(server, "pump-7")
        server.settle()
        assert server.seen("flapping") == []
        assert all(v["announced"] for v in server.verdicts())


@repeated_when_machine_slept
def test_steady_again(serve):
    with serve("--flap", "3", "--flap-window", "3s") as server:
        with Promptly(2.5, "three changes of state"):
            for _ in range(4):
                change(server, "pump-7")
        with Client(server) as client:
            assert client.ask("id pump-7 every=1h") == KEEP_ALIVE
            flapping = server.expect("flapping", id="pump-7")
            steady = server.expect("steady", id="pump-7")
            assert steady["sequence"] > flapping["sequence"]
            assert client.ask("stop") == b"stop"
            gone = server.wait_for(lambda e: e.get("state") == "gone" and e.get("id") == "pump-7"
                                   and e["sequence"] > steady["sequence"], "it to be gone")
            assert gone["announced"] is True


# Being forgotten

def test_forgotten_after_a_time(serve):
    with serve("--forget", "1s") as server:
        change(server, "pump-7")
        with Client(server) as stays:
            assert stays.ask("id stays every=1h") == KEEP_ALIVE
            gone = server.expect("verdict", id="pump-7", state="gone")
            forgotten = server.expect("forgotten", id="pump-7")
            assert forgotten["sequence"] > gone["sequence"]
            change(server, "pump-7")
            again = until(lambda: server.verdicts(id="pump-7", state="alive")[1:], "it to be known again")[0]
            assert again.get("new") is True  # nobody remembers it
            assert server.seen("forgotten", id="stays") == []


def test_the_oldest_gone_is_forgotten_first(serve):
    with serve("--max-known", "4") as server, Client(server) as stays:
        assert stays.ask("id stays every=1h") == KEEP_ALIVE
        for number in range(10):
            change(server, f"client-{number}")
        until(lambda: len(server.seen("forgotten")) >= 7, "seven to be forgotten")
        forgotten = [e["id"] for e in server.numbered() if e["event"] == "forgotten"]
        assert forgotten == [f"client-{number}" for number in range(7)]
        assert stays.ask("hello") == KEEP_ALIVE


def test_nobody_is_forgotten_who_is_there(serve):
    with serve("--max-known", "3") as server:
        clients = [Client(server) for _ in range(4)]
        for number, client in enumerate(clients[:3]):
            assert client.ask(f"id client-{number} every=1h") == KEEP_ALIVE
        clients[3].say("id one-too-many\n")
        assert clients[3].hear_refusal() == b"error id: too many names are known"
        server.end_of(clients[3], reason="refused")
        for client in clients[:3]:
            assert client.ask("hello") == KEEP_ALIVE
        assert clients[0].ask("stop") == b"stop"
        server.expect("verdict", id="client-0", state="gone")
        with Client(server) as client:
            assert client.ask("id one-more") == KEEP_ALIVE
        for client in clients:
            client.close()


def test_names_are_whole(serve):
    """Names that differ in one byte, or only in case, are different clients; all of them are told as they are."""
    names = ["pump-7", "pump-70", "Pump-7", "pump-7 ".strip() + "é", "x" * 128, "x" * 127 + "y", "pump=7"]
    with serve() as server:
        clients = [Client(server) for _ in names]
        for client, name in zip(clients, names):
            assert client.ask(f"id {name}") == KEEP_ALIVE
        for client, name in zip(clients, names):
            assert server.expect("verdict", id=name)["tag"] == server.tag_of(client)
            assert client.ask("hello") == KEEP_ALIVE
            check_times(server.expect("verdict", id=name))
            client.close()
