"""Stops the server: on signals, when its terminal closes, or because the application cannot load.

Decides the order for each process, what to wait for, and the exit code. Templates with exit
functions exit after the workers, which may use what those functions release.
"""

import signal
from typing import Final, NamedTuple

from iotax._log import server_log
from iotax._net.listeners import Listeners
from iotax._processes.calls import Calls
from iotax._processes.control import AT_ONCE_SECONDS, Control
from iotax._processes.exit_status import EXIT_LOAD, EXIT_STOPPED
from iotax._processes.lifecycle import FOREVER, Event
from iotax._processes.live_settings import LiveSettings
from iotax._processes.pool import Pool, Worker
from iotax._processes.protocol import Order
from iotax._processes.system import System
from iotax._runtime.stop_signals import SECOND_SIGNAL_SECONDS, describe_immediate_stop

# How long after a SIGHUP to check whether the terminal has closed.
TERMINAL_SECONDS: Final = 1.0


class Stop(NamedTuple):
    exit_code: int
    order: Order
    since: float
    kill_at: float


class Shutdown:
    """`stop`: the stop in progress; `exit_code`: set when all processes have exited."""

    def __init__(
        self,
        system: System,
        pool: Pool,
        control: Control,
        calls: Calls,
        *,
        settings: LiveSettings,
        listeners: Listeners,
    ) -> None:
        self._system, self._pool, self._control, self._calls = system, pool, control, calls
        self._settings, self._listeners = settings, listeners
        self.stop: Stop | None = None
        self.exit_code: int | None = None
        self._hup_at = -FOREVER

    def request(self, number: signal.Signals) -> None:
        """Stop because of a signal. A second signal stops without waiting for requests."""
        now = self._system.now()
        if self.stop is None and number != signal.SIGQUIT:
            delay = self._settings.config.shutdown_delay if number == signal.SIGTERM else 0.0
            drain = max(map(self._control.drain_seconds, self._pool.children()), default=0.0)
            kill_at = now + delay + drain
            order = Order.DRAIN if number == signal.SIGTERM else Order.INTERRUPT
            self.stop = Stop(EXIT_STOPPED, order, now, kill_at)
            self._order_all(order)
        elif self.stop is None or self._is_second(number, now, self.stop):
            aborted = sum(len(self._calls.of(worker.slot)) for worker in self._pool.workers)
            server_log.warning(describe_immediate_stop(number, aborted))
            self.stop = Stop(128 + number, Order.NOW, now, now + AT_ONCE_SECONDS)
            self._order_all(Order.NOW)
            for process in self._pool.hook_processes.values():
                self._control.kill_hook(process)

    def give_up(self) -> None:
        """Stop because the application has never loaded, unless a signal has stopped it already."""
        if self.is_immediate:
            return
        self._order_all(Order.NOW)
        now = self._system.now()
        self.stop = Stop(EXIT_LOAD, Order.NOW, now, now + AT_ONCE_SECONDS)

    @property
    def is_immediate(self) -> bool:
        """Whether a signal has said not to wait for anything."""
        stop = self.stop
        return stop is not None and stop.exit_code not in (EXIT_STOPPED, EXIT_LOAD)

    def request_if_terminal_is_gone(self) -> bool:
        """Stop if the terminal has closed. Returns whether it has."""
        if not self._system.terminal_is_gone():
            return False
        server_log.info("Stopping: the terminal is closed")
        self.request(signal.SIGINT)
        return True

    def hup_came(self) -> None:
        """Watch the terminal for a while: some terminals (xterm) close a moment after they sent
        SIGHUP to the shell, which forwards it to its jobs."""
        self._hup_at = self._system.now()

    def watches_terminal(self) -> bool:
        return self._system.now() < self._hup_at + TERMINAL_SECONDS

    def due(self) -> float:
        if self.stop is not None:
            return self.stop.kill_at
        return self._system.now() + TERMINAL_SECONDS / 10 if self.watches_terminal() else FOREVER

    def turn(self, now: float) -> None:
        """Take the next step of a stop in progress."""
        stop = self.stop
        if stop is None:
            return
        left = [child for child in self._pool.children() if not child.is_abandoned]
        templates = [child for child in left if child.ends_last()]
        others = [child for child in left if child not in templates]
        if not left and not self._pool.hook_processes:
            self.exit_code = stop.exit_code
        elif templates and not others:
            for template in templates:
                self._control.end_template(template)
            self.stop = stop._replace(kill_at=max(stop.kill_at, now + AT_ONCE_SECONDS))
        elif now >= stop.kill_at:
            for child in others:
                self._control.kill(child, "it did not exit in time")
            self.stop = stop._replace(kill_at=now + AT_ONCE_SECONDS)

    @staticmethod
    def _is_second(number: signal.Signals, now: float, stop: Stop) -> bool:
        """Ignore a quick repetition: one Ctrl-C can arrive twice (process group and wrapper)."""
        if stop.exit_code != EXIT_STOPPED:
            return False
        return number == signal.SIGQUIT or now - stop.since >= SECOND_SIGNAL_SECONDS

    def _order_all(self, order: Order) -> None:
        """Close the supervisor's listeners first, or the kernel would accept clients that no worker
        serves."""
        self._listeners.hand_over()
        for child in self._pool.children():
            if child.ends_last():
                continue
            if not isinstance(child, Worker) or (child.boots() and order == Order.NOW):
                self._control.kill(child)
            elif child.boots():
                self._control.dismiss(child)
            elif child.may(Event.DRAIN):
                child.apply(Event.DRAIN)
                child.channel.send(order)
            elif order == Order.NOW:
                self._control.kill(child)
