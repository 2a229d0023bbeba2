"""environ Variables, A Note On String Types, URL Reconstruction: S-ENV, S-STR-01, S-UNI-01,
S-UNI-02, S-URL."""

import json
import os
import socket
import urllib.parse
from collections.abc import Callable, Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from wsgiref.util import request_uri

import pytest
from applications import TEXT, Applications
from served import Served, only_for_iotax
from support.wire import OTHER, Connection

VERSION = {"wsgi.version", "wsgi.url_scheme", "wsgi.input", "wsgi.errors"}
WSGI_KEYS = VERSION | {"wsgi.multithread", "wsgi.multiprocess", "wsgi.run_once"}


def dump(environ: Any, start_response: Any) -> list[bytes]:
    """The environ as JSON: types, and the values that JSON can hold."""
    shown = {
        "is_dict": type(environ) is dict,
        "types": {key: type(value).__name__ for key, value in environ.items()},
        "values": {
            key: value
            for key, value in environ.items()
            if isinstance(value, str | int | tuple | None)
        },
        "uri": request_uri(environ),
    }
    start_response("200 OK", [TEXT])
    return [json.dumps(shown).encode()]


applications = Applications(default=dump)


class Dumped:
    """What the application saw of one request."""

    def __init__(self, text: bytes) -> None:
        shown = json.loads(text)
        self.is_dict = shown["is_dict"]
        self.types: dict[str, str] = shown["types"]
        self.values: dict[str, Any] = shown["values"]
        self.uri: str = shown["uri"]

    def __getitem__(self, key: str) -> Any:
        return self.values[key]

    def __contains__(self, key: str) -> bool:
        return key in self.types

    @property
    def http(self) -> dict[str, str]:
        return {key: value for key, value in self.values.items() if key.startswith("HTTP_")}


def dumped(
    connection: Connection,
    target: bytes = b"/",
    *fields: bytes,
    method: bytes = b"GET",
    version: bytes = b"1.1",
    host: bytes | None = b"example.test",
    body: bytes = b"",
) -> Dumped:
    lines = [method + b" " + target + b" HTTP/" + version, *fields]
    if host is not None:
        lines.append(b"Host: " + host)
    connection.send(b"\r\n".join([*lines, b"", b""]) + body)
    answer = connection.answer("GET")
    if answer.status == 400:
        only_for_iotax("this server refuses the request")
    assert answer.status == 200, answer
    return Dumped(answer.body)


@pytest.fixture
def connection(served: Served) -> Iterator[Connection]:
    with served.connect() as connection:
        yield connection


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that trusts the X-Forwarded headers of this machine."""
    target = f"{__name__}:applications"
    believed = (
        "--forwarded-allow-ips",
        "127.0.0.1",
        "--forwarded-headers",
        "for,proto,host,prefix",
    )
    served = Served(tmp_path_factory.mktemp("s"), target, *believed)
    yield served
    served.stop()


# ---- the dictionary


@pytest.mark.obligation("S-ENV-01")
def test_environ_is_a_builtin_dict(connection: Connection) -> None:
    assert dumped(connection).is_dict


@applications.add
def changed(environ: Any, start_response: Any) -> list[bytes]:
    environ["REQUEST_METHOD"] = environ["SERVER_PROTOCOL"] = environ["wsgi.input"] = None
    start_response("200 OK", [TEXT])
    environ.clear()
    environ[7] = environ["wsgi.file_wrapper"] = environ["wsgi.errors"] = "junk"
    return [b"ok"]


@pytest.mark.obligation("S-ENV-02", "B-OUT-24")
def test_environ_may_be_changed_in_any_way(served: Served, connection: Connection) -> None:
    before = dumped(connection, b"/before")
    for _ in range(2):
        answer = connection.ask("/changed", method="POST", body=b"content")
        assert (answer.status, answer.body, answer.complete) == (200, b"ok", True)
    if not OTHER:
        served.out.wait_for(r'"POST /changed HTTP/1\.1" 200 OK 2B ', 2)
    after = dumped(connection, b"/before")
    assert after.types == before.types
    different = {key for key, value in after.values.items() if value != before.values[key]}
    assert different <= {"iotax.request_id"} | ({"REMOTE_PORT"} if OTHER else set())


REQUESTS: list[dict[str, Any]] = [
    {},
    {"method": b"POST", "fields": [b"Content-Length: 1"], "body": b"x"},
    {"method": b"POST", "fields": [b"Transfer-Encoding: chunked"], "body": b"1\r\nx\r\n0\r\n\r\n"},
    {"method": b"PUT", "fields": [b"Content-Length: 0"]},
    {"version": b"1.0"},
    {"version": b"1.0", "host": None},
]
every_request = pytest.mark.parametrize(
    "request_", REQUESTS, ids=["get", "post", "chunked", "put", "1.0", "1.0 without host"]
)


def dumped_of(connection: Connection, request: dict[str, Any]) -> Dumped:
    more = {key: value for key, value in request.items() if key != "fields"}
    return dumped(connection, b"/", *request.get("fields", []), **more)


@pytest.mark.obligation("S-ENV-03")
@every_request
def test_every_wsgi_key_is_there(connection: Connection, request_: dict[str, Any]) -> None:
    assert dumped_of(connection, request_).types.keys() >= WSGI_KEYS


@pytest.mark.obligation("S-ENV-23", "S-STR-01")
@every_request
def test_every_cgi_variable_is_a_str(connection: Connection, request_: dict[str, Any]) -> None:
    found = dumped_of(connection, request_)
    cgi = {key: kind for key, kind in found.types.items() if "." not in key}
    assert len(cgi) > 5
    assert set(cgi.values()) == {"str"}
    assert found.types["wsgi.url_scheme"] == "str"


@pytest.mark.obligation("S-ENV-25")
def test_the_version(connection: Connection) -> None:
    found = dumped(connection)
    assert (found.types["wsgi.version"], found["wsgi.version"]) == ("tuple", [1, 0])


@pytest.mark.obligation("S-ENV-31")
def test_run_once_is_false_and_stays_so(connection: Connection) -> None:
    assert [dumped(connection)["wsgi.run_once"] for _ in range(2)] == [False, False]


@pytest.mark.obligation("S-ENV-32")
@every_request
def test_names_of_the_server_s_own(connection: Connection, request_: dict[str, Any]) -> None:
    own = [key for key in dumped_of(connection, request_).types if not key.isupper()]
    own = [key for key in own if not key.startswith("HTTP_")]
    assert set(own) >= WSGI_KEYS
    for key in own:
        prefix, *rest = key.split(".")
        assert OTHER or prefix in ("wsgi", "iotax")
        assert rest
        assert all(part.replace("_", "a").isalnum() and part.islower() for part in rest)


@pytest.mark.obligation("S-ENV-22")
def test_what_has_no_value_is_left_out(connection: Connection) -> None:
    found = dumped(connection)
    for key in ("REMOTE_USER", "AUTH_TYPE", "REMOTE_IDENT", "HTTPS", "PATH_TRANSLATED"):
        assert key not in found
    assert "NoneType" not in found.types.values()


@pytest.mark.obligation("S-ENV-24")
def test_variables_of_the_process_are_not_there(serve: Callable[..., Served]) -> None:
    served = serve(f"{__name__}:applications", env={"OF_THE_PROCESS": "x", "REMOTE_USER": "x"})
    with served.connect() as connection:
        found = dumped(connection)
    assert "OF_THE_PROCESS" not in found
    assert "REMOTE_USER" not in found


# ---- request line


@pytest.mark.obligation("S-ENV-04")
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "PATCH", "PURGE", "M-SEARCH"])
def test_the_method_is_the_token(connection: Connection, method: str) -> None:
    answer = connection.ask("/", method=method)
    if answer.status in (400, 405, 501):
        only_for_iotax("which methods a server takes is its policy")
    assert Dumped(answer.body)["REQUEST_METHOD"] == method


@applications.add
def method_in_a_header(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("X-Method", environ["REQUEST_METHOD"])])
    return [b"x"]


@pytest.mark.obligation("S-ENV-04")
def test_head_stays_head(served: Served) -> None:
    answer = served.ask("/method_in_a_header", method="HEAD")
    assert answer.get("X-Method") == "HEAD"


@pytest.mark.obligation("S-ENV-04")
@pytest.mark.parametrize("method", ["FOO", "get"])
def test_an_unknown_method_does_not_reach_the_application(served: Served, method: str) -> None:
    only_for_iotax("which methods there are is its policy")
    assert served.ask("/method_in_a_header", method=method).status == 501


PATHS = [
    "/",
    "/a%20b",
    "/caf%C3%A9",
    "/%FF",
    "/a%2Fb",
    "/a%2fb",
    "//a//b/../c/./d",
    "/a+b;c",
    "/%2541",
]


@pytest.mark.obligation("S-ENV-05")
@pytest.mark.parametrize("path", PATHS)
def test_at_the_root_there_is_no_script_name(connection: Connection, path: str) -> None:
    assert dumped(connection, path.encode()).values.get("SCRIPT_NAME", "") == ""


@pytest.mark.obligation("S-ENV-06")
@pytest.mark.parametrize("path", [path for path in PATHS if ".." not in path])
def test_the_path_is_decoded_once(connection: Connection, path: str) -> None:
    found = dumped(connection, path.encode())
    assert found["PATH_INFO"].encode("latin-1") == urllib.parse.unquote_to_bytes(path)


@pytest.mark.obligation("S-ENV-07")
@pytest.mark.parametrize("path", PATHS)
def test_the_two_parts_make_the_path(connection: Connection, path: str) -> None:
    found = dumped(connection, path.encode()).values
    whole = found.get("SCRIPT_NAME", "") + found.get("PATH_INFO", "")
    assert whole.encode("latin-1") == urllib.parse.unquote_to_bytes(path)


@pytest.mark.obligation("S-ENV-05", "S-ENV-07")
@pytest.mark.parametrize(
    ("prefix", "name"), [("/app", "/app"), ("/app/", "/app"), ("/a/b", "/a/b"), ("/", "")]
)
def test_the_application_below_a_prefix(proxied: Served, prefix: str, name: str) -> None:
    with proxied.connect() as connection:
        found = dumped(connection, b"/x%20y", b"X-Forwarded-Prefix: " + prefix.encode())
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == (name, "/x y")


@pytest.mark.obligation("S-ENV-08")
@pytest.mark.parametrize(
    ("target", "query"),
    [("/a", ""), ("/a?", ""), ("/a?b?c", "b?c"), ("/a?x=%20+%2F", "x=%20+%2F"), ("/?%41", "%41")],
)
def test_the_query_is_not_decoded(connection: Connection, target: str, query: str) -> None:
    found = dumped(connection, target.encode()).values
    assert (found.get("QUERY_STRING", ""), found["PATH_INFO"]) == (query, target.partition("?")[0])


@pytest.mark.obligation("S-UNI-02")
@pytest.mark.parametrize("target", [b"/\xc3\xa9", b"/x?\xc3\xa9"])
def test_raw_bytes_in_the_target_are_not_transcoded(served: Served, target: bytes) -> None:
    with served.connect() as connection:
        connection.send(b"GET " + target + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        answer = connection.answer()
    if answer.status == 200:
        found = Dumped(answer.body).values
        assert "\xc3\xa9" in found["PATH_INFO"] + found.get("QUERY_STRING", "")
    else:
        assert answer.status == 400


@pytest.mark.obligation("S-ENV-13")
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_the_protocol_is_that_of_the_request(connection: Connection, version: str) -> None:
    found = dumped(connection, version=version.encode())
    assert found["SERVER_PROTOCOL"] == f"HTTP/{version}"


# ---- headers


@pytest.mark.obligation("S-ENV-09")
def test_content_type(connection: Connection) -> None:
    found = dumped(
        connection, b"/", b"content-TYPE: text/x; a=b", b"Content-Length: 0", method=b"POST"
    )
    assert found["CONTENT_TYPE"] == "text/x; a=b"
    assert dumped(connection).values.get("CONTENT_TYPE", "") == ""


@pytest.mark.obligation("S-ENV-10")
def test_content_length(connection: Connection) -> None:
    post = {"method": b"POST", "body": b"x" * 17}
    assert dumped(connection, b"/", b"Content-Length: 17", **post)["CONTENT_LENGTH"] == "17"
    assert dumped(connection).values.get("CONTENT_LENGTH", "") == ""


@pytest.mark.obligation("S-ENV-10")
@pytest.mark.parametrize("options", [[], ["--no-request-buffering"]])
def test_content_length_of_chunks_is_the_received_length(
    serve: Callable[..., Served], options: list[str]
) -> None:
    served = serve(f"{__name__}:applications", *options)
    with served.connect() as connection:
        connection.request("POST", "/", "Transfer-Encoding: chunked")
        connection.send(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        assert Dumped(connection.answer().body)["CONTENT_LENGTH"] == "5"


@pytest.mark.obligation("S-ENV-14")
def test_one_variable_for_each_field_and_no_other(connection: Connection) -> None:
    names = [f"X-{'aB' * number}-{number}" for number in range(1, 20)] + ["!#$%&'*+.^`|~-"]
    fields = [f"{name}: {name[::-1]}".encode() for name in names]
    found = dumped(connection, b"/", *fields, b"X-Empty:")
    expected = {f"HTTP_{name.upper().replace('-', '_')}": name[::-1] for name in names}
    assert found.http == {**expected, "HTTP_X_EMPTY": "", "HTTP_HOST": "example.test"}
    assert dumped(connection, version=b"1.0", host=None).http == {}


@pytest.mark.obligation("S-ENV-15")
def test_content_fields_have_no_http_form(connection: Connection) -> None:
    found = dumped(
        connection, b"/", b"Content-Type: a/b", b"CONTENT-LENGTH: 1", method=b"POST", body=b"x"
    )
    assert found.http.keys() == {"HTTP_HOST"}


@pytest.mark.obligation("S-ENV-16")
def test_repeated_fields_are_joined_in_order(connection: Connection) -> None:
    found = dumped(connection, b"/", b"X-A: 1", b"X-B: b", b"X-A: 2", b"x-a: 3")
    assert found["HTTP_X_A"].replace(", ", ",") == "1,2,3"


@pytest.mark.obligation("S-ENV-17")
def test_repeated_cookies_are_one_cookie_value(connection: Connection) -> None:
    found = dumped(connection, b"/", b"Cookie: a=1", b"X-A: 1", b"cookie: b=2; c=3")
    assert found["HTTP_COOKIE"] == "a=1; b=2; c=3"
    cookies = SimpleCookie(found["HTTP_COOKIE"])
    assert {name: cookies[name].value for name in cookies} == {"a": "1", "b": "2", "c": "3"}


@pytest.mark.obligation("S-ENV-18")
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("name", ["X-A", "X-Forwarded-For", "Content-Type"])
def test_an_underscore_does_not_pass_for_a_dash(
    connection: Connection, name: str, first: bool
) -> None:
    if name.startswith("X-Forwarded"):
        only_for_iotax("other servers remove these fields")
    fields = [f"{name}: good".encode(), f"{name.replace('-', '_')}: evil".encode()]
    found = dumped(connection, b"/", *(fields if first else fields[::-1]))
    key = "CONTENT_TYPE" if name == "Content-Type" else f"HTTP_{name.upper().replace('-', '_')}"
    assert found[key] == "good"
    assert "evil" not in found.values.values()


@pytest.mark.obligation("S-STR-01", "S-UNI-01")
def test_a_character_stands_for_a_byte(connection: Connection) -> None:
    data = bytes(range(0x80, 0x100))
    found = dumped(connection, b"/%80%FF", b"X-L: \xe9\xc3\xa9", b"X-All: " + data)
    assert found["HTTP_X_L"] == "\xe9\xc3\xa9"
    assert found["HTTP_X_ALL"].encode("latin-1") == data
    assert found["PATH_INFO"] == "/\x80\xff"


@pytest.mark.obligation("S-UNI-01")
def test_no_character_beyond_latin_1(serve: Callable[..., Served], tmp_path: Path) -> None:
    """Not from variables of the process or the path of a socket either."""
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xffsocket")
    target = f"{__name__}:applications"
    served = serve(target, "-b", "127.0.0.1:0", "-b", f"unix:{path}", env={"REMOTE_USER": "\udcff"})
    for connection in (served.connect(), Connection(path=path)):
        with connection:
            found = dumped(connection, b"/%FF", b"X: \xff")
            texts = [value for value in found.values.values() if isinstance(value, str)]
            assert max(max(map(ord, text), default=0) for text in texts) == 0xFF


# ---- the two ends


@pytest.mark.obligation("S-ENV-19")
def test_other_cgi_variables(served: Served, connection: Connection) -> None:
    found = dumped(connection, b"/a%20b?c")
    address, port = connection.socket.getsockname()
    assert (found["REMOTE_ADDR"], found["REMOTE_PORT"]) == (address, str(port))
    assert found["SERVER_SOFTWARE"]
    assert found["GATEWAY_INTERFACE"] == "CGI/1.1"
    assert found["REQUEST_URI"] == "/a%20b?c"


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.obligation("S-ENV-11")
@every_request
def test_the_server_has_a_name_and_a_port(connection: Connection, request_: dict[str, Any]) -> None:
    found = dumped_of(connection, request_)
    assert type(found["SERVER_NAME"]) is type(found["SERVER_PORT"]) is str
    assert found["SERVER_NAME"]
    assert found["SERVER_PORT"].isdigit()


@pytest.mark.obligation("S-ENV-12")
@every_request
def test_server_name_and_port(
    served: Served, connection: Connection, request_: dict[str, Any]
) -> None:
    found = dumped_of(connection, request_)
    if OTHER:  # any name that resolves to it
        socket.create_connection((found["SERVER_NAME"], int(found["SERVER_PORT"]))).close()
        return
    assert (found["SERVER_NAME"], found["SERVER_PORT"]) == ("127.0.0.1", str(served.server.port))


@pytest.mark.obligation("S-ENV-11", "S-ENV-12")
@pytest.mark.skipif(not has_ipv6(), reason="the machine has no ::1")
def test_server_name_and_port_of_ipv6(serve: Callable[..., Served]) -> None:
    served = serve(f"{__name__}:applications", "-b", "[::1]:0")
    with Connection(served.server.port, host="::1") as connection:
        found = dumped(connection, version=b"1.0", host=None)
    assert (found["SERVER_NAME"], found["SERVER_PORT"]) == ("[::1]", str(served.server.port))
    assert found.uri == f"http://[::1]:{served.server.port}/"
    assert found["REMOTE_ADDR"] == "::1"


@pytest.mark.obligation("S-ENV-11", "S-ENV-12", "S-ENV-23")
def test_server_name_and_port_of_a_unix_socket(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    path = f"{tmp_path}/socket"
    serve(f"{__name__}:applications", "-b", "127.0.0.1:0", "-b", f"unix:{path}")
    with Connection(path=path) as connection:
        found = dumped(connection, version=b"1.0", host=None)
    assert (found["SERVER_NAME"], found["SERVER_PORT"]) == ("localhost", "80")
    assert {kind for key, kind in found.types.items() if "." not in key} == {"str"}
    assert urllib.parse.urlsplit(found.uri).hostname == "localhost"


@pytest.mark.obligation("S-ENV-26")
def test_the_scheme(connection: Connection) -> None:
    found = dumped(connection)
    assert (found.types["wsgi.url_scheme"], found["wsgi.url_scheme"]) == ("str", "http")


@pytest.mark.obligation("S-ENV-26")
def test_the_scheme_behind_a_proxy(connection: Connection, proxied: Served) -> None:
    forwarded = b"X-Forwarded-Proto: https"
    assert dumped(connection, b"/", forwarded)["wsgi.url_scheme"] == "http", "not a trusted peer"
    with proxied.connect() as trusted:
        assert dumped(trusted, b"/", forwarded)["wsgi.url_scheme"] == "https"
        assert dumped(trusted)["wsgi.url_scheme"] == "http"


# ---- the URL


@pytest.mark.obligation("S-URL-01")
@pytest.mark.parametrize("host", ["example.test", "example.test:8080", "[::1]:81", "h:80"])
@pytest.mark.parametrize("path", ["/", "/a%20b", "/caf%C3%A9?x=%C3%A9&y", "/a//b?"])
def test_the_url_can_be_rebuilt(connection: Connection, host: str, path: str) -> None:
    found = dumped(connection, path.encode(), host=host.encode())
    assert found.uri == f"http://{host}{path}".removesuffix("?")


@pytest.mark.obligation("S-URL-01", "S-ENV-12")
def test_the_url_can_be_rebuilt_without_host(served: Served, connection: Connection) -> None:
    found = dumped(connection, b"/a?b", version=b"1.0", host=None)
    host = found["SERVER_NAME"] if OTHER else "127.0.0.1"
    assert found.uri == f"http://{host}:{served.server.port}/a?b"


@pytest.mark.obligation("S-URL-01")
def test_the_url_of_an_absolute_form(connection: Connection) -> None:
    only_for_iotax("others refuse the absolute form, or take the authority from Host")
    found = dumped(connection, b"http://example.test:81/a%20b?c", host=b"example.test:81")
    assert found.uri == "http://example.test:81/a%20b?c"


@pytest.mark.obligation("S-URL-01")
def test_the_url_behind_a_proxy(proxied: Served) -> None:
    fields = [
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: shop.test",
        b"X-Forwarded-Prefix: /s",
    ]
    with proxied.connect() as connection:
        assert dumped(connection, b"/a?b", *fields).uri == "https://shop.test/s/a?b"
