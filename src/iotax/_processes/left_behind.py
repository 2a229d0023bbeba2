"""What an import leaves in the template that its forks, the workers, do not have.

Decides what a warning says. Threads do not survive a fork, but some libraries (OpenTelemetry,
ddtrace) start theirs again in the child. They can do so by os.register_at_fork() only, which tells
nobody what was registered, so it is tried: a fork looks which threads it has, and ends.
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

# A fork whose at-fork handlers take longer than this is not waited for.
_TRIAL_SECONDS: Final = 2.0
# Some are started again a moment after the fork.
_RESTART_SECONDS: Final = 0.3
# Native threads that their library starts again in a fork when they are used first, which no trial
# shows: module that sees to it, names.
_STARTED_AT_USE: Final = {"ddtrace.internal.forksafe": ("NativeWriter", "tokio-rt-worker")}
_NAMES_BYTES_MAX: Final = 64 * 1024
_TASKS: Final = "/proc/self/task"
_DESCRIPTORS: Final = "/proc/self/fd"


def after_import(sockets_before: set[str]) -> Iterator[str]:
    """Sentences for people. `sockets_before`: sockets() as it was before the import."""
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
    """Names of the threads that run in this process and not in a fork of it."""
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
    """The names of all threads but the main one. Those that Python does not know of have the names
    that the system shows."""
    known = threading.enumerate()
    # A main thread that eventlet has made anew has no number.
    others = _tasks() - {os.getpid(), *(getattr(thread, "native_id", None) for thread in known)}
    return [*(thread.name for thread in known[1:]), *map(_name_of, others)]


def _tasks() -> set[int]:
    try:
        return {int(number) for number in os.listdir(_TASKS)}
    except OSError:
        return set()  # a system that does not show them: only those that Python knows count


def _name_of(task: int) -> str:
    try:
        with open(f"{_TASKS}/{task}/comm", encoding="utf-8", errors="replace") as file:
            return f"{file.read().strip()}, not of Python"
    except OSError:
        return "not of Python"


def _running_in_a_fork(wanted: Sequence[str]) -> list[str]:
    """As _running(), in a child that has done what the libraries want done there. It waits a moment
    for `wanted`, which may be started by other threads."""
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
        if not ended:  # so it lives, and hangs
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
    with contextlib.suppress(OSError):  # a system that does not show them
        for number in os.listdir(_DESCRIPTORS):
            with contextlib.suppress(OSError):  # that of the listing itself
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
        return True  # a loop that does not tell is not known to be closed
