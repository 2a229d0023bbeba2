"""Compares what a client received and what the application recorded with the expectation of a case.

Reads responses more strictly than a client would: everything that is not well-formed is an
objection.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from cases import Case, escaped

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2}) [\t\x20-\x7e\x80-\xff]*")
_FIELD_LINE = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*"
    rb"[\x21-\x7e\x80-\xff])?)?)[\t ]*"
)


@dataclass
class Answer:
    status: int
    fields: list[tuple[str, str]]
    content: bytes = b""
    complete: bool = False


class Malformed(Exception):
    """The bytes are not a well-formed response."""


@dataclass
class Seen:
    """One run of one case."""

    data: bytes = b""
    closed: bool = False
    requests: list[dict[str, Any]] = field(default_factory=list)
    trouble: str = ""  # why the run could not finish, e.g. an expected 100 that did not arrive


def read_answers(data: bytes, methods: list[str], closed: bool) -> list[Answer]:
    """Interim responses included. Raises Malformed. The last response may be incomplete."""
    answers: list[Answer] = []
    finals = 0
    while data:
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            answers.append(Answer(0, []))
            return answers
        answer = _head(head)
        to_head = finals < len(methods) and methods[finals] == "HEAD"
        data = _content(answer, rest, to_head, closed)
        finals += answer.status >= 200
        answers.append(answer)
        if not answer.complete:
            return answers
    return answers


def _head(head: bytes) -> Answer:
    first, *lines = head.split(b"\r\n")
    status = _STATUS_LINE.fullmatch(first)
    if not status:
        raise Malformed(f"status line {first!r}")
    fields = []
    for line in lines:
        match = _FIELD_LINE.fullmatch(line)
        if not match:
            raise Malformed(f"field line {line!r}")
        fields.append((match[1].decode().lower(), match[2].decode("latin-1")))
    return Answer(int(status[1]), fields)


def _content(answer: Answer, rest: bytes, to_head: bool, closed: bool) -> bytes:
    """Fill in the body. Returns the bytes after it."""
    framing = [
        (name, value)
        for name, value in answer.fields
        if name in ("content-length", "transfer-encoding")
    ]
    if len(framing) > 1:
        raise Malformed("a body that is delimited in two ways")
    bodyless = answer.status < 200 or answer.status in (204, 304)
    if framing and (answer.status < 200 or answer.status == 204):
        raise Malformed(f"{answer.status} with {framing[0][0]}")
    if to_head or bodyless:
        answer.complete = True
        return rest
    if not framing:
        answer.content, answer.complete = rest, closed
        return b""
    name, value = framing[0]
    if name == "content-length":
        if not re.fullmatch("[0-9]{1,18}", value):
            raise Malformed(f"Content-Length {value!r}")
        answer.content = rest[: int(value)]
        answer.complete = len(answer.content) == int(value)
        return rest[int(value) :]
    if value != "chunked":
        raise Malformed(f"Transfer-Encoding {value!r}")
    return _chunks(answer, rest)


def _chunks(answer: Answer, rest: bytes) -> bytes:
    while True:
        line, end, rest = rest.partition(b"\r\n")
        if not end:
            return b""
        if not re.fullmatch(b"[0-9A-Fa-f]{1,15}", line):
            raise Malformed(f"chunk size {line!r}")
        size = int(line, 16)
        if size and len(rest) < size + 2:
            return b""
        answer.content += rest[:size]
        if not size and len(rest) < 2:
            return b""
        if rest[size : size + 2] != b"\r\n":
            raise Malformed("a chunk or trailer without its CRLF")
        rest = rest[size + 2 :]
        if not size:
            answer.complete = True
            return rest


def objection(case: Case, seen: Seen, *, final: bool = True) -> str:
    """Why no expectation is met; empty if one is.

    `final` false: only what the client can observe, without the requests that the application
    recorded.
    """
    if seen.trouble:
        return seen.trouble
    found = []
    for expect in case.expectations:
        why = _objection(expect, seen, final)
        if not why:
            return ""
        found.append(why)
    return "; or: ".join(found)


def _objection(expect: dict[str, Any], seen: Seen, final: bool) -> str:
    status = expect["status"]
    if status == "pending":
        if seen.data or seen.closed:
            return "responded or closed, expected to wait"
        return _requests_objection(expect["requests"], seen.requests) if final else ""
    methods = [request["method"] for request in expect["requests"]]
    try:
        answers = read_answers(seen.data, methods, seen.closed)
    except Malformed as error:
        return f"malformed response: {error}"
    finals = [answer for answer in answers if answer.status >= 200 or not answer.complete]
    why = _answers_objection(expect, finals, seen.closed)
    if why:
        return why
    hundred = any(answer.status == 100 for answer in answers)
    interim = expect.get("interim", "optional")
    if interim != "optional" and hundred != (interim == "required"):
        return "a 100 (Continue)" if hundred else "no 100 (Continue)"
    if expect["close"] not in (None, seen.closed):
        return "closed, expected to stay open" if seen.closed else "stays open, expected to close"
    served = status == "ok" or (finals and finals[0].status // 100 == 2)
    return _requests_objection(expect["requests"] if served else [], seen.requests) if final else ""


def _answers_objection(expect: dict[str, Any], finals: list[Answer], closed: bool) -> str:
    status = expect["status"]
    if not finals and status != "ok" and 0 in status:
        return "" if closed else "neither a response nor a close"
    wanted = expect.get("responses", [status] * (len(expect["requests"]) if status == "ok" else 1))
    if len(finals) != len(wanted):
        return f"{len(finals)} responses, expected {len(wanted)}"
    for number, (answer, allowed) in enumerate(zip(finals, wanted, strict=True), 1):
        if not answer.complete:
            return f"response {number} is truncated"
        if not (answer.status // 100 == 2 if allowed == "ok" else answer.status in allowed):
            return f"response {number}: {answer.status}, expected {allowed}"
    for name, part in expect.get("resp_headers", {}).items():
        if not finals or not any(key == name and part in value for key, value in finals[0].fields):
            return f"response 1: no field {name} with {part!r}"
    return ""


def _requests_objection(wanted: list[dict[str, Any]], seen: list[dict[str, Any]]) -> str:
    if len(wanted) != len(seen):
        return f"the application completed {len(seen)} requests, expected {len(wanted)}"
    for number, (expected, came) in enumerate(zip(wanted, seen, strict=True), 1):
        environ = came["environ"]
        actual = {
            "method": environ["REQUEST_METHOD"],
            "path_info": environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""),
            "query": environ.get("QUERY_STRING", ""),
            "body": came["body"],
        }
        for key, value in actual.items():
            if value != expected[key]:
                return (
                    f"request {number}: {key} is {value[:200]!r}, expected {expected[key][:200]!r}"
                )
        keys = {_environ_key(name): value for name, value in expected.get("headers", {}).items()}
        for key, value in {**keys, **expected.get("environ", {})}.items():
            if environ.get(key) != value:
                return f"request {number}: {key} is {environ.get(key)!r}, expected {value!r}"
    return ""


def _environ_key(name: str) -> str:
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key


def describe(seen: Seen) -> str:
    lines = []
    for request in seen.requests:
        environ = request["environ"]
        target = f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO')!r}"
        lines.append(f"  request   {target} body {request['body'][:200]!r}")
        lines += [
            f"            {key}: {value!r}"
            for key, value in sorted(environ.items())
            if key.startswith("HTTP_")
        ]
    lines.append(f"  output    {escaped(seen.data) or '(nothing)'}")
    lines.append(f"  connection {'closed' if seen.closed else 'open'}")
    return "\n".join(lines)
