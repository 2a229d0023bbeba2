"""The start of the command: sockets, the lines for the user, and a server without a supervisor.

Decides text and order of these lines.
"""

import os
import signal
from collections.abc import Callable, Iterable
from functools import partial
from types import FrameType

from iotax import _iotax
from iotax._config.address import Address, PassedAddress, TcpAddress
from iotax._config.options import Config
from iotax._config.passed import descriptors_of, unused_sockets
from iotax._config.sources import Settings
from iotax._log import server_log, statsd, terminal
from iotax._net.listeners import Listeners, open_listeners
from iotax._net.passed import close_all
from iotax._processes import signals
from iotax._processes.exit_status import EXIT_STOPPED
from iotax._processes.notifier import Notifier
from iotax._processes.service_thread import ServiceThread
from iotax._processes.watchdog import Loop
from iotax._processes.worker_process import OwnHooks, buffer_lines, load, tell_ready
from iotax._runtime.admin import AdminThread, warn_if_open
from iotax._runtime.process_exit import ExitGuard, exit_now
from iotax._runtime.stop_signals import SECOND_SIGNAL_SECONDS, describe_immediate_stop
from iotax._runtime.worker import Worker


def close_unused(settings: Settings) -> None:
    """Close passed sockets that are not served. Call it before this process opens descriptors."""
    close_all(unused_sockets(settings.passed, settings.config.named_addresses))


def open_sockets(settings: Settings) -> Listeners:
    config = settings.config

    def example(address: TcpAddress) -> str:
        return f"--bind {address}" if config.bind else f"--port {address.port}"

    listeners = open_listeners(
        config.addresses,
        backlog=config.backlog,
        unix_mode=config.unix_mode,
        example=example,
        passed=settings.passed,
    )
    _close_passed(settings, config.addresses)
    return listeners


def open_admin(settings: Settings) -> Listeners:
    """No listeners without --admin."""
    config = settings.config
    if config.admin is None:
        return Listeners(())
    listeners = open_listeners(
        [config.admin],
        backlog=config.backlog,
        unix_mode=config.unix_mode,
        example=lambda address: f"--admin {address}",
        passed=settings.passed,
    )
    _close_passed(settings, [config.admin])
    return listeners


def _close_passed(settings: Settings, addresses: Iterable[Address]) -> None:
    """The listeners have duplicates."""
    for address in addresses:
        if isinstance(address, PassedAddress):
            close_all(descriptors_of(address, settings.passed))


def greet(settings: Settings, listeners: Listeners, admin: Listeners) -> None:
    config = settings.config
    lines = [f"iotax v{_iotax.__version__}", f"Running {config.app}"]
    if settings.file is not None:
        lines.append(f"Settings: {settings.file}")
    for listener in listeners.all:
        lines.append(f"Address: {listener.url}")
        here = f"Address: {listener.clickable} (from this machine)"
        if listener.clickable and here not in lines:
            lines.append(here)
    lines += [f"Admin: {listener.url}" for listener in admin.all]
    if config.reload:
        lines.append("Auto-reload enabled (development mode)")
    terminal.show("\n".join(lines))
    for text in settings.warnings:
        server_log.warning(text)
    if config.workers:
        warn_if_open(admin)
    exposed = [listener.url for listener in listeners.all if not listener.is_local]
    if config.reload and exposed:
        server_log.warning(
            "--reload shows tracebacks with source lines to every client that can reach"
            f" {' and '.join(exposed)}; use it for development only, or --host 127.0.0.1 to allow"
            " clients on this machine only"
        )
    if os.getpid() == 1 and all(listener.port and listener.is_local for listener in listeners.all):
        server_log.warning(
            "A loopback address cannot be reached from outside this container; use --host 0.0.0.0"
        )
    what = "supervisor" if config.workers else "server process"
    server_log.info(f"Started {what} [{os.getpid()}]")


class _NotifyingWorker(Worker):
    """`stopping` is called before the first stop, with the number of requests in progress."""

    stopping: Callable[[str, int], None]

    def stop(self, how: str) -> None:
        if self.stop_asked_at is None:
            self.stopping(how, self.running())
        super().stop(how)


def serve_unsupervised(
    config: Config,
    listeners: Listeners,
    notifier: Notifier,
    *,
    admin: Listeners,
    close: Callable[[], None],
) -> int:
    """Serve in this process. `close` removes what the server has made, and can be called again."""
    buffer_lines()
    # As PID 1, the kernel would ignore TERM without a handler during the import.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    serving: list[Worker] = []

    def hang_up() -> None:
        if not serving:
            raise KeyboardInterrupt
        serving[0].stop("prompt")

    service = ServiceThread(notifier, config)
    operators = signals.WithoutSupervisor(hang_up, service.refuses)
    operators.install()
    service.boots()
    admin_thread = AdminThread(config, admin, listeners)
    hooks = OwnHooks(config.hooks, 1)
    made = [*listeners.files, *admin.files]
    if config.pid_file:
        made.append(os.path.abspath(config.pid_file))
    _iotax.remember_own_files([os.fsencode(path) for path in made])
    loaded = load(config, hooks.begin)
    hooks.call_own("worker_ready")

    def stop_now(number: int) -> None:
        server_log.warning(describe_immediate_stop(number, worker.running()))
        close()
        exit_now(128 + number)

    def while_exiting(number: int, _frame: FrameType | None) -> None:
        if worker.seconds_since_stop() >= SECOND_SIGNAL_SECONDS:
            stop_now(number)

    def ready() -> None:
        tell_ready(listeners, config)
        admin_thread.is_ready()
        statsd.count_workers(1)
        urls = [listener.url for listener in listeners.all]
        loop = None
        if scoreboard is not None and notifier.watchdog_seconds:
            loop = Loop("The server", partial(scoreboard.turns, 0), worker.wake)
        service.serves(urls, loop)

    scoreboard = admin_thread.scoreboard
    if scoreboard is None and notifier.watchdog_seconds:
        scoreboard = _iotax.Scoreboard(1, config.threads)
    worker = _NotifyingWorker(
        loaded.application,
        listeners,
        config,
        interactive=terminal.is_terminal(),
        scoreboard=scoreboard,
    )
    worker.stopping = service.stops
    serving.append(worker)
    all_returned = worker.run(process="server", stop_now=stop_now, ready=ready)
    operators.end()
    admin_thread.end()
    statsd.count_workers(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, while_exiting)
    close()
    ExitGuard(worker.seconds_left(), EXIT_STOPPED).start()
    hooks.end()
    if not all_returned:
        exit_now(EXIT_STOPPED)
    return EXIT_STOPPED
