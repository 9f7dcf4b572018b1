"""`lifeline connect` on a terminal: the prompt, what is shown above it, its keys, and how it leaves the terminal."""

import signal
import termios
import threading

import pytest

from connecting import PATIENCE, Terminal, Tiny, line, raw

UP, DOWN, LEFT, HOME, ESCAPE = "\033[A", "\033[B", "\033[D", "\033[H", "\033"


class Pushing:
    """Answers lines, and pushes what a test tells it to."""

    def __init__(self):
        self.talk = None
        self.there = threading.Event()

    def __call__(self, talk):
        self.talk = talk
        self.there.set()
        line(talk)

    def push(self, text):
        assert self.there.wait(PATIENCE)
        self.talk.send(text.encode() + b"\n")


def test_a_conversation():
    with Tiny(line) as server, Terminal(server.address) as terminal:
        terminal.until_prompt()
        terminal.type("hello\r")
        terminal.until_line("keep alive")
        terminal.until_line("> hello")
        terminal.until_prompt()
        terminal.type("stop\r")
        assert terminal.status() == 0
        assert terminal.last_modes == terminal.first_modes
        assert server.heard == [b"hello\nstop\n"]
        lines = terminal.screen.lines()
        assert lines == [f"connected to {server.address}: every line is a message, `stop` ends it", "> hello",
                         "keep alive", "> stop", "stop", ""]


def test_server_text_comes_above_what_is_being_typed():
    pushing = Pushing()
    with Tiny(pushing) as server, Terminal(server.address) as terminal:
        terminal.until_prompt()
        terminal.type("half a li")
        terminal.until_prompt("half a li")
        pushing.push("maintenance at noon")
        terminal.until_line("maintenance at noon")
        terminal.until_prompt("half a li")
        terminal.type("ne\r")
        terminal.until_line("> half a line")
        server.until_heard(0, b"half a line\n")
        terminal.type("stop\r")
        assert terminal.status() == 0


def test_server_text_comes_above_a_line_of_several_rows():
    pushing = Pushing()
    with Tiny(pushing) as server, Terminal(server.address, columns=40) as terminal:
        terminal.until_prompt()
        typed = "word " * 20 + "end"
        terminal.type(typed)
        terminal.until(lambda lines: lines[-1].endswith("end"), "all that was typed")
        pushing.push("pushed")
        terminal.until_line("pushed")
        terminal.until(lambda lines: lines[lines.index("pushed") + 1].startswith("> word word") and
                       lines[-1].endswith("end"), "the line again, below")
        # And nothing of it is left above.
        lines = terminal.screen.lines()
        assert not any("word" in one for one in lines[:lines.index("pushed")]), lines
        terminal.type("\r")
        server.until_heard(0, typed.encode() + b"\n")
        terminal.type("stop\r")
        assert terminal.status() == 0


def test_line_editing_and_history():
    with Tiny(line) as server, Terminal(server.address) as terminal:
        terminal.until_prompt()
        terminal.type("held" + LEFT + LEFT + "lo wor" + "\r")
        server.until_heard(0, b"helo world\n")
        terminal.until_prompt()
        terminal.type("other\r")
        terminal.until_line("keep alive", times=2)
        terminal.type(UP + UP)
        terminal.until_prompt("helo world")
        terminal.type(DOWN)
        terminal.until_prompt("other")
        terminal.type(UP + "\x01big \r")
        server.until_heard(0, b"big helo world\n")
        terminal.until_line("keep alive", times=3)
        terminal.type("\x12" + "oth" + "\r")
        server.until_heard(0, lambda said: said.count(b"other\n") == 2)
        terminal.type("stop\r")
        assert terminal.status() == 0


def test_characters_of_more_than_one_byte():
    pushing = Pushing()
    with Tiny(pushing) as server, Terminal(server.address) as terminal:
        terminal.until_prompt()
        terminal.type("grüße x\x7f\x7f")
        terminal.until_prompt("grüße")
        pushing.push("für dich")
        terminal.until_line("für dich")
        terminal.until_prompt("grüße")
        terminal.type("\r")
        server.until_heard(0, "grüße\n".encode())
        terminal.type("stop\r")
        assert terminal.status() == 0


def test_server_cannot_play_with_the_terminal():
    pushing = Pushing()
    with Tiny(pushing) as server, Terminal(server.address) as terminal:
        terminal.until_prompt()
        pushing.push("\033[2J\033]0;owned\007\x9b")
        terminal.until(lambda lines: any("\\x1b[2J" in one for one in lines), "the escaped text")
        assert b"\033[2J" not in terminal.bytes
        assert b"\007" not in terminal.bytes
        terminal.type("stop\r")
        assert terminal.status() == 0


def test_end_of_input_says_stop():
    with Tiny(line) as server, Terminal(server.address) as terminal:
        terminal.until_prompt()
        terminal.type("\x04")
        assert terminal.status() == 0
        assert server.heard == [b"stop\n"]


def test_end_of_input_half_closes_with_no_stop():
    with Tiny(line) as server, Terminal("--no-stop", server.address) as terminal:
        terminal.until_prompt()
        terminal.type("one\r")
        terminal.until_line("keep alive")
        terminal.type("\x04")
        assert terminal.status() == 0
        assert server.heard == [b"one\n"]


def test_server_says_stop_while_typing():
    pushing = Pushing()
    with Tiny(pushing) as server, Terminal(server.address) as terminal:
        terminal.until_prompt()
        terminal.type("half a li")
        terminal.until_prompt("half a li")
        pushing.push("stop")
        assert terminal.status() == 0
        assert "the server says stop" in terminal.screen.lines()
        # What was being typed does not stay to confuse the shell's prompt.
        assert terminal.screen.lines()[-1] == ""


def test_raw_on_a_terminal():
    with Tiny(raw) as server, Terminal("--framing", "raw", "--greeting", "Hello Server!", server.address) as terminal:
        terminal.until_line("keep alive")
        terminal.type("two words\r")
        terminal.until_line("keep alive", times=3)
        terminal.type("stop\r")
        assert terminal.status() == 0
        assert server.heard == [b"Hello Server!twowordsstop"]


def test_round_trips_and_heartbeats_are_shown_to_those_who_measure():
    with Tiny(line) as server, Terminal("--rtt", "--every", "100ms", server.address) as terminal:
        terminal.until(lambda lines: sum(" ms" in one and one.endswith("ping") for one in lines) >= 2, "two heartbeats")
        terminal.type("stop\r")
        assert terminal.status() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_says_stop_and_gives_the_terminal_back(number):
    with Tiny(line) as server, Terminal(server.address) as terminal:
        terminal.until_prompt()
        assert terminal.modes() != terminal.first_modes
        terminal.signal(number)
        assert terminal.status() == 0
        assert server.heard == [b"stop\n"]
        assert terminal.last_modes == terminal.first_modes


def test_interrupt_key():
    with Tiny(line) as server, Terminal(server.address) as terminal:
        terminal.until_prompt()
        terminal.type("half a li\x03")
        assert terminal.status() == 0
        assert server.heard == [b"stop\n"]


def test_second_interrupt_leaves_at_once_and_gives_the_terminal_back():
    def mute(talk):
        while talk.receive():
            pass

        terminal.until_prompt()
        assert not terminal.modes()[3] & termios.ECHO
        terminal.type("\x03")
        server.until_heard(0, b"stop\n")
        terminal.type("\x03")
        assert terminal.status() == 130
        assert terminal.last_modes == terminal.first_modes


def test_two_signals_at_once_while_typing_give_the_terminal_back():
    with Tiny(line) as server, Terminal(server.address) as terminal:
        terminal.until_prompt()
        terminal.signal(signal.SIGSTOP)
        terminal.signal(signal.SIGINT)
        terminal.signal(signal.SIGTERM)
        terminal.signal(signal.SIGCONT)
        assert terminal.status() in (128 + signal.SIGINT, 128 + signal.SIGTERM)
        assert terminal.last_modes == terminal.first_modes


def test_terminal_that_goes_away():
    with Tiny(line) as server, Terminal(server.address) as terminal:
        terminal.until_prompt()
        terminal.hang_up()
        terminal.status()
        assert server.until_heard(0, b"stop\n")


def test_resized_terminal():
    pushing = Pushing()
    with Tiny(pushing) as server, Terminal(server.address) as terminal:
        terminal.until_prompt()
        terminal.resize(30)
        terminal.type("x" * 50)
        terminal.until(lambda lines: lines[-1].endswith("x") and "".join(lines).count("x") >= 50, "all that was typed")
        pushing.push("pushed")
        terminal.until_line("pushed")
        terminal.type("\r")
        server.until_heard(0, b"x" * 50 + b"\n")
        terminal.type("stop\r")
        assert terminal.status() == 0


def test_stopped_and_continued():
    with Tiny(line) as server, Terminal(server.address) as terminal:
        terminal.until_prompt()
        terminal.type("half")
        terminal.until_prompt("half")
        terminal.signal(signal.SIGSTOP)
        terminal.signal(signal.SIGCONT)
        terminal.type(" done\r")
        server.until_heard(0, b"half done\n")
        terminal.type("stop\r")
        assert terminal.status() == 0


def test_no_colour_when_asked():
    with Tiny(line) as server:
        for env, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
            with Terminal(server.address, env=env) as terminal:
                terminal.until(lambda lines: any("keep" in one or one.startswith(">") for one in lines), "the prompt")
                terminal.type("one\r")
                terminal.until_line("keep alive")
                terminal.type("stop\r")
                assert terminal.status() == 0
                assert (b"\033[2mkeep alive\033[0m" in terminal.bytes) == coloured


def test_nobody_there():
    with Terminal("127.0.0.1:1") as terminal:
        assert terminal.status() == 1
        assert "cannot connect to 127.0.0.1:1: Connection refused; is `lifeline serve` running there?" in str(
            terminal.screen).replace("\n", "")


def test_many_lines_pasted_at_once():
    with Tiny(line) as server, Terminal("-q", server.address) as terminal:
        terminal.until(lambda lines: lines[-1] == ">", "the prompt")
        pasted = "".join(f"line {number}\r" for number in range(300))
        writer = threading.Thread(target=lambda: [terminal.type(pasted[at:at + 500])
                                                  for at in range(0, len(pasted), 500)])
        writer.start()
        server.until_heard(0, b"line 299\n")
        writer.join()
        terminal.type("stop\r")
        assert terminal.status() == 0
        assert server.heard[0] == pasted.replace("\r", "\n").encode() + b"stop\n"
