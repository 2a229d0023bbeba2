"""A client of the admin listener, and a strict parser of its metrics."""

import json
import re
import time
from collections.abc import Callable
from typing import Any

from . import patience
from .server import Server
from .wire import Answer, Connection

_NAME = r"[a-z_]+"
_SAMPLE = re.compile(rf'({_NAME})(?:\{{((?:{_NAME}="[^"\\\n]*"(?:,(?!\}}))?)+)\}})? ([0-9.e+-]+)')
_SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "info": ("_info",),
    "histogram": ("_bucket", "_sum", "_count"),
}


class Admin:
    """That of a server which was started with `--admin 127.0.0.1:0`."""

    def __init__(self, server: Server) -> None:
        self.port = int(server.err.wait_for(r"Admin: http://127\.0\.0\.1:(\d+)")[1])

    def get(self, path: str, *fields: str) -> Answer:
        with Connection(self.port) as connection:
            lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *fields]
            connection.send("\r\n".join([*lines, "", ""]).encode())
            return connection.answer()

    def says(self, path: str) -> tuple[int, str]:
        answer = self.get(path)
        return answer.status, answer.text.rstrip("\n")

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.get("/status").text)
        return found

    def metrics(self) -> dict[str, float]:
        """Each series with its value."""
        return parse(self.get("/metrics").text)

    def wait_until(self, check: Callable[[], bool]) -> None:
        deadline = time.monotonic() + patience.SECONDS
        while not check():
            if time.monotonic() > deadline:
                raise AssertionError(f"it does not become so:\n{self.get('/metrics').text}")


def parse(text: str) -> dict[str, float]:
    """Parse OpenMetrics: each sample belongs to the metric above it, and is unique."""
    assert text.endswith("\n# EOF\n")
    series: dict[str, float] = {}
    names: set[str] = set()
    name = kind = ""
    for line in text.splitlines()[:-1]:
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            assert name not in names, f"{name} has two parts"
            names.add(name)
            assert line.endswith(".")
        elif line.startswith("# TYPE "):
            assert line.split(" ")[2] == name
            kind = line.split(" ")[3]
        elif line.startswith("# UNIT "):
            assert line.split(" ")[2] == name
            assert name.endswith("_" + line.split(" ")[3])
        else:
            match = _SAMPLE.fullmatch(line)
            assert match, line
            assert match[1] in [name + suffix for suffix in _SUFFIXES[kind]], line
            key = match[1] + (f"{{{match[2]}}}" if match[2] else "")
            assert key not in series, line
            series[key] = float(match[3])
    return series


def never_less(before: dict[str, float], after: dict[str, float]) -> None:
    """No counter has decreased or disappeared."""
    for key, value in before.items():
        name = key.partition("{")[0]
        if name.endswith(("_total", "_bucket", "_sum", "_count")):
            assert after[key] >= value, key
