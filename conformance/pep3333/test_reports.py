"""The report has the same content in each format, and its page works in a browser."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import reports
from clauses import Clause, Shown
from reports import Report
from support.browser import Browser

REPORT = Report(
    {"server": "a & b", "command": "a --port {port}"},
    [
        Clause(
            "S-A-01",
            "MUST",
            "One",
            "It must <answer>.",
            "passed",
            "",
            [Shown("x/t.py::a", "passed")],
        ),
        Clause(
            "S-A-02",
            "SHOULD",
            "One",
            "It should close.",
            "failed",
            "",
            [
                Shown("t.py::b", "passed"),
                Shown("t.py::c", "failed", "assert b'\x00' == '<x>'\nmore", "sent b'GET'"),
                Shown("t.py::d", "not applicable", "it is given options"),
            ],
        ),
        Clause("S-B-01", "MAY", "Two", "It may wait.", "not checkable", "nobody sees it"),
        Clause("S-B-02", "MUST", "Two", "It must not.", "not tested", "there is no test yet"),
        Clause("B-A-01", "decision", "Three", "It is __kept__.", "not met", "there is no option"),
    ],
)


def test_text() -> None:
    text = reports.text(REPORT)
    assert "server: a & b\n" in text
    assert "clauses: 1 of 4 passed" in text
    assert (
        "S-A-02 SHOULD, failed: It should close.\n  1 of 2 tests passed\n  t.py::c\n    assert"
        in text
    )
    assert "S-B-01 MAY, not checkable: It may wait.\n  nobody sees it\n" in text
    assert "S-A-01 " not in text


def test_json() -> None:
    found = json.loads(reports.as_json(REPORT))
    assert found["about"]["server"] == "a & b"
    assert [clause["result"] for clause in found["clauses"]] == [
        clause.result for clause in REPORT.clauses
    ]
    assert found["clauses"][1]["tests"][1]["said"].endswith("more")


def test_junit() -> None:
    suite = ElementTree.fromstring(reports.junit(REPORT))
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "5", "failures": "1", "errors": "0", "skipped": "3"}
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert list(cases["S-A-01 MUST"]) == []
    failure = cases["S-A-02 SHOULD"].find("failure")
    assert failure is not None
    assert failure.text is not None
    assert "'<x>'" in failure.text
    skipped = cases["S-B-01 MAY"].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "not checkable; nobody sees it"


SHOWN = """
[...document.querySelectorAll("tbody tr")].filter(row => row.offsetParent !== null)
    .map(row => row.querySelector("code").textContent).join(" ")
"""


@pytest.mark.browser
def test_page_in_a_browser(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(reports.page(REPORT), encoding="utf-8")
    with Browser(tmp_path / "profile") as browser:
        browser.open(page.as_uri())
        assert (
            browser.evaluate("document.title")
            == "PEP 3333: 1 of 4 clauses, 0 of 1 decisions passed"
        )
        assert browser.evaluate(SHOWN) == "S-A-01 S-A-02 S-B-01 S-B-02 B-A-01"
        assert "It must <answer>." in browser.evaluate("document.body.innerText")
        fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        assert browser.evaluate(fits) is True
        browser.evaluate("document.querySelector('[value=passed]').click()")
        assert browser.evaluate(SHOWN) == "S-A-02 S-B-01 S-B-02 B-A-01"
        type_ = "const box = document.querySelector('[type=search]'); box.value = 'SHOULD';"
        browser.evaluate(type_ + "box.dispatchEvent(new Event('input', {bubbles: true}))")
        assert browser.evaluate(SHOWN) == "S-A-02"
        assert browser.evaluate("document.querySelectorAll('section:not([hidden])').length") == 1
