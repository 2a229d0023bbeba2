"""Parse APP: `module`, `module:attribute` or `module:factory("literal")`.

For any other form, says what is wrong and what to write instead. Does not import the module.
"""

import ast
import os
from collections.abc import Iterable
from typing import Any, NamedTuple


class TargetError(ValueError):
    """A string that does not name an application. `fix` says what to write."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.problem, self.fix = problem, fix


class Target(NamedTuple):
    """APP, parsed. `attribute`: "" for one of the usual names. `call`: the arguments of a factory;
    None: the attribute is the application."""

    text: str
    module: str
    attribute: str
    call: tuple[tuple[Any, ...], dict[str, Any]] | None


def parse_target(text: str) -> Target:
    """Errors: TargetError."""
    as_path = _from_path(text)
    if as_path:
        raise TargetError(
            f"{text} is a file; expected a module and an attribute",
            f"iotax {as_path}",
        )
    module, colon, expression = text.partition(":")
    if not module or not all(part.isidentifier() for part in module.split(".")):
        raise TargetError(
            f'"{module}" is not a valid module name',
            "name module and attribute, e.g. iotax main:app",
        )
    if colon and not expression:
        raise TargetError(
            "the attribute after the colon is missing",
            f"name the attribute, e.g. iotax {module}:app",
        )
    if not colon:
        return Target(text, module, "", None)
    return Target(text, module, *_parse_attribute(module, expression))


def _from_path(text: str) -> str:
    """`module:attribute` if `text` looks like a file (main.py, ./src/main.py:app), else ""."""
    path, colon, attribute = text.partition(":")
    if not path.endswith(".py") and os.sep not in path:
        return ""
    parts = [part for part in os.path.normpath(path.removesuffix(".py")).split(os.sep) if part]
    if os.path.isabs(path) or ".." in parts or not all(part.isidentifier() for part in parts):
        directory, stem = os.path.split(os.path.abspath(path.removesuffix(".py")))
        return f"--chdir {directory} {stem}:{attribute or 'app'}"
    return f"{'.'.join(parts)}{colon}{attribute}" if colon else f"{'.'.join(parts)}:app"


def _parse_attribute(
    module: str, expression: str
) -> tuple[str, tuple[tuple[Any, ...], dict[str, Any]] | None]:
    """Parse a dotted name, or a call of one with literal arguments."""
    try:
        node = ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError):
        node = None
    callee = node.func if isinstance(node, ast.Call) else node
    if callee is None or not all(
        isinstance(part, ast.Name | ast.Attribute) for part in _chain(callee)
    ):
        raise TargetError(
            f'"{expression}" is neither an attribute nor a call of one',
            f"iotax {module}:app, or with a factory: iotax '{module}:create_app()'",
        )
    if not isinstance(node, ast.Call):
        return expression, None
    try:
        positional = tuple(ast.literal_eval(argument) for argument in node.args)
        named = {
            str(keyword.arg): ast.literal_eval(keyword.value)
            for keyword in node.keywords
            if keyword.arg
        }
        complete = len(named) == len(node.keywords)
    except (TypeError, ValueError):
        complete = False
    if not complete:
        raise TargetError(
            f'"{expression}" has an argument that is not a literal',
            "write literals (strings in quotes, numbers, True, None, lists),"
            f""" e.g. iotax '{module}:create_app("test")'""",
        )
    return ast.unparse(node.func), (positional, named)


def _chain(node: ast.expr) -> Iterable[ast.expr]:
    yield node
    while isinstance(node, ast.Attribute):
        node = node.value
        yield node
