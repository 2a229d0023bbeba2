"""Calls that last too long: their stacks in the log, the exception in the thread, threads for lost
ones.

Decides: what is logged of a call, when a debugger keeps deadlines away. Knows nothing of clocks and
answers: the extension says when a call is slow, overdue or lost
(src/driver/threads/deadlines.h), and answers by itself when Python does not come to it in time.
"""

import contextlib
import itertools
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Final, NamedTuple

from iotax import _iotax
from iotax._app.code_origin import Origin, origin_of
from iotax._config.options import Config
from iotax._log import server_log
from iotax._runtime import native

DEBUGGERS: Final = frozenset({"bdb", "pdb", "ipdb", "debugpy"})
FRAMES_MAX: Final = 50


class Event(NamedTuple):
    """Of a call. `token` names it, and the moment in it, to the extension."""

    kind: str  # "slow", "overdue" or "lost"
    thread: int
    ident: int
    token: int
    line: str
    request_id: str
    age: float
    replacement: int


class Watch:
    """The thread "iotax-watch". It waits in the extension, without the GIL, until there is
    something to do.

    `start_thread` starts the application thread of a number, in place of a lost one.
    """

    def __init__(
        self, worker: _iotax.Worker, config: Config, start_thread: Callable[[int], None]
    ) -> None:
        self._worker, self._action = worker, config.request_timeout_action
        self._start_thread = start_thread
        self._debugged: set[str] = set()
        self._thread = native.thread(self._run, "iotax-watch")

    @staticmethod
    def is_needed(config: Config) -> bool:
        return config.slow_request > 0 or config.request_timeout > 0

    def start(self) -> None:
        self._thread.start()

    def join(self, seconds: float) -> bool:
        """Whether the thread has ended; it does when the worker has stopped."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        """An exception ends the handling of one event, never the watching. BaseException, because
        code of the application runs here too: the loader that reads a source file, a patched
        Thread.start()."""
        while True:
            try:
                event = self._worker.watch()  # takes the event, also when it raises MemoryError
                if event is None:
                    return
                self.handle(Event(*event))
            except BaseException as error:
                with contextlib.suppress(BaseException):
                    server_log.error(
                        f"The watch of the deadlines failed: {_summary(error)}; it continues"
                    )

    def handle(self, event: Event) -> None:
        if event.kind == "lost":
            if event.replacement >= 0:
                self._replace(event)
            return
        frame = sys._current_frames().get(event.ident)
        if is_debugged(frame):
            self._worker.suspend(event.thread, event.token)
            if event.request_id not in self._debugged:
                self._debugged.add(event.request_id)
                server_log.info(
                    f"No deadlines for {event.line} ({event.request_id}): it is debugged"
                )
            return
        answered = (
            event.kind == "overdue"
            and self._action != "log"
            and self._worker.expire(event.thread, event.token)
        )
        option = "--slow-request" if event.kind == "slow" else "--request-timeout"
        server_log.warning(
            f"{event.line} ({event.request_id}) has run for {event.age:.1f} s without a word"
            f" ({option}); iotax-{event.thread} is at:\n{stack(frame)}"
        )
        if event.kind == "slow" or self._action == "log":
            return
        if self._action == "raise":
            self._worker.interrupt(event.thread, event.token)
        elif self._action == "replace" and answered:
            self._worker.ask_for_replacement(
                f"{event.line} ({event.request_id}) is over --request-timeout"
            )

    def _replace(self, event: Event) -> None:
        """Start a thread in the place of a lost one; where that fails, the worker has one less."""
        try:
            self._start_thread(event.replacement)
        except BaseException as error:
            self._worker.replacement_failed(event.thread, event.replacement)
            server_log.error(
                f"No thread can be started in the place of iotax-{event.thread}: {_summary(error)}"
            )


def _summary(error: BaseException) -> str:
    """In one line, and without a look at source files: that may be what failed."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


def is_debugged(frame: FrameType | None) -> bool:
    """Whether a debugger is among the callers of `frame`."""
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        module = name.partition(".")[0] if type(name) is str else ""
        if module in DEBUGGERS or module.startswith("pydevd"):
            return True
        frame = frame.f_back
    return False


def stack(frame: FrameType | None) -> str:
    """The innermost frames, as in a traceback, from the application's first on. Without source
    lines where reading them fails: a loader of the application may raise anything."""
    try:
        return _stack(traceback.extract_stack(frame, FRAMES_MAX) if frame is not None else [])
    except BaseException as error:
        found = list(itertools.islice(traceback.walk_stack(frame), FRAMES_MAX))[::-1]
        places = [
            traceback.FrameSummary(f.f_code.co_filename, line, f.f_code.co_name, line="")
            for f, line in found
        ]
        return f"{_stack(places)}\n  (its source cannot be read: {_summary(error)})"


def _stack(frames: list[traceback.FrameSummary]) -> str:
    ours = [origin_of(entry.filename) is Origin.IOTAX for entry in frames]
    while ours and ours[-1]:
        ours.pop()  # it has just come back
    start = max((place for place, own in enumerate(ours) if own), default=-1) + 1
    return (
        "".join(traceback.format_list(frames[start : len(ours)])).rstrip("\n")
        or "  (no Python code)"
    )
