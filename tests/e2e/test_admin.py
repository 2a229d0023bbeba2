"""The admin listener of real servers: it responds while they hang, start, stop and lose workers."""

import base64
import contextlib
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time

import pytest
from support import patience
from support.admin import Admin, never_less, parse
from support.browser import Browser
from support.processes import children, sockets, state, threads
from support.server import APPS, Server, environment, run_command
from support.systemd import passing, tcp_socket
from support.wire import Connection

ADMIN = ("--admin", "127.0.0.1:0")
WAYS = pytest.mark.parametrize(
    "options",
    [(), ("--workers", "2"), ("--preload",), ("--reload",), ("--workers", "0")],
    ids=" ".join,
)
KINDS = {
    "/livez": "text/plain; charset=utf-8",
    "/readyz": "text/plain; charset=utf-8",
    "/metrics": "application/openmetrics-text; version=1.0.0; charset=utf-8",
    "/status": "application/json",
    "/": "text/html; charset=utf-8",
}
SMALL = """
import os, signal, time
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/raise":
        raise ValueError
    if path == "/die":
        os.kill(os.getpid(), signal.SIGKILL)
    if path == "/missing":
        start_response("404 Not Found", [])
        return []
    if path == "/nap":
        time.sleep(0.03)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


@pytest.fixture
def small(project):
    return project("main", SMALL)


def admin_process(server):
    """Its process id."""
    others = [pid for pid in children(server.pid) if pid not in server.started()]
    return others[0] if len(others) == 1 else None


def ended(series, end="complete"):
    return series[f'iotax_requests_ended_total{{end="{end}"}}']


# ---- what it says


@WAYS
@pytest.mark.smoke
def test_every_path_responds(start, small, options):
    admin = Admin(start("main:app", *ADMIN, *options, cwd=small))
    assert admin.says("/livez") == (200, "live")
    admin.wait_until(lambda: admin.says("/readyz") == (200, "ready"))
    for path, kind in KINDS.items():
        answer = admin.get(path)
        assert (answer.status, answer.get("Content-Type")) == (200, kind)
        assert answer.get("Cache-Control") == "no-store"
    series = admin.metrics()
    assert series["iotax_ready"] == series["iotax_live"] == 1
    ready = 2 if "2" in options else 1
    admin.wait_until(lambda: admin.metrics()['iotax_workers{state="ready"}'] == ready)
    assert series["iotax_start_time_seconds"] == pytest.approx(time.time(), abs=60)
    found = admin.status()
    assert found["schema"] == 1
    assert found["workers"][0]["number"] == 1


def test_accept_chooses_the_form(start, small):
    admin = Admin(start("main:app", *ADMIN, cwd=small))
    text = admin.get("/metrics", "Accept: text/plain")
    assert text.get("Content-Type") == "text/plain; version=0.0.4; charset=utf-8"
    assert "# TYPE iotax_requests_total counter\n" in text.text
    assert parse(admin.get("/metrics", "Accept: */*").text)


def test_methods_and_paths_are_refused(start, small):
    admin = Admin(start("main:app", *ADMIN, cwd=small))
    with Connection(admin.port) as connection:
        connection.request("POST", "/livez", body=b"x")
        assert connection.head().status in (405, 413)
    assert admin.get("/other").status == 404
    assert "/readyz" in admin.get("/other").text


def test_the_page_allows_only_its_own_style_and_script(start, small):
    answer = Admin(start("main:app", *ADMIN, cwd=small)).get("/")
    policy = answer.get("Content-Security-Policy") or ""
    for name in ("style", "script"):
        (inside,) = re.findall(f"<{name}>(.*?)</{name}>", answer.text, re.S)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'; " in policy
    assert policy.startswith("default-src 'none'; ")


@pytest.mark.browser
def test_the_page_renews_itself(start, small, tmp_path):
    server = start("main:app", *ADMIN, cwd=small)
    admin = Admin(server)
    with Browser(tmp_path / "profile") as browser:
        browser.open(f"http://127.0.0.1:{admin.port}/")
        assert "ready, live" in browser.text
        for _ in range(7):
            with Connection(server.port) as connection:
                connection.ask("/", "Connection: close")
        read = "document.getElementById('requests').textContent"
        admin.wait_until(lambda: browser.evaluate(read) == "7")
        assert browser.evaluate("document.getElementById('lost').textContent") == ""


# ---- while calls hang, and without workers


@pytest.mark.parametrize("path", ["/sleep", "/lock", "/loop", "/gil-for-long"])
@pytest.mark.parametrize("options", [(), ("--workers", "0")], ids=" ".join)
def test_hung_calls_change_nothing(start, path, options, tmp_path):
    server = start("hangs", *ADMIN, *options, "--max-queued", "1", env={"HANGS": str(tmp_path)})
    admin = Admin(server)
    with Connection(server.port) as hung, Connection(server.port) as waiting:
        hung.get(path)
        admin.wait_until(lambda: admin.metrics()["iotax_requests_running"] == 1)
        waiting.get("/")
        admin.wait_until(lambda: admin.metrics()["iotax_requests_queued"] == 1)
        for one in KINDS:
            assert admin.get(one).status == 200
        assert admin.says("/readyz?full") == (503, "not ready: full")
        (worker,) = admin.status()["workers"]
        assert (worker["threads_busy"], worker["queued"]) == (1, 1)
        assert worker["running"][0]["line"] == f"GET {path}"
        assert admin.metrics()["iotax_queue_age_seconds"] > 0
    server.send_signal(signal.SIGQUIT)
    assert server.wait() == 128 + signal.SIGQUIT


@pytest.mark.parametrize("options", [(), ("--workers", "0")], ids=" ".join)
def test_it_is_not_ready_before_the_application_is_imported(project, gates, tmp_path, options):
    cwd = project(
        "main",
        f"import sys; sys.path.insert(0, {str(APPS)!r})\nfrom gate import stay\n"
        "stay('import')\n" + SMALL,
    )
    gate = gates("import")
    server = Server("main:app", *ADMIN, *options, cwd=cwd, env={"GATES": str(tmp_path)})
    try:
        admin = Admin(server)
        gate.wait_entered()
        assert admin.says("/livez") == (200, "live")
        assert admin.says("/readyz") == (503, "not ready: starting")
        gate.release()
        server.wait_until_listening()
        admin.wait_until(lambda: admin.says("/readyz") == (200, "ready"))
        server.stop()
    finally:
        server.kill()


def test_a_stop_is_seen_at_once(start, gates, tmp_path):
    options = ("--threads", "2", "--shutdown-delay", "60")
    server = start("views", *ADMIN, *options, env={"GATES": str(tmp_path)})
    admin = Admin(server)
    server.send_signal(signal.SIGTERM)
    admin.wait_until(lambda: admin.says("/readyz") == (503, "not ready: stopping"))
    assert admin.says("/livez") == (200, "live")
    with Connection(server.port) as connection:  # the delay
        assert connection.ask("/", "Connection: close").status
    server.send_signal(signal.SIGQUIT)
    server.wait()
    with pytest.raises(ConnectionRefusedError):
        Connection(admin.port)


def test_the_port_is_open_until_the_last_worker_has_left(start, tmp_path):
    server = start("hangs", *ADMIN, env={"HANGS": str(tmp_path)}, new_session=True)
    admin = Admin(server)
    with Connection(server.port) as hung:
        hung.get("/sleep")
        admin.wait_until(lambda: admin.metrics()["iotax_requests_running"] == 1)
        os.killpg(server.pid, signal.SIGTERM)
        admin.wait_until(lambda: admin.says("/readyz") == (503, "not ready: stopping"))
        assert admin.metrics()['iotax_workers{state="draining"}'] == 1
        (tmp_path / "let-go").touch()
        assert hung.head().status == 200
    assert server.wait() == 0
    with pytest.raises(ConnectionRefusedError):
        Connection(admin.port)


def test_a_supervisor_that_does_not_run_is_not_live(start, small):
    server = start("main:app", *ADMIN, cwd=small)
    admin = Admin(server)
    server.send_signal(signal.SIGSTOP)
    try:
        admin.wait_until(lambda: admin.get("/livez").status == 503)
        assert "the supervisor has not run for" in admin.get("/livez").text
    finally:
        server.send_signal(signal.SIGCONT)
    admin.wait_until(lambda: admin.says("/livez") == (200, "live"))


# ---- counters


def test_counters_equal_what_the_client_sent(start, small):
    server = start("main:app", *ADMIN, "--workers", "2", cwd=small)
    admin = Admin(server)
    sent = {"2xx": 0, "4xx": 0, "5xx": 0}
    before = admin.metrics()

    def send():
        nonlocal before
        for path, status in (("/", "2xx"), ("/missing", "4xx"), ("/raise", "5xx"), ("/", "2xx")):
            with Connection(server.port) as connection:
                connection.ask(path, "Connection: close")
            sent[status] += 1
        after = admin.metrics()
        never_less(before, after)
        before = after

    def counted():
        series = admin.metrics()
        never_less(before, series)
        return (
            series['iotax_requests_total{by="app",method="GET",status="2xx"}'] == sent["2xx"]
            and series['iotax_requests_total{by="app",method="GET",status="4xx"}'] == sent["4xx"]
            and series['iotax_rejected_total{reason="app_error"}'] == sent["5xx"]
        )

    def exits(cause):
        return admin.metrics()[f'iotax_worker_exits_total{{cause="{cause}"}}']

    send()
    server.send_signal(signal.SIGHUP)
    admin.wait_until(lambda: exits("reload") == 2)
    send()
    for pid in server.workers():
        os.kill(pid, signal.SIGKILL)
        send()
    admin.wait_until(lambda: exits("crash") == 2)
    admin.wait_until(lambda: admin.metrics()['iotax_workers{state="ready"}'] == 2)
    send()
    for number, wanted in ((signal.SIGTTIN, 3), (signal.SIGTTOU, 2)):
        server.send_signal(number)
        admin.wait_until(
            lambda wanted=wanted: (
                admin.metrics()['iotax_workers{state="ready"}'] == wanted
                and admin.metrics()["iotax_workers_wanted"] == wanted
            )
        )
        send()
    admin.wait_until(counted)
    assert admin.metrics()["iotax_worker_starts_total"] == 7


@pytest.mark.parametrize("options", [(), ("--workers", "0")], ids=" ".join)
def test_each_kind_of_request_is_counted(start, small, options):
    server = start("main:app", *ADMIN, *options, "--limit-request-line", "100", cwd=small)
    admin = Admin(server)
    requests = [
        b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /" + b"a" * 200 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    ]
    for text in requests:
        with Connection(server.port) as connection:
            connection.send(text)
            connection.end_sending()
            while connection.receive():
                pass
    admin.wait_until(lambda: sum(ended(admin.metrics(), e) for e in ("complete", "rejected")) == 6)
    series = admin.metrics()
    assert series['iotax_requests_total{by="app",method="HEAD",status="2xx"}'] == 1
    assert series['iotax_requests_total{by="app",method="other",status="2xx"}'] == 1
    assert series['iotax_requests_total{by="server",method="OPTIONS",status="2xx"}'] == 1
    for reason in ("method", "too_large", "malformed"):
        assert series[f'iotax_rejected_total{{reason="{reason}"}}'] == 1
    assert series["iotax_connections_accepted_total"] == 6
    assert series["iotax_received_bytes_total"] == sum(map(len, requests))
    assert series["iotax_request_duration_seconds_count"] == 6
    assert series["iotax_app_duration_seconds_count"] == 2


def test_durations_are_those_of_the_calls(start, small):
    server = start("main:app", *ADMIN, cwd=small)
    admin = Admin(server)
    with Connection(server.port) as connection:
        connection.ask("/nap", "Connection: close")
    admin.wait_until(lambda: admin.metrics()["iotax_app_duration_seconds_count"] == 1)
    series = admin.metrics()
    assert series['iotax_app_duration_seconds_bucket{le="0.025"}'] == 0
    assert series["iotax_app_duration_seconds_sum"] >= 0.03
    assert series["iotax_request_duration_seconds_sum"] >= series["iotax_app_duration_seconds_sum"]


HOLDS = """
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/hold":
        open("go").read()
    if path == "/compute":
        sum(range(3_000_000))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
"""


@pytest.mark.parametrize("options", [(), ("--workers", "0")], ids=" ".join)
def test_waits_deadlines_and_busy_threads_are_counted(start, project, options):
    directory = project("main", HOLDS)
    os.mkfifo(directory / "go")
    server = start("main:app", *ADMIN, *options, "--slow-request", "50ms", cwd=directory)
    admin = Admin(server)
    with Connection(server.port) as first, Connection(server.port) as second:
        first.get("/hold")
        admin.wait_until(lambda: admin.metrics()['iotax_deadlines_total{kind="slow"}'] == 1)
        second.get("/")
        admin.wait_until(lambda: admin.metrics()["iotax_requests_queued"] == 1)
        admin.wait_until(lambda: admin.metrics()['iotax_connections{state="busy"}'] == 2)
        admin.wait_until(lambda: admin.metrics()["iotax_thread_busy_seconds_total"] > 0.05)
        (directory / "go").write_text("")
        assert first.answer().body == second.answer().body == b"ok"
        admin.wait_until(lambda: admin.metrics()["iotax_requests_waited_total"] == 1)
        admin.wait_until(lambda: admin.metrics()['iotax_connections{state="idle"}'] == 2)
        second.ask("/")
    series = admin.metrics()
    assert series["iotax_requests_waited_total"] == 1
    assert series['iotax_deadlines_total{kind="timeout"}'] == 0
    admin.wait_until(lambda: admin.metrics()['iotax_log_lines_total{severity="warning"}'] == 1)


def test_waits_for_the_gil_are_counted(start, project):
    server = start("main:app", *ADMIN, "--threads", "2", cwd=project("main", HOLDS))
    admin = Admin(server)
    with Connection(server.port) as first, Connection(server.port) as second:

        def has_waited():
            first.get("/compute")
            second.get("/compute")
            assert first.answer().body == second.answer().body == b"ok"
            return admin.metrics()["iotax_gil_wait_seconds_total"] > 0

        admin.wait_until(has_waited)


@pytest.mark.parametrize("options", [(), ("--workers", "0")], ids=" ".join)
def test_the_backlog_has_a_line_for_each_tcp_listener(start, small, options, tmp_path):
    listeners = ("-b", "127.0.0.1:0", "-b", "127.0.0.1:0", "-b", f"unix:{tmp_path}/socket")
    server = start("main:app", *ADMIN, *options, *listeners, cwd=small)
    admin = Admin(server)

    def lines():
        return [key for key in admin.metrics() if key.startswith("iotax_backlog_connections{")]

    admin.wait_until(lambda: len(lines()) == 2)
    assert f'iotax_backlog_connections{{listener="http://127.0.0.1:{server.port}"}}' in lines()


def test_connections_that_no_worker_accepts_are_in_the_backlog(start, small):
    server = start("main:app", *ADMIN, cwd=small)
    admin = Admin(server)
    (worker,) = server.workers()
    line = f'iotax_backlog_connections{{listener="http://127.0.0.1:{server.port}"}}'
    admin.wait_until(lambda: admin.metrics()[line] == 0)
    os.kill(worker, signal.SIGSTOP)
    try:
        with Connection(server.port), Connection(server.port):
            admin.wait_until(lambda: admin.metrics()[line] == 2)
    finally:
        os.kill(worker, signal.SIGCONT)
    admin.wait_until(lambda: admin.metrics()[line] == 0)


def test_the_number_of_series_does_not_depend_on_clients(start, small):
    server = start("main:app", *ADMIN, cwd=small)
    admin = Admin(server)
    admin.wait_until(lambda: 'iotax_worker_resident_memory_bytes{worker="1"}' in admin.metrics())
    before = admin.metrics().keys()
    for n in range(50):
        with Connection(server.port) as connection:
            connection.send(f"GET /{n} HTTP/1.0\r\nHost: h{n}\r\nX-{n}: {n}\r\n\r\n".encode())
            connection.rest()
    assert admin.metrics().keys() == before
    assert len(before) <= 400


# ---- its process


def test_its_process_is_started_again(start, small):
    server = start("main:app", *ADMIN, cwd=small)
    admin = Admin(server)
    admin.get("/livez")
    killed = admin_process(server)
    workers = server.workers()
    os.kill(killed, signal.SIGKILL)
    server.err.wait_for(
        rf"The admin process \[{killed}\] was killed by SIGKILL .*; starting another"
    )
    assert admin.says("/livez") == (200, "live")  # waits in the backlog
    assert admin_process(server) != killed
    assert server.workers() == workers


def test_it_ignores_the_signals_of_operators(start, small):
    server = start("main:app", *ADMIN, cwd=small)
    admin = Admin(server)
    admin.get("/livez")
    pid = admin_process(server)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1):
        os.kill(pid, number)
    assert admin.says("/livez") == (200, "live")
    assert admin_process(server) == pid


def test_without_it_there_is_nothing(start, small):
    with_it = start("main:app", *ADMIN, cwd=small)
    without = start("main:app", cwd=small)
    admin = Admin(with_it)
    admin.get("/livez")
    (worker,) = without.workers()
    (counted,) = with_it.workers()
    assert children(without.pid) == [worker]
    assert len(sockets(with_it.pid)) == len(sockets(without.pid)) + 2  # listener and channel
    admin.wait_until(lambda: len(sockets(counted)) == len(sockets(worker)))
    assert threads(counted) == threads(worker)
    # Their start may not be over in the first period.
    admin.wait_until(lambda: waits(without, 2.5) == [0, 0])
    admin.wait_until(lambda: all(2 <= count <= 3 for count in waits(with_it, 2.5)))


def waits(server, seconds):
    """How often the supervisor and the worker begin to wait within this time."""
    pids = (server.pid, *server.workers())
    before = [switches(pid) for pid in pids]
    time.sleep(seconds)
    return [switches(pid) - count for pid, count in zip(pids, before, strict=True)]


def switches(pid):
    """How often the threads of a process have waited."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as file:
            total += int(re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", file.read(), re.M)[0])
    return total


def test_strange_clients_do_not_reach_the_application(start, small):
    server = start("main:app", *ADMIN, cwd=small)
    admin = Admin(server)
    with contextlib.ExitStack() as stack:
        for n in range(65):
            connection = stack.enter_context(Connection(admin.port))
            connection.send(b"GET /livez HTT" if n % 2 else b"")
        with Connection(server.port) as connection:
            assert connection.ask("/", "Connection: close").status == 200
    assert admin.says("/livez") == (200, "live")
    with Connection(admin.port) as connection:
        connection.send(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        assert [connection.answer().status for _ in range(3)] == [200] * 3
    for text in (b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET /" + b"a" * 9000):
        with Connection(admin.port) as connection:
            connection.send(text)
            assert connection.head().status >= 400


# ---- addresses


def test_an_open_address_is_warned_about_and_hides_requests(start, tmp_path):
    server = Server("hangs", "--admin", "0.0.0.0:0", env={"HANGS": str(tmp_path)})
    try:
        server.wait_until_listening()
        port = int(server.err.wait_for(r"Admin: http://0\.0\.0\.0:(\d+)")[1])
        warning = rf"WARNING: +--admin 0\.0\.0\.0:{port} is open to other machines and asks for no"
        server.err.wait_for(warning)
        with Connection(server.port) as hung:
            hung.get("/sleep")
            with Connection(port) as connection:
                text = ""
                while '"running":[{' not in text:
                    connection.send(b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                    text = connection.answer().text
            assert "sleep" not in text
            (tmp_path / "let-go").touch()
            assert hung.head().status == 200
        server.stop()
    finally:
        server.kill()


def test_pages_need_a_host_that_is_an_address(start, small):
    admin = Admin(start("main:app", *ADMIN, cwd=small))
    for path in ("/", "/status"):
        with Connection(admin.port) as connection:
            connection.send(f"GET {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n".encode())
            assert connection.head().status == 421


def test_a_unix_socket(start, small, tmp_path):
    path = tmp_path / "admin.sock"
    server = start("main:app", "--admin", f"unix:{path}", cwd=small)
    with Connection(path=str(path)) as connection:
        assert connection.ask("/livez").text == "live\n"
    server.stop()
    assert not path.exists()


def test_a_passed_socket(start, small):
    with tcp_socket() as web, tcp_socket() as admin:
        start(
            "main:app", "--admin", "fd://admin", cwd=small, **passing(web, admin, names="web:admin")
        )
        for sock, path, expected in ((web, "/", None), (admin, "/livez", "live\n")):
            with Connection(sock.getsockname()[1]) as connection:
                answer = connection.ask(path, "Connection: close")
                assert answer.status == 200
                assert expected in (None, answer.text)


def test_an_address_in_use(small):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run_command("main:app", "--admin", address, "--port", "0", cwd=small)
    assert done.returncode == 4
    assert f"iotax: {address} is in use: " in done.stderr
    assert "e.g. --admin 127.0.0.1:" in done.stderr


def test_an_address_without_a_port(small):
    done = run_command("main:app", "--admin", "127.0.0.1", cwd=small)
    assert done.returncode == 2
    assert '--admin: "127.0.0.1" has no port; expected host:port' in done.stderr


# ---- the library


def test_the_library_serves_it_in_a_thread():
    program = """
        import json, threading, urllib.request
        from iotax import Server
        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"x"]
        def get(port, path):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
                return answer.read().decode()
        server = Server(app, port=0, admin="127.0.0.1:0", access_log=False)
        assert server.admin_port == 0
        for round in range(2):
            with server.background():
                assert server.admin_port not in (0, server.port)
                while True:
                    try:
                        assert get(server.admin_port, "/readyz") == "ready\\n"
                        break
                    except OSError:
                        pass
                get(server.port, "/")
                port = server.admin_port
                status = json.loads(get(port, "/status"))
                print(status["totals"]["requests"], len(status["workers"]))
            try:
                get(port, "/livez")
            except OSError:
                print("closed")
        plain = Server(app, port=0)
        assert plain.admin_port == 0
        plain.close()
        print(sorted(t.name for t in threading.enumerate()))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=environment({"NO_PROXY": "*"}),
        capture_output=True,
        text=True,
        timeout=patience.SECONDS,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1 1\nclosed\n1 1\nclosed\n['MainThread']\n"


def test_a_child_of_the_application_has_no_admin_listener(start, project):
    cwd = project(
        "main",
        "import os, time\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    time.sleep(60)\n"
        "    os._exit(0)\n" + SMALL + "\n"
        "_app = app\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return [str(child).encode()]\n",
    )
    server = start("main:app", *ADMIN, "--workers", "0", cwd=cwd)
    admin = Admin(server)
    with Connection(server.port) as connection:
        child = int(connection.ask("/", "Connection: close").text)
    try:
        assert admin.says("/livez") == (200, "live")
        assert state(child) == "S"
        assert threads(child) == 1
    finally:
        os.kill(child, signal.SIGKILL)
