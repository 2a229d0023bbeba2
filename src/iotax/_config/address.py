"""Addresses to listen on and to send to, as values: parses --bind, --host, --port and
--statsd-host, and formats them.

Does not know sockets: listeners.py opens them, and passed.py those of systemd.
"""

import ipaddress
from dataclasses import dataclass, field, replace
from typing import TypeAlias

# Every address of the machine, IPv4 and IPv6, as in nginx and waitress.
EVERY_HOST = "*"

# sun_path of Linux has 108 bytes with its terminating zero (unix(7)).
UNIX_PATH_BYTES_MAX = 107

# A descriptor is an int.
DESCRIPTOR_DIGITS_MAX = 9


# Before any form of address: its connections begin with a PROXY header.
PROXY_SCHEME = "proxy://"


@dataclass(frozen=True)
class _Address:
    proxy: bool = field(default=False, kw_only=True)

    @property
    def _scheme(self) -> str:
        return PROXY_SCHEME if self.proxy else ""


@dataclass(frozen=True)
class TcpAddress(_Address):
    """`host`: a name, an address without brackets, or EVERY_HOST. `port`: 0 lets the kernel
    choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return self._scheme + authority(self.host, self.port)


@dataclass(frozen=True)
class UnixAddress(_Address):
    path: str

    def __str__(self) -> str:
        return f"{self._scheme}unix:{self.path}"


@dataclass(frozen=True)
class PassedAddress(_Address):
    """A listening socket with which the process was started. `which`: its descriptor, or a name in
    LISTEN_FDNAMES."""

    which: int | str

    def __str__(self) -> str:
        return f"{self._scheme}fd://{self.which}"


Address: TypeAlias = TcpAddress | UnixAddress | PassedAddress


def authority(host: str, port: int) -> str:
    """Format `host:port` as in a URL: IPv6 addresses in brackets (RFC 3986 section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_port(text: str) -> int:
    """Parse a decimal number from 0 to 65535. Errors: ValueError."""
    if not (text.isascii() and text.isdigit()) or int(text) > 65535:
        raise ValueError(text)
    return int(text)


def parse_host(text: str) -> str:
    """Parse a name, an IP address, an IPv6 address in brackets, or `*`. Returns it without
    brackets. Errors: ValueError whose text continues "VALUE ".
    """
    if "://" in text:
        raise ValueError("is a URL, not a host")
    if text.startswith("[") or "]" in text:
        host, bracket, rest = text.removeprefix("[").partition("]")
        if text.startswith("[") and bracket and rest.startswith(":"):
            raise ValueError(f"contains a port; use --bind {text}")
        if not text.startswith("[") or not bracket or rest or not is_ipv6(host):
            raise ValueError("does not have one IPv6 address in brackets, as in [::1]")
        return host
    name, colon, port = text.rpartition(":")
    if colon and ":" not in name and port.isascii() and port.isdigit():
        raise ValueError(f"contains a port; use --bind {text}")
    return text


def is_ipv6(text: str) -> bool:
    """Whether `text` is an IPv6 address, with or without a zone (RFC 4007 section 11)."""
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def parse_address(text: str) -> Address:
    """Parse `host:port`, `[v6]:port`, `:port` (every IPv4 address), `*:port` (every address),
    `unix:PATH`, `fd://N` or `fd://NAME`. The first four may begin with `tcp://`, as in gunicorn;
    each may begin with `proxy://`.

    Errors: ValueError whose text continues "VALUE ".
    """
    if text.startswith(PROXY_SCHEME):
        behind = text.removeprefix(PROXY_SCHEME)
        if not behind:
            raise ValueError("has no address after proxy://")
        if behind.startswith(PROXY_SCHEME):
            raise ValueError("has proxy:// twice")
        return replace(parse_address(behind), proxy=True)
    if text.startswith("fd://"):
        return _parse_passed(text.removeprefix("fd://"))
    text = text.removeprefix("tcp://")
    if "://" in text and not text.startswith("unix:"):
        raise ValueError("is a URL, not an address")
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path:
            raise ValueError("has no path")
        if "\0" in path:
            raise ValueError("contains a zero byte")
        return UnixAddress(path)
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not rest.startswith(":"):
            raise ValueError("has no port")
        if not is_ipv6(host):
            raise ValueError("does not have one IPv6 address in brackets, as in [::1]:8000")
        port_text = rest[1:]
    else:
        host, colon, port_text = text.rpartition(":")
        if not colon:
            raise ValueError("has no port")
        if ":" in host:
            raise ValueError("has an IPv6 address without brackets")
    try:
        port = parse_port(port_text)
    except ValueError:
        raise ValueError("has a port that is not a number from 0 to 65535") from None
    return TcpAddress(host or "0.0.0.0", port)


def parse_receiver(text: str) -> Address:
    """Parse `host:port`, `[v6]:port`, `unix:PATH` or `unix://PATH`: where datagrams are sent to.

    Errors: ValueError whose text continues "VALUE ".
    """
    if text.startswith("unix://"):
        text = "unix:" + text.removeprefix("unix://")
    address = parse_address(text)
    if address.proxy or isinstance(address, PassedAddress):
        raise ValueError("is an address to listen on")
    if isinstance(address, TcpAddress):
        if text.removeprefix("tcp://").startswith((":", "*:")):
            raise ValueError("has no host")
        if text.startswith("tcp://"):
            raise ValueError("begins with tcp://, and lines are sent over UDP")
        if not address.port:
            raise ValueError("has the port 0")
    return address


def _parse_passed(name: str) -> PassedAddress:
    if not name:
        raise ValueError("has neither a descriptor nor a name")
    if name.isascii() and name.isdigit():
        if len(name) > DESCRIPTOR_DIGITS_MAX:
            raise ValueError("has a descriptor that is too large")
        return PassedAddress(int(name))
    return PassedAddress(name)
