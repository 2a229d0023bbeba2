"""The checker finds the violation of each small application, and nothing in its correct twin."""

from functools import cache
from pathlib import Path

import pytest
from proof import PAIRS, applications, checked

from iotax._check.report.clauses import clauses

HERE = Path(__file__).parent
applications()

# Tested with processes that the checker starts itself, in tests/unit/iotax/_check/test_command.py.
OWN = {"C-TIME-01", "C-LIVE-01"}
BROKEN = [pair for pair in PAIRS if pair.broken is not None]


@cache
def of_broken(pair):
    """Once: some of them work only once."""
    return checked(pair.broken, pair)


def name_of(pair):
    return f"{pair.clause}-{pair.name}"


@pytest.mark.parametrize("pair", BROKEN, ids=name_of)
def test_broken_application_gets_exactly_its_finding(pair):
    seen = of_broken(pair)

    if pair.severity == "information":
        assert seen.ids == set()
        assert pair.clause in {one.clause for one in seen.findings}
        return
    assert seen.ids == {pair.clause}, seen.findings
    expected = pair.severity or ("error" if clauses()[pair.clause].is_must else None)
    if expected is not None:
        assert {one.severity for one in seen.findings if one.severity != "information"} == {
            expected
        }


@pytest.mark.parametrize("pair", BROKEN, ids=name_of)
def test_the_place_is_a_line_of_the_application(pair):
    seen = of_broken(pair)

    (first, *_) = [one for one in seen.findings if one.clause == pair.clause]
    assert first.place is not None
    assert Path(first.place.file).parent == (HERE / "applications").relative_to(Path.cwd())


@pytest.mark.parametrize("pair", PAIRS, ids=name_of)
def test_correct_application_gets_no_finding(pair):
    seen = checked(pair.sound, pair)

    found = [one for one in seen.findings if one.severity != "information"]
    # Using write() is allowed, but not recommended.
    assert {one.clause for one in found} <= ({"A-WR-01"} if "A-WR" in pair.clause else set()), found
    assert pair.clause in seen.exercised


def test_every_clause_that_can_be_checked_has_a_proof():
    checkable = {clause.id for clause in clauses().values() if not clause.not_checkable} - OWN
    musts = {id for id in checkable if clauses()[id].level != "MAY"}

    assert {pair.clause for pair in PAIRS} == checkable
    assert musts - {pair.clause for pair in BROKEN} == set()
