"""Signals that stop a worker in this process: which are handled, their effect, and how the former
handlers are restored."""

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any, Final, Literal

from iotax import _iotax

# A second signal means "now" only after this time: one Ctrl-C can reach a process twice (from the
# process group and from a wrapper).
SECOND_SIGNAL_SECONDS: Final = 0.5

Process = Literal["application", "server", "worker"]
_TAKEN: Final[Mapping[Process, Sequence[signal.Signals]]] = {
    "application": (signal.SIGINT, signal.SIGTERM),
    "server": (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT),
    "worker": (signal.SIGTERM,),
}
_Handler = Callable[[int, FrameType | None], Any] | int | None


def describe_immediate_stop(number: int, requests: int) -> str:
    """The log line for a stop that does not wait for `requests` requests in progress."""
    count = "1 request" if requests == 1 else f"{requests} requests"
    return f"Stopped immediately by {signal.Signals(number).name}; {count} aborted"


class StopSignals:
    """Handles INT and TERM while a worker runs in the main thread, then restores the former
    handlers.

    signal.signal() first, so that getsignal() returns this handler and asyncio's runner keeps it;
    then the extension's sigaction(), which reaches the loop even while Python code or a library
    runs in the main thread.
    """

    def __init__(
        self,
        worker: _iotax.Worker,
        stop: Callable[[str], None],
        stop_now: Callable[[int], None] | None,
        *,
        process: Process,
    ) -> None:
        self._worker, self._stop, self._stop_now = worker, stop, stop_now
        self._process: Process = process
        self._former: dict[int, _Handler] = {}
        self._former_wakeup_fd = -1
        self._first: float | None = None

    def install(self) -> None:
        """A signal that arrives meanwhile waits: neither handler alone would obey it."""
        numbers = _TAKEN[self._process]
        before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        try:
            self._former = {number: signal.getsignal(number) for number in numbers}
            for number in numbers:
                signal.signal(number, self.handle)
            self._worker.install_stop_signals(self._process)
        finally:
            if self._process != "application":  # the signal mask belongs to the process
                before -= set(numbers)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._former_wakeup_fd = signal.set_wakeup_fd(
            self._worker.wakeup_fd, warn_on_full_buffer=False
        )

    def restore(self) -> None:
        signal.set_wakeup_fd(self._former_wakeup_fd)
        self._worker.restore_stop_signals()
        for number, handler in self._former.items():
            if handler is not None:  # None: not installed from Python; cannot be set from it
                signal.signal(number, handler)

    def handle(self, number: int, _frame: FrameType | None) -> None:
        if self._process == "worker":
            return  # the extension's handler has notified the supervisor
        now = time.monotonic()
        if number != signal.SIGQUIT and self._first is None:
            self._first = now
            self._stop("prompt" if number == signal.SIGINT else "drain")
        elif number == signal.SIGQUIT or now - (self._first or now) >= SECOND_SIGNAL_SECONDS:
            self._stop("now")
            if self._stop_now is not None:
                self._stop_now(number)
