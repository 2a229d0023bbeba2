"""Messages between the supervisor and a process of its own: whole packets over a socket pair.

The first character of a packet is its kind (protocol.py), the rest is text; a descriptor can come
along. The end of either process is the end of the channel.
"""

import os
import select
import socket
from typing import Final, NamedTuple, Self

from iotax._processes.protocol import GONE, Report
from iotax._runtime import native

_BYTES_MAX: Final = 64 * 1024
# gevent and eventlet put another one into the module; the template imports the application.
_Socket: Final = socket.socket


class Message(NamedTuple):
    """`descriptor` is the receiver's to close; -1: none came along."""

    kind: str
    text: str = ""
    descriptor: int = -1


class Channel:
    """One end. Never blocks."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        sock.setblocking(False)

    @classmethod
    def pair(cls) -> tuple[Self, Self]:
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(one), cls(other)

    @classmethod
    def from_descriptor(cls, descriptor: int) -> Self:
        """Takes the descriptor over."""
        return cls(_Socket(fileno=descriptor))

    def copy(self) -> Self:
        """Another descriptor of the same end."""
        return type(self)(self._socket.dup())

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def send(self, kind: str, text: str = "", descriptor: int = -1) -> bool:
        """Whether it is on its way. Text beyond the bound of a packet is cut."""
        packet = (kind + text).encode(errors="backslashreplace")[:_BYTES_MAX]
        try:
            if descriptor >= 0:
                socket.send_fds(self._socket, [packet], [descriptor])
            else:
                self._socket.send(packet)
        except OSError:
            return False  # full, or the other side has ended, which receive() reports
        return True

    def send_not_forked(self, error: OSError) -> None:
        """On the channel of a worker that could not be forked."""
        self.send(Report.NOT_FORKED, error.strerror or str(error))

    def wait(self) -> Message:
        """The next message, as soon as there is one."""
        poll = native.poll()  # select() takes no descriptor from 1024 on
        poll.register(self._socket, select.POLLIN)
        while (message := self.receive()) is None:
            poll.poll()
        return message

    def receive(self) -> Message | None:
        """The next message; None: that was all for now."""
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
        text = packet.decode(errors="replace")
        return Message(text[:1], text[1:], descriptors[0] if descriptors else -1)
