"""The supervisor: keeps workers running, replaces them one at a time, and ends them.

One procedure replaces a worker for any reason: start another, wait until it is ready, let the old
one drain, reap it. The state of each worker and the request to replace it are values
(lifecycle.py). Each turn computes the next steps from them, so the order of messages, signals and
exits does not matter, and no request is lost.

Decides the order of a turn, and which part handles a signal. It runs neither application code nor
threads, and waits only in poll().
"""

import signal
from collections.abc import Callable, Iterator

from iotax._config.sources import Settings
from iotax._log import server_log
from iotax._net.listeners import Listeners
from iotax._processes.admin_process import AdminProcess
from iotax._processes.child_exit import ChildExits
from iotax._processes.inbox import Inbox
from iotax._processes.lifecycle import FOREVER
from iotax._processes.live_settings import ReadAgain
from iotax._processes.monitor import Monitor
from iotax._processes.notifier import Notifier
from iotax._processes.parts import Parts, connect
from iotax._processes.policy import Policy
from iotax._processes.production import Production
from iotax._processes.protocol import Order
from iotax._processes.reaper import Reaper
from iotax._processes.replacer import Replacer
from iotax._processes.service_status import ServiceStatus
from iotax._processes.statsd_lines import StatsdLines
from iotax._processes.system import System
from iotax._processes.target import Target


class Supervisor:
    """Runs workers until a signal stops it."""

    def __init__(self, parts: Parts, policy: Policy) -> None:
        self._system, self._signals, self._pool = parts.system, parts.signals, parts.pool
        self._target, self._backoff = parts.target, parts.backoff
        self._control, self._shutdown = parts.control, parts.shutdown
        self._policy, self._settings = policy, parts.settings
        self._monitor = Monitor(parts)
        self._replacer = Replacer(parts, policy)
        self._inbox = Inbox(parts, policy, self._replacer)
        self._child_exits = ChildExits(parts)
        self._service = ServiceStatus(parts)
        self._admin = AdminProcess(parts)
        self._statsd = StatsdLines(parts)
        self._reaper = Reaper(
            parts, policy, self._inbox, self._child_exits, self._service, self._admin
        )

    def run(self) -> int:
        """Supervise until all processes have exited. Returns the exit code; raises Forked in
        children."""
        self._policy.begin()
        self._system.adopt_orphans()
        while self._shutdown.exit_code is None:
            self._act()
            if self._shutdown.exit_code is None:
                self._wait()
        self._admin.end()
        self._signals.end()
        return self._shutdown.exit_code

    def _act(self) -> None:
        now = self._system.now()
        for child in self._pool.children():
            if now >= child.kill_at():
                self._control.enforce_exit(child)
        self._child_exits.enforce_exits(now)
        if self._shutdown.stop is None and self._shutdown.watches_terminal():
            self._shutdown.request_if_terminal_is_gone()
        self._service.tick(now)
        if self._shutdown.stop is not None:
            self._policy.stopping()
            self._shutdown.turn(now)
        else:
            self._monitor.tick(now)
            self._policy.tick(now)
            self._replacer.take_steps()
        if self._shutdown.exit_code is None:
            self._admin.tick(now)
        self._statsd.tick(now)

    def _wait(self) -> None:
        """Wait for signals, exits and reports, and handle them in this order."""
        readers: dict[int, Callable[[], None]] = {self._signals.fileno(): self._read_signals}
        for child in self._pool.children():
            if not child.channel_closed:
                readers[child.channel.fileno()] = lambda child=child: self._inbox.read(child)  # type: ignore[misc]
        due = min(self._dues())
        ready = self._system.wait(readers, None if due == FOREVER else due - self._system.now())
        for descriptor, read in readers.items():
            if descriptor in ready:
                read()

    def _dues(self) -> Iterator[float]:
        """Times at which there is work to do without any event."""
        yield self._shutdown.due()
        yield from (child.kill_at() for child in self._pool.children())
        yield from self._child_exits.dues()
        yield from self._admin.dues()
        yield from self._statsd.dues()
        if self._shutdown.stop is not None:
            return
        if not self._backoff.allows(self._system.now()):
            yield self._backoff.until
        yield from self._monitor.dues()
        yield from self._service.dues()
        yield from self._policy.dues()

    def _read_signals(self) -> None:
        for number in self._signals.take():
            self._on_signal(number)
        self._reaper.reap()

    def _on_signal(self, number: signal.Signals) -> None:
        if number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
            self._shutdown.request(number)
        elif self._shutdown.stop is not None:
            return
        elif number == signal.SIGHUP:
            self._on_hup()
        elif number == signal.SIGTTIN:
            self._target.change(1)
        elif number == signal.SIGTTOU:
            self._target.change(-1)
        elif number == signal.SIGUSR1:
            server_log.reopen()
            for worker in self._pool.workers:
                worker.channel.send(Order.REOPEN)
            self._admin.reopen_log()
        elif number == signal.SIGUSR2:
            self._monitor.log_running_calls()

    def _on_hup(self) -> None:
        if self._shutdown.request_if_terminal_is_gone():
            return
        self._shutdown.hup_came()
        self._service.reload_began()
        if self._settings.read_again():
            self._policy.on_hup()
        else:
            self._service.reload_failed(self._settings.error)


def production_supervisor(
    settings: Settings,
    listeners: Listeners,
    *,
    read_again: ReadAgain = lambda settings: settings,
    interactive: bool = False,
    system: System | None = None,
    notifier: Notifier | None = None,
    admin: Listeners | None = None,
) -> Supervisor:
    parts = connect(
        settings,
        listeners,
        target=Target(settings.config.workers),
        read_again=read_again,
        system=system or System(),
        interactive=interactive,
        notifier=notifier,
        admin=admin,
    )
    return Supervisor(parts, Production(parts))
