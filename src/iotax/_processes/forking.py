"""Forks the server's own processes. The child unwinds the parent's stack before it runs.

Decides what a child does first, and how its exit is tied to the supervisor's.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable

from iotax import _iotax
from iotax._processes import signals
from iotax._processes.channel import Channel
from iotax._runtime import native

Run = Callable[[], int]


class Forked(BaseException):
    """Raised in the child of a fork: `run` is its task and returns its exit code."""

    def __init__(self, run: Run) -> None:
        super().__init__("the child of a fork has to leave the frames of its parent")
        self.run = run


def run_forked(run: Run) -> int:
    """Run the command's task, and in a forked child the child's. Returns the exit code."""
    while True:
        try:
            return run()
        except Forked as child:
            run = child.run


def fork(run: Run, become_child: Callable[[], None]) -> int:
    """Return the child's process id in the parent. The child calls `become_child` with signals
    blocked, to release what belongs to its parent, and raises Forked(run)."""
    with signals.blocked():
        pid = native.fork()
        if pid:
            return pid
        become_child()
    raise Forked(run)


def fork_for_adoption(
    run: Run, become_child: Callable[[], None], failed: Callable[[OSError], None]
) -> None:
    """Like fork(), but the nearest subreaper adopts the process. If a fork fails, `failed` gets
    the cause, possibly in the intermediate process. That process never returns from this function
    and does not run the application's exit functions."""
    with signals.blocked():
        try:
            middle = native.fork()
        except OSError as error:
            failed(error)
            return
        if middle:
            with contextlib.suppress(ChildProcessError):  # an application may ignore SIGCHLD
                native.waitpid(middle, 0)
            return
        try:
            if native.fork():
                os._exit(0)
        except OSError as error:
            try:
                failed(error)
            finally:
                os._exit(1)
        become_child()
    raise Forked(run)


def die_with(supervisor: int) -> None:
    """Have the kernel kill this process when the process `supervisor`, its parent by fork or
    adoption, exits."""
    deadline = time.monotonic() + 5
    while os.getppid() != supervisor and time.monotonic() < deadline:
        os.sched_yield()  # the intermediate process is exiting
    _iotax.set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != supervisor:
        os._exit(0)


def live_on() -> None:
    """Undo die_with(): from now on the closed channel reports that the supervisor has exited."""
    _iotax.set_parent_death_signal(0)


def close_all(*opened: Channel | None) -> None:
    for one in opened:
        if one is not None:
            one.close()
