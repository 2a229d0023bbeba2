"""Closed terminals, and servers in the background of a terminal."""

import os
import re
import shlex
import signal
import sys

import pytest
from support.lines import Lines
from support.processes import children, has_ended, wait_for_end
from support.server import LISTENING
from support.terminal import Terminal
from support.wire import Connection

APP = """\
import os, sys

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/read":
        text = repr(sys.stdin.readline())
    elif path == "/write":
        text = str(os.write(1, b"written\\n"))
    else:
        text = str(os.getpid())
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [text.encode()]
"""
MODES = [(), ("--reload",), ("--preload",), ("--workers", "0")]
SHELL = ("bash", "--norc", "--noprofile", "-i")
LISTENING_IN_FILE = re.compile(LISTENING)


@pytest.fixture
def directory(project):
    return project("main", APP)


def arguments(*options):
    return ["main:app", "--port", "0", "--color", "never", *options]


def family(pid):
    """The process and all of its descendants."""
    found = [pid]
    for one in found:
        found += children(one)
    return found


def ask(port, path="/"):
    with Connection(port) as connection:
        return connection.ask(path, "Connection: close").text


def started(shown: Lines):
    return int(shown.wait_for(LISTENING)["port"])


@pytest.mark.parametrize("options", MODES, ids=" ".join)
def test_a_closed_window_ends_the_server(directory, options):
    """A HUP from a process before that does not."""
    with Terminal(*arguments(*options), cwd=directory) as terminal:
        port = started(terminal.shown)
        terminal.process.send_signal(signal.SIGHUP)
        if "0" in options:
            terminal.shown.wait_for("SIGHUP is refused: with --workers 0")
        else:
            terminal.shown.wait_for(r"Started server process \[\d+\]", 2)
        assert int(ask(port)) in family(terminal.process.pid)
        processes = family(terminal.process.pid)
        terminal.close_window()
        assert terminal.process.wait(20) == 0
        wait_for_end(*processes)
        with pytest.raises(ConnectionRefusedError):
            Connection(port)


@pytest.mark.parametrize("options", MODES, ids=" ".join)
def test_under_nohup_a_closed_terminal_has_no_effect(directory, tmp_path, options):
    log = tmp_path / "log"
    with Terminal(
        *arguments("--error-logfile", str(log), *options), cwd=directory, ignore=[signal.SIGHUP]
    ) as terminal:
        processes = family(terminal.process.pid)
        while not (listening := log.exists() and LISTENING_IN_FILE.search(log.read_text())):
            assert terminal.process.poll() is None
        terminal.close_window()
        assert int(ask(int(listening["port"])))
        assert not any(map(has_ended, processes))
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.process.wait(20) == 0


@pytest.mark.parametrize("job", ["", " &"], ids=["foreground", "background"])
@pytest.mark.parametrize("options", MODES, ids=" ".join)
def test_closing_the_window_of_a_shell_ends_the_server(directory, options, job):
    """The kernel sends the HUP to the shell, and to the server if it is in the foreground; the
    shell sends one to each of its jobs."""
    command = shlex.join([sys.executable, "-m", "iotax", *arguments(*options)])
    with Terminal(cwd=directory, command=SHELL) as terminal:
        terminal.type(f"{command}{job}\n".encode())
        port = started(terminal.shown)
        assert ask(port)
        processes = family(terminal.process.pid)
        terminal.close_window()
        wait_for_end(*processes)
        with pytest.raises(ConnectionRefusedError):
            Connection(port)


@pytest.mark.parametrize("options", [(), ("--reload",), ("--workers", "0")], ids=" ".join)
def test_reading_from_the_terminal_in_the_background_starts_no_worker(directory, options):
    """The kernel sends TTIN to the whole job: this must not start a worker, loop endlessly, or
    stop the server."""
    command = shlex.join([sys.executable, "-m", "iotax", *arguments(*options)])
    with Terminal(cwd=directory, command=SHELL) as terminal:
        terminal.type(f"{command} &\n".encode())
        port = started(terminal.shown)
        assert ask(port, "/read") == "''"
        terminal.shown.wait_for("WARNING: .*Standard input is read in the background")
        assert ask(port, "/read") == "''"
        assert "workers are wanted" not in terminal.shown.text
        assert len(terminal.shown.text.split("Started server process")) == 2
        server = os.getpgid(int(ask(port)))
        os.kill(server, signal.SIGTERM)
        wait_for_end(server)


@pytest.mark.parametrize("options", MODES, ids=" ".join)
def test_writing_to_a_terminal_in_the_background_stops_no_worker(directory, options):
    """stty tostop: the kernel sends TTOU to a job that writes in the background."""
    command = shlex.join([sys.executable, "-m", "iotax", *arguments(*options)])
    with Terminal(cwd=directory, command=SHELL) as terminal:
        terminal.type(f"{command} &\n".encode())
        port = started(terminal.shown)
        terminal.type(b"stty tostop; echo tostop is $?\n")
        terminal.shown.wait_for("tostop is 0")
        assert ask(port, "/write") == "8"
        terminal.shown.wait_for("written")
        assert "workers are wanted" not in terminal.shown.text
        server = os.getpgid(int(ask(port)))
        os.kill(server, signal.SIGTERM)
        wait_for_end(server)
