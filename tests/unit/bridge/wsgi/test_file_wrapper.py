"""wsgi.file_wrapper (S-FW; beyond 5.9)."""

import gzip
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DATA = b"0123456789"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    return path


def sent(
    ask: Any, file: Any, *more: Any, headers: Any = (), status: str = "200 OK", **request: Any
) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        start_response(status, list(headers))
        return environ["wsgi.file_wrapper"](file, *more)

    return ask(app, **request)


def content(answer: Any) -> bytes:
    return answer.body + b"".join(event[3] for event in answer.of("file"))


class Counting(io.BytesIO):
    closed_times = 0

    def close(self) -> None:
        self.closed_times += 1
        super().close()


def test_s_fw_02_03_the_wrapper_is_an_iterable_of_blocks(ask: Any) -> None:
    class ReadOnly:
        def __init__(self) -> None:
            self.inner = io.BytesIO(DATA)

        def read(self, size: int) -> bytes:
            return self.inner.read(size)

    seen: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        wrapper = environ["wsgi.file_wrapper"]
        seen.extend(
            [
                list(wrapper(ReadOnly(), 4)),
                list(wrapper(ReadOnly())),
                list(wrapper(ReadOnly(), 8192)),
            ]
        )
        with pytest.raises(TypeError):
            wrapper()
        with pytest.raises(TypeError):
            wrapper(ReadOnly(), 4, 5)
        with pytest.raises(TypeError):
            wrapper(ReadOnly(), block_size=4)
        start_response("200 OK", [])
        return wrapper(ReadOnly(), 4)

    answer = ask(app)
    assert seen == [[b"0123", b"4567", b"89"], [DATA], [DATA]]
    assert answer.of("body") == [
        ("body", b"0123", "ok"),
        ("body", b"4567", "ok"),
        ("body", b"89", "ok"),
    ]


def test_s_fw_04_07_only_the_returned_wrapper_is_sent(ask: Any, path: Path) -> None:
    def other(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        environ["wsgi.file_wrapper"](path.open("rb"))
        return [b"other"]

    def first(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        wrapper = environ["wsgi.file_wrapper"](path.open("rb"))
        environ["wsgi.file_wrapper"](io.BytesIO(b"second"))
        environ.clear()
        return wrapper

    def inside(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield from environ["wsgi.file_wrapper"](path.open("rb"))

    assert content(ask(other)) == b"other"
    assert content(ask(first)) == DATA
    assert ask(first).kinds == ["respond", "file", "finish"]
    assert content(ask(inside)) == DATA
    assert "file" not in ask(inside).kinds


@pytest.mark.parametrize("mode", ["rb", "r+b"])
@pytest.mark.parametrize("buffering", [0, -1])
def test_a_plain_file_is_sent_by_its_descriptor(
    ask: Any, path: Path, mode: str, buffering: int
) -> None:
    file = path.open(mode, buffering=buffering)
    answer = sent(ask, file)
    assert answer.of("file") == [("file", 0, 10, DATA)]
    assert answer.content_bytes == 10
    assert file.closed, "S-FW-05"


def test_s_fw_08_from_the_logical_position(ask: Any, path: Path) -> None:
    def at(use: Any) -> bytes:
        file = path.open("rb")
        use(file)
        return content(sent(ask, file))

    assert at(lambda file: file.seek(4)) == DATA[4:]
    assert at(lambda file: file.read(2)) == DATA[2:]
    assert at(lambda file: file.seek(10)) == b""
    assert at(lambda file: file.seek(50)) == b""


def test_s_fw_08_the_length_bounds_it(ask: Any, path: Path) -> None:
    answer = sent(ask, path.open("rb"), headers=[("Content-Length", "3")])
    assert (content(answer), answer.log, answer.of("finish")) == (b"012", [], [("finish", "ok")])
    longer = sent(ask, path.open("rb"), headers=[("Content-Length", "20")])
    assert content(longer) == DATA
    assert longer.of("finish") == [("finish", "short_length")]
    assert "less than its Content-Length" in longer.errors()[0]


def test_a_file_that_was_written_to_is_flushed_first(ask: Any, path: Path) -> None:
    file = path.open("r+b")
    file.write(b"abc")
    file.seek(0)
    assert content(sent(ask, file)) == b"abc3456789"


def test_an_empty_file_has_length_0(ask: Any, path: Path) -> None:
    path.write_bytes(b"")
    answer = sent(ask, path.open("rb"))
    assert (answer.kinds, answer.content_bytes) == (["respond", "finish", "deliver"], 0)


class OwnRead(io.FileIO):
    def read(self, size: int = -1) -> bytes:
        return super().read(size).swapcase()


class BadFileno(io.BytesIO):
    def fileno(self) -> int:
        return 0


def objects(path: Path) -> Iterator[tuple[str, Any, bytes]]:
    yield "BytesIO", io.BytesIO(DATA), DATA
    packed = path.with_suffix(".gz")
    packed.write_bytes(gzip.compress(DATA))
    yield "GzipFile", gzip.GzipFile(packed), DATA
    yield "buffered GzipFile", io.BufferedReader(gzip.GzipFile(packed)), DATA
    letters = path.with_suffix(".txt")
    letters.write_bytes(b"aBc")
    yield "own read()", OwnRead(letters), b"AbC"
    yield "fileno() of something else", BadFileno(DATA), DATA
    reading, writing = os.pipe()
    os.write(writing, DATA)
    os.close(writing)
    yield "pipe", os.fdopen(reading, "rb"), DATA
    spooled = tempfile.SpooledTemporaryFile()  # noqa: SIM115  # the wrapper closes it
    spooled.write(DATA)
    spooled.seek(0)
    yield "spooled", spooled, DATA
    named = tempfile.NamedTemporaryFile()  # noqa: SIM115  # the same
    named.write(DATA)
    named.seek(0)
    yield "named temporary file", named, DATA


def test_s_fw_06_10_other_objects_are_iterated(ask: Any, path: Path) -> None:
    names = []
    for name, file, expected in objects(path):
        answer = sent(ask, file, 4)
        assert content(answer) == expected, name
        assert "file" not in answer.kinds, name
        assert answer.log == [], name
        assert file.closed, name
        names.append(name)
    assert len(names) == 8


@pytest.mark.parametrize(
    "name",
    [
        "/proc/self/limits",  # says 0
        "/proc/sys/kernel/ostype",  # says 0
        "/sys/class/net/lo/address",  # says 4096
        "/sys/fs/cgroup/cgroup.procs",  # says 0
    ],
)
@pytest.mark.parametrize("buffering", [0, -1])
def test_file_with_another_size_than_its_content_is_read(
    ask: Any, name: str, buffering: int
) -> None:
    if not os.path.exists(name):
        pytest.skip(f"no {name} here")
    with open(name, "rb") as file:
        expected = file.read()
    answer = sent(ask, open(name, "rb", buffering=buffering))  # noqa: SIM115  # the wrapper closes it
    assert content(answer) == expected
    assert "file" not in answer.kinds
    assert answer.log == []
    begun = open(name, "rb")  # noqa: SIM115  # the same
    begun.read(1)
    assert content(sent(ask, begun)) == expected[1:]


def test_a_file_without_blocks_is_sent_by_its_descriptor(ask: Any, path: Path) -> None:
    os.truncate(path, 0)
    os.truncate(path, 10)
    assert path.stat().st_blocks == 0, "all of it is a hole"
    answer = sent(ask, path.open("rb"))
    assert answer.of("file") == [("file", 0, 10, bytes(10))]
    assert answer.content_bytes == 10


def test_a_file_that_has_grown_or_shrunk_is_sent_as_it_is_now(ask: Any, path: Path) -> None:
    grown = path.open("rb")
    grown.read(1)
    path.write_bytes(DATA * 2)
    assert content(sent(ask, grown)) == (DATA * 2)[1:]
    shrunk = path.open("rb")
    shrunk.read(1)
    os.truncate(path, 5)
    assert content(sent(ask, shrunk)) == DATA[1:5]


def test_a_read_patched_onto_the_file_counts(ask: Any, path: Path) -> None:
    file = path.open("rb")
    blocks = iter([b"patched", b""])
    file.read = lambda _size: next(blocks)  # type: ignore[method-assign, misc, assignment]
    assert content(sent(ask, file)) == b"patched"


def test_a_file_open_for_writing_only_is_not_sent(ask: Any, path: Path) -> None:
    assert sent(ask, path.open("ab", buffering=0)).failed


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"method": "HEAD"},
        {"status": "304 Not Modified"},
        {"headers": [("Content-Length", "3")]},
        {"gone_after": 1},
    ],
)
def test_s_fw_05_the_file_is_closed_once(ask: Any, request_: Any, path: Path) -> None:
    counting = Counting(DATA)
    sent(ask, counting, 4, **request_)
    assert counting.closed_times == 1
    calls: list[int] = []
    file = path.open("rb")
    close = file.close

    def closing() -> None:
        calls.append(1)
        close()

    file.close = closing  # type: ignore[method-assign]  # as Django does
    sent(ask, file, **request_)
    assert calls == [1]


def test_a_file_without_close_is_sent(ask: Any) -> None:
    class NoClose:
        blocks = iter([b"a", b""])

        def read(self, _size: int) -> bytes:
            return next(self.blocks)

    answer = sent(ask, NoClose())
    assert (content(answer), answer.log) == (b"a", [])


@pytest.mark.parametrize(
    "request_", [{"method": "HEAD"}, {"status": "304 Not Modified"}, {"status": "204 No Content"}]
)
def test_s_fw_11_no_body_is_sent_where_there_is_none(ask: Any, path: Path, request_: Any) -> None:
    answer = sent(ask, path.open("rb"), **request_)
    assert answer.kinds == ["respond", "finish"]
    assert answer.content_bytes == (10 if "method" in request_ else None)


def test_s_fw_11_after_write_the_wrapper_is_iterated(ask: Any, path: Path) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])(b"w")
        return environ["wsgi.file_wrapper"](path.open("rb"))

    answer = ask(app)
    assert (content(answer), "file" in answer.kinds) == (b"w" + DATA, False)


def test_s_fw_11_without_start_response_a_500(ask: Any, path: Path) -> None:
    file = path.open("rb")
    answer = ask(lambda environ, _: environ["wsgi.file_wrapper"](file))
    assert answer.failed
    assert file.closed


def test_s_fw_11_a_read_that_raises(ask: Any) -> None:
    class Failing(Counting):
        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            if not data:
                raise OSError("unreadable")
            return data

    file = Failing(DATA)
    answer = sent(ask, file, 4)
    assert answer.kinds[-1] == "abort"
    assert file.closed_times == 1
    assert "unreadable" in answer.errors()[0]
