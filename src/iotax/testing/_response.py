"""Parse responses strictly, from bytes to Response. RFC 9112.

Does not know where the bytes come from. Raises ProtocolError for bytes that a server may never
send.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2}) ([^\x00-\x08\x0a-\x1f\x7f]*)")
_FIELD = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*", re.DOTALL
)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
_CHUNK_BEGUN = re.compile(rb"[0-9A-Fa-f]{0,16}\r?")
_WITHOUT_BODY: Final = (204, 304)


class ProtocolError(Exception):
    """Bytes that are not a valid response."""


class Headers(Mapping[str, str]):
    """Headers in order, with repeats. Names are case-insensitive; several values of one name are
    joined by ", "."""

    def __init__(self, fields: list[tuple[str, str]]) -> None:
        self.fields = fields

    def __getitem__(self, name: str) -> str:
        values = self.get_all(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def get_all(self, name: str) -> list[str]:
        return [value for one, value in self.fields if one.lower() == name.lower()]

    def __iter__(self) -> Iterator[str]:
        """The names, each once, in the spelling of its first header."""
        spelled: dict[str, str] = {}
        for name, _ in self.fields:
            spelled.setdefault(name.lower(), name)
        return iter(spelled.values())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"Headers({self.fields!r})"


@dataclass
class Response:
    """A response. `body`: without transfer coding. `raw`: the bytes on the wire, including interim
    responses. `interim`: the 1xx responses before it. `complete`: False if it is truncated.
    `closed`: the server closed the connection after it. `error`: the exception that the
    application raised."""

    status: int
    reason: str
    headers: Headers
    body: bytes = b""
    version: str = "HTTP/1.1"
    raw: bytes = field(default=b"", repr=False)
    interim: list["Response"] = field(default_factory=list)
    complete: bool = False
    closed: bool = False
    error: BaseException | None = None

    @property
    def text(self) -> str:
        """The body, decoded in the charset of its Content-Type, else as UTF-8."""
        found = re.search(r"charset=\"?([^\s;\"]+)", self.headers.get("Content-Type") or "")
        return self.body.decode(found[1] if found else "utf-8")

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class End:
    """The end of the connection. `reset`: it was reset, so a body that ends with the connection is
    truncated."""

    reset: bool = False


def parse_response(
    data: bytes, at: int, *, to_head: Callable[[int, int], bool], end: End | None
) -> tuple[Response, int] | None:
    """The response that begins at `at`, and its end. None: it is not complete yet.

    `to_head`: whether the response whose final head is between these offsets is one to HEAD. `end`:
    of the connection; None: more bytes may follow. Errors: ProtocolError.
    """
    interim: list[Response] = []
    begin = at
    while True:
        head_end = data.find(b"\r\n\r\n", begin) + 4
        if head_end < 4:
            if end is not None and begin < len(data):
                raise ProtocolError(f"truncated response head: {data[begin : begin + 80]!r}")
            return None
        response = _head(data[begin : head_end - 4])
        if response.status >= 200:
            break
        response.complete, response.raw = True, data[begin:head_end]
        interim.append(response)
        begin = head_end
    response.interim = interim
    after = _take_body(response, data, head_end, to_head(begin, head_end), end)
    if not response.complete and end is None:
        return None
    response.raw = data[at:after]
    return response, after


def _head(head: bytes) -> Response:
    first, *lines = head.split(b"\r\n")
    status = _STATUS_LINE.fullmatch(first)
    if status is None:
        raise ProtocolError(f"invalid status line: {first[:80]!r}")
    fields = []
    for line in lines:
        found = _FIELD.fullmatch(line)
        if found is None:
            raise ProtocolError(f"invalid header: {line[:80]!r}")
        fields.append((found[1].decode("ascii"), found[2].decode("latin-1")))
    version = f"HTTP/1.{status[1].decode()}"
    reason = status[3].decode("latin-1")
    return Response(int(status[2]), reason, Headers(fields), version=version)


def _take_body(response: Response, data: bytes, at: int, to_head: bool, end: End | None) -> int:
    """Read the body (RFC 9112 section 6.3). Returns its end."""
    lengths = set(response.headers.get_all("Content-Length"))
    coding = response.headers.get("Transfer-Encoding")
    if to_head or response.status in _WITHOUT_BODY:
        response.complete = True
        return at
    if coding is not None:
        if coding != "chunked" or lengths:
            raise ProtocolError(
                f"invalid framing: Transfer-Encoding {coding!r}, Content-Length {lengths!r}"
            )
        return _take_chunks(response, data, at)
    if lengths:
        (length,) = lengths if len(lengths) == 1 else ("",)
        if not re.fullmatch("[0-9]+", length):
            raise ProtocolError(f"invalid Content-Length: {lengths!r}")
        response.body = data[at : at + int(length)]
        response.complete = len(response.body) == int(length)
        return at + len(response.body)
    response.body = data[at:]
    response.complete = end is not None and not end.reset
    return len(data)


def _take_chunks(response: Response, data: bytes, at: int) -> int:
    chunks: list[bytes] = []
    while found := _CHUNK.match(data, at):
        begin, size = found.end(), int(found[1], 16)
        at = begin + size + 2
        chunks.append(data[begin : begin + size])
        if len(data) < at:
            break
        if data[at - 2 : at] != b"\r\n":
            raise ProtocolError(f"a chunk of {size} bytes is not followed by CR LF")
        response.complete = size == 0
        if response.complete:
            break
    else:
        if not _CHUNK_BEGUN.fullmatch(data, at):
            raise ProtocolError(f"invalid chunk: {data[at : at + 80]!r}")
    response.body = b"".join(chunks)
    return at if response.complete else len(data)
