"""The checker's side of the process that runs the application (sandbox.py)."""

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import IO, Any, Final

from iotax._app.load_error import LoadError
from iotax._check.requests import RequestSpec
from iotax._check.settings import Settings

_START: Final = "from iotax._check.play.sandbox import main; main()"
_GRACE_SECONDS: Final = 2.0
_LOAD_SECONDS: Final = 60.0
_OUTPUT_BYTES: Final = 4000
_TICK_SECONDS: Final = 1.0


class SandboxExited(Exception):
    """The sandbox process exited. `hung`: it was killed because it did not reply."""

    def __init__(self, hung: bool, status: int, output: str) -> None:
        super().__init__(output)
        self.hung, self.status, self.output = hung, status, output

    @property
    def how(self) -> str:
        if self.hung:
            return "it does not return, and cannot be interrupted"
        name = signal.Signals(-self.status).name if self.status < 0 else ""
        return f"it ends the process: {name or f'exit code {self.status}'}"


class SandboxProcess:
    """All methods raise SandboxExited; start() also LoadError. `progress`: called with the current
    request when it changes, and each second while it lasts."""

    def __init__(
        self,
        settings: Settings,
        middleware: str = "",
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._middleware = middleware
        self._progress = progress
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes]
        self.request = ""  # the current one
        self.routes: list[str] = []
        self.name = ""

    def start(self) -> None:
        orders, self._orders = os.pipe()
        self._reports, reports = os.pipe()
        words = [sys.executable, "-c", _START, str(orders), str(reports)]
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 its own until close()
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            pass_fds=(orders, reports),
            cwd=self._settings.chdir or None,
        )
        os.close(orders)
        os.close(reports)
        self._rest = b""
        settings = self._settings
        self.request = ""
        self._send(
            {
                "target": self._middleware or settings.target,
                "is_middleware": bool(self._middleware),
                "pythonpath": list(settings.pythonpath),
                "factory": settings.factory,
                "environ": dict(settings.environ),
                "timeout": settings.timeout,
            }
        )
        loaded = self._receive(_LOAD_SECONDS)
        if "load_error" in loaded:
            self.close()
            raise LoadError(**loaded["load_error"])
        self.name, self.routes = loaded["loaded"], loaded["routes"]

    def play(self, scenario: str, spec: RequestSpec) -> Mapping[str, Any]:
        return self._obey({"scenario": scenario, "request": spec.to_json()})

    def play_middleware(self, check: str) -> Mapping[str, Any]:
        return self._obey({"middleware": check})

    def _obey(self, order: Mapping[str, Any]) -> Mapping[str, Any]:
        self._send(order)
        while "begins" in (said := self._receive(self._settings.timeout + _GRACE_SECONDS)):
            self.request = said["begins"]
            self._progress(self.request)
        return said

    def close(self) -> None:
        """Kill it."""
        if self._process is not None:
            os.close(self._orders)
            os.close(self._reports)
            self._output.close()
            self._process.kill()
            self._process.wait()
            self._process = None

    def _send(self, what: Mapping[str, Any]) -> None:
        try:
            os.write(self._orders, json.dumps(what).encode() + b"\n")
        except BrokenPipeError:
            raise self._exited(hung=False) from None

    def _receive(self, seconds: float) -> dict[str, Any]:
        began = time.monotonic()
        while b"\n" not in self._rest:
            waited = time.monotonic() - began
            if waited >= seconds:
                raise self._exited(hung=True)
            slice_seconds = min(_TICK_SECONDS, seconds - waited)
            if not select.select([self._reports], [], [], slice_seconds)[0]:
                what = self.request or "the import of the application"
                self._progress(f"{what}, for {time.monotonic() - began:.0f} s")
                continue
            data = os.read(self._reports, 1 << 16)
            if not data:
                raise self._exited(hung=False)
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def _exited(self, *, hung: bool) -> SandboxExited:
        assert self._process is not None
        if hung:
            self._process.send_signal(signal.SIGABRT)  # faulthandler prints its stack
            try:
                self._process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        status = self._process.wait()
        self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, self._output.tell() - _OUTPUT_BYTES))
        output = self._output.read().decode("utf-8", "replace")
        self.close()
        return SandboxExited(hung, status, output)
