"""Many at once: the server that slept, the network that went, and never a false verdict."""

import contextlib

import pytest

from crowd import Crowd, Rhythm
from patience import Promptly, repeated_when_machine_slept, until
from serving import KEEP_ALIVE, Client
from verdicts import check_log, check_silence, story


def name_all(crowd, members, words):
    for member in members:
        crowd.say([member], f"id client-{member.number} {words}\n")
    crowd.until_answered(members)


# The server slept

@repeated_when_machine_slept
def test_a_stall_of_five_seconds_is_held_against_nobody(serve):
    """Two hundred whose limit is two seconds, beating all the while: not one of them is even late."""
    with serve() as server, Crowd(server) as crowd:
        crowd.connect(200)
        name_all(crowd, crowd.members, "every=1s grace=1s")
        with Rhythm(crowd, 0.9):
            crowd.beat(crowd.members, 0.25)
            crowd.pass_time(1)
            with server.asleep():
                crowd.pass_time(5)
            # All that was said meanwhile is answered, and two limits more pass.
            crowd.pass_time(4)
            crowd.until(lambda: crowd.answered >= crowd.said - 400, "the replies")
            for event in server.settle():
                assert event.get("state") == "alive" and event.get("new"), event
        assert server.seen("end", reason="hung") == []
        crowd.still()
        crowd.stop_all()
        server.expect("stall", lasted_ms=lambda ms: ms >= 3500)


@repeated_when_machine_slept
def test_a_machine_that_was_suspended_whole(serve):
    """Nobody could say anything while it slept, so nothing waits to be heard afterwards; and nobody is judged for it."""
    with serve() as server, Crowd(server) as crowd:
        crowd.connect(50)
        name_all(crowd, crowd.members, "every=3s grace=500ms")
        with contextlib.ExitStack() as stack:
            with Promptly(1, "the last beats before the sleep"):
                crowd.say(crowd.members, "good night\n")
                crowd.until_answered()
                stack.enter_context(server.asleep())
            crowd.pass_time(5)
            with Promptly(1, "the first beats after it"):
                stack.close()
                # It has looked round before anybody spoke: it saw that it had slept, or called somebody silent.
                server.wait_for(lambda e: e.get("lasted_ms", 0) >= 3500 or e.get("state") in ("late", "suspect", "gone"),
                                "a sign that it woke")
                crowd.say(crowd.members, "good morning\n")
            crowd.until_answered()
        for event in server.settle():
            assert event.get("state") == "alive" and event.get("new"), event


@repeated_when_machine_slept
def test_the_silent_are_found_after_a_stall_and_the_others_are_not(serve):
    with serve("--suspect-share", "0") as server, Crowd(server) as crowd:
        crowd.connect(60)
        name_all(crowd, crowd.members, "every=1s grace=1s")
        healthy, silent = crowd.members[:50], crowd.members[50:]
        with Rhythm(crowd, 0.9):
            crowd.beat(healthy, 0.25)
            with server.asleep():
                crowd.pass_time(3)
            crowd.until(lambda: len(server.verdicts(state="gone")) >= 10, "the silent to be gone")
            server.settle()
            names = {f"client-{member.number}" for member in silent}
            for verdict in server.verdicts():
                if verdict["state"] != "alive" and not verdict.get("id", "").startswith("marker-"):
                    assert verdict.get("id") in names, verdict
                    check_silence(verdict, 2 if verdict["state"] == "gone" else 1)


@repeated_when_machine_slept
def test_stalls_one_after_the_other(serve):
    with serve() as server, Crowd(server) as crowd:
        crowd.connect(50)
        name_all(crowd, crowd.members, "every=800ms grace=700ms")
        with Rhythm(crowd, 0.7):
            crowd.beat(crowd.members, 0.2)
            for _ in range(6):
                with server.asleep():
                    crowd.pass_time(0.7)
                crowd.pass_time(0.05)
            crowd.pass_time(1)
            for event in server.settle():
                assert event.get("state") == "alive" and event.get("new"), event


def test_coming_back_while_the_server_sleeps(serve):
    """The old connection ended, the new one waits at the door: heard before anyone is judged."""
    with serve("--rejoin", "1s", "--workers", "3") as server:
        clients = [Client(server) for _ in range(20)]
        for number, client in enumerate(clients):
            assert client.ask(f"id client-{number} every=1h") == KEEP_ALIVE
        with server.asleep():
            for number, client in enumerate(clients):
                client.close()
            again = [Client(server) for _ in clients]
            for number, client in enumerate(again):
                client.say(f"id client-{number} every=1h\n")
            # Longer than --rejoin, had it counted.
            with Crowd(server) as nobody:
                nobody.pass_time(1.5)
        for client in again:
            assert client.hear_line() == KEEP_ALIVE
        server.settle()
        for number in range(20):
            assert story(server, f"client-{number}") == ["alive"]
        for client in again:
            client.close()


# The network went

def fall_silent(crowd, silent):
    """All of these are heard for the last time, at once."""
    with Promptly(1.0, "the last beats"):
        crowd.say(silent, "the last beat\n")
        crowd.until_answered(silent)


@pytest.mark.parametrize("group", [None, "site7"])
@repeated_when_machine_slept
def test_mass_silence_is_one_event_and_no_verdict(serve, group):
    with serve("--suspect-hold", "1h") as server, Crowd(server) as crowd:
        crowd.connect(100)
        healthy, silent = crowd.members[:50], crowd.members[50:]
        name_all(crowd, healthy, "every=1d grace=1d group=site1")
        name_all(crowd, silent, "every=500ms grace=3s" + (f" group={group}" if group else ""))
        fall_silent(crowd, silent)
        event = server.expect("partition-suspected")
        assert 20 <= event["clients"] <= 100
        assert event["group"] == (group or "")
        crowd.until(lambda: len(server.verdicts(state="suspect")) == 50, "all of them to be suspect")

        name_all(crowd, silent, "every=1d grace=1d")  # heard again, and from now on in no hurry
        crowd.until(lambda: len(server.verdicts(state="alive", **{"from": "suspect"})) == 50, "all to be alive again")
        for event in server.settle():
            assert event.get("state") != "gone", event
        assert len(server.seen("partition-suspected")) == 1
        for member in silent:
            assert story(server, f"client-{member.number}")[-2:] == ["suspect", "alive"]
        for member in healthy:
            assert story(server, f"client-{member.number}") == ["alive"]
        crowd.stop_all()


@repeated_when_machine_slept
def test_suspects_who_are_not_heard_again_are_gone_after_the_hold(serve):
    with serve("--suspect-hold", "2s") as server, Crowd(server) as crowd:
        crowd.connect(40)
        name_all(crowd, crowd.members, "every=500ms grace=2s")
        fall_silent(crowd, crowd.members)
        crowd.until(lambda: len(server.verdicts(state="gone")) == 40, "all to be gone")
        assert len(server.seen("partition-suspected")) == 1
        for member in crowd.members:
            gone = server.expect("verdict", id=f"client-{member.number}", state="gone")
            assert gone["from"] == "suspect" and gone["reason"] == "hung"
            check_silence(gone, 2.5 + 2)
            assert story(server, f"client-{member.number}") == ["alive", "late", "suspect", "gone hung"]


@repeated_when_machine_slept
def test_too_few_are_no_partition(serve):
    with serve() as server, Crowd(server) as crowd:
        crowd.connect(15)
        name_all(crowd, crowd.members, "every=500ms grace=1s")
        fall_silent(crowd, crowd.members)
        crowd.until(lambda: len(server.verdicts(state="gone")) == 15, "all to be gone")
        assert server.seen("partition-suspected") == [] and server.verdicts(state="suspect") == []


@repeated_when_machine_slept
def test_too_small_a_share_is_no_partition(serve):
    with serve("--suspect-share", "50") as server, Crowd(server) as crowd:
        crowd.connect(100)
        healthy, silent = crowd.members[:70], crowd.members[70:]
        name_all(crowd, healthy, "every=1d grace=1d")
        name_all(crowd, silent, "every=500ms grace=1s")
        fall_silent(crowd, silent)
        crowd.until(lambda: len(server.verdicts(state="gone")) == 30, "the silent to be gone")
        assert server.seen("partition-suspected") == [] and server.verdicts(state="suspect") == []


@repeated_when_machine_slept
def test_nobody_is_suspect_where_it_is_off(serve):
    with serve("--suspect-share", "0") as server, Crowd(server) as crowd:
        crowd.connect(40)
        name_all(crowd, crowd.members, "every=500ms grace=500ms")
        fall_silent(crowd, crowd.members)
        crowd.until(lambda: len(server.verdicts(state="gone")) == 40, "all to be gone")
        assert server.seen("partition-suspected") == [] and server.verdicts(state="suspect") == []


def test_connections_that_end_are_no_silence(serve):
    """Forty that close at once closed: that is no partition, whatever the share."""
    with serve("--rejoin", "100ms") as server, Crowd(server) as crowd:
        crowd.connect(40)
        name_all(crowd, crowd.members, "every=1h")
        crowd.close(crowd.members[:20])
        for member in crowd.members[20:]:
            crowd.reset(member)
        until(lambda: len(server.verdicts(state="gone")) == 40, "all to be gone")
        assert server.seen("partition-suspected") == []
        assert {v["reason"] for v in server.verdicts(state="gone")} == {"closed", "reset"}
        server.settle()
        check_log(server.numbered())
