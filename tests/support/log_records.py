"""The records of both logs under --log-format json: their keys, in order, with the type of each."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

Check = Callable[[Any], bool]

LINE_BYTES_MAX: Final = 4096  # with the line end


def _text(value: Any) -> bool:
    return type(value) is str and bool(value)


def _integer(value: Any) -> bool:
    return type(value) is int and value >= 0


def _seconds(value: Any) -> bool:
    return type(value) is float and value >= 0


def _texts(value: Any) -> bool:
    return type(value) is list and bool(value) and all(map(_text, value))


def _like(pattern: str) -> Check:
    return lambda value: type(value) is str and re.fullmatch(pattern, value) is not None


ENDS: Final = (
    *("complete", "client_gone", "client_slow", "app_error", "deadline", "shutdown", "rejected"),
    "overloaded",
)
_TIME: Final = _like(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_ID: Final = _like(r"[A-Za-z0-9._-]{1,128}")
_TRACE_ID, _SPAN_ID = _like("[0-9a-f]{32}"), _like("[0-9a-f]{16}")
ACCESS: Final[Mapping[str, Check]] = {
    "timestamp": _TIME,
    "severity": _like("INFO"),
    "message": _text,
    "logger": _like(r"iotax\.access"),
    "process.pid": _integer,
    "iotax.worker": _integer,
    "iotax.request_id": _ID,
    "trace_id": _TRACE_ID,
    "span_id": _SPAN_ID,
    "trace_flags": _like("[0-9a-f]{2}"),
    "client.address": _text,
    "client.port": _integer,
    "network.peer.address": _text,
    "network.peer.port": _integer,
    "network.transport": _like("tcp|unix"),
    "network.protocol.name": _like("http"),
    "network.protocol.version": _like(r"\d\.\d"),
    "http.request.method": _text,
    "url.scheme": _like("https?"),
    "url.path": _text,
    "url.query": _text,
    "server.address": _text,
    "server.port": _integer,
    "user_agent.original": _text,
    "http.request.header.referer": _texts,
    "http.request.body.size": _integer,
    "http.response.status_code": lambda value: type(value) is int and 100 <= value <= 599,
    "http.response.body.size": _integer,
    "http.server.request.duration": _seconds,
    "iotax.receive.duration": _seconds,
    "iotax.queue.duration": _seconds,
    "iotax.app.duration": _seconds,
    "iotax.by": _like("app|server"),
    "iotax.end": _like("|".join(ENDS)),
    "error.type": _text,
    "iotax.cut": _texts,
}
SERVER: Final[Mapping[str, Check]] = {
    "timestamp": _TIME,
    "severity": _like("DEBUG|INFO|WARNING|ERROR|CRITICAL"),
    "message": lambda value: type(value) is str,
    "logger": _like(r"iotax|wsgi\.errors"),
    "process.pid": _integer,
    "iotax.worker": _integer,
    "iotax.request_id": _ID,
    "trace_id": _TRACE_ID,
    "span_id": _SPAN_ID,
}


def records(text: str, types: Mapping[str, Check]) -> list[dict[str, Any]]:
    """The lines, each one JSON object in ASCII with keys of `types` in their order and values of
    their type; a line of the access log fits into one write to a pipe."""
    assert text.isascii()
    assert not text or text.endswith("\n"), text[-200:]
    found = []
    for line in text.splitlines():
        assert types is not ACCESS or len(line) < LINE_BYTES_MAX, line
        record = json.loads(line, object_pairs_hook=_unique)
        assert list(record) == [key for key in types if key in record], line
        wrong = [key for key, value in record.items() if not types[key](value)]
        assert not wrong, f"{wrong}: {line}"
        found.append(record)
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    assert len(set(keys)) == len(keys), keys
    return dict(pairs)
