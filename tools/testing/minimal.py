"""minimal.py LIFELINE ENGINE: a build without any library serves, connects, and stops as it should."""

import re
import signal
import socket
import subprocess
import sys

PATIENCE = 60


def serve(program, engine):
    server = subprocess.Popen([program, "serve", "--engine", engine, "--listen", "127.0.0.1:0"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    for line in server.stdout:
        found = re.search(r"listening on .*?:(\d+)", line)
        if found:
            assert f"engine {engine}" in line, line
            return server, int(found[1])
    raise AssertionError(f"no ready line; exit status {server.wait(PATIENCE)}")


def talk(port):
    """By hand: two messages, one of them in pieces, and stop."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        for piece in (b"hello\nwor", b"ld\nst", b"op\n"):
            client.sendall(piece)
        said = b"".join(iter(lambda: client.recv(4096), b""))
    assert said == b"keep alive\nkeep alive\nstop\n", said


def connect(program, port):
    """By `lifeline connect`, from a pipe."""
    done = subprocess.run([program, "connect", f"127.0.0.1:{port}"], input="hello\nworld\n", capture_output=True,
                          text=True, timeout=PATIENCE)
    assert done.returncode == 0, done
    assert done.stdout.splitlines()[:2] == ["keep alive", "keep alive"], done


def main():
    program, engine = sys.argv[1:]
    server, port = serve(program, engine)
    try:
        talk(port)
        connect(program, port)
        server.send_signal(signal.SIGTERM)
        rest = server.stdout.read()
        assert server.wait(PATIENCE) == 0
        assert "stopped (client)" in rest, rest
    finally:
        server.kill()
    print("1 passed, 0 failed")


main()
