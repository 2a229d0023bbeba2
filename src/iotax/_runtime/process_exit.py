"""Exit of this process when Python's own exit takes too long, or is not safe."""

import os
import threading
from typing import Final, NoReturn

from iotax import _iotax
from iotax._log import server_log
from iotax._runtime import native

# To write buffered standard output before the exit.
FLUSH_SECONDS: Final = 0.5


class ExitGuard:
    """Ends the process if its exit takes too long: a call, the application's own threads or its
    atexit functions may hang.

    A daemon thread can do this: Python waits for threads and runs atexit functions before it stops
    daemon threads.
    """

    def __init__(self, seconds: float, code: int) -> None:
        self._seconds, self._code = seconds, code
        self._waiting = native.make_lock()
        self._waiting.acquire()

    def cancel(self) -> None:
        """Call it at most once."""
        self._waiting.release()

    def start(self) -> None:
        """If the thread cannot be started, the exit continues without a limit."""
        try:
            native.thread(self._run, "iotax-exit").start()
        except RuntimeError as error:
            server_log.warning(f"Exiting without a time limit: {error}")

    def _run(self) -> None:
        if self._waiting.acquire(timeout=self._seconds):
            return
        ours = (threading.main_thread(), threading.current_thread())
        others = [
            thread.name
            for thread in threading.enumerate()
            if thread not in ours and (not thread.daemon or thread.name.startswith("iotax-"))
        ]
        what = f"threads: {', '.join(others)}" if others else "the application's exit functions"
        server_log.warning(f"Exiting without waiting for {what}")
        exit_now(self._code)


def exit_now(code: int) -> NoReturn:
    """End the process without finalizing Python, which could crash while a thread of the
    application runs. Write the log and standard output first, within a time limit."""
    flush_output()
    os._exit(code)


def flush_output() -> None:
    """Write the log and what the standard streams have buffered, within a time limit."""
    server_log.flush()
    _iotax.flush_standard_streams(FLUSH_SECONDS)
