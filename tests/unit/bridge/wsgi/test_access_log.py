"""What the bridge tells the access log and the records of the server log about a request."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from scripted_bridge import Answer, Bridge

KEYS = ["REMOTE_USER", "wsgi.url_scheme", "absent", "PATH_INFO", "number"]
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
IDS = ("4711-1", TRACE)


def collected(answer: Answer) -> dict[str, bytes]:
    return {KEYS[index]: value for _, index, value in answer.of("collect")}


def test_values_of_environ_are_read_after_the_call() -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        environ["REMOTE_USER"] = "before"
        start_response("200 OK", [])
        yield b"a"
        environ["REMOTE_USER"] = "alice"
        environ["number"] = 3

    answer = Bridge(app, logged=KEYS).request(target=b"/%C3%BC", path=b"/%C3%BC")
    assert collected(answer) == {
        "REMOTE_USER": b"alice",
        "wsgi.url_scheme": b"http",
        "PATH_INFO": "/ü".encode(),
    }
    assert answer.kinds[-1] == "finish"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("\xe9\xff", b"\xe9\xff"),
        ("\u20ac", "€".encode()),
        ("\udc80", rb"\udc80"),
        ('a"\n', b'a"\n'),
        ("", b""),
        (b"bytes", None),
        (None, None),
    ],
)
def test_texts_are_latin_1_or_else_utf_8(value: object, expected: bytes | None) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ["REMOTE_USER"] = value
        start_response("200 OK", [])
        return []

    assert collected(Bridge(app, logged=KEYS).request()).get("REMOTE_USER") == expected


def test_values_are_read_when_the_application_fails() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ["REMOTE_USER"] = "alice"
        raise LookupError

    answer = Bridge(app, logged=KEYS).request()
    assert collected(answer)["REMOTE_USER"] == b"alice"
    assert [event[0] for event in answer.events[-2:]] == ["failed_with", "fail"]


def test_without_such_a_format_nothing_is_read() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return []

    assert not Bridge(app).request().of("collect")


class Inner(ValueError):
    pass


@pytest.mark.parametrize(
    "error", [Inner("x"), KeyError("x"), UnicodeDecodeError("a", b"", 0, 0, "")]
)
def test_the_class_of_the_exception_is_kept(error: Exception) -> None:
    def fails(environ: Any, start_response: Any) -> list[bytes]:
        raise error

    def breaks(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"a"
        raise error

    for app, end in ((fails, "fail"), (breaks, "abort")):
        answer = Bridge(app).request()
        assert answer.of("failed_with") == [("failed_with", type(error).__name__)]
        assert answer.kinds[-1] == end


def logs(environ: Any, start_response: Any) -> list[bytes]:
    errors = environ["wsgi.errors"]
    errors.write("one\ntwo\nha")
    errors.flush()
    errors.write("lf\nrest")
    start_response("200 OK", [])
    raise ValueError


def test_records_have_the_ids_of_their_request() -> None:
    bridge = Bridge(logs, records=True)
    answer = bridge.request(id=b"4711-1", headers=[(b"traceparent", TRACE.encode())])
    assert answer.written() == "one\ntwo\nhalf\nrest\n"
    assert bridge.harness.take_ids() == [IDS] * 4
    bridge.request(id=b"4711-2")
    assert {id for id, _ in bridge.harness.take_ids()} == {"4711-2"}


def test_a_record_has_whole_lines() -> None:
    written = Bridge(logs, records=True).request().log
    assert [text for level, text in written if level == 9] == ["one\ntwo\n", "half\n", "rest\n"]
    written = Bridge(logs).request().log
    assert [text for level, text in written if level == 9] == ["one\ntwo\n", "ha", "lf\n", "rest\n"]


def test_a_line_of_any_size_is_written() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        environ["wsgi.errors"].write("x" * 1_000_000)
        environ["wsgi.errors"].write("y\n")
        start_response("200 OK", [])
        return []

    for records in (False, True):
        answer = Bridge(app, records=records).request()
        assert answer.written() == "x" * 1_000_000 + "y\n"
        assert len(answer.log) == (1 if records else 2)


def test_what_another_thread_writes_names_no_request() -> None:
    streams = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        streams.append(environ["wsgi.errors"])
        thread = threading.Thread(target=environ["wsgi.errors"].write, args=("there\n",))
        thread.start()
        thread.join()
        start_response("200 OK", [])
        return []

    bridge = Bridge(app, records=True)
    bridge.request(id=b"4711-1")
    streams[0].write("later\n")
    assert [text for _, text in bridge.harness.take_log()] == ["later\n"]
    assert bridge.harness.take_ids() == [("", ""), ("", "")]
