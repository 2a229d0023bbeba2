"""Clients that take and do not give, four for each of four threads, and an honest one beside them.

The server's time-outs are an hour here, so none of them is what lets the honest one through. What
is said of octets that are no request is in conformance/http1; here it is the tables of what other
servers do that are repeated, against a live server.
"""

import contextlib
import resource
import signal
import socket

import pytest
from support import hostile
from support.mixed import resident_kib
from support.processes import sockets
from support.server import Server
from support.wire import Connection

THREADS = 4
FOR_EVER = [
    "--receive-timeout", "1h", "--send-timeout", "1h", "--keep-alive", "1h", "--min-rate", "0",
    "--keep-alive-requests", "0",
]  # fmt: skip


@pytest.fixture(scope="module")
def patient():
    """Waits for its clients for ever."""
    with running("--threads", str(THREADS), *FOR_EVER) as server:
        yield server


@pytest.fixture(scope="module", params=["buffered", "as it comes"])
def server(request):
    with running(*([] if request.param == "buffered" else ["--no-request-buffering"])) as server:
        yield server


@contextlib.contextmanager
def running(*options):
    server = Server("views", "--no-access-log", *options)
    try:
        yield server.wait_until_listening()
        server.stop()
    finally:
        server.kill()


def ask_honestly(port, rounds=5):
    with Connection(port) as honest:
        for _ in range(rounds):
            answer = honest.ask("/digest", method="POST", body=b"honest")
            assert (answer.status, answer.complete) == (200, True)


@pytest.mark.parametrize("name", list(hostile.CLIENTS))
def test_an_honest_client_beside_hostile_ones(patient, name):
    port = patient.port
    way = hostile.CLIENTS[name]
    with contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(Connection(port, receive_buffer=way.receive_buffer))
            for _ in range(4 * THREADS)
        ]
        for connection in connections:
            way.begin(connection)
        for _ in range(5):
            ask_honestly(port, rounds=2)
            for connection in connections if way.goes_on else []:
                way.goes_on(connection)
        for connection in connections if way.is_over else []:
            connection.rest()
    ask_honestly(port)


def test_content_that_does_not_come_holds_one_thread_and_no_more(start):
    """With --no-request-buffering a thread waits for its client; the others serve."""
    server = start(
        "views", "--threads", str(THREADS), "--no-request-buffering", "--no-access-log", *FOR_EVER
    )
    with contextlib.ExitStack() as stack:
        for _ in range(THREADS - 1):
            connection = stack.enter_context(Connection(server.port))
            hostile.CLIENTS["half of its content"].begin(connection)
        ask_honestly(server.port)


@pytest.mark.parametrize("name", list(hostile.STRICT))
def test_what_is_no_request_is_refused(server, name):
    octets, statuses = hostile.STRICT[name]
    with Connection(server.port) as connection:
        connection.send(octets)
        answer = connection.answer()
        assert answer.status in statuses
        assert answer.get("Connection") == "close"
        assert connection.rest() == b""
    ask_honestly(server.port, rounds=1)


@pytest.mark.parametrize("phase", hostile.RESETS)
def test_resets_leave_no_descriptor_behind(patient, phase):
    ask_honestly(patient.port)
    (worker,) = patient.workers()
    before = len(sockets(worker))
    for _ in range(20):
        hostile.reset(patient.port, hostile.RESETS[phase])
        ask_honestly(patient.port, rounds=1)
    for _ in range(1000):  # the last ones may not have been seen yet
        if len(sockets(worker)) <= before:
            break
        ask_honestly(patient.port, rounds=1)
    assert len(sockets(worker)) <= before


def test_random_octets_from_many_clients(server):
    (worker,) = server.workers()
    idle = hostile.descriptors(worker)
    for seed in range(300):
        with Connection(server.port) as connection:
            with contextlib.suppress(OSError):
                connection.send(hostile.noise(seed))
                connection.end_sending()
            connection.rest()
        if seed % 50 == 0:
            ask_honestly(server.port, rounds=1)
    while hostile.descriptors(worker) > idle:
        ask_honestly(server.port, rounds=1)


def test_ten_thousand_idle_connections(start):
    """They cost less than 4 KiB each (1.9 measured), and an honest client is served beside them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(10_000, hard - 500) if hard > 0 else 10_000

    def as_many_as_may_be():
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = start(
        "views", "--workers", "0", "--no-access-log", *FOR_EVER, before_start=as_many_as_may_be
    )
    try:
        with contextlib.ExitStack() as stack:
            ask_honestly(server.port)
            before = resident_kib(server.pid)
            for number in range(count):
                connection = stack.enter_context(Connection(server.port))
                connection.get("/hello")
                assert connection.answer().status == 200
                if number % 1000 == 0:
                    ask_honestly(server.port, rounds=1)
            octets = (resident_kib(server.pid) - before) * 1024 / count
            print(f"{count} idle connections, {octets:.0f} octets each")
            ask_honestly(server.port)
            assert octets < 4096
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_full_listen_queue_is_served_when_it_is_looked_at(start):
    server = start("views", "--workers", "0", "--backlog", "4")
    server.send_signal(signal.SIGSTOP)
    try:
        with contextlib.ExitStack() as stack:
            late = []
            for _ in range(40):  # those that find no room ask the kernel again, by themselves
                one = stack.enter_context(socket.socket())
                one.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    one.connect(("127.0.0.1", server.port))
                late.append(one)
            server.send_signal(signal.SIGCONT)
            for one in late:
                one.settimeout(60)
                one.sendall(b"GET /hello HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
                assert one.recv(12) == b"HTTP/1.1 200"
    finally:
        server.send_signal(signal.SIGCONT)


def test_no_room_for_temporary_files(start):
    """A file may not grow beyond 64 KiB here: to a write that is what a full folder is, too."""

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))

    server = start("views", "--body-memory", "1K", before_start=small_files)
    with Connection(server.port) as early:
        assert early.ask("/hello").status == 200
        with Connection(server.port) as connection:
            connection.request("POST", "/digest", "Content-Length: 500000")
            connection.send(b"x" * 200_000)
            assert connection.answer().status in (503, 507)
        assert early.ask("/digest", method="POST", body=b"x" * 30_000).status == 200
