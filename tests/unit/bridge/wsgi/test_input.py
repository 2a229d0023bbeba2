"""wsgi.input (S-IN, S-STR-02, S-ENV-27; beyond 1.1, 1.3, 1.4, 5.11)."""

import csv
import io
import os
import random
import shutil
import subprocess
import sys
import textwrap
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted_bridge import ERROR, INFO, Bridge

BODY = b"line1\nline2\n\nend"


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


# The same body in memory, stored with a known size, and arriving with an unknown one.
FORMS: dict[str, Callable[[bytes], dict[str, Any]]] = {
    "memory": lambda body: {"body": body},
    "stored": lambda body: {"body": body, "stored": True},
    "arriving": lambda body: {"pieces": [body] if body else []},
    "dripping": lambda body: {
        "pieces": cut(body, 1 if len(body) < 1000 else 997),
        "size_known": False,
        "chunked": True,
    },
    "pieces": lambda body: {
        "pieces": cut(body, 7 if len(body) < 1000 else 70_000),
        "size_known": False,
        "chunked": True,
    },
    "known pieces": lambda body: {"pieces": cut(body, 7 if len(body) < 1000 else 4096)},
}


KEPT = ["memory", "stored"]
ARRIVING = [form for form in FORMS if form not in KEPT]


def asked(form: dict[str, Any], use: Callable[[Any], Any]) -> Any:
    """The result of `use(wsgi.input)` in a request with that body."""
    results: list[Any] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        results.append(use(environ["wsgi.input"]))
        start_response("200 OK", [])
        return []

    answer = Bridge(app).request(method="POST", **form)
    assert answer.log == []
    return results[0]


def result_of(form: str, body: bytes, use: Callable[[Any], Any]) -> Any:
    return asked(FORMS[form](body), use)


@pytest.fixture(params=FORMS)
def read(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """read(body, f) returns f(wsgi.input) of a request with that body."""

    def one(body: bytes, use: Callable[[Any], Any]) -> Any:
        return result_of(request.param, body, use)

    return one


def test_s_in_02_the_methods(read: Any) -> None:
    names = ["read", "readline", "readlines", "__iter__", "__next__", "readinto"]
    assert read(b"x", lambda stream: [hasattr(stream, name) for name in names]) == [True] * 6


def test_beyond_1_4_a_binary_file_without_descriptor(read: Any) -> None:
    def use(stream: Any) -> Any:
        assert isinstance(stream, io.BufferedIOBase)
        assert not hasattr(stream, "fileno")
        return [stream.readable(), stream.writable(), stream.isatty(), stream.closed]

    assert read(b"x", use) == [True, False, False, False]


def test_beyond_1_4_close_does_nothing(read: Any) -> None:
    def use(stream: Any) -> Any:
        with stream as same:
            first = same.read(1)
        stream.close()
        stream.flush()
        return [first, stream.closed, stream.read()]

    assert read(b"xyz", use) == [b"x", False, b"yz"]


TEXT = "Zeile 1\r\nZeile 2\n\u20ac" + "x" * 100_000 + "\nlast"


def test_beyond_1_4_libraries_that_take_files(read: Any) -> None:
    body = TEXT.encode()
    lines = TEXT.replace("\r\n", "\n").splitlines(keepends=True)
    assert read(body, lambda stream: list(io.TextIOWrapper(stream, "utf-8"))) == lines
    assert read(body, lambda stream: io.BufferedReader(stream).read()) == body
    assert read(body, lambda stream: list(io.BufferedReader(stream, 100))) == body.splitlines(True)
    copied = io.BytesIO()
    read(body, lambda stream: shutil.copyfileobj(stream, copied))
    assert copied.getvalue() == body
    table = b"a,b\nc,d\n"
    assert read(table, lambda stream: list(csv.reader(io.TextIOWrapper(stream, newline="")))) == [
        ["a", "b"],
        ["c", "d"],
    ]


def zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("name", b"content" * 20_000)
    return packed.getvalue()


@pytest.mark.parametrize("form", KEPT)
def test_beyond_1_4_a_kept_body_can_be_sought(form: str) -> None:
    def use(stream: Any) -> Any:
        found = [stream.seekable(), stream.tell(), stream.read(3), stream.tell()]
        found += [stream.seek(0), stream.readline(), stream.seek(-3, 2), stream.read()]
        found += [
            stream.seek(1),
            stream.seek(1, 1),
            stream.read(2),
            stream.seek(100),
            stream.tell(),
        ]
        found += [stream.read(), stream.read(1), stream.readline(), list(stream), stream.read1()]
        found += [stream.seek(-200, 1), stream.read(1), stream.seek(-1000, 2), stream.readlines()]
        return found

    expected = io.BytesIO(BODY)
    assert result_of(form, BODY, use) == use(expected)
    unpacked = result_of(form, zipped(), lambda stream: zipfile.ZipFile(stream).read("name"))
    assert unpacked == b"content" * 20_000


@pytest.mark.parametrize("form", KEPT)
@pytest.mark.parametrize(
    ("arguments", "error"),
    [((-1,), ValueError), ((0, 3), ValueError), (("1",), TypeError), ((), TypeError)],
)
def test_wrong_positions_raise(form: str, arguments: Any, error: type[Exception]) -> None:
    def use(stream: Any) -> int:
        stream.read(2)
        with pytest.raises(error):
            stream.seek(*arguments)
        return stream.tell()

    assert result_of(form, BODY, use) == 2


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("form", KEPT)
def test_any_mix_of_reads_and_moves_is_that_of_bytesio(form: str, seed: int) -> None:
    chance = random.Random(seed)
    body = bytes(chance.choice(b"ab\n") for _ in range(chance.choice([1, 50, 400, 200_000])))

    def use(stream: Any) -> list[Any]:
        chance = random.Random(seed + 1000)
        results: list[Any] = []
        for _ in range(40):
            size = chance.choice([0, 1, 2, 20, 1000, 70_000, -1])
            name = chance.choice(["read", "readline", "readinto", "seek", "tell", "end"])
            if name == "readinto":
                buffer = bytearray(max(size, 3))
                results.append((stream.readinto(buffer), bytes(buffer)))
            elif name == "seek":
                results.append(stream.seek(chance.randrange(len(body) + 10)))
            elif name == "end":
                results.append(stream.seek(-chance.randrange(len(body)), 2))
            elif name == "tell":
                results.append(stream.tell())
            else:
                results.append(getattr(stream, name)(size))
        return results

    assert result_of(form, body, use) == use(io.BytesIO(body))


@pytest.mark.parametrize("form", ARRIVING)
def test_beyond_1_4_unbuffered_body_has_no_positions(form: str) -> None:
    def use(stream: Any) -> bytes:
        assert stream.seekable() is False
        for call in (stream.tell, lambda: stream.seek(0), lambda: stream.seek(0, 1)):
            with pytest.raises(io.UnsupportedOperation, match="--no-request-buffering"):
                call()
        return stream.read()

    assert result_of(form, BODY, use) == BODY


def test_read1_waits_for_nothing_that_it_can_do_without() -> None:
    def use(stream: Any) -> list[Any]:
        buffer = bytearray(10)
        return [
            stream.read1(),
            stream.read1(2),
            stream.read1(100),
            (stream.readinto1(buffer), bytes(buffer[:4])),
            stream.read1(0),
            stream.read1(),
        ]

    form = {"pieces": [b"one", b"two", b"four"], "size_known": False}
    assert asked(form, use) == [b"one", b"tw", b"o", (4, b"four"), b"", b""]
    assert asked({"body": BODY}, lambda stream: [stream.read1(2), stream.read1()]) == [
        BODY[:2],
        BODY[2:],
    ]


@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="it ends the process")
def test_line_without_memory_is_an_exception_and_can_be_read_in_pieces() -> None:
    """The address space is too small for a second copy of the line."""
    script = """
        import resource, sys
        from scripted_bridge import Bridge
        size = 100_000_000
        seen = []
        def app(environ, start_response):
            stream = environ["wsgi.input"]
            resource.setrlimit(resource.RLIMIT_AS, (used() + 50_000_000,) * 2)
            for use in (stream.readline, stream.read, lambda: next(stream), stream.readlines):
                try:
                    use()
                except MemoryError:
                    seen.append(stream.tell())
            seen.append(len(stream.read(1000)))
            start_response("200 OK", [])
            return []
        def used():
            with open("/proc/self/statm") as file:
                return int(file.read().split()[0]) * resource.getpagesize()
        answer = Bridge(app).request(body=b"x" * size, stored=True)
        print(seen, answer.status)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "[0, 0, 0, 0, 1000] 200 OK\n", done.stderr


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 300_001])
def test_s_str_02_s_in_10_whole_bodies_of_exact_bytes(read: Any, size: int) -> None:
    body = bytes(number % 251 for number in range(size))
    for use in (
        lambda stream: stream.read(),
        lambda stream: stream.read(-1),
        lambda stream: stream.read(None),
        lambda stream: stream.read(size),
        lambda stream: stream.read(size + 1),
        lambda stream: stream.read(2**80),
        lambda stream: b"".join(stream),
        lambda stream: b"".join(stream.readlines()),
        lambda stream: b"".join(iter(lambda: stream.read(9999), b"")),
        lambda stream: b"".join(iter(lambda: stream.read(99_999), b"")),
    ):
        result = read(body, use)
        assert type(result) is bytes
        assert result == body


def test_s_in_03_read_fills_up_and_read_0_consumes_nothing(read: Any) -> None:
    assert read(BODY, lambda stream: stream.read(10000)) == BODY
    assert read(BODY, lambda stream: [stream.read(0), stream.read(3)]) == [b"", b"lin"]


def test_s_in_04_readline(read: Any) -> None:
    lines = [b"line1\n", b"line2\n", b"\n", b"end", b"", b""]
    assert read(BODY, lambda stream: [stream.readline() for _ in lines]) == lines
    assert read(b"\n", lambda stream: [stream.readline(), stream.readline()]) == [b"\n", b""]


def test_s_in_04_a_line_longer_than_any_buffer(read: Any) -> None:
    long = b"x" * (1 << 20) + b"\n"
    assert read(long + b"rest", lambda stream: [stream.readline(), stream.readline()]) == [
        long,
        b"rest",
    ]


def test_s_in_05_13_readlines(read: Any) -> None:
    lines = [b"line1\n", b"line2\n", b"\n", b"end"]
    assert read(BODY, lambda stream: [stream.readlines(), stream.readlines()]) == [lines, []]
    assert read(BODY, lambda stream: stream.readlines(None)) == lines
    assert read(BODY, lambda stream: stream.readlines(0)) == lines
    assert read(BODY, lambda stream: [stream.readlines(1), stream.readlines(7)]) == [
        lines[:1],
        lines[1:3],
    ]


def test_s_in_06_iteration(read: Any) -> None:
    assert read(BODY, list) == [b"line1\n", b"line2\n", b"\n", b"end"]
    assert read(BODY, lambda stream: [next(stream), iter(stream) is stream]) == [b"line1\n", True]


def test_s_in_07_one_position(read: Any) -> None:
    def use(stream: Any) -> list[bytes]:
        return [stream.readline(), stream.read(2), stream.readline(), stream.read()]

    assert read(BODY, use) == [b"line1\n", b"li", b"ne2\n", b"\nend"]


@pytest.mark.parametrize("seed", range(40))
def test_s_in_07_any_mix_of_calls_is_that_of_bytesio(read: Any, seed: int) -> None:
    chance = random.Random(seed)
    body = bytes(chance.choice(b"ab\n") for _ in range(chance.choice([0, 1, 50, 400])))

    def use(stream: Any, seed: int = seed) -> list[Any]:
        chance = random.Random(seed + 1000)
        results = []
        for _ in range(30):
            name = chance.choice(["read", "readline", "readlines", "readinto", "next"])
            size = chance.choice([0, 1, 2, 5, 20, 1000, -1, None])
            if name == "readinto":
                buffer = bytearray(size if size and size > 0 else 3)
                results.append((stream.readinto(buffer), bytes(buffer)))
            elif name == "next":
                results.append(next(stream, None))
            else:
                results.append(getattr(stream, name)(size))
        return results

    assert read(body, use) == use(io.BytesIO(body))


def test_s_in_09_11_past_the_end(read: Any) -> None:
    def use(stream: Any) -> list[Any]:
        stream.read()
        return [
            stream.read(),
            stream.read(5),
            stream.readline(),
            stream.readlines(),
            list(stream),
            stream.readinto(bytearray(3)),
        ] * 2

    assert read(BODY, use) == [b"", b"", b"", [], [], 0] * 2
    assert read(b"", use) == [b"", b"", b"", [], [], 0] * 2


def test_s_in_12_readline_with_a_size(read: Any) -> None:
    sizes = [3, 100, 0, -1]
    assert read(BODY, lambda stream: [stream.readline(size) for size in sizes]) == [
        b"lin",
        b"e1\n",
        b"",
        b"line2\n",
    ]
    assert read(BODY, lambda stream: stream.readline(None)) == b"line1\n"


@pytest.mark.parametrize("name", ["read", "readline", "readlines"])
@pytest.mark.parametrize("arguments", [("1",), (1.5,), (1, 2)])
@pytest.mark.parametrize("body", [b"", b"x"])
def test_wrong_arguments_raise(name: str, arguments: Any, body: bytes) -> None:
    raised: list[type] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        with pytest.raises(TypeError) as caught:
            getattr(environ["wsgi.input"], name)(*arguments)
        raised.append(caught.type)
        start_response("200 OK", [])
        return []

    Bridge(app).request(body=body)
    assert raised == [TypeError]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("disconnected", "ClientDisconnected"),
        ("timed_out", "BodyTimedOut"),
        ("malformed", "BodyMalformed"),
    ],
)
@pytest.mark.parametrize(
    "use",
    [
        lambda s: s.read(),
        lambda s: s.read(10),
        lambda s: s.read(100000),
        lambda s: s.readline(),
        list,
        lambda s: s.readlines(),
        lambda s: s.readinto(bytearray(10)),
        lambda s: s.readinto(bytearray(100000)),
    ],
)
def test_beyond_1_3_a_body_that_ends_early_raises_now_and_later(
    error: str, kind: str, use: Any
) -> None:
    caught: list[BaseException] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        for again in (use, lambda s: s.read(), lambda s: s.read(1), lambda s: s.readline()):
            with pytest.raises(OSError, match="body") as raised:
                again(environ["wsgi.input"])
            caught.append(raised.value)
        start_response("200 OK", [])
        return []

    answer = Bridge(app).request(method="POST", pieces=[b"part", error], size_known=False)
    assert [type(value).__name__ for value in caught] == [kind] * 4
    assert all(isinstance(value, ConnectionError) for value in caught)
    assert [level for level, _ in answer.log] == [INFO], "logged once"
    assert "POST / (id-1)" in answer.log[0][1]


@pytest.mark.parametrize("error", ["disconnected", "timed_out", "malformed"])
def test_client_failure_is_not_logged_as_an_application_error(error: str) -> None:
    def app(environ: Any, _start_response: Any) -> list[bytes]:
        return [environ["wsgi.input"].read()]

    answer = Bridge(app).request(method="POST", pieces=[b"part", error], size_known=False)
    assert answer.kinds == ["abort"], "it has got a response, or has disconnected"
    assert [level for level, _ in answer.log] == [INFO]


def test_an_error_of_the_application_is_not_the_client_s() -> None:
    caught: list[OSError] = []

    def app(environ: Any, _start_response: Any) -> list[bytes]:
        try:
            return [environ["wsgi.input"].read()]
        except OSError as error:
            caught.append(error)
            raise RuntimeError("no content") from error

    def blames_the_client_before(_environ: Any, _start_response: Any) -> list[bytes]:
        raise caught[0]

    answer = Bridge(app).request(method="POST", pieces=[b"part", "timed_out"], size_known=False)
    assert answer.kinds == ["fail"]
    assert [level for level, _ in answer.log] == [INFO, ERROR]
    assert Bridge(blames_the_client_before).request().kinds == ["fail"]


def test_a_stored_body_that_cannot_be_read_is_an_os_error() -> None:
    caught: list[type] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        with pytest.raises(OSError, match="stored request body") as raised:
            environ["wsgi.input"].read()
        caught.append(raised.type)
        start_response("200 OK", [])
        return []

    Bridge(app).request(method="POST", pieces=[b"part", "storage"], size_known=False)
    assert caught == [OSError]


@pytest.mark.parametrize("form", FORMS)
def test_beyond_5_11_after_the_end_it_raises(form: str) -> None:
    kept: list[Any] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        kept.append(environ["wsgi.input"])
        start_response("200 OK", [])
        return []

    bridge = Bridge(app)
    bridge.request(method="POST", **FORMS[form](BODY))
    bridge.request(method="POST", **FORMS[form](b"other"))
    for stream in kept:
        for use in (
            lambda s: s.read(),
            lambda s: s.readline(),
            next,
            lambda s: s.readinto(bytearray(1)),
            lambda s: s.readlines(),
        ):
            with pytest.raises(
                RuntimeError, match=r"wsgi\.input was used after its request had ended"
            ):
                use(stream)


def test_a_body_may_be_read_from_another_thread() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        blocks: list[bytes] = []
        thread = threading.Thread(target=lambda: blocks.append(environ["wsgi.input"].read()))
        thread.start()
        thread.join()
        start_response("200 OK", [])
        return blocks

    for form in FORMS.values():
        assert Bridge(app).request(method="POST", **form(BODY)).body == BODY


def test_concurrent_reads_get_each_byte_once() -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow() -> bytes:
        inside.set()
        assert go_on.wait(10)
        return b"slow"

    def app(environ: Any, start_response: Any) -> list[bytes]:
        blocks: list[bytes] = []
        threads = [
            threading.Thread(target=lambda: blocks.append(environ["wsgi.input"].read(4)))
            for _ in range(2)
        ]
        threads[0].start()
        assert inside.wait(10)
        threads[1].start()
        go_on.set()
        for thread in threads:
            thread.join()
        start_response("200 OK", [])
        return sorted(blocks)

    answer = Bridge(app).request(
        method="POST", pieces=[slow, b"next"], size_known=False, chunked=True
    )
    assert answer.body == b"nextslow"


def test_the_end_of_a_request_waits_for_a_thread_that_still_reads() -> None:
    inside, go_on = threading.Event(), threading.Event()
    blocks: list[Any] = []
    threads: list[threading.Thread] = []

    def slow() -> bytes:
        inside.set()
        assert go_on.wait(10)
        return b"slow"

    def app(environ: Any, start_response: Any) -> Any:
        threads.append(
            threading.Thread(target=lambda: blocks.append(environ["wsgi.input"].read(4)))
        )
        threads[0].start()
        assert inside.wait(10)
        start_response("200 OK", [])
        threading.Thread(target=go_on.set).start()
        return [b"x"]

    answer = Bridge(app).request(method="POST", pieces=[slow], size_known=False, chunked=True)
    threads[0].join()
    assert (answer.body, blocks) == (b"x", [b"slow"])
