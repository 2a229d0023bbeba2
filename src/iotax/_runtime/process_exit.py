"""How this process ends when Python's own way takes too long, or is not safe."""

import os
import threading
from typing import Final

from iotax import _iotax
from iotax._log import server_log
from iotax._runtime import native

# For what was printed, before the process is ended.
FLUSH_SECONDS: Final = 0.5


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
    """End the process without finalizing Python: a thread that the application holds would abort
    that. What was logged and printed before is written, if that is possible within seconds."""
    server_log.flush()
    _iotax.flush_standard_streams(FLUSH_SECONDS)
    os._exit(code)
