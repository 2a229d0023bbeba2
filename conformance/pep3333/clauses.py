"""The obligations, which of them the tests name, and what came of each in a run.

obligations.toml     what PEP 3333 asks of a server, an application and a middleware
not_checkable.toml   obligations of the server that no test can show, and where to look instead
open.toml            obligations of the server that have no test yet, and why
uses.toml            what iotax makes of each MAY
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
RESULTS = ("passed", "failed", "not checkable", "not tested")


@dataclass
class Shown:
    """A test that names a clause. `said`: what was seen instead, when it failed."""

    test: str
    passed: bool
    said: str = ""


@dataclass
class Clause:
    """An obligation of the server, with what came of it. `note`: why there is no test, or what is
    made of a MAY."""

    id: str
    level: str
    section: str
    text: str
    result: str = "not tested"
    note: str = ""
    tests: list[Shown] = field(default_factory=list)


def table(name: str) -> list[dict[str, Any]]:
    """The entries of the one list in a data file of this folder."""
    data = tomllib.loads((HERE / name).read_text("ascii"))
    lists = [value for value in data.values() if isinstance(value, list)]
    assert len(lists) <= 1, f"{name} holds {len(lists)} lists"
    return lists[0] if lists else []


def of_the_server() -> dict[str, dict[str, Any]]:
    return {entry["id"]: entry for entry in table("obligations.toml") if entry["side"] == "server"}


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
    server: Iterable[str], tested: Iterable[str], not_checkable: Iterable[str], open_: Iterable[str]
) -> list[str]:
    """What is wrong with the books: every obligation has tests, or one entry and no test."""
    server, tested = set(server), set(tested)
    entries = Counter(not_checkable) + Counter(open_)
    return sorted(
        [f"{id} has no test and no entry" for id in server - tested - entries.keys()]
        + [f"{id} has a test and is listed as having none" for id in tested & entries.keys()]
        + [f"{id} is no obligation of the server" for id in (tested | entries.keys()) - server]
        + [f"{id} is listed {times} times" for id, times in entries.items() if times > 1]
    )


def report(outcomes: Mapping[str, Mapping[str, Shown]], *, of_iotax: bool) -> list[Clause]:
    """`outcomes`: for each id the tests that ran. `of_iotax`: it says too what iotax makes of each
    MAY."""
    not_checkable = {entry["id"]: entry for entry in table("not_checkable.toml")}
    reasons = not_checkable | {entry["id"]: entry for entry in table("open.toml")}
    uses = {entry["id"]: entry for entry in table("uses.toml")} if of_iotax else {}
    clauses = []
    for id, entry in of_the_server().items():
        clause = Clause(id, entry["level"], entry["section"], entry["text"])
        if tests := outcomes.get(id):
            clause.tests = list(tests.values())
            clause.result = "passed" if all(test.passed for test in clause.tests) else "failed"
        elif id in not_checkable:
            clause.result = "not checkable"
        if id in uses:
            use = "used" if uses[id]["used"] else "not used"
            clause.note = f"{use}: {uses[id]['how']}"
        elif id in reasons and not clause.tests:
            where = " and ".join(reasons[id].get("where", ()))
            read = f"; read {where}" if where else ""
            clause.note = " ".join(reasons[id]["reason"].split()) + read
        clauses.append(clause)
    return clauses


def write(clauses: list[Clause], file: Path) -> None:
    file.write_text(json.dumps([asdict(clause) for clause in clauses], indent=1) + "\n")


def read(file: Path) -> list[Clause]:
    """What write() wrote."""
    return [
        Clause(**{**found, "tests": [Shown(**test) for test in found["tests"]]})
        for found in json.loads(file.read_text())
    ]
