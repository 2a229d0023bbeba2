"""Messages between the supervisor and one of its processes: packets over a socket pair.

A packet is its kind (protocol.py), or its kind, a space and text; it can carry a descriptor. The
channel closes when either process exits.
"""

import os
import select
import socket
from typing import Final, NamedTuple, Self

from iotax._processes.protocol import GONE, Report
from iotax._runtime import native

_BYTES_MAX: Final = 64 * 1024
# gevent and eventlet replace the class in the module, and the template imports the application.
_Socket: Final = socket.socket


class Message(NamedTuple):
    """The receiver closes `descriptor`; -1: the message carried none."""

    kind: str
    text: str = ""
    descriptor: int = -1


class Channel:
    """One end of a channel. Only wait() blocks."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        sock.setblocking(False)

    @classmethod
    def pair(cls) -> tuple[Self, Self]:
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(one), cls(other)

    @classmethod
    def from_descriptor(cls, descriptor: int) -> Self:
        """Take ownership of the descriptor."""
        return cls(_Socket(fileno=descriptor))

    def copy(self) -> Self:
        """Another descriptor of the same end."""
        return type(self)(self._socket.dup())

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def send(self, kind: str, text: str = "", descriptor: int = -1) -> bool:
        """Return whether the kernel took the message. Text that exceeds a packet is truncated."""
        packet = (f"{kind} {text}" if text else kind).encode(errors="backslashreplace")[:_BYTES_MAX]
        try:
            if descriptor >= 0:
                socket.send_fds(self._socket, [packet], [descriptor])
            else:
                self._socket.send(packet)
        except OSError:
            return False  # full, or closed by the other side, which receive() reports
        return True

    def send_not_forked(self, error: OSError) -> None:
        """Report, on the channel of a worker, that the worker could not be forked."""
        self.send(Report.NOT_FORKED, error.strerror or str(error))

    def wait(self) -> Message:
        """Wait for the next message and return it."""
        poll = native.poll()  # select() cannot watch descriptors from 1024 on
        poll.register(self._socket, select.POLLIN)
        while (message := self.receive()) is None:
            poll.poll()
        return message

    def receive(self) -> Message | None:
        """Return the next message; None: no message is waiting."""
        try:
            packet, descriptors, _, _ = socket.recv_fds(
                self._socket, _BYTES_MAX, 1, socket.MSG_DONTWAIT
            )
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return Message(GONE)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        kind, _, text = packet.decode(errors="replace").partition(" ")
        return Message(kind, text, descriptors[0] if descriptors else -1)
