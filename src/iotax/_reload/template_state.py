"""State of the template under --reload, as the supervisor knows it: the modules that it keeps, and
whether it can fork workers now, or why not.

Knows nothing about the process except whether it exists.
"""

from collections.abc import Callable, Iterable
from typing import Final

from iotax._processes.lifecycle import State
from iotax._processes.pool import Child

# Names arrive one by one during the first requests; the template imports them together.
QUIET_SECONDS: Final = 0.3
NAMES_MAX: Final = 400
_NEVER: Final = float("inf")


class Warmth:
    """`never`: why another template will not be started. `due`: when to import the new names."""

    def __init__(self, *, cold: bool, clock: Callable[[], float]) -> None:
        self._now = clock
        self.template: Child | None = None
        self.never = "--reload-cold" if cold else ""
        self.names: dict[str, None] = {}
        self.variables: set[str] = set()
        self.due = _NEVER
        self._new: list[str] = []
        self._why = ""

    def add(self, names: Iterable[str]) -> None:
        new = [name for name in names if name and name not in self.names]
        self.names.update(dict.fromkeys(new))
        self._new += new
        if new:
            self.due = self._now() + QUIET_SECONDS

    def loaded(self) -> None:
        """A worker has reported the modules that it needs."""
        if (self.template is None or self._new) and self.due == _NEVER and not self.never:
            self.due = self._now() + QUIET_SECONDS

    def take(self) -> list[str]:
        """Take the names to import now: all of them if the template does not exist yet. `due` is
        the time of the next call."""
        self.due = _NEVER
        if self.template is None:
            self._new.clear()
            return [*self.names]
        taken: list[str] = []
        if self._is_idle(self.template):
            taken, self._new = self._new[:NAMES_MAX], self._new[NAMES_MAX:]
        if self._new:
            self.due = self._now() + QUIET_SECONDS
        return taken

    def why_cold(self) -> str:
        """Why the next worker starts cold. "": the template can fork it."""
        if self.never or self._why:
            why, self._why = self.never or self._why, ""
            return why
        if self.template is None:
            return "no module is imported in advance yet"
        if not self._is_idle(self.template):
            return "modules are still being imported in advance"
        return ""

    @staticmethod
    def _is_idle(template: Child) -> bool:
        return template.state is State.READY and not template.is_importing

    def start_over(self, why: str) -> None:
        self.template = None
        self._why = why
        self.due = _NEVER
