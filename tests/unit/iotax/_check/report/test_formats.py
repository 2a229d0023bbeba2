"""The formats of the report, with text that needs escaping in each of them."""

import json
from collections import Counter
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from iotax._check.report.findings import Finding, Place, Report
from iotax._check.report.formats import FORMATS, text
from iotax._check.report.machine_readable import github

HOSTILE = "a::b %0A ]]> </script> \x1b[31m \x00 \udcff \u20ac\nnext"
CRASH = Finding(
    "A-EXC-01",
    "warning",
    HOSTILE,
    ("GET /x (a variation)", "GET /x", "HEAD /x", "GET /y", "GET /z"),
    Place("lib/site-packages/shop/views.py", 3, "view", "shop", "1.2"),
)
PACKAGED = replace(CRASH, severity="error", what="It fails.")
ALSO_PACKAGED = replace(PACKAGED, clause="A-SR-04")
LENGTH = Finding("A-CL-01", "error", "Wrong.", ("GET /",), Place("a,b:c.py", 9, "index"))
NOTE = Finding("A-BUF-02", "information", "Two blocks.", ("GET /",))
KNOWN = Finding("A-SR-04", "error", "No reason.", ("GET /",), accepted="legacy")


@pytest.fixture
def report():
    return Report(
        "main:app",
        plan="sends GET to 2 URLs",
        requests=7,
        seconds=0.25,
        routes=["/", "/x"],
        statuses=Counter({200: 5, 500: 2}),
        findings=[LENGTH, CRASH, NOTE, KNOWN],
        exercised={"A-STR-01"},
        notes=["After GET /x /x was left."],
        gone=["A-WR-01 main.py"],
    )


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_can_be_written(report, form):
    written = FORMATS[form](report)

    assert written.endswith("\n")
    assert "\x1b" not in written
    assert "\x00" not in written
    written.encode("utf-8", "backslashreplace")


def test_text_has_finding_place_and_advice(report):
    lines = text(report).splitlines()

    assert lines[0] == "iotax check main:app: sends GET to 2 URLs"
    assert "error  A-CL-01 SHOULD: Wrong." in lines
    assert "  at       a,b:c.py:9, in index" in lines
    assert "  at       lib/site-packages/shop/views.py:3, in view (shop 1.2)" in lines
    assert "  request  GET /x, HEAD /x, GET /y and 1 more" in lines
    assert "After GET /x /x was left." in lines
    assert "no longer found, remove it from the baseline: A-WR-01 main.py" in lines
    assert "7 requests to 2 URLs in 0.2 s: 5 x 200, 2 x 500" in lines
    assert lines[-1] == "FAILED: 1 error, 1 warning, 1 accepted, 1 information (-v shows all)"
    assert "Two blocks." not in text(report)
    assert "Two blocks." in text(report, verbose=True)
    assert "  accepted legacy" in text(report, verbose=True).splitlines()
    assert "\x1b[31merror\x1b[0m  A-CL-01" in text(report, color=True)


def test_text_is_short_when_nothing_was_found():
    clean = Report("main:app", "sends GET to 1 URL", requests=3, statuses=Counter({200: 3}))

    lines = text(clean).splitlines()

    assert lines[1].startswith("3 requests in ")
    assert lines[-1] == "passed: nothing found"


def test_text_counts_requests_and_ways():
    counted = Report("main:app", requests=42, ways=16, routes=["/"], statuses=Counter({200: 42}))

    assert "42 requests, in 16 ways, to 1 URL in 0.0 s: 42 x 200" in text(counted).splitlines()
    assert json.loads(FORMATS["json"](counted))["ways"] == 16
    assert "ways: 16, URLs: 1" in FORMATS["html"](counted)


@pytest.mark.parametrize(
    ("found", "strict", "last_line"),
    [
        ([PACKAGED], False, "passed: 1 error in packages"),
        ([PACKAGED, ALSO_PACKAGED], False, "passed: 2 errors in packages"),
        ([PACKAGED, LENGTH], False, "FAILED: 1 error, 1 error in packages"),
        ([PACKAGED, CRASH], False, "passed: 1 error in packages, 1 warning"),
        ([PACKAGED], True, "FAILED: 1 error"),
    ],
)
def test_last_line_counts_errors_in_packages(found, strict, last_line):
    report = Report("main:app", findings=found, strict=strict)

    assert text(report).splitlines()[-1] == last_line
    in_packages = last_line.partition("in packages")[1]
    assert ("errors in packages" in github(report)) == bool(in_packages)


def test_run_without_results_is_reported_in_every_format():
    empty = Report("main:app", problem="no request got a 2xx or 3xx response")

    for form, write in FORMATS.items():
        assert ("executionSuccessful" if form == "sarif" else empty.problem) in write(empty)
    assert json.loads(FORMATS["sarif"](empty))["runs"][0]["invocations"] == [
        {"executionSuccessful": False, "exitCode": 1}
    ]


def test_json_has_everything(report):
    found = json.loads(FORMATS["json"](report))

    assert found["format"] == 1
    assert found["exit_code"] == 1
    assert found["statuses"] == {"200": 5, "500": 2}
    assert [one["fails"] for one in found["findings"]] == [True, False, False, False]
    assert found["findings"][1]["what"] == HOSTILE
    outcomes = {one["id"]: one["outcome"] for one in found["clauses"]}
    assert (outcomes["A-CL-01"], outcomes["A-STR-01"]) == ("fail", "pass")
    assert outcomes["A-WR-01"] == "not exercised"


def test_junit_is_xml_with_a_case_for_each_clause(report):
    suite = ElementTree.fromstring(FORMATS["junit"](report))

    cases = {case.get("name"): case for case in suite}
    assert len(cases) == int(suite.get("tests")) == len(report.results)
    assert suite.get("failures") == "1"
    assert cases["A-CL-01 SHOULD"].find("failure").get("message") == "Wrong."
    assert cases["A-EXC-01 SHOULD"].find("failure") is None
    assert "]]>" in cases["A-EXC-01 SHOULD"].find("system-out").text
    assert cases["A-WR-01 SHOULD_NOT"].find("skipped").get("message") == "not exercised"


def test_github_gets_one_line_for_each_finding_that_counts(report, monkeypatch):
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    lines = github(report).splitlines()

    assert lines[0].startswith("::error file=a%2Cb%3Ac.py,line=9,title=A-CL-01 SHOULD::Wrong.%0A")
    assert lines[1].startswith(
        "::warning title=A-EXC-01 SHOULD::a::b %250A ]]> </script> \\x1b[31m"
    )
    assert "\\udcff" in lines[1]
    assert lines[2] == "iotax check main:app: 1 errors, 1 warnings, 7 requests"
    assert len(lines) == 3


def test_github_names_files_as_the_repository_does(monkeypatch, tmp_path):
    (tmp_path / "site").mkdir()
    monkeypatch.chdir(tmp_path / "site")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    finding = Finding("A-CL-01", "error", "Wrong.", ("GET /",), Place("main.py", 9))

    assert "file=site/main.py,line=9," in github(Report("main:app", findings=[finding]))


def test_sarif_has_rules_results_and_suppressions(report):
    (run,) = json.loads(FORMATS["sarif"](report))["runs"]

    ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert set(ids) == {"A-CL-01", "A-EXC-01", "A-BUF-02", "A-SR-04"}
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
    levels = [result["level"] for result in run["results"]]
    assert levels == ["error", "warning", "note", "error"]
    location = run["results"][0]["locations"][0]["physicalLocation"]
    assert location == {
        "artifactLocation": {"uri": "a,b:c.py"},
        "region": {"startLine": 9},
    }
    assert run["results"][3]["suppressions"] == [{"kind": "external", "justification": "legacy"}]


def test_html_shows_texts_as_texts(report):
    written = FORMATS["html"](report)

    assert written.count("<tr class=") == len(report.results)
    assert written.count("</script>") == 1
    assert "&lt;/script&gt;" in written
    assert "\\x1b[31m" in written
    assert '<tr class="fail"><td><code>A-CL-01</code>' in written
    assert "0 of" not in written.partition("</title>")[0]
