"""A worker process, from its fork to its exit: signals, the application, reports to the supervisor.

Decides what a worker takes over from its parent, and when it reports what. Knows nothing about
other workers.
"""

import faulthandler
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any

from iotax import _iotax
from iotax._app import importer, working_directory
from iotax._app.hooks import Hooks, WorkerInfo
from iotax._app.importer import Loaded
from iotax._app.load_error import LoadError
from iotax._config.options import Config
from iotax._log import server_log, statsd, terminal
from iotax._net.listeners import Listeners
from iotax._processes import forking, signals
from iotax._processes.channel import Channel
from iotax._processes.protocol import Report
from iotax._runtime.process_exit import ExitGuard, exit_now
from iotax._runtime.worker import ThreadsNotStarted, Worker


@dataclass(frozen=True)
class WorkerJob:
    """The inputs of a worker process. `loaded`: the application, if the template imported it."""

    config: Config
    listeners: Listeners
    channel: Channel
    supervisor: int
    scoreboard: _iotax.Scoreboard
    slot: int
    interactive: bool
    loaded: Loaded | None = None

    def run(self) -> int:
        """Serve until the supervisor orders the worker to stop. Returns the exit code."""
        forking.die_with(self.supervisor)
        self.channel.send(Report.BOOTING, str(os.getpid()))
        statsd.resume_in_child()
        faulthandler.enable()
        signal.signal(signals.DUMP_STACKS, signal.SIG_IGN)  # faulthandler.unregister() restores it
        faulthandler.register(signals.DUMP_STACKS, all_threads=True)
        if self.config.workers > 1:
            _leave_standard_input()
        buffer_lines()
        hooks = OwnHooks(self.config.hooks, self.slot + 1)
        if not os.environ.get("PYTHONBREAKPOINT"):
            sys.breakpointhook = _break_here
        try:
            loaded = self._load(hooks)
            hooks.call_own("worker_ready")
        except LoadError as error:
            self.channel.send(Report.LOAD_ERROR, str(error))
            return 0
        return self._serve(loaded, hooks)

    def _load(self, hooks: "OwnHooks") -> Loaded:
        """The application, after the first hook. Errors: LoadError."""
        if self.loaded is None:
            return load(self.config, hooks.begin)
        hooks.begin()
        return self.loaded

    def _serve(self, loaded: Loaded, hooks: "OwnHooks") -> int:
        worker = Worker(
            loaded.application,
            self.listeners,
            self.config,
            interactive=self.interactive,
            channel=self.channel.fileno(),
            scoreboard=self.scoreboard,
            slot=self.slot,
        )

        def ready() -> None:
            forking.live_on()
            self.channel.send(Report.READY)
            self.channel.close()  # the extension has a copy, which it closes when a view forks

        try:
            all_back = worker.run(process="worker", ready=ready)
        except ThreadsNotStarted as error:
            self.channel.send(Report.LOAD_ERROR, f"Cannot serve {self.config.app}: {error}")
            exit_now(0)
        # A dump must not read threads that Python is deleting.
        faulthandler.unregister(signals.DUMP_STACKS)
        signal.signal(signal.SIGTERM, _end_at_once)
        ExitGuard(worker.seconds_left(), 0).start()
        hooks.end()
        if not all_back:
            exit_now(0)
        return 0


class OwnHooks(Hooks):
    """The hooks of this process, the worker `number`, which becomes known to the application."""

    def __init__(self, module: str, number: int) -> None:
        super().__init__(module)
        self._number, self._started = number, time.monotonic()
        os.environ["IOTAX_WORKER"] = str(number)

    def begin(self) -> None:
        """Errors: LoadError."""
        self.load()
        self.call_own("worker_start")

    def call_own(self, name: str) -> None:
        """Errors: LoadError."""
        age = time.monotonic() - self._started
        self.call(name, WorkerInfo(self._number, os.getpid(), age))

    def end(self) -> None:
        try:
            self.call_own("worker_exit")
        except LoadError as error:
            server_log.error(f"{error.problem}\n{error.trace}".rstrip())


def load(config: Config, before_import: Callable[[], None] = lambda: None) -> Loaded:
    """Load the application from the current working directory. Errors: LoadError."""
    try:
        working_directory.enter_again()
    except OSError as error:
        raise _no_directory(config.app, error) from None
    before_import()
    loaded = importer.load(config.app, factory=config.factory)
    if ":" not in config.app:
        server_log.info(f"Taking {loaded.name}: no attribute was named")
    return loaded


def _no_directory(app: str, error: OSError) -> LoadError:
    name = error.filename or "the current directory"
    fix = "create the directory again, or restart the server in one that exists (--chdir)"
    if isinstance(error, PermissionError):
        fix = "let this user (--user) enter it, or start in another one (--chdir)"
    return LoadError(
        app, f"enter {name}", working_directory.describe(), f"{name}: {error.strerror}", fix
    )


def tell_ready(listeners: Listeners, config: Config) -> None:
    """Announce that the server is ready and, on a terminal, how to stop it."""
    listeners.announce(config.notes)
    if terminal.is_terminal():
        terminal.show("Press Ctrl-C to stop")


def buffer_lines() -> None:
    """Flush what the application prints after each line."""
    if sys.stdout is not None and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)


def _break_here(*, header: str = "", **more: Any) -> None:
    """breakpoint() with a pdb that ignores SIGINT: after `continue`, Ctrl-C must stop the server,
    not enter the debugger again."""
    pdb = importlib.import_module("pdb")
    debugger = pdb.Pdb(nosigint=True, **more)
    if header:
        debugger.message(header)
    debugger.set_trace(sys._getframe(1))


def _leave_standard_input() -> None:
    """Replace standard input by /dev/null: several workers cannot share the terminal's input."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _end_at_once(number: int, _frame: FrameType | None) -> None:
    exit_now(128 + number)
