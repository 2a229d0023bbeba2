"""The supervisor's processes.

Decides what is known of one, and which there are. Must not know how one is made or ended.
"""

from collections import deque
from dataclasses import dataclass, field

from iotax._processes.channel import Channel
from iotax._processes.lifecycle import (
    FOREVER,
    TRANSITIONS,
    Event,
    Replacement,
    State,
    Termination,
    next_state,
)
from iotax._processes.running_clock import Suspicion

_BOOTS = (State.FORKING, State.BOOTING)


@dataclass(eq=False)
class Child:
    """A process of the supervisor. `pid` is 0 until a fork of the template has reported it."""

    channel: Channel
    started: float
    pid: int = 0
    state: State = State.BOOTING
    termination: Termination | None = None
    boot_error: str = ""  # the screen, when the application could not be loaded
    channel_closed: bool = False
    is_importing: bool = False  # a template that imports more, and forks later
    is_leaving: bool = False  # it drains or was dismissed: it is not needed
    is_abandoned: bool = False  # it was killed, does not exit, and is not waited for
    has_exit_functions: bool = False  # of an import, which workers may use: it ends after them

    def apply(self, event: Event) -> None:
        """Errors: RuntimeError when the event is impossible in this state."""
        self.state = next_state(self.state, event)
        if event in (Event.DRAIN, Event.DISMISS):
            self.is_leaving = True

    def may(self, event: Event) -> bool:
        return (self.state, event) in TRANSITIONS

    def boots(self) -> bool:
        return self.state in _BOOTS

    def kill_at(self) -> float:
        """When its exit is enforced, or, once it was killed, waited for no longer."""
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
    """`replacement`: why another one is wanted in its place, until it exits; `replaces`: the one
    that drains as soon as this one is ready."""

    seat: int = -1
    template: Child | None = None  # which it was forked from
    replaces: "Worker | None" = None
    replacement: Replacement | None = None
    code_generation: int = 0  # of the code that it runs
    is_watched: bool = False  # requests run: its seat of the page is looked at
    turns_seen: int = -1
    aborts_first: bool = False  # before it is killed, its requests are aborted
    stuck_reported: bool = False  # that a call keeps its interpreter was logged
    seems_stuck: Suspicion = field(default_factory=Suspicion)

    def cannot_serve(self) -> bool:
        return self.replacement is not None and self.replacement.urgent

    def drains_first(self) -> bool:
        return self.replacement is not None and self.replacement.drain_first

    def want(self, replacement: Replacement) -> bool:
        """Record the wish. False: it changes nothing, since as much is wanted already."""
        if self.replacement is not None and (self.cannot_serve() or not replacement.urgent):
            return False
        self.replacement = replacement
        return True


class Pool:
    """All processes of the supervisor, from their start until their exit has been seen.

    - Each of the `seats` of the page is free or one worker's.
    """

    def __init__(self, seats: int) -> None:
        self.workers: list[Worker] = []
        self.others: list[Child] = []  # templates, the watcher
        self.has_served = False  # a worker has been ready
        self._free = deque(range(seats))

    def children(self) -> list[Child]:
        return [*self.others, *self.workers]

    def booting(self) -> list[Child]:
        return [child for child in self.children() if child.boots()]

    def ready_and_wanted(self) -> list[Worker]:
        return [w for w in self.workers if w.state is State.READY and w.replacement is None]

    def free_seats(self) -> int:
        return len(self._free)

    def take_seat(self) -> int:
        """For a worker to be made. Only while there are free ones."""
        return self._free.popleft()

    def give_back(self, seat: int) -> None:
        """The worker was not made."""
        self._free.append(seat)

    def add(self, child: Child) -> None:
        if isinstance(child, Worker):
            self.workers.append(child)
        else:
            self.others.append(child)

    def remove(self, child: Child) -> None:
        """A worker's seat is free again."""
        if isinstance(child, Worker):
            self.workers.remove(child)
            self._free.append(child.seat)
        else:
            self.others.remove(child)
