"""Signals, stopping, forks, and outputs without a reader."""

import os
import re
import select
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from support import patience
from support.processes import wait_for_end
from support.server import LISTENING, SAMPLES, Server
from support.wire import SMALL, Connection

QUIET_SECONDS = 2.0


@pytest.fixture
def gate(gates):
    return gates("a")


# ---- stopping


@pytest.mark.smoke
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_when_idle(start, number):
    server = start("views")
    server.stop(number)
    with pytest.raises(ConnectionRefusedError):
        Connection(server.port)
    assert "Traceback" not in server.err.wait_for_end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_running_request_is_finished(start, gate, tmp_path, number):
    server = start("views", env={"GATES": str(tmp_path)})
    with Connection(server.port) as connection:
        connection.get("/gate/a")
        gate.wait_entered()
        server.send_signal(number)
        wait_until_refused(server.port)
        gate.let_go()
        answer = connection.answer()
        assert answer.text == "let go\n"
        assert answer.get("Connection") == "close"
        assert connection.is_closed()
    assert server.wait() == 0


def wait_until_refused(port):
    """The listener is closed; connections accepted before that are served."""
    while True:
        try:
            Connection(port).close()
        except ConnectionRefusedError:
            return


def test_idle_connection_gets_one_more_response_after_term(start):
    server = start("views")
    with Connection(server.port) as connection:
        assert connection.ask("/hello").status == 200
        server.send_signal(signal.SIGTERM)
        wait_until_refused(server.port)
        answer = connection.ask("/hello")
        assert answer.status == 200
        assert answer.get("Connection") == "close"
    assert server.wait() == 0


def test_idle_connection_is_closed_by_int(start):
    server = start("views")
    with Connection(server.port) as connection:
        assert connection.ask("/hello").status == 200
        server.send_signal(signal.SIGINT)
        assert connection.is_closed()
    assert server.wait() == 0


@pytest.mark.smoke
def test_term_is_obeyed_while_the_only_thread_hangs(start, gate, tmp_path):
    """The drain ends at --graceful-timeout, and a line names the aborted requests."""
    server = start("views", "--graceful-timeout", "300ms", env={"GATES": str(tmp_path)})
    with Connection(server.port) as connection:
        connection.get("/gate/a")
        gate.wait_entered()
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0
        assert connection.rest() == b""
    server.err.wait_for("WARNING: .*GET /gate/a")


def test_second_int_stops_immediately(start, gate, tmp_path):
    server = start("views", env={"GATES": str(tmp_path)})
    with Connection(server.port) as connection:
        connection.get("/gate/a")
        gate.wait_entered()
        server.send_signal(signal.SIGINT)
        wait_until_refused(server.port)
        # A signal within half a second of the first one does not count; so send them until one
        # does.
        while server.process.poll() is None:
            server.send_signal(signal.SIGINT)
            select.select([connection.socket], [], [], 0.1)
    assert server.wait() == 128 + signal.SIGINT


def test_quit_stops_immediately(start, gate, tmp_path):
    server = start("views", env={"GATES": str(tmp_path)})
    with Connection(server.port) as connection:
        connection.get("/gate/a")
        gate.wait_entered()
        server.send_signal(signal.SIGQUIT)
        assert server.wait() == 128 + signal.SIGQUIT


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_under_load_truncates_no_response(start, number):
    """An accepted connection gets complete responses, until one says close or the connection
    ends between two of them; later connections are refused, never reset."""
    server = start("views", "--threads", "4", "--no-access-log")
    under_way = threading.Barrier(9)

    def client(_):
        count = 0
        while True:
            try:
                connection = Connection(server.port)
            except ConnectionRefusedError:
                return count
            with connection:
                while True:
                    try:
                        connection.get("/thread?ms=1")
                        first = connection.receive(1)
                    except (BrokenPipeError, ConnectionResetError):
                        first = b""
                    if not first:
                        assert number == signal.SIGINT, "TERM leaves time for one more request"
                        break
                    connection._received = first + connection._received
                    answer = connection.answer()
                    assert answer.status == 200
                    assert answer.complete
                    count += 1
                    if count == 20:
                        under_way.wait(patience.SECONDS)
                    if answer.get("Connection") == "close":
                        break

    with ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(client, number) for number in range(8)]
        under_way.wait(patience.SECONDS)
        server.send_signal(number)
        assert all(client.result() >= 20 for client in clients)
    assert server.wait() == 0


def test_stop_waits_for_unfinished_transfers_no_longer_than_its_timeout(start):
    server = start("views", "--graceful-timeout", "300ms")
    with Connection(server.port) as upload, Connection(server.port, receive_buffer=SMALL) as reader:
        upload.request("POST", "/digest", "Content-Length: 100")
        reader.get("/big?bytes=50000000")
        reader.head()
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0


def test_shutdown_delay_continues_to_accept(start):
    server = start("views", "--shutdown-delay", "1h")
    with Connection(server.port) as connection:
        server.send_signal(signal.SIGTERM)
        while True:  # responses say close as soon as the signal has arrived
            answer = connection.ask("/hello")
            if answer.get("Connection") == "close":
                break
    with Connection(server.port) as connection:
        assert connection.ask("/hello").status == 200
    server.send_signal(signal.SIGQUIT)
    assert server.wait() == 128 + signal.SIGQUIT


@pytest.mark.smoke
def test_ctrl_c_works_after_an_asynchronous_view(start):
    server = start("flask_app", cwd=SAMPLES)
    with requests.Session() as session:
        session.trust_env = False
        for _ in range(3):
            text = session.get(server.url + "/async", timeout=patience.SECONDS).text
            assert text == "asynchronous view"
    server.stop(signal.SIGINT)
    assert "Traceback" not in server.err.wait_for_end()


# ---- without a supervisor


def log_file(path):
    """The line with the address, if standard error is not the log."""
    while not (path.exists() and (found := re.search(LISTENING, path.read_text()))):
        time.sleep(0)
    return int(found["port"])


def test_usr1_reopens_the_logs_of_a_server_without_supervisor(start, tmp_path):
    logs = [tmp_path / "access", tmp_path / "error"]
    options = ("--access-logfile", str(logs[0]), "--error-logfile", str(logs[1]))
    server = Server("views", "--workers", "0", *options)
    try:
        port = log_file(logs[1])
        with Connection(port) as connection:
            connection.ask("/hello?before")
            for log in logs:
                log.rename(log.with_suffix(".1"))
            server.send_signal(signal.SIGUSR1)
            while not all(log.exists() for log in logs):
                assert server.process.poll() is None
            connection.ask("/hello?after")
        server.stop()
        assert "/hello?after" in logs[0].read_text()
        assert "/hello?before" in logs[0].with_suffix(".1").read_text()
    finally:
        server.kill()


@pytest.mark.parametrize("options", [(), ("--threads", "4")], ids=" ".join)
def test_hup_only_warns_without_a_supervisor(start, options):
    server = start("views", "--workers", "0", *options)
    for _ in range(2):
        server.send_signal(signal.SIGHUP)
    server.err.wait_for("WARNING: .*SIGHUP is refused: with --workers 0")
    with Connection(server.port) as connection:
        assert connection.ask("/hello").status == 200


def test_usr2_dumps_stacks_without_supervisor(start, gate, tmp_path):
    server = start("views", "--workers", "0", env={"GATES": str(tmp_path)})
    with Connection(server.port) as connection:
        connection.get("/gate/a")
        gate.wait_entered()
        server.send_signal(signal.SIGUSR2)
        server.err.wait_for(r'File ".*views\.py", line \d+ in ')
        gate.let_go()
        assert connection.answer().text == "let go\n"


@pytest.mark.parametrize("number", [signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH])
@pytest.mark.parametrize("workers", ["0", "1"])
def test_other_signals_do_not_stop_a_worker(start, workers, number):
    server = start("views", "--workers", workers)
    os.kill(server.workers()[0], number)
    with Connection(server.port) as connection:
        assert connection.ask("/hello").status == 200


# ---- inherited state

MODES = pytest.mark.parametrize(
    "options",
    [(), ("--workers", "0"), ("--preload",), ("--reload",), ("--workers", "2", "--threads", "2")],
    ids=" ".join,
)
STATE = """
import re, signal, subprocess
if IGNORE:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)

def app(environ, start_response):
    if environ["PATH_INFO"] == "/code":
        text = str(subprocess.run(["false"]).returncode)
    else:
        status = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True)
        text = " ".join(re.findall("Sig(?:Blk|Ign):.*", status.stdout))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [text.encode()]
"""


def block_all():
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


@MODES
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_inherited_signal_mask_is_cleared(start, project, options, number):
    """Also for processes of the application."""
    directory = project("main", "IGNORE = False" + STATE)
    server = start("main:app", *options, cwd=directory, before_start=block_all)
    with Connection(server.port) as connection:
        assert "SigBlk:\t0000000000000000" in connection.ask("/").text
    server.stop(number)


@MODES
def test_exits_are_seen_after_a_launcher_that_ignores_sigchld(start, project, options):
    """Exit codes reach the application, and a worker that dies is replaced."""
    directory = project("main", "IGNORE = False" + STATE)

    def ignore():
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    server = start("main:app", *options, cwd=directory, before_start=ignore)
    with Connection(server.port) as connection:
        assert connection.ask("/code").text == "1"
    must_be_replaced(server, options)


@MODES
def test_exits_are_seen_beside_an_application_that_ignores_sigchld(start, project, options):
    directory = project("main", "IGNORE = True" + STATE)
    server = start("main:app", *options, cwd=directory)
    must_be_replaced(server, options)
    with Connection(server.port) as connection:
        text = connection.ask("/").text
        ignored = int(re.search(r"SigIgn:\s*(\w+)", text)[1], 16)
        assert ignored & 1 << (signal.SIGCHLD - 1)


def must_be_replaced(server, options):
    if "0" in options:
        return
    before = server.workers()
    os.kill(before[0], signal.SIGKILL)
    server.wait_for_workers(len(before) + 1)
    wait_for_end(before[0])
    with Connection(server.port) as connection:
        assert connection.ask("/").status == 200


@MODES
def test_an_application_that_blocks_signals_can_be_stopped(start, project, options):
    text = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n"
    server = start("main:app", *options, cwd=project("main", text + "IGNORE = False" + STATE))
    with Connection(server.port) as connection:
        assert connection.ask("/").status == 200
    server.stop(signal.SIGTERM)


@MODES
def test_other_inherited_signal_state_is_kept(start, project, options):
    """Priority, umask, and signals that were ignored: those of nohup and of a script's `&`."""
    text = """
import os, re, subprocess

def app(environ, start_response):
    status = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True).stdout
    text = f"{os.nice(0)} {re.search('SigIgn:(.*)', status)[1].strip()} "
    text += re.search("Umask:(.*)", status)[1].strip()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [text.encode()]
"""
    ignored = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)

    def prepare():
        os.nice(3)
        os.umask(0o027)
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)

    server = start("main:app", *options, cwd=project("main", text), before_start=prepare)
    with Connection(server.port) as connection:
        nice, signals, umask = connection.ask("/").text.split()
    assert (nice, umask) == ("3", "0027")
    kept = [number for number in ignored if int(signals, 16) & 1 << (number - 1)]
    # Without a supervisor the process itself stops by INT and QUIT.
    assert kept == list(ignored[:1] if "0" in options else ignored)


# ---- the application's own signals


@pytest.mark.parametrize("threads", [1, 4])
def test_alarm_handler_runs_while_the_server_is_idle(start, gate, tmp_path, threads):
    server = start("alarms", "--threads", str(threads), env={"GATES": str(tmp_path)})
    for _ in range(3):
        os.kill(server.workers()[0], signal.SIGALRM)
        assert gate.wait_entered() == b"!"


def test_alarm_of_the_application_runs_while_the_server_is_idle(start, gate, tmp_path):
    server = start("alarms", env={"GATES": str(tmp_path)})
    with Connection(server.port) as connection:
        assert connection.ask("/set?0.05").status == 200
    assert gate.wait_entered() == b"!"


def test_alarm_handler_runs_while_the_main_thread_computes(start, gate, tmp_path):
    """The spare thread leads, and the handler interrupts the view as in any Python program."""
    server = start("alarms", env={"GATES": str(tmp_path)})
    with Connection(server.port) as connection:
        connection.get("/compute")
        assert gate.wait_entered() == b"."
        os.kill(server.workers()[0], signal.SIGALRM)
        assert gate.wait_entered() == b"!"
        assert connection.answer().text == "interrupted\n"


def test_alarm_handler_runs_while_another_thread_hangs(start, gates, gate, tmp_path):
    hold = gates("hold")
    server = start("alarms", "--threads", "2", env={"GATES": str(tmp_path)})
    connections = [Connection(server.port) for _ in range(2)]
    for connection in connections:
        connection.get("/hold")
    marks = hold.wait_entered(2)
    assert sorted(marks) == sorted(b"mo")  # the main thread and the other one
    os.kill(server.workers()[0], signal.SIGALRM)
    assert gate.wait_entered() == b"!"
    hold.let_go(2)
    for connection in connections:
        assert connection.answer().status == 200
        connection.close()
    os.kill(server.workers()[0], signal.SIGALRM)
    assert gate.wait_entered() == b"!"


# ---- idle servers


def context_switches(pid):
    tasks = Path(f"/proc/{pid}/task").iterdir()
    lines = [line for task in tasks for line in (task / "status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)


@pytest.mark.parametrize("threads", ["1", "4", "16"])
def test_idle_server_makes_no_wake_ups(start, threads):
    """After load. Only this test observes a period, in which nothing may happen; it starts when
    the threads are idle."""
    server = start("views", "--threads", threads)
    with Connection(server.port) as connection:
        for _ in range(50):
            connection.ask("/thread?ms=2")
    before, now = -1, context_switches(server.pid)
    while before != now:
        watch(server.pid, QUIET_SECONDS / 4)
        before, now = now, context_switches(server.pid)
    watch(server.pid, QUIET_SECONDS)
    assert context_switches(server.pid) == now


def watch(pid, seconds):
    """The process must not exit within this number of seconds."""
    descriptor = os.pidfd_open(pid)
    try:
        assert not select.select([descriptor], [], [], seconds)[0]
    finally:
        os.close(descriptor)


# ---- forks


def test_child_of_a_view_outlives_the_server(start, gate, tmp_path):
    server = start("views", env={"GATES": str(tmp_path)})
    with Connection(server.port) as connection:
        connection.get("/fork/a", "Connection: close")
        gate.wait_entered()  # the forked process runs, with everything it inherited
        assert connection.answer().text == "Hello, World!\n"
        assert connection.is_closed()  # though the forked process has not
    server.stop()
    with socket.socket() as again:  # the port is free
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", server.port))
        again.listen()
    gate.let_go()


def test_server_continues_after_a_view_forked(start, gate, tmp_path):
    server = start("views", env={"GATES": str(tmp_path)})
    with Connection(server.port) as connection:
        assert connection.ask("/fork/a").status == 200
        gate.wait_entered()
        for _ in range(50):
            assert connection.ask("/hello").status == 200
    gate.let_go()


# ---- outputs


def test_server_goes_on_when_its_standard_output_is_not_read(start):
    """Far more lines than a pipe holds: some are dropped, and the server continues and stops."""
    unread, write_end = os.pipe()
    server = start("views", stdout=write_end)
    os.close(write_end)
    padding = "x" * 2000
    for _ in range(30):
        with Connection(server.port) as connection:
            for _ in range(50):
                assert connection.ask(f"/hello?{padding}").status == 200
    server.stop()
    os.close(unread)


def test_server_goes_on_when_its_standard_output_is_closed(start):
    unread, write_end = os.pipe()
    server = start("views", stdout=write_end)
    os.close(write_end)
    with Connection(server.port) as connection:
        assert connection.ask("/hello").status == 200
        os.close(unread)
        for _ in range(50):
            assert connection.ask("/hello").status == 200
    server.stop()


def test_lines_are_complete_when_the_reader_is_slow(start):
    """Dropped lines are dropped completely, and the log counts them."""
    read_end, write_end = os.pipe()
    server = start("views", "--threads", "4", stdout=write_end)
    os.close(write_end)

    def client(_):
        for _ in range(10):
            with Connection(server.port) as connection:
                for _ in range(50):
                    assert connection.ask("/hello").status == 200

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(client, range(4)))
    server.send_signal(signal.SIGINT)
    text = b""
    while data := os.read(read_end, 1 << 20):
        text += data
    os.close(read_end)
    assert server.wait() == 0
    line = re.compile(rb'\S+Z 127\.0\.0\.1:\d+ - "GET /hello HTTP/1\.1" 200 OK 14B \S+ \S+')
    lines = text.split(b"\n")
    assert lines.pop() == b""
    assert [one for one in lines if not line.fullmatch(one)] == []


def test_server_runs_without_standard_streams(start):
    def close_them():
        os.close(0)
        os.close(1)

    server = start("views", stdout=None, before_start=close_them)
    with Connection(server.port) as connection:
        assert connection.ask("/print?line=to+nobody").status == 200
