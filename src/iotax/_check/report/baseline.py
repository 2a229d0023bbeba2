"""Findings that do not count: entries to ignore, and the baseline.

A baseline is JSON that is readable in a diff: findings without line numbers, so that it survives
edits elsewhere in the file, and without values that may differ from call to call. A finding matches
an entry if clause, type and place are the same; the request counts only if the place is unknown.
"""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from iotax._check.report.clauses import clauses
from iotax._check.report.findings import Finding, Report
from iotax._config.errors import ConfigError
from iotax._config.similar import nearest

FORMAT: Final = 1
_KEYS: Final = ("clause", "what", "file", "function", "request")
_INSTALLED = re.compile(r".*/(?:site|dist)-packages/")


@dataclass(frozen=True)
class Ignore:
    """`path`: a pattern for the path of a request or for the file of the finding; empty: any."""

    id: str
    path: str = ""
    reason: str = ""

    def fits(self, finding: Finding) -> bool:
        if finding.clause != self.id:
            return False
        texts = [path_of(request) for request in finding.requests]
        texts += [finding.place.file] if finding.place is not None else []
        return not self.path or any(fnmatchcase(text, self.path) for text in texts)


def path_of(request: str) -> str:
    """The path of a request such as "GET /x?y (variation)": "/x"."""
    return request.split(" ")[1].partition("?")[0] if " " in request else ""


def known_clause(where: str, id: str) -> str:
    """Return `id`. Errors: ConfigError if it is unknown."""
    if id not in clauses():
        raise ConfigError(f'{where}: unknown clause "{id}"; did you mean {nearest(id, clauses())}?')
    return id


def ignored(report: Report, entries: Iterable[Ignore]) -> None:
    for entry in entries:
        report.findings = [
            replace(one, accepted=entry.reason or "ignored") if entry.fits(one) else one
            for one in report.findings
        ]


Entry = tuple[str, str, str, str, str]


def _entry(finding: Finding) -> Entry:
    place = finding.place
    request = finding.requests[0]
    method = request.split(" ")[0]
    return (
        finding.clause,
        finding.type,
        _portable(place.file) if place is not None else "",
        place.function if place is not None else "",
        f"{method} {path_of(request)}".strip(),
    )


def _portable(file: str) -> str:
    """For a file of an installed package, the part of the path that is the same on every
    machine."""
    return _INSTALLED.sub("", file.replace(os.sep, "/"))


def _identity(entry: Entry) -> tuple[str, ...]:
    """The parts that must be equal for two entries to match."""
    clause, what, file, function, request = entry
    return (clause, what, _portable(file), function) if file else (clause, what, request)


def write_baseline(file: str, report: Report) -> None:
    """Errors: ConfigError."""
    counting = (one for one in report.findings if one.severity != "information")
    entries = sorted({_entry(one) for one in counting})
    found = [dict(zip(_KEYS, entry, strict=True)) for entry in entries]
    text = json.dumps({"format": FORMAT, "findings": found}, indent=1) + "\n"
    try:
        Path(file).write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f'--write-baseline: cannot write "{file}": {error}') from None


def read_baseline(file: str) -> frozenset[Entry]:
    """Errors: ConfigError."""
    again = f"write it again with --write-baseline {file}"
    try:
        found: Any = json.loads(Path(file).read_text("utf-8"))
        if found["format"] != FORMAT:
            raise ConfigError(
                f'--baseline: "{file}" has format {found["format"]}, and this version reads'
                f" {FORMAT}; {again}"
            )
        entries = [tuple(str(one[key]) for key in _KEYS) for one in found["findings"]]
    except OSError as error:
        raise ConfigError(f'--baseline: cannot read "{file}": {error}; {again}') from None
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f'--baseline: "{file}" is not a baseline ({error!r}); {again}') from None
    for entry in entries:
        known_clause(f'--baseline: "{file}"', entry[0])
    return frozenset(entries)  # type: ignore[arg-type]


def compared(report: Report, file: str) -> None:
    """Accept findings in the baseline, and report entries that were not found."""
    entries = read_baseline(file)
    known = {_identity(entry) for entry in entries}
    seen = {_identity(_entry(one)) for one in report.findings}
    report.findings = [
        replace(one, accepted="in the baseline") if _identity(_entry(one)) in known else one
        for one in report.findings
    ]
    gone = sorted(entry for entry in entries if _identity(entry) not in seen)
    report.gone = [" ".join(filter(None, entry)) for entry in gone]
