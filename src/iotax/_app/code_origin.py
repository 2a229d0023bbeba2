"""Whose code a file is: the server's, the standard library's, an installed package's or the
application's.

The only module that derives this from paths. Tracebacks, stacks in the log, reloads and the
findings of `iotax check` depend on it.
"""

import os
from enum import Enum
from functools import cache
from typing import Final

# The directory of the package iotax as in co_filename of its modules: symbolic links not resolved.
PACKAGE_DIR: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PACKAGES: Final = frozenset({"site-packages", "dist-packages"})


class Origin(Enum):
    IOTAX = "iotax"
    LIBRARY = "library"
    PACKAGE = "package"
    APPLICATION = "application"


@cache
def origin_of(file: str) -> Origin:
    """`file`: a path, or a name as in co_filename. Code without a file ("<string>") counts as
    LIBRARY."""
    if file.startswith("<"):
        return Origin.LIBRARY
    path = os.path.join(_absolute(file), "")
    if path.startswith(os.path.join(PACKAGE_DIR, "")):
        return Origin.IOTAX
    library, packages = _installed()
    if path.startswith(packages) or not _PACKAGES.isdisjoint(path.split(os.sep)):
        return Origin.PACKAGE
    return Origin.LIBRARY if path.startswith(library) else Origin.APPLICATION


def prepare() -> None:
    """Import what the first call of origin_of() would import."""
    _installed()


def _absolute(file: str) -> str:
    try:
        return os.path.abspath(file)
    except OSError:
        return file  # a relative name, and the working directory was deleted


@cache
def _installed() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The directories of the standard library, and those of packages. Imports sysconfig, which
    takes 2 ms, only when needed."""
    import sysconfig

    paths = sysconfig.get_paths()
    library = tuple(os.path.join(paths[name], "") for name in ("stdlib", "platstdlib"))
    return library, tuple(os.path.join(paths[name], "") for name in ("purelib", "platlib"))
