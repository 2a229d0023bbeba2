"""Handling the Content-Length Header: S-CL, S-ITER-04."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from applications import TEXT, Applications, Blocks, parameter, started, tell
from served import Served, more_comes, needs_write
from support.wire import OTHER

applications = Applications()


def with_length(length: int, result: Callable[[], Any]) -> Callable[..., Any]:
    def application(_environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [TEXT, ("Content-Length", str(length))])
        return result()

    return application


def writing(length: int, *blocks: bytes) -> Callable[..., Any]:
    """Writes the blocks, and reports which of them were rejected."""

    def application(_environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [TEXT, ("Content-Length", str(length))])
        for block in blocks:
            try:
                write(block)
            except Exception as error:
                tell("refused", block=block.decode(), type=type(error).__name__)
            else:
                tell("written", block=block.decode())
        return []

    return application


@applications.add
def after(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    return [b"the next answer"]


TOO_MUCH: dict[str, tuple[int, Any]] = {
    "one block": (3, with_length(3, lambda: [b"abcdef"])),
    "blocks of a list": (3, with_length(3, lambda: [b"ab", b"cd", b"ef"])),
    "blocks of an iterator": (3, with_length(3, lambda: iter([b"ab", b"cd", b"ef"]))),
    "blocks after the end": (3, with_length(3, lambda: iter([b"abc", b"def"]))),
    "none at all": (0, with_length(0, lambda: [b"abc"])),
    "none of an iterator": (0, with_length(0, lambda: iter([b"abc"]))),
    "written": (3, writing(3, b"ab", b"cd")),
}


@applications.add
def too_much(environ: Any, start_response: Any) -> Any:
    return list(TOO_MUCH.values())[parameter(environ)][1](environ, start_response)


@pytest.mark.obligation("S-CL-01", "B-OUT-01")
@pytest.mark.parametrize("number", range(len(TOO_MUCH)), ids=list(TOO_MUCH))
def test_no_more_is_sent_than_the_length_allows(served: Served, number: int) -> None:
    if list(TOO_MUCH)[number] == "written":
        needs_write(served)
    length = list(TOO_MUCH.values())[number][0]
    with served.connect() as connection:
        connection.get(f"/too_much?{number}")
        connection.get("/after", "Connection: close")
        answer = connection.answer()
        assert (answer.get("Content-Length"), answer.body) == (str(length), b"abcdef"[:length])
        if more_comes(connection):
            assert connection.answer().body == b"the next answer"


@applications.add
def goes_on(_environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT, ("Content-Length", "3")])
    return Blocks(b"a", b"bc", b"never asked for")


@pytest.mark.obligation("S-CL-02", "S-ITER-04", "B-OUT-01")
def test_iteration_stops_at_the_length(served: Served) -> None:
    assert served.ask("/goes_on").body == b"abc"
    assert served.told() == ["next", "next", "close"]


WRITES: dict[str, tuple[Any, list[str]]] = {
    "one block too long": (writing(3, b"abcd"), ["refused"]),
    "a block after the end": (writing(3, b"abc", b"d"), ["written", "refused"]),
}


@applications.add
def writes(environ: Any, start_response: Any) -> Any:
    return list(WRITES.values())[parameter(environ)][0](environ, start_response)


@pytest.mark.obligation("S-CL-03", "B-OUT-02")
@pytest.mark.parametrize("number", range(len(WRITES)), ids=list(WRITES))
def test_writing_past_the_length_raises(served: Served, number: int) -> None:
    needs_write(served)
    answer = served.ask(f"/writes?{number}")
    assert served.told() == list(WRITES.values())[number][1]
    assert b"abc".startswith(answer.body)


TOO_LITTLE: dict[str, Any] = {
    "a list": with_length(10, lambda: [b"abc"]),
    "an iterator": with_length(10, lambda: iter([b"ab", b"c"])),
    "written": writing(10, b"abc"),
}


@applications.add
def too_little(environ: Any, start_response: Any) -> Any:
    return list(TOO_LITTLE.values())[parameter(environ)](environ, start_response)


@pytest.mark.obligation("S-CL-04", "B-OUT-03", "B-OUT-04")
@pytest.mark.parametrize("number", range(len(TOO_LITTLE)), ids=list(TOO_LITTLE))
def test_too_little_closes_the_connection(served: Served, number: int) -> None:
    if list(TOO_LITTLE)[number] == "written":
        needs_write(served)
    path = f"/too_little?{number}"
    with served.connect() as connection:
        connection.get(path)
        connection.get("/after")
        data = connection.rest()
    assert data.count(b"HTTP/1.1 ") == 1
    assert data.endswith(b"\r\n\r\nabc")
    served.logged(path)


# ---- without a length of the application


@applications.add
@started
def generator(_environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    yield b""
    yield b"ab"
    yield b""
    yield b"c"


@pytest.mark.obligation("S-CL-06")
def test_to_an_old_client_the_body_ends_with_the_connection(served: Served) -> None:
    data = served.exchange(b"GET /generator HTTP/1.0\r\n\r\n")
    head, _, body = data.partition(b"\r\n\r\n")
    assert body == b"abc"
    assert OTHER or b"\r\nConnection: close" in head
    assert b"Transfer-Encoding" not in head


def test_keep_alive_of_an_old_client_is_ignored_without_a_length(served: Served) -> None:
    data = served.exchange(b"GET /generator HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert data.endswith(b"\r\n\r\nabc")


class OfLengthOne:
    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Any:
        return iter([b"abc"])


SINGLE: dict[str, tuple[Callable[[], Any], str]] = {
    "a list": (lambda: [b"abc"], "3"),
    "a tuple": (lambda: (b"abc",), "3"),
    "an empty block": (lambda: [b""], "0"),
    "no block": (lambda: [], "0"),
    "an object of length 1": (OfLengthOne, "3"),
}


@applications.add
def single(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return list(SINGLE.values())[parameter(environ)][0]()


@pytest.mark.obligation("S-CL-07", "B-OUT-17")
@pytest.mark.parametrize("number", range(len(SINGLE)), ids=list(SINGLE))
def test_a_computed_length_is_right(served: Served, number: int) -> None:
    result, length = list(SINGLE.values())[number]
    answer = served.ask(f"/single?{number}")
    assert answer.body == b"".join(result())
    assert answer.get("Content-Length") in (length, None)
    if type(result()) in (list, tuple):
        assert answer.get("Content-Length") == length


@applications.add
def written_before(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])(b"w")
    return [b"i"]


@pytest.mark.obligation("S-CL-07")
def test_no_length_is_computed_after_write(served: Served) -> None:
    needs_write(served)
    answer = served.ask("/written_before")
    assert (answer.body, answer.complete) == (b"wi", True)
    assert answer.get("Content-Length") in (None, "2")


@pytest.mark.obligation("S-CL-08")
def test_blocks_are_chunks_and_the_connection_is_kept(served: Served) -> None:
    with served.connect() as connection:
        for _ in range(2):
            connection.get("/generator")
            assert connection.until(b"\r\n\r\n").count(b"Transfer-Encoding: chunked\r\n") == 1
            wire = connection.until(b"\r\n0\r\n\r\n")
            assert wire == b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", "no chunk for an empty block, one end"


@applications.add
@started
def with_status(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response(environ["QUERY_STRING"].replace("+", " "), [("X-Name", "value")])
    yield b"ab"
    yield b"c"


@pytest.mark.obligation("S-CL-09")
@pytest.mark.parametrize(
    ("method", "version", "status"),
    [
        ("GET", "1.0", "200+OK"),
        ("HEAD", "1.1", "200+OK"),
        ("GET", "1.1", "204+No+Content"),
        ("GET", "1.1", "304+Not+Modified"),
    ],
)
def test_no_chunks_where_they_are_not_allowed(
    served: Served, method: str, version: str, status: str
) -> None:
    data = served.exchange(
        f"{method} /with_status?{status} HTTP/{version}\r\nHost: h\r\n"
        "Connection: close\r\n\r\n".encode()
    )
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"\r\nx-name: value" in head.lower()
    assert b"\r\n" not in body, "no chunk"
    assert OTHER or body == (b"abc" if version == "1.0" else b"")
    if method != "HEAD":  # as for GET, RFC 9110 section 9.3.2
        assert b"transfer-encoding" not in head.lower()


@applications.add
def exact(_environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", "3")])
    return iter([b"ab", b"c"])


@pytest.mark.obligation("S-CL-09")
def test_no_chunks_beside_a_length(served: Served) -> None:
    data = served.exchange(b"GET /exact HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert b"transfer-encoding" not in data.lower()
    assert data.endswith(b"\r\n\r\nabc")
