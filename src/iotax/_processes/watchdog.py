"""Pings the service manager while every event loop of the server turns (WatchdogSec= of systemd).

Decides whether a loop has stopped, by a clock that does not advance while this process is stopped.
Calls that hang or hold the GIL do not stop a loop: --request-timeout is for those.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from iotax._log import server_log
from iotax._processes.lifecycle import FOREVER
from iotax._processes.notifier import Notifier

LOOK_SECONDS_MAX: Final = 1.0


class Loop(NamedTuple):
    """`turns`: how many turns it has made; `wake`: makes it turn; `name`: unique, for the log."""

    name: str
    turns: Callable[[], int]
    wake: Callable[[], object]


@dataclass
class _Stamp:
    turns: int
    at: float
    is_reported: bool = False


class Watchdog:
    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._half = notifier.watchdog_seconds / 2
        looks = max(2, math.ceil(self._half / LOOK_SECONDS_MAX))
        self._look_seconds = self._half / looks
        self._stamps: dict[str, _Stamp] = {}
        self._next_look = self._next_ping = -FOREVER

    def due(self) -> float:
        return self._next_look if self._half else FOREVER

    def tick(self, now: float, loops: Callable[[], Iterable[Loop]]) -> None:
        if now < self.due():
            return
        self._next_look = now + self._look_seconds
        self._look(now, loops())
        if now >= self._next_ping and not self._report_late(now):
            self._next_ping = now + self._half
            self._notifier.ping()

    def _look(self, now: float, loops: Iterable[Loop]) -> None:
        """Stamp the loops that have turned, and wake them again. A loop that has not is not woken
        again: its messages would pile up."""
        former, self._stamps = self._stamps, {}
        for loop in loops:
            turns = loop.turns()
            stamp = former.get(loop.name)
            if stamp is None or stamp.turns != turns:
                stamp = _Stamp(turns, now)
                loop.wake()
            self._stamps[loop.name] = stamp

    def _report_late(self, now: float) -> bool:
        """Whether a loop has not turned in time; log each once."""
        late = [name for name, stamp in self._stamps.items() if now - stamp.at >= self._half]
        for name in late:
            stamp = self._stamps[name]
            if not stamp.is_reported:
                stamp.is_reported = True
                server_log.error(
                    f"{name} hangs: its event loop has not turned for {now - stamp.at:.1f} s; the"
                    " service manager gets no ping until it does (WatchdogSec)"
                )
        return bool(late)
