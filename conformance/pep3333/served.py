"""The test's side: a live server, raw connections to it, and the event log of its applications."""

import contextlib
import json
import os
import re
import select
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support import patience, wire
from support.server import TESTS, Server
from support.wire import OTHER, Answer, Connection

HERE = Path(__file__).resolve().parent
NOT_APPLICABLE = "this test is for iotax only"
# If another server is silent for this time, it has no more events, in a test and before one.
QUIET_MS = 300
QUIET_BEFORE_MS = 50
START_SECONDS = 30


def only_for_iotax(why: str) -> None:
    """Before a question that other servers cannot be asked. Errors: AssertionError that says so."""
    assert not OTHER, f"{NOT_APPLICABLE}: {why}"


def more_comes(connection: Connection) -> bool:
    """Whether more requests are possible: a server other than iotax may close after any
    response."""
    try:
        return not OTHER or connection.begins()
    except ConnectionResetError:
        return False


def needs_write(served: "Served") -> None:
    """Before a test that uses write() for another purpose."""
    if OTHER and served.ask("/has_write").body != b"True":
        only_for_iotax("it uses write(), which this server does not have")


class Served:
    """`target` ("module:attribute" of this directory), served, for one test after the other."""

    def __init__(self, directory: Path, target: str, *options: str, env: Mapping[str, str] = {}):
        if options:
            only_for_iotax(f"it gives the server {' '.join(options)}")
        self._events, self._go = _pipe(directory / "events"), _pipe(directory / "go")
        self._directory, self._target, self._options, self._env = directory, target, options, env
        self._start()

    def _start(self) -> None:
        directory = self._directory
        self._text = b""
        self._staying = 0
        self._fences_asked = self._fences_called = 0
        directories = [str(HERE), str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
        path = os.pathsep.join(directories)
        pipes = {
            "EVENTS": str(directory / "events"),
            "GO": str(directory / "go"),
            "PYTHONPATH": path,
        }
        self.server = Server(self._target, *self._options, cwd=HERE, env={**pipes, **self._env})
        try:
            self.server.wait_until_listening()
            if OTHER:
                self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def _wait_until_ready(self) -> None:
        """A server that listens may have no worker yet. Any response will do, or the end."""
        with self.connect() as connection:
            connection.socket.settimeout(START_SECONDS)
            connection.get("/fence", "Connection: close")
            with contextlib.suppress(OSError):
                connection.begins()
        self._until_quiet(QUIET_BEFORE_MS)

    @property
    def out(self) -> Any:
        only_for_iotax("it reads the access log")
        return self.server.out

    @property
    def err(self) -> Any:
        only_for_iotax("it reads the server's log")
        return self.server.err

    def stop(self) -> None:
        try:
            self.server.stop()
        finally:
            self.kill()

    def kill(self) -> None:
        self.server.kill()
        os.close(self._events)
        os.close(self._go)

    # ---- requests

    def connect(self, **more: Any) -> Connection:
        return Connection(self.server.port, **more)

    def ask(
        self, path: str, *fields: str, method: str = "GET", body: bytes | None = None
    ) -> Answer:
        """One response, on a new connection."""
        with self.connect() as connection:
            return connection.ask(path, *fields, method=method, body=body)

    def exchange(self, data: bytes) -> bytes:
        """All bytes that are received for `data`, up to the end of the connection."""
        with self.connect() as connection:
            connection.send(data)
            return connection.rest()

    # ---- the event log

    def events(self) -> list[dict[str, Any]]:
        """Events since the last call, of calls that have ended."""
        if OTHER:  # with more threads, or a busy one, a request does not prove that
            return self._until_quiet(QUIET_MS)
        self._fences_asked += 1
        assert self.ask(f"/fence?{self._fences_asked}").body == b"fence"
        seen = []
        while (event := self.next_event())["event"] != "fence":
            seen.append(event)
        return seen

    def told(self) -> list[str]:
        """The names of events()."""
        return [event["event"] for event in self.events()]

    def wait_for(self, name: str, seconds: float = patience.SECONDS) -> dict[str, Any]:
        """The next event of that name; earlier ones are dropped."""
        while (event := self.next_event(seconds))["event"] != name:
            pass
        return event

    def wait_until_it_stays(self) -> None:
        self.wait_for("stays")

    def let_go(self) -> None:
        """Let one waiting call continue."""
        self._staying -= 1
        os.write(self._go, b".")

    def clear(self) -> None:
        """Before a test: drop leftovers of a failed test. A server other than iotax that did not
        survive it is started again."""
        try:
            self._clear()
        except (AssertionError, OSError):
            if not OTHER:
                raise
            self.server.kill()
            for pipe in (self._events, self._go):
                while select.select([pipe], [], [], 0)[0]:
                    os.read(pipe, 65536)
            self._start()
        wire.seen.clear()  # it does not belong to the test

    def _clear(self) -> None:
        while self._text or select.select([self._events], [], [], 0)[0]:
            self.next_event()
        while self._staying > 0:
            self.let_go()
        if not OTHER:
            self.events()
            return
        assert self.ask("/fence", "Connection: close").body == b"fence"
        self._until_quiet(QUIET_BEFORE_MS)

    def _until_quiet(self, quiet_ms: int) -> list[dict[str, Any]]:
        seen = []
        while self._text or select.select([self._events], [], [], quiet_ms / 1000)[0]:
            seen.append(self.next_event())
        return [event for event in seen if event["event"] != "fence"]

    def next_event(self, seconds: float = patience.SECONDS) -> dict[str, Any]:
        while b"\n" not in self._text:
            if not select.select([self._events], [], [], seconds)[0]:
                raise AssertionError(f"no event comes:\n{self.server.err.text}")
            self._text += os.read(self._events, 65536)
        line, _, self._text = self._text.partition(b"\n")
        event: dict[str, Any] = json.loads(line)
        self._staying += event["event"] == "stays"
        if event["event"] == "fence" and not OTHER:
            self._fences_called += 1
            assert event["number"] == str(self._fences_called), f"called twice: {event}"
        return event

    # ---- the server log

    def logged(self, path: str, pattern: str = "") -> str:
        """Wait for the entry of the server log about a request for `path`. Returns its text,
        with its traceback, up to and including `pattern`. The log of another server is not read."""
        if OTHER:
            return ""
        within = r"(?:(?!(?:DEBUG|INFO|WARNING|ERROR|CRITICAL): ).)*?"
        entry = rf"\w+: [^\n]* in [A-Z-]+ {re.escape(path)} \({within}{pattern}"
        return str(self.err.wait_for(f"(?s:{entry})")[0])


def _pipe(path: Path) -> int:
    """Open for both directions, so that neither side waits for the other to open it."""
    os.mkfifo(path)
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)
