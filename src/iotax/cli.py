"""The command: reads its arguments, starts the server, and exits with the codes of
docs/guide/command.md."""

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from iotax._app import working_directory
from iotax._app.load_error import LoadError
from iotax._command import user
from iotax._command.parser import EXAMPLES, USAGE, UsageError, make_parser, read
from iotax._command.pid_file import PidFile
from iotax._command.start import (
    close_unused,
    greet,
    open_admin,
    open_sockets,
    serve_unsupervised,
)
from iotax._config.errors import ConfigError, OptionError
from iotax._config.options import Config
from iotax._config.sources import Command
from iotax._log import server_log, statsd, terminal
from iotax._net.bind_error import BindError
from iotax._processes import signals
from iotax._processes.exit_status import EXIT_LOAD, EXIT_STOPPED
from iotax._processes.forking import run_forked
from iotax._processes.notifier import Notifier, forget_variables
from iotax._runtime.worker import ThreadsNotStarted

if TYPE_CHECKING:
    from iotax._processes.supervisor import Supervisor

__all__ = ["main"]

EXIT_INTERNAL: Final = 1
EXIT_USAGE: Final = 2
EXIT_BIND: Final = 4
# With an example of their arguments.
SUBCOMMANDS: Final = {"check": "main:app", "migrate": "gunicorn.conf.py"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (default: the process's arguments). Returns the exit code."""
    terminal.open_missing_standard_streams()
    signals.begin()
    try:
        return _run(sys.argv[1:] if argv is None else list(argv))
    except UsageError as error:
        return _fail(EXIT_USAGE, f"iotax: {error}")
    except ConfigError as error:
        return _fail(EXIT_USAGE, "\n".join(f"iotax: {line}" for line in error.lines))
    except LoadError as error:
        return _fail(EXIT_LOAD, f"\n{error}")
    except ThreadsNotStarted as error:
        return _fail(EXIT_LOAD, f"iotax: {error}")
    except user.NotDropped as error:
        return _fail(EXIT_INTERNAL, f"iotax: {error}")
    except BindError as error:
        return _fail(EXIT_BIND, f"iotax: {error}")
    except KeyboardInterrupt:
        return EXIT_STOPPED
    except Exception:
        return _fail(
            EXIT_INTERNAL,
            f"{traceback.format_exc()}iotax: internal error, please report the lines above",
        )


def _fail(code: int, text: str) -> int:
    terminal.show_failure(text)
    return code


def _run(argv: list[str]) -> int:
    if argv[:1] and argv[0] in SUBCOMMANDS:
        return _imported(f"iotax._{argv[0]}.command", argv[1:])
    flags = read(make_parser(), argv)
    if (app := str(flags.get("app", ""))) in SUBCOMMANDS:
        raise UsageError(
            f"{app} must come first, e.g. iotax {app} {SUBCOMMANDS[app]}; an application in a"
            f" module named {app} is {app}:app"
        )
    directory = working_directory.start_directory(os.environ)
    environ = dict(os.environ)
    forget_variables(os.environ)
    command = Command(flags, environ, directory)
    settings = command.read()
    config = settings.config
    if config.print_config:
        return _imported("iotax._command.print_config", settings)
    if not config.app:
        if not flags and settings.file is None:
            return _fail(EXIT_USAGE, f"usage: {USAGE}\n\n{EXAMPLES}\niotax -h lists the options.")
        raise UsageError('APP is missing, e.g. iotax main:app, or app = "main:app" in iotax.toml')
    try:
        if config.check_config:
            return _imported("iotax._command.check_config", settings)
        close_unused(settings)
        make = _supervisor(config)  # before modules of the project can be taken for Python's
        owner = user.find(config)
        if config.umask is not None:
            os.umask(config.umask)
        working_directory.prepare(config.chdir, config.pythonpath)
        server_log.open_log(config, os.environ, threads=make is None)
        statsd.open_statsd(config, statsd.resolve(config))
        with ExitStack() as opened:
            listeners = opened.enter_context(open_sockets(settings))
            admin = opened.enter_context(open_admin(settings))
            if config.pid_file:
                opened.enter_context(PidFile(config.pid_file, owner))
            if owner is not None:
                owner.own(listeners)
                owner.own(admin)
                owner.become()
                for error in server_log.check_files(config):
                    raise error  # the user could not open it again
            greet(settings, listeners, admin)
            notifier = Notifier.from_environ(environ)
            if make is None:
                settings.environment.apply()
                return serve_unsupervised(
                    config, listeners, notifier, admin=admin, close=opened.close
                )
            supervisor = make(
                settings,
                listeners,
                read_again=command.read_again,
                interactive=terminal.is_terminal(),
                notifier=notifier,
                admin=admin,
            )
            return run_forked(supervisor.run)
    except OptionError as error:
        raise settings.explained(error) from None


def _imported(module: str, argument: object) -> int:
    """Import a module for this command only, and return the exit code of its main()."""
    code: int = importlib.import_module(module).main(argument)
    return code


def _supervisor(config: Config) -> "Callable[..., Supervisor] | None":
    """Imported only where it is wanted: in production no process has to carry --reload."""
    if config.workers == 0:
        return None
    found: Callable[..., Supervisor]
    if config.reload:
        found = importlib.import_module("iotax._reload.policy").reloading_supervisor
    else:
        found = importlib.import_module("iotax._processes.supervisor").production_supervisor
    return found
