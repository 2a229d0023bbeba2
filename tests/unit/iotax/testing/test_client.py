"""iotax.testing: the client without a socket, and the live server."""

import gc
import http.client
import os
import subprocess
import sys
from pathlib import Path

import pytest

from iotax.testing import Client, LiveServer, ProtocolError, serve

ROOT = Path(__file__).resolve().parents[4]


def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", environ.get("CONTENT_TYPE", "text/plain"))])
    return [f"{environ['REQUEST_METHOD']} {environ['REQUEST_URI']} ".encode(), body]


def boom(environ, start_response):
    raise ValueError("boom")


def truncated(environ, start_response):
    start_response("200 OK", [("Content-Length", "10")])
    yield b"half"
    raise ValueError("boom")


HUNG = """
import socket, sys, threading
from iotax import server, testing

server.JOIN_SECONDS = 0
begun = threading.Event()

def hangs(environ, start_response):
    begun.set()
    threading.Event().wait()

with testing.serve(hangs, graceful_timeout=0) as live:
    with socket.create_connection((live.host, live.port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
        begun.wait()
print("the tests are over")
sys.exit(0)
"""


@pytest.fixture
def client():
    return Client(echo)


def test_a_response_has_its_parts(client):
    response = client.get("/x?y")

    assert (response.status, response.reason, response.version) == (200, "OK", "HTTP/1.1")
    assert response.text == "GET /x?y "
    assert response.headers["content-TYPE"] == "text/plain"
    assert "Date" in response.headers
    assert response.headers.get("X-None") is None
    assert response.raw.startswith(b"HTTP/1.1 200 OK\r\nDate: ")
    assert response.raw.endswith(b"\r\n\r\nGET /x?y ")
    assert response.complete
    assert not response.closed


@pytest.mark.parametrize(
    ("more", "kind", "body"),
    [
        ({"body": b"\xff"}, "text/plain", b"\xff"),
        ({"body": "caf\u00e9"}, "text/plain; charset=utf-8", b"caf\xc3\xa9"),
        ({"body": [b"a", b"", b"b"]}, "text/plain", b"ab"),
        ({"json": {"a": None}}, "application/json", b'{"a": null}'),
        ({"form": {"a": "b c"}}, "application/x-www-form-urlencoded", b"a=b+c"),
        ({"form": [("a", "1"), ("a", "2")]}, "application/x-www-form-urlencoded", b"a=1&a=2"),
        ({"json": 1, "headers": {"Content-Type": "x/y"}}, "x/y", b"1"),
    ],
)
def test_a_body_is_sent_with_its_type(client, more, kind, body):
    response = client.post("/", **more)

    assert response.headers["Content-Type"] == kind
    assert response.body == b"POST / " + body


@pytest.mark.parametrize("method", ["head", "options", "put", "patch", "delete"])
def test_every_method_has_a_name(client, method):
    response = getattr(client, method)("/")

    assert response.body == (b"" if method == "head" else f"{method.upper()} / ".encode())
    assert response.complete


def test_raw_bytes_get_a_response_for_each_request(client):
    get = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n"

    first = client.send(get % b"1" + get.replace(b"GET", b"HEAD") % b"2" + (get % b"3")[:9])
    second = client.send((get % b"3")[9:])

    assert [response.body for response in first] == [b"GET /1 ", b""]
    assert [response.body for response in second] == [b"GET /3 "]


def test_responses_of_the_server_itself_are_not_taken_for_responses_to_head(client):
    data = b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n"

    options, head = client.send(data)

    assert (options.status, head.status) == (204, 200)
    assert head.complete
    assert head.body == b""


def test_a_rejection_closes_and_the_next_request_opens_a_new_connection(client):
    (refused,) = client.send(b"GET / HTTP/1.1\r\n\r\n")

    assert refused.status == 400
    assert refused.closed
    assert "Host: missing" in refused.text
    assert client.get("/").status == 200


def test_rejected_head_request_gets_no_body(client):
    get, refused = client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\n\r\n")

    assert (get.status, refused.status) == (200, 400)
    assert (refused.complete, refused.closed, refused.body) == (True, True, b"")


def test_interim_responses_are_part_of_the_final_one():
    def hints(environ, start_response):
        environ["wsgi.early_hints"]([("Link", "</x>")])
        environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [b"x"]

    request = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"
    client = Client(hints)

    assert client.send(request) == []
    (response,) = client.send(b"a")

    assert [interim.status for interim in response.interim] == [100, 103]
    assert response.interim[1].headers["Link"] == "</x>"
    assert response.body == b"x"


def test_eof_reaches_the_server(client):
    assert client.send(b"GET / HT", eof=True)[0].status == 400


def test_application_error_is_raised():
    for application in (boom, truncated):
        client = Client(application)
        with pytest.raises(ValueError, match="boom"):
            client.get("/")


def test_application_error_is_available_on_the_response():
    failed = Client(boom, raise_exceptions=False).get("/")
    broken = Client(truncated, raise_exceptions=False).get("/")

    assert failed.status == 500
    assert isinstance(failed.error, ValueError)
    assert isinstance(broken.error, ValueError)
    assert (broken.status, broken.body, broken.complete) == (200, b"half", False)
    assert broken.closed


def test_each_response_has_the_error_of_its_own_call():
    def one_fails(environ, start_response):
        return (boom if environ["PATH_INFO"] == "/boom" else echo)(environ, start_response)

    get = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n"
    failed, good = Client(one_fails, raise_exceptions=False).send(get % b"boom" + get % b"good")

    assert (failed.status, good.status) == (500, 200)
    assert isinstance(failed.error, ValueError)
    assert good.error is None


def test_body_that_ends_with_the_connection_may_be_truncated():
    def truncated(environ, start_response):
        start_response("200 OK", [])
        yield b"half"
        if environ["PATH_INFO"] == "/breaks":
            raise ValueError("boom")

    client = Client(truncated, raise_exceptions=False)
    (broken,) = client.send(b"GET /breaks HTTP/1.0\r\n\r\n")
    (whole,) = client.send(b"GET / HTTP/1.0\r\n\r\n")

    assert (broken.body, broken.complete, broken.closed) == (b"half", False, True)
    assert (whole.body, whole.complete, whole.closed) == (b"half", True, True)


def test_server_log_goes_to_the_streams_of_python(capsys):
    def talks(environ, start_response):
        environ["wsgi.errors"].write("the application says\n")
        return [b"never started"]

    assert Client(talks, access_log=True).get("/").status == 500
    out, err = capsys.readouterr()
    assert err.startswith("the application says\n")
    assert "the application did not call start_response" in err
    assert '"GET / HTTP/1.1" 500' in out
    Client(talks, log_level="critical").get("/")
    assert capsys.readouterr() == ("", "the application says\n")


def test_an_interrupt_is_always_raised():
    def interrupted(environ, start_response):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Client(interrupted, raise_exceptions=False).get("/")


def test_limits_are_those_of_the_server():
    assert Client(echo, limit_body="1K").post("/", body=b"x" * 1025).status == 413


def test_an_application_can_be_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "named.py").write_text(
        "def app(e, s):\n    s('200 OK', [])\n    return [b'named']\n"
    )

    assert Client("named:app").get("/").body == b"named"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Client(None), "app must be an application or a name .*not NoneType"),
        (lambda: Client(echo, limit_boddy=1), "unknown argument limit_boddy"),
        (lambda: Client(echo).post("/", body=b"", json={}), "cannot be combined"),
        (
            lambda: Client(echo).post("/", body=5),
            "body is int; expected bytes, a string or an iterable",
        ),
        (
            lambda: Client(echo).post("/", body={"a": "b"}),
            "body is dict; expected .* json= or form=",
        ),
        (lambda: Client(echo).post("/", body=["a"]), "body contains 'a'; expected bytes"),
        (lambda: Client(echo).post("/", form="a=b"), "form is str; expected a mapping or pairs"),
        (lambda: Client(echo).get("/", headers=5), "headers is int; expected a mapping or pairs"),
        (
            lambda: Client(echo).get("/", headers={"A": 1}),
            r"headers contains \('A', 1\); expected a",
        ),
        (lambda: Client(echo).get(b"/"), "target must be a string, not bytes"),
        (lambda: Client(echo).send("text"), "data must be bytes, not str"),
        (lambda: serve(5).__enter__(), "app must be an application or a name .*not int"),
    ],
)
def test_an_argument_of_a_wrong_type_is_named(call, said):
    with pytest.raises(TypeError, match=said):
        call()


@pytest.mark.parametrize(
    ("target", "headers", "said"),
    [
        ("/", {"A": "b\r\nC: d"}, r"contains a line break; use send\(\) for bytes"),
        ("/", {"A": "\u20ac"}, "headers contain '\u20ac', which is not Latin-1"),
        ("/caf\u00e9", {}, r"target '/caf\u00e9' is not ASCII; quote it with urllib.parse.quote"),
    ],
)
def test_invalid_request_is_reported(client, target, headers, said):
    with pytest.raises(ValueError, match=said):
        client.get(target, headers=headers)


def test_other_than_one_request_is_an_error_and_does_not_affect_the_next(client):
    with pytest.raises(ProtocolError, match="got no response: the server expects more bytes"):
        client.get("/", headers={"Content-Length": "5"})
    inner = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    with pytest.raises(ProtocolError, match="got 2 responses"):
        client.post("/", headers={"Content-Length": "0"}, body=inner)

    assert client.get("/").body == b"GET / "


def test_requests_leave_no_objects():
    def count(requests):
        client = Client(echo, raise_exceptions=False)
        for number in range(requests):
            client.get("/")
            client.post("/", body=b"x" * 100)
            client.send(b"GET / HTTP/1.1\r\n\r\n" if number % 2 else b"GET /")
        del client
        gc.collect()
        return len(gc.get_objects())

    count(10)
    assert count(20) == count(40)


def test_a_live_server_serves_while_the_block_runs():
    with serve(echo) as server:
        connection = http.client.HTTPConnection(server.host, server.port)
        connection.request("GET", "/live")
        assert connection.getresponse().read() == b"GET /live "
        connection.close()
        assert server.url == f"http://127.0.0.1:{server.port}"
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection(server.host, server.port).request("GET", "/")


def test_abandoned_request_makes_the_exit_code_1():
    buffered = {name: text for name, text in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-c", HUNG], capture_output=True, text=True, env=buffered
    )

    assert "the tests are over\n" in done.stdout  # next to the access line of the request, if any
    assert "A request did not finish; its thread was abandoned" in done.stderr
    assert done.returncode == 1


def test_the_url_of_an_ipv6_address_has_brackets():
    assert LiveServer("::1", 80).url == "http://[::1]:80"
