"""iotax: a WSGI server. `serve("main:app")` loads an application and serves it, `run(app)` serves
an object, Server gives control over each step."""

from iotax._app.hooks import WorkerInfo
from iotax._app.load_error import LoadError
from iotax._iotax import (
    BodyMalformed,
    BodyTimedOut,
    ClientDisconnected,
    RequestTimeout,
    __version__,
)
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
