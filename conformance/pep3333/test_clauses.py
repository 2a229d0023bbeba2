"""The data files are complete and correct, and the report names the tests that ran."""

from pathlib import Path

import clauses
import pytest
import reports
from clauses import Shown


def test_every_clause_has_a_test_or_an_entry() -> None:
    objections = clauses.objections(
        clauses.of_the_server() | clauses.decisions(),
        clauses.ids_with_a_test(),
        (entry["id"] for entry in clauses.table("not_checkable.toml")),
        (entry["id"] for entry in clauses.table("not_met.toml")),
    )
    assert objections == []


@pytest.mark.parametrize("name", ["not_checkable.toml", "not_met.toml"])
def test_every_entry_has_a_reason(name: str) -> None:
    for entry in clauses.table(name):
        assert entry.keys() - {"where"} == {"id", "reason"}
        assert entry["reason"]


def test_every_must_is_met() -> None:
    for entry in clauses.table("not_met.toml"):
        clause = (clauses.of_the_server() | clauses.decisions())[entry["id"]]
        assert not clause["level"].startswith("MUST")


def test_the_decisions_are_complete() -> None:
    entries = clauses.table("beyond.toml")
    assert len({entry["id"] for entry in entries}) == len(entries)
    for entry in entries:
        assert entry.keys() == {"id", "topic", "text"}
        assert entry["text"].endswith(".")


def test_where_an_entry_points_there_is_something_to_read() -> None:
    root = clauses.HERE.parent.parent
    for entry in clauses.table("not_checkable.toml"):
        for file, words in entry.get("where", {}).items():
            assert words in (root / file).read_text("utf-8"), f"{entry['id']}: {file}"


def test_the_obligations_are_complete() -> None:
    entries = clauses.table("obligations.toml")
    assert len({entry["id"] for entry in entries}) == len(entries) == 228
    for entry in entries:
        assert entry.keys() - {"notes"} == {
            "id",
            "side",
            "level",
            "section",
            "basis",
            "verify",
            "text",
            "check",
        }
        assert entry["side"][0].upper() == entry["id"][0]
        assert entry["level"] in ("MUST", "MUST_NOT", "SHOULD", "SHOULD_NOT", "MAY")


@pytest.mark.parametrize(
    ("tested", "not_checkable", "not_met", "objection"),
    [
        (["S-1"], [], [], "S-2 has no test and no entry"),
        (["S-1", "S-2"], ["S-2"], [], "S-2 has a test and is listed as having none"),
        (["S-1", "S-2"], [], ["S-2"], "S-2 has a test and is listed as having none"),
        (["S-1", "S-2", "S-3"], [], [], "S-3 is unknown"),
        (["S-1", "S-2"], [], ["A-1"], "A-1 is unknown"),
        (["S-1"], ["S-2"], ["S-2"], "S-2 is listed 2 times"),
    ],
)
def test_errors_in_the_lists_are_found(
    tested: list[str], not_checkable: list[str], not_met: list[str], objection: str
) -> None:
    assert clauses.objections(["S-1", "S-2"], tested, not_checkable, not_met) == [objection]


def test_the_ids_of_a_module_are_found() -> None:
    source = """
@pytest.mark.obligation("S-1", "S-2")
@pytest.mark.parametrize("x", [1])
def test(x): pass
@pytest.mark.obligation("S-3")
def test_another(): pass
"""
    assert sorted(clauses.ids_in(source)) == ["S-1", "S-2", "S-3"]


def test_what_is_made_of_each_may_is_recorded() -> None:
    server = clauses.of_the_server().values()
    uses = clauses.table("uses.toml")
    assert [entry["id"] for entry in uses] == [
        entry["id"] for entry in server if entry["level"] == "MAY"
    ]
    for entry in uses:
        assert entry.keys() == {"id", "used", "how"}
        assert isinstance(entry["used"], bool)
        assert entry["how"]


def shown(**tests: bool) -> dict[str, Shown]:
    return {
        name: Shown(name, "passed" if passed else "failed", "" if passed else "seen")
        for name, passed in tests.items()
    }


def test_the_report_names_the_tests_that_ran(tmp_path: Path) -> None:
    outcomes = {"S-SR-06": shown(a=True, b=True), "S-SR-08": shown(c=True, d=False)}
    of_another = {clause.id: clause for clause in clauses.report(outcomes, of_iotax=False)}
    found = {clause.id: clause for clause in clauses.report(outcomes, of_iotax=True)}
    assert found["S-SR-06"].result == "passed"
    assert [test.test for test in found["S-SR-06"].tests] == ["a", "b"]
    assert found["S-SR-08"].result == "failed"
    assert found["S-SR-10"].result == "not tested"
    assert found["S-EXT-02"].result == "not checkable"
    assert "no extension" in found["S-EXT-02"].note
    assert found["S-ITER-03"].note.startswith("not used: ")
    assert of_another["S-ITER-03"].note == ""
    assert [clause.result for clause in found.values()].count("passed") == 1
    clauses.write(list(found.values()), tmp_path / "report")
    assert clauses.read(tmp_path / "report") == list(found.values())
    assert len(found) == len(clauses.of_the_server() | clauses.decisions())
    text = list(reports.lines(list(found.values())))
    assert f"clauses: 1 of {len(clauses.of_the_server())} passed" in text
    assert f"decisions: 0 of {len(clauses.decisions())} passed" in text
    assert "failed: S-SR-08" in text
