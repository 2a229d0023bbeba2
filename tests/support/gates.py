"""A gate: a call of the application reports that it is inside, and waits until the test opens the
gate.

Made of two named pipes in a directory that the application knows from the variable GATES, so that
no test has to guess how long something takes. The application's side is apps/gate.py.
"""

import os
import select
from pathlib import Path

from . import patience


class Gate:
    def __init__(self, directory: Path, name: str) -> None:
        self.name = name
        self._entered = _pipe(directory / f"{name}.entered")
        self._go = _pipe(directory / f"{name}.go")

    def wait_entered(self, count: int = 1) -> bytes:
        """Wait until `count` calls are inside. Returns what they wrote, one byte each."""
        data = b""
        while len(data) < count:
            if not select.select([self._entered], [], [], patience.SECONDS)[0]:
                raise AssertionError(f"only {len(data)} of {count} calls came to gate {self.name}")
            data += os.read(self._entered, count - len(data))
        return data

    def is_empty(self) -> bool:
        """No call has come in since the last wait_entered()."""
        return not select.select([self._entered], [], [], 0)[0]

    def let_go(self, count: int = 1) -> None:
        os.write(self._go, b"." * count)

    def release(self) -> None:
        """Release all calls that are inside or come later."""
        self.let_go(4096)

    def close(self) -> None:
        """When the gate is not used any more: opening a pipe without another end never returns."""
        os.close(self._entered)
        os.close(self._go)


def _pipe(path: Path) -> int:
    """Open for both directions, so that neither side waits for the other to open it."""
    os.mkfifo(path)
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)
