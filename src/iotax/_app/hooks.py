"""The module of --hooks: its functions, and the report that one of them failed.

Decides which names are hooks. Does not know which process calls them, or when.
"""

import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from iotax._app import importer
from iotax._app.load_error import LoadError, summary, trace_of
from iotax._app.target import Target

NAMES: Final = ("worker_start", "worker_ready", "worker_exit", "child_exit")
_WHAT: Final = "hooks module"


@dataclass(frozen=True)
class WorkerInfo:
    """The argument of each hook.

    `number`: the worker's, from 1; `age`: seconds since its start. For child_exit also `cause`,
    one word ("stop", "reload", "max_requests", "lifetime", "memory", "threads_lost", "stuck",
    "crash", "oom", "boot" or "other"), and `exit_code`, negative for a signal.
    """

    number: int
    pid: int
    age: float
    cause: str = ""
    exit_code: int | None = None


class Hooks:
    """The functions of the module `name`; "": none."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._module: types.ModuleType | None = None
        self._functions: dict[str, Callable[[WorkerInfo], Any]] = {}

    def load(self) -> None:
        """Import the module. Errors: LoadError. KeyboardInterrupt passes."""
        if not self._name:
            return
        target = Target(self._name, self._name, "", None)
        try:
            self._module = importer.import_module(target)
        except LoadError as error:
            error.what = _WHAT
            raise
        found = {name: getattr(self._module, name, None) for name in NAMES}
        self._functions = {name: hook for name, hook in found.items() if callable(hook)}
        if not self._functions:
            raise self._error(
                f"import {self._name}",
                f"{self._name} has none of the functions {', '.join(NAMES)}",
                "define one of them, with one parameter",
            )

    def call(self, name: str, info: WorkerInfo) -> None:
        """Call a function, if the module has it. Errors: LoadError, whatever it raises."""
        if name not in self._functions:
            return
        try:
            self._functions[name](info)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: a hook must not end a worker
            raise self._error(
                f"call {name} of {self._name}",
                f"{name} failed: {summary(error)}",
                "correct the error above",
                trace_of(error),
            ) from error

    def _error(self, tried: str, problem: str, fix: str, trace: str = "") -> LoadError:
        where = getattr(self._module, "__file__", None) or self._name
        return LoadError(self._name, tried, where, problem, fix, trace, _WHAT)
