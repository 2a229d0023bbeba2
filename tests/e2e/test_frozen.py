"""Stopped processes that continue: input that arrived in time is served, and frozen time counts
for no timeout."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator

import pytest
from support.processes import children, state
from support.server import Server
from support.wire import Connection

# A server may count up to half a second of a freeze as running time. So a request runs for half a
# second, has another one until its limit, and a freeze is longer than that.
LIMIT = "2s"
FROZEN_SECONDS = 2.6

SLEEPER = """
import os, time

if seconds := float(os.environ.get("IMPORT_SECONDS", "0")):
    open("importing", "w").close()
    for _ in range(round(seconds * 50)):
        time.sleep(0.02)  # in pieces, as work would be

def app(environ, start_response):
    if environ["PATH_INFO"] == "/work":
        for _ in range(25):
            time.sleep(0.02)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    environ["wsgi.input"].read()
    return [b"ok"]
"""


@contextlib.contextmanager
def frozen(*pids: int, seconds: float = FROZEN_SECONDS) -> Iterator[None]:
    """The processes are stopped within the block, and for some time after it."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        while not all(state(pid) == "T" for pid in pids):
            time.sleep(0.001)
        yield
        time.sleep(seconds)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def all_of(server: Server) -> list[int]:
    return [server.process.pid, *children(server.process.pid)]


@pytest.fixture
def serve(project, start):
    def one(*arguments: str, **more: object) -> Server:
        directory = project("main", SLEEPER)
        return start("main:app", *arguments, cwd=directory, **more)

    return one


def test_requests_that_came_in_time_are_served(serve):
    server = serve("--keep-alive", LIMIT, "--receive-timeout", LIMIT)
    with Connection(server.port) as kept, Connection(server.port) as posting:
        kept.get("/")
        assert kept.answer().status == 200
        posting.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
        with frozen(*all_of(server)):
            kept.get("/")
            posting.send(b"67890")
        assert kept.answer().status == 200
        assert posting.answer().status == 200


@pytest.mark.parametrize("which", ["all", "worker"])
def test_a_freeze_does_not_count_for_a_call(serve, which):
    server = serve("--request-timeout", LIMIT)
    pids = all_of(server)
    with Connection(server.port) as working:
        working.get("/work")
        with frozen(*(pids if which == "all" else pids[1:])):
            pass
        assert working.answer().status == 200
    assert "--request-timeout" not in server.err.text
    assert "is stuck" not in server.err.text


@pytest.mark.parametrize("which", ["all", "supervisor"])
def test_a_freeze_does_not_count_for_a_boot(project, which):
    directory = project("main", SLEEPER)
    server = Server("main:app", "--boot-timeout", "6s", cwd=directory, env={"IMPORT_SECONDS": "1"})
    try:
        while not (directory / "importing").exists():
            time.sleep(0.01)
        pids = all_of(server)
        with frozen(*(pids if which == "all" else pids[:1]), seconds=6):
            pass
        server.wait_until_listening()
        assert "--boot-timeout" not in server.err.text
        server.stop()
    finally:
        server.kill()


def test_a_freeze_does_not_count_for_a_stop(serve):
    server = serve("--graceful-timeout", LIMIT)
    with Connection(server.port) as working:
        working.get("/work")
        server.process.send_signal(signal.SIGTERM)
        with frozen(*all_of(server)):
            pass
        assert working.answer().status == 200
    assert server.process.wait() == 0
    assert "killed" not in server.err.text
