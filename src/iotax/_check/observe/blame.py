"""Source locations for findings: distinguishes the application's lines from those of installed
packages, the standard library and the checker.

Decides which line is blamed. For what an application does itself (a call, a block), its line. For
what it only caused (a header that a framework sends), the line of its functions that contains the
word in question, else the line where the last function returned.
"""

import dis
import os
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Final

from iotax._app.code_origin import PACKAGE_DIR, Origin, origin_of
from iotax._check.report.findings import Place

_TRAIL_MAX = 200
# Frames outside of it belong to the program that started the checker.
STRICT_SERVER: Final = os.path.join(PACKAGE_DIR, "_check", "play", "strict_server.py")


def place(code: CodeType, line: int | None) -> Place:
    file = os.path.abspath(code.co_filename)
    package, version = _distribution(file) if origin_of(file) is Origin.PACKAGE else ("", "")
    here = os.path.join(os.getcwd(), "")
    return Place(
        file.removeprefix(here), line or code.co_firstlineno, code.co_qualname, package, version
    )


def of_caller() -> Place | None:
    """The innermost line of the application or of a package that called the checker."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != STRICT_SERVER:
        if origin_of(frame.f_code.co_filename) in (Origin.APPLICATION, Origin.PACKAGE):
            return place(frame.f_code, frame.f_lineno)
        frame = frame.f_back
    return None


def of_error(error: BaseException) -> Place | None:
    """Where `error` was raised: the innermost line of the application, else of a package."""
    found: Place | None = None
    for code, line in _lines_of(error.__traceback__):
        origin = origin_of(code.co_filename)
        replaces = origin is Origin.PACKAGE and (found is None or found.package)
        if origin is Origin.APPLICATION or replaces:
            found = place(code, line)
    return found


def _lines_of(trace: TracebackType | None) -> Iterator[tuple[CodeType, int]]:
    while trace is not None:
        yield trace.tb_frame.f_code, trace.tb_lineno
        trace = trace.tb_next


def of_object(found: object) -> Place | None:
    """The current line of a generator, or the first line of a function or class; None for other
    objects."""
    frame = getattr(found, "gi_frame", None)
    if isinstance(frame, FrameType):
        return place(frame.f_code, frame.f_lineno)
    holder = found if isinstance(found, type) else type(found)
    calls = (found, getattr(holder, "__next__", None), getattr(holder, "__call__", None))  # noqa: B004
    codes = (getattr(call, "__code__", None) for call in calls)
    code = next((code for code in codes if code is not None), None)
    if not isinstance(code, CodeType) or origin_of(code.co_filename) is Origin.IOTAX:
        return None
    return place(code, code.co_firstlineno)


class Trail:
    """A context manager that records the application's functions that return or yield, and the
    last one of a package."""

    def __init__(self) -> None:
        self._returns: deque[tuple[CodeType, int]] = deque(maxlen=_TRAIL_MAX)
        self._in_package: tuple[CodeType, int] | None = None

    def clear(self) -> None:
        """Forget all: another call begins."""
        self._returns.clear()
        self._in_package = None

    def __enter__(self) -> "Trail":
        sys.setprofile(self._saw)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _saw(self, frame: FrameType, event: str, _: object) -> None:
        if event != "return":
            return
        origin = origin_of(frame.f_code.co_filename)
        if origin is Origin.APPLICATION:
            self._returns.append((frame.f_code, frame.f_lineno))
        elif origin is Origin.PACKAGE:
            self._in_package = (frame.f_code, frame.f_lineno)

    def blame(self, words: Iterable[object] = ()) -> Place | None:
        """The line that contains one of `words`, in order, the last function first; else the line
        where the last function returned, or the last one of a package."""
        for word in words:
            for code, _ in reversed(self._returns):
                if line := _line_with(code, word):
                    return place(code, line)
        last = self._returns[-1] if self._returns else self._in_package
        return place(*last) if last is not None else None


def _line_with(code: CodeType, word: object) -> int | None:
    for instruction in dis.get_instructions(code):
        if instruction.opname.startswith("LOAD_CONST") and _holds(instruction.argval, word):
            position = instruction.positions
            return position.lineno if position is not None else None
    return None


def _holds(constant: object, word: object) -> bool:
    if isinstance(constant, tuple):
        return any(_holds(one, word) for one in constant)
    if isinstance(constant, str) and isinstance(word, str):
        return constant.lower() == word.lower() or (len(word) > 3 and word in constant)
    return type(constant) is type(word) and constant == word


@cache
def _distribution(file: str) -> tuple[str, str]:
    """Name and version of the installed distribution that a file belongs to."""
    for directory in Path(file).parents:
        if directory.name in ("site-packages", "dist-packages"):
            top = Path(file).relative_to(directory).parts[0].removesuffix(".py")
            names = _distributions().get(top, [top])
            try:
                return names[0], metadata.version(names[0])
            except metadata.PackageNotFoundError:
                return names[0], ""
    return "", ""


def prepare() -> None:
    """Read the metadata of installed packages for place(), which may take a second."""
    _distributions()


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())
