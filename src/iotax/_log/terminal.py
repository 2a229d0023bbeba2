"""Lines for the user who started the command, and their standard streams."""

import os
import sys

from iotax._log import server_log

_STDERR = 2


def say(text: str) -> None:
    """Print lines for the user on standard error, without level and prefix. Never fails."""
    server_log.flush()
    left = memoryview(f"{text}\n".encode(errors="backslashreplace"))
    try:
        while left:
            left = left[os.write(_STDERR, left) :]
    except OSError:
        return  # the reader is gone: continue with the start


def show(text: str) -> None:
    """Show lines when the server starts: as they are, or as INFO records (--log-format json)."""
    if not server_log.makes_records():
        return say(text)
    for line in text.splitlines():
        server_log.info(line)
    return None


def show_failure(text: str) -> None:
    """Show why the server cannot start or ends: as it is, or as one ERROR record."""
    if not server_log.makes_records():
        return say(text)
    server_log.error(text.strip("\n"))
    server_log.flush()
    return None


def is_terminal() -> bool:
    return os.isatty(_STDERR)


def open_missing_standard_streams() -> None:
    """Open /dev/null for each closed descriptor of 0 to 2, so that a socket does not get its
    number."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest free number: `descriptor`
            os.set_inheritable(opened, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, "w" if descriptor else "r", closefd=False))  # noqa: SIM115 as long as the process
