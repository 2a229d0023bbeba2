"""Takes over listening sockets that another process has opened and passed, as systemd does.

Decides which of them can be served, and says what is wrong with the others. Of the socket itself
only O_NONBLOCK changes: the other process keeps it, and may pass it to the next server.
"""

import contextlib
import errno
import os
import socket
from collections.abc import Iterable
from typing import Final

from iotax._config.passed import FIRST_DESCRIPTOR
from iotax._net.bind_error import BindError

_TYPES: Final = {
    socket.SOCK_DGRAM: "a datagram socket",
    socket.SOCK_SEQPACKET: "a socket of sequenced packets",
    socket.SOCK_RAW: "a raw socket",
}
_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)


def take_over(descriptor: int) -> socket.socket:
    """A duplicate of a listening socket, non-blocking. Errors: BindError."""
    name = f"fd://{descriptor}"
    try:
        copy = os.dup(descriptor)
    except OSError as error:
        why = f"cannot be duplicated: {error.strerror}"
        if error.errno == errno.EBADF:
            why = "is not open; start the server with a socket, e.g. by systemd"
        raise BindError(error.errno or 0, f"{name} {why}") from None
    try:
        sock = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise _not_listening(errno.ENOTSOCK, name, "it is a file, a pipe or a device") from None
    try:
        _check(sock, name)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def close_all(descriptors: Iterable[int]) -> None:
    """Close descriptors that the process was started with, except its standard streams."""
    for descriptor in descriptors:
        if descriptor >= FIRST_DESCRIPTOR:
            with contextlib.suppress(OSError):  # it was named twice, or was never open
                os.close(descriptor)


def _check(sock: socket.socket, name: str) -> None:
    if sock.family not in _FAMILIES:
        raise _not_listening(errno.EAFNOSUPPORT, name, "it is neither a TCP nor a Unix socket")
    if sock.type != socket.SOCK_STREAM:
        kind = _TYPES.get(sock.type, "a socket of another type")
        raise _not_listening(errno.EINVAL, name, f"it is {kind}")
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return
    try:
        sock.getpeername()
    except OSError:
        raise _not_listening(errno.EINVAL, name, "listen() was not called on it") from None
    raise BindError(errno.EISCONN, f"{name} is a connection: set Accept=no")


def _not_listening(number: int, name: str, why: str) -> BindError:
    return BindError(number, f"{name} is not a listening socket ({why})")
