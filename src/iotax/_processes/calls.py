"""Describes the requests that workers run, as they write them into the scoreboard.

Decides the wording. Knows only the slot of a worker.
"""

from collections.abc import Sequence
from typing import NamedTuple

from iotax import _iotax
from iotax._processes import exit_status


class Call(NamedTuple):
    """A request that the application is handling."""

    line: str
    id: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.line} ({exit_status.age(self.seconds)}, {self.id})"


class Calls:
    """Reads `scoreboard`, also after the worker has exited."""

    def __init__(self, scoreboard: _iotax.Scoreboard) -> None:
        self._scoreboard = scoreboard

    def of(self, slot: int) -> list[Call]:
        return [Call(*call) for call in self._scoreboard.calls(slot)]

    def clause(self, slot: int) -> str:
        """ "while running …": the end of a log line about the worker."""
        return describe(self.of(slot))


def describe(calls: Sequence[Call]) -> str:
    """The requests that a worker was running, as a clause that names at most five of them."""
    if not calls:
        return "with no request in progress"
    named = ", ".join(str(call) for call in calls[:5])
    more = f" and {len(calls) - 5} more" if len(calls) > 5 else ""
    return f"while running {named}{more}"
