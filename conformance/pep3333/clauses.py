"""The clauses, the tests that name them, and their results in a run.

obligations.toml     what PEP 3333 requires of a server, an application and middleware
beyond.toml          what the PEP leaves open: a decision for each
not_checkable.toml   clauses that no test can show, and where to look instead
not_met.toml         clauses that iotax does not meet, and why
uses.toml            how iotax uses each MAY

A clause is an obligation of the server, or a decision.
"""

import ast
import json
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = ("passed", "failed", "not met", "not checkable", "not applicable", "not tested")
DECISION = "decision"  # in place of the level of an obligation

# Notes about a server other than iotax, which the data files do not describe.
UNSEEN = "it is not seen from outside: read the server's documentation and its source"
NO_TEST = "this suite has no test of it"


@dataclass
class Shown:
    """A test that names a clause. `result`: passed, failed or not applicable. `said`: what was
    observed instead, or why it does not apply. `wire`: the bytes on the connections."""

    test: str
    result: str
    said: str = ""
    wire: str = ""


@dataclass
class Clause:
    """A clause with its result. `note`: why there is no test, or how a MAY is used."""

    id: str
    level: str
    section: str
    text: str
    result: str = "not tested"
    note: str = ""
    tests: list[Shown] = field(default_factory=list)


def table(name: str) -> list[dict[str, Any]]:
    """The entries of the one list in a data file of this directory."""
    data = tomllib.loads((HERE / name).read_text("ascii"))
    lists = [value for value in data.values() if isinstance(value, list)]
    assert len(lists) <= 1, f"{name} holds {len(lists)} lists"
    return lists[0] if lists else []


def of_the_server() -> dict[str, dict[str, Any]]:
    return {entry["id"]: entry for entry in table("obligations.toml") if entry["side"] == "server"}


def decisions() -> dict[str, dict[str, Any]]:
    """With the level and the section that reports show."""
    sections = tomllib.loads((HERE / "beyond.toml").read_text("ascii"))["sections"]
    return {
        entry["id"]: {
            **entry,
            "level": DECISION,
            "section": f"Beyond the PEP: {sections[entry['topic'].partition('.')[0]]}",
        }
        for entry in table("beyond.toml")
    }


def ids_in(source: str) -> Iterator[str]:
    """The arguments of every mark `obligation(...)` in a test module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.obligation":
            for argument in node.args:
                yield ast.literal_eval(argument)


def ids_with_a_test() -> Iterator[str]:
    for module in sorted(HERE.glob("test_*.py")):
        yield from ids_in(module.read_text("ascii"))


def objections(
    known: Iterable[str],
    tested: Iterable[str],
    not_checkable: Iterable[str],
    not_met: Iterable[str],
) -> list[str]:
    """Errors in the data files: every clause has tests, or one entry and no test."""
    known, tested = set(known), set(tested)
    entries = Counter(not_checkable) + Counter(not_met)
    return sorted(
        [f"{id} has no test and no entry" for id in known - tested - entries.keys()]
        + [f"{id} has a test and is listed as having none" for id in tested & entries.keys()]
        + [f"{id} is unknown" for id in (tested | entries.keys()) - known]
        + [f"{id} is listed {times} times" for id, times in entries.items() if times > 1]
    )


def report(outcomes: Mapping[str, Mapping[str, Shown]], *, of_iotax: bool) -> list[Clause]:
    """`outcomes`: for each id, the tests that ran. `of_iotax`: if false, the notes of the data
    files are not used, because they are about iotax."""
    not_checkable = {entry["id"]: entry for entry in table("not_checkable.toml")}
    not_met = {entry["id"]: entry for entry in table("not_met.toml")}
    uses = {entry["id"]: entry for entry in table("uses.toml")}
    clauses = []
    for id, entry in (of_the_server() | decisions()).items():
        clause = Clause(id, entry["level"], entry["section"], entry["text"])
        clause.tests = list(outcomes.get(id, {}).values())
        if clause.tests:
            clause.result = result_of(clause.tests)
        elif id in not_checkable:
            clause.result = "not checkable"
            clause.note = reason_of(not_checkable[id]) if of_iotax else UNSEEN
        elif id in not_met:
            clause.result = "not met" if of_iotax else "not tested"
            clause.note = reason_of(not_met[id]) if of_iotax else NO_TEST
        if id in uses and of_iotax:
            use = "used" if uses[id]["used"] else "not used"
            clause.note = f"{use}: {uses[id]['how']}"
        clauses.append(clause)
    return clauses


def result_of(tests: Iterable[Shown]) -> str:
    """One failed test makes the clause fail; one that does not apply proves nothing."""
    results = {test.result for test in tests}
    return next(result for result in ("failed", "passed", "not applicable") if result in results)


def reason_of(entry: Mapping[str, Any]) -> str:
    where = " and ".join(entry.get("where", ()))
    return " ".join(entry["reason"].split()) + (f"; read {where}" if where else "")


def write(clauses: list[Clause], file: Path) -> None:
    file.write_text(json.dumps([asdict(clause) for clause in clauses], indent=1) + "\n")


def read(file: Path) -> list[Clause]:
    """The inverse of write()."""
    return [from_dict(found) for found in json.loads(file.read_text())]


def from_dict(found: Mapping[str, Any]) -> Clause:
    """The inverse of asdict()."""
    return Clause(**{**found, "tests": [Shown(**test) for test in found["tests"]]})
