"""Where to listen, as a value: the forms of --bind, --host and --port, and how each is written
back.

Knows nothing of sockets: listeners.py opens what is said here.
"""

from dataclasses import dataclass
from typing import TypeAlias

# sun_path of Linux holds 108 bytes with its closing zero (unix(7)).
UNIX_PATH_BYTES_MAX = 107


@dataclass(frozen=True)
class TcpAddress:
    """`host` is a name or an address without brackets; `port` 0 lets the system choose."""

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


def parse_address(text: str) -> Address:
    """Read `host:port`, `[v6]:port`, `:port` (every IPv4 address) or `unix:PATH`.

    Errors: ValueError whose text says what is missing.
    """
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
