"""The interface to production (production.py) and --reload (_reload/policy.py), which differ in how
workers are started and what a failed boot means.

The supervisor and its parts know only this interface.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

from iotax._processes.channel import Message
from iotax._processes.pool import Child, Worker


class Policy(Protocol):
    def begin(self) -> None:
        """Called before the first turn."""

    def can_start(self, now: float) -> bool:
        """Whether workers can be started now. Starts the template if it is needed."""

    def start_worker(self, replaces: Worker | None) -> None:
        """Try to start one."""

    def on_report(self, child: Child, message: Message) -> bool:
        """Handle a report. True: it was handled here."""

    def on_ready(self, worker: Worker) -> None:
        """Called when `worker` serves."""

    def on_exit(self, child: Child, cause: Callable[[], str]) -> bool:
        """Called when `child` has exited, before its state changes. `cause` describes why. True:
        not a failure."""

    def on_boot_failure(self, child: Child, why: str) -> None:
        """Called when `child` exited before it was ready. `why` is "" if child.boot_error has the
        reason."""

    def on_hup(self) -> None:
        """Replace all workers."""

    def tick(self, now: float) -> None:
        """Called once per turn, unless the server stops."""

    def dues(self) -> Iterator[float]:
        """Times at which tick() has work to do without any event."""

    def stopping(self) -> None:
        """Called once per turn while the server stops."""
