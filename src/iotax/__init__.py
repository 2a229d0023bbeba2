"""iotax: a WSGI server. `serve("main:app")` loads an application and serves it, `run(app)` serves
an object, Server gives control over each step."""

import importlib
from typing import TYPE_CHECKING, Any, Final

from iotax._iotax import (
    BodyMalformed,
    BodyTimedOut,
    ClientDisconnected,
    RequestTimeout,
    __version__,
)

if TYPE_CHECKING:
    from iotax._app.hooks import WorkerInfo
    from iotax._app.load_error import LoadError
    from iotax._net.bind_error import BindError
    from iotax.server import Server, load_app, run, serve

__all__ = [
    "BindError",
    "BodyMalformed",
    "BodyTimedOut",
    "ClientDisconnected",
    "LoadError",
    "RequestTimeout",
    "Server",
    "WorkerInfo",
    "__version__",
    "load_app",
    "run",
    "serve",
]

# Imported on first use: the command, and an application that needs an exception, start faster.
_MODULES: Final = {
    "BindError": "iotax._net.bind_error",
    "LoadError": "iotax._app.load_error",
    "Server": "iotax.server",
    "WorkerInfo": "iotax._app.hooks",
    "load_app": "iotax.server",
    "run": "iotax.server",
    "serve": "iotax.server",
}


def __getattr__(name: str) -> Any:
    if name == "server":
        return importlib.import_module("iotax.server")
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(_MODULES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
