"""close() of the result, and errors (Specification Details, Unicode Issues, Error Handling):
S-CLOSE, S-EXC, S-UNI-04."""

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from applications import TEXT, Applications, Blocks, parameter, started, stay, tell
from served import Served
from support import patience

applications = Applications()


# ---- the end of a request


def run(served: Served, path: str, method: str = "GET") -> None:
    """Send a request and accept any response."""
    with contextlib.suppress(OSError):
        served.exchange(
            f"{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode()
        )


@applications.add
def blocks(environ: Any, start_response: Any) -> Any:
    """/blocks?STATUS,BLOCK,BLOCK..."""
    status, *given = environ["QUERY_STRING"].split(",")
    start_response(f"{status} X", [("Content-Length", "1")] if given == ["aa"] else [])
    return Blocks(*[block.encode() for block in given])


@pytest.mark.obligation("S-CLOSE-01")
@pytest.mark.parametrize("given", ["", ",", ",a,b", ",aa"])
@pytest.mark.parametrize(
    ("method", "status"), [("GET", 200), ("HEAD", 200), ("GET", 204), ("GET", 304), ("POST", 201)]
)
def test_close_is_called_once(served: Served, method: str, status: int, given: str) -> None:
    run(served, f"/blocks?{status}{given}", method)
    told = served.told()
    assert (told.count("close"), told[-1]) == (1, "close")


class Outer:
    """Its iterator has a close() too."""

    def __iter__(self) -> Any:
        return Blocks(b"x")

    def close(self) -> None:
        tell("close of the result")


@applications.add
def outer(_environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return Outer()


@pytest.mark.obligation("S-CLOSE-01")
def test_close_is_that_of_the_result(served: Served) -> None:
    assert served.ask("/outer").body == b"x"
    assert served.told() == ["next", "next", "close of the result"]


class RaisesInClose(Blocks):
    def close(self) -> None:
        super().close()
        raise ValueError("from close")


@applications.add
def raises_in_close(_environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT, ("Content-Length", "2")])
    return RaisesInClose(b"ok")


@pytest.mark.obligation("S-CLOSE-04", "S-EXC-01")
def test_an_exception_of_close_is_logged_and_no_more(served: Served) -> None:
    with served.connect() as connection:
        connection.get("/raises_in_close")
        connection.get("/outer", "Connection: close")
        answer = connection.answer()
        assert (answer.status, answer.body, answer.complete) == (200, b"ok", True)
        rest = connection.rest()
    if rest:  # it may have closed instead
        assert rest.startswith(b"HTTP/1.1 200 ")
    served.logged("/raises_in_close", "ValueError: from close")
    assert served.ask("/outer").body == b"x"


@applications.add
@started
def endless(_environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    try:
        while True:
            yield b"x" * 1024
    except GeneratorExit:
        tell("GeneratorExit")
        raise


class EndlessBlocks(Blocks):
    def __next__(self) -> bytes:
        return b"x" * 1024


@applications.add
def endless_blocks(_environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return EndlessBlocks()


@pytest.mark.obligation("S-CLOSE-03", "B-OUT-08")
@pytest.mark.parametrize(
    ("name", "event"), [("endless", "GeneratorExit"), ("endless_blocks", "close")]
)
def test_close_is_called_when_the_client_disconnects(served: Served, name: str, event: str) -> None:
    with served.connect() as connection:
        connection.get(f"/{name}")
        answer = connection.head()
        assert connection.content(answer, 1)
        connection.reset()
    served.wait_for(event, max(patience.SECONDS, 30))  # some need 10 s for it
    assert served.told() == []


# ---- exceptions


class OwnBaseException(BaseException):
    pass


ERRORS: list[Callable[[], BaseException]] = [
    lambda: ValueError("raised here"),
    lambda: SystemExit("raised here"),
    lambda: GeneratorExit("raised here"),
    lambda: KeyboardInterrupt("raised here"),
    lambda: OwnBaseException("raised here"),
]
every_error = pytest.mark.parametrize(
    "number", range(len(ERRORS)), ids=[type(error()).__name__ for error in ERRORS]
)


@applications.add
def raises_in_the_call(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("X-Stored", "1")])
    raise ERRORS[parameter(environ)]()


@applications.add
def raises_at_once(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("X-Stored", "1")])
    return Blocks(ERRORS[parameter(environ)]())


@applications.add
def raises_after_an_empty_block(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("X-Stored", "1")])
    return Blocks(b"", ERRORS[parameter(environ)]())


class RaisesInIter(Blocks):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __iter__(self) -> Any:
        raise self.error


@applications.add
def raises_in_iter(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("X-Stored", "1")])
    return RaisesInIter(ERRORS[parameter(environ)]())


@applications.add
def raises_after_a_block(environ: Any, start_response: Any) -> Any:
    """/raises_after_a_block/HEADERS?NUMBER"""
    length = [("Content-Length", "100")] if environ["PATH_INFO"].endswith("/length") else []
    start_response("200 OK", [TEXT, *length])
    return Blocks(b"part", ERRORS[parameter(environ)]())


BEFORE = ["raises_in_the_call", "raises_at_once", "raises_after_an_empty_block", "raises_in_iter"]
AFTER = ["raises_after_a_block/chunked", "raises_after_a_block/length"]


@pytest.mark.obligation("S-EXC-02", "B-OUT-12")
@every_error
@pytest.mark.parametrize("name", BEFORE)
def test_an_exception_before_anything_is_sent_gives_500(
    served: Served, name: str, number: int
) -> None:
    answer = served.ask(f"/{name}?{number}")
    assert (answer.status, answer.complete, answer.get("X-Stored")) == (500, True, None)
    assert b"raised here" not in answer.body
    assert b"Traceback" not in answer.body


@pytest.mark.obligation("S-EXC-03", "S-EXC-04", "B-OUT-04", "B-OUT-12")
@every_error
@pytest.mark.parametrize("name", AFTER)
def test_an_exception_after_a_block_truncates_the_response(
    served: Served, name: str, number: int
) -> None:
    with served.connect() as connection:
        connection.get(f"/{name}?{number}")
        connection.get("/outer")
        answer = connection.answer()
        assert (answer.status, answer.body, answer.complete) == (200, b"part", False)
        assert connection.rest() == b"", "no message, no second answer"


@pytest.mark.obligation("S-CLOSE-02", "B-OUT-12")
@every_error
@pytest.mark.parametrize("name", BEFORE[1:] + AFTER)
def test_the_result_is_closed_after_an_exception(served: Served, name: str, number: int) -> None:
    run(served, f"/{name}?{number}")
    assert served.told().count("close") == 1


@pytest.mark.obligation("S-EXC-01", "B-OUT-12")
@every_error
@pytest.mark.parametrize("name", BEFORE + AFTER)
def test_an_exception_is_logged_and_the_next_request_is_served(
    served: Served, name: str, number: int
) -> None:
    path = f"/{name}?{number}"
    run(served, path)
    served.logged(path, f"{type(ERRORS[number]()).__name__}: raised here")
    assert served.ask("/outer").body == b"x"


@applications.add
@started
def raises_when_it_is_let_go(_environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    yield b"part"
    stay()
    raise ValueError("raised here")


@pytest.mark.obligation("B-OUT-05")
def test_a_response_that_ends_with_the_connection_is_reset(served: Served) -> None:
    with served.connect() as connection:
        connection.send(b"GET /raises_when_it_is_let_go HTTP/1.0\r\n\r\n")
        connection.head()
        assert connection.exactly(4) == b"part"
        served.wait_until_it_stays()
        served.let_go()
        with pytest.raises(ConnectionResetError):
            connection.receive()


@applications.add
def starts_badly_while_iterating(_environ: Any, start_response: Any) -> Iterable[bytes]:
    try:
        start_response("200 OK", [("Bad\n", "x")])
        yield b"x"
    finally:
        tell("close")


@pytest.mark.obligation("S-CLOSE-02")
def test_a_head_that_is_rejected_while_iterating(served: Served) -> None:
    run(served, "/starts_badly_while_iterating")
    assert served.told() == ["close"]


# ---- blocks of another type

NOT_BYTES = ["abc", bytearray(b"x"), memoryview(b"x"), None, 5]
every_type = pytest.mark.parametrize(
    "number", range(len(NOT_BYTES)), ids=[type(block).__name__ for block in NOT_BYTES]
)


@applications.add
def another_type(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("X-Stored", "1")])
    return Blocks(NOT_BYTES[parameter(environ)])


@applications.add
def another_type_later(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return Blocks(b"part", NOT_BYTES[parameter(environ)])


@pytest.mark.obligation("S-UNI-04")
@every_type
def test_a_first_block_of_another_type_gives_500(served: Served, number: int) -> None:
    path = f"/another_type?{number}"
    answer = served.ask(path)
    assert (answer.status, answer.get("X-Stored")) == (500, None)
    served.logged(path, type(NOT_BYTES[number]).__name__)


@pytest.mark.obligation("S-UNI-04")
@every_type
def test_a_later_block_of_another_type_truncates_the_response(served: Served, number: int) -> None:
    answer = served.ask(f"/another_type_later?{number}")
    assert (answer.status, answer.body, answer.complete) == (200, b"part", False)


@pytest.mark.obligation("S-CLOSE-02")
@every_type
@pytest.mark.parametrize("name", ["another_type", "another_type_later"])
def test_the_result_is_closed_after_a_wrong_block(served: Served, name: str, number: int) -> None:
    run(served, f"/{name}?{number}")
    assert served.told().count("close") == 1
