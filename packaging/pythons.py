"""Interpreters that wheels are made for: those of this machine, and those of a foreign one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools import Failed

PROBE = """
import json, os, platform, sys, sysconfig
include = sysconfig.get_path("include")
multiarch = sysconfig.get_config_var("MULTIARCH") or ""
ours = os.path.join(os.path.dirname(include), multiarch, os.path.basename(include), "pyconfig.h")
print(json.dumps({
    "path": os.path.realpath(sys.executable),
    "version": sys.version.split()[0],
    "tag": f"cp{sys.version_info[0]}{sys.version_info[1]}",
    "suffix": sysconfig.get_config_var("EXT_SUFFIX"),
    "include": include,
    "pyconfig": ours if os.path.exists(ours) else sysconfig.get_config_h_filename(),
    "machine": platform.machine(),
    "libc": sysconfig.get_config_var("SOABI").rpartition("-")[2],
    "usable": sys.implementation.name == "cpython" and sys.version_info >= (3, 11)
        and not sysconfig.get_config_var("Py_GIL_DISABLED")
        and os.path.exists(os.path.join(include, "Python.h")),
}))
"""


@dataclass(frozen=True)
class Python:
    """An interpreter with headers.

    `tag` as in the names of wheels, `suffix` of extension modules. `pyconfig` is the pyconfig.h for
    its machine, which Debian keeps apart. `emulator` is the name of what `path` starts it with.
    """

    path: Path
    version: str
    tag: str
    suffix: str
    include: Path
    pyconfig: Path
    machine: str
    is_musl: bool
    emulator: str = ""

    def __str__(self) -> str:
        return f"CPython {self.version}" + (f" under {self.emulator}" if self.emulator else "")


def probe(path: str | Path) -> Python | None:
    """The interpreter at a path; None if wheels are not made for it."""
    try:
        done = subprocess.run([path, "-c", PROBE], capture_output=True, text=True, timeout=120)
        found = json.loads(done.stdout)
    except (OSError, ValueError):
        return None
    if not found["usable"]:
        return None
    return Python(
        Path(found["path"]),
        found["version"],
        found["tag"],
        found["suffix"],
        Path(found["include"]),
        Path(found["pyconfig"]),
        found["machine"],
        found["libc"] == "musl",
    )


def candidates() -> Iterator[str]:
    """Where interpreters may be: pyenv's, those of the images that wheels are made in, PATH's."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from (str(path) for path in sorted(pyenv.glob("versions/*/bin/python3")))
    yield from (str(path) for path in sorted(Path("/opt/python").glob("cp3*/bin/python3")))
    yield from ("/usr/bin/python3", "python3")
    for directory in os.environ.get("PATH", "").split(os.pathsep):
        for path in sorted(Path(directory).glob("python3.*")):
            if re.fullmatch(r"python3\.\d+", path.name):
                yield str(path)


def find(wanted: Sequence[str]) -> list[Python]:
    """Interpreters of this machine, sorted by version: all, or those that `wanted` names.

    A name is a path, or a version like 3.12. Raises Failed for one that is not found.
    """
    paths = [one for one in wanted if "/" in one]
    numbers = [one for one in wanted if "/" not in one]
    found: dict[Path, Python] = {}
    for path in [*paths, *(candidates() if numbers or not wanted else ())]:
        python = probe(path) if shutil.which(path) else None
        if python is not None:
            found.setdefault(python.path, python)
        elif path in paths:
            raise Failed(f"--python: {path} is not CPython 3.11 or later with headers")
    for number in numbers:
        if not any(is_version(python, number) for python in found.values()):
            raise Failed(f"--python: no CPython {number} with headers on this machine")
    chosen = [
        python
        for python in found.values()
        if not wanted
        or python.path in [Path(path).resolve() for path in paths]
        or any(is_version(python, number) for number in numbers)
    ]
    return sorted(chosen, key=lambda python: [int(n) for n in re.findall(r"\d+", python.version)])


def is_version(python: Python, number: str) -> bool:
    return python.version == number or python.version.startswith(f"{number}.")


def copy_headers(python: Python, directory: Path) -> Path:
    """One directory with Python.h and the pyconfig.h of the interpreter's machine: its path."""
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(python.include, directory)
    shutil.copyfile(python.pyconfig, directory / "pyconfig.h")
    return directory
