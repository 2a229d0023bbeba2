"""The report for programs: JSON, JUnit XML, annotations of GitHub, SARIF.

JSON         everything; "format" grows when a key changes its meaning
JUnit XML    a test case for each clause
GitHub       a line for each finding, which it shows beside the source
SARIF 2.1.0  for code scanning
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final
from xml.etree import ElementTree

from iotax import _iotax
from iotax._check.report.clauses import Clause, clauses
from iotax._check.report.findings import ClauseResult, Finding, Report

FORMAT: Final = 1
_NOT_IN_XML: Final = re.compile("[^\t\n -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SARIF_LEVELS: Final = {"error": "error", "warning": "warning", "information": "note"}
_SARIF_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def as_json(report: Report) -> str:
    found = {
        "format": FORMAT,
        "iotax": _iotax.__version__,
        "target": report.target,
        "plan": report.plan,
        "exit_code": report.exit_code,
        "problem": report.problem,
        "strict": report.strict,
        "requests": report.requests,
        "ways": report.ways,
        "seconds": round(report.seconds, 3),
        "routes": report.routes,
        "statuses": {str(code): count for code, count in sorted(report.statuses.items())},
        "notes": report.notes,
        "gone": report.gone,
        "clauses": [
            {"outcome": result.outcome, **asdict(result.clause)} for result in report.results
        ],
        "findings": [
            {**asdict(finding), "fails": finding.fails(strict=report.strict)}
            for finding in report.findings
        ],
    }
    return json.dumps(found, indent=1) + "\n"


# ---- JUnit


def junit(report: Report) -> str:
    """A test case for each clause: it fails with findings that count, and is skipped if the clause
    was not exercised."""
    results = report.results
    failures = [_failing(result, report) for result in results]
    suite = ElementTree.Element(
        "testsuite",
        name=f"iotax check {report.target}",
        tests=str(len(results) + bool(report.problem)),
        failures=str(sum(bool(found) for found in failures)),
        errors=str(int(bool(report.problem))),
        skipped=str(sum(result.outcome.startswith("not ") for result in results)),
        time=f"{report.seconds:.3f}",
    )
    for result, found in zip(results, failures, strict=True):
        name = f"{result.clause.id} {result.clause.level}"
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"iotax.check.{result.clause.side}", name=name
        )
        if found:
            failure = ElementTree.SubElement(case, "failure", message=_for_xml(found[0].what))
            failure.text = _for_xml("\n\n".join(map(in_words, found)))
        elif result.outcome.startswith("not "):
            why = result.clause.not_checkable or result.outcome
            ElementTree.SubElement(case, "skipped", message=why)
        elif result.findings:
            said = "\n\n".join(map(in_words, result.findings))
            ElementTree.SubElement(case, "system-out").text = _for_xml(said)
    if report.problem:
        case = ElementTree.SubElement(
            suite, "testcase", classname="iotax.check", name="the run shows something"
        )
        ElementTree.SubElement(case, "error", message=_for_xml(report.problem))
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _failing(result: ClauseResult, report: Report) -> list[Finding]:
    return [one for one in result.findings if one.fails(strict=report.strict)]


def in_words(finding: Finding) -> str:
    """A finding as lines of text: what, where, which requests, advice."""
    clause = clauses()[finding.clause]
    lines = [finding.what]
    if finding.place is not None:
        package = f" ({finding.place.package} {finding.place.version})"
        lines.append(f"at {finding.place}" + (package if finding.place.package else ""))
    lines.append(f"request: {finding.asked}")
    lines += [f"{label}: {said}" for label, said in _said(clause, finding) if said]
    return "\n".join(lines)


def _said(clause: Clause, finding: Finding) -> Iterator[tuple[str, str]]:
    yield "rule", clause.text
    yield "why", clause.why
    yield "instead", clause.instead
    yield "other servers", clause.others
    yield "accepted", finding.accepted


def _for_xml(said: str) -> str:
    """Without the characters that XML 1.0 cannot hold."""
    return "".join(
        one
        if one in "\t\n" or " " <= one <= "\ud7ff" or "\ue000" <= one <= "\ufffd"
        else _escape(one)
        for one in said
    )


def _escape(character: str) -> str:
    return character if character > "\uffff" else repr(character)[1:-1]


# ---- GitHub


def github(report: Report) -> str:
    """Workflow commands. What is accepted or information is left out; a last line says how it
    went."""
    lines = [_annotation(one, report) for one in report.findings if _is_shown(one)]
    if report.problem:
        lines.append(f"::error title=iotax check::{_data(report.problem)}")
    in_packages = report.count_in_packages("error")
    shown = f"{report.count('error') - in_packages} errors"
    shown += f", {in_packages} errors in packages" if in_packages else ""
    shown += f", {report.count('warning')} warnings"
    lines.append(f"iotax check {report.target}: {shown}, {report.requests} requests")
    return "\n".join(line.replace("\n", " ") for line in lines) + "\n"


def _is_shown(finding: Finding) -> bool:
    return not finding.accepted and finding.severity != "information"


def _annotation(finding: Finding, report: Report) -> str:
    kind = "error" if finding.fails(strict=report.strict) else "warning"
    clause = clauses()[finding.clause]
    properties = {}
    if finding.place is not None and not finding.place.package:
        properties = {"file": _in_repository(finding.place.file), "line": str(finding.place.line)}
    properties["title"] = f"{finding.clause} {clause.level.replace('_', ' ')}"
    listed = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{kind} {listed}::{_data(in_words(finding))}"


def _in_repository(file: str) -> str:
    """Relative to the repository, which GITHUB_WORKSPACE names."""
    root = os.environ.get("GITHUB_WORKSPACE", "")
    path = os.path.abspath(file)
    inside = root and path.startswith(os.path.join(os.path.abspath(root), ""))
    return os.path.relpath(path, root) if inside else file


def _data(said: str) -> str:
    said = said.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in said)


def _property(said: str) -> str:
    return _data(said).replace(":", "%3A").replace(",", "%2C")


# ---- SARIF


def sarif(report: Report) -> str:
    seen = {finding.clause for finding in report.findings}
    rules = [clause for clause in clauses().values() if clause.id in seen]
    ids = [clause.id for clause in rules]
    run = {
        "tool": {
            "driver": {
                "name": "iotax check",
                "version": _iotax.__version__,
                "rules": [_rule(clause) for clause in rules],
            }
        },
        "invocations": [{"executionSuccessful": not report.problem, "exitCode": report.exit_code}],
        "results": [
            {"ruleIndex": ids.index(one.clause), **_result(one)} for one in report.findings
        ],
    }
    found = {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(found, indent=1) + "\n"


def _rule(clause: Clause) -> dict[str, Any]:
    help = "\n\n".join(part for part in (clause.why, clause.instead, clause.others) if part)
    return {
        "id": clause.id,
        "shortDescription": {"text": clause.text},
        "help": {"text": help or clause.text},
        "properties": {"level": clause.level, "section": clause.section},
    }


def _result(finding: Finding) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ruleId": finding.clause,
        "level": _SARIF_LEVELS[finding.severity],
        "message": {"text": f"{finding.what} ({finding.asked})"},
        "occurrenceCount": finding.times,
    }
    if finding.place is not None:
        uri = _in_repository(finding.place.file).replace(os.sep, "/")
        found["locations"] = [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": uri},
                    "region": {"startLine": finding.place.line},
                }
            }
        ]
    if finding.accepted:
        found["suppressions"] = [{"kind": "external", "justification": finding.accepted}]
    return found
