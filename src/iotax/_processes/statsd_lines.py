"""What the supervisor itself sends to statsd: how many workers serve, and its lines of the log.

Decides when. Workers send their own lines.
"""

from collections.abc import Iterator
from typing import Final

from iotax._log import statsd
from iotax._processes.lifecycle import State
from iotax._processes.parts import Parts

SEND_SECONDS: Final = 1.0


class StatsdLines:
    """Without --statsd-host every method does nothing."""

    def __init__(self, parts: Parts) -> None:
        self._settings, self._pool = parts.settings, parts.pool
        self._sent_to: tuple[object, ...] = ()
        self._workers = 0
        self._next_send = 0.0

    def tick(self, now: float) -> None:
        """Called in each turn."""
        config = self._settings.config
        if config.statsd_host is None:
            return
        if (receiver := statsd.settings_of(config)) != self._sent_to:
            self._sent_to, self._workers = receiver, 0
        serving = sum(worker.state is State.READY for worker in self._pool.workers)
        if serving != self._workers:
            self._workers = serving
            statsd.count_workers(serving)
        if statsd.is_waiting() and now >= self._next_send:
            self._next_send = now + SEND_SECONDS
            statsd.send()

    def dues(self) -> Iterator[float]:
        """Times at which tick() has work to do without any event."""
        if self._settings.config.statsd_host is not None and statsd.is_waiting():
            yield self._next_send
