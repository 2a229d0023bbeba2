"""Answers as a client sees them: from bytes, strictly, to Response. RFC 9112.

Knows nothing of where the bytes come from. What is no HTTP is a ProtocolError: the server has said
something that it never may.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2}) ([^\x00-\x08\x0a-\x1f\x7f]*)")
_FIELD = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*", re.DOTALL
)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
_WITHOUT_BODY: Final = (204, 304)


class ProtocolError(Exception):
    """Bytes that are no answer."""


class Headers:
    """Fields in order, with repeats; names in any case."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self.fields = fields

    def __getitem__(self, name: str) -> str:
        """The value, several of them joined by ", ". Errors: KeyError."""
        found = self.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def get(self, name: str, default: str | None = None) -> str | None:
        values = self.get_all(name)
        return ", ".join(values) if values else default

    def get_all(self, name: str) -> list[str]:
        return [value for one, value in self.fields if one.lower() == name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_all(name))

    def __iter__(self) -> Iterator[str]:
        """The names, each once."""
        return iter(dict.fromkeys(name for name, _ in self.fields))

    def __len__(self) -> int:
        return len(self.fields)

    def __repr__(self) -> str:
        return f"Headers({self.fields!r})"


@dataclass
class Response:
    """One answer. `body`: without transfer coding. `raw`: the bytes on the wire, interim answers
    included. `interim`: the 1xx before it. `complete`: its end was seen; False: it broke off.
    `closed`: the server closed the connection behind it. `error`: what came out of the application
    in the call that this answers."""

    status: int
    reason: str
    headers: Headers
    body: bytes = b""
    version: str = "HTTP/1.1"
    raw: bytes = b""
    interim: list["Response"] = field(default_factory=list)
    complete: bool = False
    closed: bool = False
    error: BaseException | None = None

    @property
    def text(self) -> str:
        """The body, in the charset of its Content-Type, else UTF-8."""
        found = re.search(r"charset=\"?([^\s;\"]+)", self.headers.get("Content-Type") or "")
        return self.body.decode(found[1] if found else "utf-8")

    def json(self) -> Any:
        return json.loads(self.body)


def parse_response(
    data: bytes, *, to_head: Callable[[int], bool], closed: bool
) -> tuple[Response, bytes] | None:
    """The first answer of `data`, and what follows it. None: there is none. `to_head`: whether the
    answer whose final head begins so many bytes from here answers HEAD. `closed`: nothing comes any
    more. Errors: ProtocolError."""
    interim: list[Response] = []
    rest = data
    while True:
        end = rest.find(b"\r\n\r\n")
        if end < 0:
            if rest and closed:
                raise ProtocolError(f"a head without end: {rest[:80]!r}")
            return None
        response, at = _head(rest[:end]), len(data) - len(rest)
        rest = rest[end + 4 :]
        if response.status >= 200:
            break
        response.complete = True
        interim.append(response)
    response.interim = interim
    rest = _take_body(response, rest, to_head=to_head(at), closed=closed)
    response.raw = data[: len(data) - len(rest)]
    return response, rest


def _head(head: bytes) -> Response:
    first, *lines = head.split(b"\r\n")
    status = _STATUS_LINE.fullmatch(first)
    if status is None:
        raise ProtocolError(f"no status line: {first[:80]!r}")
    fields = []
    for line in lines:
        found = _FIELD.fullmatch(line)
        if found is None:
            raise ProtocolError(f"no field: {line[:80]!r}")
        fields.append((found[1].decode("ascii"), found[2].decode("latin-1")))
    version = f"HTTP/1.{status[1].decode()}"
    reason = status[3].decode("latin-1")
    return Response(int(status[2]), reason, Headers(fields), version=version)


def _take_body(response: Response, rest: bytes, *, to_head: bool, closed: bool) -> bytes:
    """RFC 9112 section 6.3. What follows."""
    lengths = set(response.headers.get_all("Content-Length"))
    coding = response.headers.get("Transfer-Encoding")
    if to_head or response.status in _WITHOUT_BODY:
        response.complete = True
    elif coding is not None:
        if coding != "chunked" or lengths:
            raise ProtocolError(f"Transfer-Encoding {coding!r}, Content-Length {lengths!r}")
        return _take_chunks(response, rest)
    elif lengths:
        (length,) = lengths if len(lengths) == 1 else ("",)
        if not re.fullmatch("[0-9]+", length):
            raise ProtocolError(f"Content-Length {lengths!r}")
        response.body = rest[: int(length)]
        response.complete = len(response.body) == int(length)
        return rest[len(response.body) :]
    else:
        response.body, response.complete = rest, closed
        return b""
    return rest


def _take_chunks(response: Response, rest: bytes) -> bytes:
    while found := _CHUNK.match(rest):
        size, data = int(found[1], 16), rest[found.end() :]
        if size == 0:
            if data.startswith(b"\r\n"):
                response.complete = True
                return data[2:]
            return b""
        response.body += data[:size]
        if len(data) < size + 2:
            return b""
        if data[size : size + 2] != b"\r\n":
            raise ProtocolError(f"a chunk of {size} bytes is not followed by CR LF")
        rest = data[size + 2 :]
    if len(rest) > 18:
        raise ProtocolError(f"no chunk: {rest[:80]!r}")
    return b""
