"""Blocks of the response (Specification Details, Buffering and Streaming, Middleware Handling of
Block Boundaries, The write() Callable, Supporting Older Versions of Python): S-ITER, S-BUF,
S-WR, S-SR-03, S-OLD."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from applications import TEXT, Applications, parameter, started, stay, tell
from served import Served, needs_write
from support.wire import SMALL

applications = Applications()


# ---- contents

OPAQUE = bytes(range(256)) * 3 + b"\r\n\n\r"


@applications.add
def opaque(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    return [OPAQUE]


@applications.add
@started
def opaque_blocks(_environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    yield OPAQUE
    yield OPAQUE


@pytest.mark.obligation("S-ITER-01", "S-ITER-02")
@pytest.mark.parametrize("field", ["X: y", "Accept-Encoding: gzip, br, *", "TE: gzip"])
def test_blocks_are_opaque(served: Served, field: str) -> None:
    for path, body in (("/opaque", OPAQUE), ("/opaque_blocks", 2 * OPAQUE)):
        answer = served.ask(path, field)
        assert (answer.body, answer.complete) == (body, True)
        assert answer.get("Content-Encoding") is None
        assert answer.get("Transfer-Encoding") in (None, "chunked")


class Sized:
    """Two blocks, and a length that is wrong or missing."""

    def __init__(self, length: Any) -> None:
        self.length = length

    def __len__(self) -> int:
        if isinstance(self.length, int):
            return self.length
        raise self.length

    def __iter__(self) -> Any:
        return iter([b"a", b"b"])


LENGTHS = [TypeError, RuntimeError, NotImplementedError, 0, 1, 2, 7]


@applications.add
def sized(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return Sized(LENGTHS[parameter(environ)])


@pytest.mark.obligation("S-ITER-03")
@pytest.mark.parametrize("number", range(len(LENGTHS)), ids=[str(length) for length in LENGTHS])
def test_iteration_gives_the_body_and_not_len(served: Served, number: int) -> None:
    answer = served.ask(f"/sized?{number}")
    assert (answer.status, answer.body, answer.complete) == (200, b"ab", True)


class OnlyGetItem:
    def __getitem__(self, index: int) -> bytes:
        return [b"a", b"b"][index]


@applications.add
def only_getitem(_environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return OnlyGetItem()


@pytest.mark.obligation("S-OLD-01")
def test_any_iterable_is_a_result(served: Served) -> None:
    answer = served.ask("/only_getitem")
    assert (answer.status, answer.body, answer.complete) == (200, b"ab", True)


EMPTY = [b"", b"a", b"", *[b""] * 1000, b"b", b""]


@applications.add
def empty_blocks(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return (list, tuple, iter)[parameter(environ)](EMPTY)


@pytest.mark.obligation("S-BUF-04")
@pytest.mark.parametrize("number", range(3), ids=["list", "tuple", "iterator"])
def test_empty_blocks_are_nothing_to_send(served: Served, number: int) -> None:
    answer = served.ask(f"/empty_blocks?{number}")
    assert (answer.body, answer.complete) == (b"ab", True)
    assert b"" not in answer.chunks


# ---- each block immediately: the application continues when the client has the block

FRAMINGS: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "chunked": ("1.1", []),
    "Content-Length": ("1.1", [("Content-Length", "{total}")]),
    "close": ("1.0", []),
}
SIZES = [1, 5, 300, 4095, 4096, 65537]
BLOCKS = 3


@applications.add
@started
def one_by_one(environ: Any, start_response: Any) -> Iterable[bytes]:
    """/one_by_one/FRAMING?SIZE: waits after each block."""
    size = parameter(environ)
    _, headers = FRAMINGS[environ["PATH_INFO"].rpartition("/")[2]]
    total = str(BLOCKS * size)
    start_response(
        "200 OK", [TEXT, *[(name, value.format(total=total)) for name, value in headers]]
    )
    for number in range(BLOCKS):
        yield b"%d" % number * size
        stay()


@applications.add
def write_one_by_one(environ: Any, start_response: Any) -> Iterable[bytes]:
    """The same with write()."""
    size = parameter(environ)
    _, headers = FRAMINGS[environ["PATH_INFO"].rpartition("/")[2]]
    total = str(BLOCKS * size)
    write = start_response(
        "200 OK", [TEXT, *[(name, value.format(total=total)) for name, value in headers]]
    )
    for number in range(BLOCKS):
        write(b"%d" % number * size)
        stay()
    return []


def check_blocks_come_at_once(served: Served, name: str, framing: str, size: int) -> None:
    with served.connect() as connection:
        version, _ = FRAMINGS[framing]
        connection.send(f"GET /{name}/{framing}?{size} HTTP/{version}\r\nHost: h\r\n\r\n".encode())
        answer = connection.head()
        for number in range(BLOCKS):
            assert connection.content(answer, size) == b"%d" % number * size
            if framing == "Content-Length" and number == BLOCKS - 1:
                continue  # the response is complete, the iteration may have ended
            served.wait_until_it_stays()
            served.let_go()
        if framing == "chunked":
            assert connection.content(answer, 1) == b""


@pytest.mark.obligation("S-BUF-01", "S-BUF-02")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("framing", list(FRAMINGS))
def test_each_block_arrives_before_the_next_is_requested(
    served: Served, framing: str, size: int
) -> None:
    check_blocks_come_at_once(served, "one_by_one", framing, size)


@pytest.mark.obligation("S-WR-01")
@pytest.mark.parametrize("size", [1, 4096, 65537])
@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_each_written_block_arrives_before_the_call_continues(
    served: Served, framing: str, size: int
) -> None:
    check_blocks_come_at_once(served, "write_one_by_one", framing, size)


class StaysInClose:
    def __init__(self, *blocks: bytes) -> None:
        self.blocks = blocks

    def __iter__(self) -> Any:
        return iter(self.blocks)

    def close(self) -> None:
        stay()


@applications.add
def stays_in_close(environ: Any, start_response: Any) -> Any:
    headers = [("Content-Length", "2")] if environ["QUERY_STRING"] == "length" else []
    start_response("200 OK", [TEXT, *headers])
    return StaysInClose(b"a", b"b")


@pytest.mark.obligation("S-BUF-02")
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_the_last_block_does_not_wait_for_close(served: Served, framing: str) -> None:
    with served.connect() as connection:
        connection.get(f"/stays_in_close?{framing}")
        answer = connection.answer()
        assert (answer.body, answer.complete) == (b"ab", True)
        served.wait_until_it_stays()
        served.let_go()


LARGE = 8 << 20


@applications.add
@started
def large_block(_environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    yield b"x" * LARGE
    stay()
    yield b"end"


@applications.add
def large_write(_environ: Any, start_response: Any) -> Iterable[bytes]:
    write = start_response("200 OK", [TEXT])
    write(b"x" * LARGE)
    stay()
    return [b"end"]


@pytest.mark.obligation("S-BUF-03")
@pytest.mark.parametrize("name", ["large_block", "large_write"])
def test_a_large_block_is_sent_while_the_application_continues(served: Served, name: str) -> None:
    if name == "large_write":
        needs_write(served)
    with served.connect(receive_buffer=SMALL) as connection:
        connection.get(f"/{name}")
        answer = connection.head()
        assert connection.content(answer, LARGE) == b"x" * LARGE
        served.wait_until_it_stays()  # in transit, or here already: both are allowed
        served.let_go()
        assert connection.content(answer, 4) == b"end"


# ---- write()


@applications.add
def writes_and_yields(_environ: Any, start_response: Any) -> list[bytes]:
    write = start_response("200 OK", [TEXT])
    tell("written", value=write(b"w1"))
    write(b"w2")
    return [b"i1", b"i2"]


@applications.add
def tells_of_write(_environ: Any, start_response: Any) -> list[bytes]:
    write = start_response("200 OK", [TEXT])
    tell("write", callable=callable(write))
    return [b"x"]


@pytest.mark.obligation("S-SR-03")
def test_start_response_returns_write(served: Served) -> None:
    assert served.ask("/tells_of_write").body == b"x"
    assert served.wait_for("write")["callable"]


@pytest.mark.obligation("S-SR-03", "S-WR-03")
def test_written_blocks_come_before_those_of_the_result(served: Served) -> None:
    answer = served.ask("/writes_and_yields")
    assert (answer.body, answer.complete) == (b"w1w2i1i2", True)


@applications.add
def written_and_yielded_one_by_one(_environ: Any, start_response: Any) -> Iterable[bytes]:
    write = start_response("200 OK", [TEXT])
    write(b"w")
    stay()

    def more() -> Iterable[bytes]:
        yield b"i"
        stay()

    return more()


@pytest.mark.obligation("S-WR-03", "S-WR-02")
def test_after_write_each_block_of_the_result_arrives_immediately(served: Served) -> None:
    with served.connect() as connection:
        connection.get("/written_and_yielded_one_by_one")
        answer = connection.head()
        assert answer.status == 200
        for expected in (b"w", b"i"):
            assert connection.content(answer, 1) == expected
            served.wait_until_it_stays()
            served.let_go()
        assert connection.content(answer, 1) == b""


NOT_BYTES = ["x", bytearray(b"x"), memoryview(b"x"), None, 5]


@applications.add
def writes_another_type(environ: Any, start_response: Any) -> list[bytes]:
    write = start_response("200 OK", [TEXT])
    try:
        write(NOT_BYTES[parameter(environ)])
    except Exception as error:
        tell("raised", type=type(error).__name__)
        raise
    return []


@pytest.mark.obligation("S-WR-01")
@pytest.mark.parametrize("number", range(len(NOT_BYTES)), ids=[type(x).__name__ for x in NOT_BYTES])
def test_only_bytes_can_be_written(served: Served, number: int) -> None:
    assert served.ask(f"/writes_another_type?{number}").status == 500
    assert served.events() == [{"event": "raised", "type": "TypeError"}]


kept: list[Callable[[bytes], object]] = []


@applications.add
def keeps_write(_environ: Any, start_response: Any) -> list[bytes]:
    for write in kept:
        try:
            write(b"late")
        except Exception as error:
            tell("raised", type=type(error).__name__)
        else:
            tell("written")
    kept.append(start_response("200 OK", [TEXT]))
    return [b"body"]


@pytest.mark.obligation("S-WR-02")
def test_write_of_another_request_raises(served: Served) -> None:
    with served.connect() as connection:
        for _ in range(3):
            assert connection.ask("/keeps_write").body == b"body"
    assert served.told() == ["raised"] * 3


@applications.add
def writes_after_a_refusal(_environ: Any, start_response: Any) -> list[bytes]:
    write = start_response("200 OK", [TEXT])
    try:
        raise ValueError
    except ValueError as error:
        try:
            start_response("bad", [TEXT], (ValueError, error, error.__traceback__))
        except ValueError:
            tell("refused")
    write(b"x")
    return []


@pytest.mark.obligation("S-WR-02")
def test_write_without_a_head_is_an_error(served: Served) -> None:
    answer = served.ask("/writes_after_a_refusal")
    assert served.told() == ["refused"]
    assert answer.status == 500
