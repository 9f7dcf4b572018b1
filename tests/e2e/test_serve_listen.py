"""Where it listens, and what it says when it cannot."""

import os
import socket
import stat
import subprocess
import tempfile

import pytest

from patience import PATIENCE, until
from serving import KEEP_ALIVE, Client, Server, address_of, binary, run


@pytest.fixture
def place():
    with tempfile.TemporaryDirectory() as path:
        yield path


def only_complaint(done, status=1):
    """One clear line on standard error, none elsewhere; and it says what."""
    assert done.returncode == status, done
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("lifeline: "), done.stderr
    assert "ready" not in done.stdout and "listening on" not in done.stdout
    return lines[0]


def talk(server, address):
    with Client(server, address) as client:
        assert client.ask("hello") == KEEP_ALIVE
        assert client.ask("stop") == b"stop"
        assert client.hear_rest() == b""


def test_a_free_port_is_picked_and_told(serve):
    with serve() as server:
        host, port = server.address
        assert host == "127.0.0.1" and port > 0
        assert server.ready["pid"] == server.pid
        talk(server, server.address)


def test_ready_says_what_it_is(serve, engine):
    with serve("--node", "north") as server:
        assert server.ready["engine"] == engine
        assert server.ready["node"] == "north"
        assert server.ready["workers"] >= 1
        assert server.ready["epoch"] > 0


def test_the_best_engine_is_taken_and_named():
    with Server() as server:
        assert server.ready["engine"] in ("uring", "epoll", "threads")
        talk(server, server.address)


def test_workers(serve, engine):
    with serve("--workers", "3") as server:
        assert engine == "threads" or server.ready["workers"] == 3
        for _ in range(12):
            talk(server, server.address)


def test_ipv4_and_ipv6_at_one_port(serve):
    with serve(listen=("[::]:0",)) as server:
        port = server.address[1]
        talk(server, ("127.0.0.1", port))
        talk(server, ("::1", port))
        server.expect("connect", address=lambda text: text.startswith("127.0.0.1:"))
        server.expect("connect", address=lambda text: text.startswith("[::1]:"))


def test_a_port_alone_is_every_address(serve):
    with serve(listen=("0",)) as server:
        port = server.address[1]
        talk(server, ("127.0.0.1", port))
        talk(server, ("::1", port))


def test_ipv6(serve):
    with serve(listen=("[::1]:0",)) as server:
        assert server.addresses[0].startswith("[::1]:")
        talk(server, server.address)


def test_a_name(serve):
    with serve(listen=("localhost:0",)) as server:
        talk(server, server.address)


def test_a_unix_socket(serve, place):
    path = f"{place}/lifeline.sock"
    with serve(listen=(f"unix:{path}",)) as server:
        assert server.addresses == [f"unix:{path}"]
        assert stat.S_ISSOCK(os.stat(path).st_mode)
        for _ in range(8):
            talk(server, path)
        server.expect("end", reason="stopped", messages=2)
    assert not os.path.exists(path)


def wait_for_the_kernel(family, address):
    """A killed process is gone before all that its io_uring holds is: for some milliseconds its listeners stay."""

    def refuses():
        with socket.socket(family) as sock:
            try:
                sock.connect(address)
            except ConnectionRefusedError:
                return True
            return False

    until(refuses, "the killed server's listeners to be gone")


def test_a_unix_socket_that_a_killed_server_left_behind(serve, place):
    path = f"{place}/lifeline.sock"
    with serve(listen=(f"unix:{path}",)) as server:
        server.kill()
    assert os.path.exists(path)
    wait_for_the_kernel(socket.AF_UNIX, path)
    with serve(listen=(f"unix:{path}",)) as server:
        talk(server, path)


def test_a_unix_socket_in_use(serve, place, engine):
    path = f"{place}/lifeline.sock"
    with serve(listen=(f"unix:{path}",)) as server:
        line = only_complaint(run("serve", "--engine", engine, "--listen", f"unix:{path}"))
        assert path in line and "in use" in line
        talk(server, path)


def test_a_file_that_is_no_socket_is_left_alone(serve, place, engine):
    path = f"{place}/precious"
    with open(path, "w") as file:
        file.write("precious")
    assert path in only_complaint(run("serve", "--engine", engine, "--listen", f"unix:{path}"))
    with open(path) as file:
        assert file.read() == "precious"


def test_a_unix_path_that_is_too_long(place):
    only_complaint_of_any = run("serve", "--listen", f"unix:{place}/{'x' * 120}")
    assert only_complaint_of_any.returncode in (1, 2)
    assert len(only_complaint_of_any.stderr.strip().splitlines()) == 1


def test_several_listeners_each_with_its_framing(serve, place):
    with serve(listen=("127.0.0.1:0,framing=line", "127.0.0.1:0,framing=raw", "127.0.0.1:0",
                       f"unix:{place}/raw.sock,framing=raw")) as server:
        line, raw, auto, unix = (address_of(text) for text in server.addresses)
        heard = {}
        for number, address in enumerate([line, raw, auto, unix]):
            with Client(server, address) as client:
                client.say("hello")
                client.half_close()
                heard[number] = client.hear_rest()
        assert heard == {0: b"keep alive\n", 1: b"keep alive", 2: b"keep alive", 3: b"keep alive"}
        for number in range(4):
            server.expect("connect", listener=number)


def test_sixteen_listeners(serve, engine):
    with serve(listen=("127.0.0.1:0",) * 16) as server:
        assert len(set(server.addresses)) == 16
        for address in server.addresses:
            talk(server, address_of(address))
    done = run("serve", "--engine", engine, *["--listen", "127.0.0.1:0"] * 17)
    only_complaint(done, 2)


# Sockets handed over by systemd

HAND_OVER = ('exec 3<&"$SOCKET_FD"; export LISTEN_FDS=1 LISTEN_PID=$$; [ -z "$OTHER_PID" ] || LISTEN_PID=1; '
             'exec "$0" "$@"')


def test_a_socket_that_was_handed_over(serve):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(100)
        # A newcomer from before the server was there, as it happens with socket activation.
        with socket.create_connection(sock.getsockname(), PATIENCE) as early:
            early.sendall(b"early\n")
            with serve(listen=(), prefix=("bash", "-c", HAND_OVER), pass_fds=(sock.fileno(),),
                       env={"SOCKET_FD": str(sock.fileno())}) as server:
                assert server.address == sock.getsockname()
                assert early.recv(100) == b"keep alive\n"
                for _ in range(8):
                    talk(server, sock.getsockname())


def test_a_unix_socket_that_was_handed_over(serve, place):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"{place}/activated.sock")
        sock.listen(100)
        with serve(listen=(), prefix=("bash", "-c", HAND_OVER), pass_fds=(sock.fileno(),),
                   env={"SOCKET_FD": str(sock.fileno())}) as server:
            talk(server, f"{place}/activated.sock")
        assert os.path.exists(f"{place}/activated.sock")  # it is systemd's to remove


def test_sockets_that_were_handed_to_somebody_else(serve):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(100)
        with serve(prefix=("bash", "-c", HAND_OVER), pass_fds=(sock.fileno(),),
                   env={"SOCKET_FD": str(sock.fileno()), "OTHER_PID": "yes"}) as server:
            assert server.address != sock.getsockname()
            talk(server, server.address)


# What cannot be

def test_a_port_in_use_by_another_program(engine):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        line = only_complaint(run("serve", "--engine", engine, "--listen", f"127.0.0.1:{port}"))
        assert str(port) in line and "in use" in line


def test_a_port_in_use_by_another_lifeline(serve, engine):
    with serve() as server:
        line = only_complaint(run("serve", "--engine", engine, "--listen", server.addresses[0]))
        assert server.addresses[0] in line and "in use" in line
        for _ in range(8):
            talk(server, server.address)


WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()


def test_no_permission_for_a_low_port():
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as file:
        first = int(file.read())
    if first < 2:
        pytest.skip("every port is free to all on this machine")
    line = only_complaint(run("serve", "--listen", f"127.0.0.1:{min(first - 1, 99)}", prefix=WITHOUT_RIGHTS))
    assert "ermission" in line


def test_no_permission_for_a_directory(place):
    os.chmod(place, 0o555)
    line = only_complaint(run("serve", "--listen", f"unix:{place}/lifeline.sock", prefix=WITHOUT_RIGHTS))
    assert "ermission" in line and place in line


def test_no_such_directory():
    line = only_complaint(run("serve", "--listen", "unix:/no/such/place/lifeline.sock"))
    assert "/no/such/place/lifeline.sock" in line


def test_an_address_of_another_machine():
    line = only_complaint(run("serve", "--listen", "192.0.2.1:0"))
    assert "192.0.2.1" in line


@pytest.mark.parametrize("address", ["", "nonsense", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:http7", "[::1:6666",
                                     "1.2.3.4.5:6666", "70000", "-1", "unix:", "127.0.0.1:0,framing=loud",
                                     "127.0.0.1:0,colour=red", "127.0.0.1:0,"])
def test_a_bad_address(address):
    done = run("serve", "--listen", address)
    assert done.returncode in (1, 2)
    line = only_complaint(done, done.returncode)
    assert address in line


def test_a_port_is_free_again_after_kill_9(serve, engine):
    # An address of this test's own: others pick ports of 127.0.0.1.
    host = f"127.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250}.7"
    port = 0
    for _ in range(3):
        with serve(listen=(f"{host}:{port}",)) as server:
            port = server.address[1]
            clients = [Client(server) for _ in range(10)]
            for client in clients:
                assert client.ask("hello") == KEEP_ALIVE
            server.kill()
            wait_for_the_kernel(socket.AF_INET, server.address)
            for client in clients:
                client.close()


def test_a_port_is_free_again_after_stop(serve):
    host = f"127.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250}.8"
    port = 0
    for _ in range(3):
        with serve(listen=(f"{host}:{port}",)) as server:
            port = server.address[1]
            with Client(server) as client:
                assert client.ask("hello") == KEEP_ALIVE
                server.stop()
                assert client.hear_rest() == b"stop\n"


def test_no_descriptor_of_its_parent_stays_open(serve):
    with serve() as server:
        links = [os.readlink(f"/proc/{server.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{server.pid}/fd")]
        sockets = [link for link in links if link.startswith("socket:")]
        assert len(sockets) <= 2 * server.ready["workers"] + 2, links


def test_help_and_version():
    done = run("serve", "--help")
    assert done.returncode == 0 and done.stderr == ""
    for option in ["--listen", "--engine", "--workers", "--max-clients", "--max-message", "--log-format",
                   "--show-messages", "--config", "--drain", "--send-timeout", "--every", "--grace", "--rejoin"]:
        assert option in done.stdout
    for arguments in [("--version",), ("serve", "--version")]:
        done = run(*arguments)
        assert done.returncode == 0 and "lifeline" in done.stdout


def test_the_binary_itself_without_a_command():
    done = subprocess.run([binary()], capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and "serve" in done.stdout + done.stderr
