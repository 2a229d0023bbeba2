"""The supervisor's queue of signals, and when a closed terminal ends the server."""

import errno
import select
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from iotax._processes import signals
from iotax._processes.signals import SignalQueue, Terminal, is_order

SI_KERNEL = 0x80  # sigaction(2)


@pytest.fixture
def queue() -> Iterator[SignalQueue]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    made = SignalQueue()
    yield made
    list(made.take())
    made.close()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_pending_signals_are_read_in_order_of_their_number(queue: SignalQueue) -> None:
    assert not select.select([queue], [], [], 0)[0]
    assert list(queue.take()) == []
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
        signal.raise_signal(number)
    assert select.select([queue], [], [], 0)[0]
    assert sorted(queue.take()) == [signal.SIGHUP, signal.SIGTERM]
    assert not select.select([queue], [], [], 0)[0]


SENDER = """
import os, signal
from iotax._processes.signals import SignalQueue
queue = SignalQueue()
os.kill(os.getpid(), signal.SIGTTIN)
signal.raise_signal(signal.SIGTTOU)
assert sorted(queue.take()) == [signal.SIGTTIN, signal.SIGTTOU]
"""


def test_ttin_and_ttou_from_a_process_are_orders() -> None:
    """In a process with one thread: in this one, a thread that another test has left could take the
    signal, which would stop the process."""
    subprocess.run([sys.executable, "-c", SENDER], check=True)


@pytest.mark.parametrize("number", [signal.SIGTTIN, signal.SIGTTOU])
def test_ttin_and_ttou_from_the_kernel_are_not_orders(number: int) -> None:
    assert not is_order(number, SI_KERNEL)
    assert is_order(signal.SIGHUP, SI_KERNEL)
    assert is_order(signal.SIGINT, SI_KERNEL)  # Ctrl-C


def test_an_ignored_signal_is_still_queued(queue: SignalQueue) -> None:
    """After nohup, kill -HUP still replaces workers."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        signal.raise_signal(signal.SIGHUP)
        assert list(queue.take()) == [signal.SIGHUP]
    finally:
        signal.signal(signal.SIGHUP, before)


CHILD = """
import os, signal, sys
from iotax._processes import signals
signal.signal(signal.SIGINT, signal.SIG_IGN)
queue = signals.SignalQueue()
with signals.blocked():
    pid = os.fork()
    if not pid:
        signals.become_child(queue)
if pid:
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set(signals.TAKEN)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
for number in set(signals.TAKEN) - {signal.SIGTERM}:
    signal.raise_signal(number)
"""


def test_a_child_blocks_no_signal_and_survives_those_of_the_group() -> None:
    """Signals that were ignored at the start stay ignored."""
    subprocess.run([sys.executable, "-c", CHILD], check=True)


@pytest.mark.parametrize(
    ("at_start", "ignored", "now", "gone"),
    [
        (0, False, errno.ENXIO, True),
        (0, False, errno.EIO, True),
        (0, False, 0, False),
        (0, False, errno.EMFILE, False),
        (0, True, errno.ENXIO, False),
        (errno.ENXIO, False, errno.ENXIO, False),
        (errno.ENOENT, False, errno.ENOENT, False),
    ],
)
def test_closed_terminal_is_detected(
    monkeypatch: pytest.MonkeyPatch, at_start: int, ignored: bool, now: int, gone: bool
) -> None:
    """True if the terminal existed at the start, HUP was not ignored then, and the terminal cannot
    be opened now."""
    disposition = signal.SIG_IGN if ignored else signal.SIG_DFL
    monkeypatch.setattr(signals.signal, "getsignal", lambda _: disposition)
    monkeypatch.setattr(signals, "_open_error", lambda: at_start)
    terminal = Terminal()
    monkeypatch.setattr(signals, "_open_error", lambda: now)
    assert terminal.is_gone() is gone
