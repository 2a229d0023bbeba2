"""Small applications that break one clause each, and their correct twins.

    @pair("A-SR-04")
    class StatusWithoutReason:
        def broken(environ, start_response): ...
        def sound(environ, start_response): ...

A pair for a MAY has only `sound`: an application that uses the freedom.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iotax._check.play.middleware import CHECKS
from iotax._check.play.sandbox import install_alarm
from iotax._check.play.scenarios import scenarios_for
from iotax._check.play.strict_server import StrictServer
from iotax._check.report.findings import Finding, merged
from iotax._check.requests import RequestSpec, parse_request, with_parts

TEXT = ("Content-Type", "text/plain")
TIMEOUT = 5.0


@dataclass(frozen=True, eq=False)
class Pair:
    """`severity`: of the finding. `broken`: None for a MAY."""

    clause: str
    name: str
    sound: Callable[..., Any]
    broken: Callable[..., Any] | None
    request: RequestSpec
    severity: str
    environ: Mapping[str, str] = field(default_factory=dict)


PAIRS: list[Pair] = []


def applications() -> None:
    """Fill PAIRS."""
    for module in sorted((Path(__file__).parent / "applications").glob("*.py")):
        importlib.import_module(f"applications.{module.stem}")


def pair(
    clause: str,
    request: str = "/",
    *,
    headers: tuple[str, ...] = (),
    body: str | None = None,
    severity: str = "",
    environ: Mapping[str, str] | None = None,
) -> Callable[[type], type]:
    spec = with_parts(clause, parse_request(clause, request), headers, body)

    def keep(cls: type) -> type:
        made = vars(cls)
        name = cls.__qualname__
        PAIRS.append(
            Pair(clause, name, made["sound"], made.get("broken"), spec, severity, environ or {})
        )
        return cls

    return keep


@dataclass(frozen=True)
class Seen:
    findings: list[Finding]
    exercised: set[str]

    @property
    def ids(self) -> set[str]:
        """Of findings other than information."""
        return {one.clause for one in self.findings if one.severity != "information"}


def checked(found: Callable[..., Any], proof: Pair) -> Seen:
    """The findings for an application, or for middleware, in this process."""
    install_alarm()
    server = StrictServer(found, proof.environ, TIMEOUT, lambda _: None)
    if proof.clause.startswith("M-"):
        seen = [server.play_middleware(check) for check in CHECKS]
    else:
        seen = []
        for name in scenarios_for(proof.request):
            seen.append(server.play(name, proof.request))
            if seen[-1]["leave"]:
                break
    findings = [Finding.from_dict(one) for part in seen for one in part["findings"]]
    return Seen(merged(findings), {id for part in seen for id in part["exercised"]})
