"""One worker in this process, from its first thread to its last: application threads, stop signals,
leaving.

Decides: which signals are taken and given back, how long leaving may take. Knows nothing of how the
application was found or where the listeners came from. The loop, the drain and its time limit are
the extension's.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any, Final, Literal

from iotax import _iotax
from iotax._config.options import Config
from iotax._log import server_log
from iotax._net.listeners import Listeners
from iotax._runtime import native
from iotax._runtime.call_watch import Watch

# A second signal counts as "now" only when this much later: one Ctrl-C can reach a process twice
# (group and wrapper).
SECOND_SIGNAL_SECONDS: Final = 0.5
# Threads come back as soon as the worker has stopped, unless the application holds them.
JOIN_SECONDS: Final = 2.0
# For what was printed, before the process is ended.
FLUSH_SECONDS: Final = 0.5

Process = Literal["application", "server", "worker"]
_TAKEN: Final[Mapping[Process, Sequence[signal.Signals]]] = {
    "application": (signal.SIGINT, signal.SIGTERM),
    "server": (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT),
    "worker": (signal.SIGTERM,),
}
_Handler = Callable[[int, FrameType | None], Any] | int | None


class ThreadsNotStarted(RuntimeError):
    """The system has no room for the threads of a worker; says how many there are."""


class Worker:
    """Runs `application` on `listeners`, whose sockets it takes over; their files stay theirs.

    `channel` is the descriptor of one to a supervisor, who reads the worker's `seat` of `page`;
    -1: there is none.
    """

    def __init__(
        self,
        application: Callable[..., Any],
        listeners: Listeners,
        config: Config,
        *,
        interactive: bool = False,
        channel: int = -1,
        page: _iotax.Page | None = None,
        seat: int = 0,
    ) -> None:
        self._config, self._listeners = config, listeners
        self._worker = _iotax.Worker(
            application,
            listeners.descriptors(),
            config.worker_options(interactive=interactive, supervised=channel >= 0),
            channel=channel,
            page=page,
            seat=seat,
        )
        listeners.hand_over()
        self.stop_asked_at: float | None = None

    def run(
        self,
        *,
        process: Process = "application",
        at_once: Callable[[int], None] | None = None,
        ready: Callable[[], None] | None = None,
    ) -> bool:
        """Serve in this thread until stopped; in the main thread signals stop it meanwhile.

        `process` says whose the process is. The application's: INT and TERM. The server's: QUIT
        too, and a call that outlasts the graceful time-out ends the process. A worker's, under a
        supervisor: it does as it is told, and reports TERM. `at_once` is called in the main thread
        by a second signal or QUIT, with its number; `ready` before the first request.
        Returns whether every application thread has come back. Errors: OSError when the loop cannot
        be set up, ThreadsNotStarted.
        """
        threads = [self._make_thread(number) for number in range(1, self._config.threads)]

        def replace_lost(number: int) -> None:
            threads.append(self._make_thread(number))
            threads[-1].start()

        watch = Watch(self._worker, self._config, replace_lost)
        signals = (
            StopSignals(self._worker, self.stop, at_once, process=process)
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
                f"{' and no watch of the deadlines' if watch else ''} could be started: {error};"
                " take fewer (--threads), or raise the limit of processes (ulimit -u, TasksMax)"
            ) from error

    def _make_thread(self, number: int) -> threading.Thread:
        return native.thread(self._worker.run_thread, f"iotax-{number}", (number,))

    def stop(self, how: str) -> None:
        """ "drain", "prompt" or "now"; from any thread or signal handler."""
        if self.stop_asked_at is None:
            self.stop_asked_at = time.monotonic()
        self._worker.stop(how)

    def seconds_since_stop(self) -> float:
        return time.monotonic() - (self.stop_asked_at or time.monotonic())

    def seconds_left(self) -> float:
        """What is left of the graceful time-out for the application's own threads and exit
        functions; at least 1."""
        return max(1.0, self._config.graceful_timeout - self.seconds_since_stop())

    def running(self) -> int:
        return self._worker.status()["running"]


class StopSignals:
    """INT and TERM while a worker runs in the main thread; the former handlers come back
    afterwards.

    signal.signal() first, so that getsignal() shows this object and asyncio's runner leaves it
    alone; then the extension's sigaction() on top, which reaches the loop even while Python code or
    a library holds the main thread.
    """

    def __init__(
        self,
        worker: _iotax.Worker,
        stop: Callable[[str], None],
        at_once: Callable[[int], None] | None,
        *,
        process: Process,
    ) -> None:
        self._worker, self._stop, self._at_once = worker, stop, at_once
        self._process: Process = process
        self._former: dict[int, _Handler] = {}
        self._former_wakeup_fd = -1
        self._first: float | None = None

    def install(self) -> None:
        numbers = _TAKEN[self._process]
        if self._process != "application":  # a guest leaves the mask to its host
            signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
        self._former = {number: signal.getsignal(number) for number in numbers}
        for number in numbers:
            signal.signal(number, self.handle)
        self._worker.install_stop_signals(self._process)
        self._former_wakeup_fd = signal.set_wakeup_fd(
            self._worker.wakeup_fd, warn_on_full_buffer=False
        )

    def restore(self) -> None:
        signal.set_wakeup_fd(self._former_wakeup_fd)
        self._worker.restore_stop_signals()
        for number, handler in self._former.items():
            if handler is not None:  # None: not installed from Python, and not ours to name
                signal.signal(number, handler)

    def handle(self, number: int, _frame: FrameType | None) -> None:
        if self._process == "worker":
            return  # the extension's handler has told the supervisor
        now = time.monotonic()
        if number != signal.SIGQUIT and self._first is None:
            self._first = now
            self._stop("prompt" if number == signal.SIGINT else "drain")
        elif number == signal.SIGQUIT or now - (self._first or now) >= SECOND_SIGNAL_SECONDS:
            self._stop("now")
            if self._at_once is not None:
                self._at_once(number)


class ExitGuard:
    """Ends the process when leaving takes too long: a call, the application's own threads or its
    atexit functions may hang.

    A daemon thread can do this: Python waits for threads and runs atexit functions before it stops
    daemon threads.
    """

    def __init__(self, seconds: float, code: int) -> None:
        self._seconds, self._code = seconds, code
        self._waiting = native.make_lock()
        self._waiting.acquire()

    def cancel(self) -> None:
        """Once."""
        self._waiting.release()

    def start(self) -> None:
        """Without room for one more thread nothing bounds the exit, which goes on all the same."""
        try:
            native.thread(self._run, "iotax-exit").start()
        except RuntimeError as error:
            server_log.warning(f"The time to exit is not limited: {error}")

    def _run(self) -> None:
        if self._waiting.acquire(timeout=self._seconds):
            return
        ours = (threading.main_thread(), threading.current_thread())
        others = [
            thread.name
            for thread in threading.enumerate()
            if thread not in ours and (not thread.daemon or thread.name.startswith("iotax-"))
        ]
        what = f"threads {', '.join(others)}" if others else "what the application does at exit"
        server_log.warning(f"Leaving without waiting any longer for {what}")
        leave_now(self._code)


def leave_now(code: int) -> None:
    """End the process without finalising Python: a thread that the application holds would abort
    that. What was logged and printed before is written, if that is possible within seconds."""
    server_log.flush()
    _iotax.flush_standard_streams(FLUSH_SECONDS)
    os._exit(code)


def _join(threads: list[threading.Thread]) -> bool:
    deadline = time.monotonic() + JOIN_SECONDS
    for thread in threads:
        if thread.ident is not None:
            thread.join(max(0.0, deadline - time.monotonic()))
    return not any(thread.is_alive() for thread in threads)


# A child that the application forks must not hold the port or answer for its parent.
os.register_at_fork(after_in_child=_iotax.after_fork_in_child)
