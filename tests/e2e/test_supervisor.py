"""The signals of the supervisor: sent to it, to the whole process group, and if it is PID 1."""

import contextlib
import os
import re
import select
import signal
import socket
import time

import pytest
from support import patience
from support.processes import (
    NAMESPACE,
    children,
    has_ended,
    state,
    threads,
    wait_for_end,
    why_no_namespace,
)
from support.server import LISTENING, Server
from support.terminal import Terminal
from support.wire import Connection


@pytest.fixture
def gate(gates):
    return gates("a")


@pytest.fixture(params=[os.kill, os.killpg], ids=["alone", "group"])
def signaled(request):
    """signaled(server): its signals go to the supervisor, or to the whole process group, as from
    a terminal, a service manager or a container's init."""

    def prepare(server):
        server.send_signal = lambda number: request.param(server.pid, number)
        return server

    return prepare


@pytest.fixture
def trouble(signaled, start, tmp_path):
    """trouble("--workers", "2"): a server of apps/trouble.py."""

    def launch(*options):
        options = map(str, options)
        env = {"GATES": str(tmp_path)}
        return signaled(start("trouble", *options, env=env, new_session=True))

    return launch


def ask(server, path):
    """The body of the response, over a new connection."""
    with Connection(server.port) as connection:
        return connection.ask(path, "Connection: close").text


def wait_until_refused(port):
    with contextlib.suppress(ConnectionRefusedError):
        while True:
            Connection(port).close()


# ---- stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("options", [(), ("--workers", 2), ("--preload",)], ids=str)
def test_idle_server_stops_without_errors(trouble, number, options):
    server = trouble(*options)
    server.wait_for_answers_of(2 if "--workers" in options else 1)
    server.stop(number)
    text = server.err.wait_for_end()
    assert "Traceback" not in text
    assert "ERROR" not in text
    assert "WARNING" not in text
    with pytest.raises(ConnectionRefusedError):
        Connection(server.port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_finishes_running_requests_and_logs_them(trouble, gate, number):
    server = trouble("--workers", 2)
    with Connection(server.port) as connection:
        connection.get("/gate/a")
        gate.wait_entered()
        server.send_signal(number)
        wait_until_refused(server.port)
        server.err.wait_for(r"Waiting for 1 request \(GET /gate/a, \d+(\.\d)? s\)")
        gate.let_go()
        answer = connection.answer()
        assert answer.status == 200
        assert answer.get("Connection") == "close"
    assert server.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_second_signal_or_quit_stops_immediately(trouble, gate, number):
    """By a second signal half a second after the first, or by QUIT; a call that never returns
    does not prevent it."""
    server = trouble("--workers", 2)
    server.wait_for_workers(2)
    pids = server.workers()
    with Connection(server.port) as connection:
        connection.get("/gate/a")
        gate.wait_entered()
        if number != signal.SIGQUIT:
            server.send_signal(number)
            wait_until_refused(server.port)
        # A signal within half a second of the first one does not count; so send them until one
        # does.
        while server.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                server.send_signal(number)
            select.select([connection.socket], [], [], 0.1)
    assert server.wait() == 128 + number
    assert all(has_ended(pid) for pid in pids)
    assert "Traceback" not in server.err.wait_for_end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_server_stops_while_workers_are_replaced(trouble, number):
    server = trouble("--workers", 2)
    server.send_signal(signal.SIGHUP)
    server.stop(number)
    assert "Traceback" not in server.err.wait_for_end()


def test_idle_connections_get_one_more_response_after_term_and_none_after_int(trouble):
    for number in (signal.SIGTERM, signal.SIGINT):
        server = trouble("--keep-alive", "1h")
        with Connection(server.port) as connection, Connection(server.port) as unused:
            assert connection.ask("/").status == 200
            server.send_signal(number)
            if number == signal.SIGTERM:
                wait_until_refused(server.port)
                assert connection.ask("/").get("Connection") == "close"
            assert connection.is_closed()
            assert unused.is_closed()
        assert server.wait() == 0


# ---- what is not stopping


def test_hup_replaces_every_worker_once(trouble):
    server = trouble("--workers", 2)
    old = server.wait_for_answers_of(2)
    server.send_signal(signal.SIGHUP)
    wait_for_end(*old)
    server.err.wait_for(r"Worker \[\d+\] replaces", 2)
    assert len(server.started()) == 4
    assert len(server.workers()) == 2
    assert threads(server.pid) == 1


def test_ttin_adds_a_worker_and_ttou_removes_one(trouble):
    """One more, one less; one always remains."""
    server = trouble()
    server.send_signal(signal.SIGTTIN)
    server.wait_for_workers(2)
    server.send_signal(signal.SIGTTIN)
    server.wait_for_workers(3)
    server.wait_for_answers_of(3)
    for left in (2, 1):
        ends = [os.pidfd_open(pid) for pid in server.workers()]
        server.send_signal(signal.SIGTTOU)
        assert select.select(ends, [], [], patience.SECONDS)[0]
        for descriptor in ends:
            os.close(descriptor)
        assert len(server.workers()) == left
    server.send_signal(signal.SIGTTOU)
    server.err.wait_for("Number of workers set to 1", 2)
    server.wait_for_answers_of(1)
    assert len(server.started()) == 3


def test_usr1_reopens_the_logs(signaled, tmp_path):
    error, access = tmp_path / "error.log", tmp_path / "access.log"
    files = ["--error-logfile", str(error), "--access-logfile", str(access)]
    server = signaled(Server("trouble", "--workers", "2", *files, new_session=True))
    try:
        server.port = int(server.err.wait_for(r"Address: http://127\.0\.0\.1:(\d+)")[1])
        wait_for_text(error, "Listening on")
        assert ask(server, "/before")
        wait_for_text(access, "/before")
        error.rename(tmp_path / "error.1")
        access.rename(tmp_path / "access.1")
        server.send_signal(signal.SIGUSR1)
        while not (access.exists() and access.read_text().count("/after") >= 20):
            ask(server, "/after")  # by both workers, though possibly first into the old file
        server.send_signal(signal.SIGTTIN)
        wait_for_text(error, "Started server process")
        assert "/before" not in access.read_text()
    finally:
        server.kill()


@pytest.mark.parametrize("options", [(), ("--access-logfile", "access.log")], ids=["named", "link"])
def test_standard_output_that_is_a_socket_takes_the_access_log(signaled, project, options):
    """As under systemd, where /dev/stdout cannot be opened."""
    directory = project("main", "def app(e, s):\n    s('200 OK', [])\n    return [b'']\n")
    (directory / "access.log").symlink_to("/dev/stdout")
    files = options or ("--access-logfile", "/dev/stdout", "--error-logfile", "/dev/fd/2")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        server = Server("main", *files, cwd=directory, stdout=theirs.fileno(), new_session=True)
        signaled(server).wait_until_listening()
        reader = ours.makefile("rb")
        ours.settimeout(patience.SECONDS)
        ask(server, "/before")
        assert b"/before" in reader.readline()
        server.send_signal(signal.SIGUSR1)  # does not change it
        ask(server, "/after")
        assert b"/after" in reader.readline()
        server.stop()
    assert "ERROR" not in server.err.text


def wait_for_text(path, text):
    deadline = time.monotonic() + patience.SECONDS
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < deadline, f"no {text!r} in {path}"
        time.sleep(0.01)


def test_usr2_logs_running_requests(trouble, gate):
    server = trouble("--threads", 2)
    (pid,) = server.workers()
    with Connection(server.port) as connection:
        connection.get("/gate/a")
        gate.wait_entered()
        server.send_signal(signal.SIGUSR2)
        server.err.wait_for(rf"\[{pid}\](.|\n)*GET /gate/a \(\d")
        server.err.wait_for(r'File ".*/apps/gate\.py", line \d+ in stay')
        gate.let_go()
        assert connection.answer().status == 200
    assert server.workers() == [pid]


# ---- as PID 1


@pytest.fixture
def first_process(start, tmp_path):
    """first_process("--workers", "2"): a server that is PID 1 of a namespace, and its number
    outside."""
    if why := why_no_namespace():
        pytest.skip(f"no PID namespace to be had here: {why}")

    def launch(*options):
        env = {"GATES": str(tmp_path)}
        server = start("trouble", *options, env=env, under=NAMESPACE)
        (pid,) = children(server.pid)
        server.send_signal = lambda number: os.kill(pid, number)
        return server, pid

    return launch


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_pid_1_stops(first_process, number):
    server, _ = first_process("--workers", "2")
    assert "Started supervisor [1]" in server.err.text
    server.send_signal(number)
    assert server.wait() == (131 if number == signal.SIGQUIT else 0)
    assert "Traceback" not in server.err.wait_for_end()


def test_pid_1_warns_of_a_loopback_address(first_process):
    server, _ = first_process()
    assert len(re.findall("WARNING: .*container", server.err.text)) == 1


def test_pid_1_replaces_workers_and_reaps_orphans(first_process, gate):
    """Orphaned processes of the application become children of PID 1 and must not stay zombies."""
    server, pid = first_process()
    orphan = ask(server, "/orphan")
    gate.wait_entered()
    before = set(children(pid))
    assert len(before) == 2, orphan
    gate.let_go()
    while len(children(pid)) == 2:  # its exit wakes the supervisor
        ask(server, "/")
    (worker,) = children(pid)
    assert state(worker) != "Z"
    os.kill(worker, signal.SIGKILL)
    server.err.wait_for("ERROR: .*SIGKILL from outside")
    server.err.wait_for("Started server process", 2)
    assert ask(server, "/")
    server.send_signal(signal.SIGHUP)
    server.err.wait_for("replaces")
    assert ask(server, "/")


# ---- on a terminal


CTRL_C = b"\x03"


def test_ctrl_c_on_a_terminal_prints_pending_requests(gate, tmp_path):
    """The whole foreground process group gets it."""
    options = ["--workers", "2", "--port", "0", "--color", "never"]
    with Terminal("trouble", *options, env={"GATES": str(tmp_path)}) as terminal:
        port = int(terminal.shown.wait_for(LISTENING)["port"])
        terminal.shown.wait_for("Press Ctrl-C to stop")
        with Connection(port) as connection:
            connection.get("/gate/a")
            gate.wait_entered()
            terminal.type(CTRL_C)
            terminal.shown.wait_for(
                r"Waiting for 1 request \(GET /gate/a, \d+(\.\d)? s\)\. Ctrl-C again stops now\."
            )
            while terminal.process.poll() is None:
                terminal.type(CTRL_C)
                select.select([connection.socket], [], [], 0.1)
        assert terminal.process.wait() == 128 + signal.SIGINT
        assert "Traceback" not in terminal.shown.wait_for_end()


def test_ctrl_c_on_a_terminal_stops_an_idle_server(tmp_path):
    with Terminal("trouble", "--port", "0", env={"GATES": str(tmp_path)}) as terminal:
        terminal.shown.wait_for("Press Ctrl-C to stop")
        terminal.type(CTRL_C)
        assert terminal.process.wait(patience.SECONDS) == 0
        assert "Traceback" not in terminal.shown.wait_for_end()
