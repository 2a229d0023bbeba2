"""Signals of the supervisor as a queue that its loop reads, and those of the processes it forks.

Decides: which signals are taken, which of them are orders, and that a worker neither dies of those
that the whole process group gets nor ignores them (an ignored signal would stay ignored in what the
application starts).
"""

import contextlib
import errno
import faulthandler
import os
import signal
import struct
from collections import deque
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final

from iotax import _iotax
from iotax._log import server_log

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

# struct signalfd_siginfo (signalfd(2)): number, errno and code come first.
_RECORD_BYTES: Final = 128
_RECORD: Final = struct.Struct("Iii")
_RECORDS: Final = 32
_TERMINAL: Final = "/dev/tty"

Handler = Callable[[int, FrameType | None], Any] | int


def begin() -> None:
    """What the launcher of this process may have left: a mask, with which no signal would arrive,
    and an ignored SIGCHLD, with which no exit status of a child would."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


class SignalQueue:
    """What arrived, in order. Made in the main thread of a process without others; wakes a poll()
    on fileno().

    The signals are blocked and read (signalfd(2)): so their origin is known, and the supervisor
    can write to a terminal in whose background it is, as the kernel sends no TTOU to a process that
    blocks it.
    """

    def __init__(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, TAKEN)
        self._descriptor = _iotax.signal_descriptor(TAKEN)

    def fileno(self) -> int:
        return self._descriptor

    def take(self) -> Iterator[signal.Signals]:
        arrived: deque[signal.Signals] = deque()
        with contextlib.suppress(BlockingIOError):
            while records := os.read(self._descriptor, _RECORDS * _RECORD_BYTES):
                for start in range(0, len(records), _RECORD_BYTES):
                    number, _, code = _RECORD.unpack_from(records, start)
                    if is_order(number, code):
                        arrived.append(signal.Signals(number))
        yield from arrived

    def close(self) -> None:
        os.close(self._descriptor)

    def end(self) -> None:
        """The process is about to end: a signal that comes late does not change how. They stay
        blocked."""
        self.close()


def is_order(number: int, code: int) -> bool:
    """Whether somebody wants something by signal `number`, by its si_code (sigaction(2)). The
    kernel sends TTIN and TTOU to a whole process group when one of it reads from its terminal, or
    writes to it, in the background."""
    return code <= 0 or number not in (signal.SIGTTIN, signal.SIGTTOU)


class Terminal:
    """The controlling terminal as it is when the object is made.

    When its window is closed, the kernel or the shell sends HUP, and a program is expected to end,
    unless HUP was ignored when it was started (nohup).
    """

    def __init__(self) -> None:
        is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._ends_this_process = not is_ignored and _open_error() == 0

    def is_gone(self) -> bool:
        """Whether the end of the terminal is to be the end of this process."""
        return self._ends_this_process and _open_error() in (errno.ENXIO, errno.EIO)


def _open_error() -> int:
    """The errno of opening the controlling terminal; 0: it is there."""
    try:
        os.close(os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno or errno.EIO
    return 0


@contextlib.contextmanager
def blocked() -> Iterator[None]:
    """No signal arrives in the block. For a fork: the child has handlers of its own before one
    does, and what its parent blocks is not blocked in it."""
    process = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TAKEN)
    try:
        yield
    finally:
        kept = before if os.getpid() == process else before - set(TAKEN)
        signal.pthread_sigmask(signal.SIG_SETMASK, kept)


def become_child(queue: SignalQueue | None) -> None:
    """In a forked process, while signals are blocked: TERM ends it, the others do nothing. Those
    that were ignored when the server was started stay so."""
    if queue is not None:
        queue.close()
    for number in TAKEN:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _do_nothing)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    leave_terminal_in_background()


class WithoutSupervisor:
    """The signals of operators in a server process of its own (--workers 0), beside those that stop
    it: none of them ends it. Taken before the application is imported, so one that has handlers of
    its own keeps them.

    `hang_up` is called in the main thread when the terminal is gone.
    """

    def __init__(self, hang_up: Callable[[], None]) -> None:
        self._hang_up, self._terminal = hang_up, Terminal()

    def install(self) -> None:
        leave_terminal_in_background()
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._on_hup)
        signal.signal(signal.SIGUSR1, self._on_usr1)
        signal.signal(signal.SIGUSR2, _do_nothing)  # as it is again once unregistered
        faulthandler.enable()
        faulthandler.register(signal.SIGUSR2, all_threads=True)

    def end(self) -> None:
        """The process is about to end. A dump would look at threads while Python takes them
        apart."""
        faulthandler.unregister(signal.SIGUSR2)

    def _on_hup(self, number: int, _frame: FrameType | None) -> None:
        if self._terminal.is_gone():
            server_log.info("Stopping: the terminal is closed")
            self._hang_up()
            return
        server_log.warning(
            f"{signal.Signals(number).name} is refused: with --workers 0 there is no worker to"
            " replace; restart the server, or use --workers 1"
        )

    def _on_usr1(self, _number: int, _frame: FrameType | None) -> None:
        server_log.reopen()


def leave_term_to_the_supervisor() -> Handler:
    """TERM for the whole process group does nothing to this process any more. Returns the former
    handler, for a fork."""
    former = signal.signal(signal.SIGTERM, _do_nothing)
    return signal.SIG_DFL if former is None else former  # None: not installed from Python


def leave_terminal_in_background() -> None:
    """Handlers of TTIN and TTOU. Without them, reading from the terminal or writing to it in the
    background stops the whole server; with handlers that do nothing the kernel sends the signal
    again and again."""
    signal.signal(signal.SIGTTIN, _end_standard_input)
    signal.signal(signal.SIGTTOU, _write_all_the_same)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """Not SIG_IGN, which what the application starts would inherit."""


def _end_standard_input(_number: int, _frame: FrameType | None) -> None:
    """A person or a script that sends TTIN changes nothing."""
    if _is_in_background(0):
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        os.dup2(nothing, 0)
        os.close(nothing)
        server_log.warning(
            "Standard input is read in the background of its terminal: it is empty from now on;"
            " start the server in the foreground if the application asks a person"
        )


def _write_all_the_same(number: int, _frame: FrameType | None) -> None:
    """The kernel lets through what a process writes that ignores TTOU."""
    if _is_in_background(1) or _is_in_background(2):
        signal.signal(number, signal.SIG_IGN)


def _is_in_background(descriptor: int) -> bool:
    """Whether `descriptor` is the controlling terminal, and other programs are in its
    foreground."""
    try:
        return os.tcgetpgrp(descriptor) != os.getpgrp()
    except OSError:
        return False  # not the terminal
