"""The exit functions (atexit) that an import registers in the template: they run there, once.

A fork inherits them, so each worker would run them, and end what the others still use. Decides
which of Python's own belong to every process. Functions that a worker registers are its own.
"""

import atexit
import contextlib
import sys
import weakref
from collections.abc import Callable, Iterator
from typing import Any


class ExitFunctions:
    def __init__(self) -> None:
        self._register = atexit.register
        self._recorded: list[Callable[..., Any]] = []
        self._records = False

    @contextlib.contextmanager
    def recorded(self) -> Iterator[None]:
        """Those that are registered in the block are to stay in this process."""
        self._records = True
        atexit.register = self._record  # type: ignore[assignment]  # it takes the same
        try:
            yield
        finally:
            self._records = False
            atexit.register = self._register

    def _record(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """In place of atexit.register(), also afterwards for who has imported it from there."""
        if self._records:
            self._recorded.append(function)
        return self._register(function, *args, **kwargs)

    def forget_in_child(self) -> None:
        """In a fork. Python's own functions see to what this process will make itself."""
        for function in self._recorded:
            atexit.unregister(function)
        for finalizer in [*weakref.finalize._registry]:  # type: ignore[attr-defined]
            finalizer.atexit = False
        for function in _of_each_process():
            if function in self._recorded:
                self._register(function)
        if processes := sys.modules.get("multiprocessing.process"):
            processes._children.clear()  # they are the template's, and not to be ended here


def _of_each_process() -> Iterator[Callable[..., Any]]:
    """Registered once by modules that rely on it from then on."""
    for module, path in (
        ("multiprocessing.util", "_exit_function"),
        ("logging", "shutdown"),
        ("weakref", "finalize._exitfunc"),
    ):
        found: Any = sys.modules.get(module)
        for name in path.split("."):
            found = getattr(found, name, None)
        if found is not None:
            yield found
