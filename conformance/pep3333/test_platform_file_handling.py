"""Optional Platform-Specific File Handling: S-FW."""

import contextlib
import gzip
import io
import os
import tempfile
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from applications import TEXT, Applications, parameter, started, stay, tell
from served import Served, needs_write, only_for_iotax
from support.wire import OTHER

applications = Applications()

DATA = b"0123456789"


def plain_file(data: bytes = DATA) -> Any:
    """An open file of its own, without another reference."""
    descriptor, name = tempfile.mkstemp()
    os.write(descriptor, data)
    os.close(descriptor)
    file = open(name, "rb")  # noqa: SIM115  # the wrapper closes it
    os.unlink(name)
    return file


def telling(file: Any) -> Any:
    """Reports its close(). Patched onto the object, as Django does it."""
    close = file.close

    def told_close() -> None:
        tell("close")
        close()

    file.close = told_close
    return file


class ReadOnly:
    """Only read(), and a close() that is reported."""

    def __init__(self, data: bytes = DATA) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self._data.read(size)

    def close(self) -> None:
        tell("close")


class NoClose:
    def __init__(self) -> None:
        self._blocks = iter([DATA, b""])

    def read(self, _size: int) -> bytes:
        return next(self._blocks)


# ---- the wrapper


@applications.add
def has_wrapper(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    return [str(callable(environ.get("wsgi.file_wrapper"))).encode()]


@pytest.mark.obligation("S-FW-01")
def test_file_wrapper_is_in_environ(served_module: Served) -> None:
    assert served_module.ask("/has_wrapper").body == b"True"


@pytest.fixture
def served(served: Served) -> Served:
    """The other tests are for a server that has one."""
    if OTHER and served.ask("/has_wrapper").body != b"True":
        only_for_iotax("it asks for a wsgi.file_wrapper, which this server does not have")
    return served


@applications.add
def looked_at(environ: Any, start_response: Any) -> Any:
    wrapper = environ["wsgi.file_wrapper"]
    given = [wrapper(ReadOnly()), wrapper(ReadOnly(), 4), wrapper(ReadOnly(), 8192)]
    tell(
        "looked at",
        blocks=[[block.decode() for block in one] for one in given],
        iterable=hasattr(iter(given[0]), "__next__"),
    )
    for wrong in ((), (ReadOnly(), 4, 5)):
        try:
            wrapper(*wrong)
        except TypeError:
            tell("refused")
    start_response("200 OK", [TEXT])
    return wrapper(plain_file(), 4)


@pytest.mark.obligation("S-FW-02", "S-FW-03")
def test_the_wrapper_makes_an_iterable_of_a_file(served: Served) -> None:
    assert served.ask("/looked_at").body == DATA
    seen, *refused = served.events()
    assert seen["iterable"]
    assert ["".join(blocks) for blocks in seen["blocks"]] == [DATA.decode()] * 3
    if not OTHER:  # the size is a hint
        assert seen["blocks"] == [["0123456789"], ["0123", "4567", "89"], ["0123456789"]]
        assert refused == [{"event": "refused"}] * 2


@applications.add
def other_result(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    file = plain_file(b"not to be sent")
    environ["wsgi.file_wrapper"](file)
    stay()
    tell("position", value=file.tell())
    file.close()
    return [b"other"]


@pytest.mark.obligation("S-FW-04")
def test_a_wrapper_that_is_not_returned_sends_nothing(served: Served) -> None:
    with served.connect() as connection:
        connection.get("/other_result")
        served.wait_until_it_stays()
        assert connection.is_silent()
        served.let_go()
        assert connection.answer().body == b"other"
    assert served.events() == [{"event": "position", "value": 0}]


@applications.add
def first_of_two(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    first = environ["wsgi.file_wrapper"](plain_file())
    environ["wsgi.file_wrapper"](plain_file(b"second"))
    return first


@pytest.mark.obligation("S-FW-04", "S-FW-07")
def test_the_wrapper_that_is_returned_is_sent(served: Served) -> None:
    assert served.ask("/first_of_two").body == DATA


@applications.add
@started
def inside(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    yield b"before "
    yield from environ["wsgi.file_wrapper"](plain_file(), 3)
    yield b" after"


class Middleware:
    """Passes on a wrapper, block by block, in upper case."""

    def __init__(self, wrapper: Any) -> None:
        self._wrapper = wrapper

    def __iter__(self) -> Any:
        return (block.upper() for block in self._wrapper)

    def close(self) -> None:
        self._wrapper.close()


@applications.add
def wrapped(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return Middleware(environ["wsgi.file_wrapper"](telling(plain_file(b"abc"))))


@pytest.mark.obligation("S-FW-07")
def test_inside_another_iterable_it_is_iterated(served: Served) -> None:
    assert served.ask("/inside").body == b"before 0123456789 after"
    assert served.ask("/wrapped").body == b"ABC"
    assert served.told() == ["close"]


# ---- which bytes


def at(use: Callable[[Any], object]) -> Any:
    file = plain_file()
    use(file)
    return file


POSITIONS: dict[str, tuple[Callable[[], Any], bytes]] = {
    "start": (plain_file, DATA),
    "after seek": (lambda: at(lambda file: file.seek(4)), DATA[4:]),
    "after a buffered read": (lambda: at(lambda file: file.read(2)), DATA[2:]),
    "at the end": (lambda: at(lambda file: file.seek(10)), b""),
    "beyond the end": (lambda: at(lambda file: file.seek(50)), b""),
    "empty": (lambda: plain_file(b""), b""),
    "large": (lambda: plain_file(DATA * 100_000), DATA * 100_000),
}


@applications.add
def positioned(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return environ["wsgi.file_wrapper"](list(POSITIONS.values())[parameter(environ)][0]())


@pytest.mark.obligation("S-FW-08", "S-FW-09", "B-OUT-18")
@pytest.mark.parametrize("number", range(len(POSITIONS)), ids=list(POSITIONS))
def test_sending_begins_at_the_logical_position(served: Served, number: int) -> None:
    content = list(POSITIONS.values())[number][1]
    with served.connect() as connection:
        for _ in range(2):
            answer = connection.ask(f"/positioned?{number}")
            assert (answer.body, answer.complete) == (content, True)
            if not OTHER:  # a server may compute it
                assert answer.get("Content-Length") == str(len(content))


@applications.add
def of_length(environ: Any, start_response: Any) -> Any:
    """/of_length?LENGTH,KIND"""
    length, kind = environ["QUERY_STRING"].split(",")
    start_response("200 OK", [TEXT, ("Content-Length", length)])
    file = telling(plain_file()) if kind == "file" else ReadOnly()
    return environ["wsgi.file_wrapper"](file, 4)


@pytest.mark.obligation("S-FW-08", "S-FW-05", "S-FW-11")
@pytest.mark.parametrize("kind", ["file", "object"])
def test_a_shorter_length_cuts_the_file(served: Served, kind: str) -> None:
    with served.connect() as connection:
        for _ in range(2):
            answer = connection.ask(f"/of_length?3,{kind}")
            assert (answer.get("Content-Length"), answer.body) == ("3", b"012")
    assert served.told() == ["close"] * 2


@pytest.mark.obligation("S-FW-08", "S-FW-11", "B-OUT-19")
@pytest.mark.parametrize("kind", ["file", "object"])
def test_a_longer_length_closes_the_connection(served: Served, kind: str) -> None:
    path = f"/of_length?20,{kind}"
    with served.connect() as connection:
        connection.get(path)
        connection.get("/first_of_two")
        data = connection.rest()
    assert data.endswith(b"\r\n\r\n" + DATA)
    served.logged(path)
    assert served.told() == ["close"]


@applications.add
def grown(environ: Any, start_response: Any) -> Any:
    """Grown after it was opened, and after its wrapper was created."""
    descriptor, name = tempfile.mkstemp()
    os.write(descriptor, DATA)
    file = open(name, "rb")  # noqa: SIM115  # the wrapper closes it
    file.read(2)
    wrapper = environ["wsgi.file_wrapper"](file)
    os.write(descriptor, b"more")
    os.close(descriptor)
    os.unlink(name)
    start_response("200 OK", [TEXT])
    return wrapper


@pytest.mark.obligation("S-FW-08")
def test_a_file_that_has_grown_is_sent_to_its_end(served: Served) -> None:
    answer = served.ask("/grown")
    assert (answer.body, answer.complete) == (b"23456789more", True)


# ---- objects other than plain files


def packed() -> Any:
    return gzip.GzipFile(fileobj=plain_file(gzip.compress(DATA)))


def pipe() -> Any:
    reading, writing = os.pipe()
    os.write(writing, DATA)
    os.close(writing)
    return os.fdopen(reading, "rb")


class FilenoRaises(io.BytesIO):
    def fileno(self) -> int:
        raise OSError("no descriptor")


class FilenoOfAnother(io.BytesIO):
    def fileno(self) -> int:
        return 0


class OwnRead(io.FileIO):
    def read(self, size: int | None = -1) -> bytes:
        return (super().read(size) or b"").swapcase()


def own_read() -> Any:
    with plain_file(b"aBc") as file:
        return OwnRead(os.dup(file.fileno()))


OBJECTS: dict[str, tuple[Callable[[], Any], bytes]] = {
    "BytesIO": (lambda: io.BytesIO(DATA), DATA),
    "only read()": (ReadOnly, DATA),
    "without close()": (NoClose, DATA),
    "GzipFile": (packed, DATA),
    "pipe": (pipe, DATA),
    "fileno() that raises": (lambda: FilenoRaises(DATA), DATA),
    "fileno() of something else": (lambda: FilenoOfAnother(DATA), DATA),
    "a read() of its own": (own_read, b"AbC"),
}


@applications.add
def an_object(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return environ["wsgi.file_wrapper"](list(OBJECTS.values())[parameter(environ)][0](), 4)


@pytest.mark.obligation("S-FW-06", "S-FW-10", "B-OUT-20")
@pytest.mark.parametrize("number", range(len(OBJECTS)), ids=list(OBJECTS))
def test_other_objects_are_read(served: Served, number: int) -> None:
    answer = served.ask(f"/an_object?{number}")
    content = list(OBJECTS.values())[number][1]
    assert (answer.status, answer.body, answer.complete) == (200, content, True)


# ---- close()

KINDS: dict[str, Callable[[], Any]] = {
    "file": lambda: telling(plain_file()),
    "object": ReadOnly,
    "BytesIO": lambda: TellingBytes(DATA),
}


class TellingBytes(io.BytesIO):
    def close(self) -> None:
        tell("close")
        super().close()


@applications.add
def closing(environ: Any, start_response: Any) -> Any:
    """/closing/KIND?STATUS"""
    kind = environ["PATH_INFO"].rpartition("/")[2]
    start_response(f"{environ['QUERY_STRING']} X", [("X-Name", "value")])
    return environ["wsgi.file_wrapper"](KINDS[kind](), 4)


EVERY_WAY = pytest.mark.parametrize(
    ("method", "status", "content"),
    [("GET", 200, DATA), ("HEAD", 200, b""), ("GET", 204, b""), ("GET", 304, b"")],
)


@pytest.mark.obligation("S-FW-10", "S-FW-11")
@pytest.mark.parametrize("kind", list(KINDS))
@EVERY_WAY
def test_a_file_is_sent_as_any_iterable(
    served: Served, method: str, status: int, content: bytes, kind: str
) -> None:
    with served.connect() as connection:
        for _ in range(2):
            answer = connection.ask(f"/closing/{kind}?{status}", method=method)
            assert (answer.status, answer.body, answer.complete) == (status, content, True)
            assert answer.get("X-Name") == "value"


@pytest.mark.obligation("S-FW-05", "B-OUT-18")
@pytest.mark.parametrize("kind", list(KINDS))
@EVERY_WAY
def test_the_file_is_closed_once(
    served: Served, method: str, status: int, content: bytes, kind: str
) -> None:
    with contextlib.suppress(OSError):
        head = f"{method} /closing/{kind}?{status} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        served.exchange(head.encode())
    assert served.told() == ["close"]


class Endless(ReadOnly):
    def read(self, size: int) -> bytes:
        return b"x" * size


@applications.add
def endless(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return environ["wsgi.file_wrapper"](Endless())


@applications.add
def large(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return environ["wsgi.file_wrapper"](telling(plain_file(b"x" * 8_000_000)))


@pytest.mark.obligation("S-FW-05")
@pytest.mark.parametrize("name", ["endless", "large"])
def test_the_file_is_closed_when_the_client_disconnects(served: Served, name: str) -> None:
    with served.connect() as connection:
        connection.get(f"/{name}")
        connection.head()
        connection.exactly(1)
        connection.reset()
    assert served.told() == ["close"]


# ---- everything else is as for any iterator


@applications.add
def not_started(environ: Any, _start_response: Any) -> Any:
    return environ["wsgi.file_wrapper"](telling(plain_file()))


@pytest.mark.obligation("S-FW-11")
def test_without_start_response_the_response_is_500(served: Served) -> None:
    assert served.ask("/not_started").status == 500


@applications.add
def written_before(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])(b"written ")
    return environ["wsgi.file_wrapper"](telling(plain_file()))


@pytest.mark.obligation("S-FW-11")
def test_after_write_the_file_follows(served: Served) -> None:
    needs_write(served)
    answer = served.ask("/written_before")
    assert (answer.body, answer.complete) == (b"written 0123456789", True)


class Unreadable(ReadOnly):
    def read(self, size: int) -> bytes:
        data = super().read(size)
        if not data:
            raise OSError("unreadable")
        return data


@applications.add
def unreadable(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return environ["wsgi.file_wrapper"](Unreadable(), 4)


@pytest.mark.obligation("S-FW-11")
def test_a_read_that_raises_truncates_the_response(served: Served) -> None:
    answer = served.ask("/unreadable")
    assert (answer.status, answer.body, answer.complete) == (200, DATA, False)
    served.logged("/unreadable", "OSError: unreadable")


class UnreadableAtOnce(ReadOnly):
    def read(self, size: int) -> bytes:
        raise OSError("unreadable")


@applications.add
def unreadable_at_once(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return environ["wsgi.file_wrapper"](UnreadableAtOnce())


@pytest.mark.obligation("S-FW-11")
def test_a_first_read_that_raises_gives_500(served: Served) -> None:
    assert served.ask("/unreadable_at_once").status == 500


@pytest.mark.obligation("S-FW-05")
@pytest.mark.parametrize(
    "name", ["not_started", "written_before", "unreadable", "unreadable_at_once"]
)
def test_the_file_is_closed_whatever_happens(served: Served, name: str) -> None:
    if name == "written_before":
        needs_write(served)
    with contextlib.suppress(OSError):
        served.exchange(f"GET /{name} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
    assert served.told() == ["close"]
