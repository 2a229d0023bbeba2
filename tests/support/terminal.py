"""A command on a terminal of its own, as a person has it."""

import contextlib
import fcntl
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Self, cast

from . import patience
from .lines import Lines
from .server import APPS, environment


class Terminal:
    """A pseudo-terminal whose foreground job is the command: what is typed and what is shown."""

    def __init__(self, *arguments: str, env: Mapping[str, str] = {}, cwd: Path = APPS) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "iotax", *arguments],
            cwd=cwd,
            env=environment(env),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self.shown = Lines(cast(IO[bytes], Shown(self._master)), "the terminal")

    def type(self, text: bytes) -> None:
        os.write(self._master, text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(patience.SECONDS)
        self.shown.wait_for_end()
        os.close(self._master)


class Shown(contextlib.nullcontext[None]):
    """The other side of a terminal as a stream: it ends when nobody has the terminal open."""

    def __init__(self, master: int) -> None:
        super().__init__()
        self._master = master

    def read1(self, count: int) -> bytes:
        try:
            return os.read(self._master, count)
        except OSError:
            return b""
