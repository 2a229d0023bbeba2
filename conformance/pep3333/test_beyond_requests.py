"""Decisions about requests: B-IN, B-EXP-03, B-URL, B-ENV."""

import importlib.metadata
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from applications import TEXT, Applications, tell
from served import Served, only_for_iotax
from support.wire import OTHER, Answer

HOST = b"Host: example.test\r\n"


def dump(environ: Any, start_response: Any) -> list[bytes]:
    """Strings and True values in environ, and the body."""
    kept = {key: value for key, value in environ.items() if isinstance(value, str | bool)}
    body = environ["wsgi.input"].read().decode("latin-1")
    tell("called")
    start_response("200 OK", [TEXT])
    return [json.dumps({"environ": kept, "body": body}).encode()]


applications = Applications(default=dump)


def asked(
    served: Served, target: bytes = b"/", fields: bytes = b"", *, start: bytes = b"GET"
) -> Answer:
    """The response to an HTTP/1.1 request, on a new connection."""
    with served.connect() as connection:
        connection.send(start + b" " + target + b" HTTP/1.1\r\n" + HOST + fields + b"\r\n")
        return connection.answer()


def environ_of(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer
    found: dict[str, Any] = json.loads(answer.body)["environ"]
    return found


CHUNKED = (
    b"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n"
)


# ---- the body


@pytest.mark.obligation("B-IN-01")
def test_input_always_ends_with_the_body(served: Served) -> None:
    for start, fields in ((b"GET", b""), (b"POST", b"Content-Length: 0\r\n"), (b"POST", CHUNKED)):
        assert environ_of(asked(served, b"/", fields, start=start))["wsgi.input_terminated"] is True


@pytest.mark.obligation("B-IN-02", "B-IN-03")
def test_chunks_are_decoded_before_the_call(served: Served) -> None:
    answer = asked(served, b"/", CHUNKED, start=b"POST")
    environ = environ_of(answer)
    assert json.loads(answer.body)["body"] == "abcde"
    assert environ["CONTENT_LENGTH"] == "5"
    assert not {"HTTP_TRANSFER_ENCODING", "HTTP_TRAILER"} & environ.keys()


@pytest.mark.obligation("B-IN-02", "B-IN-04")
def test_on_demand_chunks_are_complete_and_have_a_length(on_demand: Served) -> None:
    environ = environ_of(asked(on_demand, b"/", CHUNKED, start=b"POST"))
    assert not {"HTTP_TRANSFER_ENCODING", "HTTP_TRAILER"} & environ.keys()
    assert environ["wsgi.input_terminated"] is True
    assert environ["CONTENT_LENGTH"] == "5"


@pytest.mark.obligation("B-IN-04", "B-EXP-01")
def test_on_demand_chunks_are_asked_for_before_the_call(on_demand: Served) -> None:
    with on_demand.connect() as connection:
        connection.request("POST", "/sizes?0", "Transfer-Encoding: chunked", "Expect: 100-continue")
        assert connection.head().status == 100
        connection.send(b"6\r\nab\ncd\n\r\n0\r\n\r\n")
        assert connection.answer().body == repr(b"ab\ncd\n").encode()


@pytest.mark.obligation("B-IN-03")
def test_the_body_has_a_limit(serve: Callable[..., Served]) -> None:
    served = serve(f"{__name__}:applications", "--limit-body", "4")
    assert asked(served, b"/", CHUNKED, start=b"POST").status == 413
    assert served.told() == []


@pytest.mark.obligation("B-IN-06")
@pytest.mark.parametrize("fields", [b"Content-Length: 5\r\n\r\nabc", CHUNKED[:-20]])
def test_half_a_body_does_not_call_the_application(served: Served, fields: bytes) -> None:
    with served.connect() as connection:
        connection.send(b"POST / HTTP/1.1\r\n" + HOST + fields)
        connection.end_sending()
        assert connection.answer().status == 400
    assert served.told() == []


@applications.add
def reads_twice(environ: Any, start_response: Any) -> list[bytes]:
    for _ in range(2):
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            tell(type(error).__name__)
    start_response("200 OK", [TEXT])
    return [b"x"]


@pytest.mark.obligation("B-IN-07")
def test_on_demand_half_a_body_is_an_error_of_each_read(on_demand: Served) -> None:
    on_demand.clear()
    with on_demand.connect() as connection:
        connection.send(b"POST /reads_twice HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nabc")
        connection.end_sending()
        assert b"Connection: close" in connection.rest()
    assert on_demand.told() == ["ClientDisconnected"] * 2


SIZES: list[tuple[str, tuple[Any, ...], Any]] = [
    ("read", (None,), b"ab\ncd\n"),
    ("read", (-1,), b"ab\ncd\n"),
    ("readline", (None,), b"ab\n"),
    ("readline", (-1,), b"ab\n"),
    ("readlines", (None,), [b"ab\n", b"cd\n"]),
    ("readlines", (-1,), [b"ab\n", b"cd\n"]),
    ("__next__", (), b"ab\n"),
]


@applications.add
def sizes(environ: Any, start_response: Any) -> list[bytes]:
    name, arguments, _ = SIZES[int(environ["QUERY_STRING"])]
    found = getattr(environ["wsgi.input"], name)(*arguments)
    start_response("200 OK", [TEXT])
    return [repr(found).encode()]


@pytest.mark.obligation("B-IN-08")
@pytest.mark.parametrize("number", range(len(SIZES)))
def test_sizes_are_those_of_a_buffered_reader(served: Served, number: int) -> None:
    answer = served.ask(f"/sizes?{number}", method="POST", body=b"ab\ncd\n")
    assert answer.body.decode() == repr(SIZES[number][2])


@applications.add
def into(environ: Any, start_response: Any) -> list[bytes]:
    buffer = bytearray(4)
    count = environ["wsgi.input"].readinto(buffer)
    start_response("200 OK", [TEXT])
    return [bytes(buffer[:count])]


@pytest.mark.obligation("B-IN-08")
def test_the_body_can_be_read_into_a_buffer(served: Served) -> None:
    assert served.ask("/into", method="POST", body=b"abcdef").body == b"abcd"


@applications.add
def as_a_file(environ: Any, start_response: Any) -> list[bytes]:
    stream = environ["wsgi.input"]
    said = [str(hasattr(stream, "fileno"))]
    try:
        said += [str(stream.seek(2)), str(stream.tell()), str(stream.seek(0))]
    except io.UnsupportedOperation as error:
        said.append(type(error).__name__)
    text = io.TextIOWrapper(stream, "utf-8")
    said += [repr(text.read()), str(text.close()), repr(stream.read())]
    start_response("200 OK", [TEXT])
    return [" ".join(said).encode()]


@pytest.mark.obligation("B-IN-09")
@pytest.mark.parametrize("size", [3, 300_000])
def test_a_complete_body_is_a_seekable_file(served: Served, size: int) -> None:
    answer = served.ask("/as_a_file", method="POST", body=b"x" * size)
    assert answer.body.decode() == f"False 2 2 0 {'x' * size!r} None b''"


@pytest.mark.obligation("B-IN-09")
def test_on_demand_it_is_a_file_without_positions(on_demand: Served) -> None:
    answer = on_demand.ask("/as_a_file", method="POST", body=b"xyz")
    assert answer.body.decode() == "False UnsupportedOperation 'xyz' None b''"


@applications.add
def reads_nothing(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    return [b"unread"]


@pytest.mark.obligation("B-IN-10")
def test_an_unread_body_that_came_is_drained(on_demand: Served) -> None:
    with on_demand.connect() as connection:
        assert connection.ask("/reads_nothing", method="POST", body=b"x" * 100).body == b"unread"
        assert connection.ask("/reads_nothing").body == b"unread"


@pytest.mark.obligation("B-IN-10")
def test_one_that_does_not_come_closes_the_connection(on_demand: Served) -> None:
    with on_demand.connect() as connection:
        head = b"POST /reads_nothing HTTP/1.1\r\n" + HOST
        connection.send(head + b"Content-Length: 900000\r\n\r\nabc")
        assert connection.answer().body == b"unread"
        assert connection.is_closed()


# ---- rejections


def refused(target: bytes, fields: bytes = HOST, *, start: bytes = b"GET") -> bytes:
    return start + b" " + target + b" HTTP/1.1\r\n" + fields + b"\r\n"


TWICE = (
    (400, b"Content-Length: 0\r\n"),
    (400, b"Content-Type: text/plain\r\n"),
    (400, b"Authorization: Basic eA==\r\n"),
    (501, b"Transfer-Encoding: chunked\r\n"),
)
REFUSED = [
    pytest.param(
        400,
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n" + CHUNKED,
        marks=pytest.mark.obligation("B-IN-05"),
    ),
    pytest.param(
        417,
        refused(b"/", HOST + b"Expect: x\r\nContent-Length: 0\r\n", start=b"POST"),
        marks=pytest.mark.obligation("B-EXP-03"),
    ),
    *(
        pytest.param(400, refused(target), marks=pytest.mark.obligation("B-URL-03"))
        for target in (b"/\xe9", b"/<", b"/a\x01", b"/%00", b"/%zz", b"/%4")
    ),
    *(
        pytest.param(status, refused(target), marks=pytest.mark.obligation("B-URL-10"))
        for status, target in (
            (400, b"http://other.test/"),
            (400, b"http://user@example.test/"),
            (400, b"http:///"),
            (400, b"ftp://example.test/"),
            (421, b"https://example.test/"),
        )
    ),
    pytest.param(400, refused(b"*"), marks=pytest.mark.obligation("B-URL-14")),
    pytest.param(
        405,
        refused(b"example.test:443", b"Host: example.test:443\r\n", start=b"CONNECT"),
        marks=pytest.mark.obligation("B-URL-14"),
    ),
    pytest.param(400, refused(b"/a#b"), marks=pytest.mark.obligation("B-URL-15")),
    pytest.param(400, refused(b"/", b""), marks=pytest.mark.obligation("B-ENV-01")),
    pytest.param(400, refused(b"/", HOST + HOST), marks=pytest.mark.obligation("B-ENV-01")),
    pytest.param(400, refused(b"/", b"Host: a b\r\n"), marks=pytest.mark.obligation("B-ENV-01")),
    *(
        pytest.param(
            status,
            refused(b"/", HOST + field + field, start=b"POST"),
            marks=pytest.mark.obligation("B-ENV-04"),
        )
        for status, field in ((400, HOST), *TWICE)
    ),
    pytest.param(
        400, refused(b"/", HOST + b"X-A: b\r\n c\r\n"), marks=pytest.mark.obligation("B-ENV-10")
    ),
]


@pytest.mark.parametrize(("status", "data"), REFUSED)
def test_rejected_requests(served: Served, status: int, data: bytes) -> None:
    with served.connect() as connection:
        connection.send(data)
        found = connection.head().status
    assert found == status or (OTHER and status != 417 and 400 <= found < 600)
    assert served.told() == []


# ---- the target


TARGET = b"/a%2Fb%2fc+d;e%25?q=%zz%2F"


@pytest.mark.obligation("B-URL-01")
@pytest.mark.parametrize("name", ["REQUEST_URI", "RAW_URI"])
def test_the_target_is_kept(served: Served, name: str) -> None:
    assert environ_of(asked(served, TARGET)).get(name) == TARGET.decode()


@pytest.mark.obligation("B-URL-02")
def test_the_path_is_decoded_once(served: Served) -> None:
    assert environ_of(asked(served, TARGET))["PATH_INFO"] == "/a/b/c+d;e%"


@pytest.mark.obligation("B-URL-04")
def test_the_query_is_not_decoded(served: Served) -> None:
    assert environ_of(asked(served, TARGET))["QUERY_STRING"] == "q=%zz%2F"


@pytest.mark.obligation("B-URL-05")
def test_a_path_need_not_be_utf_8(served: Served) -> None:
    assert environ_of(asked(served, b"/%FF%e9"))["PATH_INFO"] == "/\xff\xe9"


@pytest.mark.obligation("B-URL-06")
def test_no_path_is_a_slash(served: Served) -> None:
    assert environ_of(asked(served, b"http://example.test"))["PATH_INFO"] == "/"
    assert environ_of(asked(served, b"http://example.test?a"))["PATH_INFO"] == "/"


@pytest.mark.obligation("B-URL-07", "B-URL-08")
@pytest.mark.parametrize("path", ["/a//b/./c/../d", "//a//b", "//example.test/x"])
def test_the_path_stays_as_it_is(served: Served, path: str) -> None:
    environ = environ_of(asked(served, path.encode()))
    assert (environ["PATH_INFO"], environ["HTTP_HOST"]) == (path, "example.test")


@pytest.mark.obligation("B-URL-09")
def test_the_absolute_form_is_served(served: Served) -> None:
    target = b"http://Example.Test/a?b"
    environ = environ_of(asked(served, target))
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/a", "b")
    assert environ["HTTP_HOST"] == "Example.Test"
    assert environ["REQUEST_URI"] == target.decode()


@pytest.mark.obligation("B-URL-11")
def test_the_scheme_is_that_of_the_connection(serve: Callable[..., Served]) -> None:
    served = serve(f"{__name__}:applications", "--forwarded-allow-ips", "127.0.0.1")
    forwarded = b"X-Forwarded-Proto: https\r\n"
    environ = environ_of(asked(served, b"http://example.test/", forwarded))
    assert environ["wsgi.url_scheme"] == "https"


@pytest.mark.obligation("B-URL-12")
def test_the_server_responds_to_options_of_all(served: Served) -> None:
    answer = asked(served, b"*", start=b"OPTIONS")
    assert (answer.status, answer.body) == (204, b"")
    assert "GET" in (answer.get("Allow") or "")
    assert served.told() == []


# ---- the headers


@pytest.mark.obligation("B-ENV-02")
def test_an_old_client_need_not_send_host(served: Served) -> None:
    data = served.exchange(b"GET / HTTP/1.0\r\n\r\n")
    assert "HTTP_HOST" not in json.loads(data.partition(b"\r\n\r\n")[2])["environ"]


FIELDS = [
    pytest.param(
        b"X-List: a\r\nCookie: a=1\r\nX-List: b\r\nCookie: b=2\r\n",
        {"X_LIST": "a, b", "COOKIE": "a=1; b=2"},
        marks=pytest.mark.obligation("B-ENV-03"),
    ),
    pytest.param(b"Proxy: evil\r\n", {}, marks=pytest.mark.obligation("B-ENV-06")),
    pytest.param(
        b"Authorization: Basic eA==\r\n",
        {"AUTHORIZATION": "Basic eA=="},
        marks=pytest.mark.obligation("B-ENV-07"),
    ),
    pytest.param(b"X-Name: \t a \t\r\n", {"X_NAME": "a"}, marks=pytest.mark.obligation("B-ENV-11")),
    pytest.param(
        b"Connection: keep-alive, Upgrade\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\n"
        b"Upgrade: websocket\r\n",
        {
            "CONNECTION": "keep-alive, Upgrade",
            "KEEP_ALIVE": "timeout=5",
            "TE": "trailers",
            "UPGRADE": "websocket",
        },
        marks=pytest.mark.obligation("B-ENV-12"),
    ),
]


@pytest.mark.parametrize(("fields", "variables"), FIELDS)
def test_headers_in_environ(served: Served, fields: bytes, variables: dict[str, str]) -> None:
    environ = environ_of(asked(served, b"/", fields))
    found = {key[5:]: value for key, value in environ.items() if key.startswith("HTTP_")}
    assert found == {"HOST": "example.test", **variables}


@pytest.mark.obligation("B-ENV-05")
def test_a_name_with_an_underscore_is_dropped(served: Served) -> None:
    environ = environ_of(asked(served, b"/", b"X_Real_Ip: 1\r\nX-Real-Ip: 2\r\n"))
    assert environ["HTTP_X_REAL_IP"] == "2"
    assert "HTTP_X_ONLY" not in environ_of(asked(served, b"/", b"X_Only: 1\r\n"))


@pytest.mark.obligation("B-ENV-05")
def test_a_dropped_header_is_logged_once(serve: Callable[..., Served]) -> None:
    only_for_iotax("it reads the server's log")
    served = serve(f"{__name__}:applications")
    for _ in range(3):
        asked(served, b"/", b"X_Name: 1\r\n")
    asked(served, b"/", b"X_Other: 1\r\n")
    served.err.wait_for('field "X_Other" is dropped')
    assert served.err.text.count('field "X_Name" is dropped') == 1


FORWARDED = (
    b"X-Forwarded-Proto: https\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: shop.test\r\n"
)


@pytest.mark.obligation("B-ENV-08")
def test_forwarded_headers_of_an_untrusted_client_change_nothing(served: Served) -> None:
    environ = environ_of(asked(served, b"/", FORWARDED))
    assert environ["wsgi.url_scheme"] == "http"
    assert (environ["REMOTE_ADDR"], environ["HTTP_HOST"]) == ("127.0.0.1", "example.test")
    assert environ["HTTP_X_FORWARDED_FOR"] == "192.0.2.7"
    assert environ["HTTP_X_FORWARDED_PROTO"] == "https"


@pytest.mark.obligation("B-ENV-09")
def test_those_of_a_proxy_are_believed(serve: Callable[..., Served]) -> None:
    trusting = (f"{__name__}:applications", "--forwarded-allow-ips", "127.0.0.1")
    environ = environ_of(asked(serve(*trusting), b"/", FORWARDED))
    assert environ["wsgi.url_scheme"] == "https"
    assert (environ["REMOTE_ADDR"], environ["HTTP_HOST"]) == ("192.0.2.7", "example.test")
    served = serve(*trusting, "--forwarded-headers", "for,proto,host")
    environ = environ_of(asked(served, b"/", FORWARDED))
    assert (environ["REMOTE_ADDR"], environ["HTTP_HOST"]) == ("192.0.2.7", "shop.test")


@applications.add
def sockets(environ: Any, start_response: Any) -> list[bytes]:
    import socket

    found = [key for key, value in environ.items() if isinstance(value, socket.socket)]
    named = [key for key in environ if "socket" in key]
    start_response("200 OK", [TEXT])
    return [",".join(found + named).encode()]


@pytest.mark.obligation("B-ENV-13")
def test_the_socket_is_not_in_environ(served: Served) -> None:
    assert served.ask("/sockets").body == b""


@pytest.mark.obligation("B-ENV-14")
def test_the_software(served: Served) -> None:
    only_for_iotax("it asks for its name")
    version = importlib.metadata.version("iotax")
    assert environ_of(asked(served))["SERVER_SOFTWARE"] == f"iotax/{version}"


@pytest.fixture
def named(serve: Callable[..., Served]) -> Callable[..., tuple[str, str]]:
    """named(*options) is SERVER_NAME and SERVER_PORT, the port of the test as "PORT"."""

    def ask(*options: str, **more: Any) -> tuple[str, str]:
        served = serve(f"{__name__}:applications", *options)
        with served.connect(**more) as connection:
            connection.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
            environ = environ_of(connection.answer())
        port = environ["SERVER_PORT"]
        return environ["SERVER_NAME"], "PORT" if port == str(served.server.port) else port

    return ask


@pytest.mark.obligation("B-ENV-15")
def test_the_name_of_the_server(named: Callable[..., tuple[str, str]], tmp_path: Path) -> None:
    assert named("--host", "localhost", "--port", "0")[0] in ("localhost", "127.0.0.1")
    assert named("--host", "127.0.0.1", "--port", "0") == ("127.0.0.1", "PORT")
    assert named("--host", "0.0.0.0", "--port", "0") == ("127.0.0.1", "PORT")
    path = str(tmp_path / "socket")
    assert named("--bind", f"unix:{path}", path=path) == ("localhost", "80")
