"""Where to listen, as a value: the forms of --bind, --host and --port, and how each is written
back.

Knows nothing of sockets: listeners.py opens what is said here.
"""

import ipaddress
from dataclasses import dataclass
from typing import TypeAlias

# The host that stands for every address of the machine, IPv4 and IPv6, as nginx and waitress read
# it.
EVERY_HOST = "*"

# sun_path of Linux holds 108 bytes with its closing zero (unix(7)).
UNIX_PATH_BYTES_MAX = 107


@dataclass(frozen=True)
class TcpAddress:
    """`host` is a name, an address without brackets, or EVERY_HOST; `port` 0 lets the system
    choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return authority(self.host, self.port)


@dataclass(frozen=True)
class UnixAddress:
    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address: TypeAlias = TcpAddress | UnixAddress


def authority(host: str, port: int) -> str:
    """`host:port` as in a URL: IPv6 addresses in brackets (RFC 3986 section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_port(text: str) -> int:
    """Errors: ValueError for anything but a decimal number from 0 to 65535."""
    if not (text.isascii() and text.isdigit()) or int(text) > 65535:
        raise ValueError(text)
    return int(text)


def parse_host(text: str) -> str:
    """Read a name, an IP address, an IPv6 address in brackets, or `*`. Returns it without brackets.

    Errors: ValueError whose text says what is wrong, and what to write instead.
    """
    if "://" in text:
        raise ValueError("it is a URL, not a host")
    if text.startswith("[") or "]" in text:
        host, bracket, rest = text.removeprefix("[").partition("]")
        if text.startswith("[") and bracket and rest.startswith(":"):
            raise ValueError(f"it holds a port: write --bind {text}")
        if not text.startswith("[") or not bracket or rest or not is_ipv6(host):
            raise ValueError("brackets enclose one IPv6 address, as in [::1]")
        return host
    name, colon, port = text.rpartition(":")
    if colon and ":" not in name and port.isascii() and port.isdigit():
        raise ValueError(f"it holds a port: write --bind {text}")
    return text


def is_ipv6(text: str) -> bool:
    """Whether it is an IPv6 address, perhaps with a zone (RFC 4007 section 11)."""
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def parse_address(text: str) -> Address:
    """Read `host:port`, `[v6]:port`, `:port` (every IPv4 address), `*:port` (every address) or
    `unix:PATH`. `tcp://` may stand before the first four, as gunicorn has it.

    Errors: ValueError whose text says what is missing.
    """
    text = text.removeprefix("tcp://")
    if "://" in text and not text.startswith("unix:"):
        raise ValueError("it is a URL, not an address")
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path:
            raise ValueError("the path is missing")
        if "\0" in path:
            raise ValueError("a path cannot hold a zero byte")
        return UnixAddress(path)
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not rest.startswith(":"):
            raise ValueError("the port is missing")
        if not is_ipv6(host):
            raise ValueError("brackets enclose one IPv6 address, as in [::1]:8000")
        port_text = rest[1:]
    else:
        host, colon, port_text = text.rpartition(":")
        if not colon:
            raise ValueError("the port is missing")
        if ":" in host:
            raise ValueError("an IPv6 address needs brackets")
    try:
        port = parse_port(port_text)
    except ValueError:
        raise ValueError("the port is not a number from 0 to 65535") from None
    return TcpAddress(host or "0.0.0.0", port)
