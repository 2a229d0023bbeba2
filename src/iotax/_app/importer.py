"""Load the application named by `module:attribute`, or raise LoadError with a full explanation.

Decides what counts as an application, and the likely fix for each failure. Does not know sockets
or the worker. Calls a factory, never the application.
"""

import importlib
import inspect
import os
import pkgutil
import sys
import types
from collections.abc import Callable
from typing import Any, NamedTuple

from iotax._app.load_error import LoadError, load_error, summary, trace_of, with_article
from iotax._app.target import Target, TargetError, parse_target
from iotax._app.working_directory import make_importable
from iotax._config.similar import similar

_USUAL_NAMES = ("application", "app")
_LIKELY_NAMES = (*_USUAL_NAMES, "wsgi_app", "wsgi", "create_app", "make_app", "get_app", "api")


class Loaded(NamedTuple):
    """`name`: the target, with the attribute that was used."""

    application: Callable[..., Any]
    name: str


def load(text: str, *, factory: bool = False, reload: bool = False) -> Loaded:
    """Import the module of `text`, get its attribute, call the factory.

    Makes the current directory importable. `reload`: a module that is imported already is imported
    again (importlib.reload).
    Errors: LoadError. KeyboardInterrupt passes.
    """
    try:
        target = parse_target(text)
    except TargetError as error:
        bare = Target(text, text, "", None)
        raise load_error(bare, str(error), error.fix, tried="read APP") from None
    if factory and target.call is not None:
        raise load_error(
            target,
            "--factory and parentheses cannot be combined: each calls the attribute",
            "leave one of them out",
        )
    module = import_module(target, reload=reload)
    target, found = _find(target, module)
    if target.call is not None or factory:
        found = _call(target, found, module)
    return Loaded(_checked(target, found, module), f"{target.module}:{target.attribute}")


# ---- the module


def import_module(target: Target, *, reload: bool = False) -> types.ModuleType:
    """Import the module of `target` from the current directory or wherever Python finds it. Errors:
    LoadError. KeyboardInterrupt passes."""
    make_importable(os.getcwd())
    importlib.invalidate_caches()
    try:
        known = sys.modules.get(target.module)
        if reload and known is not None:
            return importlib.reload(known)
        return importlib.import_module(target.module)
    except ModuleNotFoundError as error:
        if error.name and (
            target.module == error.name or target.module.startswith(error.name + ".")
        ):
            raise _no_such_module(target, error.name) from None
        raise _failed_import(target, error) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too: importing a module must not end the server
        raise _failed_import(target, error) from error


def _no_such_module(target: Target, name: str) -> LoadError:
    parent, _, last = name.rpartition(".")
    attribute = f":{target.text.partition(':')[2]}" if ":" in target.text else ""
    holder = sys.modules.get(parent) if parent else None
    if holder is not None and not hasattr(holder, "__path__"):
        fix = f"separate module and attribute with a colon: iotax {parent}:{last}"
        return load_error(
            target, f'"{parent}" is a module, not a package: it has no module "{last}"', fix
        )
    here = _modules_in(list(holder.__path__) if holder is not None else [os.getcwd()])
    close = similar(last, here, count=3, cutoff=0.6)
    prefix = f"{parent}." if parent else ""
    beneath = name != target.module and target.module.removeprefix(name)
    if close:
        fix = (
            "did you mean "
            + " or ".join(f"{prefix}{other}{beneath or ''}{attribute}" for other in close)
            + "?"
        )
    elif here:
        fix = f"name an existing module: {', '.join(prefix + other for other in here[:8])}"
        fix += " …" if len(here) > 8 else ""
    else:
        fix = "start iotax in the project's directory, or name it: iotax --chdir DIR " + target.text
    return load_error(target, f'module "{name}" not found', fix)


def _modules_in(directories: list[str]) -> list[str]:
    """Importable names: modules, packages, and directories with Python files in them."""
    found = {module.name for module in pkgutil.iter_modules(directories)}
    for directory in directories:
        try:
            entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
            found |= {
                entry.name
                for entry in entries
                if entry.name.isidentifier()
                and entry.is_dir()
                and any(n.endswith(".py") for n in os.listdir(entry))
            }
        except OSError:
            continue
    return sorted(found)


def _failed_import(target: Target, error: BaseException) -> LoadError:
    module = target.module
    problem = f"importing {module} failed: {summary(error)}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        package = error.name.partition(".")[0]
        fix = (
            f"install {package} for this Python ({sys.executable} -m pip install {package}),"
            " or correct the name"
        )
    elif isinstance(error, ImportError) and "circular import" in str(error):
        fix = "two modules import each other: move one of the imports into a function"
    elif isinstance(error, SystemExit):
        fix = (
            "the module exits when imported: put the code that starts a server under"
            " if __name__ == '__main__':"
        )
    elif isinstance(error, SyntaxError):
        fix = f"correct line {error.lineno} of {error.filename}"
    elif type(error).__name__ == "ImproperlyConfigured":
        fix = (
            "set DJANGO_SETTINGS_MODULE, or name the project's wsgi module, e.g. iotax mysite.wsgi"
        )
    else:
        fix = "correct the error above; the traceback ends at the line that failed"
    return load_error(target, problem, fix, trace=trace_of(error))


# ---- the attribute


def _find(target: Target, module: types.ModuleType) -> tuple[Target, object]:
    if not target.attribute:
        for name in _USUAL_NAMES:
            if hasattr(module, name):
                return Target(target.text, target.module, name, None), getattr(module, name)
        names = " nor ".join(f'"{name}"' for name in _USUAL_NAMES)
        raise load_error(
            target,
            f"{target.module} has neither {names}",
            _suggest(f"{target.module}:", module, "app"),
            tried=f"import {target.module}, then get one of: {', '.join(_USUAL_NAMES)}",
            module=module,
        )
    found: object = module
    path = target.module
    parts = target.attribute.split(".")
    for index, name in enumerate(parts):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            if error.obj is not found or error.name != name:
                raise load_error(
                    target,
                    f"{path}.{name} failed: {summary(error)}",
                    "correct the error above",
                    trace=trace_of(error),
                    module=module,
                ) from error
            prefix = f"{target.module}:" + "".join(f"{before}." for before in parts[:index])
            suffix = "".join(f".{after}" for after in parts[index + 1 :])
            raise load_error(
                target,
                f'{path} has no attribute "{name}"',
                _suggest(prefix, found, name, suffix),
                module=module,
            ) from None
        path = f"{path}.{name}"
    return target, found


def _suggest(prefix: str, holder: object, name: str, suffix: str = "") -> str:
    """What to write instead of `name` between `prefix` and `suffix`: the nearest names in
    `holder`, else usual names of applications, else all names."""
    names = [other for other in dir(holder) if not other.startswith("_")]
    fitting = names if suffix else [other for other in names if _is_likely(holder, other)]
    close = similar(name, fitting, count=2, cutoff=0.6)
    likely = close or [other for other in _LIKELY_NAMES if other in fitting]
    if likely:
        spelled = (
            f"{prefix}{other}{suffix}" if "create" not in other else f"'{prefix}{other}()'"
            for other in likely
        )
        return "did you mean " + " or ".join(spelled) + "?"
    if fitting:
        listed = ", ".join(fitting[:8]) + (" …" if len(fitting) > 8 else "")
        return f"name one of these: {listed}"
    return "define the application there, or name the module that defines it"


def _is_likely(holder: object, name: str) -> bool:
    found = inspect.getattr_static(holder, name, None)
    return callable(found) and not _is_async(found)


def _call(target: Target, factory: object, module: types.ModuleType) -> object:
    positional, named = target.call or ((), {})
    spelled = f"{target.module}:{target.attribute}"
    tried = f"import {target.module}, then call {target.attribute}"
    if not callable(factory):
        raise load_error(
            target,
            f"{spelled} is {with_article(factory)} and not callable",
            f"leave the call out: iotax {spelled}",
            module=module,
        )
    try:
        made = factory(*positional, **named)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too, as for imports
        trace = error.__traceback__
        if isinstance(error, TypeError) and trace is not None and trace.tb_next is None:
            raise load_error(
                target,
                f"{target.attribute} does not take these arguments: {error}",
                f"""give its arguments as literals, e.g. iotax '{spelled}("test")'""",
                tried=tried,
                module=module,
            ) from error
        raise load_error(
            target,
            f"{target.attribute}() failed: {summary(error)}",
            "correct the error above",
            tried=tried,
            trace=trace_of(error),
            module=module,
        ) from error
    if inspect.iscoroutine(made):
        made.close()
        raise load_error(
            target,
            f"{target.attribute} is an async function",
            "make the factory a plain function",
            tried=tried,
            module=module,
        )
    if not callable(made):
        what = "None" if made is None else with_article(made)
        raise load_error(
            target,
            f"{target.attribute}() returned {what}, which is not callable",
            f"let {target.attribute} return the application",
            tried=tried,
            module=module,
        )
    return made


def _checked(target: Target, found: object, module: types.ModuleType) -> Callable[..., Any]:
    spelled = f"{target.module}:{target.attribute}"
    if not callable(found):
        if isinstance(found, types.ModuleType):
            fix = f"name the attribute in it: iotax {found.__name__}:app"
        else:
            fix = _suggest(f"{target.module}:", module, "app")
        raise load_error(
            target,
            f"{spelled} is {with_article(found)} and not callable; a WSGI application must be"
            " callable",
            fix,
            module=module,
        )
    if _is_async(found):
        raise load_error(
            target,
            f"{spelled} looks like an ASGI application (its call is async); iotax serves WSGI",
            "for Django, name the project's wsgi module instead of asgi; other frameworks need an"
            " ASGI server,\n"
            "or an adapter from ASGI to WSGI, e.g. a2wsgi.ASGIMiddleware",
            module=module,
        )
    return found


def _is_async(found: object) -> bool:
    """Whether `found` is an async function, or an object whose __call__ is one: calling it cannot
    return an iterable.

    Reads the type, never the object: a server may only call an application (PEP 3333, overview).
    """
    if type(found) is types.FunctionType:
        return inspect.iscoroutinefunction(found)
    return inspect.iscoroutinefunction(inspect.getattr_static(type(found), "__call__", None))
