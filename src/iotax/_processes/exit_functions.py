"""Makes the exit functions (atexit) that an import registers in the template run there only, once.

A fork inherits them, so each worker would run them and close resources that the others still use.
Decides which of Python's own functions every process runs. A worker runs those it registers itself.
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
        """Record the functions registered in the block: only this process runs them."""
        self._records = True
        atexit.register = self._record  # type: ignore[assignment]  # same parameters
        try:
            yield
        finally:
            self._records = False
            atexit.register = self._register

    def _record(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Replaces atexit.register(); modules that imported the name continue to call this."""
        if self._records:
            self._recorded.append(function)
        return self._register(function, *args, **kwargs)

    def forget_in_child(self) -> None:
        """Unregister the recorded functions in a fork. Register Python's own ones again: they clean
        up what this process creates itself."""
        for function in self._recorded:
            atexit.unregister(function)
        for finalizer in [*weakref.finalize._registry]:  # type: ignore[attr-defined]
            finalizer.atexit = False
        for function in _of_each_process():
            if function in self._recorded:
                self._register(function)
        if processes := sys.modules.get("multiprocessing.process"):
            processes._children.clear()  # they belong to the template, which terminates them


def _of_each_process() -> Iterator[Callable[..., Any]]:
    """Python's own exit functions, which their modules register only once."""
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
