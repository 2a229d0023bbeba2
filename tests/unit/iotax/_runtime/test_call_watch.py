"""The thread that watches calls, with scripted events: no exception ends it."""

import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from iotax._config.sources import from_arguments
from iotax._runtime import call_watch


class Extension:
    """The part of _iotax.Worker that the thread uses: returns `events`, then reports that the
    worker has stopped."""

    def __init__(self, *events: call_watch.Event) -> None:
        self._events: Iterator[call_watch.Event] = iter(events)
        self.done: list[tuple[Any, ...]] = []

    def watch(self) -> call_watch.Event | None:
        return next(self._events, None)

    def expire(self, thread: int, token: int) -> bool:
        self.done.append(("expire", thread, token))
        return True

    def interrupt(self, thread: int, token: int) -> bool:
        self.done.append(("interrupt", thread, token))
        return True

    def suspend(self, thread: int, token: int) -> None:
        self.done.append(("suspend", thread, token))

    def ask_for_replacement(self, why: str) -> None:
        self.done.append(("ask", why))

    def replacement_failed(self, lost: int, replacement: int) -> None:
        self.done.append(("failed", lost, replacement))


def event(kind: str, thread: int, ident: int = 0, replacement: int = -1) -> call_watch.Event:
    return call_watch.Event(kind, thread, ident, 100 + thread, "GET /", "ab-1", 1.0, replacement)


def watch(extension: Extension, start_thread: Callable[[int], None]) -> None:
    """Run until the extension reports that the worker has stopped."""
    config = from_arguments({"request_timeout": 1}, path=False)
    watch = call_watch.Watch(extension, config, start_thread)  # type: ignore[arg-type]
    watch.start()
    assert watch.join(20)


def no_thread(_number: int) -> None:
    raise RuntimeError("can't start new thread")


def test_a_thread_that_cannot_start_ends_one_report_only(log: list[str]) -> None:
    extension = Extension(event("lost", 0, replacement=3), event("overdue", 1))
    watch(extension, no_thread)
    assert extension.done == [("failed", 0, 3), ("expire", 1, 101), ("interrupt", 1, 101)]
    expected = "in place of iotax-0: RuntimeError: can't start new thread"
    assert any(expected in line for line in log)


class Unreadable:
    """A loader whose source cannot be read, with an unusual exception."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def get_source(self, _name: str) -> str:
        raise self._error


@pytest.mark.parametrize("error", [OSError("no disk"), SystemExit(3), ValueError()], ids=repr)
def test_unreadable_source_omits_the_source_lines_only(
    log: list[str], error: BaseException
) -> None:
    """The call still gets a response and is interrupted, and the frames are named."""
    module = types.ModuleType("generated")
    vars(module).update(
        __loader__=Unreadable(error), entered=threading.Event(), over=threading.Event()
    )
    code = "def view():\n    entered.set()\n    over.wait()\n"
    exec(compile(code, "/nowhere/generated.py", "exec"), vars(module))
    thread = threading.Thread(target=module.view)
    thread.start()
    module.entered.wait()
    try:
        ident = thread.ident
        assert ident is not None
        extension = Extension(event("overdue", 0, ident), event("overdue", 1))
        watch(extension, no_thread)
    finally:
        module.over.set()
        thread.join()
    assert extension.done[:2] == [("expire", 0, 100), ("interrupt", 0, 100)]
    assert extension.done[2:] == [("expire", 1, 101), ("interrupt", 1, 101)]
    assert any('File "/nowhere/generated.py", line 3, in view' in line for line in log)


def test_any_other_exception_ends_one_report_only(
    log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    extension = Extension(event("overdue", 0), event("overdue", 1))
    expire, take = extension.expire, extension.watch
    failures = [MemoryError()]

    def watch_fails_once() -> call_watch.Event | None:
        if failures:
            raise failures.pop()
        return take()

    monkeypatch.setattr(extension, "watch", watch_fails_once)

    def fail_once(thread: int, token: int) -> bool:
        if thread == 0:
            raise MemoryError
        return expire(thread, token)

    monkeypatch.setattr(extension, "expire", fail_once)
    watch(extension, no_thread)
    assert extension.done == [("expire", 1, 101), ("interrupt", 1, 101)]
    assert any("Watching calls failed: MemoryError" in line for line in log)
