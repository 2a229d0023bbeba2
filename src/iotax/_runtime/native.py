"""Native threads, locks and forks, in a program that patches Python's modules.

gevent and eventlet replace parts of threading, _thread, select, os and others by cooperative
versions, in which a blocked thread stops all others. The server's own threads must not become
cooperative. Decides how a thread is started. Does not know what it runs.
"""

import importlib
import importlib.util
import os
import posix
import sys
import threading
import types
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol


def _pristine(name: str) -> Any:
    """A private copy of a compiled module, independent of patches to the shared one."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Lock(Protocol):
    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
    def release(self) -> None: ...
    def locked(self) -> bool: ...
    def __enter__(self) -> bool: ...
    def __exit__(self, *_: object) -> None: ...


_thread: Final = _pristine("_thread")
make_lock: Final[Callable[[], Lock]] = _thread.allocate_lock
get_ident: Final[Callable[[], int]] = _thread.get_ident
poll: Final = _pristine("select").poll
# gevent and eventlet change `os`, not `posix`.
fork: Final = posix.fork
waitpid: Final = posix.waitpid


def in_main_thread() -> bool:
    """Whether Python runs signal handlers in this thread."""
    return bool(_thread.get_native_id() == os.getpid())


def thread(target: Callable[..., object], name: str, args: Sequence[Any] = ()) -> threading.Thread:
    """Make a native daemon thread. The caller starts it."""
    made: type[threading.Thread] = threading.Thread
    if _starts_something_else():
        _make_imports_native()
        made = _NativeThread
        if not issubclass(made, threading.Thread):  # it was replaced by another class
            made = type("NativeThread", (_NativeThread, threading.Thread), {})
    return made(target=target, name=name, args=args, daemon=True)


def ident_of(one: threading.Thread) -> int | None:
    """The thread's key in sys._current_frames()."""
    return one.native_ident if isinstance(one, _NativeThread) else one.ident


def reinit_in_child() -> None:
    """After fork(): make gevent's event loop again, as os.fork() would have done."""
    gevent: Any = sys.modules.get("gevent")
    if gevent is not None and os.fork is not fork:
        gevent.reinit()


# Since CPython 3.13, and before.
_STARTS: Final = ("_start_joinable_thread", "_start_new_thread")
# A debugger replaces these functions by its own, which start a native thread.
_DEBUGGERS: Final = ("_pydev", "pydevd")


def _starts_something_else() -> bool:
    """Whether threading.Thread does not start a native thread."""
    start = next(getattr(threading, name) for name in _STARTS if hasattr(threading, name))
    module = str(getattr(start, "__module__", ""))
    is_compiled = isinstance(start, types.BuiltinFunctionType) and module == "_thread"
    return not (is_compiled or module.startswith(_DEBUGGERS))


def _make_imports_native() -> None:
    """With cooperative locks, two native threads that import at the same time can deadlock
    (gevent; eventlet does the same as this by itself)."""
    importlib._bootstrap._thread = _thread  # type: ignore[attr-defined]


class _Flag:
    """In place of the threading.Event of a thread, which may be cooperative."""

    def __init__(self) -> None:
        self._unset = make_lock()
        self._unset.acquire()

    def is_set(self) -> bool:
        return not self._unset.locked()

    def set(self) -> None:
        if self._unset.locked():
            self._unset.release()

    def wait(self, timeout: float | None = None) -> bool:
        if self._unset.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
            self._unset.release()
            return True
        return False

    def _at_fork_reinit(self) -> None:
        self.__init__()  # type: ignore[misc]


class _NativeThread(threading.Thread):
    """A native thread for a program in which threading.Thread starts something else.
    threading.current_thread() and enumerate() know it."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._started = _Flag()
        self._over = _Flag()
        self.native_ident: int | None = None

    def start(self) -> None:
        if self._started.is_set():
            raise RuntimeError("threads can only be started once")
        _thread.start_new_thread(self._run_native, ())
        self._started.wait()

    def _run_native(self) -> None:
        self.native_ident = get_ident()
        self._native_id = _thread.get_native_id()
        # What this program uses as the id of a thread.
        self._ident = number = threading.get_ident()
        threading._active[number] = self  # type: ignore[attr-defined]
        self._started.set()
        try:
            if (trace := threading.gettrace()) is not None:
                sys.settrace(trace)
            if (profile := threading.getprofile()) is not None:
                sys.setprofile(profile)
            self.run()
        except BaseException:
            threading.excepthook(threading.ExceptHookArgs([*sys.exc_info(), self]))
        finally:
            threading._active.pop(number, None)  # type: ignore[attr-defined]
            self._over.set()

    def join(self, timeout: float | None = None) -> None:
        if not self._started.is_set():
            raise RuntimeError("cannot join thread before it is started")
        self._over.wait(timeout)

    def is_alive(self) -> bool:
        return self._started.is_set() and not self._over.is_set()

    # Called by threading in the child of a fork, up to CPython 3.12, and since 3.13.

    def _reset_internal_locks(self, is_alive: bool) -> None:
        self._after_fork(self._ident if is_alive else None)

    def _stop(self) -> None:
        self._over.set()

    def _after_fork(self, new_ident: int | None = None) -> None:
        """`new_ident`: of the thread that forked, the only one that remains."""
        if new_ident is None:
            self._over.set()
        else:
            self._ident = new_ident
