"""Plays systemd: passes sockets to a server, and receives its notifications."""

import os
import shutil
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import patience

# Becomes the server, whose process id LISTEN_PID has to be: `launch DESCRIPTOR,… COMMAND`.
_LAUNCH = """
import os, sys
passed = [int(number) for number in sys.argv[1].split(",") if number]
above = 3 + len(passed) + max([0, *passed])
for n, number in enumerate(passed):
    os.dup2(number, above + n, inheritable=False)
for n, number in enumerate(passed):
    os.set_inheritable(number, False)
    os.dup2(above + n, 3 + n)
for name in ("LISTEN_PID", "WATCHDOG_PID"):
    if os.environ.get(name) == "ours":
        os.environ[name] = str(os.getpid())
os.execvp(sys.argv[2], sys.argv[2:])
"""


def passing(
    *sockets: socket.socket, names: str = "", env: Mapping[str, str] = {}
) -> dict[str, Any]:
    """Keyword arguments for Server: the sockets are its descriptors from 3 on. `env` can replace
    each variable; the value "ours" becomes the server's process id."""
    numbers = [one.fileno() for one in sockets]
    variables = {"LISTEN_PID": "ours", "LISTEN_FDS": str(len(sockets))}
    if names:
        variables["LISTEN_FDNAMES"] = names
    return {
        "under": [sys.executable, "-c", _LAUNCH, ",".join(map(str, numbers))],
        "pass_fds": numbers,
        "env": {**variables, **env},
    }


class NotifySocket:
    """The socket that NOTIFY_SOCKET names. Each message is a list of assignments."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address.replace("@", "\0", 1) if address[0] == "@" else address)
        self.seen: list[list[str]] = []

    def close(self) -> None:
        self.socket.close()

    def variables(self, *, watchdog_seconds: float = 0.0) -> dict[str, str]:
        found = {"NOTIFY_SOCKET": self.address}
        if watchdog_seconds:
            found["WATCHDOG_USEC"] = str(round(watchdog_seconds * 1e6))
        return found

    def receive(self, seconds: float = patience.SECONDS) -> list[str] | None:
        """The next message; None: none arrives within `seconds`."""
        self.socket.settimeout(seconds)
        try:
            message = self.socket.recv(65536)
        except TimeoutError:
            return None
        self.seen.append(message.decode().split("\n"))
        return self.seen[-1]

    def wait_for(self, assignment: str) -> list[str]:
        """The next message that has an assignment which begins like this."""
        deadline = time.monotonic() + patience.SECONDS
        while time.monotonic() < deadline:
            found = self.receive(deadline - time.monotonic())
            if found and any(line.startswith(assignment) for line in found):
                return found
        raise AssertionError(f"no {assignment} in {self.seen}")

    def until(self, assignment: str) -> list[list[str]]:
        """All messages up to the one that has such an assignment."""
        start = len(self.seen)
        self.wait_for(assignment)
        return self.seen[start:]

    def is_silent_for(self, seconds: float) -> bool:
        return self.receive(seconds) is None


def tcp_socket(*, backlog: int = 128) -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(backlog)
    return sock


def unix_socket(path: Path, *, backlog: int = 128) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(os.fspath(path))
    sock.listen(backlog)
    return sock


def why_missing(tool: str) -> str:
    """A reason to skip; "": the tool is there."""
    return "" if shutil.which(tool) else f"{tool} is not installed (package systemd)"
