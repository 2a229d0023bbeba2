"""Descriptions of the requests that workers run."""

from typing import cast

from iotax import _iotax
from iotax._processes.calls import Call, Calls, describe


class PlayedScoreboard:
    def calls(self, slot: int) -> list[tuple[str, str, float]]:
        return [("GET /slow", "r1", 2.5)] if slot == 1 else []


def test_clause_names_the_requests_of_the_slot() -> None:
    calls = Calls(cast("_iotax.Scoreboard", PlayedScoreboard()))
    assert calls.of(1) == [Call("GET /slow", "r1", 2.5)]
    assert calls.clause(1) == "while running GET /slow (2.5 s, r1)"
    assert calls.clause(0) == "with no request in progress"


def test_at_most_five_requests_are_named() -> None:
    calls = [Call(f"GET /{number}", f"r{number}", 1.0) for number in range(7)]
    assert describe(calls[:5]).endswith("GET /4 (1.0 s, r4)")
    assert describe(calls).endswith("GET /4 (1.0 s, r4) and 2 more")
