"""The library: Server, serve(), run() and load_app(). Serves in the calling process and thread.

Does not read environment variables: options that are not given have their defaults.
"""

import atexit
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Final, Self, Unpack

from iotax._app import importer, working_directory
from iotax._config.address import TcpAddress
from iotax._config.options import Config
from iotax._config.sources import from_arguments
from iotax._config.typed import PathOptions, ServerOptions
from iotax._log import server_log, statsd
from iotax._net.listeners import Listeners, open_listeners
from iotax._runtime import native
from iotax._runtime.admin import AdminThread
from iotax._runtime.process_exit import ExitGuard, exit_now
from iotax._runtime.worker import JOIN_SECONDS, Worker

__all__ = ["PathOptions", "Server", "ServerOptions", "load_app", "run", "serve"]


class Server:
    """Serves one WSGI application.

    serve() blocks until signal_exit() or, in the main thread, until INT or TERM. It can be called
    again.
    Errors: TypeError and ValueError that name the argument; BindError (an OSError) if an address
    cannot be opened.
    """

    def __init__(
        self,
        app: Callable[..., Any],
        *,
        host: str | None = None,
        port: int | None = None,
        **options: Unpack[ServerOptions],
    ) -> None:
        if not callable(app):
            raise TypeError(
                f'app must be callable, not {type(app).__name__}; use serve("module:attribute") to'
                " load by name"
            )
        self._app: Final = app
        self._config: Final = from_arguments(_with_address(host, port, options), path=False)
        self._listeners: Listeners | None = None
        self._admin = Listeners(())
        self._lock = native.make_lock()
        self._worker: Worker | None = None
        self._exit_asked = False

    @property
    def port(self) -> int:
        """The real port after bind(), the requested one before; 0 with Unix sockets only."""
        if self._listeners is not None:
            return self._listeners.port
        return next(
            (address.port for address in self._config.addresses if isinstance(address, TcpAddress)),
            0,
        )

    @property
    def admin_port(self) -> int:
        """Like `port`, of the admin listener; 0 without one on TCP."""
        if self._admin.all:
            return self._admin.port
        return self._config.admin.port if isinstance(self._config.admin, TcpAddress) else 0

    def bind(self) -> Self:
        """Open the listeners unless they are open. serve() calls it; call it earlier to get the
        real port."""
        if self._listeners is None:
            listeners = _open(self._config)
            try:
                self._admin = _open_admin(self._config)
            except BaseException:
                listeners.close()
                raise
            self._listeners = listeners
        return self

    def serve(self) -> None:
        """Serve in this thread until asked to stop."""
        with self._lock:
            if self._worker is not None:
                raise RuntimeError("this Server is already serving")
            receiver = statsd.resolve(self._config)
            listeners = self.bind()._listeners
            assert listeners is not None
            server_log.open_log(self._config, os.environ)
            if receiver is not None:
                statsd.open_statsd(self._config, receiver)
            server_log.info(f"Started server process [{os.getpid()}]")
            admin = AdminThread(self._config, self._admin, listeners)
            self._worker = worker = Worker(
                self._app, listeners, self._config, scoreboard=admin.scoreboard
            )
        guards: list[ExitGuard] = []

        def stop_now(number: int) -> None:
            """Interrupt the main thread, as Ctrl-C does in any program. Other threads cannot be
            interrupted, so the process exits if their calls do not return."""
            guards.append(ExitGuard(JOIN_SECONDS, 128 + number))
            guards[-1].start()
            raise KeyboardInterrupt

        def announce() -> None:
            listeners.announce(self._config.notes)
            admin.is_ready()
            statsd.count_workers(1)

        try:
            if not self._exit_asked and not worker.run(stop_now=stop_now, ready=announce):
                _AtExit.has_lost_thread = True
        except KeyboardInterrupt:
            if worker.stop_asked_at is None:
                raise  # not from our handler
        finally:
            for guard in guards:
                guard.cancel()
            admin.end()
            self.close()
            self._worker, self._exit_asked = None, False
            if self._config.statsd_host is not None:
                statsd.count_workers(0)
                statsd.close()
            server_log.flush()

    def signal_exit(self) -> None:
        """Let serve() return after the requests in progress. Can be called from any thread or
        signal handler."""
        self._exit_asked = True
        worker = self._worker
        if worker is not None:
            worker.stop("prompt")

    def close(self) -> None:
        """Close the listeners unless serve() has closed them."""
        listeners, self._listeners = self._listeners, None
        if listeners is not None:
            listeners.close()
        self._admin.close()
        self._admin = Listeners(())

    @contextmanager
    def background(self) -> Iterator[Self]:
        """Serve from a background thread while the with block runs.

        The port is open when the block begins, and the server has stopped when it ends. An
        exception of serve() is raised at the end of the block.
        """
        self.bind()
        failures: list[BaseException] = []

        def serve() -> None:
            try:
                self.serve()
            except BaseException as error:  # raised again in the thread that waits
                failures.append(error)

        thread = native.thread(serve, "iotax-0")
        thread.start()
        try:
            yield self
        finally:
            self.signal_exit()
            thread.join(self._config.graceful_timeout + 2 * JOIN_SECONDS)
            if thread.is_alive():
                server_log.warning("A request did not finish; its thread was abandoned")
                _AtExit.abandoned.append(thread)
            else:
                self._exit_asked = False
        if failures:
            raise failures[0]


def load_app(path: str, reload: bool = False, *, factory: bool = False) -> Callable[..., Any]:
    """Load the application that `path` names: "module:attribute", "module:factory()" or "module".

    With `reload`, a module that is already imported is imported again. Errors: LoadError.
    """
    if not isinstance(path, str):
        raise TypeError(f'path must be a string such as "main:app", not {type(path).__name__}')
    return importer.load(path, factory=factory, reload=reload).application


def run(
    app: Callable[..., Any],
    host: str | None = None,
    port: int | None = None,
    **options: Unpack[ServerOptions],
) -> None:
    """Serve the application object `app`: Server(app, …).serve(). Errors: those of Server."""
    Server(app, host=host, port=port, **options).serve()


def serve(
    app: str, host: str | None = None, port: int | None = None, **options: Unpack[PathOptions]
) -> None:
    """Open the port, load the application that `app` names ("main:app"), and serve it. Errors:
    LoadError, and those of Server."""
    if not isinstance(app, str):
        raise TypeError(
            f'app must be a string such as "main:app", not {type(app).__name__}; use run() to serve'
            " an object"
        )
    config = from_arguments(_with_address(host, port, options), path=True)
    working_directory.prepare(config.chdir, config.pythonpath)
    with _open(config) as listeners, _open_admin(config) as admin:
        loaded = importer.load(app, factory=config.factory)
        for name in ("factory", "chdir", "pythonpath"):
            options.pop(name, None)  # type: ignore[misc]  # the rest is ServerOptions
        server = Server(loaded.application, host=host, port=port, **options)  # type: ignore[misc]  # the same
        server._listeners = listeners
        server._admin = admin
        server.serve()


def _with_address(
    host: str | None, port: int | None, options: Mapping[str, object]
) -> dict[str, object]:
    given = {"host": host, "port": port}
    return {**{name: value for name, value in given.items() if value is not None}, **options}


def _open(config: Config) -> Listeners:
    return open_listeners(
        config.addresses,
        backlog=config.backlog,
        unix_mode=config.unix_mode,
        example=lambda address: f'bind="{address}"' if config.bind else f"port={address.port}",
    )


def _open_admin(config: Config) -> Listeners:
    if config.admin is None:
        return Listeners(())
    return open_listeners(
        [config.admin],
        backlog=config.backlog,
        unix_mode=config.unix_mode,
        example=lambda address: f'admin="{address}"',
    )


class _AtExit:
    """Threads that an application call still uses when Python exits. `abandoned`: of background(),
    which mostly runs in tests: they have not passed, so the exit code is 1."""

    has_lost_thread = False
    abandoned: ClassVar[list[threading.Thread]] = []


def _exit_with_threads() -> None:
    abandoned = any(thread.is_alive() for thread in _AtExit.abandoned)
    if abandoned or _AtExit.has_lost_thread:
        failed = getattr(sys, "last_value", None) is not None
        exit_now(1 if abandoned or failed else 0)


# Registered at import, so that it runs after the functions that the program registers later.
atexit.register(_exit_with_threads)
