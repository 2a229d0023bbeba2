"""The report as one HTML page without other files: a table by section, with filters."""

import html
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from iotax import _iotax
from iotax._check.report.findings import ClauseResult, Report
from iotax._check.report.machine_readable import in_words

_RESULTS: Final = ("fail", "pass", "not exercised", "not checkable")


@dataclass(frozen=True)
class Row:
    """`evidence`: lines that a click shows; empty: none."""

    section: str
    id: str
    level: str
    result: str
    text: str
    evidence: str
    is_open: bool = False


def page(report: Report) -> str:
    """The report of iotax check."""
    results = report.results
    passed = sum(one.outcome == "pass" for one in results)
    about = {
        "checked": f"{report.target}: {report.plan}" if report.plan else report.target,
        "by": f"iotax {_iotax.__version__}",
        "requests": _counted(report),
        "responses": ", ".join(f"{n} x {code}" for code, n in sorted(report.statuses.items())),
        "problem": report.problem,
        "notes": " ".join(report.notes),
        "no longer found": "; ".join(report.gone),
    }
    title = f"iotax check {report.target}: {passed} of {len(results)} clauses passed"
    return html_page(title, about, _RESULTS, [_row(one) for one in results])


def _counted(report: Report) -> str:
    ways = f"ways: {report.ways}, " if report.ways else ""
    return f"{report.requests} in {report.seconds:.1f} s, {ways}URLs: {len(report.routes)}"


def _row(result: ClauseResult) -> Row:
    clause = result.clause
    said = "\n\n".join(f"{one.severity}: {in_words(one)}" for one in result.findings)
    evidence = said or clause.not_checkable
    failed = result.outcome == "fail"
    return Row(
        clause.section, clause.id, clause.level, result.outcome, clause.text, evidence, failed
    )


def html_page(
    title: str, about: Mapping[str, str], results: Sequence[str], rows: Sequence[Row]
) -> str:
    """`about`: names and values above the tables; empty values are left out. `results`: all that a
    row can have; the first one is highlighted."""
    counts = Counter(row.result for row in rows)
    filters = "".join(
        f'<label><input type="checkbox" checked value="{_class(result)}">'
        f" {html.escape(result)} ({counts[result]})</label>"
        for result in results
    )
    listed = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{_text(value)}</dd>"
        for name, value in about.items()
        if value
    )
    bad = f".{_class(results[0])} td:nth-child(3) {{ color: #d33; font-weight: bold; }}"
    return _PAGE.format(
        title=_text(title),
        about=listed,
        filters=filters,
        tables="".join(_tables(rows)),
        bad=bad,
    )


def _tables(rows: Iterable[Row]) -> Iterator[str]:
    sections: dict[str, list[Row]] = {}
    for row in rows:
        sections.setdefault(row.section, []).append(row)
    for section, found in sections.items():
        yield f"<section><h2>{_text(section)}</h2><table>{_HEAD}<tbody>"
        for row in found:
            opened = " open" if row.is_open else ""
            more = (
                f"<details{opened}><summary>evidence</summary><pre>{_text(row.evidence)}</pre>"
                "</details>"
            )
            yield (
                f'<tr class="{_class(row.result)}"><td><code>{_text(row.id)}</code>'
                f"<td>{_text(row.level.replace('_', ' '))}<td>{_text(row.result)}"
                f"<td>{_text(row.text)}{more if row.evidence else ''}"
            )
        yield "</tbody></table></section>\n"


def _text(said: str) -> str:
    """Escape for HTML, and escape characters that browsers do not show."""
    shown = "".join(one if one == "\n" or one.isprintable() else repr(one)[1:-1] for one in said)
    return html.escape(shown)


def _class(result: str) -> str:
    return result.replace(" ", "-")


_HEAD: Final = (
    '<colgroup><col style="width: 8rem"><col style="width: 8rem"><col style="width: 9rem"><col>'
    "</colgroup><thead><tr><th>clause<th>level<th>result<th>what it asks</thead>"
)
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
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
table {{ border-collapse: collapse; width: 100%; table-layout: fixed; }}
th, td {{ text-align: left; vertical-align: top; padding: .35rem .6rem;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }}
{bad}
details {{ color: #888; }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; margin: .3rem 0; }}
</style>
<h1>{title}</h1>
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
