"""Parse requests: '/x', 'POST /x', and files like .http files.

    # a comment
    GET /items?page=2
    Accept: application/json

    POST /items
    Content-Type: application/json

    {"name": "chair"}
    ###

A body ends with a line ### or with the next request line. Errors: ConfigError.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from iotax._config.errors import ConfigError

HERE: Final = "http://localhost"  # as in Host
_METHOD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST = re.compile(rf"(?:({_METHOD})[ ]+)?(/[!-~]*)")
_FIELD = re.compile(rf"({_METHOD}):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_FRAMING: Final = ("connection", "content-length", "expect", "transfer-encoding", "upgrade")
_EXAMPLE: Final = "e.g. /items or 'POST /items'"


@dataclass(frozen=True)
class RequestSpec:
    """One request. `target`: as on the request line. `body`: None if there is none."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None

    def to_json(self) -> dict[str, Any]:
        body = None if self.body is None else self.body.decode("latin-1")
        return {"method": self.method, "target": self.target, "headers": self.headers, "body": body}

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> "RequestSpec":
        headers = tuple((name, value) for name, value in given["headers"])
        body = given["body"]
        body = None if body is None else body.encode("latin-1")
        return cls(given["method"], given["target"], headers, body)


def parse_request(where: str, text: str) -> RequestSpec:
    """Parse '[METHOD] TARGET'. `where`: the place for errors, e.g. "--path"."""
    found = _REQUEST.fullmatch(text.strip())
    if found is None:
        raise ConfigError(
            f'{where}: "{text}" is not a valid request; expected [METHOD] TARGET with a target that'
            f" starts with / and has no spaces, {_EXAMPLE}"
        )
    return RequestSpec(found[1] or "GET", found[2])


def with_parts(
    where: str, spec: RequestSpec, headers: Iterable[str], body: str | None
) -> RequestSpec:
    """`spec` with 'Name: value' headers and a body."""
    fields = tuple(_field(where, text) for text in headers)
    data = None if body is None else body.encode()
    return replace(spec, headers=spec.headers + fields, body=spec.body if data is None else data)


def _field(where: str, text: str) -> tuple[str, str]:
    found = _FIELD.fullmatch(text)
    if found is None:
        raise ConfigError(
            f'{where}: "{text}" is not a valid header; expected a name, a colon and a value, e.g.'
            " 'Accept: text/html'"
        )
    if found[1].lower() in _FRAMING:
        raise ConfigError(
            f"{where}: {found[1]} is set by the checker, which sends each request in several"
            " variations; leave it out"
        )
    try:
        found[2].encode("latin-1")
    except UnicodeEncodeError:
        raise ConfigError(
            f"{where}: the value of {found[1]} has characters beyond U+00FF, which a header cannot"
            " contain; percent-encode them"
        ) from None
    return found[1], found[2].strip()


def read_requests(file: str) -> tuple[RequestSpec, ...]:
    """The requests of a file, in its order."""
    try:
        lines = Path(file).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f'--paths: cannot read "{file}": {error}') from None
    found = tuple(_requests(file, lines))
    if not found:
        raise ConfigError(f'--paths: "{file}" has no requests; expected one on a line, {_EXAMPLE}')
    return found


def _requests(file: str, lines: list[str]) -> Iterator[RequestSpec]:
    spec: RequestSpec | None = None
    headers: list[str] = []
    body: list[str] | None = None  # None: in the headers

    def complete() -> Iterator[RequestSpec]:
        if spec is not None:
            text = "\n".join(body or ()).strip("\n")
            yield with_parts(file, spec, headers, text or None)

    for number, line in enumerate(lines, 1):
        where = f"{file}:{number}"
        if line.startswith("###"):
            yield from complete()
            spec, headers, body = None, [], None
        elif _REQUEST.fullmatch(line.strip()) and (body is None or not line.startswith(" ")):
            yield from complete()
            spec, headers, body = parse_request(where, line), [], None
        elif body is not None:
            body.append(line)
        elif not line.strip():
            body = [] if spec is not None else None
        elif line.startswith("#"):
            continue
        elif spec is None:
            parse_request(where, line)
        else:
            _field(where, line)
            headers.append(line)
    yield from complete()
