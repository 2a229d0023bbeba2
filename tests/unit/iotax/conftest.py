"""Fixtures for tests of the Python half, over the scripted extension.

`worker` replaces _iotax.Worker; a function in `worker.script` runs in place of the loop.
"""

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_extension import ScriptedWorker, extension

from iotax._app import working_directory


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[ScriptedWorker]]:
    """The class in place of _iotax.Worker; `made` lists its objects.

    By default it stops immediately.
    """

    class Fresh(ScriptedWorker):
        script = staticmethod(lambda worker: worker.stop("script"))

    Fresh.made = []
    monkeypatch.setattr(extension, "Worker", Fresh)
    yield Fresh
    for made in Fresh.made:
        made.held.set()
        os.close(made.wakeup_fd)
        made.close()


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Logged lines as "level: text"; opening the log is "open: …"."""
    lines: list[str] = []
    monkeypatch.setattr(extension, "log", lambda level, text: lines.append(f"{level}: {text}"))
    monkeypatch.setattr(extension, "flush_log", lambda _seconds: True)
    monkeypatch.setattr(
        extension, "open_log", lambda *fds, **how: lines.append(f"open: {[*fds]} {how}")
    )
    return lines


@pytest.fixture(autouse=True)
def _same_process_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run each test in a directory of its own; restore variables, modules and the directory that
    new processes enter."""
    for variable in [*os.environ]:
        if variable.startswith("IOTAX_") or variable in (
            "PORT",
            "FORWARDED_ALLOW_IPS",
            "NO_COLOR",
            "FORCE_COLOR",
        ):
            monkeypatch.delenv(variable)
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    monkeypatch.setattr(working_directory._Current, "directory", None)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    known = {*sys.modules}
    yield
    for name in [name for name in sys.modules if name not in known]:
        file = getattr(sys.modules[name], "__file__", None) or str(tmp_path)
        if file.startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The current directory of the test."""
    return tmp_path / "project"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A system that the test controls, for a supervisor or parts of one (played_system.py)."""
    return importlib.import_module("played_system").World(monkeypatch)
