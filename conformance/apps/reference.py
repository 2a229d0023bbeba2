"""The application that the HTTP/1 cases assume (conformance/http1/README.md).

Reads the body to its end, except on /noread; then records the request as one line of JSON in the
file that CONFORMANCE_LOG names; then responds with 200. If reading the body raises, the request is
not recorded.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

ANSWER = b"the reference application has read all of it\n"


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    noread = environ["PATH_INFO"] == "/noread"
    body = b"" if noread else environ["wsgi.input"].read()
    record(
        {
            "environ": {key: value for key, value in environ.items() if isinstance(value, str)},
            "body": body.decode("latin-1"),
        }
    )
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(ANSWER)))])
    return [ANSWER]


def record(request: dict[str, Any]) -> None:
    """One write, so that the lines of several processes do not mix."""
    log = os.open(
        os.environ["CONFORMANCE_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600
    )
    try:
        os.write(log, json.dumps(request).encode("ascii") + b"\n")
    finally:
        os.close(log)
