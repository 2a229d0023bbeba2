"""Decisions about responses: B-SR and B-OUT, where the tests of the clauses do not cover them."""

import contextvars
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from applications import TEXT, Applications, Blocks, started, stay, tell
from served import Served
from support import patience
from support.wire import OTHER

applications = Applications()


@applications.add
def after(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    return [b"the next answer"]


# ---- start_response


def refusal(environ: Any, start_response: Any, status: Any, headers: Any) -> list[bytes]:
    """The result of start_response for the arguments."""
    try:
        start_response(status, headers)
    except Exception as error:
        start_response("200 OK", [TEXT], sys.exc_info())
        return [f"{type(error).__name__}: {error}".encode()]
    return [b"nothing"]


WRONG: dict[str, tuple[Any, Any]] = {
    "euro": ("200 OK", [("X-Name", "\u20ac-secret")]),
    "connection": ("200 OK", [("Connection", "close")]),
    "interim": ("103 Early Hints", []),
    "bytes_status": (b"200 OK", []),
    "bytes_value": ("200 OK", [("X-Name", b"value")]),
}


@applications.add
def wrong(environ: Any, start_response: Any) -> list[bytes]:
    return refusal(environ, start_response, *WRONG[environ["QUERY_STRING"]])


@pytest.mark.obligation("B-SR-03")
def test_the_header_is_named_and_not_its_value(served: Served) -> None:
    said = served.ask("/wrong?euro").text
    assert said.startswith("ValueError: ")
    assert "X-Name" in said
    assert "secret" not in said


@applications.add
def closes(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Connection", "close")])
    return [b"x"]


@pytest.mark.obligation("B-SR-08")
def test_connection_header_of_the_application_is_rejected(served: Served) -> None:
    said = served.ask("/wrong?connection").text
    assert said.startswith("ValueError: 'Connection' is a hop-by-hop header")
    assert "the server manages the connection" in said
    assert served.ask("/closes").status == 500
    log = served.logged("/closes", "the server manages the connection")
    assert "in closes" in log


@pytest.mark.obligation("B-SR-14")
def test_an_interim_status_is_rejected(served: Served) -> None:
    said = served.ask("/wrong?interim").text
    assert said.startswith("ValueError: ")
    assert "wsgi.early_hints" in said


@pytest.mark.obligation("B-SR-06")
def test_the_type_is_named(served: Served) -> None:
    for name, instead in (("bytes_status", "without the b"), ("bytes_value", ".decode(")):
        said = served.ask(f"/wrong?{name}").text
        assert said.startswith("TypeError: ")
        assert "must be " in said
        assert "bytes" in said
        assert instead in said


@applications.add
def text_block(_environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return ["text"]


@pytest.mark.obligation("B-SR-06")
def test_the_log_explains_the_fix(served: Served) -> None:
    assert served.ask("/text_block").status == 500
    served.logged("/text_block", r"a block must be bytes, e\.g\. text\.encode")


@pytest.mark.obligation("B-SR-11")
def test_no_name_of_the_server(serve: Callable[..., Served]) -> None:
    served = serve(f"{__name__}:applications", "--server-header", "")
    assert served.ask("/after").get("Server") is None


@applications.add
@started
def hints(environ: Any, start_response: Any) -> Any:
    early_hints = environ["wsgi.early_hints"]
    early_hints([("Link", "</style.css>; rel=preload")])
    stay()
    start_response("200 OK", [TEXT])
    yield b"page"
    early_hints([("Link", "</late>")])


@applications.add
@started
def bad_hints(environ: Any, start_response: Any) -> Any:
    try:
        environ["wsgi.early_hints"]([("X-Bad", "a\r\nb")])
    except ValueError:
        tell("refused")
    start_response("200 OK", [TEXT])
    yield b"page"
    environ["wsgi.early_hints"]([("Link", "</late>")])


@pytest.mark.obligation("B-SR-16")
def test_hints_are_checked_and_bound_to_their_time(served: Served) -> None:
    with served.connect() as connection:
        connection.get("/bad_hints", "Connection: close")
        assert connection.answer().body == b"page"
        assert connection.rest() == b""
    assert served.told() == ["refused"]


@pytest.mark.obligation("B-SR-15")
def test_hints_are_sent_immediately(served: Served) -> None:
    with served.connect() as connection:
        connection.get("/hints", "Connection: close")
        hint = connection.head()
        assert (hint.status, hint.get("Link")) == (103, "</style.css>; rel=preload")
        served.wait_until_it_stays()
        served.let_go()
        answer = connection.answer()
        assert (answer.status, answer.body) == (200, b"page")
        assert connection.rest() == b""


@pytest.mark.obligation("B-SR-15")
def test_an_old_client_gets_no_hints(served: Served) -> None:
    with served.connect() as connection:
        connection.send(b"GET /hints HTTP/1.0\r\n\r\n")
        served.wait_until_it_stays()
        served.let_go()
        assert connection.head().status == 200
        assert connection.rest() == b"page"


# ---- the body, and the end of the call


@applications.add
def too_much(_environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT, ("Content-Length", "3")])
    return Blocks(b"abcd", b"never asked for")


@pytest.mark.obligation("B-OUT-01")
def test_surplus_bytes_are_dropped_and_logged(served: Served) -> None:
    with served.connect() as connection:
        assert connection.ask("/too_much").body == b"abc"
        assert connection.ask("/after").body == b"the next answer"
    assert served.told() == ["next", "close"]
    served.err.wait_for(r"WARNING: +The application sent more than its Content-Length in GET /too_")


@applications.add
@started
def truncated(_environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [TEXT])
    yield b"part"
    raise ValueError("in the middle")


@pytest.mark.obligation("B-OUT-06")
def test_responses_before_a_truncated_one_are_complete(served: Served) -> None:
    for version in (b"1.1", b"1.0"):
        get = b"GET /after HTTP/1.1\r\nHost: test\r\n\r\n"
        with served.connect() as connection:
            last = b"GET /truncated HTTP/" + version + b"\r\nHost: test\r\n\r\n"
            connection.send(get * 3 + last)
            answers = [connection.answer() for _ in range(3)]
            rest = connection.rest()
        assert [answer.body for answer in answers] == [b"the next answer"] * 3
        assert rest.endswith(b"part" if version == b"1.0" else b"4\r\npart\r\n")


class RaisesInClose(Blocks):
    def close(self) -> None:
        raise ValueError("from close")


@applications.add
def raises_in_close(_environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT, ("Content-Length", "2")])
    return RaisesInClose(b"ok")


@pytest.mark.obligation("B-OUT-07")
def test_an_error_of_close_keeps_the_connection(served: Served) -> None:
    with served.connect() as connection:
        assert connection.ask("/raises_in_close").body == b"ok"
        assert connection.ask("/after").body == b"the next answer"
    served.logged("/raises_in_close", "ValueError: from close")


@applications.add
@started
def waits_for_the_reset(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [TEXT])
    gone = environ.get("iotax.client_disconnected", bool)
    try:
        yield b"first"
        tell("gone before", value=gone())
        stay()
        end = time.monotonic() + patience.SECONDS
        while time.monotonic() < end:
            yield b""
        tell("not noticed")
    finally:
        tell("closed", gone=gone())


def events_of_a_reset(served: Served) -> list[dict[str, Any]]:
    """Before the reset, and after it up to the end of the iteration."""
    with served.connect() as connection:
        connection.get("/waits_for_the_reset")
        answer = connection.head()
        assert connection.content(answer, 5) == b"first"
        before = served.wait_for("gone before")
        served.wait_until_it_stays()
        connection.reset()
    served.let_go()
    return [before, served.next_event()]


@pytest.mark.obligation("B-OUT-08")
def test_a_reset_ends_the_iteration_at_an_empty_block(served: Served) -> None:
    assert events_of_a_reset(served)[1]["event"] == "closed"


@pytest.mark.obligation("B-OUT-11")
def test_the_application_can_ask_whether_the_client_disconnected(served: Served) -> None:
    before, after = events_of_a_reset(served)
    assert (before["value"], after.get("gone")) == (False, True)


@applications.add
def writes_for_ever(_environ: Any, start_response: Any) -> list[bytes]:
    write = start_response("200 OK", [TEXT])
    try:
        while True:
            write(b"x" * 1024)
    except ConnectionError as error:
        tell("write", type=type(error).__name__)
    return []


@pytest.mark.obligation("B-OUT-08")
def test_write_raises_after_a_reset(served: Served) -> None:
    with served.connect() as connection:
        connection.get("/writes_for_ever")
        connection.head()
        connection.reset()
    error = served.wait_for("write")["type"]
    assert error == "ClientDisconnected" or (OTHER and "Connection" in error)


@applications.add
def stays(_environ: Any, start_response: Any) -> list[bytes]:
    stay()
    start_response("200 OK", [TEXT])
    return [b"answered"]


@pytest.mark.obligation("B-OUT-09")
def test_a_half_closed_client_gets_its_response(served: Served) -> None:
    with served.connect() as connection:
        connection.get("/stays")
        connection.end_sending()
        served.wait_until_it_stays()
        served.let_go()
        assert connection.answer().body == b"answered"


@applications.add
def blocks(_environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return Blocks(b"", b"first", b"never asked for")


@pytest.mark.obligation("B-OUT-14")
def test_for_head_the_first_block_is_enough(served: Served) -> None:
    answer = served.ask("/blocks", method="HEAD")
    assert (answer.status, answer.body, answer.get("Content-Length")) == (200, b"", None)
    assert served.told() == ["next", "next", "close"]


@applications.add
def resets_content(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("205 Reset Content", [])
    return []


@pytest.mark.obligation("B-OUT-15")
def test_205_has_length_0(served: Served) -> None:
    assert served.ask("/resets_content").get("Content-Length") == "0"


@applications.add
def empty(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return {"list": [], "iterator": iter([b"", b""])}[environ["QUERY_STRING"]]


@pytest.mark.obligation("B-OUT-16")
@pytest.mark.parametrize("kind", ["list", "iterator"])
def test_nothing_has_length_0(served: Served, kind: str) -> None:
    answer = served.ask(f"/empty?{kind}")
    assert (answer.get("Content-Length"), answer.get("Transfer-Encoding")) == ("0", None)


@applications.add
def large_file(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    file = tempfile.TemporaryFile()  # noqa: SIM115 closed by the server
    file.truncate(64 << 20)
    return environ["wsgi.file_wrapper"](file)


@pytest.mark.obligation("B-OUT-18")
def test_a_slow_reader_of_a_file_delays_no_other_client(served: Served) -> None:
    with served.connect(receive_buffer=4096) as slow:
        slow.get("/large_file")
        slow.head()
        assert served.ask("/after").body == b"the next answer"


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="")


@applications.add
def one_thread(environ: Any, start_response: Any) -> Iterable[bytes]:
    seen = [(threading.get_ident(), variable.get())]
    variable.set(environ["QUERY_STRING"])
    start_response("200 OK", [TEXT])

    class Result:
        def __iter__(self) -> Iterator[bytes]:
            seen.append((threading.get_ident(), variable.get()))
            yield b"x"
            seen.append((threading.get_ident(), variable.get()))

        def close(self) -> None:
            seen.append((threading.get_ident(), variable.get()))
            tell("seen", threads=[ident for ident, _ in seen], values=[v for _, v in seen])

    return Result()


@pytest.mark.obligation("B-OUT-21")
def test_a_request_runs_in_one_thread_and_in_its_context(served: Served) -> None:
    last: dict[int, str] = {}  # what each thread has set
    for number in range(50):
        value = f"value{number}"
        served.ask(f"/one_thread?{value}")
        seen = served.wait_for("seen")
        (thread,) = set(seen["threads"])
        assert seen["values"] == [last.get(thread, ""), value, value, value]
        if thread in last:
            return
        last[thread] = value
    raise AssertionError("no thread of the server answered two of 50 requests")


kept: list[tuple[str, Callable[[], object]]] = []


@applications.add
def keeps(environ: Any, start_response: Any) -> list[bytes]:
    said = []
    for name, call in kept:
        try:
            call()
        except Exception as error:
            said += [name] if isinstance(error, RuntimeError) else []
    write = start_response("200 OK", [TEXT])
    body = environ["wsgi.input"]
    kept[:] = [
        ("start_response", lambda: start_response("200 OK", [])),
        ("write", lambda: write(b"late")),
        ("input", lambda: body.read(1)),
    ]
    return [",".join(said).encode()]


@pytest.mark.obligation("B-OUT-22")
def test_objects_kept_after_their_request_raise(served: Served) -> None:
    served.ask("/keeps", method="POST", body=b"abc")
    found = served.ask("/keeps", method="POST", body=b"abc")
    assert found.body == b"start_response,write,input"


def of_one_argument(scope: Any) -> Any:
    raise AssertionError(f"called with {scope!r}")


@pytest.mark.obligation("B-OUT-25")
def test_a_wrong_call_signature_is_explained(serve: Callable[..., Served]) -> None:
    served = serve(f"{__name__}:of_one_argument")
    assert served.ask("/").status == 500
    served.err.wait_for(r"as application\(environ, start_response\): if it is a factory")
