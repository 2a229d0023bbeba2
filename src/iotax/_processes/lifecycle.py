"""Lifecycle of a supervised process: its states, its events, and the request for a replacement.

Decides which event is possible in which state. Must not know processes, messages or clocks. Only
events change the state; no event changes the request (Replacement), which is a separate value, so a
failed boot cannot clear it.
"""

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

FOREVER: Final = float("inf")


class State(enum.Enum):
    FORKING = enum.auto()  # ordered from the template; the process id is not known yet
    BOOTING = enum.auto()
    READY = enum.auto()
    DRAINING = enum.auto()  # ordered to finish its requests and to exit
    DISMISSED = enum.auto()  # no longer needed: sent SIGTERM while booting
    KILLED = enum.auto()  # sent SIGKILL, or due to be sent it when its process id is known
    EXITED = enum.auto()


class Event(enum.Enum):
    PID = enum.auto()  # the process has reported its process id
    READY = enum.auto()  # the process has reported that it serves
    DRAIN = enum.auto()
    DISMISS = enum.auto()
    KILL = enum.auto()
    EXIT = enum.auto()


# A pair without a row is impossible.
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
        (State.DISMISSED, Event.READY): State.READY,  # became ready in time to survive SIGTERM
        (State.DISMISSED, Event.KILL): State.KILLED,
        (State.DISMISSED, Event.EXIT): State.EXITED,
        (State.KILLED, Event.PID): State.KILLED,  # SIGKILL can be sent now
        (State.KILLED, Event.READY): State.KILLED,  # reported before the signal arrived
        (State.KILLED, Event.KILL): State.KILLED,
        (State.KILLED, Event.EXIT): State.EXITED,
    }
)


def next_state(state: State, event: Event) -> State:
    """Errors: RuntimeError for a pair without a row, which is a bug in iotax."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise RuntimeError(
            f"event {event.name} is impossible for a process in state {state.name}"
        ) from None


class Cause(enum.StrEnum):
    """Why a worker has exited, in one word for programs."""

    STOP = "stop"
    RELOAD = "reload"
    MAX_REQUESTS = "max_requests"
    LIFETIME = "lifetime"
    MEMORY = "memory"
    THREADS_LOST = "threads_lost"
    STUCK = "stuck"
    CRASH = "crash"
    OOM = "oom"
    BOOT = "boot"  # it exited before it was ready
    OTHER = "other"


class Replacement(NamedTuple):
    """A request to replace a worker.

    `cause`: the word for `reason`.
    `urgent`: the worker cannot serve, so its replacement does not wait for other workers.
    `drain_first`: memory does not suffice for both, so the worker drains before its replacement
    starts.
    """

    reason: str
    cause: Cause = Cause.OTHER
    urgent: bool = False
    drain_first: bool = False


class Termination(NamedTuple):
    """How the exit of a process is enforced. `reason`: logged when the process has to be killed;
    "": expected, not logged. `kill_at`: when to kill it or, if it was killed, when to stop waiting
    for its exit."""

    reason: str
    kill_at: float
