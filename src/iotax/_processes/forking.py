"""How a process of the server's own is made: a fork that leaves its parent's frames behind.

Decides: what a child does before anything else, and how its end is tied to the supervisor's.
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
    """Raised in the child of a fork: `run` is what it is there for, and gives its exit code."""

    def __init__(self, run: Run) -> None:
        super().__init__("the child of a fork has to leave the frames of its parent")
        self.run = run


def run_forked(run: Run) -> int:
    """Run what the command, or a child of it, is there for."""
    while True:
        try:
            return run()
        except Forked as child:
            run = child.run


def fork(run: Run, become_child: Callable[[], None]) -> int:
    """The child's process id, in the parent. The child lets go of what is its parent's, with
    signals blocked, and goes on as `run`."""
    with signals.blocked():
        pid = native.fork()
        if pid:
            return pid
        become_child()
    raise Forked(run)


def fork_for_adoption(
    run: Run, become_child: Callable[[], None], failed: Callable[[OSError], None]
) -> None:
    """As fork(), but the process becomes a child of the nearest subreaper. When the system has no
    room for it, `failed` is called with the cause, perhaps in the process between the two, which
    never gets further than this function: it runs none of the application's exit functions."""
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
    """From now on this process is killed when the process `supervisor`, its parent by birth or
    adoption, ends."""
    deadline = time.monotonic() + 5
    while os.getppid() != supervisor and time.monotonic() < deadline:
        os.sched_yield()  # the process in the middle is ending
    _iotax.set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != supervisor:
        os._exit(0)


def live_on() -> None:
    """The end of the supervisor is no longer the end of this process: it is told by the channel."""
    _iotax.set_parent_death_signal(0)


def close_all(*opened: Channel | None) -> None:
    for one in opened:
        if one is not None:
            one.close()
