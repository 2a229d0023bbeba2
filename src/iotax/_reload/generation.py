"""Which code is current under --reload, which workers run it, and whether it loads.

Decides which workers count, and which error is served instead of code that does not load. Must not
act on a process.
"""

from collections.abc import Iterable
from typing import Final

from iotax._processes.lifecycle import FOREVER
from iotax._processes.pool import Worker
from iotax._processes.target import Target

# A module that takes longer to import is considered to hang; requests stop waiting for it.
HANG_SECONDS: Final = 10.0


class Generation(Target):
    """The current generation of code; each save begins the next one. If the code cannot be loaded,
    one worker that serves the error is enough.

    `error`: why the code cannot be loaded; `has_loaded`: it loaded once, so a later failed boot has
    another cause; `has_result`: a worker is ready, or the import failed; `hangs`: the hang was
    logged.
    """

    def __init__(self, workers: int, now: float) -> None:
        super().__init__(workers)
        self.number = 1
        self.began = now
        self.error = ""
        self.has_loaded = self.has_result = self.hangs = False
        self.error_workers: set[Worker] = set()
        self.dropped: set[Worker] = set()  # their exit is expected
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
        """Forget a worker. True: it was dropped."""
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
        """Whether `new` replaces `old`."""
        if old.code_generation != new.code_generation:
            return True
        return old in self.error_workers and new not in self.error_workers

    def loaded(self) -> bool:
        """A worker that runs this code is ready, perhaps after another one failed. True: it is the
        first result."""
        self.has_loaded, self.error = True, ""
        if self.has_result:
            return False
        self.has_result, self.hangs = True, False
        return True

    def failed(self, error: str) -> None:
        self.error, self.has_result, self.hangs = error, True, False

    def how(self, worker: Worker) -> str:
        return self._how[worker]

    def hang_at(self, workers: Iterable[Worker]) -> float:
        """When the import of this generation counts as hanging."""
        waits = not self.has_result and any(worker.boots() for worker in workers)
        return self.began + HANG_SECONDS if waits and not self.hangs else FOREVER


def hanging_text(app: str) -> str:
    return (
        f"{app} is still being imported\n\n"
        f"It has been for more than {HANG_SECONDS:.0f} s. The server's log shows where it is."
    )
