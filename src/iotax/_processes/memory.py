"""Memory that a process uses and that its cgroup has left, read from /proc and the cgroup's files.

Decides which files to read (cgroup v2, or v1's memory controller). A value that cannot be read is
unknown, never an error.
"""

import os
from typing import Final

_ROOT: Final = "/sys/fs/cgroup"


class Cgroup:
    """The memory cgroup of this process. Without one, every value is unknown."""

    def __init__(self, root: str = _ROOT, membership: str = "/proc/self/cgroup") -> None:
        self._v2, self._v1 = _directories(root, membership)

    def oom_kills(self) -> int:
        """Number of processes in it that the kernel's OOM killer has killed; 0 when unknown."""
        if self._v2 is not None:
            return _field(f"{self._v2}/memory.events", "oom_kill")
        return _field(f"{self._v1}/memory.oom_control", "oom_kill") if self._v1 is not None else 0

    def headroom(self) -> int | None:
        """Bytes left below the limit; None without a limit, or if the files cannot be read."""
        if self._v2 is not None:
            limit = _number(f"{self._v2}/memory.max")
            used = _number(f"{self._v2}/memory.current")
        elif self._v1 is not None:
            limit = _number(f"{self._v1}/memory.limit_in_bytes")
            used = _number(f"{self._v1}/memory.usage_in_bytes")
        else:
            return None
        if limit is None or used is None or limit >= 1 << 60:
            return None
        return max(0, limit - used)


def resident_bytes(pid: int) -> int:
    """The resident set of a process, in bytes; 0 when the process has exited."""
    try:
        pages = int(_content(f"/proc/{pid}/statm").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _directories(root: str, membership: str) -> tuple[str | None, str | None]:
    """The first existing directory of v2 and of v1's memory controller."""
    try:
        lines = _content(membership).splitlines()
    except OSError:
        return None, None
    v2 = v1 = None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            v2 = _existing(root, path, "memory.events")
        elif "memory" in controllers.split(","):
            v1 = _existing(f"{root}/memory", path, "memory.oom_control")
    return v2, v1


def _existing(root: str, path: str, file: str) -> str | None:
    # In a container the path may be the host's, while the files are at the root.
    for directory in (os.path.join(root, path.lstrip("/")), root):
        if os.path.exists(f"{directory}/{file}"):
            return directory
    return None


def _content(file: str) -> str:
    with open(file, encoding="utf-8") as opened:
        return opened.read()


def _number(file: str) -> int | None:
    try:
        return int(_content(file))
    except (OSError, ValueError):
        return None  # "max": no limit


def _field(file: str, name: str) -> int:
    try:
        for line in _content(file).splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    except (OSError, ValueError):
        pass
    return 0
