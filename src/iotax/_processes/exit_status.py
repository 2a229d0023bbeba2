"""Exit codes of the server, and descriptions of how a process exited.

Decides the wording. Knows wait statuses and signals, not what happens to the process.
"""

import os
import signal
from typing import Final, NamedTuple

EXIT_STOPPED: Final = 0
EXIT_LOAD: Final = 3


class Exit(NamedTuple):
    """How a process exited: its wait status, and whether the kernel killed it to free memory."""

    status: int
    out_of_memory: bool = False

    def __str__(self) -> str:
        return cause(self.status, out_of_memory=self.out_of_memory)

    @property
    def signal(self) -> int:
        """0: it ended without a signal."""
        return os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else 0

    @property
    def code(self) -> int:
        """Negative: the signal."""
        return os.waitstatus_to_exitcode(self.status)


def cause(status: int, *, out_of_memory: bool = False) -> str:
    """Describe a wait status: "was killed by …", "died of …", "ended with …"."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"ended with exit code {code}"
    if -code == signal.SIGKILL:
        who = "the kernel (out of memory)" if out_of_memory else "SIGKILL from outside"
        return f"was killed by {who}"
    return f"died of {signal_name(-code)}"


def signal_name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    described = signal.strsignal(number)
    return f"{name} ({described.lower()})" if described else name


def age(seconds: float) -> str:
    """ "0.3 s", "12 s", "4 min", "3 h", "2 days"."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def size(count: int) -> str:
    """A number of bytes as text: "512 MiB"."""
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count >= 1 << power:
            return f"{count / (1 << power):.4g} {unit}"
    return f"{count} B"
