"""Signals of the supervisor as a queue that its loop reads, and those of the processes it forks.

Decides: which signals are taken, and that a worker neither dies of those that the whole process
group gets nor ignores them (an ignored signal would stay ignored in what the application starts).
"""

import contextlib
import signal
import socket
from collections import deque
from collections.abc import Iterator
from types import FrameType
from typing import Final

# By the supervisor, which acts on them; a worker takes them too, and does nothing.
TAKEN: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCHLD,
)
# Makes a worker write the stacks of its threads, whoever holds the interpreter (faulthandler).
DUMP_STACKS: Final = signal.SIGRTMAX - 1


class SignalQueue:
    """What arrived, in order. Made in the main thread; wakes a poll() on fileno()."""

    def __init__(self) -> None:
        self._arrived: deque[signal.Signals] = deque()
        self._woken, self._waking = socket.socketpair()
        self._woken.setblocking(False)
        self._waking.setblocking(False)
        signal.set_wakeup_fd(self._waking.fileno(), warn_on_full_buffer=False)
        for number in TAKEN:
            signal.signal(number, self._arrive)

    def fileno(self) -> int:
        return self._woken.fileno()

    def take(self) -> Iterator[signal.Signals]:
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(4096)
        while self._arrived:
            yield self._arrived.popleft()

    def close(self) -> None:
        """Stop being woken."""
        signal.set_wakeup_fd(-1)
        self._woken.close()
        self._waking.close()

    def end(self) -> None:
        """The process is about to end: a signal that comes late does not change how. They stay
        blocked, since Python tells of a handler that is taken away while its signal arrives."""
        signal.pthread_sigmask(signal.SIG_BLOCK, TAKEN)
        self.close()

    def _arrive(self, number: int, _frame: FrameType | None) -> None:
        self._arrived.append(signal.Signals(number))


@contextlib.contextmanager
def blocked() -> Iterator[None]:
    """No signal arrives in the block. For a fork: the child has handlers of its own before one
    does."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TAKEN)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def become_child(queue: SignalQueue | None) -> None:
    """In a forked process, while signals are blocked: TERM ends it, the others do nothing."""
    if queue is not None:
        queue.close()
    for number in TAKEN:
        signal.signal(number, _do_nothing)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """Not SIG_IGN, which what the application starts would inherit."""
