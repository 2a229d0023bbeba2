"""Format a request as bytes, from the arguments of Client.request()."""

import json as json_module
from collections.abc import Iterable, Mapping
from typing import Final, TypedDict
from urllib.parse import urlencode

Pairs = Mapping[str, str] | Iterable[tuple[str, str]]
Body = bytes | str | Iterable[bytes]
HOST: Final = "localhost"


class Content(TypedDict, total=False):
    """Optional parts of a request; see Client.request()."""

    headers: Pairs | None
    body: Body | None
    json: object
    form: Pairs | None


def pairs_of(name: str, given: Pairs) -> list[tuple[str, str]]:
    pairs = given.items() if isinstance(given, Mapping) else given
    expected = f'expected a mapping or pairs of strings, e.g. {name}={{"a": "b"}}'
    if isinstance(pairs, str | bytes) or not isinstance(pairs, Iterable):
        raise TypeError(f"{name} is {type(given).__name__}; {expected}")
    found = list(pairs)
    for pair in found:
        match pair:
            case (str(), str()):
                pass
            case _:
                raise TypeError(f"{name} contains {pair!r}; {expected}")
    return found


def content_of(
    body: Body | None, json: object, form: Pairs | None
) -> tuple[str, bytes | list[bytes] | None]:
    """The media type, and the body; a list is sent in chunks."""
    if sum(one is not None for one in (body, json, form)) > 1:
        raise TypeError("body, json and form cannot be combined; use one of them")
    if json is not None:
        return "application/json", json_module.dumps(json).encode()
    if form is not None:
        return "application/x-www-form-urlencoded", urlencode(pairs_of("form", form)).encode()
    if isinstance(body, str):
        return "text/plain; charset=utf-8", body.encode()
    if body is None:
        return "", None
    if isinstance(body, bytes | bytearray | memoryview):
        return "", bytes(body)
    expected = "expected bytes, a string or an iterable of bytes; or use json= or form="
    if isinstance(body, Mapping) or not isinstance(body, Iterable):
        raise TypeError(f"body is {type(body).__name__}; {expected}")
    pieces = list(body)
    for piece in pieces:
        if not isinstance(piece, bytes):
            raise TypeError(f"body contains {piece!r}; {expected}")
    return "", pieces


def encoded(
    method: str,
    target: str,
    headers: list[tuple[str, str]],
    kind: str,
    content: bytes | list[bytes] | None,
) -> bytes:
    named = {name.lower() for name, _ in headers}
    own = [("Host", HOST), ("Content-Type", kind)]
    data = b""
    if isinstance(content, list):
        own.append(("Transfer-Encoding", "chunked"))
        data = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in content if one) + b"0\r\n\r\n"
    elif content is not None:
        own.append(("Content-Length", str(len(content))))
        data = content
    fields = [(name, value) for name, value in own if value and name.lower() not in named]
    for name, value in (("method", method), ("target", target)):
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a string, not {type(value).__name__}")
        if not value.isascii():
            raise ValueError(f"{name} {value!r} is not ASCII; quote it with urllib.parse.quote()")
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {v}" for name, v in [*fields, *headers])]
    for line in lines:
        if "\r" in line or "\n" in line:
            raise ValueError(
                f"{line!r} contains a line break; use send() for bytes that are not valid HTTP"
            )
    try:
        head = "\r\n".join(lines).encode("latin-1")
    except UnicodeEncodeError as error:
        shown = error.object[error.start : error.end]
        raise ValueError(f"headers contain {shown!r}, which is not Latin-1; encode it") from None
    return head + b"\r\n\r\n" + data
