"""Lines for the user who started the command, and their standard streams."""

import os
import sys

from iotax._log.server_log import flush

_STDERR = 2


def say(text: str) -> None:
    """Print lines for the user on standard error, without level and prefix. Never fails."""
    flush()
    left = memoryview(f"{text}\n".encode(errors="backslashreplace"))
    try:
        while left:
            left = left[os.write(_STDERR, left) :]
    except OSError:
        return  # the reader is gone: continue with the start


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
