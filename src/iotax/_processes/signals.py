"""Signal handling of the supervisor, whose loop reads a queue, and of the processes it forks.

Decides which signals are handled and which are orders. A worker neither exits on signals that the
whole process group receives nor ignores them, since processes that the application starts would
inherit that.
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

# The supervisor acts on these; a worker handles them too, but does nothing.
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
# Makes a worker write the stacks of its threads, even while a call holds the GIL (faulthandler).
DUMP_STACKS: Final = signal.SIGRTMAX - 1

# struct signalfd_siginfo (signalfd(2)): number, errno and code come first.
_RECORD_BYTES: Final = 128
_RECORD: Final = struct.Struct("Iii")
_RECORDS: Final = 32
_TERMINAL: Final = "/dev/tty"

Handler = Callable[[int, FrameType | None], Any] | int


def begin() -> None:
    """Reset what this process may inherit from its launcher: a signal mask, which would block the
    signals, and an ignored SIGCHLD, which would discard the exit status of children."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


class SignalQueue:
    """The signals that arrived, in order; poll() can wait on fileno(). Create it in the main thread
    of a process without other threads.

    The signals are blocked and read (signalfd(2)). This gives their origin, and lets the supervisor
    write to its terminal from the background: the kernel does not send SIGTTOU to a process that
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
        """Close the queue before the process exits. The signals stay blocked, so that a late one
        does not change the exit."""
        self.close()


def is_order(number: int, code: int) -> bool:
    """Whether to act on signal `number`, judged by its si_code (sigaction(2)). SIGTTIN and SIGTTOU
    are orders only if a process sent them: the kernel sends them to a whole background process
    group when one of its processes reads from the terminal or writes to it."""
    return code <= 0 or number not in (signal.SIGTTIN, signal.SIGTTOU)


class Terminal:
    """The controlling terminal at the time of construction.

    When its window closes, the kernel or the shell sends SIGHUP, and a program has to exit unless
    SIGHUP was ignored at its start (nohup).
    """

    def __init__(self) -> None:
        is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._ends_this_process = not is_ignored and _open_error() == 0

    def is_gone(self) -> bool:
        """Whether the terminal has closed and this process has to exit because of it."""
        return self._ends_this_process and _open_error() in (errno.ENXIO, errno.EIO)


def _open_error() -> int:
    """The errno of opening the controlling terminal; 0: it can be opened."""
    try:
        os.close(os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno or errno.EIO
    return 0


@contextlib.contextmanager
def blocked() -> Iterator[None]:
    """Block the TAKEN signals in the block. Around a fork, the child installs its own handlers
    before a signal arrives, and does not keep the signals blocked that its parent blocks."""
    process = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TAKEN)
    try:
        yield
    finally:
        kept = before if os.getpid() == process else before - set(TAKEN)
        signal.pthread_sigmask(signal.SIG_SETMASK, kept)


def become_child(queue: SignalQueue | None) -> None:
    """Install the handlers of a forked process, while signals are blocked: SIGTERM ends it, the
    others do nothing. Signals that were ignored when the server started stay ignored."""
    if queue is not None:
        queue.close()
    for number in TAKEN:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _do_nothing)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    leave_terminal_in_background()


class WithoutSupervisor:
    """The operator's signals in a server without a supervisor (--workers 0), except those that stop
    it: none of them ends the process. Install it before the application is imported, so that the
    application's own handlers stay.

    `hang_up` is called in the main thread when the terminal has closed, `refused` when a signal to
    reload was refused.
    """

    def __init__(
        self, hang_up: Callable[[], None], refused: Callable[[signal.Signals], None]
    ) -> None:
        self._hang_up, self._refused, self._terminal = hang_up, refused, Terminal()

    def install(self) -> None:
        leave_terminal_in_background()
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._on_hup)
        signal.signal(signal.SIGUSR1, self._on_usr1)
        signal.signal(signal.SIGUSR2, _do_nothing)  # faulthandler.unregister() restores it
        faulthandler.enable()
        faulthandler.register(signal.SIGUSR2, all_threads=True)

    def end(self) -> None:
        """Stop dumping stacks before the process exits: a dump must not read threads that Python is
        deleting."""
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
        self._refused(signal.Signals(number))

    def _on_usr1(self, _number: int, _frame: FrameType | None) -> None:
        server_log.reopen()


def leave_term_to_the_supervisor() -> Handler:
    """Do nothing on SIGTERM, which may reach the whole process group. Returns the former handler,
    for a fork."""
    former = signal.signal(signal.SIGTERM, _do_nothing)
    return signal.SIG_DFL if former is None else former  # None: not installed from Python


def leave_terminal_in_background() -> None:
    """Install handlers for SIGTTIN and SIGTTOU. Without them, reading from the terminal or writing
    to it in the background stops the whole server; with handlers that do nothing, the kernel
    repeats the signal forever."""
    signal.signal(signal.SIGTTIN, _end_standard_input)
    signal.signal(signal.SIGTTOU, _write_all_the_same)


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """Used instead of SIG_IGN, which processes that the application starts would inherit."""


def _end_standard_input(_number: int, _frame: FrameType | None) -> None:
    """Replace standard input by /dev/null if reading it in the background caused the SIGTTIN. A
    SIGTTIN from another process changes nothing."""
    if _is_in_background(0):
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        os.dup2(nothing, 0)
        os.close(nothing)
        server_log.warning(
            "Standard input is read in the background of its terminal: it is empty from now on;"
            " start the server in the foreground if the application asks a person"
        )


def _write_all_the_same(number: int, _frame: FrameType | None) -> None:
    """Ignore SIGTTOU in the background: the kernel lets a process that ignores it write."""
    if _is_in_background(1) or _is_in_background(2):
        signal.signal(number, signal.SIG_IGN)


def _is_in_background(descriptor: int) -> bool:
    """Whether `descriptor` is the controlling terminal, with another process group in its
    foreground."""
    try:
        return os.tcgetpgrp(descriptor) != os.getpgrp()
    except OSError:
        return False  # not the terminal
