"""A clock that counts only time in which its owner ran.

A process that was stopped (SIGSTOP, a debugger), frozen with its container, or kept from the CPU
must not judge others by that time: they may have been frozen as well, and what they said meanwhile
is still unread. Decides when that was so. Knows nothing of what is timed.
"""

import time
from collections.abc import Callable
from typing import Final

# How much later than planned a wait may end: on a loaded machine processes are that late.
SLACK_SECONDS: Final = 0.25
# A wait is cut into such pieces, so that a freeze within it is noticed too ...
PULSE_SECONDS: Final = 1.0
# ... unless it is so long that what is waited for is no deadline of somebody's.
DEADLINES_WITHIN_SECONDS: Final = 600.0


class RunningClock:
    """`clock` only goes forward."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left_out = 0.0

    def now(self) -> float:
        """Seconds, without those in which the owner did not run, as far as that was noticed."""
        return self._clock() - self._left_out

    def piece(self, seconds: float | None) -> float | None:
        """How long to wait at once when `seconds` are wanted. None: as long as it takes."""
        if seconds is None or seconds > DEADLINES_WITHIN_SECONDS:
            return seconds
        return min(max(0.0, seconds), PULSE_SECONDS)

    def woke(self, planned: float) -> None:
        """A wait has ended, at the latest at `planned` by now() if the owner ran."""
        late = self.now() - planned
        if late > SLACK_SECONDS:
            self._left_out += late


class Suspicion:
    """Whether something is so, not only as the last thing that was seen before a freeze."""

    # The other process gets so long to change it.
    SECONDS: Final = 0.25

    def __init__(self) -> None:
        self._since: float | None = None

    def is_confirmed(self, is_so: bool, now: float) -> bool:
        """To be asked again after SECONDS. `now`: of a RunningClock."""
        if not is_so:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= self.SECONDS
