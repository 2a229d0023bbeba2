"""One worker in this process: starts its threads and joins them.

Decides how long to wait for its threads. Does not know how the application was loaded or where the
listeners came from. The loop, draining and its timeout are in the extension.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from iotax import _iotax
from iotax._config.options import Config
from iotax._log import server_log
from iotax._net.listeners import Listeners
from iotax._runtime import native
from iotax._runtime.call_watch import Watch
from iotax._runtime.stop_signals import Process, StopSignals

# Threads return when the worker has stopped, unless they are in a call of the application.
JOIN_SECONDS: Final = 2.0


class ThreadsNotStarted(RuntimeError):
    """The operating system refused to start the threads of a worker. Says how many run."""


class Worker:
    """Runs `application` on the sockets of `listeners`, which keep their files.

    `channel`: a descriptor of the channel to a supervisor, which reads the worker's `slot` of
    `scoreboard`; -1: none.
    """

    def __init__(
        self,
        application: Callable[..., Any],
        listeners: Listeners,
        config: Config,
        *,
        interactive: bool = False,
        channel: int = -1,
        scoreboard: _iotax.Scoreboard | None = None,
        slot: int = 0,
    ) -> None:
        self._config, self._listeners = config, listeners
        self._worker = _iotax.Worker(
            application,
            listeners.descriptors(),
            config.worker_options(
                interactive=interactive,
                supervised=channel >= 0,
                access_log_time=server_log.access_lines_have_time(config),
            ),
            channel=channel,
            scoreboard=scoreboard,
            slot=slot,
        )
        listeners.hand_over()
        self.stop_asked_at: float | None = None

    def run(
        self,
        *,
        process: Process = "application",
        stop_now: Callable[[int], None] | None = None,
        ready: Callable[[], None] | None = None,
    ) -> bool:
        """Serve in this thread until stopped. In the main thread, signals stop it too.

        `process`: whose process it is. "application": INT and TERM stop the worker. "server": also
        QUIT, and a call that outlasts the graceful timeout ends the process. "worker", under a
        supervisor: it follows orders, and reports TERM. `stop_now`: called in the main thread with
        the number of a second signal or QUIT. `ready`: called before the first request.
        Returns whether every application thread has returned. Errors: OSError when the loop cannot
        be set up, ThreadsNotStarted.
        """
        threads = [self._make_thread(number) for number in range(1, self._config.threads)]

        def replace_lost(number: int) -> None:
            threads.append(self._make_thread(number))
            threads[-1].start()

        watch = Watch(self._worker, self._config, replace_lost)
        signals = (
            StopSignals(self._worker, self.stop, stop_now, process=process)
            if native.in_main_thread()
            else None
        )
        try:
            if signals is not None:
                signals.install()
            self._start(threads, watch if Watch.is_needed(self._config) else None)
            if ready is not None:
                ready()
            self._worker.run()
        finally:
            if signals is not None:
                signals.restore()
            self._worker.stop("now")
            back = _join(threads) and watch.join(JOIN_SECONDS)
        return back

    @staticmethod
    def _start(threads: Sequence[threading.Thread], watch: Watch | None) -> None:
        """Errors: ThreadsNotStarted."""
        started = 1  # this one
        try:
            for thread in threads:
                thread.start()
                started += 1
            if watch is not None:
                watch.start()
        except RuntimeError as error:
            raise ThreadsNotStarted(
                f"only {started} of {len(threads) + 1} application threads"
                f"{', and not the thread that watches calls,' if watch else ''} could be started:"
                f" {error}; use fewer (--threads), or raise the limit on processes (ulimit -u,"
                " TasksMax)"
            ) from error

    def _make_thread(self, number: int) -> threading.Thread:
        return native.thread(self._worker.run_thread, f"iotax-{number}", (number,))

    def stop(self, how: str) -> None:
        """ "drain", "prompt" or "now"; from any thread or signal handler."""
        if self.stop_asked_at is None:
            self.stop_asked_at = time.monotonic()
        self._worker.stop(how)

    def wake(self) -> None:
        """Make the event loop turn; from any thread."""
        with contextlib.suppress(BlockingIOError):  # it has been woken, and has not turned yet
            os.write(self._worker.wakeup_fd, b"\0")

    def seconds_since_stop(self) -> float:
        return time.monotonic() - (self.stop_asked_at or time.monotonic())

    def seconds_left(self) -> float:
        """The rest of the graceful timeout, for the application's own threads and exit functions;
        at least 1."""
        return max(1.0, self._config.graceful_timeout - self.seconds_since_stop())

    def running(self) -> int:
        return self._worker.status()["running"]


def _join(threads: list[threading.Thread]) -> bool:
    deadline = time.monotonic() + JOIN_SECONDS
    for thread in threads:
        if thread.ident is not None:
            thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)


# A process that the application forks must not keep the port open or serve its parent's clients.
os.register_at_fork(after_in_child=_iotax.after_fork_in_child)
