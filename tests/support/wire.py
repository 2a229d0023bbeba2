"""A connection that sends and receives raw bytes, and strict parsing of responses."""

import os
import select
import socket
import struct
from collections import deque
from dataclasses import dataclass, field
from typing import Self

from . import patience


@dataclass
class Answer:
    """One response. `complete`: its end was received (length, last chunk, or the close that ends
    it)."""

    status: int
    reason: str
    fields: list[tuple[str, str]]
    body: bytes = b""
    complete: bool = False
    chunks: list[bytes] = field(default_factory=list)

    def get(self, name: str) -> str | None:
        found = [value for key, value in self.fields if key.lower() == name.lower()]
        assert len(found) <= 1, f"{name} came {len(found)} times"
        return found[0] if found else None

    @property
    def text(self) -> str:
        return self.body.decode()


# A server other than iotax is tested (support/server.py).
OTHER = "E2E_COMMAND" in os.environ
ENDS_MS = 50  # time that such a server may take to close after its response

# The bytes of all connections, for reports: ("sent" or "received", bytes).
KEPT = 400
seen: deque[tuple[str, bytes]] = deque(maxlen=50)

SMALL = 32 * 1024  # a receive buffer for clients that read slowly


class Ended(AssertionError):
    """The connection ended in the middle of a response, or where one had to begin."""


class Connection:
    """One TCP connection (or a Unix one, given a path) with a timeout on everything."""

    def __init__(
        self, port: int = 0, *, host: str = "127.0.0.1", path: str = "", receive_buffer: int = 0
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        if path:
            family = socket.AF_UNIX
        self._family, self._address = family, path or (host, port)
        self._receive_buffer = receive_buffer
        self._connect()

    def _connect(self) -> None:
        self.socket = socket.socket(self._family, socket.SOCK_STREAM)
        self.socket.settimeout(patience.SECONDS)
        if self._receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        self.socket.connect(self._address)
        self._received = b""
        self._may_be_over = False  # there was a complete response

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Close with a reset, like a client that crashed."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, data: bytes) -> None:
        if OTHER and self._may_be_over and self._has_ended():
            self.socket.close()
            self._connect()
        seen.append(("sent", data[:KEPT]))
        self.socket.sendall(data)

    def _has_ended(self) -> bool:
        """A server other than iotax has closed after its response, whether announced or not."""
        self._may_be_over = False
        if self._received or not self._is_readable(ENDS_MS):
            return False
        try:
            return not self.socket.recv(1, socket.MSG_PEEK)
        except ConnectionResetError:
            return True

    def _is_readable(self, ms: int) -> bool:
        """With poll(): a test may have more descriptors than select() supports."""
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(ms))

    def end_sending(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    # ---- receiving

    def receive(self, count: int = 65536) -> bytes:
        """Up to `count` bytes; b"" at the end."""
        if self._received:
            data, self._received = self._received[:count], self._received[count:]
            return data
        return self._recv(count)

    def _recv(self, count: int) -> bytes:
        data = self.socket.recv(count)
        seen.append(("received", data[:KEPT]))
        return data

    def exactly(self, count: int) -> bytes:
        found = bytearray()
        while len(found) < count:
            data = self.receive(min(count - len(found), 1 << 20))
            if not data:
                raise Ended(f"after {len(found)} bytes: {bytes(found[-100:])!r}")
            found += data
        return bytes(found)

    def until(self, mark: bytes) -> bytes:
        """All bytes up to and including `mark`."""
        while mark not in self._received:
            data = self._recv(65536)
            if not data:
                raise Ended(f"after {self._received!r}")
            self._received += data
        end = self._received.index(mark) + len(mark)
        return self.receive(end)

    def begins(self) -> bool:
        """Wait for the next byte, which is kept; False: the connection ends instead."""
        self._received = self._received or self._recv(65536)
        return bool(self._received)

    def rest(self) -> bytes:
        """All bytes up to the end of the connection, however it ends."""
        data = b""
        try:
            while more := self.receive():
                data += more
        except ConnectionResetError:
            pass
        return data

    def is_silent(self) -> bool:
        """No unread bytes have arrived, and no end."""
        silent = not self._received and not self._is_readable(0)
        if not silent and not self._received:
            seen.append(("received", self.socket.recv(KEPT, socket.MSG_PEEK)))
        return silent

    def is_closed(self) -> bool:
        """The next event is the end."""
        try:
            return not self.receive(1)
        except ConnectionResetError:
            return True

    # ---- complete messages

    def get(self, path: str, *fields: str, method: str = "GET") -> None:
        self.request(method, path, *fields)

    def request(self, method: str, path: str, *fields: str, body: bytes | None = None) -> None:
        lines = [f"{method} {path} HTTP/1.1", "Host: test", *fields]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join([*lines, "", ""]).encode() + (body or b""))

    def ask(
        self, path: str, *fields: str, method: str = "GET", body: bytes | None = None
    ) -> Answer:
        self.request(method, path, *fields, body=body)
        return self.answer(method)

    def head(self) -> Answer:
        """The next status line and headers."""
        block = self.until(b"\r\n\r\n").decode("latin-1")
        first, *lines = block[:-4].split("\r\n")
        version, status, reason = first.split(" ", 2)
        allowed = ("HTTP/1.1", "HTTP/1.0") if OTHER else ("HTTP/1.1",)
        assert version in allowed, first
        fields = []
        for line in lines:
            name, colon, value = line.partition(":")
            assert colon, line
            assert name == name.strip(), line
            fields.append((name, value.strip()))
        return Answer(int(status), reason, fields)

    def answer(self, method: str = "GET") -> Answer:
        """The next response up to its end; `complete` is False if it is truncated."""
        answer = self.head()
        length = answer.get("Content-Length")
        if method == "HEAD" or answer.status in (204, 304) or answer.status < 200:
            answer.complete = True
        elif answer.get("Transfer-Encoding") == "chunked":
            assert length is None
            self._read_chunks(answer)
        elif length is not None:
            self._read_length(answer, int(length))
        else:
            answer.body = self.rest()
            answer.complete = True
        self._may_be_over = answer.status >= 200
        return answer

    def content(self, answer: Answer, count: int) -> bytes:
        """`count` bytes of the body of a response whose head was read, or all bytes up to its
        end; more if a chunk contains more."""
        chunked = (answer.get("Transfer-Encoding") or "").lower() == "chunked"
        data = bytearray()
        while len(data) < count:
            more = self.chunk() if chunked else self.receive(count - len(data))
            if not more:
                break
            data += more
        return bytes(data)

    def chunk(self) -> bytes:
        """The next chunk of a response; b"" for the last one."""
        size = int(self.until(b"\r\n"), 16)
        data = self.exactly(size)
        assert self.exactly(2) == b"\r\n"
        return data

    def _read_chunks(self, answer: Answer) -> None:
        try:
            while data := self.chunk():
                answer.chunks.append(data)
            answer.complete = True
        except (AssertionError, ConnectionResetError):
            answer.complete = False
        answer.body = b"".join(answer.chunks)

    def _read_length(self, answer: Answer, length: int) -> None:
        parts, missing = [], length
        try:
            while missing and (data := self.receive(min(missing, 1 << 20))):
                parts.append(data)
                missing -= len(data)
        except ConnectionResetError:
            pass
        answer.body = b"".join(parts)
        answer.complete = not missing
