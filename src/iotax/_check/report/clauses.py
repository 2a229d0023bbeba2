"""What is checked: the obligations of PEP 3333 for applications and middleware, with advice.

obligations.toml  all obligations of the PEP: id, level, text; written for the whole project
advice.toml       for each one that is checked: why it matters, what to write instead, what other
                  servers do with it; and the few rules of the checker's own (C-)
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from iotax._iotax import __version__

OWN_SECTION = "Beyond the PEP"


@dataclass(frozen=True)
class Clause:
    """`side`: "application" or "middleware". `level`: MUST, MUST_NOT, SHOULD, SHOULD_NOT or MAY.
    `why`, `instead`, `others`: one sentence each. `not_checkable`: why no run can check it; empty:
    it can be checked. `warns_in`: the minor release that adds the check, "0.2": in it the clause
    only warns, so that an update does not break tests."""

    id: str
    side: str
    level: str
    section: str
    text: str
    why: str = ""
    instead: str = ""
    others: str = ""
    not_checkable: str = ""
    warns_in: str = ""

    @property
    def is_new(self) -> bool:
        return self.warns_in == __version__.rpartition(".")[0]

    @property
    def is_must(self) -> bool:
        return self.level.startswith("MUST")


@cache
def clauses() -> Mapping[str, Clause]:
    """All clauses by id, in the order of the PEP, then the checker's own."""
    found: dict[str, Clause] = {}
    advice = _table("_check/report/advice.toml")["clause"]
    for entry in _table("obligations.toml")["obligation"]:
        if entry["side"] in ("application", "middleware"):
            kept = {name: entry[name] for name in ("id", "side", "level", "section", "text")}
            found[entry["id"]] = Clause(**kept, **advice.get(entry["id"], {}))
    for id, entry in advice.items():
        if id.startswith("C-"):
            found[id] = Clause(id=id, section=OWN_SECTION, **entry)
    return found


def _table(name: str) -> Any:
    return tomllib.loads(resources.files("iotax").joinpath(name).read_text("utf-8"))
