"""Sockets that systemd passes, its notifications, and its watchdog; support/systemd.py plays it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from support import patience
from support.load import Load, mix
from support.server import APPS, Server, environment
from support.systemd import NotifySocket, passing, tcp_socket, unix_socket, why_missing
from support.wire import Connection

SO_GET_FILTER = 26  # asm-generic/socket.h
HELLO = """
import os
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    names = sorted(n for n in os.environ if n.startswith(("LISTEN_", "NOTIFY", "WATCHDOG")))
    return [f"{os.getpid()} {environ['SERVER_NAME']} {names}".encode()]
"""


@pytest.fixture
def listener():
    with tcp_socket() as sock:
        yield sock


@pytest.fixture
def notified(tmp_path):
    with contextlib.closing(NotifySocket(str(tmp_path / "notify"))) as found:
        yield found


@pytest.fixture
def cwd(project):
    return project("main", HELLO)


def port_of(sock):
    return sock.getsockname()[1]


def ask(sock, **more):
    address = sock.getsockname()
    where = {"path": address} if isinstance(address, str) else {"port": address[1]}
    with Connection(**where, **more) as connection:
        return connection.ask("/", "Connection: close")


def refused(*arguments, cwd, **launch):
    """Exit code and error of a server that does not start."""
    server = Server(*arguments, cwd=cwd, **launch)
    try:
        return server.wait(), server.err.wait_for_end()
    finally:
        server.kill()


# ---- passed sockets


@pytest.mark.parametrize("options", [(), ("--workers", "0"), ("--preload",)], ids=str)
def test_passed_sockets_are_served_and_left_as_they_are(start, cwd, tmp_path, options):
    with tcp_socket(backlog=7) as tcp, unix_socket(tmp_path / "app.sock") as unix:
        server = start("main:app", *options, cwd=cwd, **passing(tcp, unix, names="web:local"))
        assert "127.0.0.1 []" in ask(tcp).text, "the application does not see the variables"
        assert ask(unix).status == 200
        server.stop(signal.SIGTERM)
        assert not os.get_blocking(tcp.fileno())
        for sock in (tcp, unix):
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
            assert sock.getsockopt(socket.SOL_SOCKET, SO_GET_FILTER, 64) == b""
        info = tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
        assert int.from_bytes(info[28:32], sys.byteorder) == 7, "listen() was not called again"
        assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0
        assert (tmp_path / "app.sock").is_socket()
        with Connection(port_of(tcp)) as waiting:  # for the next server
            waiting.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            start("main:app", *options, cwd=cwd, **passing(tcp))
            assert waiting.answer().status == 200


def test_stop_and_start_under_load_loses_nothing(start, listener):
    server = start("echoes", "--workers", "2", cwd=APPS, **passing(listener))
    with Load(port_of(listener), mix(streaming=0)) as running:
        for _ in range(4):
            running.wait_for_answers(50)
            server.send_signal(signal.SIGTERM)
            server.wait()
            server = start("echoes", "--workers", "2", cwd=APPS, **passing(listener))
        running.wait_for_answers(50)
    running.report.must_be_clean()


@pytest.mark.parametrize(
    ("env", "options"),
    [
        ({"LISTEN_PID": "1"}, ()),
        ({"LISTEN_PID": ""}, ()),
        ({"LISTEN_FDS": "0"}, ()),
        ({}, ("--port", "0")),
    ],
    ids=["pid of another", "no pid", "none", "another address"],
)
def test_passed_sockets_that_bind_does_not_name_are_closed(start, cwd, listener, env, options):
    options = options or ("--host", "127.0.0.1")
    server = start("main:app", "--port", "0", *options, cwd=cwd, **passing(listener, env=env))
    assert server.port != port_of(listener)
    is_closed = "Closing passed sockets that --bind does not name: fd://3 (unknown)"
    assert (is_closed in server.err.text) == (not env)


def test_bind_names_passed_sockets(start, cwd, listener):
    with tcp_socket() as other, tcp_socket() as third:
        launch = passing(listener, other, third, names="web:admin:web")
        server = start("main:app", "--bind", "fd://web", cwd=cwd, **launch)
        assert ask(listener).status == ask(third).status == 200
        assert "does not name: fd://4 (admin)" in server.err.text


def test_passed_sockets_beat_port(start, cwd, listener):
    start("main:app", cwd=cwd, **passing(listener, env={"PORT": "1"}))
    assert ask(listener).status == 200


def test_any_descriptor_can_be_named(start, cwd, listener):
    """As with other launchers, e.g. Circus."""
    number = listener.fileno()
    start("main:app", "--bind", f"fd://{number}", cwd=cwd, pass_fds=[number])
    assert ask(listener).status == 200


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: socket.socket(type=socket.SOCK_DGRAM), "fd://3 is not a listening socket (it is a "
         "datagram socket)"),
        (lambda: socket.socketpair()[0], "fd://3 is a connection: set Accept=no"),
        (socket.socket, "fd://3 is not a listening socket (listen() was not called on it)"),
    ],
    ids=["datagram", "connection", "not listening"],
)  # fmt: skip
def test_socket_that_cannot_be_served_is_refused(cwd, make, text):
    with make() as sock:
        code, error = refused("main:app", cwd=cwd, **passing(sock))
    assert (code, error) == (4, f"iotax: {text}\n")


def test_passed_sockets_that_do_not_exist_are_refused(cwd, listener):
    code, error = refused("main:app", "--bind", "fd://9", cwd=cwd, **passing(listener))
    assert (code, "fd://9 is not open" in error) == (4, True)
    code, error = refused("main:app", "--bind", "fd://x", cwd=cwd, **passing(listener, names="web"))
    assert code == 2
    assert 'iotax: --bind: "fd://x" names no passed socket; LISTEN_FDNAMES has web;' in error
    code, error = refused("main:app", cwd=cwd, **passing(listener, env={"LISTEN_FDS": "two"}))
    assert code == 2
    assert 'iotax: LISTEN_FDS: "two" is not an integer' in error


@pytest.mark.skipif(bool(why := why_missing("systemd-socket-activate")), reason=why)
def test_connection_starts_the_server_by_socket_activation(cwd, listener):
    port = port_of(listener)
    listener.close()
    command = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", "--fdname=web"]
    command += ["-E", "PYTHONPATH", sys.executable, "-m", "iotax", "main:app"]
    process = subprocess.Popen(
        command, cwd=cwd, env=environment(), stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        assert "Listening on" in process.stderr.readline()
        with Connection(port) as connection:  # starts the server
            assert connection.ask("/", "Connection: close").status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(patience.SECONDS) == 0, process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


# ---- notifications


@pytest.mark.parametrize(
    ("options", "subject"),
    [((), "1 worker serves"), (("--workers", "2"), "2 workers serve"),
     (("--workers", "0"), "1 process serves"), (("--reload",), "1 worker serves")],
    ids=["one", "two", "none", "reload"],
)  # fmt: skip
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_start_and_stop_are_notified(start, cwd, notified, options, subject, number):
    options = (*options, "--graceful-timeout", "20")
    server = start("main:app", *options, cwd=cwd, env=notified.variables())
    where = f"http://127.0.0.1:{server.port}"
    ready = ["READY=1", f"MAINPID={server.pid}", f"STATUS={subject} on {where}"]
    assert notified.until("READY=1") == [ready]
    with Connection(server.port) as connection:
        assert connection.ask("/").text.endswith(" 127.0.0.1 []")
    server.stop(number)
    stopping, *rest = notified.until("STOPPING=1")
    assert stopping[0] == "STOPPING=1"
    seconds = int(stopping[1].removeprefix("EXTEND_TIMEOUT_USEC=")) / 1e6
    assert 20 < seconds <= 25
    assert stopping[2] == "STATUS=stopping: 0 requests"
    assert rest == []
    assert notified.is_silent_for(0.1)


def test_readiness_is_notified_on_an_abstract_socket(start, cwd):
    address = f"@iotax-test-{os.getpid()}"
    with contextlib.closing(NotifySocket(address)) as notified:
        start("main:app", cwd=cwd, env=notified.variables())
        notified.wait_for("READY=1")


def test_absent_socket_is_logged_once_and_the_server_serves(start, cwd, tmp_path):
    server = start("main:app", cwd=cwd, env={"NOTIFY_SOCKET": str(tmp_path / "none")})
    with Connection(server.port) as connection:
        assert connection.ask("/").status == 200
    server.stop(signal.SIGTERM)
    assert server.err.text.count("Cannot notify the service manager") == 1


def test_application_that_does_not_load_is_never_ready(cwd, notified):
    code, _ = refused("main:nothing", "--port", "0", cwd=cwd, env=notified.variables())
    assert code == 3
    assert notified.is_silent_for(0.1)


@pytest.mark.parametrize("options", [("--workers", "2"), ("--preload",), ("--reload",)], ids=str)
def test_reload_is_notified(start, cwd, notified, options):
    server = start("main:app", *options, cwd=cwd, env=notified.variables())
    notified.wait_for("READY=1")
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    server.send_signal(signal.SIGHUP)
    began, ended = notified.until("READY=1")
    assert (began[0], began[2]) == ("RELOADING=1", "STATUS=reloading")
    assert int(began[1].removeprefix("MONOTONIC_USEC=")) >= before
    assert ended == ["READY=1", "STATUS=reloaded"]


def test_reload_that_fails_is_notified_and_its_later_success_too(start, cwd, notified):
    server = start("main:app", "--no-config", cwd=cwd, env=notified.variables())
    notified.wait_for("READY=1")
    (cwd / "main.py").write_text("1 / 0\n")
    server.send_signal(signal.SIGHUP)
    assert [message[0] for message in notified.until("READY=1")] == ["RELOADING=1", "READY=1"]
    assert notified.seen[-1][1].startswith("STATUS=not reloaded: Cannot load")
    (cwd / "main.py").write_text(HELLO)
    assert notified.until("STATUS=") == [["STATUS=reloaded"]]


def test_reload_that_is_refused_is_notified_with_its_reason(start, cwd, notified):
    (cwd / "iotax.toml").write_text("threads = 1\n")
    server = start("main:app", cwd=cwd, env=notified.variables())
    notified.wait_for("READY=1")
    (cwd / "iotax.toml").write_text("threads = 0\n")
    server.send_signal(signal.SIGHUP)
    assert [message[0] for message in notified.until("READY=1")] == ["RELOADING=1", "READY=1"]
    assert notified.seen[-1][1].startswith("STATUS=not reloaded: iotax.toml:1: threads: 0 ")
    (cwd / "iotax.toml").unlink()
    server = start("main:app", "--workers", "0", cwd=cwd, env=notified.variables())
    notified.wait_for("READY=1")
    server.send_signal(signal.SIGHUP)
    assert notified.until("READY=1")[-1] == [
        "READY=1",
        "STATUS=not reloaded: SIGHUP is refused with --workers 0",
    ]


# ---- watchdog

WATCHDOG_SECONDS = 1.0


def serve_watched(start, notified, *options, **env):
    variables = notified.variables(watchdog_seconds=WATCHDOG_SECONDS)
    server = start("hangs", *options, cwd=APPS, env={**variables, **env})
    notified.wait_for("READY=1")
    notified.wait_for("WATCHDOG=1")
    return server


def pings_for(notified, seconds):
    """The number of pings within `seconds`."""
    deadline, count = time.monotonic() + seconds, 0
    while (left := deadline - time.monotonic()) > 0:
        count += notified.receive(left) == ["WATCHDOG=1"]
    return count


@pytest.mark.parametrize("path", ["/sleep", "/lock", "/gil-for-long"])
@pytest.mark.parametrize("threads", ["1", "2"])
def test_pings_continue_while_a_call_hangs(start, notified, path, threads):
    server = serve_watched(start, notified, "--threads", threads, "--graceful-timeout", "0")
    with Connection(server.port) as connection:
        connection.get(path)
        assert pings_for(notified, 3 * WATCHDOG_SECONDS) >= 3


def test_pings_continue_without_a_supervisor(start, notified, tmp_path):
    server = serve_watched(start, notified, "--workers", "0", HANGS=str(tmp_path))
    with Connection(server.port) as connection:
        connection.get("/sleep")
        assert pings_for(notified, 2 * WATCHDOG_SECONDS) >= 2
        (tmp_path / "let-go").touch()


def test_no_ping_while_a_loop_is_stopped(start, notified):
    server = serve_watched(start, notified, "--workers", "2")
    first, _ = server.wait_for_answers_of(2, "/pid")  # a worker that boots may take longer
    os.kill(first, signal.SIGSTOP)
    try:
        server.err.wait_for(rf"Worker \[{first}\] hangs: its event loop has not turned for")
        pings_for(notified, 0.1)
        assert pings_for(notified, 2 * WATCHDOG_SECONDS) == 0
    finally:
        os.kill(first, signal.SIGCONT)
    notified.wait_for("WATCHDOG=1")


def test_no_ping_while_the_supervisor_is_stopped_and_no_blame_afterwards(start, notified):
    server = serve_watched(start, notified)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        pings_for(notified, 0.1)
        assert pings_for(notified, 2 * WATCHDOG_SECONDS) == 0
    finally:
        os.kill(server.pid, signal.SIGCONT)
    notified.wait_for("WATCHDOG=1")
    assert "hangs: its event loop" not in server.err.text


@pytest.mark.parametrize(
    "variables",
    [{"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "1s"}, {"WATCHDOG_PID": "1"}],
    ids=["0", "text", "pid of another"],
)
def test_no_ping_without_a_watchdog(start, notified, variables):
    env = {**notified.variables(watchdog_seconds=0.2), **variables}
    start("hangs", cwd=APPS, env=env)
    notified.wait_for("READY=1")
    assert notified.is_silent_for(0.5)
