"""The requests that workers run, as they write them into the shared page.

Decides the words for them. Knows of a worker only its seat.
"""

from collections.abc import Sequence
from typing import NamedTuple

from iotax import _iotax
from iotax._processes import exit_status


class Call(NamedTuple):
    """A request in the hands of the application."""

    line: str
    id: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.line} ({exit_status.age(self.seconds)}, {self.id})"


class Calls:
    """Reads `page`, also after the worker has exited."""

    def __init__(self, page: _iotax.Page) -> None:
        self._page = page

    def of(self, seat: int) -> list[Call]:
        return [Call(*call) for call in self._page.calls(seat)]

    def clause(self, seat: int) -> str:
        """ "while running …", to follow what has happened to the worker."""
        return describe(self.of(seat))


def describe(calls: Sequence[Call]) -> str:
    """What a worker was running, as a clause; at most five requests are named."""
    if not calls:
        return "with no request in progress"
    named = ", ".join(str(call) for call in calls[:5])
    more = f" and {len(calls) - 5} more" if len(calls) > 5 else ""
    return f"while running {named}{more}"
