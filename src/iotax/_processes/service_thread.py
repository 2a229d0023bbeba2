"""Tells the service manager about a server without a supervisor (--workers 0).

Decides when to start and end its thread, which needs the GIL: unlike a supervisor's, its pings stop
while a call holds the GIL.
"""

import signal
from collections.abc import Callable, Sequence
from typing import Final

from iotax._config.options import Config
from iotax._processes.lifecycle import FOREVER
from iotax._processes.notifier import EXTEND_EVERY_SECONDS, Notifier, ready_status
from iotax._processes.running_clock import RunningClock
from iotax._processes.watchdog import Loop, Watchdog
from iotax._runtime import native

# Until the process has exited, after the graceful timeout.
EXIT_SECONDS: Final = 5.0


class _Timer:
    """A thread that ends when end() is called."""

    def __init__(self, run: Callable[[Callable[[float], bool]], None]) -> None:
        """`run` gets a function that waits, and returns whether to end."""
        self._ended = native.make_lock()
        self._ended.acquire()
        native.thread(run, "iotax-service", (self._wait,)).start()

    def end(self) -> None:
        if self._ended.locked():
            self._ended.release()

    def _wait(self, seconds: float) -> bool:
        return self._ended.acquire(timeout=max(0.0, seconds))


class ServiceThread:
    def __init__(self, notifier: Notifier, config: Config) -> None:
        self._notifier, self._config = notifier, config
        self._timer: _Timer | None = None

    def boots(self) -> None:
        """Called before the application is imported."""
        if self._notifier.is_on:
            self._timer = _Timer(self._extend)

    def serves(self, urls: Sequence[str], loop: Loop | None) -> None:
        """`loop`: to watch; None: there is no watchdog."""
        self._end_timer()
        self._notifier.ready(ready_status("1 process serves", urls))
        if loop is not None:
            self._timer = _Timer(lambda wait: self._watch(wait, loop))

    def stops(self, how: str, requests: int) -> None:
        """`how`: of Worker.stop()."""
        self._end_timer()
        delay = self._config.shutdown_delay if how == "drain" else 0.0
        self._notifier.stopping(delay + self._config.graceful_timeout + EXIT_SECONDS, requests)

    def refuses(self, number: signal.Signals) -> None:
        """A signal to reload was refused: systemd waits for the end of the reload all the same."""
        self._notifier.reloading()
        self._notifier.not_reloaded(f"{number.name} is refused with --workers 0")

    def _end_timer(self) -> None:
        if self._timer is not None:
            self._timer.end()

    def _extend(self, wait: Callable[[float], bool]) -> None:
        left = self._config.boot_timeout or FOREVER
        while (left := left - EXTEND_EVERY_SECONDS) > 0 and not wait(EXTEND_EVERY_SECONDS):
            self._notifier.extend()

    def _watch(self, wait: Callable[[float], bool], loop: Loop) -> None:
        watchdog, clock = Watchdog(self._notifier), RunningClock()
        is_over = False
        while not is_over:
            watchdog.tick(clock.now(), lambda: [loop])
            is_over = wait(watchdog.due() - clock.now())
            clock.woke(watchdog.due())
