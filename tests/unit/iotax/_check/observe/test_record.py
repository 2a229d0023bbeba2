"""The record of a call, and the severity of its findings."""

from dataclasses import replace

from iotax._check.observe import record as module
from iotax._check.observe.blame import Trail
from iotax._check.observe.record import Record, shown
from iotax._check.report.clauses import clauses
from iotax._iotax import __version__


def severity_of(clause, **more):
    record = Record("GET /", Trail())
    record.report(clause, "It is wrong.", **more)
    return record.findings[0].severity


def test_level_gives_the_default_severity():
    assert severity_of("A-STR-01") == "error"
    assert severity_of("A-WR-01") == "warning"
    assert severity_of("A-STR-01", severity="warning") == "warning"


def test_a_new_check_only_warns_in_its_first_minor_release(monkeypatch):
    minor = __version__.rpartition(".")[0]

    def with_clause(warns_in):
        changed = {**clauses(), "A-STR-01": replace(clauses()["A-STR-01"], warns_in=warns_in)}
        monkeypatch.setattr(module, "clauses", lambda: changed)

    with_clause(minor)
    assert severity_of("A-STR-01") == "warning"
    with_clause("0.0")
    assert severity_of("A-STR-01") == "error"


def test_shown_value_is_short_and_on_one_line():
    class Broken:
        def __repr__(self):
            raise ValueError

    assert shown("a\nb") == "'a\\nb'"
    assert len(shown("x" * 1000)) == 60
    assert shown(Broken()) == "<Broken>"
