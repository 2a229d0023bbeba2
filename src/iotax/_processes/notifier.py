"""Messages to the service manager (systemd's sd_notify(3)), as datagrams to NOTIFY_SOCKET.

Decides their wording. Does not know when they are due: service_status.py and, without a supervisor,
service_thread.py do.
"""

import math
import os
import socket
import time
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Final

from iotax._log import server_log

# What systemd tells a service. An application's own LISTEN_ADDRESS, say, stays.
_VARIABLES: Final = (
    *("LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "LISTEN_PIDFDID"),
    *("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"),
)
# A boot or reload that takes longer asks for more time this often ...
EXTEND_EVERY_SECONDS: Final = 5.0
# ... which is granted from the message on.
EXTENSION_SECONDS: Final = 15.0
# The manager is busy for a moment while it reads its units again.
_SEND_SECONDS: Final = 0.5


def forget_variables(environ: MutableMapping[str, str]) -> None:
    """Remove the variables that are for this process, not for the application."""
    for name in _VARIABLES:
        environ.pop(name, None)


class Notifier:
    """`address`: of the socket; "": no service manager, and every method does nothing.
    `watchdog_seconds`: within which it expects a ping; 0: it does not."""

    def __init__(self, address: str = "", watchdog_seconds: float = 0.0) -> None:
        self._address, self._has_failed = address, False
        self.watchdog_seconds = watchdog_seconds if address else 0.0

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Notifier":
        address = environ.get("NOTIFY_SOCKET", "")
        return cls(address, _watchdog_seconds(environ) if address else 0.0)

    @property
    def is_on(self) -> bool:
        return bool(self._address)

    def ready(self, status: str) -> None:
        self._send("READY=1", f"MAINPID={os.getpid()}", f"STATUS={status}")

    def reloading(self) -> None:
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}", "STATUS=reloading")

    def reloaded(self) -> None:
        self._send("READY=1", "STATUS=reloaded")

    def not_reloaded(self, error: str) -> None:
        self._send("READY=1", f"STATUS=not reloaded: {_first_line(error)}")

    def status(self, text: str) -> None:
        self._send(f"STATUS={text}")

    def extend(self) -> None:
        self._send(_extension(EXTENSION_SECONDS))

    def stopping(self, seconds: float, requests: int) -> None:
        """`seconds`: the longest time until this process exits."""
        count = "1 request" if requests == 1 else f"{requests} requests"
        self._send("STOPPING=1", _extension(seconds), f"STATUS=stopping: {count}")

    def ping(self) -> None:
        self._send("WATCHDOG=1")

    def _send(self, *assignments: str) -> None:
        """A failure is logged once."""
        if not self._address:
            return
        try:
            _send_to(self._address, "\n".join(assignments).encode(errors="backslashreplace"))
        except OSError as error:
            if not self._has_failed:
                self._has_failed = True
                server_log.warning(
                    f'Cannot notify the service manager at "{self._address}" (NOTIFY_SOCKET):'
                    f" {error.strerror or error}"
                )


def ready_status(what: str, urls: Iterable[str]) -> str:
    """`what`: a subject with its verb."""
    return f"{what} on {', '.join(urls)}"


def _send_to(address: str, message: bytes) -> None:
    """With a socket for each message: none is open that a fork could inherit. Errors: OSError."""
    if address[0] not in "/@" or len(address) == 1:
        raise OSError("expected an absolute path, or @ and a name")
    where = os.fsencode(address)
    if address[0] == "@":
        where = b"\0" + where[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(_SEND_SECONDS)
        sock.sendto(message, where)


def _watchdog_seconds(environ: Mapping[str, str]) -> float:
    text = environ.get("WATCHDOG_USEC", "")
    if not text or environ.get("WATCHDOG_PID", "") not in ("", str(os.getpid())):
        return 0.0
    if not (text.isascii() and text.isdigit()):
        server_log.warning(
            f'WATCHDOG_USEC: "{text}" is not a number of microseconds; the watchdog is off'
        )
        return 0.0
    return int(text) / 1e6


def _extension(seconds: float) -> str:
    return f"EXTEND_TIMEOUT_USEC={math.ceil(seconds * 1e6)}"


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
