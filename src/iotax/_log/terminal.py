"""Lines for the person who started the command, and the standard streams that they go to."""

import os
import sys

from iotax._log.server_log import flush

_STDERR = 2


def say(text: str) -> None:
    """Lines for the person who started the command, on standard error: no level, no prefix. Never
    fails."""
    flush()
    left = memoryview(f"{text}\n".encode(errors="backslashreplace"))
    try:
        while left:
            left = left[os.write(_STDERR, left) :]
    except OSError:
        return  # nobody reads: the start goes on


def is_terminal() -> bool:
    return os.isatty(_STDERR)


def open_missing_standard_streams() -> None:
    """Open descriptors 0 to 2 on /dev/null when they are closed, so that no socket takes their
    place."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest free number: `descriptor`
            os.set_inheritable(opened, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, "w" if descriptor else "r", closefd=False))  # noqa: SIM115 as long as the process
