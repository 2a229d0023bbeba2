"""Resources that a process and its descendants used, as the kernel reports them."""

import os
from dataclasses import dataclass
from pathlib import Path

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    total: float  # seconds on a CPU, from the scheduler (nanoseconds)
    user: float  # seconds, in ticks that are usually 10 ms
    system: float

    def __sub__(self, earlier):
        return Usage(
            self.total - earlier.total, self.user - earlier.user, self.system - earlier.system
        )


def family(pid):
    """Return the process and all its descendants."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def usage(pid):
    total, user, system = 0, 0, 0
    for one in family(pid):
        for task in Path(f"/proc/{one}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        user += int(fields[11])
        system += int(fields[12])
    return Usage(total / 1e9, user * TICK_SECONDS, system * TICK_SECONDS)


def context_switches(pid):
    """Count context switches of all threads, voluntary and involuntary."""
    count = 0
    for one in family(pid):
        for task in Path(f"/proc/{one}/task").iterdir():
            for line in (task / "status").read_text().splitlines():
                if "ctxt_switches" in line:
                    count += int(line.split()[1])
    return count
