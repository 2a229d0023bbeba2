"""Listeners with proxy://: raw headers on sockets of each kind, and a real HAProxy."""

import contextlib
import json
import socket
import struct
import time
from pathlib import Path

import pytest
from support.proxies import haproxy_backend
from support.systemd import tcp_socket, unix_socket
from support.wire import Connection

CASES = Path(__file__).resolve().parents[2] / "conformance/proxy_protocol"
SHOW = """
import json
KEYS = ("REMOTE_ADDR", "REMOTE_PORT", "PROXY_PROTOCOL", "PROXY_ADDR", "PROXY_PORT",
        "wsgi.url_scheme", "SERVER_PORT")
def app(environ, start_response):
    found = {key: environ[key] for key in KEYS if key in environ}
    found["tlvs"] = [[kind, data.hex()] for kind, data in environ.get("iotax.proxy_tlvs", ())]
    body = json.dumps(found).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
LINE = b"PROXY TCP4 203.0.113.9 192.0.2.2 5555 443\r\n"
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
ADDRESSES = socket.inet_aton("203.0.113.9") + socket.inet_aton("192.0.2.2")
ADDRESSES += struct.pack(">HH", 5555, 443)
TLS = struct.pack(">BHBI", 0x20, 5, 1, 0)
BINARY = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack(">H", 20) + ADDRESSES + TLS
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CLIENT = {"REMOTE_ADDR": "203.0.113.9", "REMOTE_PORT": "5555"}


@pytest.fixture
def cwd(project):
    return project("main", SHOW)


@pytest.fixture
def serve(start, cwd):
    """serve(*arguments) serves on proxy:// and a free port."""

    def launch(*arguments, bind="proxy://127.0.0.1:0", **more):
        return start("main:app", "--bind", bind, *arguments, cwd=cwd, **more)

    return launch


def ask(connection, first):
    connection.send(first + GET)
    answer = connection.answer()
    assert answer.status == 200
    return json.loads(answer.body)


@pytest.mark.smoke
@pytest.mark.parametrize(("header", "scheme"), [(LINE, "http"), (BINARY, "https")])
def test_request_after_a_header(serve, header, scheme):
    server = serve()
    with Connection(server.port) as connection:
        found = ask(connection, header)
        assert CLIENT.items() <= found.items()
        assert (found["PROXY_ADDR"], found["PROXY_PORT"]) == ("192.0.2.2", "443")
        assert found["wsgi.url_scheme"] == scheme
        assert found["SERVER_PORT"] == str(server.port)
        assert CLIENT.items() <= ask(connection, b"").items(), "of the connection, not of a request"
    server.out.wait_for(r'203\.0\.113\.9:5555 - "GET / HTTP/1\.1" 200')


@pytest.mark.parametrize("header", [LINE, BINARY, LOCAL])
def test_header_in_pieces(serve, header):
    server = serve()
    for size in (1, 5, len(header)):
        with Connection(server.port) as connection:
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            text = header + GET
            for at in range(0, len(text), size):
                connection.send(text[at : at + size])
            assert connection.answer().status == 200


def test_other_listeners_are_unaffected(start, cwd):
    server = start("main:app", "-b", "127.0.0.1:0", "-b", "proxy://127.0.0.1:0", cwd=cwd)
    proxied = int(server.err.wait_for(r"Listening on proxy://127\.0\.0\.1:(\d+)")[1])
    with Connection(server.port) as plain, Connection(proxied) as connection:
        assert "PROXY_PROTOCOL" not in ask(plain, b"")
        assert ask(connection, LINE)["PROXY_PROTOCOL"] == "TCP4"
    for header in (LINE, LOCAL):
        with Connection(server.port) as plain:
            plain.send(header + GET)
            answer = plain.answer()
            assert answer.status == 400
            assert b"PROXY protocol header on a listener without proxy://" in answer.body
            assert plain.is_closed()


def test_connection_without_a_header_is_closed_with_a_warning(serve):
    server = serve()
    with Connection(server.port) as connection:
        connection.send(GET)
        assert connection.rest() == b""
    server.err.wait_for(
        rf"127\.0\.0\.1:\d+ - PROXY protocol on proxy://127\.0\.0\.1:{server.port}: the connection"
        r' begins with "GET / HT"; let the proxy send it, or leave proxy:// out$'
    )


def test_unlisted_peer_is_refused(serve):
    server = serve("--proxy-protocol-from", "10.0.0.0/8,unix")
    with Connection(server.port) as connection, contextlib.suppress(ConnectionError):
        connection.send(LINE + GET)
        assert connection.rest() == b""
    server.err.wait_for(r"the peer is not one of --proxy-protocol-from$")


def test_two_headers(serve):
    server = serve()
    with Connection(server.port) as connection:
        connection.send(LINE + LINE + GET)
        assert connection.answer().status == 400
    server.err.wait_for(r"203\.0\.113\.9:5555 - 400 second PROXY protocol header")


@pytest.mark.parametrize("sent", [b"", LINE[:10], LOCAL[:14]])
def test_late_header_is_refused(serve, sent):
    server = serve("--receive-timeout", "500ms")
    with Connection(server.port) as connection:
        began = time.monotonic()
        connection.send(sent)
        assert connection.rest() == b""
        assert time.monotonic() - began >= 0.4
    server.err.wait_for(r"the header was not complete in time \(--receive-timeout\)$")


def test_slow_bytes_do_not_extend_the_deadline(serve):
    server = serve("--receive-timeout", "1s")
    with Connection(server.port) as connection, contextlib.suppress(ConnectionError):
        for octet in LINE:
            connection.socket.settimeout(0.1)
            connection.send(bytes([octet]))
            with contextlib.suppress(TimeoutError):
                assert connection.receive() == b""
                break
        else:
            pytest.fail("the header was accepted after four seconds")
    server.err.wait_for(r"\(--receive-timeout\)$")


def test_checks_of_the_proxy_leave_no_line(serve):
    server = serve()
    for first in (b"", LOCAL):
        with Connection(server.port) as connection:
            connection.send(first)
            connection.end_sending()
            assert connection.is_closed()
    with Connection(server.port) as connection:
        assert ask(connection, LOCAL)["PROXY_PROTOCOL"] == "LOCAL"
    server.stop()
    assert len(server.out.wait_for_end().splitlines()) == 1
    assert "WARNING" not in server.err.wait_for_end()


def test_unix_socket(serve, tmp_path):
    path = str(tmp_path / "app.sock")
    server = serve(bind=f"proxy://unix:{path}")
    server.err.wait_for("Listening on proxy://unix:")
    with Connection(path=path) as connection:
        assert CLIENT.items() <= ask(connection, BINARY).items()
    with Connection(path=path) as connection:
        found = ask(connection, LOCAL)
        assert found["REMOTE_ADDR"] == ""
        assert found["PROXY_PROTOCOL"] == "LOCAL"


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_passed_socket(start, cwd, tmp_path, kind):
    made = tcp_socket() if kind == "tcp" else unix_socket(str(tmp_path / "passed.sock"))
    with made as listener:
        number = listener.fileno()
        start("main:app", "--bind", f"proxy://fd://{number}", cwd=cwd, pass_fds=[number])
        address = listener.getsockname()
        where = {"path": address} if kind == "unix" else {"port": address[1]}
        with Connection(**where) as connection:
            assert CLIENT.items() <= ask(connection, LINE).items()


def test_forwarded_headers_are_trusted_by_the_address_of_the_header(serve):
    server = serve("--forwarded-allow-ips", "203.0.113.0/24")
    fields = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n"
    for header, client in ((LINE, "198.51.100.7"), (LOCAL, "127.0.0.1")):
        with Connection(server.port) as connection:
            connection.send(header + fields)
            assert json.loads(connection.answer().body)["REMOTE_ADDR"] == client
    server.out.wait_for(r'198\.51\.100\.7 - "GET / ')
    server.out.wait_for(r'127\.0\.0\.1:\d+ - "GET / ')


def test_json_access_log_names_client_and_proxy(serve):
    server = serve("--access-log-format", "json")
    with Connection(server.port) as connection:
        ask(connection, BINARY)
        line = json.loads(server.out.wait_for(r"^\{.*\}$")[0])
        assert (line["client.address"], line["client.port"]) == ("203.0.113.9", 5555)
        port = connection.socket.getsockname()[1]
        assert (line["network.peer.address"], line["network.peer.port"]) == ("127.0.0.1", port)


def test_every_case(serve):
    """The cases of conformance/proxy_protocol against a live server."""
    server = serve("--receive-timeout", "0", "--threads", "2")
    cases = [
        json.loads(line)
        for name in ("v1.jsonl", "v2.jsonl")
        for line in (CASES / name).read_text("ascii").splitlines()
    ]
    assert len(cases) > 100
    for case in cases:
        raw, expect = case["raw"].encode("latin-1"), case["expect"]
        header = expect.get("header")
        with Connection(server.port) as connection:
            connection.send(raw)
            if case.get("eof"):
                connection.end_sending()
            if header is None:
                closed = "fault" in expect
                assert connection.is_closed() if closed else connection.is_silent(), case["id"]
                continue
            answer = connection.answer()
            if case["id"] == "v2-two":
                assert answer.status == 400
                continue
            found = json.loads(answer.body)
            expected = {"PROXY_PROTOCOL": header["transport"]}
            if "source" in header:
                expected |= {
                    "REMOTE_ADDR": header["source"],
                    "REMOTE_PORT": str(header["source_port"]),
                    "PROXY_ADDR": header["destination"],
                    "PROXY_PORT": str(header["destination_port"]),
                }
            tlvs = header.get("tlvs", [])
            expected["tlvs"] = [[kind, data.encode("latin-1").hex()] for kind, data in tlvs]
            expected["wsgi.url_scheme"] = "https" if header.get("tls") else "http"
            assert expected.items() <= found.items(), case["id"]


# ---- HAProxy


@pytest.mark.parametrize(
    ("options", "has_tlvs"),
    [
        ("send-proxy", False),
        ("send-proxy-v2", False),
        ("send-proxy-v2 proxy-v2-options crc32c,unique-id", True),
    ],
)
def test_haproxy(serve, tmp_path, options, has_tlvs):
    server = serve()
    with (
        haproxy_backend(tmp_path, f"127.0.0.1:{server.port} {options}") as port,
        Connection(port) as connection,
    ):
        ours = connection.socket.getsockname()
        for _ in range(3):
            found = ask(connection, b"")
            assert (found["REMOTE_ADDR"], found["REMOTE_PORT"]) == (ours[0], str(ours[1]))
            assert found["PROXY_PROTOCOL"] == "TCP4"
            assert (found["PROXY_ADDR"], found["PROXY_PORT"]) == ("127.0.0.1", str(port))
            assert bool(found["tlvs"]) is has_tlvs
    server.out.wait_for(rf'127\.0\.0\.1:{ours[1]} - "GET / ')


@pytest.mark.parametrize("options", ["send-proxy", "send-proxy-v2"])
def test_checks_of_haproxy(serve, tmp_path, options):
    """With check-send-proxy it sends LOCAL or UNKNOWN, for a plain connection and for a request."""
    server = serve()
    with haproxy_backend(
        tmp_path, f"127.0.0.1:{server.port} {options} check inter 50ms check-send-proxy"
    ) as port:
        end = time.monotonic() + 1
        while time.monotonic() < end:
            with Connection(port) as connection:
                assert ask(connection, b"")["PROXY_PROTOCOL"] == "TCP4"
    server.stop()
    lines = server.out.wait_for_end().splitlines()
    assert all('"GET / ' in line for line in lines)
    assert "WARNING" not in server.err.wait_for_end()
    log = (tmp_path / "errors").read_text()
    assert "is DOWN" not in log, log


def test_http_checks_of_haproxy(serve, tmp_path):
    server = serve()
    backend = f"127.0.0.1:{server.port} send-proxy-v2 check inter 50ms check-send-proxy"
    with haproxy_backend(tmp_path, backend, "option httpchk GET /healthz") as port:
        server.out.wait_for(r'127\.0\.0\.1:\d+ - "GET /healthz ')
        with Connection(port) as connection:
            assert ask(connection, b"")["PROXY_PROTOCOL"] == "TCP4"


def test_haproxy_over_a_unix_socket(serve, tmp_path):
    path = str(tmp_path / "app.sock")
    serve(bind=f"proxy://unix:{path}")
    with (
        haproxy_backend(tmp_path, f"unix@{path} send-proxy-v2") as port,
        Connection(port) as connection,
    ):
        ours = connection.socket.getsockname()
        found = ask(connection, b"")
        assert (found["REMOTE_ADDR"], found["REMOTE_PORT"]) == (ours[0], str(ours[1]))


def test_haproxy_that_does_not_send_a_header(serve, tmp_path):
    """A balancer without send-proxy: the log says what is missing."""
    server = serve()
    with (
        haproxy_backend(tmp_path, f"127.0.0.1:{server.port}", "mode tcp") as port,
        Connection(port) as connection,
    ):
        connection.send(GET)
        assert connection.is_closed()
    server.err.wait_for(
        rf"PROXY protocol on proxy://127\.0\.0\.1:{server.port}: .*; let the proxy send it"
    )
