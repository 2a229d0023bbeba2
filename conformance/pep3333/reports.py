"""The report about the clauses, for a terminal, for programs and for a browser.

text       a table by section, and each clause that did not pass
JSON       everything
JUnit XML  a test case for each clause
HTML       one page that needs nothing else, with a filter
"""

import html
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from xml.etree import ElementTree

from clauses import Clause

RESULTS = ("passed", "failed", "not checkable", "not tested")


@dataclass
class Report:
    """`about`: what was run, by name: server, command, versions, commit, date."""

    about: Mapping[str, str]
    clauses: list[Clause]


def lines(clauses: list[Clause]) -> Iterator[str]:
    """A table, one line for each section."""
    yield f"{'':44}" + "".join(f"{result:>14}" for result in RESULTS)
    sections = list(dict.fromkeys(clause.section for clause in clauses))
    for section in [*sections, "all"]:
        counts = Counter(clause.result for clause in clauses if section in (clause.section, "all"))
        yield f"{section:44}" + "".join(f"{counts[result] or '-':>14}" for result in RESULTS)
    for result in ("failed", "not tested"):
        if ids := [clause.id for clause in clauses if clause.result == result]:
            yield f"{result}: {' '.join(ids)}"
    counts = Counter(clause.result for clause in clauses)
    yield f"clauses: {counts['passed']} of {len(clauses)} passed"


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
    """What is not checkable and what has no test is skipped."""
    counts = Counter(clause.result for clause in report.clauses)
    suite = ElementTree.Element(
        "testsuite",
        name="PEP 3333",
        tests=str(len(report.clauses)),
        failures=str(counts["failed"]),
        errors="0",
        skipped=str(counts["not checkable"] + counts["not tested"]),
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
            ElementTree.SubElement(case, "skipped", message=clause.note or clause.result)
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def page(report: Report) -> str:
    sections = list(dict.fromkeys(clause.section for clause in report.clauses))
    counts = Counter(clause.result for clause in report.clauses)
    filters = "".join(
        f'<label><input type="checkbox" checked value="{_class(result)}">'
        f" {result} ({counts[result]})</label>"
        for result in RESULTS
    )
    about = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>"
        for name, value in report.about.items()
    )
    tables = "".join(
        _table(section, [clause for clause in report.clauses if clause.section == section])
        for section in sections
    )
    total = f"{counts['passed']} of {len(report.clauses)} clauses passed"
    return _PAGE.format(total=total, about=about, filters=filters, tables=tables)


FORMATS: Mapping[str, Callable[[Report], str]] = {
    "text": text,
    "json": as_json,
    "junit": junit,
    "html": page,
}


def _evidence(clause: Clause) -> Iterator[str]:
    """The tests of a clause, with what was seen where one failed."""
    if clause.note:
        yield clause.note
    failed = [test for test in clause.tests if not test.passed]
    if clause.tests:
        yield f"{len(clause.tests) - len(failed)} of {len(clause.tests)} tests passed"
    for test in failed:
        yield test.test.rpartition("/")[2]
        yield from (f"  {line}" for line in test.said.splitlines())


def _table(section: str, clauses: Iterable[Clause]) -> str:
    rows = "".join(
        f'<tr class="{_class(clause.result)}"><td><code>{clause.id}</code><td>{clause.level}'
        f"<td>{clause.result}<td>{html.escape(clause.text)}"
        f"<details><summary>evidence</summary><pre>{_tests(clause)}</pre></details>"
        for clause in clauses
    )
    return (
        f"<section><h2>{html.escape(section)}</h2><table><thead><tr><th>clause<th>level<th>result"
        f"<th>what it asks</thead><tbody>{rows}</tbody></table></section>"
    )


def _tests(clause: Clause) -> str:
    passed = [test.test.rpartition("/")[2] for test in clause.tests if test.passed]
    return html.escape("\n".join([*_evidence(clause), *passed]))


def _class(result: str) -> str:
    return result.replace(" ", "-")


def _for_xml(said: str) -> str:
    """Without the characters that XML 1.0 cannot hold."""
    return "".join(
        one if one in "\t\n" or " " <= one < "\ufffe" else repr(one)[1:-1] for one in said
    )


_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>PEP 3333: {total}</title>
<style>
:root {{ color-scheme: light dark; --line: #8884; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto;
  padding: 0 1rem; }}
h1 {{ font-size: 1.6rem; }} h2 {{ font-size: 1.1rem; margin: 2rem 0 .5rem; }}
dl {{ display: grid; grid-template-columns: max-content auto; gap: 0 1rem; }}
dt {{ color: #888; }} dd {{ margin: 0; overflow-wrap: anywhere; }}
form {{ display: flex; flex-wrap: wrap; gap: .5rem 1.2rem; padding: .6rem 0;
  position: sticky; top: 0; background: Canvas; border-bottom: 1px solid var(--line); }}
input[type=search] {{ flex: 1 1 14rem; font: inherit; padding: .1rem .4rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; vertical-align: top; padding: .35rem .6rem;
  border-bottom: 1px solid var(--line); }}
td:nth-child(-n+3) {{ white-space: nowrap; }}
.passed td:nth-child(3) {{ color: #2e8b57; }}
.failed td:nth-child(3) {{ color: #d33; font-weight: bold; }}
details {{ color: #888; }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; margin: .3rem 0; }}
</style>
<h1>PEP 3333: {total}</h1>
<dl>{about}</dl>
<form>{filters}<input type="search" placeholder="id, level or words" aria-label="filter"></form>
{tables}
<script>
const form = document.querySelector("form");
function filter() {{
  const shown = new Set([...form.querySelectorAll(":checked")].map(box => box.value));
  const words = form.querySelector("[type=search]").value.toLowerCase();
  for (const section of document.querySelectorAll("section")) {{
    let any = false;
    for (const row of section.querySelectorAll("tbody tr")) {{
      row.hidden = !shown.has(row.className) || !row.textContent.toLowerCase().includes(words);
      any ||= !row.hidden;
    }}
    section.hidden = !any;
  }}
}}
form.addEventListener("input", filter);
form.addEventListener("submit", event => event.preventDefault());
</script>
</html>
"""
