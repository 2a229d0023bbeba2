"""The supervisor's picture of its processes.

Decides what is known of one. Knows nothing of how one is made, or what becomes of it.
"""

import enum
import time
from dataclasses import dataclass
from typing import Final

from iotax.channel import Channel

FOREVER: Final = float("inf")


class State(enum.Enum):
    BOOTING = enum.auto()
    READY = enum.auto()
    LEAVING = enum.auto()  # it was told to, and drains


@dataclass(eq=False)
class Child:
    """A process of the supervisor's. `pid` is 0 until a fork of the template has told it."""

    channel: Channel
    started: float
    pid: int = 0
    state: State = State.BOOTING
    error: str = ""  # the screen, when the application could not be loaded
    killed: bool = False
    killed_because: str = ""  # nothing that anybody has to hear of
    gone: bool = False  # its channel has ended

    def age(self) -> float:
        return time.monotonic() - self.started


@dataclass(eq=False)
class WorkerChild(Child):
    """`because` says why it is to be replaced; `replaces` is the one that leaves for it."""

    seat: int = -1
    replaces: "WorkerChild | None" = None
    because: str = ""
    first_leave: bool = False  # there is no room for two: it drains before another starts
    kill_at: float = FOREVER
    generation: int = 0  # of the code that it runs
    watched: bool = False  # requests run: its seat of the page is looked at
    turns_seen: int = -1
    is_stuck: bool = False  # a call keeps its interpreter, and that was told
