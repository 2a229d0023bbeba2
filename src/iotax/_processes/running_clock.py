"""A clock that counts only the time in which its process ran.

A process that was stopped (SIGSTOP, a debugger), frozen with its container, or kept from the CPU
must not charge that time to others: they may have been frozen too, and their reports are still
unread. Decides when that was the case. Must not know what is timed.
"""

import time
from collections.abc import Callable
from typing import Final

# How much later than planned a wait may end: on a loaded machine, processes are that late.
SLACK_SECONDS: Final = 0.25
# A wait is split into pieces of this length, so that a freeze within it is noticed ...
PULSE_SECONDS: Final = 1.0
# ... unless it is longer than any deadline of another process.
DEADLINES_WITHIN_SECONDS: Final = 600.0


class RunningClock:
    """`clock` must be monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left_out = 0.0

    def now(self) -> float:
        """Seconds on the clock, minus the noticed time in which the process did not run."""
        return self._clock() - self._left_out

    def piece(self, seconds: float | None) -> float | None:
        """The length of the next wait on the way to `seconds`. None: without a limit."""
        if seconds is None or seconds > DEADLINES_WITHIN_SECONDS:
            return seconds
        return min(max(0.0, seconds), PULSE_SECONDS)

    def woke(self, planned: float) -> None:
        """Call after each wait. `planned`: when, by now(), it had to end at the latest."""
        late = self.now() - planned
        if late > SLACK_SECONDS:
            self._left_out += late


class Suspicion:
    """Confirms an observation that may only be the state from before a freeze."""

    # Time for the observed process to change its state.
    SECONDS: Final = 0.25

    def __init__(self) -> None:
        self._since: float | None = None

    def is_confirmed(self, is_so: bool, now: float) -> bool:
        """Whether the observation has lasted SECONDS; ask again then. `now`: of a RunningClock."""
        if not is_so:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= self.SECONDS
