"""Overdue calls: logs their stacks, raises the exception in their threads, replaces lost threads.

Decides what is logged of a call, and when a debugger suspends deadlines. Does not know clocks or
responses: the extension decides when a call is slow, overdue or lost, and responds by itself if
Python does not act in time.
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
    """An event of a call. `token`: identifies the call and its current deadline for the
    extension."""

    kind: str  # "slow", "overdue" or "lost"
    thread: int
    ident: int
    token: int
    line: str
    request_id: str
    age: float
    replacement: int


class Watch:
    """The thread "iotax-watch", which waits for events in the extension, without the GIL.

    `start_thread`: starts the application thread of a number, in place of a lost one.
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
        """Wait for the thread, which ends when the worker has stopped. Returns whether it has
        ended."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        """An exception ends the handling of one event, not the thread. BaseException, because
        code of the application runs here too: a loader that reads a source file, a patched
        Thread.start()."""
        while True:
            try:
                event = self._worker.watch()  # removes the event even if it raises MemoryError
                if event is None:
                    return
                self.handle(Event(*event))
            except BaseException as error:
                with contextlib.suppress(BaseException):
                    server_log.error(f"Watching calls failed: {_summary(error)}; it continues")

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
                    f"A debugger is active in {event.line} ({event.request_id}); its deadlines are"
                    " suspended"
                )
            return
        answered = (
            event.kind == "overdue"
            and self._action != "log"
            and self._worker.expire(event.thread, event.token)
        )
        option = "--slow-request" if event.kind == "slow" else "--request-timeout"
        server_log.warning(
            f"{event.line} ({event.request_id}) has produced no output for {event.age:.1f} s"
            f" ({option}); stack of iotax-{event.thread}:\n{stack(frame)}"
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
        """Start a thread in place of a lost one. If that fails, the worker has one thread less."""
        try:
            self._start_thread(event.replacement)
        except BaseException as error:
            self._worker.replacement_failed(event.thread, event.replacement)
            server_log.error(
                f"Cannot start a thread in place of iotax-{event.thread}: {_summary(error)}"
            )


def _summary(error: BaseException) -> str:
    """On one line, without reading source files, which may be what failed."""
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
    """The innermost frames, formatted as in a traceback, from the application's first frame on.
    Without source lines if reading them fails: a loader of the application may raise anything."""
    try:
        return _stack(traceback.extract_stack(frame, FRAMES_MAX) if frame is not None else [])
    except BaseException as error:
        found = list(itertools.islice(traceback.walk_stack(frame), FRAMES_MAX))[::-1]
        places = [
            traceback.FrameSummary(f.f_code.co_filename, line, f.f_code.co_name, line="")
            for f, line in found
        ]
        return f"{_stack(places)}\n  (cannot read its source: {_summary(error)})"


def _stack(frames: list[traceback.FrameSummary]) -> str:
    ours = [origin_of(entry.filename) is Origin.IOTAX for entry in frames]
    while ours and ours[-1]:
        ours.pop()  # the call has just returned
    start = max((place for place, own in enumerate(ours) if own), default=-1) + 1
    return (
        "".join(traceback.format_list(frames[start : len(ours)])).rstrip("\n")
        or "  (no Python code)"
    )
