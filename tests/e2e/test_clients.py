"""Slow readers, clients that disconnect, and more clients than connections, next to an honest
client, with one application thread. test_starvation.py has other slow and hostile clients.

A slow client moves one step after each response to the honest client, so that the test shows
without waiting that nothing waits for the slow ones.
"""

import contextlib

import pytest
from support import hostile
from support.wire import SMALL, Connection


@pytest.fixture
def server(start):
    return start("views", "--no-access-log", "--keep-alive-requests", "0")


def serve_honestly_beside(port, step, rounds=30):
    """An honest client gets responses while each slow one moves once a round."""
    with Connection(port) as honest:
        for number in range(rounds):
            answer = honest.ask("/digest", method="POST", body=b"honest")
            assert answer.status == 200
            assert answer.complete
            step(number)


@contextlib.contextmanager
def many(count, port, **more):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Connection(port, **more)) for _ in range(count)]


def test_slow_readers_get_responses_larger_than_memory(server):
    """Larger than --answer-memory: unread bytes are in temporary files."""
    size = 8_000_000
    with many(20, server.port, receive_buffer=SMALL) as slow:
        for connection in slow:
            connection.get(f"/big?bytes={size}")
            connection.head()

        def step(_number):
            for connection in slow:
                assert connection.receive(1) == b"x"

        serve_honestly_beside(server.port, step)
        for connection in slow:
            assert connection.exactly(size - 30) == b"x" * (size - 30)


def test_four_slow_readers_of_a_large_file_hold_no_thread(start, tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(100 * 1024 * 1024)
        file.seek(0)
        file.write(b"begin")
    server = start("views", env={"FILE": str(path)})
    with many(4, server.port, receive_buffer=SMALL) as slow:
        for connection in slow:
            connection.get("/file")
            assert connection.head().get("Content-Length") == str(100 * 1024 * 1024)
            assert connection.exactly(5) == b"begin"

        def step(_number):
            for connection in slow:
                assert connection.exactly(1024) == bytes(1024)

        serve_honestly_beside(server.port, step)
        rest = 100 * 1024 * 1024 - 5 - 30 * 1024
        assert slow[0].exactly(rest) == bytes(rest)


def test_clients_that_reset_do_not_affect_others(start, gates, tmp_path):
    gate = gates("a")
    server = start("views", "--threads", "2", env={"GATES": str(tmp_path)})
    for _ in range(20):
        with Connection(server.port) as connection:
            connection.get("/gate/a")
            gate.wait_entered()
            connection.reset()
        gate.let_go()
    serve_honestly_beside(server.port, lambda _number: None)


def test_request_with_a_truncated_body_is_not_run(start):
    server = start("views")
    for _ in range(20):
        with Connection(server.port) as connection:
            connection.request("POST", "/print?line=must+not+run", "Content-Length: 100")
            connection.send(b"half")
            connection.end_sending()
            assert connection.rest()[9:12] in (b"400", b"408", b"")
    with Connection(server.port) as connection:
        assert connection.ask("/print?line=last").status == 200
    server.out.wait_for("^last$")
    assert "must not run" not in [line.strip() for line in server.out.text.splitlines()]


def test_server_recovers_when_descriptors_run_out(start):
    """The application uses up the descriptors; later clients wait, and are served afterwards."""
    server = start("views", before_start=hostile.few_descriptors)
    with Connection(server.port) as early, contextlib.ExitStack() as stack:
        assert int(early.ask("/exhaust").text) > 100
        late = [stack.enter_context(Connection(server.port)) for _ in range(10)]
        for connection in late:
            connection.get("/hello")
        assert early.ask("/hello").status == 200  # connected clients are served meanwhile
        assert early.ask("/give_back").status == 200
        for connection in late:
            assert connection.answer().text == "Hello, World!\n"


def test_idle_connections_make_way_for_new_ones(start):
    server = start("views", "--max-connections", "10")
    with many(10, server.port) as first:
        for connection in first:
            assert connection.ask("/hello").status == 200
        with Connection(server.port) as late:
            assert late.ask("/hello").text == "Hello, World!\n"
        assert first[0].is_closed()  # the one that has been idle for longest
        assert first[9].ask("/hello").status == 200


def test_new_connections_wait_while_none_is_idle(start):
    server = start("views", "--max-connections", "10")
    with many(10, server.port) as first:
        for connection in first:
            connection.request("POST", "/digest", "Expect: 100-continue", "Content-Length: 1")
            assert connection.head().status == 100
        with Connection(server.port) as late:
            late.get("/hello")
            for connection in first:
                connection.send(b"x")
                assert connection.answer().status == 200
            assert late.answer().text == "Hello, World!\n"
