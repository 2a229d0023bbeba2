"""Which modules may stay imported while the project's own are imported anew.

A template process imports third-party modules once, and each new worker is a fork of it. That is
right only for modules which would be the same in a fresh process, so each one is tried first, in a
process that is thrown away: a module is left out if its import fails there, brings in a module of
the project, reads one of its files or a variable that the project's code sets. What the project's
code itself does never reaches the template.

Decides which modules those are. Knows nothing of messages, nor of who forks what.
"""

import contextlib
import importlib
import importlib.util
import json
import os
import select
import sys
import threading
import time
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.machinery import ModuleSpec
from typing import Any, Final, NamedTuple

from iotax._reload.project import Project
from iotax._runtime import native

# A module that takes longer to import than all of it may take is not imported ahead.
TRIAL_SECONDS_MAX: Final = 60.0
_OURS: Final = ("iotax", "iotaX", "__main__", "__mp_main__")


class Trial(NamedTuple):
    """What came of trying: `good` in an order in which each can be imported, what is to be left
    out, and the first module whose import left a thread running ("": none did)."""

    good: list[str]
    bad: list[str]
    thread: str = ""


class Refused(BaseException):
    """An import that does not happen here. No `except Exception` of the importing module's may
    make another module of it."""


class Importing:
    """A finder in front of the others: follows what imports what, refuses the project's modules
    and those in `bad`, and adds to `good` what is complete."""

    def __init__(self, project: Project, bad: Iterable[str] = ()) -> None:
        self._project = project
        self.good: list[str] = []
        self.bad = set(bad)
        self.thread = ""
        self._running: list[str] = []

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> ModuleSpec | None:
        if name in self.bad:
            self._refuse(name)
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if self._project.owns_spec(spec):
                    self._refuse(name)
                self._follow(name, spec.loader)
                return spec
        return None

    def taint(self) -> None:
        """The modules that are being imported would not be the same elsewhere."""
        self.bad.update(self._running)

    def _refuse(self, name: str) -> None:
        self.taint()
        raise Refused(name)

    def _follow(self, name: str, loader: Any) -> None:
        """Have _import() called in place of the loader's exec_module(), once."""
        if isinstance(loader, type) or not hasattr(loader, "exec_module"):
            return  # built in
        with contextlib.suppress(AttributeError):
            loader.exec_module = _Once(self._import, name, loader)

    def _import(self, name: str, loader: Any, module: types.ModuleType) -> None:
        self._running.append(name)
        try:
            loader.exec_module(module)
            if name in self.bad:
                raise Refused(name)
        except BaseException:
            self.taint()
            _forget_below(name)
            raise
        finally:
            self._running.pop()
            if not self.thread and has_threads():
                self.thread = name
        self.good.append(name)


class _Once:
    """Stands for `loader`'s method until it is called."""

    def __init__(self, call: Callable[..., None], name: str, loader: Any) -> None:
        self._call, self._name, self._loader = call, name, loader

    def __call__(self, module: types.ModuleType) -> None:
        vars(self._loader).pop("exec_module", None)
        self._call(self._name, self._loader, module)


def import_all(names: Iterable[str], importing: Importing) -> None:
    """Import what can be imported of `names`, in this process."""
    sys.meta_path.insert(0, importing)
    try:
        for name in names:
            if name not in sys.modules and name.partition(".")[0] not in _OURS:
                try:
                    importlib.import_module(name)
                except BaseException:  # SystemExit and Refused too: it is left out
                    importing.bad.add(name)
    finally:
        sys.meta_path.remove(importing)


def _forget_below(package: str) -> None:
    """The modules of a package that failed go with it."""
    for name in [name for name in sys.modules if name.startswith(package + ".")]:
        del sys.modules[name]


def try_out(
    names: Sequence[str], project: Project, bad: Iterable[str] = (), variables: Iterable[str] = ()
) -> Trial | None:
    """Import `names` in a process that is thrown away. None: it ended otherwise, or took too long.
    `variables` are those that the project's code sets or changes."""
    reading, writing = os.pipe()
    pid = native.fork()
    if pid == 0:
        code = 1
        try:
            os.close(reading)
            _silence()
            found = _try(names, project, set(bad), set(variables))
            with open(writing, "w", encoding="utf-8") as pipe:
                json.dump(found, pipe)
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    try:
        text = _read_all(reading, time.monotonic() + TRIAL_SECONDS_MAX)
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
        with contextlib.suppress(ChildProcessError):  # a module may ignore SIGCHLD
            native.waitpid(pid, 0)
    try:
        return Trial(*json.loads(text))
    except ValueError:
        return None


def _try(names: Sequence[str], project: Project, bad: set[str], variables: set[str]) -> Trial:
    importing = Importing(project, bad)

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], str | bytes):
            return
        if project.owns(os.fsdecode(arguments[0])):
            importing.taint()

    sys.addaudithook(audit)
    _tell_of_variables(variables, importing.taint)
    import_all(names, importing)
    good = [name for name in importing.good if not _with_parents(name) & importing.bad]
    return Trial(good, sorted(importing.bad), importing.thread)


def _with_parents(name: str) -> set[str]:
    parts = name.split(".")
    return {".".join(parts[:length]) for length in range(1, len(parts) + 1)}


def _tell_of_variables(variables: set[str], tell: Callable[[], None]) -> None:
    """Call `tell` when one of them is read."""
    kind: Any = type(os.environ)
    read = kind.__getitem__

    def get(self: Any, key: Any) -> Any:
        if key in variables:
            tell()
        return read(self, key)

    kind.__getitem__ = get


def _read_all(descriptor: int, until: float) -> bytes:
    data = b""
    while (left := until - time.monotonic()) > 0:
        if select.select([descriptor], [], [], left)[0]:
            more = os.read(descriptor, 65536)
            if not more:
                return data
            data += more
    return b""


def _silence() -> None:
    """What an import prints has been printed by the worker."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """The same for a while."""
    kept = [os.dup(descriptor) for descriptor in (0, 1, 2)]
    _silence()
    try:
        yield
    finally:
        for descriptor, former in enumerate(kept):
            os.dup2(former, descriptor)
            os.close(former)


def has_threads() -> bool:
    return threading.active_count() > 1 or len(os.listdir("/proc/self/task")) > 1


# ---- whether what was imported is still what lies on the disk


def stamps(project: Project) -> dict[str, int]:
    """When each imported file that is not the project's, and each folder that such modules come
    from, was changed (nanoseconds)."""
    files = {getattr(module, "__file__", None) for module in [*sys.modules.values()]}
    folders = {folder for folder in sys.path if folder and not project.owns(folder)}
    found = {}
    for path in {*files, *folders}:
        if isinstance(path, str) and not project.owns(path) and (at := _changed_at(path)):
            found[path] = at
    return found


def what_changed(before: Mapping[str, int]) -> str:
    """The first of them that was changed since, in words; "": none."""
    for path, at in before.items():
        if _changed_at(path) != at:
            return f"{path} has changed"
    return ""


def _changed_at(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
