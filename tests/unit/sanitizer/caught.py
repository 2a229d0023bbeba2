"""A mistake in C++ ends the process of a server that runs under AddressSanitizer and UBSan, and
says what it was. Registered only in builds with them (cmake/SanitizerTraps.cmake)."""

from pathlib import Path

import pytest
from support.server import Server
from support.wire import Connection

HERE = Path(__file__).resolve().parent


@pytest.mark.parametrize(
    ("path", "report"),
    [
        ("/overflow", "AddressSanitizer: heap-buffer-overflow"),
        ("/undefined", "runtime error: signed integer overflow"),
    ],
)
def test_an_error_is_reported(path: str, report: str) -> None:
    server = Server("trap", cwd=HERE)
    try:
        server.wait_until_listening()
        with Connection(server.port) as connection:
            connection.get(path)
            assert connection.is_closed(), "the request was served"
        server.err.wait_for(report)
    finally:
        server.kill()
