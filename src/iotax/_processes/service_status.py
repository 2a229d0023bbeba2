"""Tells the service manager about the server: ready, reloading, stopping, and that it is alive.

Decides from the state of the workers when a boot and a reload are complete. Changes nothing.
"""

import enum
from collections.abc import Iterator
from functools import partial
from typing import Final

from iotax._processes import child_exit
from iotax._processes.exit_status import EXIT_LOAD
from iotax._processes.lifecycle import FOREVER, State
from iotax._processes.notifier import EXTEND_EVERY_SECONDS, ready_status
from iotax._processes.parts import Parts
from iotax._processes.pool import Child, Worker
from iotax._processes.protocol import Order
from iotax._processes.watchdog import Loop, Watchdog

# Until the supervisor has exited, after the last worker had to be killed.
AFTER_KILL_SECONDS: Final = 2.0


class Phase(enum.Enum):
    BOOTING = enum.auto()
    SERVING = enum.auto()
    RELOADING = enum.auto()
    STOPPING = enum.auto()


class ServiceStatus:
    def __init__(self, parts: Parts) -> None:
        self._parts, self._notifier = parts, parts.notifier
        self._pool, self._shutdown = parts.pool, parts.shutdown
        self._watchdog = Watchdog(parts.notifier)
        self._phase = Phase.BOOTING
        self._replaced: set[Worker] | None = None  # by a reload that is not complete
        self._renewed = 0
        self._progress(parts.system.now())

    def tick(self, now: float) -> None:
        """Called once per turn."""
        if not self._notifier.is_on or self._phase is Phase.STOPPING:
            return
        if self._shutdown.stop is not None:
            self._stopping()
            return
        if self._phase is Phase.BOOTING and self._pool.has_served:
            self._ready()
        if self._replaced is not None:
            self._follow_reload(now, self._replaced)
        if now >= self._next_extension():
            self._extend(now)
        if self._phase is not Phase.BOOTING:
            self._watchdog.tick(now, self._loops)

    def dues(self) -> Iterator[float]:
        """Times at which tick() has work to do without any event."""
        if self._notifier.is_on:
            yield self._next_extension()
            if self._phase is not Phase.BOOTING:
                yield self._watchdog.due()

    def reload_began(self) -> None:
        """Called before workers are replaced because of a SIGHUP."""
        if self._notifier.is_on and self._phase in (Phase.SERVING, Phase.RELOADING):
            self._phase = Phase.RELOADING
            self._replaced, self._renewed = set(self._pool.workers), 0
            self._progress(self._parts.system.now())
            self._notifier.reloading()

    def reload_failed(self, why: str) -> None:
        """`why`: its first line is shown. Workers may be replaced later all the same."""
        if self._phase is Phase.RELOADING:
            self._phase = Phase.SERVING
            self._notifier.not_reloaded(why)

    def boot_failed(self, child: Child, why: str) -> None:
        self.reload_failed(f"process [{child.pid}]: {why}" if why else child.boot_error)

    def _ready(self) -> None:
        self._phase = Phase.SERVING
        count = self._parts.target.wanted()
        what = "1 worker serves" if count == 1 else f"{count} workers serve"
        self._notifier.ready(ready_status(what, (one.url for one in self._parts.listeners.all)))

    def _follow_reload(self, now: float, replaced: set[Worker]) -> None:
        """Notice that new workers have become ready, and that all old ones are replaced."""
        ready = {worker for worker in self._pool.workers if worker.state is State.READY}
        renewed = len(ready - replaced)
        if renewed > self._renewed:
            self._renewed = renewed
            self._progress(now)
        if renewed < self._parts.target.wanted() or ready & replaced:
            return
        self._replaced = None
        if self._phase is Phase.RELOADING:
            self._phase = Phase.SERVING
            self._notifier.reloaded()
        else:
            self._notifier.status("reloaded")

    def _stopping(self) -> None:
        stop = self._shutdown.stop
        self._phase = Phase.STOPPING
        if stop is not None and stop.exit_code != EXIT_LOAD:
            requests = sum(len(self._parts.calls.of(one.slot)) for one in self._pool.workers)
            seconds = stop.kill_at - stop.since + AFTER_KILL_SECONDS
            if child_exit.is_wanted(self._parts.settings) and not self._shutdown.is_immediate:
                seconds += child_exit.SECONDS
            self._notifier.stopping(seconds, requests)

    # ---- more time

    def _progress(self, now: float) -> None:
        self._since, self._extended_at = now, now

    def _next_extension(self) -> float:
        """--boot-timeout bounds how long a boot may ask for more time."""
        timeout = self._parts.config.boot_timeout or FOREVER
        due = self._extended_at + EXTEND_EVERY_SECONDS
        in_time = due - self._since < timeout
        return due if in_time and self._phase in (Phase.BOOTING, Phase.RELOADING) else FOREVER

    def _extend(self, now: float) -> None:
        self._extended_at = now
        self._notifier.extend()

    def _loops(self) -> Iterator[Loop]:
        """Of the workers that serve."""
        for worker in self._pool.workers:
            if worker.state is State.READY:
                yield Loop(
                    f"Worker [{worker.pid}]",
                    partial(self._parts.scoreboard.turns, worker.slot),
                    partial(worker.channel.send, Order.TURN),
                )
