"""Backoff: when a process may be started again after a failure.

Decides how long to wait. Must not know which process failed, or why.
"""

from typing import Final

# A process that exits sooner than this after its start has failed.
YOUNG_SECONDS: Final = 10.0
FIRST_DELAY_SECONDS: Final = 0.1
LONGEST_DELAY_SECONDS: Final = 30.0

_NEVER: Final = float("-inf")


class Backoff:
    """The delay doubles with each failed attempt. Processes that were started together count as one
    attempt."""

    def __init__(self) -> None:
        self.until = _NEVER
        self._delay = 0.0
        self._failed_at = _NEVER

    def allows(self, now: float) -> bool:
        return now >= self.until

    def seconds_left(self, now: float) -> float:
        return max(0.0, self.until - now)

    def failed(self, started: float, now: float) -> None:
        """A process that was started at `started` did not become ready, or exited young."""
        if started <= self._failed_at:
            return  # this attempt has been counted already
        if started >= self.until + YOUNG_SECONDS:
            self._delay = 0.0  # nothing had to be started for a while
        self._delay = min(max(FIRST_DELAY_SECONDS, self._delay * 2), LONGEST_DELAY_SECONDS)
        self._failed_at = now
        self.until = now + self._delay

    def ended(self, started: float, now: float) -> None:
        """A process that had been ready has exited."""
        if now - started < YOUNG_SECONDS:
            self.failed(started, now)
        else:
            self._delay = 0.0

    def wait(self, now: float, seconds: float) -> None:
        """Start nothing for `seconds`, independent of earlier failures."""
        self.until = max(self.until, now + seconds)

    def reset(self) -> None:
        self.until, self._delay, self._failed_at = _NEVER, 0.0, _NEVER
