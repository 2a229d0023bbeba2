"""A complete check: sends all requests in all variations to the sandbox process, collects their
findings, and starts another process if the application ends it.
"""

import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from iotax._app.code_origin import Origin, origin_of
from iotax._check.play.middleware import CHECKS
from iotax._check.play.request_plan import Plan
from iotax._check.play.sandbox_process import SandboxExited, SandboxProcess
from iotax._check.play.scenarios import scenarios_for
from iotax._check.report.findings import Finding, Place, Report, merged
from iotax._check.requests import RequestSpec
from iotax._check.settings import Settings

_DUMPED = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+),? in (?P<function>\S+)')


def check(settings: Settings, progress: Callable[[str], None] = lambda _: None) -> Report:
    """Check the targets of `settings`. `progress`: called for each request, and each second while
    one lasts.

    Errors: LoadError; SandboxExited if importing the application ends the process.
    """
    run = _Run(settings, progress)
    if settings.target:
        run.application()
    for target in settings.middleware:
        run.middleware(target)
    return settings.judge(run.report())


def planned(settings: Settings) -> Plan:
    """The requests that check() would send. Sends none. Errors: as for check()."""
    sandbox = SandboxProcess(settings)
    sandbox.start()
    sandbox.close()
    return Plan(settings, sandbox.routes)


class _Run:
    def __init__(self, settings: Settings, progress: Callable[[str], None]) -> None:
        self._settings = settings
        self._progress = progress
        self._began = time.monotonic()
        self._findings: list[Finding] = []
        self._left: set[str] = set()  # targets that get no more requests
        sides = {"application": settings.target, "middleware": settings.middleware}
        asked = tuple(side for side, target in sides.items() if target)
        self._report = Report("", strict=settings.strict, sides=asked)

    def application(self) -> None:
        sandbox = SandboxProcess(self._settings, progress=self._tell)
        sandbox.start()
        report = self._report
        report.target = sandbox.name
        try:
            plan = Plan(self._settings, sandbox.routes)
            report.plan = plan.in_words()
            for spec in plan:
                report.routes += [spec.target] if spec.target not in report.routes else []
                self._play_all(sandbox, plan, spec)
        finally:
            sandbox.close()
        if not any(200 <= code < 400 for code in report.statuses):
            report.problem = "no request got a 2xx or 3xx response, so little was checked"

    def middleware(self, target: str) -> None:
        sandbox = SandboxProcess(self._settings, target, self._tell)
        sandbox.start()
        self._report.target = ", ".join(filter(None, (self._report.target, sandbox.name)))
        try:
            for check in CHECKS:
                self._take(sandbox, sandbox.play_middleware, check)
        finally:
            sandbox.close()

    def _tell(self, what: str) -> None:
        requests = self._report.requests
        counted = "1 request" if requests == 1 else f"{requests} requests"
        self._progress(f"{counted} so far, now {what}")

    def report(self) -> Report:
        self._report.findings = merged(self._findings)
        self._report.seconds = time.monotonic() - self._began
        return self._report

    def _play_all(self, sandbox: SandboxProcess, plan: Plan, spec: RequestSpec) -> None:
        called = f"{spec.method} {spec.target}"
        if spec.target in self._left:
            return
        for scenario in scenarios_for(spec):
            self._report.ways += 1
            seen = self._take(sandbox, sandbox.play, scenario, spec)
            if seen is None or seen["leave"]:
                self._left.add(spec.target)
                why = seen["leave"] if seen else "it ends or blocks the process"
                self._report.notes.append(
                    f"No more requests to {spec.target} after {called}: {why}."
                )
                return
            plan.found(seen["links"])

    def _take(
        self, sandbox: SandboxProcess, play: Callable[..., Mapping[str, Any]], *order: object
    ) -> Mapping[str, Any] | None:
        """Add the findings of play(*order) to the report. None: the sandbox exited, and was started
        again."""
        report = self._report
        report.exercised.update(("C-TIME-01", "C-LIVE-01"))
        try:
            seen = play(*order)
        except SandboxExited as exited:
            self._findings.append(_of_exit(exited, sandbox.request))
            sandbox.start()
            return None
        self._findings += [Finding.from_dict(one) for one in seen["findings"]]
        report.exercised.update(seen["exercised"])
        report.requests += len(seen["statuses"])
        report.statuses.update(code for code in seen["statuses"] if code)
        return seen


def _of_exit(exited: SandboxExited, request: str) -> Finding:
    clause = "C-TIME-01" if exited.hung else "C-LIVE-01"
    what = f"{exited.how[0].upper()}{exited.how[1:]}."
    kind = what.partition(":")[0]  # an exit code may differ from call to call
    return Finding(clause, "error", what, (request,), _dumped_place(exited.output), kind=kind)


def _dumped_place(output: str) -> Place | None:
    """The innermost line of the application in the output of faulthandler."""
    for found in _DUMPED.finditer(output):
        if origin_of(found["file"]) is Origin.APPLICATION:
            here = os.path.join(os.getcwd(), "")
            file = os.path.abspath(found["file"]).removeprefix(here)
            return Place(file, int(found["line"]), found["function"])
    return None
