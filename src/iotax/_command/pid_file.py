"""--pid-file: the number of this process in a file, from the start to the end of the server.

Decides whether another process owns a file that exists, and which process removes it.
"""

import contextlib
import os
from typing import Final, Self

from iotax._command.user import User
from iotax._config.errors import OptionError
from iotax._config.options import OPTIONS
from iotax._log import server_log

# More than any number has: a longer file is not ours.
_BYTES_MAX: Final = 32


class PidFile:
    """Written when the block begins, and removed when it ends. `owner`: the user that removes it.
    Errors: OptionError."""

    def __init__(self, path: str, owner: User | None = None) -> None:
        self._shown, self._path, self._owner = path, os.path.abspath(path), owner
        self._pid: Final = os.getpid()

    def __enter__(self) -> Self:
        if other := _living_process(_read(self._path), self._pid):
            raise _error(
                f'"{self._shown}" has the number of a living process, {other}; stop that process,'
                " or use another file"
            )
        try:
            self._write()
        except OSError as error:
            raise _error(f'cannot write "{self._shown}": {error.strerror}') from None
        return self

    def _write(self) -> None:
        """Rename a complete file, so that its readers never get a part of it."""
        new = f"{self._path}.{self._pid}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        opened = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            os.write(opened, b"%d\n" % self._pid)
            if self._owner is not None:
                os.fchown(opened, self._owner.uid, self._owner.gid)
            os.rename(new, self._path)
        except OSError:
            os.unlink(new)
            raise
        finally:
            os.close(opened)

    def __exit__(self, *_: object) -> None:
        """Forks of this process leave the block too, and do not own the file."""
        if os.getpid() != self._pid or _read(self._path).strip() != b"%d" % self._pid:
            return
        try:
            os.unlink(self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.truncate(self._path, 0)
            server_log.warning(
                f"Cannot remove {self._shown}: {error.strerror}; it is emptied (--pid-file)"
            )


def _read(path: str) -> bytes:
    """The first bytes of a file; empty: it does not exist, or cannot be read."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(opened, _BYTES_MAX)
    except OSError:
        return b""  # a directory
    finally:
        os.close(opened)


def _living_process(content: bytes, own: int) -> int:
    """The process that `content` names, if it is another one and lives; else 0."""
    text = content.strip()
    if not text.isdigit() or len(content) == _BYTES_MAX or int(text) in (0, own):
        return 0
    try:
        os.kill(int(text), 0)
    except PermissionError:
        pass  # it lives, and belongs to another user
    except (ProcessLookupError, OverflowError):
        return 0
    return int(text)


def _error(problem: str) -> OptionError:
    return OptionError("pid_file", problem, OPTIONS["pid_file"].example)
