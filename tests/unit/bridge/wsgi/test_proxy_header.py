"""What environ says of a connection that began with a PROXY header."""

import socket
import struct
from typing import Any

import pytest

BALANCER = ("10.0.0.2", "40000", "10.0.0.1", "8000")
KEYS = ("PROXY_PROTOCOL", "PROXY_ADDR", "PROXY_PORT", "iotax.proxy_tlvs")
SSL = struct.pack(">BI", 1, 0)


def binary(command: int, family: int, addresses: bytes, *tlvs: tuple[int, bytes]) -> bytes:
    rest = addresses + b"".join(struct.pack(">BH", kind, len(data)) + data for kind, data in tlvs)
    head = struct.pack(">BBH", 0x20 | command, family, len(rest))
    return b"\r\n\r\n\0\r\nQUIT\n" + head + rest


def tcp4(*tlvs: tuple[int, bytes]) -> bytes:
    addresses = socket.inet_aton("203.0.113.9") + socket.inet_aton("192.0.2.2")
    return binary(1, 0x11, addresses + struct.pack(">HH", 5555, 443), *tlvs)


@pytest.fixture
def behind(environ_of: Any) -> Any:
    """behind(header) returns the environ of a request from a balancer that sent it."""

    def one(header: bytes | str, *headers: tuple[str, str], **request: Any) -> dict[str, Any]:
        if isinstance(header, str):
            header = header.encode()
        fields = [("Host", "inner"), *headers]
        found: dict[str, Any] = environ_of(
            **{"peer": BALANCER, **request}, headers=fields, proxy_header=header
        )
        return found

    return one


def seen(environ: dict[str, Any]) -> dict[str, Any]:
    return {key: environ[key] for key in KEYS if key in environ}


def test_line_sets_the_addresses(behind: Any) -> None:
    environ = behind("PROXY TCP4 203.0.113.9 192.0.2.2 5555 443\r\n")
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("203.0.113.9", "5555")
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("10.0.0.1", "8000")
    assert environ["wsgi.url_scheme"] == "http"
    expected = {"PROXY_PROTOCOL": "TCP4", "PROXY_ADDR": "192.0.2.2", "PROXY_PORT": "443"}
    assert seen(environ) == expected, "a line has no TLVs"
    assert all(type(environ[key]) is str for key in expected)


def test_binary_header_sets_the_addresses_and_tlvs(behind: Any) -> None:
    environ = behind(tcp4((1, b"h2"), (0xEA, b"\0\xff")))
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("203.0.113.9", "5555")
    assert environ["iotax.proxy_tlvs"] == ((1, b"h2"), (0xEA, b"\0\xff"))
    assert behind(tcp4())["iotax.proxy_tlvs"] == ()


def test_ipv6(behind: Any) -> None:
    environ = behind("PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n")
    assert environ["REMOTE_ADDR"] == "2001:db8::1"
    assert seen(environ) == {
        "PROXY_PROTOCOL": "TCP6",
        "PROXY_ADDR": "2001:db8::2",
        "PROXY_PORT": "2",
    }


@pytest.mark.parametrize("header", ["PROXY UNKNOWN\r\n", binary(0, 0, b""), binary(1, 0, b"")])
def test_local_keeps_the_addresses_of_the_socket(behind: Any, header: bytes | str) -> None:
    environ = behind(header)
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("10.0.0.2", "40000")
    tlvs = {} if isinstance(header, str) else {"iotax.proxy_tlvs": ()}
    assert seen(environ) == {"PROXY_PROTOCOL": "LOCAL", **tlvs}


def test_unix_is_as_over_a_unix_socket(behind: Any) -> None:
    environ = behind(binary(1, 0x31, b"/a".ljust(216, b"\0")))
    assert environ["REMOTE_ADDR"] == ""
    assert "REMOTE_PORT" not in environ
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("10.0.0.1", "8000")
    assert seen(environ) == {"PROXY_PROTOCOL": "UNIX", "iotax.proxy_tlvs": ()}


def test_unix_socket_gives_the_address_of_the_client(behind: Any, environ_of: Any) -> None:
    header = b"PROXY TCP4 203.0.113.9 192.0.2.2 5555 443\r\n"
    environ = environ_of(unix=True, proxy_header=header, headers=[("Host", "a")])
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("203.0.113.9", "5555")
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("localhost", "80")


def test_ssl_tlv_sets_the_scheme(behind: Any) -> None:
    assert behind(tcp4((0x20, SSL)))["wsgi.url_scheme"] == "https"
    assert behind(tcp4((0x20, bytes(5))))["wsgi.url_scheme"] == "http"
    assert behind(binary(0, 0, b"", (0x20, SSL)))["wsgi.url_scheme"] == "http"


def test_forwarded_headers_are_trusted_by_the_address_of_the_header(behind: Any) -> None:
    forwarded = [("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-Proto", "http")]
    line = "PROXY TCP4 203.0.113.9 192.0.2.2 5555 443\r\n"
    by_client = {"options": {"trusted": ["203.0.113.9"]}}
    environ = behind(line, *forwarded, **by_client)
    assert environ["REMOTE_ADDR"] == "198.51.100.1"
    assert environ["PROXY_ADDR"] == "192.0.2.2"
    assert "REMOTE_PORT" not in environ
    by_balancer = {"options": {"trusted": ["10.0.0.2"]}}
    assert behind(line, *forwarded, **by_balancer)["REMOTE_ADDR"] == "203.0.113.9"
    assert behind("PROXY UNKNOWN\r\n", *forwarded, **by_balancer)["REMOTE_ADDR"] == "198.51.100.1"


def test_trusted_proto_replaces_the_scheme_of_the_tlv(behind: Any) -> None:
    options = {"options": {"trusted": ["203.0.113.9"]}}
    header = ("X-Forwarded-Proto", "http")
    assert behind(tcp4((0x20, SSL)), header, **options)["wsgi.url_scheme"] == "http"


def test_other_connections_have_none_of_the_keys(environ_of: Any) -> None:
    assert seen(environ_of()) == {}
