"""From `module:attribute` to the application object, or to one screen that says why not.

Decides: what counts as an application, the likely fix for each way to fail.
Knows nothing of sockets or the worker. The application is never called here; a factory is.
"""

import difflib
import importlib
import inspect
import os
import pkgutil
import sys
import types
from collections.abc import Callable
from typing import Any, NamedTuple

from iotax._app.load_error import LoadError, a_kind, load_error, one_line, trace_of
from iotax._app.target import Target, TargetError, parse_target
from iotax._app.working_directory import make_importable

_USUAL_NAMES = ("application", "app")
_LIKELY_NAMES = (*_USUAL_NAMES, "wsgi_app", "wsgi", "create_app", "make_app", "get_app", "api")


class Loaded(NamedTuple):
    """`name` is the target with the attribute that was taken, if it was not named."""

    application: Callable[..., Any]
    name: str


def load(text: str, *, factory: bool = False, reload: bool = False) -> Loaded:
    """Import the module of `text`, fetch its attribute, call the factory.

    The current folder is importable afterwards. `reload`: a module that is there already is
    imported anew (importlib.reload).
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
            "--factory calls the attribute, and the parentheses call it too",
            "leave one of the two out",
        )
    make_importable(os.getcwd())
    importlib.invalidate_caches()
    module = _import(target, reload)
    target, found = _find(target, module)
    if target.call is not None or factory:
        found = _call(target, found, module)
    return Loaded(_checked(target, found, module), f"{target.module}:{target.attribute}")


# ---- the module


def _import(target: Target, reload: bool) -> types.ModuleType:
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
    except (
        BaseException
    ) as error:  # SystemExit too: a module must not end the server by being imported
        raise _failed_import(target, error) from error


def _no_such_module(target: Target, name: str) -> LoadError:
    parent, _, last = name.rpartition(".")
    attribute = f":{target.text.partition(':')[2]}" if ":" in target.text else ""
    holder = sys.modules.get(parent) if parent else None
    if holder is not None and not hasattr(holder, "__path__"):
        fix = f"separate module and attribute by a colon: iotax {parent}:{last}"
        return load_error(
            target, f'"{parent}" is a module, not a package: it holds no module "{last}"', fix
        )
    here = _modules_in(list(holder.__path__) if holder is not None else [os.getcwd()])
    close = difflib.get_close_matches(last, here, n=3, cutoff=0.6)
    prefix = f"{parent}." if parent else ""
    beneath = name != target.module and target.module.removeprefix(name)
    if close:
        fix = (
            "did you mean "
            + " or ".join(f"{prefix}{other}{beneath or ''}{attribute}" for other in close)
            + "?"
        )
    elif here:
        fix = f"name one that is there: {', '.join(prefix + other for other in here[:8])}"
        fix += " …" if len(here) > 8 else ""
    else:
        fix = "start iotax in the project's folder, or name it: iotax --chdir FOLDER " + target.text
    return load_error(target, f'there is no module "{name}"', fix)


def _modules_in(folders: list[str]) -> list[str]:
    """Importable names: modules, packages, and folders with Python files in them."""
    found = {module.name for module in pkgutil.iter_modules(folders)}
    for folder in folders:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
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
    problem = f"{module} failed while it was imported: {one_line(error)}"
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
            "the module ends the process: put what starts a server under if __name__ == '__main__':"
        )
    elif isinstance(error, SyntaxError):
        fix = f"correct line {error.lineno} of {error.filename}"
    elif type(error).__name__ == "ImproperlyConfigured":
        fix = (
            "set DJANGO_SETTINGS_MODULE, or name the project's wsgi module, e.g. iotax mysite.wsgi"
        )
    else:
        fix = "correct the error above; the last line of the module that ran is in the traceback"
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
            f"it has neither {names}",
            _suggest(f"{target.module}:", module, "app"),
            tried=f"import {target.module}, then take one of: {', '.join(_USUAL_NAMES)}",
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
                    f"{path}.{name} failed: {one_line(error)}",
                    "correct the error above",
                    trace=trace_of(error),
                    module=module,
                ) from error
            ahead = f"{target.module}:" + "".join(f"{before}." for before in parts[:index])
            behind = "".join(f".{after}" for after in parts[index + 1 :])
            raise load_error(
                target,
                f'{path} has no attribute "{name}"',
                _suggest(ahead, found, name, behind),
                module=module,
            ) from None
        path = f"{path}.{name}"
    return target, found


def _suggest(ahead: str, holder: object, name: str, behind: str = "") -> str:
    """What to write instead of `name`, which stands between `ahead` and `behind`: the nearest
    names in `holder`, else those that usually hold an application, else what there is."""
    names = [other for other in dir(holder) if not other.startswith("_")]
    fitting = names if behind else [other for other in names if _is_likely(holder, other)]
    close = difflib.get_close_matches(name, fitting, n=2, cutoff=0.6)
    likely = close or [other for other in _LIKELY_NAMES if other in fitting]
    if likely:
        spelled = (
            f"{ahead}{other}{behind}" if "create" not in other else f"'{ahead}{other}()'"
            for other in likely
        )
        return "did you mean " + " or ".join(spelled) + "?"
    if fitting:
        listed = ", ".join(fitting[:8]) + (" …" if len(fitting) > 8 else "")
        return f"name one of these: {listed}"
    return "define the application there, or name the module that does"


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
            f"{spelled} is {a_kind(factory)}: it cannot be called",
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
                f"""give what it takes, as literals: iotax '{spelled}("test")'""",
                tried=tried,
                module=module,
            ) from error
        raise load_error(
            target,
            f"{target.attribute}() failed: {one_line(error)}",
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
        what = "None" if made is None else a_kind(made)
        raise load_error(
            target,
            f"{target.attribute}() returned {what}, which cannot be called",
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
            f"{spelled} is {a_kind(found)}: a WSGI application can be called",
            fix,
            module=module,
        )
    if _is_async(found):
        raise load_error(
            target,
            f"{spelled} looks like an ASGI application (its call is async); iotax serves WSGI",
            "for Django name the project's wsgi module instead of asgi; other frameworks need an"
            " ASGI server,\n"
            "or a wrapper that turns ASGI into WSGI, e.g. a2wsgi.ASGIMiddleware",
            module=module,
        )
    return found


def _is_async(found: object) -> bool:
    """An async function, or an object of a class whose __call__ is one: its call can never give an
    iterable.

    Only the type is looked at, never the object: a WSGI application is called and nothing else (PEP
    3333, overview).
    """
    if type(found) is types.FunctionType:
        return inspect.iscoroutinefunction(found)
    return inspect.iscoroutinefunction(inspect.getattr_static(type(found), "__call__", None))
