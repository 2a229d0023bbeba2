"""Computes the next steps from the existing workers to the wanted ones.

Decides which worker is started, drained, dismissed or killed. Pure functions: must not know
processes, messages, clocks or signals. replacer.py takes the steps.

The rules:
- A worker that exits, or that cannot serve, is replaced immediately, independent of the others.
- Workers that can serve are replaced one at a time: only while no other worker boots or drains.
- A replacement is ready before the worker that it replaces drains, unless memory is too short for
  both.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from iotax._processes.lifecycle import State
from iotax._processes.pool import Worker


class Start(NamedTuple):
    """Start a worker that replaces `replaces` when it is ready."""

    replaces: Worker | None = None


class Assign(NamedTuple):
    """Let `booting` replace `replaces`, which is more urgent than the worker it was started for."""

    booting: Worker
    replaces: Worker


class Leave(NamedTuple):
    """Drain or dismiss `worker`: it is not needed."""

    worker: Worker


class DrainFirst(NamedTuple):
    """Drain `worker` before its replacement is started: memory is too short for both."""

    worker: Worker


class Kill(NamedTuple):
    """Kill a draining `worker`: too many workers that cannot serve have not exited yet."""

    worker: Worker


Step = Start | Assign | Leave | DrainFirst | Kill


def predecessor(worker: Worker) -> Worker | None:
    """The worker that `worker` will replace, until it is ordered to drain."""
    old = worker.replaces
    return old if old is not None and old.state is State.READY else None


def members(workers: Iterable[Worker]) -> list[Worker]:
    """Workers that count towards the number of workers: not leaving (unless the replacement waits
    for the exit), and not the replacement of one that still serves."""
    return [
        worker
        for worker in workers
        if not worker.is_abandoned
        and (not worker.is_leaving or worker.drains_first())
        and predecessor(worker) is None
    ]


def next_steps(
    workers: Sequence[Worker],
    wanted: int,
    *,
    counts: Callable[[Worker], bool],
    can_start: bool,
    slots: int,
    is_short_of_memory: Callable[[Worker], bool],
) -> list[Step]:
    """The steps to take now. Call it in a loop, until it returns no steps.

    `counts`: whether a worker is of the wanted kind; `can_start`: whether processes can be started
    now; `slots`: how many at most.
    """
    current = [worker for worker in workers if counts(worker)]
    there = members(current)
    surplus = sorted(there, key=_usefulness)[wanted:]
    kept = [worker for worker in there if worker not in surplus]
    steps: list[Step] = [
        Leave(worker)
        for worker in surplus
        if not worker.is_leaving and worker.state is not State.KILLED
    ]
    steps += _kills(workers, wanted)
    if not can_start:
        return steps
    starts: list[Step] = [Start() for _ in range(len(kept), wanted)]
    booting = [worker for worker in current if worker.boots()]
    failed = [w for w in current if w.state is State.KILLED and not w.is_abandoned]
    for worker in kept:
        if worker.state is not State.READY or not worker.cannot_serve():
            continue
        if any(other.replaces is worker for other in (*booting, *failed)):
            continue  # its replacement boots; or failed, and its exit will start the backoff
        other = _less_urgent(booting)
        if other is not None:
            booting.remove(other)
            steps.append(Assign(other, worker))
        else:
            starts.append(Start(worker))
    steps += starts[:slots]
    if not starts:
        steps += _one_at_a_time(workers, kept, slots, is_short_of_memory)
    return steps


def _usefulness(worker: Worker) -> tuple[bool, bool, bool, float]:
    """Sort key: when there are too many workers, the first ones are kept."""
    return (
        worker.cannot_serve(),
        worker.state is not State.READY,
        worker.replacement is not None,
        worker.started,
    )


def _kills(workers: Sequence[Worker], wanted: int) -> list[Step]:
    """Limit the draining workers that cannot serve to the number of wanted workers; kill those with
    the earliest deadline first. Otherwise calls that hang in each new worker pile up processes."""
    draining = [w for w in workers if w.state is State.DRAINING and w.cannot_serve()]
    draining.sort(key=lambda worker: worker.kill_at())
    return [Kill(worker) for worker in draining[: max(0, len(draining) - wanted)]]


def _less_urgent(booting: Iterable[Worker]) -> Worker | None:
    """A booting replacement of a worker that can still serve, and therefore can wait."""
    for worker in booting:
        old = predecessor(worker)
        if old is not None and not old.cannot_serve():
            return worker
    return None


def _one_at_a_time(
    workers: Sequence[Worker],
    kept: Sequence[Worker],
    slots: int,
    is_short_of_memory: Callable[[Worker], bool],
) -> list[Step]:
    if any(worker.state is not State.READY and not worker.is_abandoned for worker in workers):
        return []
    for worker in kept:
        if worker.replacement is None or worker.cannot_serve():
            continue
        if worker.drains_first() or is_short_of_memory(worker):
            return [DrainFirst(worker)]
        return [Start(worker)] if slots else []
    return []
