"""The report about the clauses, for a terminal, for programs and for a browser.

text       a table by section, and each clause that did not pass
JSON       everything
JUnit XML  a test case for each clause
Markdown   a table by section, and every clause with its tests
HTML       one page that needs nothing else, with a filter
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from xml.etree import ElementTree

from clauses import DECISION, RESULTS, Clause, Shown

from iotax._check.report.html_report import Row, html_page


@dataclass
class Report:
    """`about`: what was run, by name: server, command, versions, commit, date."""

    about: Mapping[str, str]
    clauses: list[Clause]


def sections_of(clauses: Iterable[Clause]) -> list[str]:
    return list(dict.fromkeys(clause.section for clause in clauses))


def kinds_of(clauses: Iterable[Clause]) -> list[tuple[str, list[Clause]]]:
    """The obligations and the decisions, apart."""
    kinds: dict[str, list[Clause]] = {"clauses": [], "decisions": []}
    for clause in clauses:
        kinds["decisions" if clause.level == DECISION else "clauses"].append(clause)
    return [(name, found) for name, found in kinds.items() if found]


def passed(clauses: Iterable[Clause]) -> int:
    return sum(clause.result == "passed" for clause in clauses)


def total(clauses: Iterable[Clause]) -> str:
    kinds = kinds_of(clauses)
    return ", ".join(f"{passed(found)} of {len(found)} {name}" for name, found in kinds) + " passed"


def seen_results(clauses: Iterable[Clause]) -> list[str]:
    found = {clause.result for clause in clauses}
    return [result for result in RESULTS if result in found | {"passed", "failed"}]


def lines(clauses: list[Clause]) -> Iterator[str]:
    """A table, one line for each section."""
    results = seen_results(clauses)
    yield f"{'':44}" + "".join(f"{result:>16}" for result in results)
    for section in [*sections_of(clauses), "all"]:
        counts = Counter(clause.result for clause in clauses if section in (clause.section, "all"))
        yield f"{section:44}" + "".join(f"{counts[result] or '-':>16}" for result in results)
    for result in ("failed", "not met", "not tested"):
        if ids := [clause.id for clause in clauses if clause.result == result]:
            yield f"{result}: {' '.join(ids)}"
    for name, found in kinds_of(clauses):
        yield f"{name}: {passed(found)} of {len(found)} passed"


def text(report: Report) -> str:
    parts = [f"{name}: {value}" for name, value in report.about.items()]
    parts += ["", *lines(report.clauses)]
    for clause in report.clauses:
        if clause.result != "passed":
            parts += ["", f"{clause.id} {clause.level}, {clause.result}: {clause.text}"]
            parts += [f"  {line}" for line in _evidence(clause)]
    return "\n".join(parts) + "\n"


def as_json(report: Report) -> str:
    return json.dumps(asdict(report), indent=1) + "\n"


def junit(report: Report) -> str:
    """Clauses that neither passed nor failed are skipped."""
    counts = Counter(clause.result for clause in report.clauses)
    suite = ElementTree.Element(
        "testsuite",
        name="PEP 3333",
        tests=str(len(report.clauses)),
        failures=str(counts["failed"]),
        errors="0",
        skipped=str(len(report.clauses) - counts["passed"] - counts["failed"]),
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in report.about.items():
        ElementTree.SubElement(properties, "property", name=name, value=value)
    for clause in report.clauses:
        case = ElementTree.SubElement(
            suite, "testcase", classname=clause.section, name=f"{clause.id} {clause.level}"
        )
        if clause.result == "failed":
            found = ElementTree.SubElement(case, "failure", message=clause.text)
            found.text = _for_xml("\n".join(_evidence(clause)))
        elif clause.result != "passed":
            message = "; ".join(filter(None, [clause.result, clause.note]))
            ElementTree.SubElement(case, "skipped", message=message)
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def markdown(report: Report) -> str:
    about = [f"- {name}: {_escaped(value)}" for name, value in report.about.items()]
    parts = [f"# PEP 3333: {total(report.clauses)}", "", *about, ""]
    parts += ["```", *lines(report.clauses), "```"]
    for section in sections_of(report.clauses):
        parts += ["", f"## {section}", "", "| clause | level | result | what it asks | shown by |"]
        parts.append("|---|---|---|---|---|")
        for clause in report.clauses:
            if clause.section == section:
                shown = ". ".join(filter(None, [_escaped(clause.note), *_names(clause.tests)]))
                parts.append(
                    f"| {clause.id} | {_escaped(clause.level)} | {clause.result}"
                    f" | {_escaped(clause.text)} | {shown} |"
                )
    return "\n".join(parts) + "\n"


def page(report: Report) -> str:
    rows = [
        Row(
            clause.section, clause.id, clause.level, clause.result, clause.text, _everything(clause)
        )
        for clause in report.clauses
    ]
    results = sorted(seen_results(report.clauses), key=lambda result: result != "failed")
    return html_page(f"PEP 3333: {total(report.clauses)}", report.about, results, rows)


FORMATS: Mapping[str, Callable[[Report], str]] = {
    "text": text,
    "json": as_json,
    "junit": junit,
    "markdown": markdown,
    "html": page,
}


def _evidence(clause: Clause) -> Iterator[str]:
    """The tests of a clause, with the observation where one failed."""
    if clause.note:
        yield clause.note
    counts = Counter(test.result for test in clause.tests)
    if count := len(clause.tests) - counts["not applicable"]:
        yield f"{counts['passed']} of {count} tests passed"
    for test in clause.tests:
        if test.result == "failed":
            yield name_of(test)
            seen = [*test.said.splitlines(), *test.wire.splitlines()]
            yield from (f"  {line}" for line in seen)
    for reason in dict.fromkeys(
        test.said for test in clause.tests if test.result == "not applicable"
    ):
        yield f"not applicable: {reason}"


def name_of(test: Shown) -> str:
    module, _, name = test.test.partition("::")
    return f"{module.rpartition('/')[2]}::{name}"


def _names(tests: Iterable[Shown]) -> Iterator[str]:
    """A line for each module: its tests, and the number of runs if a test has parameters."""
    modules: dict[str, Counter[str]] = {}
    for test in tests:
        module, _, name = name_of(test).partition("::")
        modules.setdefault(module, Counter())[name.partition("[")[0]] += 1
    for module, names in modules.items():
        each = [f"{name} ({count})" if count > 1 else name for name, count in names.items()]
        yield _escaped(f"{module}: {', '.join(each)}")


def _everything(clause: Clause) -> str:
    good = [name_of(test) for test in clause.tests if test.result == "passed"]
    return "\n".join([*_evidence(clause), *good])


def _escaped(text: str) -> str:
    """Escape text so that Markdown keeps it."""
    return "".join(f"\\{one}" if one in "\\`*_|[]<>" else one for one in text)


def _for_xml(said: str) -> str:
    """Without characters that XML 1.0 does not allow."""
    return "".join(
        one if one in "\t\n" or " " <= one < "\ufffe" else repr(one)[1:-1] for one in said
    )
