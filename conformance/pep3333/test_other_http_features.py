"""Other HTTP Features: S-HTTP."""

import io
from collections.abc import Iterable
from typing import Any

import pytest
from applications import TEXT, Applications, Blocks, started, tell
from served import Served, more_comes, needs_write, only_for_iotax
from support.wire import OTHER

applications = Applications()


# ---- the response belongs to the application

UNUSUAL = [
    ("x-ODD", "1"),
    ("Set-Cookie", "a=1"),
    ("X-Empty", ""),
    ("set-cookie", "b=2"),
    ("Set-Cookie", "a=1"),
    ("Vary", "*"),
    ("X-ODD", "2"),
]
OF_THE_SERVER = {
    "date",
    "server",
    "content-length",
    "transfer-encoding",
    "connection",
    "x-request-id",
}


@applications.add
def unusual(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("404 Gone Fishing", UNUSUAL)
    return [b""]


@applications.add
def typed_but_empty(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [("Content-Type", "text/html")])
    return []


def by_name(fields: list[tuple[str, str]]) -> dict[str, list[str]]:
    """The values of each name, in order."""
    values: dict[str, list[str]] = {}
    for name, value in fields:
        values.setdefault(name.lower(), []).append(value)
    return {name: found for name, found in values.items() if name not in OF_THE_SERVER}


@pytest.mark.obligation("S-HTTP-01")
def test_fields_are_not_changed(served: Served) -> None:
    answer = served.ask("/unusual", "Accept-Encoding: gzip")
    assert answer.status == 404
    assert by_name(answer.fields) == by_name(UNUSUAL)
    answer = served.ask("/typed_but_empty")
    assert answer.get("Content-Type") == "text/html"


@pytest.mark.obligation("S-HTTP-01")
def test_the_reason_is_not_changed(served: Served) -> None:
    assert served.ask("/unusual").reason == "Gone Fishing"


@pytest.mark.obligation("B-SR-13")
def test_fields_keep_their_order_and_spelling(served: Served) -> None:
    assert served.ask("/unusual").fields[-len(UNUSUAL) :] == UNUSUAL


CONDITIONAL = {
    "If-None-Match": '"tag"',
    "If-Match": '"other"',
    "If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT",
    "If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT",
}


@applications.add
def validated(_environ: Any, start_response: Any) -> list[bytes]:
    start_response(
        "200 OK",
        [
            TEXT,
            ("ETag", '"tag"'),
            ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
            ("Content-Length", "10"),
        ],
    )
    return [b"0123456789"]


@pytest.mark.obligation("S-HTTP-05")
@pytest.mark.parametrize("name", list(CONDITIONAL))
def test_cache_validation_is_left_to_the_application(served: Served, name: str) -> None:
    answer = served.ask("/validated", f"{name}: {CONDITIONAL[name]}")
    assert (answer.status, answer.body, answer.get("ETag")) == (200, b"0123456789", '"tag"')


@pytest.mark.obligation("S-HTTP-06")
def test_the_response_is_not_encoded(served: Served) -> None:
    answer = served.ask("/validated", "Accept-Encoding: gzip, deflate, br, zstd", "TE: gzip")
    assert (answer.get("Content-Length"), answer.body) == ("10", b"0123456789")
    assert (answer.get("Content-Encoding"), answer.get("Vary")) == (None, None)


@pytest.mark.obligation("S-HTTP-07")
def test_ranges_are_left_to_the_application(served: Served) -> None:
    answer = served.ask("/validated", "Range: bytes=2-3")
    assert (answer.status, answer.body) == (200, b"0123456789")
    assert answer.get("Content-Range") is None


# ---- the request is decoded

READING = {
    "read": lambda stream: stream.read(),
    "read(n)": lambda stream: b"".join(iter(lambda: stream.read(4), b"")),
    "readline": lambda stream: b"".join(iter(stream.readline, b"")),
    "readlines": lambda stream: b"".join(stream.readlines()),
    "iteration": lambda stream: b"".join(stream),
}


@applications.add
def echo(environ: Any, start_response: Any) -> list[bytes]:
    data = READING[environ["QUERY_STRING"]](environ["wsgi.input"])
    tell("environ", trailer="HTTP_X_TRAILER" in environ)
    start_response("200 OK", [TEXT])
    return [data]


@pytest.mark.obligation("S-HTTP-02")
@pytest.mark.parametrize("name", list(READING)[: 2 if OTHER else None])
def test_chunks_are_decoded(served: Served, name: str) -> None:
    with served.connect() as connection:
        for _ in range(2):
            connection.request("POST", f"/echo?{name}", "Transfer-Encoding: chunked")
            connection.send(
                b'5;name=value\r\none\nt\r\n00a;q="a;b"\r\nwo\nthree\r\n\r\n'
                b"1\r\n\n\r\n0;last\r\nX-Trailer: value\r\n\r\n"
            )
            answer = connection.answer()
            assert (answer.status, answer.body) == (200, b"one\ntwo\nthree\r\n\n")
    assert [event["trailer"] for event in served.events()] == [False] * 2


# ---- responses without a body


@applications.add
def result(environ: Any, start_response: Any) -> Any:
    """/result/STATUS/LENGTH/KIND"""
    _, _, status, length, kind = environ["PATH_INFO"].split("/")
    headers = [("Content-Length", length)] if length != "-" else []
    write = start_response(f"{status} X", [("X-Name", "value"), *headers])
    if kind == "list":
        return [b"abc"]
    if kind == "empty":
        return []
    if kind == "blocks":
        return Blocks(b"", b"abc", b"def")
    if kind == "write":
        write(b"abc")
        return [b"def"]
    return environ.get("wsgi.file_wrapper", iter)(io.BytesIO(b"abc"))


KINDS = ["list", "empty", "blocks", "write", "file"]


def answer_and_next(served: Served, method: str, path: str) -> dict[str, str]:
    """The headers of a response without a body: the next response follows immediately."""
    with served.connect() as connection:
        connection.get(path, method=method)
        connection.get("/after", "Connection: close")
        answer = connection.head()
        if more_comes(connection):
            assert connection.answer().body == b"the next answer"
            assert connection.rest() == b""
    fields = {name.lower(): value for name, value in answer.fields}
    return {"status": str(answer.status), **fields}


@applications.add
def after(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    return [b"the next answer"]


@pytest.mark.obligation("S-HTTP-03", "B-OUT-14")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", ["-", "3", "1000"])
def test_head_has_no_body(served: Served, length: str, kind: str) -> None:
    if kind == "write":
        needs_write(served)
    fields = answer_and_next(served, "HEAD", f"/result/200/{length}/{kind}")
    assert (fields["status"], fields["x-name"]) == ("200", "value")
    if length != "-":
        assert fields["content-length"] == length
    else:
        assert fields.get("content-length") != "0"
    told = served.told()
    assert told.count("close") == (1 if kind == "blocks" else 0)


@pytest.mark.obligation("S-HTTP-04")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", ["-", "3"])
@pytest.mark.parametrize("status", ["204", "304"])
def test_204_and_304_have_no_body(served: Served, status: str, length: str, kind: str) -> None:
    if kind == "write":
        needs_write(served)
    fields = answer_and_next(served, "GET", f"/result/{status}/{length}/{kind}")
    assert (fields["status"], fields["x-name"]) == (status, "value")
    assert "transfer-encoding" not in fields
    if status == "204":
        assert "content-length" not in fields


@applications.add
@started
def hints(environ: Any, start_response: Any) -> Iterable[bytes]:
    tell("has", early_hints="wsgi.early_hints" in environ)
    environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload")])
    start_response("200 OK", [TEXT])
    yield b"x"


@pytest.mark.obligation("S-HTTP-04")
def test_an_interim_response_has_no_body(served: Served) -> None:
    with served.connect() as connection:
        connection.get("/hints")
        if not served.wait_for("has")["early_hints"]:
            only_for_iotax("it asks for wsgi.early_hints, which this server does not have")
        interim = connection.head()
        answer = connection.answer()
    assert interim.status == 103
    assert interim.get("Content-Length") is interim.get("Transfer-Encoding") is None
    assert (answer.status, answer.body) == (200, b"x")
