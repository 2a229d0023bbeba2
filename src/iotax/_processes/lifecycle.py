"""The lifecycle of a supervised process: what it is, what can happen to it, what is wanted of it.

Decides which event is possible in which state. It must not know processes, messages or clocks: what
a process *is* (State) changes by events only; what is *wanted* of a worker (Replacement) is a value
of its own that no event changes, so a failed boot cannot clear it.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

FOREVER: Final = float("inf")


class State(enum.Enum):
    FORKING = enum.auto()  # ordered of the template; the process id is not known yet
    BOOTING = enum.auto()
    READY = enum.auto()
    DRAINING = enum.auto()  # told to finish what it runs and to exit
    DISMISSED = enum.auto()  # not needed any more, sent SIGTERM while booting
    KILLED = enum.auto()  # sent SIGKILL, or it will be as soon as its process id is known
    EXITED = enum.auto()


class Event(enum.Enum):
    PID = enum.auto()  # the process has reported its process id
    READY = enum.auto()  # the process has reported that it serves
    DRAIN = enum.auto()
    DISMISS = enum.auto()
    KILL = enum.auto()
    EXIT = enum.auto()


# No row: the event is impossible there.
TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = MappingProxyType(
    {
        (State.FORKING, Event.PID): State.BOOTING,
        (State.FORKING, Event.DISMISS): State.DISMISSED,
        (State.FORKING, Event.KILL): State.KILLED,
        (State.FORKING, Event.EXIT): State.EXITED,  # it was never forked
        (State.BOOTING, Event.READY): State.READY,
        (State.BOOTING, Event.DISMISS): State.DISMISSED,
        (State.BOOTING, Event.KILL): State.KILLED,
        (State.BOOTING, Event.EXIT): State.EXITED,
        (State.READY, Event.DRAIN): State.DRAINING,
        (State.READY, Event.KILL): State.KILLED,
        (State.READY, Event.EXIT): State.EXITED,
        (State.DRAINING, Event.DRAIN): State.DRAINING,  # a stricter order: stop now
        (State.DRAINING, Event.KILL): State.KILLED,
        (State.DRAINING, Event.EXIT): State.EXITED,
        (State.DISMISSED, Event.PID): State.DISMISSED,  # SIGTERM can be sent now
        (State.DISMISSED, Event.READY): State.READY,  # just in time: it has survived SIGTERM
        (State.DISMISSED, Event.KILL): State.KILLED,
        (State.DISMISSED, Event.EXIT): State.EXITED,
        (State.KILLED, Event.PID): State.KILLED,  # SIGKILL can be sent now
        (State.KILLED, Event.READY): State.KILLED,  # reported before the signal arrived
        (State.KILLED, Event.KILL): State.KILLED,
        (State.KILLED, Event.EXIT): State.EXITED,
    }
)


def next_state(state: State, event: Event) -> State:
    """Errors: RuntimeError for a pair without a row, which is an error of ours."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise RuntimeError(
            f"event {event.name} is impossible for a process in state {state.name}"
        ) from None


@dataclass(frozen=True)
class Replacement:
    """Another worker is wanted in the place of this one.

    `urgent`: it cannot serve, so its replacement does not wait for other workers. `drain_first`:
    there is no room for two, so it drains before the other one starts.
    """

    reason: str
    urgent: bool = False
    drain_first: bool = False


@dataclass(frozen=True)
class Termination:
    """How the exit of a process is enforced. `reason`: logged when it had to be killed; "":
    expected, not logged. `kill_at`: once it was killed, when its exit is no longer waited for."""

    reason: str
    kill_at: float
