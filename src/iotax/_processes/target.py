"""The wanted number of workers, and their kind.

Decides what is wanted, not the steps to get there.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from iotax._log import server_log
from iotax._processes.lifecycle import State
from iotax._processes.pool import Worker

# How many workers SIGTTIN can add.
MORE_WORKERS_MAX: Final = 32


class Target:
    """`count`: the number that the operator wants; `new_code`: why a template with freshly imported
    code is wanted, or ""."""

    def __init__(self, workers: int) -> None:
        self.count = workers
        self.count_max = workers + MORE_WORKERS_MAX
        self.new_code = ""

    def change(self, by: int) -> None:
        self.count = min(max(self.count + by, 1), self.count_max)
        server_log.info(f"Number of workers set to {self.count}")

    def set_count(self, workers: int) -> None:
        if workers > self.count_max:
            server_log.warning(
                f"There is room for {self.count_max} of {workers} workers until a restart"
            )
        self.change(workers - self.count)

    def wanted(self) -> int:
        return self.count

    def counts(self, _worker: Worker) -> bool:
        """Whether a worker is of the wanted kind."""
        return True

    def is_needed(self, worker: Worker, workers: Iterable[Worker]) -> bool:
        """Whether too few of `workers` could serve without it."""
        able = [w for w in self._ready(workers) if not w.cannot_serve() and w is not worker]
        return self.counts(worker) and len(able) < self.wanted()

    def still_wanted(self, workers: Iterable[Worker]) -> str:
        """A clause that names the requests to fulfill as soon as workers can be started."""
        ready = self._ready(workers)
        texts = [f"freshly imported code ({self.new_code})"] if self.new_code else []
        able = sum(not worker.cannot_serve() for worker in ready)
        if able < self.wanted():
            texts.append(f"{_workers(self.wanted())} that can serve (there are {able})")
        texts += [
            f"a replacement of [{worker.pid}] ({worker.replacement.reason})"
            for worker in ready
            if worker.replacement is not None
        ]
        return f"; still wanted: {_listed(texts)}" if texts else ""

    def _ready(self, workers: Iterable[Worker]) -> list[Worker]:
        return [w for w in workers if w.state is State.READY and self.counts(w)]


def _workers(count: int) -> str:
    return f"{count} worker{'' if count == 1 else 's'}"


def _listed(texts: Sequence[str]) -> str:
    """At most five of `texts`, and the number of the others."""
    more = f" and {len(texts) - 5} more" if len(texts) > 5 else ""
    return ", ".join(texts[:5]) + more
