"""A scripted extension for tests of the Python half: no loop, no threads.

If the extension is not built, importing this module installs a stand-in for it.
"""

import importlib
import os
import sys
import threading
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]


def _is_built() -> bool:
    try:
        return importlib.import_module("iotax._iotax") is not None
    except ImportError:
        return False


def _stand_in() -> types.ModuleType:
    """The names that `import iotax` needs of an extension that is not built."""
    module = types.ModuleType("iotax._iotax")
    vars(module).update(
        __version__="0.0.0",
        llhttp_version="0.0.0",
        ClientDisconnected=type("ClientDisconnected", (ConnectionError,), {}),
        BodyTimedOut=type("BodyTimedOut", (ConnectionError,), {}),
        BodyMalformed=type("BodyMalformed", (ConnectionError,), {}),
        RequestTimeout=type("RequestTimeout", (BaseException,), {}),
        Worker=object,
        Scoreboard=object,
        Admin=object,
        access_format_fault=lambda _: None,
        open_log=lambda *_, **__: None,
        log=lambda *_: None,
        flush_log=lambda _: True,
        open_statsd=lambda *_, **__: None,
        close_statsd=lambda: None,
        resume_statsd=lambda: None,
        count_workers=lambda _: None,
        statsd_waits=lambda: False,
        send_statsd=lambda: None,
        flush_standard_streams=lambda _: True,
        remember_own_files=lambda _: None,
        after_fork_in_child=lambda: None,
    )
    return module


if not _is_built():
    for name in [name for name in sys.modules if name.partition(".")[0] == "iotax"]:
        del sys.modules[name]
    sys.path.insert(0, str(ROOT / "src"))
    sys.modules["iotax._iotax"] = _stand_in()

extension = importlib.import_module("iotax._iotax")


class ScriptedWorker:
    """Does not serve: calls `script` in run(), then waits for stop()."""

    script: Callable[["ScriptedWorker"], None]
    made: list["ScriptedWorker"]

    def __init__(
        self,
        application: Callable[..., Any],
        listeners: Sequence[tuple[int, str, bool, bool]],
        options: Mapping[str, object],
        *,
        channel: int = -1,
        scoreboard: object = None,
        slot: int = 0,
    ) -> None:
        self.supervision = (channel, scoreboard, slot)
        self.application, self.options = application, dict(options)
        self.listeners = [(os.dup(descriptor), label) for descriptor, label, *_ in listeners]
        self.calls: list[str] = []
        self.threads: list[str] = []
        self.stopped = threading.Event()
        self.held = threading.Event()  # if clear and `hold` is set, run_thread() does not return
        self.hold = False
        self.wakeup_fd = os.open(os.devnull, os.O_WRONLY | os.O_NONBLOCK)
        type(self).made.append(self)

    def run(self) -> None:
        try:
            type(self).script(self)
            self.stopped.wait()
        finally:
            self.close()

    def close(self) -> None:
        for descriptor, _ in self.listeners:
            if descriptor >= 0:
                os.close(descriptor)
        self.listeners = [(-1, label) for _, label in self.listeners]

    def run_thread(self, number: int) -> None:
        self.threads.append(f"{number} {threading.current_thread().name}")
        self.stopped.wait()
        if self.hold:
            self.held.wait()

    def stop(self, how: str) -> None:
        self.calls.append(how)
        self.stopped.set()

    def install_stop_signals(self, process: str) -> None:
        self.calls.append("install own" if process == "server" else "install")

    def restore_stop_signals(self) -> None:
        self.calls.append("restore")

    def status(self) -> dict[str, int]:
        return {"connections": 0, "running": 2, "queued": 0, "requests": 0, "threads": 1}
