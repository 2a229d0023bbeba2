"""The supervisor's interface to the operating system: clock, forks, signals, exits, memory.

Decides nothing. The supervisor gets it as an object, so that a test can replace the system.
"""

import contextlib
import os
import select
from collections.abc import Callable, Iterable

from iotax import _iotax
from iotax._processes import forking
from iotax._processes.channel import Channel
from iotax._processes.memory import Cgroup, resident_bytes
from iotax._processes.running_clock import RunningClock
from iotax._processes.signals import SignalQueue, Terminal


class System:
    def __init__(self) -> None:
        self._cgroup = Cgroup()
        self._terminal = Terminal()
        self._clock = RunningClock()

    def now(self) -> float:
        """Seconds of a monotonic clock that does not advance while this process is stopped or
        frozen."""
        return self._clock.now()

    def signals(self) -> SignalQueue:
        """Start to queue signals. Call it once, in the main thread."""
        return SignalQueue()

    def terminal_is_gone(self) -> bool:
        """Whether the terminal has closed and the server has to stop because of it."""
        return self._terminal.is_gone()

    def scoreboard(self, slots: int, threads: int, *, counted: bool) -> _iotax.Scoreboard:
        """The scoreboard: shared memory in which workers report their activity."""
        return _iotax.Scoreboard(slots, threads, counted)

    def adopt_orphans(self) -> None:
        """Become the parent of every descendant whose own parent exits."""
        _iotax.set_child_subreaper()

    def channel(self) -> tuple[Channel, Channel]:
        """Both ends of a new channel. Errors: OSError."""
        return Channel.pair()

    def fork(self, run: forking.Run, become_child: Callable[[], None]) -> int:
        """Fork a child that executes `run`, and return its process id. Errors: OSError."""
        return forking.fork(run, become_child)

    def kill(self, pid: int, number: int) -> None:
        """Send a signal. Errors are ignored: the process may have exited, or have changed its user;
        then its missing exit is noticed."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)

    def exited(self) -> tuple[int, int] | None:
        """Process id and wait status of a child that has exited; None: none has exited since."""
        with contextlib.suppress(ChildProcessError):
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid:
                return pid, status
        return None

    def wait(self, descriptors: Iterable[int], seconds: float | None) -> set[int]:
        """Wait at most `seconds` (None: without a limit) and return the readable descriptors. The
        wait can end early, without any."""
        poll = select.poll()
        for descriptor in descriptors:
            poll.register(descriptor, select.POLLIN)
        piece = self._clock.piece(seconds)
        planned = float("inf") if piece is None else self.now() + piece
        ready = poll.poll(None if piece is None else piece * 1000 + 1)
        self._clock.woke(planned)
        return {descriptor for descriptor, _ in ready}

    def is_stopped(self, pid: int) -> bool:
        """Whether a signal or a debugger has stopped the process."""
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                return file.read().rpartition(b")")[2].split()[0] in (b"T", b"t")
        except (OSError, IndexError):
            return False

    def resident_bytes(self, pid: int) -> int:
        return resident_bytes(pid)

    def headroom(self) -> int | None:
        return self._cgroup.headroom()

    def oom_kills(self) -> int:
        return self._cgroup.oom_kills()
