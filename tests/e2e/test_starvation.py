"""Clients that hold what a server has too little of: an honest one beside them is served.

The clients are data (tests/support/hostile.py). There is one application thread, and every time-out
is far away: whatever is answered here is answered although the others are still there. What the
time-outs do to them is in test_limits.py, calls that hang in test_threads.py (one thread fewer than
there are) and test_deadlines.py (all of them), descriptors that run out in test_clients.py.
"""

import contextlib
import errno
import os
import resource
import select
import signal
import socket

import pytest
from support import patience
from support.hostile import (
    APPLICATION,
    IDLE,
    RESETS,
    SLOW,
    STEPS,
    Crowd,
    get,
    noise,
    reset,
)
from support.processes import resident_bytes, sockets, waiting_to_be_accepted, why_no_namespace
from support.wire import Connection

PATIENT = (
    *("--receive-timeout", "1h", "--send-timeout", "1h", "--keep-alive", "1h", "--min-rate", "0"),
    *("--keep-alive-requests", "0", "--no-access-log"),
)


@pytest.fixture
def server(start):
    return start(APPLICATION, *PATIENT)


def is_served(port):
    """An honest client: it has a connection of its own, and content."""
    with Connection(port) as connection:
        answer = connection.ask("/digest", method="POST", body=b"honest")
        assert answer.status == 200
        assert answer.complete


@pytest.mark.smoke
@pytest.mark.parametrize("row", SLOW, ids=lambda row: row.does)
def test_200_slow_clients(server, row):
    """They move on each time the honest one has been answered, and in the end they are honest."""
    with Crowd(row, server.port, 200) as crowd:
        crowd.wait_until_begun()
        for _ in range(STEPS):
            is_served(server.port)
            crowd.step()
        is_served(server.port)
        assert row.reads or crowd.left_alone() == 200
        crowd.finish()


def test_10000_idle_connections(start):
    """They come to less than 8 KiB of memory each."""
    count = 10_000
    with descriptor_limit(count + 1000):
        server = start(APPLICATION, *PATIENT)
        is_served(server.port)
        (worker,) = server.workers()
        before = resident_bytes(worker)
        with Crowd(IDLE, server.port, count) as crowd:
            crowd.wait_until_begun()
            each = (resident_bytes(worker) - before) / count
            print(f"{each:.0f} bytes for each idle connection")
            is_served(server.port)
            assert crowd.left_alone() == count
            assert crowd.connections[0].ask("/hello").status == 200
            assert crowd.connections[-1].ask("/hello").status == 200
        is_served(server.port)
    assert each < 8192


@contextlib.contextmanager
def descriptor_limit(count):
    """For the test, and for the servers that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(hard, count)))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_full_listen_queue(start):
    """The server stands still until its queue is full; whoever came then is served, also a client
    that the system had to turn away at first."""
    server = start(APPLICATION, *PATIENT, "--workers", "0", "--backlog", "8")
    server.send_signal(signal.SIGSTOP)
    os.waitpid(server.pid, os.WUNTRACED)
    with contextlib.ExitStack() as stack:
        came = [stack.enter_context(Connection(server.port)) for _ in range(9)]  # one above 8
        for connection in came:
            connection.get("/hello")
        while waiting_to_be_accepted(server.port) < len(came):
            pass
        late = stack.enter_context(socket.socket())
        late.setblocking(False)
        assert late.connect_ex(("127.0.0.1", server.port)) == errno.EINPROGRESS
        server.send_signal(signal.SIGCONT)
        for connection in came:
            assert connection.answer().status == 200
        late.settimeout(patience.SECONDS)
        assert select.select([], [late], [], patience.SECONDS)[1]
        late.sendall(get("/hello"))
        assert late.recv(12) == b"HTTP/1.1 200"
    is_served(server.port)


@pytest.mark.parametrize("phase", RESETS)
def test_resets(server, phase):
    """Their descriptors come back."""
    is_served(server.port)
    (worker,) = server.workers()
    before = len(sockets(worker))
    for _ in range(20):
        reset(server.port, RESETS[phase])
        is_served(server.port)
    for _ in range(1000):
        is_served(server.port)
        if len(sockets(worker)) <= before:
            break
    assert len(sockets(worker)) <= before


def test_200_clients_that_send_anything(server):
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Connection(server.port)) for _ in range(200)]
        for seed, client in enumerate(clients):
            client.socket.sendall(noise(seed))
            is_served(server.port)
        for client in clients:
            client.end_sending()
            assert client.rest()[9:12] in (b"400", b"501", b"505", b"")
    is_served(server.port)


def test_all_threads_hang(start, tmp_path):
    """With --request-timeout the honest client waits no longer than that."""
    options = ("--threads", "4", "--request-timeout", "300ms", "--workers", "0")
    server = start("hangs", *options, env={"HANGS": str(tmp_path)})
    with contextlib.ExitStack() as stack:
        hanging = [stack.enter_context(Connection(server.port)) for _ in range(4)]
        for connection in hanging:
            connection.get("/sleep")
        with Connection(server.port) as honest:
            assert honest.ask("/").status == 200
        assert [connection.answer().status for connection in hanging] == [504] * 4


@pytest.mark.parametrize(
    ("count", "timeout"), [(4, "300ms"), (1, "0")], ids=["receive-timeout", "minimum rate"]
)
def test_without_request_buffering(start, count, timeout):
    """The only thread waits for content: --receive-timeout for each client, or without it for the
    10 s after which a minimum rate is asked for."""
    (half,) = (row for row in SLOW if row.does == "half the content, then nothing")
    server = start(APPLICATION, "--no-request-buffering", "--receive-timeout", timeout)
    with Crowd(half, server.port, count) as crowd:
        is_served(server.port)
        for connection in crowd.connections:
            connection.rest()
    is_served(server.port)


def test_full_folder_for_temporary_files(start, tmp_path):
    """Content that has no place is refused; what is in memory is served."""
    folder = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=64k none "$0" && exec "$@"')
    if why := why_no_namespace((*folder, str(tmp_path))):
        pytest.skip(f"no mount namespace to be had here: {why}")
    sizes = ("--body-memory", "1K", "--answer-memory", "1K", "--spool-dir", str(tmp_path))
    server = start(APPLICATION, *PATIENT, *sizes, under=(*folder, str(tmp_path)))
    with Connection(server.port) as kept:
        for _ in range(10):
            with Connection(server.port) as connection:
                connection.request("POST", "/digest", body=b"x" * 500_000)
                assert connection.answer().status == 503
            assert kept.ask("/digest", method="POST", body=b"x" * 1000).status == 200
        # An answer is there already: it stays in memory.
        assert kept.ask("/big?bytes=1000000").body == b"x" * 1_000_000
        # Nothing of it all is left in the folder.
        assert kept.ask("/digest", method="POST", body=b"x" * 50_000).text.startswith("50000 ")
    server.err.wait_for(r"WARNING: .*503 .*")
