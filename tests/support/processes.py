"""Processes as shown in /proc, and waiting for their exit."""

import contextlib
import os
import re
import select
import subprocess
from collections.abc import Sequence
from pathlib import Path

from . import patience


def children(pid: int) -> list[int]:
    """Children that live or were not waited for; [] if the process has exited."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def threads(pid: int) -> int:
    """How many threads the process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def state(pid: int) -> str:
    """A letter of proc(5): "S" sleeps, "Z" is a zombie; "" if the process does not exist."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def sockets(pid: int) -> list[int]:
    """The inodes of the open sockets of the process, one for each descriptor."""
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if match := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(descriptor)):
                found.append(int(match[1]))
    return found


def listening_inode(port: int) -> int:
    """The inode of the TCP listener on 127.0.0.1."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *rest = line.split()
        if state == "0A" and local == f"0100007F:{port:04X}":
            return int(rest[5])
    raise AssertionError(f"no server listens on {port}")


def has_ended(pid: int) -> bool:
    """Exited, though possibly not waited for by its parent."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 0)[0])
    finally:
        os.close(descriptor)


def wait_for_end(*pids: int) -> None:
    """Wait until each of the processes has exited. They need not be children; a reused process
    id would be mistaken for them."""
    for pid in pids:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            ended = select.select([descriptor], [], [], patience.SECONDS)[0]
        finally:
            os.close(descriptor)
        assert ended, f"process {pid} does not end"


# Before a command: makes it PID 1 of a namespace of its own.
NAMESPACE = ("unshare", "--fork", "--pid", "--mount-proc", "--kill-child")


def why_no_namespace(command: Sequence[str] = NAMESPACE) -> str:
    """The error of the kernel if it does not allow one; empty: it does."""
    probe = subprocess.run([*command, "true"], capture_output=True, text=True)
    return probe.stderr.strip() or "refused" if probe.returncode else ""
