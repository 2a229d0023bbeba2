"""The checker: starts the player, gives it one request in one manner after the other, collects what
it saw, and starts another one when the application has ended it.
"""

import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import IO, Any, Final

from iotax._app.code_origin import Origin, origin_of
from iotax._app.load_error import LoadError
from iotax._check.play.middleware import CHECKS
from iotax._check.play.request_plan import Plan
from iotax._check.play.scenarios import scenarios_for
from iotax._check.report.findings import Finding, Place, Report, merged
from iotax._check.requests import RequestSpec
from iotax._check.settings import Settings

_START: Final = "from iotax._check.play.strict_server import main; main()"
_GRACE_SECONDS: Final = 2.0
_LOAD_SECONDS: Final = 60.0
_OUTPUT_BYTES: Final = 4000
_TICK_SECONDS: Final = 1.0
_DUMPED = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+),? in (?P<function>\S+)')


class Died(Exception):
    """The player is gone. `hung`: it was killed, since it did not answer."""

    def __init__(self, hung: bool, status: int, output: str) -> None:
        super().__init__(output)
        self.hung, self.status, self.output = hung, status, output

    @property
    def how(self) -> str:
        if self.hung:
            return "it does not answer, and cannot be interrupted"
        name = signal.Signals(-self.status).name if self.status < 0 else ""
        return f"it ends the process: {name or f'exit code {self.status}'}"


class PlayerProcess:
    """Errors of all its calls: Died; of start() LoadError too. `progress`: told what it is at, when
    that changes and each second while nothing else does."""

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
        self.request = ""  # what it is at
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
        """Let it go, whatever it does."""
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
            raise self._died(hung=False) from None

    def _receive(self, seconds: float) -> dict[str, Any]:
        began = time.monotonic()
        while b"\n" not in self._rest:
            waited = time.monotonic() - began
            if waited >= seconds:
                raise self._died(hung=True)
            slice_seconds = min(_TICK_SECONDS, seconds - waited)
            if not select.select([self._reports], [], [], slice_seconds)[0]:
                what = self.request or "the import of the application"
                self._progress(f"{what}, for {time.monotonic() - began:.0f} s")
                continue
            data = os.read(self._reports, 1 << 16)
            if not data:
                raise self._died(hung=False)
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def _died(self, *, hung: bool) -> Died:
        assert self._process is not None
        if hung:
            self._process.send_signal(signal.SIGABRT)  # faulthandler says where it is
            try:
                self._process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        status = self._process.wait()
        self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, self._output.tell() - _OUTPUT_BYTES))
        output = self._output.read().decode("utf-8", "replace")
        self.close()
        return Died(hung, status, output)


def check(settings: Settings, progress: Callable[[str], None] = lambda _: None) -> Report:
    """Check what `settings` name. `progress`: told of each request, and each second that one lasts.

    Errors: LoadError; Died when the application ends the process while it is imported.
    """
    run = _Run(settings, progress)
    if settings.target:
        run.application()
    for target in settings.middleware:
        run.middleware(target)
    return settings.judge(run.report())


def planned(settings: Settings) -> Plan:
    """What check() would send to the application; sends nothing. Errors: as check()."""
    player = PlayerProcess(settings)
    player.start()
    player.close()
    return Plan(settings, player.routes)


class _Run:
    def __init__(self, settings: Settings, progress: Callable[[str], None]) -> None:
        self._settings = settings
        self._progress = progress
        self._began = time.monotonic()
        self._findings: list[Finding] = []
        self._left: set[str] = set()  # targets that are not asked again
        sides = {"application": settings.target, "middleware": settings.middleware}
        asked = tuple(side for side, target in sides.items() if target)
        self._report = Report("", strict=settings.strict, sides=asked)

    def application(self) -> None:
        player = PlayerProcess(self._settings, progress=self._tell)
        player.start()
        report = self._report
        report.target = player.name
        try:
            plan = Plan(self._settings, player.routes)
            report.plan = plan.in_words()
            for spec in plan:
                report.routes += [spec.target] if spec.target not in report.routes else []
                self._play_all(player, plan, spec)
        finally:
            player.close()
        if not any(200 <= code < 400 for code in report.statuses):
            report.problem = "no request got a 2xx or 3xx answer, so little was checked"

    def middleware(self, target: str) -> None:
        player = PlayerProcess(self._settings, target, self._tell)
        player.start()
        self._report.target = ", ".join(filter(None, (self._report.target, player.name)))
        try:
            for check in CHECKS:
                self._take(player, player.play_middleware, check)
        finally:
            player.close()

    def _tell(self, what: str) -> None:
        requests = self._report.requests
        counted = "1 request" if requests == 1 else f"{requests} requests"
        self._progress(f"{counted} so far, now {what}")

    def report(self) -> Report:
        self._report.findings = merged(self._findings)
        self._report.seconds = time.monotonic() - self._began
        return self._report

    def _play_all(self, player: PlayerProcess, plan: Plan, spec: RequestSpec) -> None:
        called = f"{spec.method} {spec.target}"
        if spec.target in self._left:
            return
        for scenario in scenarios_for(spec):
            self._report.ways += 1
            seen = self._take(player, player.play, scenario, spec)
            if seen is None or seen["leave"]:
                self._left.add(spec.target)
                how = seen["leave"] if seen else "it ends the process, or holds it"
                self._report.notes.append(f"After {called} {spec.target} was left: {how}.")
                return
            plan.found(seen["links"])

    def _take(
        self, player: PlayerProcess, play: Callable[..., Mapping[str, Any]], *order: object
    ) -> Mapping[str, Any] | None:
        """What play(*order) saw goes into the report. None: the player died of it, and another one
        stands ready."""
        report = self._report
        report.exercised.update(("C-TIME-01", "C-LIVE-01"))
        try:
            seen = play(*order)
        except Died as death:
            self._findings.append(_of_death(death, player.request))
            player.start()
            return None
        self._findings += [Finding.from_dict(one) for one in seen["findings"]]
        report.exercised.update(seen["exercised"])
        report.requests += len(seen["statuses"])
        report.statuses.update(code for code in seen["statuses"] if code)
        return seen


def _of_death(death: Died, request: str) -> Finding:
    clause = "C-TIME-01" if death.hung else "C-LIVE-01"
    what = f"{death.how[0].upper()}{death.how[1:]}."
    kind = what.partition(":")[0]  # an exit code may differ from call to call
    return Finding(clause, "error", what, (request,), _dumped_place(death.output), kind=kind)


def _dumped_place(output: str) -> Place | None:
    """The innermost line of the application's own in what faulthandler wrote."""
    for found in _DUMPED.finditer(output):
        if origin_of(found["file"]) is Origin.APPLICATION:
            here = os.path.join(os.getcwd(), "")
            file = os.path.abspath(found["file"]).removeprefix(here)
            return Place(file, int(found["line"]), found["function"])
    return None
