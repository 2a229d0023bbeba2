"""HTTP 1.1 Expect/Continue: S-EXP."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from applications import TEXT, Applications, stay, tell
from served import Served
from support.wire import OTHER, Connection

applications = Applications()


@applications.add
def reads(environ: Any, start_response: Any) -> list[bytes]:
    tell("called")
    try:
        data = environ["wsgi.input"].read(5)
    except OSError as error:
        tell("raised", type=type(error).__name__)
        raise
    tell("read", text=data.decode())
    start_response("200 OK", [TEXT])
    return [data]


@applications.add
def refuses(_environ: Any, start_response: Any) -> list[bytes]:
    tell("called")
    start_response("403 Forbidden", [TEXT])
    return [b"no"]


@applications.add
def stays_before_it_reads(environ: Any, start_response: Any) -> list[bytes]:
    stay()
    return reads(environ, start_response)


READING = {
    "read": lambda stream: stream.read(5),
    "readline": lambda stream: stream.readline(),
    "readlines": lambda stream: b"".join(stream.readlines()),
    "iteration": lambda stream: b"".join(stream),
}


@applications.add
def reads_by(environ: Any, start_response: Any) -> list[bytes]:
    data = READING[environ["QUERY_STRING"]](environ["wsgi.input"])
    start_response("200 OK", [TEXT])
    return [data]


@pytest.fixture(params=["read ahead", "on demand"])
def server(request: pytest.FixtureRequest) -> Served:
    found: Served = request.getfixturevalue(
        "served" if request.param == "read ahead" else "on_demand"
    )
    found.clear()
    return found


def expect(connection: Connection, path: str, value: str = "100-continue") -> None:
    connection.request("POST", path, f"Expect: {value}", "Content-Length: 5")


def is_told_to_continue(connection: Connection) -> bool:
    """Whether a 100 arrives before anything else, and in time."""
    try:
        return connection.head().status == 100
    except TimeoutError:
        return False


@pytest.mark.obligation("S-EXP-05")
@pytest.mark.parametrize("value", ["100-continue", "100-Continue", "100-CONTINUE"])
def test_the_client_is_told_to_continue(server: Served, value: str) -> None:
    """It sends nothing before."""
    with server.connect() as connection:
        expect(connection, "/reads", value)
        assert is_told_to_continue(connection)
        connection.send(b"hello")
        assert connection.answer().body == b"hello"


@pytest.mark.obligation("S-EXP-01")
@pytest.mark.parametrize("value", ["100-continue", "100-Continue", "100-CONTINUE"])
def test_the_body_arrives(server: Served, value: str) -> None:
    """For a client that waits for the 100; if it does not arrive in time, the client sends
    anyway."""
    with server.connect() as connection:
        expect(connection, "/reads", value)
        assert is_told_to_continue(connection) or OTHER
        connection.send(b"hello")
        answer = connection.answer()
        assert (answer.status, answer.body) == (200, b"hello")
        assert connection.ask("/reads", method="POST", body=b"again").body == b"again"


@pytest.mark.obligation("S-EXP-01")
def test_a_client_that_does_not_wait_gets_a_response_too(server: Served) -> None:
    with server.connect() as connection:
        connection.request("POST", "/reads", "Expect: 100-continue", body=b"hello")
        answer = connection.answer()
        if answer.status == 100:
            answer = connection.answer()
        assert (answer.status, answer.body) == (200, b"hello")


@pytest.mark.obligation("S-EXP-01")
@pytest.mark.parametrize("name", list(READING))
def test_every_way_of_reading_lets_the_client_continue(server: Served, name: str) -> None:
    with server.connect() as connection:
        expect(connection, f"/reads_by?{name}")
        assert is_told_to_continue(connection) or OTHER
        connection.send(b"hello")
        assert connection.answer().body == b"hello"


@pytest.mark.obligation("S-EXP-02", "B-EXP-01")
def test_a_server_that_reads_ahead_sends_100_before_the_call(served: Served) -> None:
    with served.connect() as connection:
        expect(connection, "/reads")
        assert connection.head().status == 100
        assert served.told() == []
        connection.send(b"hello")
        assert connection.answer().status == 200
    assert served.told() == ["called", "read"]


@pytest.mark.obligation("S-EXP-03", "B-EXP-02")
def test_on_demand_the_first_read_sends_100(on_demand: Served) -> None:
    on_demand.clear()
    with on_demand.connect() as connection:
        expect(connection, "/stays_before_it_reads")
        on_demand.wait_until_it_stays()
        assert connection.is_silent()
        on_demand.let_go()
        assert connection.head().status == 100
        connection.send(b"hello")
        assert connection.answer().body == b"hello"


@pytest.mark.obligation("S-EXP-03", "B-EXP-02")
def test_on_demand_a_response_without_a_read_has_no_100(on_demand: Served) -> None:
    on_demand.clear()
    with on_demand.connect() as connection:
        expect(connection, "/refuses")
        connection.end_sending()
        data = connection.rest()
    assert data.startswith(b"HTTP/1.1 403 ")
    assert data.count(b"HTTP/1.1 ") == 1


@pytest.mark.obligation("S-EXP-04")
def test_the_body_arrives_completely(server: Served) -> None:
    """The code that waits for the body: the server before the call, or the read."""
    with server.connect() as connection:
        expect(connection, "/reads")
        assert is_told_to_continue(connection) or OTHER
        connection.send(b"he")
        connection.send(b"llo")
        assert connection.answer().body == b"hello"
    assert server.wait_for("read")["text"] == "hello"


@pytest.mark.obligation("S-EXP-04")
def test_the_read_waits_for_the_client(on_demand: Served) -> None:
    on_demand.clear()
    with on_demand.connect() as connection:
        expect(connection, "/reads")
        assert connection.head().status == 100
        on_demand.wait_for("called")
        connection.send(b"he")
        connection.send(b"llo")
        assert connection.answer().body == b"hello"
    assert on_demand.wait_for("read")["text"] == "hello"


@pytest.mark.obligation("S-EXP-04")
def test_the_read_ends_when_the_client_disconnects(on_demand: Served) -> None:
    on_demand.clear()
    with on_demand.connect() as connection:
        expect(connection, "/reads")
        assert connection.head().status == 100
        on_demand.wait_for("called")
        connection.reset()
    (event,) = on_demand.events()  # and the thread is free again
    assert event["event"] == "raised" or len(event["text"]) < 5


@pytest.mark.obligation("S-EXP-06")
def test_an_old_client_gets_no_interim_response(server: Served) -> None:
    with server.connect() as connection:
        connection.send(
            b"POST /reads HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        )
        connection.send(b"hello")
        data = connection.rest()
    assert re.match(rb"HTTP/1\.[01] 200 ", data)
    assert len(re.findall(rb"HTTP/1\.[01] \d", data)) == 1
    assert data.endswith(b"hello")


@pytest.mark.obligation("S-EXP-07", "B-EXP-01")
def test_a_rejected_body_is_not_requested(serve: Callable[..., Served]) -> None:
    served = serve(f"{__name__}:applications", "--limit-body", "1000")
    with served.connect() as connection:
        connection.request("POST", "/reads", "Expect: 100-continue", "Content-Length: 1001")
        assert connection.head().status == 413
    assert served.told() == []
