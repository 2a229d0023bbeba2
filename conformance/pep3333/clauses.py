"""The obligations, which of them the tests name, and the report about them.

obligations.toml     what PEP 3333 asks of a server, an application and a middleware
not_checkable.toml   obligations of the server that no test can show, and where to look instead
open.toml            obligations of the server that have no test yet, and why
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
class Clause:
    """An obligation of the server, with what came of it."""

    id: str
    level: str
    section: str
    result: str = "not tested"
    tests: list[str] = field(default_factory=list)


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


def report(outcomes: Mapping[str, Mapping[str, bool]]) -> list[Clause]:
    """`outcomes`: for each id the tests that ran, and whether they passed."""
    not_checkable = {entry["id"] for entry in table("not_checkable.toml")}
    clauses = []
    for id, entry in of_the_server().items():
        clause = Clause(id, entry["level"], entry["section"])
        if tests := outcomes.get(id):
            clause.tests = list(tests)
            clause.result = "passed" if all(tests.values()) else "failed"
        elif id in not_checkable:
            clause.result = "not checkable"
        clauses.append(clause)
    return clauses


def lines(clauses: list[Clause]) -> Iterator[str]:
    """A table of the report, one line for each section."""
    yield f"{'':44}" + "".join(f"{result:>14}" for result in RESULTS)
    sections = list(dict.fromkeys(clause.section for clause in clauses))
    for section in [*sections, "all"]:
        counts = Counter(clause.result for clause in clauses if section in (clause.section, "all"))
        yield f"{section:44}" + "".join(f"{counts[result] or '-':>14}" for result in RESULTS)
    for result in ("failed", "not tested"):
        if ids := [clause.id for clause in clauses if clause.result == result]:
            yield f"{result}: {' '.join(ids)}"
    counts = Counter(clause.result for clause in clauses)
    yield f"clauses: {counts['passed']} of {len(clauses)} passed"


def write(clauses: list[Clause], file: Path) -> None:
    file.write_text(json.dumps([asdict(clause) for clause in clauses], indent=1) + "\n")
