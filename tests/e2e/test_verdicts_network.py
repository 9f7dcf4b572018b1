"""Why it went silent: a program that hangs on a host that lives, or a host that cannot be reached.

These need hosts of their own (network namespaces), which only root can make.
"""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from network import Network
from patience import until
from serving import KEEP_ALIVE, Client
from verdicts import check_log, check_silence, story

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make hosts of its own")

CLIENT = """
import socket, sys, time
client = socket.create_connection((sys.argv[1], int(sys.argv[2])), 60)
client.sendall(b"id " + sys.argv[3].encode() + b" every=1s grace=1s\\n")
while client.recv(1000):
    print("alive", flush=True)
    time.sleep(0.2)
    client.sendall(b"beat\\n")
"""


@contextlib.contextmanager
def beating_process(server, name):
    """A client as a process of its own, which beats five times a second."""
    host, port = server.address
    process = subprocess.Popen([sys.executable, "-c", CLIENT, host, str(port), name], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"alive\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_stopped_process_hangs(serve):
    with serve() as server, beating_process(server, "pump-7") as process:
        process.send_signal(signal.SIGSTOP)
        gone = server.expect("verdict", id="pump-7", state="gone")
        assert gone["reason"] == "hung" and gone["fault"] == "client"
        check_silence(gone, 2)


def test_a_killed_process_is_closed_or_reset_and_never_hung(serve):
    with serve("--rejoin", "100ms") as server, beating_process(server, "pump-7") as process:
        process.kill()
        gone = server.expect("verdict", id="pump-7", state="gone")
        assert gone["reason"] in ("closed", "reset")


def test_twenty_of_twenty_told_apart(serve):
    """Ten that hang beside ten whose cable is pulled, silent together."""
    with Network(["near", "far"]) as network, \
            serve("--suspect-share", "0", listen=("0.0.0.0:0",), prefix=network.inside) as server, \
            contextlib.ExitStack() as stack:
        port = server.address[1]
        before = server.descriptors()
        truth = {}
        clients = []
        for number in range(10):
            for host, reason in (("near", "hung"), ("far", "unreachable")):
                with network.at(host):
                    client = stack.enter_context(Client(server, (network.address[host], port)))
                name = f"{host}-{number}"
                assert client.ask(f"id {name} every=1s grace=2s") == KEEP_ALIVE
                truth[name] = reason
                clients.append(client)
        network.pull("far")
        until(lambda: len(server.verdicts(state="gone")) == 20, "all to be gone")
        found = {v["id"]: v["reason"] for v in server.verdicts(state="gone")}
        assert found == truth
        for verdict in server.verdicts(state="gone"):
            assert verdict["fault"] == {"hung": "client", "unreachable": "network"}[verdict["reason"]]
            check_silence(verdict, 3)
        server.until_free(before)
        check_log(server.numbered())


def test_a_host_that_is_gone_while_we_send_to_it(serve):
    """Its messages had arrived, the replies to them never did."""
    with Network(["far"]) as network, \
            serve("--suspect-share", "0", listen=("0.0.0.0:0",), prefix=network.inside) as server, \
            contextlib.ExitStack() as stack:
        before = server.descriptors()
        clients = []
        for number in range(5):
            with network.at("far"):
                client = stack.enter_context(Client(server, (network.address["far"], server.address[1])))
            assert client.ask(f"id far-{number} every=1s grace=2s") == KEEP_ALIVE
            clients.append(client)
        with server.asleep():
            for client in clients:
                client.say("the last words\n" * 100)
            network.pull("far")
        for number in range(5):
            gone = server.expect("verdict", id=f"far-{number}", state="gone")
            assert gone["reason"] == "unreachable" and gone["fault"] == "network", gone
            check_silence(gone, 3)
        server.until_free(before)


def test_one_with_a_full_pipe_whose_host_is_gone(serve):
    with Network(["far"]) as network, \
            serve("--suspect-share", "0", "--send-timeout", "3s", listen=("0.0.0.0:0",),
                  prefix=network.inside) as server:
        before = server.descriptors()
        with network.at("far"):
            client = Client(server, (network.address["far"], server.address[1]), receive_buffer=4096)
        with client:
            assert client.ask("id far every=1s grace=1s") == KEEP_ALIVE
            client.fill()
            network.pull("far")
            gone = server.expect("verdict", id="far", state="gone")
            assert gone["reason"] == "unreachable", gone
            server.until_free(before)


def test_an_anonymous_client_whose_host_is_gone(serve):
    with Network(["far"]) as network, \
            serve("--every", "1s", "--grace", "2s", listen=("0.0.0.0:0",), prefix=network.inside) as server:
        with network.at("far"):
            client = Client(server, (network.address["far"], server.address[1]))
        with client:
            assert client.ask("hello") == KEEP_ALIVE
            network.pull("far")
            server.end_of(client, reason="unreachable", fault="network")


def test_a_cable_that_is_plugged_in_again_in_time(serve):
    with Network(["far"]) as network, \
            serve(listen=("0.0.0.0:0",), prefix=network.inside) as server:
        with network.at("far"):
            client = Client(server, (network.address["far"], server.address[1]))
        with client:
            assert client.ask("id far every=500ms grace=1d") == KEEP_ALIVE
            network.pull("far")
            late = server.expect("verdict", id="far", state="late")
            network.plug("far")
            client.say("back again\n")
            assert client.hear_line() == KEEP_ALIVE
            server.wait_for(lambda e: e.get("id") == "far" and e.get("state") == "alive"
                            and e["sequence"] > late["sequence"], "it to be alive again")
            assert client.ask("stop") == b"stop"
            server.end_of(client, reason="stopped")
        assert story(server, "far")[-1] == "gone stopped"


def test_a_whole_site_whose_network_is_gone_and_comes_back(serve):
    """Thirty of sixty, all behind one cable: one event names the group, and nobody is called gone."""
    with Network(["near", "far"]) as network, \
            serve("--suspect-hold", "1h", listen=("0.0.0.0:0",), prefix=network.inside) as server, \
            contextlib.ExitStack() as stack:
        clients = {}
        for number in range(30):
            for host, words in (("near", "every=1d grace=1d"), ("far", "every=1s grace=5s")):
                with network.at(host):
                    client = stack.enter_context(Client(server, (network.address[host], server.address[1])))
                assert client.ask(f"id {host}-{number} group={host} {words}") == KEEP_ALIVE
                clients[f"{host}-{number}"] = client
        network.pull("far")
        event = server.expect("partition-suspected")
        assert event["group"] == "far"
        until(lambda: len(server.verdicts(state="suspect")) == 30, "all of the site to be suspect")
        network.plug("far")
        for name, client in clients.items():
            assert client.ask(f"id {name} every=1d grace=1d") == KEEP_ALIVE
        until(lambda: len(server.verdicts(state="alive", **{"from": "suspect"})) == 30, "all of it to be alive again")
        assert server.verdicts(state="gone") == []
        assert len(server.seen("partition-suspected")) == 1
