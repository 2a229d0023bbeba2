"""Whose code a file is: the server's, the standard library's, an installed package's or the
application's.

The only module that derives this from paths. A traceback, a stack in the log, a reload and a
finding of `iotax check` all depend on it.
"""

import os
from enum import Enum
from functools import cache
from typing import Final

# The directory of the package iotax, as it stands in co_filename of its modules: not resolved.
PACKAGE_DIR: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PACKAGES: Final = frozenset({"site-packages", "dist-packages"})


class Origin(Enum):
    IOTAX = "iotax"
    LIBRARY = "library"
    PACKAGE = "package"
    APPLICATION = "application"


@cache
def origin_of(file: str) -> Origin:
    """`file`: a path, or a name as in co_filename. Code without a file, "<string>", counts as the
    library's."""
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
    """Import now what origin_of() imports when it is first asked."""
    _installed()


def _absolute(file: str) -> str:
    try:
        return os.path.abspath(file)
    except OSError:
        return file  # a relative name, and the working directory does not exist any more


@cache
def _installed() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The directories of the standard library, and those of packages. sysconfig is imported here
    because it takes 2 ms, which most processes can do without."""
    import sysconfig

    paths = sysconfig.get_paths()
    library = tuple(os.path.join(paths[name], "") for name in ("stdlib", "platstdlib"))
    return library, tuple(os.path.join(paths[name], "") for name in ("purelib", "platlib"))
