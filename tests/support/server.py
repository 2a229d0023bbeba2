"""A server process: started as a user starts it, read until it listens, stopped by a signal.

The variable E2E_COMMAND replaces the command, to run tests with another server: "python -m waitress
--listen=127.0.0.1:{port} {app}".
"""

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from . import patience
from .lines import Lines
from .processes import children, has_ended
from .wire import OTHER, Connection

TESTS = Path(__file__).resolve().parent.parent
APPS = TESTS / "e2e/apps"
SAMPLES = TESTS.parent / "sample_apps"
LISTENING = (
    r'Listening on (?:(?:http|proxy)://(?P<host>[^\s"]+):(?P<port>\d+)'
    r'|(?:proxy://)?unix:(?P<path>[^\s"]+))'
)
# Settings that a test does not choose must not come from the environment of the tests.
FOREIGN = re.compile(
    r"IOTAX_|PORT$|WEB_CONCURRENCY$|FORWARDED_ALLOW_IPS$|(NO|FORCE)_COLOR$"
    r"|LISTEN_|NOTIFY_SOCKET$|WATCHDOG_"
)


def environment(more: Mapping[str, str] = {}) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not FOREIGN.match(name)}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **more}


class Server:
    """`python -m iotax ARGUMENTS`, on a free port unless they or PORT in `env` name one.

    `under`: put before the command, e.g. "unshare ...". `new_session`: the processes of the server
    are a process group of their own. `stdout`, `stderr`: PIPE (read into .out and .err as it
    arrives) or a descriptor of the test.
    """

    def __init__(
        self,
        *arguments: str,
        cwd: Path = APPS,
        env: Mapping[str, str] = {},
        stdout: int | None = subprocess.PIPE,
        before_start: Callable[[], None] | None = None,
        under: Sequence[str] = (),
        new_session: bool = False,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.port = 0
        self._sees_its_numbers = not under
        self.process = subprocess.Popen(
            [*under, *self._command(list(arguments), env)],
            cwd=cwd,
            env=environment(env),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            preexec_fn=before_start,
            start_new_session=new_session or OTHER,
            pass_fds=pass_fds,
        )
        self.err = Lines(_stream(self.process.stderr), "standard error")
        self.out: Lines | None = None
        if stdout == subprocess.PIPE:
            self.out = Lines(_stream(self.process.stdout), "standard output")

    def _command(self, arguments: list[str], env: Mapping[str, str]) -> list[str]:
        if OTHER:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            other = os.environ["E2E_COMMAND"]
            return shlex.split(other.format(port=self.port, app=arguments[0]))
        names = {argument.split("=")[0] for argument in arguments}
        options = {"--port", "--host", "-b", "--bind"}
        addressed = {"PORT", "LISTEN_FDS"} & env.keys() or names & options
        return [sys.executable, "-m", "iotax", *arguments, *([] if addressed else ["--port", "0"])]

    def wait_until_listening(self) -> "Server":
        if self.port:
            self._wait_for_connection()
        else:
            self.port = int(self.err.wait_for(LISTENING)["port"] or 0)
        return self

    def _wait_for_connection(self) -> None:
        """For other servers, which print other lines."""
        while self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), patience.SECONDS).close()
            except ConnectionRefusedError:
                continue
            return
        raise AssertionError(f"the server has ended:\n{self.err.wait_for_end()}")

    @property
    def pid(self) -> int:
        return self.process.pid

    def started(self) -> list[int]:
        """The worker processes that the log names, in this order, including exited ones."""
        found = re.findall(r"Started server process \[(\d+)\]", self.err.text)
        return [int(pid) for pid in found]

    def workers(self) -> list[int]:
        """The live worker processes; the server's own process if there is no supervisor."""
        candidates = [self.pid, *children(self.pid)]
        return [pid for pid in self.started() if pid in candidates and not has_ended(pid)]

    def wait_for_workers(self, count: int) -> list[int]:
        """Wait until this number was started since the beginning. Returns those that live."""
        self.err.wait_for(r"Started server process \[\d+\]", count)
        return self.workers()

    def wait_for_answers_of(self, count: int, path: str = "/") -> list[int]:
        """Wait until this number of workers has responded with their process id as the first
        word, so that each of them is ready, which the log does not show. Returns them: no other
        worker lives."""
        found: set[int] = set()
        while len(found) < count:
            with Connection(self.port) as connection:
                found.add(int(connection.ask(path, "Connection: close").text.split()[0]))
        for pid in found:
            self.err.wait_for(rf"Started server process \[{pid}\]")
        assert set(self.workers()) == found, self.err.text
        return sorted(found)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def send_signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        try:
            return self.process.wait(patience.SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server does not end:\n{self.err.text}") from None

    def stop(self, number: int = signal.SIGINT) -> None:
        """By a signal; it must exit like a server that was asked to stop."""
        if OTHER:
            self.kill()  # how another server exits is not tested
            return
        if self.process.poll() is None:
            self.send_signal(number)
        code = self.wait()
        assert code == 0, f"exit code {code}:\n{self.err.wait_for_end()}"
        left = [pid for pid in self.started() if not has_ended(pid)]
        assert not (left and self._sees_its_numbers), f"workers {left} outlive the server"

    def kill(self) -> None:
        """Kill everything that remains after a test; of another server also its workers."""
        if OTHER:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def run_command(
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] = {},
    module: str = "iotax",
    **more: Any,
) -> Any:
    """`python -m iotax ARGUMENTS` that exits by itself: returns a CompletedProcess with text."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=patience.SECONDS,
        **more,
    )
