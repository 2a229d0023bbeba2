"""Which code is current under --reload, which workers run it, and whether it loads.

Decides which workers count, and what is served in place of code that does not load. Must not act
on a process.
"""

from collections.abc import Iterable
from typing import Final

from iotax._processes.lifecycle import FOREVER
from iotax._processes.pool import Worker
from iotax._processes.target import Target

# A module that takes longer to import hangs, and requests wait no longer.
HANG_SECONDS: Final = 10.0


class Generation(Target):
    """Each save begins another one. While its code cannot be loaded, one worker that serves the
    error is enough.

    `error`: why it cannot be; `has_loaded`: it could be once, so a later failed boot is not its
    fault; `has_result`: a worker is ready, or there is an error; `hangs`: that was logged.
    """

    def __init__(self, workers: int, now: float) -> None:
        super().__init__(workers)
        self.number = 1
        self.began = now
        self.error = ""
        self.has_loaded = self.has_result = self.hangs = False
        self.error_workers: set[Worker] = set()
        self.dropped: set[Worker] = set()  # their exit is of no interest
        self._how: dict[Worker, str] = {}  # "warm", "cold: …"

    def begin(self, now: float) -> None:
        self.number += 1
        self.began = now
        self.error = ""
        self.has_loaded = self.has_result = self.hangs = False

    def add(self, worker: Worker, how: str, *, serves_error: bool) -> None:
        worker.code_generation = self.number
        self._how[worker] = how
        if serves_error:
            self.error_workers.add(worker)

    def remove(self, worker: Worker) -> bool:
        """True: it was dropped."""
        self._how.pop(worker, None)
        self.error_workers.discard(worker)
        was_dropped = worker in self.dropped
        self.dropped.discard(worker)
        return was_dropped

    def wanted(self) -> int:
        return 1 if self.error else self.count

    def counts(self, worker: Worker) -> bool:
        if self.is_stale(worker) or worker in self.dropped:
            return False
        return bool(self.error) or worker not in self.error_workers

    def is_stale(self, worker: Worker) -> bool:
        return worker.code_generation != self.number

    def is_old(self, old: Worker, new: Worker) -> bool:
        """Whether `new` serves in place of `old`."""
        if old.code_generation != new.code_generation:
            return True
        return old in self.error_workers and new not in self.error_workers

    def loaded(self) -> bool:
        """A worker that runs its code is ready. True: there was no result before."""
        self.has_loaded = True
        if self.has_result:
            return False
        self.has_result, self.hangs = True, False
        return True

    def failed(self, error: str) -> None:
        self.error, self.has_result, self.hangs = error, True, False

    def how(self, worker: Worker) -> str:
        return self._how[worker]

    def hang_at(self, workers: Iterable[Worker]) -> float:
        """When its import hangs."""
        waits = not self.has_result and any(worker.boots() for worker in workers)
        return self.began + HANG_SECONDS if waits and not self.hangs else FOREVER


def hanging_text(app: str) -> str:
    return (
        f"{app} is still being imported\n\n"
        f"It has been for more than {HANG_SECONDS:.0f} s. The server's log shows where it is."
    )
