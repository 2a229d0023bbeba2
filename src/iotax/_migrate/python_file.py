"""Reads the settings of a gunicorn.conf.py as syntax. Executes nothing of it.

gunicorn runs the file and takes the global variables that are settings, so only assignments of
literals at the top level have a value that can be known here.
"""

import ast
import tokenize
import warnings
from collections.abc import Container, Iterator
from dataclasses import replace
from io import BytesIO

from iotax._migrate.setting import Setting, SourceError

_NOT_LITERAL = "only literals are read"
_DEPENDS = "it depends on the statement in line"
_MAKES_NAMES = frozenset({"exec", "globals", "locals", "vars"})


def read_python(content: bytes, name: str, known: Container[str]) -> list[Setting]:
    """The settings of a file called `name`, in order. `known`: names of settings; gunicorn ignores
    other variables. Errors: SourceError."""
    text = _decoded(content, name)
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(text)
    except SyntaxError as error:
        where = f"{name}:{error.lineno}" if error.lineno else name
        raise SourceError(f"{where}: not valid Python: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise SourceError(f"{name}: not valid Python: {error or 'nested too deeply'}") from None
    return _without_replaced(list(_Reader(text, known).settings(tree)))


def _decoded(content: bytes, name: str) -> str:
    try:
        encoding, _lines = tokenize.detect_encoding(BytesIO(content).readline)
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SourceError(f"{name}:{line}: not valid {error.encoding.upper()}") from None
    except (SyntaxError, LookupError) as error:
        raise SourceError(f"{name}:1: not valid Python: {error}") from None


class _Reader:
    def __init__(self, text: str, known: Container[str]) -> None:
        self._lines = text.encode().splitlines(keepends=True)
        self._known = known

    def settings(self, tree: ast.Module) -> Iterator[Setting]:
        for statement in tree.body:
            yield from self._of_statement(statement)
            yield from self._made_by_calls(statement)

    def _of_statement(self, statement: ast.stmt) -> Iterator[Setting]:
        match statement:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    yield from self._of_target(target, value)
                yield from self._stored_in(value, _NOT_LITERAL)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                yield from self._of_target(target, value)
                yield from self._stored_in(value, _NOT_LITERAL)
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
            ):
                kind = "class" if isinstance(statement, ast.ClassDef) else "def"
                yield from self._unknown(name, f"{kind} {name}", statement, "it is code")
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from self._of_import(statement, names)
            case ast.AugAssign():
                yield from self._stored_in(statement, _NOT_LITERAL)
            case _:
                why = f"{_DEPENDS} {statement.lineno}"
                yield from self._stored_in(statement, why)

    def _of_target(self, target: ast.expr, value: ast.expr) -> Iterator[Setting]:
        if isinstance(target, ast.Name):
            if target.id in self._known:
                yield self._assigned(target.id, target, value)
        elif (
            isinstance(target, ast.Tuple | ast.List)
            and isinstance(value, ast.Tuple | ast.List)
            and len(target.elts) == len(value.elts)
        ):
            for part, part_value in zip(target.elts, value.elts, strict=True):
                yield from self._of_target(part, part_value)
        else:
            for name in _names(target):
                shown = f"{name.id} = … {self._source(value)}"
                yield from self._unknown(name.id, shown, name, _NOT_LITERAL)

    def _assigned(self, name: str, target: ast.expr, value: ast.expr) -> Setting:
        shown = f"{name} = {self._source(value)}"
        try:
            literal = ast.literal_eval(value)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            return Setting(name, name, shown, obstacle=_NOT_LITERAL, line=target.lineno)
        return Setting(name, name, shown, literal, line=target.lineno)

    def _of_import(self, statement: ast.stmt, names: list[ast.alias]) -> Iterator[Setting]:
        shown = self._source(statement)
        for alias in names:
            if alias.name == "*":
                why = "settings of other files are not read"
                yield Setting("*", "*", shown, obstacle=why, line=statement.lineno)
            name = alias.asname or alias.name
            yield from self._unknown(name, shown, statement, _NOT_LITERAL)

    def _stored_in(self, outer: ast.AST, why: str) -> Iterator[Setting]:
        """Settings that a statement with others inside it may set, or an expression with :=."""
        for node in _inside(outer):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from self._unknown(node.name, f"def {node.name}", node, why)
            elif isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.NamedExpr):
                for name in _names(node):
                    yield from self._unknown(name.id, self._source(node), name, why)
            elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                yield from self._unknown(node.id, node.id, node, why)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                for alias in node.names:
                    name_made = alias.asname or alias.name
                    yield from self._unknown(name_made, self._source(node), node, why)

    def _made_by_calls(self, statement: ast.stmt) -> Iterator[Setting]:
        for node in _inside(statement):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _MAKES_NAMES:
                why = "settings that it makes are not read"
                yield Setting("*", "*", self._source(node), obstacle=why, line=node.lineno)

    def _unknown(
        self, name: str, shown: str, node: ast.expr | ast.stmt, why: str
    ) -> Iterator[Setting]:
        if name in self._known:
            yield Setting(name, name, shown, obstacle=why, line=node.lineno)

    def _source(self, node: ast.expr | ast.stmt) -> str:
        """The text of `node`. ast.get_source_segment would split the whole file for each."""
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        lines = self._lines[first : last + 1]
        lines[-1] = lines[-1][: node.end_col_offset]
        lines[0] = lines[0][node.col_offset :]
        return b"".join(lines).decode()


# They have variables of their own.
_SCOPES = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)


def _inside(outer: ast.AST) -> Iterator[ast.AST]:
    """`outer` and what it runs itself: functions and classes that it defines, but not their
    bodies. Assignments as a whole, without their targets."""
    waiting = [outer]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, _SCOPES):
            continue
        assigns = isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.NamedExpr)
        waiting += [
            child
            for child in reversed(list(ast.iter_child_nodes(node)))
            if not (assigns and _is_target(child))
        ]


def _is_target(node: ast.AST) -> bool:
    return isinstance(node, ast.Name | ast.Tuple | ast.List) and isinstance(node.ctx, ast.Store)


def _names(node: ast.AST) -> Iterator[ast.Name]:
    """Names that an assignment, or its target, sets."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", node)]
    for target in targets:
        for part in ast.walk(target):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                yield part


def _without_replaced(settings: list[Setting]) -> list[Setting]:
    """A later assignment of the top level replaces an earlier one."""
    last = {setting.name: setting for setting in settings if not _is_conditional(setting)}
    return [
        replace(setting, superseded=True, obstacle=f"{last[setting.name].place} sets it again")
        if setting.line < last.get(setting.name, setting).line
        else setting
        for setting in settings
    ]


def _is_conditional(setting: Setting) -> bool:
    return setting.obstacle.startswith(_DEPENDS) or setting.name == "*"
