"""Finds what an import creates in the template and the forked workers lack or must not share.

Decides what the warnings say. Threads do not survive a fork, but some libraries (OpenTelemetry,
ddtrace) restart theirs in the child through os.register_at_fork(), which cannot be queried. So a
trial fork lists the threads that it has, and exits.
"""

import contextlib
import gc
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from iotax._processes import signals
from iotax._runtime import native

# A trial fork whose at-fork handlers take longer than this is killed.
_TRIAL_SECONDS: Final = 2.0
# Some libraries restart their threads a moment after the fork.
_RESTART_SECONDS: Final = 0.3
# Native threads that a library restarts in a fork at their first use, which a trial cannot show:
# the module that restarts them, and their names.
_STARTED_AT_USE: Final = {"ddtrace.internal.forksafe": ("NativeWriter", "tokio-rt-worker")}
_NAMES_BYTES_MAX: Final = 64 * 1024
_TASKS: Final = "/proc/self/task"
_DESCRIPTORS: Final = "/proc/self/fd"


def after_import(sockets_before: set[str]) -> Iterator[str]:
    """Yield the text of each warning. `sockets_before`: the result of sockets() before the
    import."""
    if threads := _lost_threads():
        yield (
            f"importing the application started {_count(threads, 'thread')} ({'; '.join(threads)}),"
            " which the forked workers do not have, unless its library starts it there when it is"
            " first used"
        )
    if opened := sorted(sockets() - sockets_before):
        yield (
            f"importing the application opened {_count(opened, 'socket')} ({', '.join(opened)}),"
            " which all workers share, so what they send and receive there is mixed up"
        )
    if "asyncio" in sys.modules:
        loops = [one for one in gc.get_objects() if isinstance(one, _loop_type()) and _is_open(one)]
        if loops:
            names = ", ".join(map(repr, loops))
            yield (
                f"importing the application started {_count(loops, 'event loop')} ({names}), whose"
                " descriptors all workers share, so it does not work in them"
            )


# ---- threads


def _lost_threads() -> list[str]:
    """Names of the threads that run in this process but not in a fork of it."""
    here = _running()
    if not here:
        return []
    there = _running_in_a_fork(here)
    lost = (Counter(here) - Counter(there)).elements()
    at_use = tuple(
        name for module in _STARTED_AT_USE.keys() & sys.modules for name in _STARTED_AT_USE[module]
    )
    return sorted(name for name in lost if not (at_use and name.startswith(at_use)))


def _running() -> list[str]:
    """Names of all threads except the main one. Threads unknown to Python have the names that the
    kernel reports."""
    known = threading.enumerate()
    # eventlet replaces the object of the main thread with one that has no native_id.
    others = _tasks() - {os.getpid(), *(getattr(thread, "native_id", None) for thread in known)}
    return [*(thread.name for thread in known[1:]), *map(_name_of, others)]


def _tasks() -> set[int]:
    try:
        return {int(number) for number in os.listdir(_TASKS)}
    except OSError:
        return set()  # no /proc: count only the threads that Python knows


def _name_of(task: int) -> str:
    try:
        with open(f"{_TASKS}/{task}/comm", encoding="utf-8", errors="replace") as file:
            return f"{file.read().strip()}, not of Python"
    except OSError:
        return "not of Python"


def _running_in_a_fork(wanted: Sequence[str]) -> list[str]:
    """Like _running(), in a child that has run the at-fork handlers. The child waits a moment for
    `wanted`, because other threads may start them."""
    reading, writing = os.pipe()
    with signals.blocked():
        try:
            child = native.fork()
        except OSError:
            child = -1
        if child == 0:
            _answer(writing, wanted)
    os.close(writing)
    answer, ended = b"", False
    poll = native.poll()
    poll.register(reading)
    while not ended and poll.poll(_TRIAL_SECONDS * 1000):
        data = os.read(reading, _NAMES_BYTES_MAX)
        answer, ended = answer + data, not data
    os.close(reading)
    if child > 0:
        if not ended:  # the child hangs
            os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # the application may ignore SIGCHLD
            native.waitpid(child, 0)
    return answer.decode(errors="replace").split("\n") if answer else []


def _answer(writing: int, wanted: Sequence[str]) -> None:
    try:
        end = time.monotonic() + _RESTART_SECONDS
        while (Counter(wanted) - Counter(found := _running())) and time.monotonic() < end:
            native.poll().poll(10)  # not time.sleep(), which may be patched
        os.write(writing, "\n".join(found).encode(errors="replace")[:_NAMES_BYTES_MAX])
    finally:
        os._exit(0)


# ---- descriptors


def sockets() -> set[str]:
    """Names of the open sockets of this process: "descriptor 7"."""
    found = set()
    with contextlib.suppress(OSError):  # no /proc
        for number in os.listdir(_DESCRIPTORS):
            with contextlib.suppress(OSError):  # the descriptor that listdir() itself used
                if os.readlink(f"{_DESCRIPTORS}/{number}").startswith("socket:"):
                    found.add(f"descriptor {number}")
    return found


def _count(found: Sequence[object], name: str) -> str:
    return f"{len(found)} {name}{'s' if len(found) > 1 else ''}"


def _loop_type() -> type:
    return sys.modules["asyncio"].AbstractEventLoop  # type: ignore[no-any-return]


def _is_open(loop: object) -> bool:
    try:
        return not loop.is_closed()  # type: ignore[attr-defined]
    except Exception:
        return True  # cannot be asked: assume that it is open
