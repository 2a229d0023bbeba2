"""Clients that use resources without need, four for each of four threads, next to an honest client.

The timeouts of the server are an hour here, so none of them is what serves the honest client. Bytes
that are not a request are in conformance/http1; this file repeats the tables about other servers
against a live server.
"""

import contextlib
import resource
import signal

import pytest
from support import hostile, patience
from support.mixed import resident_kib
from support.processes import sockets, why_no_namespace
from support.server import Server
from support.wire import Connection

THREADS = 4
FOR_EVER = [
    "--receive-timeout", "1h", "--send-timeout", "1h", "--keep-alive", "1h", "--min-rate", "0",
    "--keep-alive-requests", "0",
]  # fmt: skip


HOW = {"buffered": [], "as it comes": ["--no-request-buffering"]}
# Next to these a thread stays free: if bodies are read as they arrive, some occupy theirs; see
# below.
HARMLESS = [
    (how, name)
    for how in HOW
    for name, way in hostile.CLIENTS.items()
    if how == "buffered" or not way.keeps_content
]
DRIPS = "sends its body slowly"  # chunked bodies are complete before the call in any case
STOPS = [name for name, way in hostile.CLIENTS.items() if way.keeps_content and not way.goes_on]


@pytest.fixture(scope="module", params=list(HOW))
def patient(request):
    """Waits for its clients forever."""
    with running("--threads", str(THREADS), *FOR_EVER, *HOW[request.param]) as server:
        yield server


@pytest.fixture(scope="module", params=list(HOW))
def server(request):
    with running(*HOW[request.param]) as server:
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


@pytest.mark.parametrize(("patient", "name"), HARMLESS, indirect=["patient"])
def test_honest_client_is_served_beside_hostile_ones(patient, name):
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


def test_body_that_does_not_arrive_blocks_one_thread_only(start):
    """With --no-request-buffering a thread waits for its client; the others serve."""
    server = start(
        "views", "--threads", str(THREADS), "--no-request-buffering", "--no-access-log", *FOR_EVER
    )
    with contextlib.ExitStack() as stack:
        for _ in range(THREADS - 1):
            connection = stack.enter_context(Connection(server.port))
            hostile.CLIENTS["half of its body"].begin(connection)
        ask_honestly(server.port)


@pytest.mark.parametrize("name", STOPS)
def test_stalled_bodies_block_every_thread_until_the_receive_timeout(start, name):
    """Four on each thread: after four, the last of them has ended, and the honest client is
    next."""
    server = start(
        "views", "--threads", str(THREADS), "--no-request-buffering", "--receive-timeout", "500ms"
    )
    with contextlib.ExitStack() as stack:
        for _ in range(4 * THREADS):
            connection = stack.enter_context(Connection(server.port))
            hostile.CLIENTS[name].begin(connection)
        ask_honestly(server.port)


def test_slow_bodies_block_every_thread_until_the_rate_is_checked(start):
    """For ten seconds, which no option changes: the only slow test here."""
    server = start("views", "--threads", str(THREADS), "--no-request-buffering")
    with contextlib.ExitStack() as stack:
        for _ in range(THREADS):
            connection = stack.enter_context(Connection(server.port))
            hostile.CLIENTS[DRIPS].begin(connection)
            stack.enter_context(hostile.going_on(hostile.CLIENTS[DRIPS], [connection]))
        ask_honestly(server.port)
    server.err.wait_for(r"408 body: arrived too slowly .*\(--no-request-buffering 64 KiB/s\)")
    assert "ERROR" not in server.err.text  # the application did nothing wrong


@pytest.mark.parametrize("name", list(hostile.STRICT))
def test_invalid_request_is_rejected(server, name):
    data, statuses = hostile.STRICT[name]
    with Connection(server.port) as connection:
        connection.send(data)
        answer = connection.answer()
        assert answer.status in statuses
        assert answer.get("Connection") == "close"
        assert connection.rest() == b""
    ask_honestly(server.port, rounds=1)


@pytest.mark.parametrize("phase", hostile.RESETS)
def test_resets_leave_no_open_descriptor(patient, phase):
    ask_honestly(patient.port)
    (worker,) = patient.workers()
    before = len(sockets(worker))
    for _ in range(20):
        hostile.reset(patient.port, hostile.RESETS[phase])
        ask_honestly(patient.port, rounds=1)
    for _ in range(1000):  # the last ones may not have been counted yet
        if len(sockets(worker)) <= before:
            break
        ask_honestly(patient.port, rounds=1)
    assert len(sockets(worker)) <= before


def test_random_bytes_leave_no_open_descriptor_and_affect_no_other_client(server):
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


def test_ten_thousand_idle_connections_need_little_memory(start):
    """They use less than 4 KiB each (1.9 measured), and an honest client is served meanwhile."""
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
            size = (resident_kib(server.pid) - before) * 1024 / count
            print(f"{count} idle connections, {size:.0f} bytes each")
            ask_honestly(server.port)
            assert size < 4096
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_idle_connections_release_their_buffers(start):
    """Responses to pipelined requests, 300 KB for each connection, have been read."""
    count, pipelined, size = 100, 20, 15_000
    server = start("views", "--workers", "0", "--no-access-log", *FOR_EVER)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(Connection(server.port)) for _ in range(count)]
        for connection in connections:
            assert connection.ask("/hello").status == 200
        before = resident_kib(server.pid)
        for connection in connections:
            for _ in range(pipelined):
                connection.get(f"/big?bytes={size}")
            for _ in range(pipelined):
                assert len(connection.answer().body) == size
            connection.request("OPTIONS", "*", "Content-Length: 200000")
            connection.send(b"x" * 200_000)
            assert connection.answer().status == 204
        ask_honestly(server.port)
        kib = (resident_kib(server.pid) - before) / count
    assert kib <= 8


def test_uploads_do_not_use_up_descriptors(start):
    """Of 256, 64 are for the application; an upload needs two: a connection and a file."""
    limit = (256, 256)
    server = start(
        "views", "--workers", "0", "--no-access-log", "--body-memory", "1K", *FOR_EVER,
        before_start=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit),
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        for _ in range(120):
            connection = stack.enter_context(Connection(server.port))
            connection.request("POST", "/digest", "Content-Length: 100000")
            with contextlib.suppress(OSError):
                connection.send(b"x" * 2000)
        ask_honestly(server.port)
        assert hostile.descriptors(server.pid) <= limit[0] - 32
    server.err.wait_for("503 .*no file descriptor left.*ulimit -n")


def test_full_backlog_is_served_after_a_pause(start):
    server = start("views", "--workers", "0", "--backlog", "4")
    server.send_signal(signal.SIGSTOP)
    try:
        with hostile.crowd(server.port, 40) as late:
            server.send_signal(signal.SIGCONT)
            assert hostile.ask_all(late, patience.SECONDS) == len(late)
    finally:
        server.send_signal(signal.SIGCONT)


def test_upload_without_room_fails_alone(start):
    """A file may not grow beyond 64 KiB here: for a write this is similar to a full directory."""
    server = start("views", "--body-memory", "1K", before_start=hostile.small_files)
    one_upload_fails_and_nothing_else(server.port)


def test_upload_to_a_full_file_system_fails_alone(start, tmp_path):
    """The directory of temporary files is a file system of 128 KiB, where one can be mounted."""
    mount = f'mount -t tmpfs -o size=128k none {tmp_path} && exec "$@"'
    under = ("unshare", "--mount", "--map-root-user", "sh", "-c", mount, "sh")
    if why := why_no_namespace(under):
        pytest.skip(f"no file system to be had here: {why}")
    server = start("views", "--body-memory", "1K", "--spool-dir", str(tmp_path), under=under)
    for _ in range(3):  # its space is free again
        one_upload_fails_and_nothing_else(server.port)


def one_upload_fails_and_nothing_else(port):
    with Connection(port) as early:
        assert early.ask("/hello").status == 200
        with Connection(port) as connection:
            connection.request("POST", "/digest", "Content-Length: 500000")
            connection.send(b"x" * 200_000)
            assert connection.answer().status in (503, 507)
        assert early.ask("/digest", method="POST", body=b"x" * 30_000).status == 200
