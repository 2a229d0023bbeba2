"""The directory that the application runs in: the start directory, or --chdir relative to it.

The command enters it by name, and so does each new worker and template: if a deployment points a
symbolic link to another release, new processes run that release. Decides which entries of sys.path
change with it. Does not know the application.
"""

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from iotax._config.errors import ConfigError, OptionError


class WorkingDirectory:
    """`chdir`: the directory to enter, "" for the start directory. `import_from`: directories to
    import from, relative to it. `environ`: of the start.

    `path`: its name; "" if it cannot be entered by name, which the constructor tries.
    Errors: ConfigError.
    """

    def __init__(
        self, chdir: str, import_from: Sequence[str], environ: Mapping[str, str] = os.environ
    ) -> None:
        self._import_from = import_from
        self._start: Final = start_directory(environ)
        python_path = environ.get("PYTHONPATH", "").split(os.pathsep)
        self._from_start: Final = [
            "",
            *(one for one in python_path if one and not os.path.isabs(one)),
        ]
        self._chdir = chdir
        self.path = os.path.join(self._start, chdir) if chdir else self._start
        self._wanted: list[str] = []  # on sys.path for --pythonpath
        self._replaced: list[str] = []  # other entries of sys.path that change with the directory
        self._enter_first(chdir)

    def _enter_first(self, chdir: str) -> None:
        before = self._from_the_start_directory()
        try:
            os.chdir(chdir or self.path)
        except OSError as error:
            if chdir:
                raise _cannot_enter(chdir, error) from None
            self.path = ""  # this process may stay there, but could not enter it again
        try:
            here = os.getcwd()
        except OSError as error:
            raise ConfigError(
                f"the current directory has no name: {error.strerror}; start the server in an"
                " existing one, or name it, e.g. --chdir /srv/project"
            ) from None
        make_importable(here)
        self._wanted = [os.path.abspath(path) for path in self._import_from]
        sys.path[:0] = self._wanted
        self._replaced = [here, *before]

    def change(self, chdir: str, import_from: Sequence[str]) -> None:
        """Let enter() enter this directory from now on. Errors: OptionError if `chdir` is another
        one and cannot be entered."""
        if chdir != self._chdir:
            path = os.path.join(self._start, chdir)
            try:
                os.stat(os.path.join(path, "."))
            except OSError as error:
                raise _cannot_enter(chdir, error) from None
            self._chdir, self.path = chdir, path
        self._import_from = import_from

    def enter(self) -> None:
        """Enter the directory that the name stands for now, and replace the entries of sys.path
        that belonged to the former one. Errors: OSError."""
        if self.path:
            os.chdir(self.path)
        now = [os.getcwd(), *self._from_the_start_directory()]
        new = dict(zip(self._replaced, now, strict=True))
        others = [*sys.path]
        for path in self._wanted:
            if path in others:
                others.remove(path)
        self._wanted = [os.path.abspath(path) for path in self._import_from]
        sys.path[:] = [*self._wanted, *(new.get(path, path) for path in others)]
        self._replaced = now

    def _from_the_start_directory(self) -> list[str]:
        """What Python itself put on sys.path, with links resolved now: the directory in which it
        was started (`python -m`), and relative entries of PYTHONPATH."""
        if not self._start:
            return []
        start = os.path.realpath(self._start)
        return [os.path.normpath(os.path.join(start, path)) for path in self._from_start]


def _cannot_enter(chdir: str, error: OSError) -> OptionError:
    problem = f'cannot enter "{chdir}": {error.strerror}; expected a directory'
    return OptionError("chdir", problem, "/srv/project")


def make_importable(directory: str) -> None:
    """Put the current `directory` first on sys.path, unless sys.path contains it."""
    if directory not in sys.path and "" not in sys.path:
        sys.path.insert(0, directory)


def start_directory(environ: Mapping[str, str]) -> str:
    """The current directory by the name that the shell uses ($PWD)."""
    name = environ.get("PWD", "")
    with contextlib.suppress(OSError):
        if os.path.isabs(name) and os.path.samefile(name, "."):
            return name
    with contextlib.suppress(OSError):
        return os.getcwd()
    return ""  # it was deleted


class _Current:
    """The working directory of this process, and of those that it forks."""

    directory: WorkingDirectory | None = None


def prepare(chdir: str, import_from: Sequence[str]) -> None:
    """Enter the working directory. Errors: ConfigError."""
    _Current.directory = WorkingDirectory(chdir, import_from)


def change(chdir: str, import_from: Sequence[str]) -> None:
    """What enter_again() enters from now on. Errors: OptionError."""
    if _Current.directory is not None:
        _Current.directory.change(chdir, import_from)


def enter_again() -> None:
    """Enter it by name, in another process than prepare(). Errors: OSError that names it."""
    if _Current.directory is not None:
        _Current.directory.enter()


def enter_again_if_gone() -> None:
    """Enter it only if the current directory was deleted: for a fork of a process that has loaded
    the application, whose files belong to that code."""
    try:
        os.getcwd()
    except OSError:
        with contextlib.suppress(OSError):
            enter_again()


def describe() -> str:
    """The current directory, as text for messages."""
    try:
        return os.getcwd()
    except OSError:
        return "a directory that was deleted"
