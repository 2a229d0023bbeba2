"""Decides which modules may stay imported while the project's own modules are imported again.

A template process imports third-party modules once and forks each new worker. This is correct only
for modules that would be the same in a fresh process, so a throwaway process tries each one first.
A module is left out if its import fails there, imports a module of the project, or reads a file of
the project or a variable that the project's code sets. Effects of the project's code never reach
the template.

Must not know messages, or which process forks which.
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

# Time for all imports of a trial together. If they take longer, none is imported in advance.
TRIAL_SECONDS_MAX: Final = 60.0
_OURS: Final = ("iotax", "iotaX", "__main__", "__mp_main__")


class Trial(NamedTuple):
    """The result of a trial: `good`, in an order in which each module can be imported; `bad`, to be
    left out; and the first module whose import left a thread running ("": none did)."""

    good: list[str]
    bad: list[str]
    thread: str = ""


class Refused(BaseException):
    """Raised for an import that is refused here. A BaseException, so that the importing module's
    `except Exception` cannot catch it and turn the module into a different one."""


class Importing:
    """A finder before the others: tracks which module imports which, refuses the project's modules
    and those in `bad`, and adds each completely imported module to `good`."""

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
        """Mark the modules that are being imported as bad: they would differ in another process."""
        self.bad.update(self._running)

    def _refuse(self, name: str) -> None:
        self.taint()
        raise Refused(name)

    def _follow(self, name: str, loader: Any) -> None:
        """Replace the loader's exec_module() by _import() for one call."""
        if isinstance(loader, type) or not hasattr(loader, "exec_module"):
            return  # a built-in module
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
    """Replaces the `loader`'s method until it is called."""

    def __init__(self, call: Callable[..., None], name: str, loader: Any) -> None:
        self._call, self._name, self._loader = call, name, loader

    def __call__(self, module: types.ModuleType) -> None:
        vars(self._loader).pop("exec_module", None)
        self._call(self._name, self._loader, module)


def import_all(names: Iterable[str], importing: Importing) -> None:
    """Import those of `names` that can be imported, in this process."""
    sys.meta_path.insert(0, importing)
    try:
        for name in names:
            if name not in sys.modules and name.partition(".")[0] not in _OURS:
                try:
                    importlib.import_module(name)
                except BaseException:  # leave the module out, also after SystemExit or Refused
                    importing.bad.add(name)
    finally:
        sys.meta_path.remove(importing)


def _forget_below(package: str) -> None:
    """Remove the submodules of a package whose import failed."""
    for name in [name for name in sys.modules if name.startswith(package + ".")]:
        del sys.modules[name]


def try_out(
    names: Sequence[str], project: Project, bad: Iterable[str] = (), variables: Iterable[str] = ()
) -> Trial | None:
    """Import `names` in a throwaway process. None: it exited without a result, or took too long.
    `variables`: environment variables that the project's code sets or changes."""
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
    """Call `tell` whenever one of `variables` is read."""
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
    """Suppress what an import prints: the worker has printed it already."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Suppress output in the block."""
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


# ---- whether the imported files have changed on disk


def stamps(project: Project) -> dict[str, int]:
    """Modification times, in nanoseconds, of the imported files outside the project and of the
    directories in sys.path outside the project."""
    files = {getattr(module, "__file__", None) for module in [*sys.modules.values()]}
    directories = {path for path in sys.path if path and not project.owns(path)}
    found = {}
    for path in {*files, *directories}:
        if isinstance(path, str) and not project.owns(path) and (at := _changed_at(path)):
            found[path] = at
    return found


def what_changed(before: Mapping[str, int]) -> str:
    """Describe the first of the stamped paths that has changed since; "": none has."""
    for path, at in before.items():
        if _changed_at(path) != at:
            return f"{path} has changed"
    return ""


def _changed_at(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
