"""The advice for each clause."""

import tomllib
from importlib import resources

import pytest

from iotax._check.report.clauses import clauses

ADVICE = tomllib.loads(
    resources.files("iotax").joinpath("_check/report/advice.toml").read_text("utf-8")
)
RULES = [one for one in clauses().values() if one.level != "MAY" and not one.not_checkable]


@pytest.mark.parametrize("clause", RULES, ids=lambda clause: clause.id)
def test_every_rule_has_a_reason_and_an_alternative(clause):
    for said in (clause.why, clause.instead):
        assert said.endswith((".", ")", "'")), said
        assert said.isprintable()


def test_advice_is_for_clauses_that_there_are():
    assert set(ADVICE["clause"]) <= set(clauses())
    assert set(ADVICE) == {"clause"}
