"""iotax.testing: the client without a socket, and the live server."""

import gc
import http.client
import re
from pathlib import Path

import pytest

from iotax.testing import Client, ProtocolError, serve

ROOT = Path(__file__).resolve().parents[3]


def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", environ.get("CONTENT_TYPE", "text/plain"))])
    return [f"{environ['REQUEST_METHOD']} {environ['REQUEST_URI']} ".encode(), body]


def boom(environ, start_response):
    raise ValueError("boom")


def breaks_off(environ, start_response):
    start_response("200 OK", [("Content-Length", "10")])
    yield b"half"
    raise ValueError("boom")


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
def test_content_is_sent_with_its_type(client, more, kind, body):
    response = client.post("/", **more)

    assert response.headers["Content-Type"] == kind
    assert response.body == b"POST / " + body


@pytest.mark.parametrize("method", ["head", "options", "put", "patch", "delete"])
def test_every_method_has_a_name(client, method):
    response = getattr(client, method)("/")

    assert response.body == (b"" if method == "head" else f"{method.upper()} / ".encode())
    assert response.complete


def test_raw_bytes_lead_to_as_many_answers_as_they_hold_requests(client):
    get = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n"

    first = client.send(get % b"1" + get.replace(b"GET", b"HEAD") % b"2" + (get % b"3")[:9])
    second = client.send((get % b"3")[9:])

    assert [response.body for response in first] == [b"GET /1 ", b""]
    assert [response.body for response in second] == [b"GET /3 "]


def test_answers_of_the_server_itself_do_not_confuse_what_answers_head(client):
    octets = b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n"

    options, head = client.send(octets)

    assert (options.status, head.status) == (204, 200)
    assert head.complete
    assert head.body == b""


def test_a_refusal_closes_and_the_next_request_has_a_new_connection(client):
    (refused,) = client.send(b"GET / HTTP/1.1\r\n\r\n")

    assert refused.status == 400
    assert refused.closed
    assert "Host: missing" in refused.text
    assert client.get("/").status == 200


def test_interim_answers_come_with_the_final_one():
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


def test_the_end_of_sending_is_told(client):
    assert client.send(b"GET / HT", eof=True)[0].status == 400


def test_what_comes_out_of_the_application_is_raised():
    for application in (boom, breaks_off):
        client = Client(application)
        with pytest.raises(ValueError, match="boom"):
            client.get("/")


def test_or_told_by_the_response():
    failed = Client(boom, raise_exceptions=False).get("/")
    broken = Client(breaks_off, raise_exceptions=False).get("/")

    assert failed.status == 500
    assert isinstance(failed.error, ValueError)
    assert isinstance(broken.error, ValueError)
    assert (broken.status, broken.body, broken.complete) == (200, b"half", False)
    assert broken.closed


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
        (lambda: Client(None), "app is NoneType, which cannot be called"),
        (lambda: Client(echo, limit_boddy=1), "unknown argument limit_boddy"),
        (lambda: Client(echo).post("/", body=b"", json={}), "exclude each other"),
        (lambda: Client(echo).send("text"), "data is str, not bytes"),
        (lambda: serve(5).__enter__(), "app is int"),
    ],
)
def test_a_bad_argument_is_named(call, said):
    with pytest.raises(TypeError, match=said):
        call()


def test_a_line_end_in_a_header_is_refused(client):
    with pytest.raises(ValueError, match=r"holds a line end: send\(\) takes raw bytes"):
        client.get("/", headers={"A": "b\r\nC: d"})


def test_a_request_that_is_not_complete_has_no_answer(client):
    with pytest.raises(ProtocolError, match="got no answer"):
        client.get("/", headers={"Content-Length": "5"})


def test_requests_leave_nothing_behind():
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


def test_the_example_of_the_readme_runs(tmp_path):
    text = (ROOT / "README.md").read_text()
    section = text.partition("### Testing your application")[2]
    (example,) = re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)

    (tmp_path / "example.py").write_text(example)
    names: dict[str, object] = {}
    exec(compile(example, str(tmp_path / "example.py"), "exec"), names)
    tests = [found for name, found in names.items() if name.startswith("test_")]
    assert tests
    for test in tests:
        test()
