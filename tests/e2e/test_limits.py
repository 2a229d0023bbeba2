"""Every limit and timeout, from the client's end of the connection and in the log."""

import contextlib
import hashlib
import resource

import pytest
from support.wire import SMALL, Connection


def ask(server, path, *fields):
    with Connection(server.port) as connection:
        return connection.ask(path, *fields)


# ---- sizes


def test_body_over_its_limit_gets_413(start):
    server = start("views", "--limit-body", "10")
    with Connection(server.port) as connection:
        answer = connection.ask("/digest", method="POST", body=b"0123456789")
        assert answer.text == f"10 {hashlib.sha256(b'0123456789').hexdigest()}\n"
        connection.request("POST", "/digest", "Content-Length: 11")
        assert connection.answer().status == 413
    server.err.wait_for("WARNING: .*413 body of 11 B is over --limit-body 10 B")


def test_chunked_body_over_its_limit_gets_413(start):
    server = start("views", "--limit-body", "10")
    with Connection(server.port) as connection:
        connection.request("POST", "/digest", "Transfer-Encoding: chunked")
        connection.send(b"6\r\nsix...\r\n6\r\nsix...\r\n0\r\n\r\n")
        assert connection.answer().status == 413
    server.err.wait_for("WARNING: .*413.*--limit-body")


def test_body_over_its_limit_gets_413_before_it_is_sent(start):
    server = start("views", "--limit-body", "10")
    with Connection(server.port) as connection:
        connection.request("POST", "/digest", "Expect: 100-continue", "Content-Length: 11")
        assert connection.head().status == 413


def test_limit_body_0_accepts_any_body(start):
    server = start("views", "--limit-body", "0")
    with Connection(server.port) as connection:
        answer = connection.ask("/digest", method="POST", body=b"x" * 3_000_000)
        assert answer.text.startswith("3000000 ")


def test_request_line_over_its_limit_gets_414(start):
    server = start("views", "--limit-request-line", "100")
    fits = "/hello?" + "x" * (100 - len("GET /hello? HTTP/1.1\r\n"))
    assert ask(server, fits).status == 200
    assert ask(server, fits + "xxx").status == 414
    server.err.wait_for("WARNING: .*414.*--limit-request-line")


def test_field_over_its_limit_gets_431(start):
    server = start("views", "--limit-field", "100")
    assert ask(server, "/hello", "X-Long: " + "y" * 80).status == 200
    assert ask(server, "/hello", "X-Long: " + "y" * 200).status == 431
    server.err.wait_for("WARNING: .*431.*--limit-field")


def test_more_fields_than_the_limit_get_431(start):
    server = start("views", "--limit-fields", "10")
    assert ask(server, "/hello", *[f"X-{n}: y" for n in range(9)]).status == 200
    assert ask(server, "/hello", *[f"X-{n}: y" for n in range(10)]).status == 431
    server.err.wait_for("WARNING: .*431.*--limit-fields")


def test_head_over_its_limit_gets_431(start):
    server = start("views", "--limit-head", "1K")
    assert ask(server, "/hello", *[f"X-{n}: {'y' * 80}" for n in range(9)]).status == 200
    assert ask(server, "/hello", *[f"X-{n}: {'y' * 80}" for n in range(15)]).status == 431
    server.err.wait_for("WARNING: .*431.*--limit-head")


# ---- times


def test_keep_alive_timeout_closes_without_a_response(start):
    server = start("views", "--keep-alive", "200ms")
    with Connection(server.port) as connection:
        assert connection.ask("/hello").status == 200
        assert connection.is_closed()
    with Connection(server.port) as connection:
        assert connection.is_closed()  # before the first byte, too
    server.stop()
    assert "WARNING" not in server.err.wait_for_end()


def test_connection_closes_after_keep_alive_requests(start):
    server = start("views", "--keep-alive-requests", "3")
    with Connection(server.port) as connection:
        said = [connection.ask("/hello").get("Connection") for _ in range(3)]
        assert said == [None, None, "close"]
        assert connection.is_closed()


def test_head_that_stalls_gets_408(start):
    server = start("views", "--receive-timeout", "200ms")
    with Connection(server.port) as connection:
        connection.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n")
        assert connection.answer().status == 408
    server.err.wait_for("WARNING: .*408.*--receive-timeout")


def test_body_that_stalls_gets_408(start):
    server = start("views", "--receive-timeout", "200ms")
    with Connection(server.port) as connection:
        connection.request("POST", "/digest", "Content-Length: 100")
        connection.send(b"half")
        assert connection.answer().status == 408
    server.err.wait_for("WARNING: .*408.*--receive-timeout")


def test_client_that_reads_nothing_is_disconnected(start):
    """A client that reads nothing is disconnected."""
    server = start("views", "--send-timeout", "200ms")
    with Connection(server.port, receive_buffer=SMALL) as connection:
        connection.get("/big?bytes=50000000")
        server.err.wait_for(r"too slowly \(--send-timeout, --min-rate\)")
        received = connection.rest()
    assert len(received) < 50_000_000


def test_clients_below_the_minimum_rate_are_disconnected(start):
    """For request bodies and responses. Its grace period of 10 s cannot be set, so both wait for
    it together."""
    server = start("views", "--min-rate", "1M", "--receive-timeout", "0", "--send-timeout", "0")
    with (
        Connection(server.port, receive_buffer=SMALL) as reader,
        Connection(server.port) as writer,
    ):
        reader.get("/big?bytes=50000000")
        writer.request("POST", "/digest", "Content-Length: 100")
        for _ in range(3):
            writer.send(b"drip")
        assert writer.answer().status == 408
        server.err.wait_for("WARNING: .*408.*too slowly.*--min-rate")
        server.err.wait_for("WARNING: .*reads the response too slowly.*--min-rate")
        assert len(reader.rest()) < 50_000_000


# ---- queues


def test_request_that_finds_the_queue_full_gets_503(start, gates, tmp_path):
    gate = gates("a")
    server = start("views", "--max-queued", "2", env={"GATES": str(tmp_path)})
    connections = [Connection(server.port) for _ in range(4)]
    connections[0].get("/gate/a")
    gate.wait_entered()
    for connection in connections[1:3]:
        connection.get("/hello")
    # Requests after these two find the queue full; a client that sees this repeats its request
    # until it is so.
    answer = refused_answer(server)
    assert answer.status == 503
    assert int(answer.get("Retry-After")) > 0
    server.err.wait_for("WARNING: .*503.*--max-queued")
    gate.let_go()
    assert connections[0].answer().text == "let go\n"
    for connection in connections[1:3]:
        assert connection.answer().status == 200
    for connection in connections:
        connection.close()


def refused_answer(server):
    """The two queued requests were sent earlier; the server reads connections in any order."""
    with Connection(server.port) as probe:
        probe.send(b"GET / HTTP/1.1\r\n\r\n")
        assert probe.answer().status == 400  # so the earlier ones have been read
    with Connection(server.port) as late:
        return late.ask("/hello")


def test_request_that_waits_too_long_gets_503(start, gates, tmp_path):
    gate = gates("a")
    server = start("views", "--queue-timeout", "200ms", env={"GATES": str(tmp_path)})
    with Connection(server.port) as first, Connection(server.port) as second:
        first.get("/gate/a")
        gate.wait_entered()
        answer = second.ask("/hello")
        assert answer.status == 503
        assert int(answer.get("Retry-After")) > 0
        server.err.wait_for("WARNING: .*503.*--queue-timeout")
        gate.let_go()
        assert first.answer().text == "let go\n"


# ---- temporary files


def test_bodies_and_responses_larger_than_memory_arrive_completely(start, tmp_path):
    spool = tmp_path / "spool"
    spool.mkdir()
    sizes = ("--body-memory", "1K", "--answer-memory", "1K", "--limit-body", "10M")
    server = start("views", *sizes, "--spool-dir", str(spool))
    body = bytes(range(256)) * 10_000
    with Connection(server.port) as connection:
        answer = connection.ask("/digest", method="POST", body=body)
        assert answer.text == f"{len(body)} {hashlib.sha256(body).hexdigest()}\n"
        assert connection.ask("/big?bytes=20000000").body == b"x" * 20_000_000
    assert list(spool.iterdir()) == []  # they have no name


def test_body_without_room_in_temporary_files_is_rejected(start):
    sizes = ("--body-memory", "1K", "--spool-max", "100K", "--limit-body", "10M")
    server = start("views", *sizes)
    with Connection(server.port) as connection:  # more than there will ever be space for
        connection.request("POST", "/digest", "Content-Length: 1000000")
        assert connection.answer().status == 413
    server.err.wait_for("WARNING: .*413.*--spool-max")
    with Connection(server.port) as first, Connection(server.port) as second:
        for connection in (first, second):
            connection.request("POST", "/digest", "Content-Length: 90000")
            connection.send(b"x" * 80_000)
        assert second.answer().status == 503  # the first one has its space already
    server.err.wait_for("WARNING: .*503.*--spool-max")
    with Connection(server.port) as connection:
        assert connection.ask("/digest", method="POST", body=b"x" * 50_000).status == 200


# ---- bodies that are read while they arrive


def test_without_buffering_the_application_reads_the_body_as_it_arrives(start):
    """The application is called after the head, and reads the received part of the body."""
    server = start("reader", "--no-request-buffering")
    with Connection(server.port) as connection:
        connection.request("POST", "/", "Content-Length: 10")
        connection.send(b"first")
        assert connection.head().status == 200
        assert connection.chunk() == b"first"
        connection.send(b"later")
        assert connection.chunk() == b"later"
        assert connection.chunk() == b""


def test_100_continue_comes_with_the_first_read(start):
    server = start("reader", "--no-request-buffering")
    with Connection(server.port) as connection:
        connection.request("POST", "/refuse", "Expect: 100-continue", "Content-Length: 10")
        assert connection.head().status == 403  # without a 100 before it
    with Connection(server.port) as connection:
        connection.request("POST", "/", "Expect: 100-continue", "Content-Length: 5")
        assert connection.head().status == 100
        connection.send(b"after")
        assert connection.answer().body == b"after"


def test_disconnect_in_the_body_is_an_error_of_the_read(start):
    server = start("reader", "--no-request-buffering")
    with Connection(server.port) as connection:
        connection.request("POST", "/", "Content-Length: 10")
        connection.send(b"first")
        assert connection.head().status == 200
        assert connection.chunk() == b"first"
        connection.send(b"half")
        connection.end_sending()
        connection.rest()
    server.out.wait_for("^the read failed: ")


@pytest.mark.parametrize("value", ["", "web"])
def test_server_header_is_set_or_left_out(start, value):
    server = start("views", "--server-header", value)
    assert ask(server, "/hello").get("Server") == (value or None)


# ---- descriptors

CHILDREN = """
import os, resource, subprocess

def soft_limit_of_children():
    read, write = os.pipe()
    command = ["sh", "-c", "ulimit -Sn"]
    os.posix_spawnp("sh", command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, write, 1)])
    os.wait()
    if os.fork() == 0:
        os.write(write, f"{resource.getrlimit(resource.RLIMIT_NOFILE)[0]}\\n".encode())
        os._exit(0)
    os.wait()
    subprocess.run(command, stdout=write, check=True)
    subprocess.run(command, stdout=write, check=True, preexec_fn=os.getpid)
    os.set_inheritable(write, True)
    os.system(f"ulimit -Sn >/proc/self/fd/{write}")
    os.close(write)
    with open(read, "rb") as pipe:
        return pipe.read()

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    opened = [open("/dev/null") for _ in range(20)]
    return [soft_limit_of_children() if environ["PATH_INFO"] == "/children" else b"opened"]
"""


@pytest.mark.parametrize("workers", ["0", "1"])
def test_more_connections_than_the_soft_limit_and_children_that_have_it(start, project, workers):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))

    directory = project("main", CHILDREN)
    server = start("main:app", "--workers", workers, cwd=directory, before_start=limit)
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            connection = stack.enter_context(Connection(server.port))
            assert connection.ask("/").body == b"opened"
        assert connection.ask("/children").body == b"128\n" * 5
