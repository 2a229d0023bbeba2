"""A project that is served with --reload: its files, saved as an editor saves them, and the log
of the server."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .server import Server
from .wire import Answer, Connection

VIEW = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [{value!r}.encode()]
"""
RELOADED = r"Reloaded in \d+\.\d\d s \((?P<how>.*)\)"
WAITING = r"Waiting for a change\.\.\."


class Project:
    """`directory` with a module main; `start` is the fixture that starts servers."""

    def __init__(self, directory: Path, start: Callable[..., Server]) -> None:
        self.directory, self._start = directory, start
        self.directory.mkdir(exist_ok=True)
        self.reloads = self.failures = 0
        self.server: Server

    def write(self, name: str, text: str | bytes) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def save(self, name: str, text: str | bytes) -> None:
        """Save like an editor: write next to the file, then replace it."""
        self.write(name + ".new", text)
        os.replace(self.directory / f"{name}.new", self.directory / name)

    def answers(self, value: str, name: str = "main.py", *, ahead: str = "") -> None:
        """Save a view that responds with `value`."""
        self.save(name, ahead + VIEW.format(value=value))

    def serve(self, app: str = "main:app", *options: str, **more: Any) -> Server:
        self.server = self._start(app, "--reload", *options, cwd=self.directory, **more)
        return self.server

    def reloaded(self) -> str:
        """Wait for the next reload. Returns its kind: "warm", "cold: …"."""
        self.reloads += 1
        return self.server.err.wait_for(RELOADED, self.reloads)["how"]

    def failed(self) -> None:
        """Wait until the next generation has failed and its error is served."""
        self.failures += 1
        self.server.err.wait_for(WAITING, self.failures)

    def ask(self, path: str = "/", *fields: str) -> Answer:
        with Connection(self.server.port) as connection:
            return connection.ask(path, "Connection: close", *fields)

    def text(self, path: str = "/") -> str:
        answer = self.ask(path)
        assert answer.status == 200, answer.text
        return answer.text

    def lines(self) -> list[str]:
        """The log of the server so far, without times and process ids."""
        prefix = re.compile(r"^\S+ \[\d+\] ")
        return [prefix.sub("", line) for line in self.server.err.text.splitlines()]
