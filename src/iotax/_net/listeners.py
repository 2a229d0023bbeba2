"""Open and close the listening sockets, and explain why one cannot be opened.

Decides which addresses a name stands for, the socket options, and which process removes the file
of a Unix socket. Does not know requests, the worker or the spelling of options: the caller passes
an example.
"""

import errno
import ipaddress
import os
import socket
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Self

from iotax._config.address import (
    EVERY_HOST,
    PROXY_SCHEME,
    UNIX_PATH_BYTES_MAX,
    Address,
    PassedAddress,
    TcpAddress,
    UnixAddress,
    authority,
)
from iotax._config.passed import descriptors_of
from iotax._log import server_log
from iotax._net.bind_error import BindError
from iotax._net.passed import take_over


class Listener:
    """One listening, non-blocking socket. `label` is its authority ("127.0.0.1:8000") or
    "unix:PATH". `file`: the path of a Unix socket that this process made; else "". `passed`:
    another process keeps the socket. `proxy`: connections begin with a PROXY header."""

    def __init__(
        self,
        sock: socket.socket,
        label: str,
        *,
        port: int = 0,
        made: os.stat_result | None = None,
        passed: bool = False,
        proxy: bool = False,
    ) -> None:
        self.socket, self.label, self.port = sock, label, port
        self.passed, self.proxy = passed, proxy
        self._made, self._maker = made, os.getpid()
        # Absolute, because the application may change the working directory.
        self.file = os.path.abspath(label.removeprefix("unix:")) if made else ""

    @property
    def mode(self) -> int:
        """Permissions of the Unix socket's file after bind()."""
        return stat.S_IMODE(self._made.st_mode) if self._made else 0

    @property
    def is_unix(self) -> bool:
        return self.label.startswith("unix:")

    @property
    def url(self) -> str:
        if self.proxy:
            return f"{PROXY_SCHEME}{self.label}"
        return self.label if self.is_unix else f"http://{self.label}"

    @property
    def clickable(self) -> str:
        """A URL for a browser on this machine, if `url` does not work there; else ""."""
        host, _, port = self.label.rpartition(":")
        works = self.port and host in ("0.0.0.0", "[::]") and not self.proxy
        return f"http://127.0.0.1:{port}" if works else ""

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        if self.is_unix:
            return True
        host = self.label.rpartition(":")[0].strip("[]").partition("%")[0]
        address = ipaddress.ip_address(host)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return address.is_loopback

    def close(self) -> None:
        self.socket.close()

    def remove_file(self) -> None:
        """Remove the Unix socket's file if this process made it and it is still the same file."""
        if self._made is None or os.getpid() != self._maker:
            return
        try:
            now = os.lstat(self.file)
            if (now.st_dev, now.st_ino) == (self._made.st_dev, self._made.st_ino):
                os.unlink(self.file)
        except OSError:
            return  # it, or its directory, was removed already; or this user may not remove it

    def give_file(self, uid: int, gid: int) -> None:
        """Change the owner of the Unix socket's file. Errors: OSError."""
        if self._made is not None:
            os.chown(self.file, uid, gid, follow_symlinks=False)


class Listeners:
    """All listeners of one server, in the order of their addresses."""

    def __init__(self, found: Iterable[Listener]) -> None:
        self.all = tuple(found)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def open_to_others(self) -> list[str]:
        """The labels of those that other machines can reach."""
        return [listener.label for listener in self.all if not listener.is_local]

    @property
    def files(self) -> list[str]:
        """The absolute paths of the Unix sockets that this process made."""
        return [listener.file for listener in self.all if listener.file]

    @property
    def port(self) -> int:
        """The real port of the first TCP listener; 0 if there is none."""
        return next((listener.port for listener in self.all if listener.port), 0)

    def announce(self, notes: Iterable[str] = ()) -> None:
        """Log the addresses, then `notes`."""
        for listener in self.all:
            server_log.info(f"Listening on {listener.url}")
        for note in notes:
            server_log.info(note)

    def descriptors(self) -> list[tuple[int, str, bool, bool]]:
        """The `listeners` of _iotax.Worker; in a label a path that is not valid UTF-8 has
        \\xNN."""
        return [
            (one.socket.fileno(), _printable(one.label), one.passed, one.proxy) for one in self.all
        ]

    def hand_over(self) -> None:
        """Close the descriptors, of which a worker has duplicates. Keep the files of Unix
        sockets."""
        for listener in self.all:
            listener.close()

    def give_files(self, uid: int, gid: int) -> None:
        """Change the owner of the files of Unix sockets. Errors: OSError."""
        for listener in self.all:
            listener.give_file(uid, gid)

    def close(self) -> None:
        for listener in self.all:
            listener.remove_file()
            listener.close()


def open_listeners(
    addresses: Iterable[Address],
    *,
    backlog: int,
    unix_mode: int | None,
    example: Callable[[TcpAddress], str],
    passed: Mapping[int, str] = MappingProxyType({}),
) -> Listeners:
    """Bind and listen on every address, all or none. `example`: formats an address as the user
    would type it. `passed`: names of passed sockets. Their descriptors stay open: the listeners
    have duplicates. Errors: BindError.
    """
    found: list[Listener] = []
    asked = list(addresses)
    try:
        for address in asked:
            if isinstance(address, UnixAddress):
                found.append(_open_unix(address, backlog, unix_mode))
            elif isinstance(address, PassedAddress):
                found.extend(_take_over(address, passed))
            else:
                others = [one for one in asked if one is not address]
                found.extend(_open_tcp(address, others, backlog, example))
    except BindError as error:
        Listeners(found).close()
        own = [one.label for one in found if one.port and f":{one.port} " in error.text]
        if error.errno == errno.EADDRINUSE and own:
            text = error.text.partition(" is in use")[0]
            text += f" is in use by another address of this server, {own[0]}; leave one of them out"
            raise BindError(error.errno, text) from None
        raise
    except BaseException:
        Listeners(found).close()
        raise
    return Listeners(found)


def _take_over(address: PassedAddress, passed: Mapping[int, str]) -> Iterator[Listener]:
    descriptors = descriptors_of(address, passed)
    if not descriptors:
        raise BindError(
            errno.ENOENT, f"{address}: no passed socket has this name; use its number, e.g. fd://3"
        )
    for sock in map(take_over, descriptors):
        name = sock.getsockname()
        if sock.family == socket.AF_UNIX:
            path = os.fsdecode(name).replace("\0", "@", 1)  # of an abstract name (unix(7))
            yield Listener(sock, f"unix:{path}", passed=True, proxy=address.proxy)
        else:
            label = authority(name[0], name[1])
            yield Listener(sock, label, port=name[1], passed=True, proxy=address.proxy)


def _open_tcp(
    address: TcpAddress,
    others: list[Address],
    backlog: int,
    example: Callable[[TcpAddress], str],
) -> list[Listener]:
    """Open a listener for each address of the host, all on one port. "::" accepts IPv4 too, unless
    one of these or of the `others` listens on IPv4 on that port."""
    hosts = _resolve(address)
    v6_only = len(hosts) > 1 or any(
        isinstance(other, TcpAddress) and other.port == address.port != 0 and ":" not in other.host
        for other in others
    )
    found: list[Listener] = []
    missing: OSError | None = None
    port = address.port
    for family, host in hosts:
        try:
            listener = _listen_tcp(family, host, port, backlog, v6_only=v6_only or host != "::")
        except OSError as error:
            # A name such as localhost may resolve to ::1 on a machine without IPv6. One existing
            # address is enough.
            if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT) and len(hosts) > 1:
                missing = error
                continue
            Listeners(found).close()
            raise _tcp_error(error, replace(address, host=host, port=port), example) from None
        listener.proxy = address.proxy
        found.append(listener)
        port = listener.port
    if not found and missing is not None:
        raise _tcp_error(missing, address, example) from None
    return found


def _resolve(address: TcpAddress) -> list[tuple[socket.AddressFamily, str]]:
    # Bytes: for a str, Python would import the codec of international names, which takes longer
    # than all of this.
    host = address.host.encode("ascii") if address.host.isascii() else address.host
    try:
        resolved = socket.getaddrinfo(
            None if address.host == EVERY_HOST else host,
            address.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "invalid host name"
        raise BindError(
            errno.EADDRNOTAVAIL,
            f"cannot listen on {address}: the name {address.host} does not resolve ({reason});"
            " use an address of this machine, e.g. 127.0.0.1 or 0.0.0.0",
        ) from None
    hosts: list[tuple[socket.AddressFamily, str]] = []
    for family, _, _, _, where in resolved:
        number = str(where[0])
        if len(where) == 4 and where[3]:  # the zone of a link-local address
            number += f"%{socket.if_indextoname(where[3])}"
        if family in (socket.AF_INET, socket.AF_INET6) and (family, number) not in hosts:
            hosts.append((family, number))
    return hosts


def _listen_tcp(
    family: socket.AddressFamily, host: str, port: int, backlog: int, *, v6_only: bool
) -> Listener:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit it
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6_only)
        sock.bind((host, port))
        sock.listen(backlog)
        bound = int(sock.getsockname()[1])
    except BaseException:
        sock.close()
        raise
    return Listener(sock, authority(host, bound), port=bound)


def _tcp_error(
    error: OSError, address: TcpAddress, example: Callable[[TcpAddress], str]
) -> BindError:
    if error.errno == errno.EADDRINUSE:
        other = replace(
            address, port=address.port + 1 if address.port < 65535 else address.port - 1
        )
        fix = f"stop the other process or take another port, e.g. {example(other)}"
        text = f"{address} is in use: {fix}"
    elif error.errno in (errno.EACCES, errno.EPERM):
        text = (
            f"{address} is not permitted: ports below 1024 need root or CAP_NET_BIND_SERVICE;"
            f" use a higher port, e.g. {example(replace(address, port=8000))}"
        )
    elif error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        fix = "use one of its addresses, e.g. 127.0.0.1, or 0.0.0.0 for all"
        text = f"{address} is not an address of this machine; {fix}"
    else:
        text = f"cannot listen on {address}: {error.strerror}"
    return BindError(error.errno or 0, text)


def _printable(label: str) -> str:
    return os.fsencode(label).decode("utf-8", "backslashreplace")


def _open_unix(address: UnixAddress, backlog: int, mode: int | None) -> Listener:
    if len(os.fsencode(address.path)) > UNIX_PATH_BYTES_MAX:
        raise BindError(
            errno.ENAMETOOLONG,
            f"{address} is too long; expected a path of at most {UNIX_PATH_BYTES_MAX} bytes,"
            " e.g. unix:/run/iotax.sock",
        )
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener: Listener | None = None
    try:
        _remove_stale(address)
        sock.setblocking(False)
        sock.bind(address.path)
        made = os.lstat(address.path)
        listener = Listener(sock, f"unix:{address.path}", made=made, proxy=address.proxy)
        # bind() made it 777 & ~umask. Clients cannot connect before listen(), so this is in time.
        os.chmod(address.path, listener.mode & 0o666 if mode is None else mode)
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        if listener is not None:
            listener.remove_file()
        raise error if isinstance(error, BindError) else _unix_error(error, address) from None
    return listener


def _remove_stale(address: UnixAddress) -> None:
    """Remove the file of a socket on which no process listens. Keep everything else. Errors:
    BindError, OSError."""
    try:
        found = os.lstat(address.path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise BindError(
            errno.EEXIST,
            f"{address}: the path is a file of another type, which is not removed; use another"
            " path",
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(address.path)
        except ConnectionRefusedError:
            os.unlink(address.path)
            return
        except BlockingIOError:
            pass  # its backlog is full: a process listens
        raise _unix_error(OSError(errno.EADDRINUSE, ""), address)


def _unix_error(error: OSError, address: UnixAddress) -> BindError:
    directory = os.path.dirname(os.path.abspath(address.path))
    if error.errno == errno.EADDRINUSE:
        text = f"{address} is in use: stop the other process or take another path, e.g. {address}.2"
    elif error.errno in (errno.EACCES, errno.EPERM):
        reason = f"this user may not create files in {directory}, or not use the socket there"
        text = f"{address} is not permitted: {reason}"
    elif error.errno in (errno.ENOENT, errno.ENOTDIR):
        text = f"{address}: directory {directory} not found; create it, or use another path"
    else:
        text = f"cannot listen on {address}: {error.strerror}"
    return BindError(error.errno or 0, text)
