"""Exit codes, results of clauses, and merging of findings."""

from dataclasses import replace

import pytest

from iotax._check.report.clauses import clauses
from iotax._check.report.findings import Finding, Place, Report, merged

OWN = Place("main.py", 7, "view")
PACKAGED = Place("lib/site-packages/shop/views.py", 3, "view", "shop", "1.2")


def finding(clause="A-STR-01", severity="error", what="It is wrong.", **more):
    return Finding(clause, severity, what, ("GET /",), **more)


def test_the_clauses_are_those_of_applications_and_middleware_and_the_checkers_own():
    sides = [clause.side for clause in clauses().values()]

    assert sides.count("application") == 63 + 2
    assert sides.count("middleware") == 18
    assert all(clause.text and clause.section for clause in clauses().values())


@pytest.mark.parametrize(
    ("found", "code", "strict_code"),
    [
        ([], 0, 0),
        ([finding()], 1, 1),
        ([finding(place=OWN)], 1, 1),
        ([finding(place=PACKAGED)], 0, 1),
        ([finding(severity="warning")], 0, 1),
        ([finding(severity="information")], 0, 0),
        ([finding(accepted="known")], 0, 0),
    ],
)
def test_findings_give_the_exit_code(found, code, strict_code):
    assert Report("main:app", findings=found).exit_code == code
    assert Report("main:app", findings=found, strict=True).exit_code == strict_code


def test_a_run_without_successful_requests_fails():
    assert Report("main:app", problem="no request got a 2xx or 3xx").exit_code == 1


def test_every_clause_has_a_result():
    report = Report(
        "main:app",
        findings=[finding(), finding("A-SR-04", accepted="known"), finding("A-WR-01", "warning")],
        exercised={"A-STR-01", "A-STR-02"},
    )

    outcomes = {result.clause.id: result.outcome for result in report.results}

    assert outcomes["A-STR-01"] == "fail"
    assert outcomes["A-WR-01"] == "fail"
    assert outcomes["A-STR-02"] == "pass"
    assert outcomes["A-SR-04"] == "pass"
    assert outcomes["A-CL-01"] == "not exercised"
    assert "M-GEN-01" not in outcomes


def test_texts_that_differ_from_call_to_call_do_not_make_several_findings():
    texts = ("no handler for <object at 0x1>", "no handler for <object at 0x2>")
    found = [finding(what=text, kind="It raises ValueError", place=OWN) for text in texts]
    other_type = finding(what=texts[0], kind="It raises KeyError", place=OWN)
    elsewhere = finding(what=texts[0], kind="It raises ValueError", place=PACKAGED)

    assert merged([*found, other_type, elsewhere]) == [
        replace(found[0], times=2),
        other_type,
        elsewhere,
    ]


def test_errors_in_packages_are_counted_apart_unless_they_fail_the_run():
    found = [finding(), finding(place=PACKAGED), finding(place=PACKAGED, accepted="known")]

    assert Report("main:app", findings=found).count_in_packages("error") == 1
    assert Report("main:app", findings=found).count_in_packages("warning") == 0
    assert Report("main:app", findings=found, strict=True).count_in_packages("error") == 0


def test_equal_findings_are_merged_with_their_requests():
    first = Finding("A-SR-04", "warning", "No reason.", ("GET /",), OWN)
    again = Finding("A-SR-04", "warning", "No reason.", ("HEAD /",), OWN, times=2)
    other = Finding("A-STR-01", "error", "Bytes.", ("GET /",))

    assert merged([first, again, other]) == [
        other,
        Finding("A-SR-04", "warning", "No reason.", ("GET /", "HEAD /"), OWN, times=3),
    ]
