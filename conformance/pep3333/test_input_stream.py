"""Input and Error Streams, the input: S-IN, S-ENV-27, S-STR-02."""

import contextlib
import io
import json
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from applications import TEXT, Applications, parameter, tell
from served import Served, more_comes, only_for_iotax
from support.wire import OTHER, Connection

applications = Applications()

BODY = b"line1\nline2\n\nend"
LINES = [b"line1\n", b"line2\n", b"\n", b"end"]
USES: list[Callable[[Any], Any]] = []


def as_json(value: object) -> dict[str, str]:
    assert isinstance(value, bytes | bytearray | memoryview)
    return {"type": type(value).__name__, "data": bytes(value).decode("latin-1")}


def from_json(value: dict[str, str]) -> bytes:
    assert value["type"] == "bytes"
    return value["data"].encode("latin-1")


@applications.add
def used(environ: Any, start_response: Any) -> list[bytes]:
    """The result of the use with that number for wsgi.input."""
    result = json.dumps(USES[parameter(environ)](environ["wsgi.input"]), default=as_json)
    start_response("200 OK", [TEXT])
    return [result.encode()]


def use(function: Callable[[Any], Any]) -> int:
    USES.append(function)
    return len(USES) - 1


# ---- the ways in which a body arrives


def with_a_length(body: bytes) -> tuple[bytes, list[bytes]]:
    middle = len(body) // 2
    return b"Content-Length: %d" % len(body), [body[:middle], body[middle:]]


def in_chunks(body: bytes) -> tuple[bytes, list[bytes]]:
    size = 3 if len(body) < 1000 else 5000
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    framed = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
    return b"Transfer-Encoding: chunked", [*framed, b"0\r\n\r\n"]


FORMS = {
    "read ahead, length": (False, with_a_length),
    "read ahead, chunked": (False, in_chunks),
    "on demand, length": (True, with_a_length),
    "on demand, chunked": (True, in_chunks),
}


@pytest.fixture(params=list(FORMS))
def read(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """read(number, body) returns the result of that use for the body. The connection stays open,
    without further bytes, and accepts the next request."""
    later, form = FORMS[request.param]
    server: Served = request.getfixturevalue("on_demand" if later else "served")
    with server.connect() as connection:

        def one(number: int, body: bytes = BODY) -> Any:
            field, pieces = form(body)
            connection.send(b"POST /used?%d HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n" % (number, field))
            for piece in pieces:
                connection.send(piece)
            answer = connection.answer()
            assert answer.status == 200
            return json.loads(answer.body, object_hook=from_json)

        if OTHER and form is in_chunks and one(READ) != BODY:
            only_for_iotax("it sends chunks, which this server does not decode (S-HTTP-02)")
        yield one


METHODS = use(
    lambda stream: [hasattr(stream, name) for name in ("read", "readline", "readlines", "__iter__")]
)
EACH_ONCE = use(
    lambda stream: [stream.read(1), stream.readline(), next(iter(stream)), stream.readlines()]
)


READ = use(lambda stream: stream.read())
READ_MUCH = use(lambda stream: stream.read(10_000_000))


@pytest.mark.obligation("S-ENV-27")
def test_wsgi_input_can_be_read(read: Any) -> None:
    assert read(READ) == BODY


@pytest.mark.obligation("S-IN-02")
def test_the_methods(read: Any) -> None:
    assert read(METHODS) == [True] * 4
    assert read(EACH_ONCE) == [b"l", b"ine1\n", b"line2\n", [b"\n", b"end"]]


def body_of(size: int) -> bytes:
    return bytes(number % 251 for number in range(size))


every_size = pytest.mark.parametrize("size", [0, 1, 100_000])


@pytest.mark.obligation("S-STR-02")
@every_size
def test_whole_bodies_are_bytes(read: Any, size: int) -> None:
    for number in (READ, READ_MUCH):
        assert read(number, body_of(size)) == body_of(size)


IN_PARTS = [
    pytest.param(
        use(lambda stream: list(iter(lambda: stream.read(9999), b""))),
        marks=pytest.mark.obligation("S-IN-03"),
    ),
    pytest.param(
        use(lambda stream: list(iter(stream.readline, b""))),
        marks=pytest.mark.obligation("S-IN-04"),
    ),
    pytest.param(use(lambda stream: stream.readlines()), marks=pytest.mark.obligation("S-IN-05")),
    pytest.param(use(list), marks=pytest.mark.obligation("S-IN-06")),
]


@every_size
@pytest.mark.parametrize("number", IN_PARTS)
def test_the_parts_make_the_whole_body(read: Any, number: int, size: int) -> None:
    assert b"".join(read(number, body_of(size))) == body_of(size)


NO_ARGUMENT = [
    use(lambda stream: [stream.read(), stream.read()]),
    use(lambda stream: [stream.read(-1), stream.read(-1)]),
    use(lambda stream: [stream.read(None), stream.read(None)]),
]


@pytest.mark.obligation("S-IN-10")
@pytest.mark.parametrize("number", NO_ARGUMENT)
def test_read_without_a_size_returns_the_rest(read: Any, number: int) -> None:
    assert read(number) == [BODY, b""]


FILLS_UP = use(lambda stream: stream.read(10_000))
NOTHING_READ = use(lambda stream: [stream.read(0), stream.read(3)])


@pytest.mark.obligation("S-IN-03")
def test_read_returns_the_requested_size(read: Any) -> None:
    assert read(FILLS_UP) == BODY
    assert read(NOTHING_READ) == [b"", b"lin"]


@applications.add
def reads_ten(environ: Any, start_response: Any) -> list[bytes]:
    tell("called")
    data = environ["wsgi.input"].read(10)
    start_response("200 OK", [TEXT])
    return [data]


@pytest.mark.obligation("S-IN-03")
def test_read_waits_for_the_second_segment(on_demand: Served) -> None:
    with on_demand.connect() as connection:
        connection.request("POST", "/reads_ten", "Content-Length: 10")
        connection.send(b"first")
        on_demand.wait_for("called")
        connection.send(b"other")
        assert connection.answer().body == b"firstother"


SIX_LINES = use(lambda stream: [stream.readline() for _ in range(6)])


@pytest.mark.obligation("S-IN-04")
def test_readline(read: Any) -> None:
    assert read(SIX_LINES) == [*LINES, b"", b""]
    assert read(SIX_LINES, b"\n")[:2] == [b"\n", b""]
    long = b"x" * 900_000 + b"\n"
    assert read(SIX_LINES, long + b"rest")[:3] == [long, b"rest", b""]


READLINES = use(lambda stream: [stream.readlines(), stream.readlines()])
HINTED = use(lambda stream: stream.readlines(1))


@pytest.mark.obligation("S-IN-05", "S-IN-13")
def test_readlines(read: Any) -> None:
    assert read(READLINES) == [LINES, []]
    assert read(HINTED) in (LINES[:1], LINES)


ITERATED = use(lambda stream: [list(stream), list(stream)])


@pytest.mark.obligation("S-IN-06")
def test_iteration_ends_with_the_body(read: Any) -> None:
    assert read(ITERATED) == [LINES, []]


MIXED = use(lambda stream: [stream.readline(), stream.read(2), stream.readline(), stream.read()])


@pytest.mark.obligation("S-IN-07")
def test_all_methods_share_a_position(read: Any) -> None:
    assert read(MIXED) == [b"line1\n", b"li", b"ne2\n", b"\nend"]


def any_mix(seed: int) -> Callable[[Any], Any]:
    def mix(stream: Any) -> list[Any]:
        chance = random.Random(seed)
        results: list[Any] = []
        for _ in range(30):
            name = chance.choice(["read", "readline", "readlines", "next"])
            size = chance.choice([0, 1, 2, 5, 20, 1000])
            if name == "next":
                results.append(next(iter(stream), None))
            elif name == "readlines":
                results.append(stream.readlines())
            else:
                results.append(getattr(stream, name)(size))
        return results

    return mix


MIXES = [use(any_mix(seed)) for seed in range(10)]


@pytest.mark.obligation("S-IN-07")
@pytest.mark.parametrize("seed", range(len(MIXES)))
def test_any_mix_is_that_of_bytesio(read: Any, seed: int) -> None:
    chance = random.Random(seed + 1000)
    body = bytes(chance.choice(b"ab\n") for _ in range(chance.choice([0, 1, 50, 400])))
    assert read(MIXES[seed], body) == USES[MIXES[seed]](io.BytesIO(body))


PAST_THE_END = use(
    lambda stream: [
        stream.read(len(BODY)),
        *[stream.read(), stream.read(5), stream.readline(), stream.readlines(), list(stream)] * 2,
    ]
)
NOTHING = [b"", b"", b"", [], []] * 2


@pytest.mark.obligation("S-IN-09", "S-IN-11")
def test_read_past_the_end_returns_nothing(read: Any) -> None:
    assert read(PAST_THE_END) == [BODY, *NOTHING]
    assert read(PAST_THE_END, b"") == [b"", *NOTHING]


@pytest.mark.obligation("S-IN-11")
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_read_without_a_body_returns_nothing(served: Served, version: str) -> None:
    with served.connect() as connection:
        connection.send(f"GET /used?{PAST_THE_END} HTTP/{version}\r\nHost: h\r\n\r\n".encode())
        found = json.loads(connection.answer().body, object_hook=from_json)
    assert found == [b"", *NOTHING]


SIZED_LINES = use(lambda stream: [stream.readline(size) for size in (3, 100, 0, -1)])


@pytest.mark.obligation("S-IN-12")
def test_readline_takes_a_size(read: Any) -> None:
    assert read(SIZED_LINES) == [b"lin", b"e1\n", b"", b"line2\n"]


# ---- where the body ends


@pytest.fixture(params=["read ahead", "on demand"])
def server(request: pytest.FixtureRequest) -> Served:
    found: Served = request.getfixturevalue(
        "served" if request.param == "read ahead" else "on_demand"
    )
    return found


NEXT = f"POST /used?{READ} HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nnext".encode()


@pytest.mark.obligation("S-IN-08")
@pytest.mark.parametrize("form", [with_a_length, in_chunks])
def test_the_next_request_is_not_part_of_the_body(server: Served, form: Any) -> None:
    field, pieces = form(BODY)
    head = b"POST /used?%d HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n" % (READ, field)
    with server.connect() as connection:
        connection.send(head + b"".join(pieces) + NEXT)
        assert next_body(connection) == BODY
        if more_comes(connection):
            assert next_body(connection) == b"next"


def next_body(connection: Connection) -> bytes:
    found: bytes = json.loads(connection.answer().body, object_hook=from_json)
    return found


@applications.add
def unread(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    return [b"unread"]


@pytest.mark.obligation("S-IN-14")
@pytest.mark.parametrize("form", [with_a_length, in_chunks])
@pytest.mark.parametrize("body", [BODY, NEXT, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" * 20_000])
def test_an_unread_body_is_not_read_as_a_request(server: Served, form: Any, body: bytes) -> None:
    """The next response is that of the next request, or there is none."""
    field, pieces = form(body)
    with server.connect() as connection:
        connection.send(b"POST /unread HTTP/1.1\r\nHost: h\r\n" + field + b"\r\n\r\n")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may close
            for piece in [*pieces, NEXT]:
                connection.send(piece)
        assert connection.answer().body == b"unread"
        with contextlib.suppress(OSError):
            connection.end_sending()
        rest = connection.rest()
    assert len(re.findall(rb"HTTP/1\.[01] \d", rest)) <= 1
    if rest:
        assert re.match(rb"HTTP/1\.[01] 200 ", rest)
        assert b'"data": "next"' in rest


# ---- when the application is called


@applications.add
def called(environ: Any, start_response: Any) -> list[bytes]:
    tell("called")
    start_response("200 OK", [TEXT])
    return [environ["wsgi.input"].read()]


@pytest.mark.obligation("S-IN-01")
def test_a_body_is_read_ahead(served: Served) -> None:
    with served.connect() as connection:
        connection.request("POST", "/called", "Content-Length: 10")
        connection.send(b"first")
        assert served.told() == [], "events() is a request that overtook it"
        connection.send(b"other")
        assert connection.answer().body == b"firstother"
    assert served.told() == ["called"]


@pytest.mark.obligation("S-IN-01")
def test_or_read_on_demand(on_demand: Served) -> None:
    with on_demand.connect() as connection:
        connection.request("POST", "/called", "Content-Length: 10")
        on_demand.wait_for("called")
        connection.send(b"firstother")
        assert connection.answer().body == b"firstother"
