"""The command: reads its arguments, starts the server, and exits with the codes of
docs/guide/command.md."""

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Final

from iotax._app import working_directory
from iotax._app.load_error import LoadError
from iotax._command.parser import EXAMPLES, USAGE, UsageError, make_parser, read
from iotax._command.start import greet, open_sockets, serve_unsupervised
from iotax._config.errors import ConfigError
from iotax._config.sources import from_command
from iotax._log import server_log, terminal
from iotax._net.listeners import BindError
from iotax._processes import signals
from iotax._processes.forking import run_forked
from iotax._processes.supervisor import EXIT_LOAD, EXIT_STOPPED, Supervisor
from iotax._runtime.worker import ThreadsNotStarted

__all__ = ["main"]

EXIT_INTERNAL: Final = 1
EXIT_USAGE: Final = 2
EXIT_BIND: Final = 4


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (default: the process's arguments). Returns the exit code."""
    terminal.open_missing_standard_streams()
    signals.begin()
    try:
        return _run(sys.argv[1:] if argv is None else list(argv))
    except (UsageError, ConfigError) as error:
        return _fail(EXIT_USAGE, f"iotax: {error}")
    except LoadError as error:
        return _fail(EXIT_LOAD, f"\n{error}")
    except ThreadsNotStarted as error:
        return _fail(EXIT_LOAD, f"iotax: {error}")
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
    terminal.say(text)
    return code


def _run(argv: list[str]) -> int:
    if argv[:1] == ["check"]:
        return _check(argv[1:])
    parser = make_parser()
    app, flags = read(parser, argv)
    if app is None:
        if not flags:
            return _fail(EXIT_USAGE, f"usage: {USAGE}\n\n{EXAMPLES}\niotax -h lists the options.")
        raise UsageError("APP is missing, e.g. iotax main:app")
    if app == "check":
        raise UsageError(
            "check must come first, e.g. iotax check main:app; an application in a module named"
            " check is check:app"
        )
    config, warnings = from_command(flags, os.environ)
    working_directory.prepare(config.chdir, config.pythonpath)
    supervised = config.workers > 0
    server_log.open_log(config, os.environ, threads=not supervised)
    with open_sockets(config) as listeners:
        greet(app, config, listeners, warnings)
        if supervised:
            interactive = terminal.is_terminal()
            kind = _reloading_supervisor() if config.reload else Supervisor
            return run_forked(kind(app, config, listeners, interactive=interactive).run)
        return serve_unsupervised(app, config, listeners)


def _check(argv: list[str]) -> int:
    """Imported only for this subcommand."""
    code: int = importlib.import_module("iotax._check.command").main(argv)
    return code


def _reloading_supervisor() -> type[Supervisor]:
    """Imported only with --reload, so that it takes no memory in production."""
    found: type[Supervisor] = importlib.import_module("iotax._reload.policy").ReloadingSupervisor
    return found
