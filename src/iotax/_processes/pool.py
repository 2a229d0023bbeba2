"""The supervisor's processes.

Decides what is known about each and which of them exist. Must not know how they start or end.
"""

from collections import Counter
from dataclasses import dataclass, field
from heapq import heappop, heappush

from iotax._processes.channel import Channel
from iotax._processes.lifecycle import (
    FOREVER,
    TRANSITIONS,
    Cause,
    Event,
    Replacement,
    State,
    Termination,
    next_state,
)
from iotax._processes.running_clock import Suspicion

_BOOTS = (State.FORKING, State.BOOTING)
_DISMISSED = Replacement("it was dismissed while it booted")


@dataclass(eq=False)
class Child:
    """A process of the supervisor. A worker forked by a template has `pid` 0 until it reports its
    process id."""

    channel: Channel
    started: float
    pid: int = 0
    state: State = State.BOOTING
    graceful_seconds: float = 0.0  # --graceful-timeout at its start
    termination: Termination | None = None
    boot_error: str = ""  # the full explanation, if the application could not be loaded
    channel_closed: bool = False
    is_importing: bool = False  # a template that imports more modules before it forks again
    is_leaving: bool = False  # draining or dismissed: not needed
    is_abandoned: bool = False  # killed but did not exit; the supervisor stopped waiting
    has_been_ready: bool = False
    has_exit_functions: bool = False  # they may release what workers use: exits after the workers

    def apply(self, event: Event) -> None:
        """Errors: RuntimeError when the event is impossible in this state."""
        self.state = next_state(self.state, event)
        self.has_been_ready = self.has_been_ready or self.state is State.READY
        if event in (Event.DRAIN, Event.DISMISS):
            self.is_leaving = True

    def may(self, event: Event) -> bool:
        return (self.state, event) in TRANSITIONS

    def boots(self) -> bool:
        return self.state in _BOOTS

    def kill_at(self) -> float:
        """When to enforce its exit or, if it was killed, when to stop waiting for it."""
        over = self.termination is None or self.is_abandoned or self.state is State.EXITED
        return FOREVER if over or self.termination is None else self.termination.kill_at

    def killed_because(self) -> str:
        return self.termination.reason if self.termination is not None else ""

    def ends_last(self) -> bool:
        return self.has_exit_functions and self.state is State.READY and not self.is_leaving

    def age(self, now: float) -> float:
        return now - self.started


@dataclass(eq=False)
class Worker(Child):
    """`replacement`: why it has to be replaced, until it exits; `replaces`: the worker that drains
    as soon as this one is ready."""

    slot: int = -1
    template: Child | None = None  # the process that forked it
    replaces: "Worker | None" = None
    replacement: Replacement | None = None
    leaves_for: Replacement = _DISMISSED  # if it has no replacement
    code_generation: int = 0  # of the code that it runs
    is_watched: bool = False  # requests run: the monitor reads its slot of the scoreboard
    turns_seen: int = -1
    aborts_first: bool = False  # abort its requests before it is killed
    stuck_reported: bool = False  # it was logged that a call holds its GIL
    seems_stuck: Suspicion = field(default_factory=Suspicion)

    @property
    def number(self) -> int:
        """In the logs, hooks and IOTAX_WORKER: from 1, and of no other worker that exists."""
        return self.slot + 1

    def cannot_serve(self) -> bool:
        return self.replacement is not None and self.replacement.urgent

    def drains_first(self) -> bool:
        return self.replacement is not None and self.replacement.drain_first

    def want(self, replacement: Replacement) -> bool:
        """Record the request. False: nothing changes, because an earlier request covers it."""
        if self.replacement is not None and (self.cannot_serve() or not replacement.urgent):
            return False
        self.replacement = replacement
        return True


@dataclass
class HookProcess:
    """It calls child_exit for a worker that has exited. `kill_at`: when to kill it or, if it was
    killed, when to stop waiting for its exit."""

    pid: int
    worker: int
    kill_at: float
    is_killed: bool = False


class Pool:
    """All processes of the supervisor, from their start until their exit has been seen.

    - Each of the `slots` of the scoreboard is free or belongs to one worker.
    """

    def __init__(self, slots: int) -> None:
        self.workers: list[Worker] = []
        self.others: list[Child] = []  # templates, the watcher
        self.hook_processes: dict[int, HookProcess] = {}  # by their process ids
        self.has_served = False  # a worker has become ready at least once
        self.starts = 0  # of workers
        self.exits: Counter[Cause] = Counter()
        self._free = list(range(slots))  # a heap

    def children(self) -> list[Child]:
        return [*self.others, *self.workers]

    def booting(self) -> list[Child]:
        return [child for child in self.children() if child.boots()]

    def ready_and_wanted(self) -> list[Worker]:
        return [w for w in self.workers if w.state is State.READY and w.replacement is None]

    def free_slots(self) -> int:
        return len(self._free)

    def take_slot(self) -> int:
        """Take the smallest free slot for a worker that is about to start: with N workers that are
        replaced one by one, no worker number is above N + 1. Requires a free one."""
        return heappop(self._free)

    def give_back(self, slot: int) -> None:
        """Return the slot of a worker that could not be started."""
        heappush(self._free, slot)

    def add(self, child: Child) -> None:
        if isinstance(child, Worker):
            self.workers.append(child)
        else:
            self.others.append(child)

    def remove(self, child: Child) -> None:
        """Forget a process, and free its slot if it is a worker."""
        if isinstance(child, Worker):
            self.workers.remove(child)
            heappush(self._free, child.slot)
        else:
            self.others.remove(child)
