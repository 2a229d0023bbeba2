"""--statsd-host: what real processes send over UDP and Unix sockets."""

import importlib.util
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from support.server import environment, run_command
from support.statsd import Statsd
from support.wire import Connection

WAYS = pytest.mark.parametrize(
    "options", [("--workers=2",), ("--preload",), ("--workers=0",)], ids=" ".join
)
APP = """
import os
import sys

def app(environ, start_response):
    first, *rest = environ["PATH_INFO"].strip("/").split("/")
    if first == "raise":
        raise ValueError(*rest)
    if first == "fork":
        if os.fork() == 0:
            environ["wsgi.errors"].write("of the child\\n")
            os._exit(0)
        os.wait()
    environ["wsgi.input"].read()
    start_response(f"{first if first.isdigit() else 200} Status", [("Content-Length", "0")])
    return []
"""
REQUESTS = [
    ("GET", "/200"),
    ("GET", "/404"),
    ("GET", "/500"),
    ("HEAD", "/200"),
    ("POST", "/201"),
    ("GET", "/302"),
]
DURATION = "gunicorn.request.duration:T|ms"
REQUEST = "gunicorn.requests:1|c|@1.0"


def status(number: int) -> str:
    return f"gunicorn.request.status.{number}:1|c|@1.0"


def workers(count: int) -> str:
    return f"gunicorn.workers:{count}|g"


def of_requests(*statuses: int) -> Counter[str]:
    """The lines of requests that got these statuses."""
    count = len(statuses)
    return Counter({DURATION: count, REQUEST: count}) + Counter(map(status, statuses))


@pytest.fixture
def statsd():
    with Statsd() as receiver:
        yield receiver


@pytest.fixture
def serve(start, project):
    def serve(receiver, *options):
        return start(
            "main", f"--statsd-host={receiver.address}", *options, cwd=project("main", APP)
        )

    return serve


def ask(server, *targets):
    for target in targets:
        with Connection(server.port) as connection:
            connection.ask(target, "Connection: close")


@WAYS
@pytest.mark.parametrize("kind", ["udp", "udp6", "unix"])
def test_each_request_and_the_workers_are_counted(serve, tmp_path, options, kind):
    receiver = {
        "udp": Statsd,
        "udp6": lambda: Statsd(host="::1"),
        "unix": lambda: Statsd(path=tmp_path / "s"),
    }[kind]
    with receiver() as statsd:
        server = serve(statsd, *options)
        ask(server, "/200", "/404", "/500", "/200")
        for line, count in of_requests(200, 404, 500, 200).items():
            statsd.wait_for(line, count)
        statsd.wait_for(workers(2 if "=2" in options[0] else 1))
        server.stop()
        statsd.receive_rest()
        assert Counter(
            {line: n for line, n in statsd.counts.items() if "workers" not in line}
        ) == of_requests(200, 404, 500, 200)
        assert [line for line in statsd.lines if "workers" in line][-1] == workers(0)
        assert all(len(datagram) <= 1432 for datagram in statsd.datagrams)


def test_lines_of_many_requests_are_packed(serve, statsd):
    """Without an access log too, and nothing is lost at the end."""
    server = serve(statsd, "--no-access-log")
    with Connection(server.port) as connection:
        connection.send(b"GET /200 HTTP/1.1\r\nHost: a\r\n\r\n" * 99)
        connection.send(b"GET /404 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        while connection.receive():
            pass
    server.stop()
    statsd.receive_rest()
    assert statsd.counts - Counter({workers(1): 1, workers(0): 1}) == of_requests(*[200] * 99, 404)
    full = [datagram for datagram in statsd.datagrams if len(datagram) > 1432 - 50]
    assert full
    assert all(len(datagram) <= 1432 for datagram in statsd.datagrams)


def test_prefix_and_tags_are_part_of_each_line(serve, statsd):
    server = serve(statsd, "--statsd-prefix=site..", "--dogstatsd-tags=a:b,c:d")
    ask(server, "/200")
    server.stop()
    statsd.receive_rest()
    assert statsd.counts == Counter(
        f"site.{line}|#a:b,c:d" for line in [workers(1), *of_requests(200), workers(0)]
    )


@WAYS
def test_lines_of_the_log_are_counted_by_severity(serve, statsd, options):
    """An exception of the application is an error, a malformed request a warning."""
    server = serve(statsd, *options)
    ask(server, "/raise/a")
    with Connection(server.port) as connection:
        connection.send(b"GET / HTTP/1.1\r\n\r\n")
        assert connection.answer().status == 400
    server.stop()
    statsd.receive_rest()
    assert statsd.counts["gunicorn.log.error:1|c|@1.0"] == 1
    warnings = server.err.wait_for_end().count("WARNING:")
    assert statsd.counts["gunicorn.log.warning:1|c|@1.0"] == warnings >= 1
    assert statsd.counts[status(500)] == statsd.counts[status(400)] == 1


def test_lines_of_the_supervisor_are_counted(serve, statsd):
    server = serve(statsd)
    (pid,) = server.wait_for_workers(1)
    os.kill(pid, signal.SIGKILL)
    server.wait_for_workers(2)
    statsd.wait_for("gunicorn.log.error:1|c|@1.0")
    statsd.wait_for(workers(0))
    statsd.wait_for(workers(1), 2)


def test_the_gauge_follows_signals_and_not_a_reload(serve, statsd):
    server = serve(statsd)
    statsd.wait_for(workers(1))
    server.send_signal(signal.SIGTTIN)
    statsd.wait_for(workers(2))
    server.send_signal(signal.SIGTTOU)
    statsd.wait_for(workers(1), 2)
    server.send_signal(signal.SIGHUP)
    server.err.wait_for("replaces .*SIGHUP")
    server.stop()
    statsd.receive_rest()
    assert [line for line in statsd.lines if "workers" in line] == [
        *map(workers, (1, 2, 1, 0)),
    ]


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=" ".join)
def test_hup_changes_the_receiver(start, project, statsd, options):
    directory = project("main", APP)
    settings = directory / "iotax.toml"
    settings.write_text(f'statsd-host = "{statsd.address}"\n')
    server = start("main", *options, cwd=directory)
    statsd.wait_for(workers(1))
    with Statsd() as other:
        settings.write_text(f'statsd-host = "{other.address}"\nstatsd-prefix = "new"\n')
        server.send_signal(signal.SIGHUP)
        other.wait_for(f"new.{workers(1)}")
        server.err.wait_for("replaces .*SIGHUP")
        ask(server, "/404")
        other.wait_for(f"new.{status(404)}")
        settings.write_text('statsd-host = "no.such.host.invalid:8125"\n')
        server.send_signal(signal.SIGHUP)
        server.err.wait_for("does not resolve")
        server.err.wait_for("Keeping the current settings and workers")
        ask(server, "/302")
        other.wait_for(f"new.{status(302)}")
    statsd.receive_rest()
    assert not of_requests(404, 302) & statsd.counts


def test_a_receiver_that_comes_later_is_found(serve, tmp_path):
    """Also again; requests are served meanwhile, and there is one warning."""
    path = tmp_path / "s"
    gone = Statsd(path=path)
    server = serve(gone, "--workers=2")
    gone.close()
    path.unlink()
    ask(server, "/200", "/200")
    server.err.wait_for(f"WARNING: .*Lines for statsd at {path} are lost: No such file")
    for number in (404, 302):
        with Statsd(path=path) as statsd:
            while not statsd.counts[status(number)]:
                ask(server, f"/{number}")
                statsd.receive()
        path.unlink()
    server.stop()
    assert server.err.wait_for_end().count("are lost") == 1


def test_without_a_udp_receiver_lines_are_lost_with_a_warning(serve, statsd):
    server = serve(statsd, "--workers=0")
    statsd.close()
    while "are lost" not in server.err.text:
        ask(server, *["/200"] * 20)
    server.err.wait_for(rf"Lines for statsd at {statsd.address} are lost: Connection refused")


def test_a_receiver_that_does_not_read_holds_no_request_up(serve, tmp_path):
    """The buffer of its socket is full; at the end every request has been served."""
    with Statsd(path=tmp_path / "s") as statsd:
        server = serve(statsd, "--no-access-log", "--keep-alive-requests=0")
        with Connection(server.port) as connection:
            while "are lost" not in server.err.text:
                for _ in range(100):
                    assert connection.ask("/200").status == 200
        server.err.wait_for(f"Lines for statsd at {tmp_path / 's'} are lost: its socket is full")


def test_a_worker_of_reload_counts_too(serve, statsd):
    server = serve(statsd, "--reload")
    statsd.wait_for(workers(1))
    ask(server, "/404")
    statsd.wait_for(status(404))


def test_a_process_that_the_application_forks_sends_nothing(serve, statsd):
    server = serve(statsd)
    ask(server, "/fork", "/200")
    server.stop()
    statsd.receive_rest()
    assert statsd.counts == of_requests(200, 200) + Counter([workers(1), workers(0)])


def test_no_line_has_bytes_of_a_client(serve, statsd):
    evil = b"x%0Agunicorn.workers:9%7Cg|c@1#a"
    server = serve(statsd)
    with Connection(server.port) as connection:
        connection.send(b"GET /200/" + evil + b"?" + evil + b" HTTP/1.1\r\nHost: " + b"a\r\n\r\n")
        connection.answer()
    for raw in (b"G\tT:1|g /\r\n\r\n", b"GET / HTTP/9:1|g\r\nHost: a\r\n\r\n", evil + b"\r\n\r\n"):
        with Connection(server.port) as connection:
            connection.send(raw)
            connection.answer()
    server.stop()
    statsd.receive_rest()
    known = {DURATION, REQUEST, workers(1), workers(0), "gunicorn.log.warning:1|c|@1.0"}
    known |= {status(number) for number in (200, 400, 501, 505)}
    assert statsd.counts.keys() <= known
    assert statsd.counts[REQUEST] == 4


def test_the_library_sends_lines_of_its_requests(tmp_path, statsd):
    program = tmp_path / "program.py"
    program.write_text(
        f"""
import urllib.request
import iotax

def app(environ, start_response):
    start_response("204 No Content", [])
    return []

server = iotax.Server(app, port=0, statsd_host="{statsd.address}", statsd_prefix="lib")
for _ in range(2):
    with server.background():
        urllib.request.urlopen(f"http://127.0.0.1:{{server.port}}/").read()
try:
    with iotax.Server(app, port=0, statsd_host="no.such.host.invalid:1").background():
        pass
except ValueError as error:
    print(error)
"""
    )
    done = subprocess.run(
        [sys.executable, str(program)], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert 'statsd_host: "no.such.host.invalid:1" does not resolve (' in done.stdout
    statsd.receive_rest()
    expected = of_requests(204, 204) + Counter([workers(1), workers(0)] * 2)
    assert statsd.counts == Counter({f"lib.{line}": n for line, n in expected.items()})


@pytest.mark.parametrize("check", [(), ("--check-config",)])
def test_a_host_that_does_not_resolve_is_an_error(project, check):
    options = ("--statsd-host=no.such.host.invalid:8125", *check)
    done = run_command("main", *options, cwd=project("main", APP))
    assert done.returncode == 2
    assert '--statsd-host: "no.such.host.invalid:8125" does not resolve (' in done.stderr
    assert done.stderr.strip().endswith("; e.g. --statsd-host 127.0.0.1:8125")


@pytest.mark.skipif(
    importlib.util.find_spec("gunicorn") is None,
    reason="gunicorn is not installed (./test --full installs it)",
)
def test_the_lines_are_those_of_gunicorn(serve, project, tmp_path):
    options = ("--statsd-prefix=site.", "--dogstatsd-tags=a:b,c:d")
    gauge = f"site.{workers(2)}|#a:b,c:d"
    with Statsd() as ours, Statsd() as theirs:
        server = serve(ours, "--workers=2", *options)
        ours.wait_for(gauge)
        requests_to(server.port)
        server.stop()
        ours.receive_rest()
        port = gunicorn_answers(project("main", APP), theirs, *options)
        assert port
        theirs.receive_rest()
    kept = [
        {line: n for line, n in found.counts.items() if "workers" not in line}
        for found in (ours, theirs)
    ]
    assert kept[0] == kept[1]
    assert gauge in theirs.lines


def requests_to(port: int) -> None:
    for method, target in REQUESTS:
        with Connection(port) as connection:
            connection.ask(target, "Connection: close", method=method)


def gunicorn_answers(directory: Path, statsd: Statsd, *options: str) -> int:
    """Let gunicorn serve the requests, and stop it. Returns its port."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "main:app", "--bind=127.0.0.1:0", "--workers=2"),
            *(f"--statsd-host={statsd.address}", *options),
        ],
        cwd=directory,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process:
        port = next(
            int(line.rpartition(":")[2].partition(" ")[0])
            for line in process.stderr
            if "Listening at" in line
        )
        requests_to(port)
        process.terminate()
        process.stderr.read()
    return port
