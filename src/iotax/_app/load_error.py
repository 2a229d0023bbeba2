"""The report that an application cannot be loaded: what was tried, from where, the fix.

Decides the text that all failures share, and which frames of a traceback are the application's.
"""

import importlib
import traceback
import types

from iotax._app import working_directory
from iotax._app.code_origin import Origin, origin_of
from iotax._app.target import Target


class LoadError(Exception):
    """The application, or the module that `what` names, cannot be loaded. The message says what was
    tried and what to do."""

    def __init__(
        self,
        target: str,
        tried: str,
        where: str,
        problem: str,
        fix: str,
        trace: str = "",
        what: str = "application",
    ) -> None:
        self.target, self.tried, self.where = target, tried, where
        self.problem, self.fix, self.trace = problem, fix, trace
        self.what = what
        super().__init__(target, problem)

    def __str__(self) -> str:
        lines = [f"Cannot load the {self.what} {self.target}", ""]
        lines += _labeled("Tried", self.tried) + _labeled("From", self.where)
        if self.trace:
            lines += ["", *self.trace.rstrip("\n").split("\n"), ""]
        return "\n".join(lines + _labeled("Problem", self.problem) + _labeled("Fix", self.fix))


def _labeled(label: str, text: str) -> list[str]:
    first, *others = text.split("\n")
    return [f"{label + ':':<9}{first}", *(" " * 9 + other for other in others)]


def load_error(
    target: Target,
    problem: str,
    fix: str,
    *,
    tried: str = "",
    trace: str = "",
    module: types.ModuleType | None = None,
) -> LoadError:
    if not tried:
        tried = f"import {target.module}" + (
            f", then get {target.attribute}" if target.attribute else ""
        )
    file = getattr(module, "__file__", None)
    where = (
        f"{file}\n(the current directory is {working_directory.describe()})"
        if file
        else f"{working_directory.describe()} (the current directory)"
    )
    return LoadError(target.text, tried, where, problem, fix, trace)


def summary(error: BaseException) -> str:
    """Type and message, on one line."""
    return traceback.format_exception_only(error)[-1].strip()


def with_article(found: object) -> str:
    """The name of its type: "an int"."""
    name = type(found).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def trace_of(error: BaseException) -> str:
    """The traceback without frames of iotax and of the import system. If a frame is of the
    project, it starts there."""
    trace = error.__traceback__
    while trace is not None and _is_machinery(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    own = trace
    while own is not None and not _is_of_the_project(own.tb_frame.f_code.co_filename):
        own = own.tb_next
    return "".join(traceback.format_exception(type(error), error, own or trace))


def _is_of_the_project(file: str) -> bool:
    return origin_of(file) is Origin.APPLICATION


def _is_machinery(file: str) -> bool:
    is_import = file.startswith("<frozen importlib") or file == importlib.__file__
    return is_import or origin_of(file) is Origin.IOTAX
