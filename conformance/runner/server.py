"""The server under test, in a process with the reference application."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

APPS = Path(__file__).resolve().parent.parent / "apps"
# With port 0 the server chooses, and prints which one.
IOTAX = f"{shlex.quote(sys.executable)} -m iotax --port 0 --no-access-log {{app}}"
LISTENING = re.compile(r"Listening on http://127\.0\.0\.1:(\d+)")

POLL_S = 0.02
BOOT_S = 30.0
STOP_S = 40.0  # longer than the graceful timeout of the server


class Server:
    """Runs during the `with` block.

    `command` may contain {port} and {app}; without {port} the server chooses a port and prints it.
    `log` receives the requests; the output of the server is in a file next to it. Raises
    RuntimeError with the server's output if it does not start.
    """

    def __init__(self, command: str, log: Path) -> None:
        self.port = 0
        self.exit_code: int | None = None
        self._command = command
        self._log = log

    def __enter__(self) -> Server:
        own_port = "{port}" not in self._command
        if not own_port:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port = free.getsockname()[1]
        words = shlex.split(self._command.format(port=self.port, app="reference:app"))
        environment = {**os.environ, "CONFORMANCE_LOG": str(self._log), "PYTHONUNBUFFERED": "1"}
        self._output = self._log.with_suffix(".output")
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                words,
                cwd=APPS,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            self._wait_until_ready(own_port)
        except BaseException:
            self.stop()
            raise
        return self

    def _wait_until_ready(self, own_port: bool) -> None:
        deadline = time.monotonic() + BOOT_S
        while time.monotonic() < deadline:
            if own_port and (said := LISTENING.search(self.output())):
                self.port = int(said[1])
            if self.port:
                with (
                    contextlib.suppress(OSError),
                    socket.create_connection(("127.0.0.1", self.port), 1),
                ):
                    return
            try:
                code = self._process.wait(POLL_S)
            except subprocess.TimeoutExpired:
                continue
            raise RuntimeError(f"the server ended with {code}:\n{self.output()}")
        raise RuntimeError(f"the server was not ready within {BOOT_S} s:\n{self.output()}")

    def output(self) -> str:
        return self._output.read_text(errors="replace")

    def stop(self) -> None:
        """After this, no request is recorded."""
        self._process.terminate()
        try:
            self.exit_code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.exit_code = self._process.wait()

    def __exit__(self, *_: object) -> None:
        self.stop()
