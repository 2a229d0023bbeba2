"""Loads the application in a child process, which cannot outlive the check.

Decides how a child that hangs, exits or forks is reported. The application's output goes to
standard error, and its modules are not compiled to files.
"""

import contextlib
import faulthandler
import os
import select
import signal
import sys
import time
import traceback
from typing import Final, NoReturn

from iotax._app.hooks import Hooks
from iotax._app.load_error import LoadError
from iotax._command.user import User
from iotax._config.sources import Settings
from iotax._processes import exit_status, forking
from iotax._processes.worker_process import load
from iotax._runtime import native
from iotax._runtime.process_exit import exit_now, flush_output

# A report: the kind, text, and its end.
_LOADED, _FAILED, _END = b"+", b"-", b"\0"
_LOOK_SECONDS: Final = 0.05


class NotLoaded(Exception):
    """The application cannot be loaded. The message explains why."""


def load_in_child(settings: Settings, owner: User | None) -> str:
    """The name of the application, once it is loaded, as `owner`. Errors: NotLoaded."""
    config = settings.config
    reading, writing = os.pipe()
    parent = os.getpid()
    pid = native.fork()
    if not pid:
        _load_and_exit(settings, owner, parent, writing)
    os.close(writing)
    try:
        report, status = _report(pid, reading, config.boot_timeout)
    finally:
        # Also the processes that it has forked.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        os.close(reading)
    if report[:1] == _LOADED:
        return report[1:].decode()
    if report[:1] == _FAILED:
        raise NotLoaded("\n" + report[1:].decode())
    what = f"iotax: the process that loads {config.app}"
    if status is None:
        raise NotLoaded(f"{what} was not ready within {config.boot_timeout:g} s (--boot-timeout)")
    raise NotLoaded(f"{what} {exit_status.cause(status)}")


def _report(pid: int, reading: int, seconds: float) -> tuple[bytes, int | None]:
    """What the child has reported, "" if nothing, and its wait status if it has exited. Ends the
    child."""
    os.set_blocking(reading, False)
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    deadline = time.monotonic() + seconds if seconds else float("inf")
    report, status = b"", None
    while status is None and not report.endswith(_END) and time.monotonic() < deadline:
        poll.poll(_LOOK_SECONDS * 1000)
        # A process that the application has forked may keep the pipe open: look for the exit too.
        waited, found = native.waitpid(pid, os.WNOHANG)
        status = found if waited else None
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(reading, 65536):
                report += piece
    if status is None:
        os.kill(pid, signal.SIGKILL)
        native.waitpid(pid, 0)
    return (report[:-1], status) if report.endswith(_END) else (b"", status)


def _load_and_exit(settings: Settings, owner: User | None, parent: int, writing: int) -> NoReturn:
    """In the child. Only this process reports, not one that the application forks."""
    config = settings.config
    own, code = os.getpid(), 1
    try:
        os.setsid()
        if config.umask is not None:
            os.umask(config.umask)
        if owner is not None:
            owner.become()  # it also clears the signal that die_with() sets
        forking.die_with(parent)
        settings.environment.apply()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        sys.dont_write_bytecode = True
        if config.boot_timeout:
            faulthandler.dump_traceback_later(max(0.001, config.boot_timeout - _LOOK_SECONDS))
        try:
            report = _LOADED + load(config, Hooks(config.hooks).load).name.encode()
        except LoadError as error:
            report = _FAILED + str(error).encode(errors="backslashreplace")
        faulthandler.cancel_dump_traceback_later()
        if os.getpid() == own:
            flush_output()  # the parent ends this process when it has the report
            _write_all(writing, report + _END)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        exit_now(code)


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
