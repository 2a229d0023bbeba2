"""A command on a terminal of its own."""

import contextlib
import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Self, cast

from . import patience
from .lines import Lines
from .server import APPS, environment


class Terminal:
    """A pseudo-terminal whose foreground job is the command: for input and output.

    `command`: a command other than the server, e.g. a shell. `ignore`: signals that its session
    ignores, as under nohup.
    """

    def __init__(
        self,
        *arguments: str,
        env: Mapping[str, str] = {},
        cwd: Path = APPS,
        command: Sequence[str] = (),
        ignore: Sequence[signal.Signals] = (),
    ) -> None:
        self._master, slave = pty.openpty()

        def begin_session() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            for number in ignore:
                signal.signal(number, signal.SIG_IGN)

        self.process = subprocess.Popen(
            [*(command or (sys.executable, "-m", "iotax")), *arguments],
            cwd=cwd,
            env=environment(env),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=begin_session,
        )
        os.close(slave)
        self._screen = Shown(self._master)
        self.shown = Lines(cast(IO[bytes], self._screen), "the terminal")

    def type(self, text: bytes) -> None:
        os.write(self._master, text)

    def close_window(self) -> None:
        """Close the other side of the terminal: the terminal hangs up."""
        self._screen.close()
        self.shown.wait_for_end()
        os.close(self._master)
        self._master = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(patience.SECONDS)
        if self._master >= 0:
            self.shown.wait_for_end()
            os.close(self._master)


class Shown(contextlib.nullcontext[None]):
    """The other side of a terminal as a stream: it ends when no process has the terminal open,
    or with close()."""

    def __init__(self, master: int) -> None:
        super().__init__()
        self._master = master
        self._closed, self._closing = os.pipe()

    def close(self) -> None:
        os.close(self._closing)

    def read1(self, count: int) -> bytes:
        if self._closed in select.select([self._master, self._closed], [], [])[0]:
            return b""
        try:
            return os.read(self._master, count)
        except OSError:
            return b""
