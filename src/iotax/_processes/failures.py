"""Failures to start a process or to load code, which are retried later.

Logs the same cause once; the backoff decides when to retry. Does not know how processes are
started.
"""

from collections.abc import Callable
from typing import Final

from iotax._log import server_log
from iotax._processes.backoff import Backoff
from iotax._processes.pool import Child, Pool
from iotax._processes.target import Target

FORK_PAUSE_SECONDS: Final = 1.0


class Failures:
    def __init__(
        self, pool: Pool, target: Target, backoff: Backoff, clock: Callable[[], float]
    ) -> None:
        self._pool, self._target, self._backoff, self._now = pool, target, backoff, clock
        self._fork_error = ""  # why processes cannot be started now
        self._load_error = ""  # the load error that was logged last

    def cannot_start(self, why: str) -> None:
        """A process could not be started: retry until it can; log the same cause once."""
        if why != self._fork_error:
            server_log.error(
                f"Cannot start a process: {why}; retrying every"
                f" {FORK_PAUSE_SECONDS:g} s{self._target.still_wanted(self._pool.workers)}"
            )
        self._fork_error = why
        self._backoff.wait(self._now(), FORK_PAUSE_SECONDS)

    def started(self) -> None:
        self._fork_error = ""

    def not_forked(self, child: Child) -> None:
        """The template did not fork `child`. It may have reported why."""
        if not self._fork_error:
            self._backoff.failed(child.started, self._now())

    def log_load_error(self, screen: str) -> None:
        """Log the error in full once, and in one line while it repeats."""
        again = screen == self._load_error
        self._load_error = screen
        server_log.error(f"{screen.splitlines()[0]}: the same error again" if again else screen)

    def loaded(self) -> None:
        self._load_error = ""

    def try_again_later(self, child: Child) -> None:
        """Keep the serving workers, since the new code does not run. Replacements stay
        requested."""
        now = self._now()
        self._backoff.failed(child.started, now)
        wanted = self._target.still_wanted(self._pool.workers)
        later = f"next attempt in {self._backoff.seconds_left(now):.1f} s{wanted}"
        server_log.error(f"Keeping the current workers; {later}")
