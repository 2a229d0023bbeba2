"""What differs between production (production.py) and --reload (_reload/policy.py): where workers
come from, and what a boot that fails means.

The supervisor and its parts know only this.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

from iotax._processes.channel import Message
from iotax._processes.pool import Child, Worker


class Policy(Protocol):
    def begin(self) -> None:
        """Before the first turn."""

    def can_start(self, now: float) -> bool:
        """Whether workers can be started now. Starts what they come from."""

    def start_worker(self, replaces: Worker | None) -> None:
        """Start one, if that succeeds."""

    def on_report(self, child: Child, message: Message) -> bool:
        """True: it was handled here."""

    def on_ready(self, worker: Worker) -> None:
        """It serves."""

    def on_exit(self, child: Child, cause: Callable[[], str]) -> bool:
        """It has exited, from its present state. `cause` describes why. True: not a failure."""

    def on_boot_failure(self, child: Child, why: str) -> None:
        """It has exited before it was ready. `why` is "" if child.boot_error has the reason."""

    def on_hup(self) -> None:
        """All workers are to be replaced."""

    def tick(self, now: float) -> None:
        """Once in a turn, unless the server stops."""

    def dues(self) -> Iterator[float]:
        """When tick() has something to do even if nothing happens."""

    def stopping(self) -> None:
        """Once in a turn while the server stops."""
