"""The command: reads its arguments, prints what a person sees at the start, and ends with the exit
codes of the README.

Decides: words and order of the start, hints for options of other servers, exit codes.
Knows nothing of single options: options.py has their table.
"""

import argparse
import difflib
import importlib
import os
import re
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Final, NoReturn

from iotax import _iotax
from iotax._app import working_directory
from iotax._app.load_error import LoadError
from iotax._config.address import TcpAddress
from iotax._config.errors import ConfigError
from iotax._config.option_types import Many, Switch
from iotax._config.options import OPTIONS, Config
from iotax._config.sources import from_command
from iotax._log import server_log, terminal
from iotax._net.listeners import BindError, Listeners, open_listeners
from iotax._processes import signals
from iotax._processes.forking import run_forked
from iotax._processes.supervisor import EXIT_LOAD, EXIT_STOPPED, Supervisor
from iotax._processes.worker_process import buffer_lines, load, tell_ready
from iotax._runtime.process_exit import ExitGuard, leave_now
from iotax._runtime.stop_signals import SECOND_SIGNAL_SECONDS
from iotax._runtime.worker import ThreadsNotStarted, Worker

EXIT_INTERNAL: Final = 1
EXIT_USAGE: Final = 2
EXIT_BIND: Final = 4

USAGE: Final = "iotax [options] APP\n       iotax check [options] APP"
EXAMPLES: Final = """\
APP names the application: module:attribute, a factory call, or a module that holds `application` or
`app`.

Examples:
  iotax main:app
  iotax --host 0.0.0.0 --port 80 --threads 8 'mysite.factory:create_app("live")'
"""
VARIABLES: Final = """\
Every option is also a variable: --limit-body 10M is IOTAX_LIMIT_BODY=10M. The option beats it."""

# Habits from other servers, and what to do instead. {name} stands for an option.
_NO_FILE = "there is no configuration file yet, use options or variables IOTAX_NAME"
_TIMEOUTS = "use {request-timeout} for calls, {receive-timeout} for clients"
FOREIGN: Final[Mapping[str, str]] = {
    "--timeout": _TIMEOUTS,
    "-t": _TIMEOUTS,
    "--worker-class": "use {threads} for calls at once",
    "-k": "use {threads} for calls at once",
    "--config": _NO_FILE,
    "-c": _NO_FILE,
    "--uds": "use {bind} unix:PATH",
    "--http": "use {bind}, e.g. --bind :8000",
    "--limit-max-requests": "use {max-requests}",
    "--timeout-keep-alive": "use {keep-alive}",
    "--interface": "WSGI is the only interface, leave it out",
    "-p": "use {port}",
}


class UsageError(Exception):
    """A command line that cannot be obeyed."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


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
    app, flags = _read(parser, argv)
    if app is None:
        if not flags:
            return _fail(EXIT_USAGE, f"usage: {USAGE}\n\n{EXAMPLES}\niotax -h lists the options.")
        raise UsageError("APP is missing, e.g. iotax main:app")
    if app == "check":
        raise UsageError(
            "check comes first, e.g. iotax check main:app; an application in a module named check"
            " is check:app"
        )
    config, warnings = from_command(flags, os.environ)
    working_directory.prepare(config.chdir, config.pythonpath)
    supervised = config.workers > 0
    server_log.open_log(config, os.environ, threads=not supervised)
    with _open(config) as listeners:
        _greet(app, config, listeners, warnings)
        if supervised:
            interactive = terminal.is_terminal()
            kind = _reloading_supervisor() if config.reload else Supervisor
            return run_forked(kind(app, config, listeners, interactive=interactive).run)
        return _serve(app, config, listeners)


def _check(argv: list[str]) -> int:
    """Imported only where it is wanted, as below."""
    code: int = importlib.import_module("iotax._check.command").main(argv)
    return code


def _reloading_supervisor() -> type[Supervisor]:
    """Imported only where it is wanted: in production no process has to carry it."""
    found: type[Supervisor] = importlib.import_module("iotax._reload.policy").ReloadingSupervisor
    return found


# ---- the command line


def make_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="iotax",
        usage=USAGE,
        description="Serve a WSGI application.",
        epilog=f"{EXAMPLES}\n{VARIABLES}",
        allow_abbrev=False,
        add_help=False,
        exit_on_error=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    application = parser.add_argument_group("Application")
    application.add_argument(
        "app",
        metavar="APP",
        nargs="?",
        help="module:attribute, e.g. main:app or 'main:create_app()'",
    )
    groups = {"Application": application}
    for row in OPTIONS.values():
        if row.section not in groups:
            groups[row.section] = parser.add_argument_group(row.section)
        group = groups[row.section]
        flags = [flag for flag in (row.short, row.flag) if flag]
        text = f"{row.help} (default: {row.default_text})".replace("%", "%%")
        if isinstance(row.kind, Switch):
            group.add_argument(*flags, dest=row.name, action="store_const", const=True, help=text)
            if row.negative:
                no = f"--no-{row.flag.removeprefix('--')}"
                group.add_argument(
                    no,
                    dest=row.name,
                    action="store_const",
                    const=False,
                    help=f"the opposite of {row.flag}",
                )
        else:
            action = "append" if isinstance(row.kind, Many) else "store"
            group.add_argument(
                *flags, dest=row.name, action=action, metavar=row.kind.metavar, help=text
            )
    about = parser.add_argument_group("About")
    about.add_argument("-h", "--help", action="help", help="print this and exit")
    about.add_argument(
        "--version",
        action="version",
        version=f"iotax {_iotax.__version__}",
        help="print the version and exit",
    )
    return parser


def _read(parser: argparse.ArgumentParser, argv: list[str]) -> tuple[str | None, dict[str, object]]:
    """APP, and what was typed for each option that was given. Errors: UsageError."""
    try:
        found, rest = parser.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise UsageError(_explain(error)) from None
    for word in rest:
        if word.startswith("-") and word != "-":
            raise UsageError(_unknown(word))
    if rest:
        raise UsageError(
            f'"{rest[0]}" is one argument too many: there is one APP, e.g. iotax main:app'
        )
    typed = {
        name: value for name, value in vars(found).items() if name != "app" and value is not None
    }
    return found.app, typed


def _explain(error: argparse.ArgumentError) -> str:
    flag = (error.argument_name or "").split("/")[-1]
    row = next((row for row in OPTIONS.values() if row.flag == flag), None)
    if row is None:
        return str(error)
    if isinstance(row.kind, Switch):
        return f"{flag} takes no value: it is on when it is named"
    return f"{flag} needs a value: {row.kind.allowed}, e.g. {flag} {row.example}"


def _unknown(word: str) -> str:
    flag = word.partition("=")[0] if word.startswith("--") else word[:2]
    if flag in FOREIGN:
        return f"{flag} is an option of other servers: {_spelled(FOREIGN[flag])}"
    flags = [row.flag for row in OPTIONS.values()]
    flags += [f"--no-{row.flag[2:]}" for row in OPTIONS.values() if row.negative] + [
        "--help",
        "--version",
    ]
    if not word.startswith("--"):
        return f"unknown option {flag}: iotax -h lists all"
    close = difflib.get_close_matches(flag, flags, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"unknown option {flag}: {hint}iotax -h lists all"


def _spelled(text: str) -> str:
    """`text` with each {option} as one types it, and a word where this version does not have it."""

    def spell(found: re.Match[str]) -> str:
        missing = "" if found[1].replace("-", "_") in OPTIONS else " (not in this version yet)"
        return f"--{found[1]}{missing}"

    return re.sub(r"\{(.+?)\}", spell, text)


# ---- the start


def _open(config: Config) -> Listeners:
    def example(address: TcpAddress) -> str:
        return f"--bind {address}" if config.bind else f"--port {address.port}"

    return open_listeners(
        config.addresses, backlog=config.backlog, unix_mode=config.unix_mode, example=example
    )


def _greet(app: str, config: Config, listeners: Listeners, warnings: list[str]) -> None:
    lines = [f"iotax v{_iotax.__version__}", f"Running {app}"]
    for listener in listeners.all:
        lines.append(f"Address: {listener.url}")
        here = f"Address: {listener.clickable} (from this machine)"
        if listener.clickable and here not in lines:
            lines.append(here)
    if config.reload:
        lines.append("Auto-reload enabled (development mode)")
    terminal.say("\n".join(lines))
    for text in warnings:
        server_log.warning(text)
    exposed = [listener.url for listener in listeners.all if not listener.is_local]
    if config.reload and exposed:
        server_log.warning(
            "--reload shows tracebacks, with lines of the source, to everybody who can reach"
            f" {' and '.join(exposed)}: it is for development; --host 127.0.0.1 keeps them on this"
            " machine"
        )
    if os.getpid() == 1 and all(listener.port and listener.is_local for listener in listeners.all):
        server_log.warning(
            "Nothing outside this container can reach a loopback address: use --host 0.0.0.0"
        )
    what = "supervisor" if config.workers else "server process"
    server_log.info(f"Started {what} [{os.getpid()}]")


def _serve(app: str, config: Config, listeners: Listeners) -> int:
    buffer_lines()
    # As PID 1, TERM without a handler would be lost while the application is imported.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    serving: list[Worker] = []

    def hang_up() -> None:
        if not serving:
            raise KeyboardInterrupt
        serving[0].stop("prompt")

    operators = signals.WithoutSupervisor(hang_up)
    operators.install()
    loaded = load(app, config)

    def at_once(number: int) -> None:
        server_log.warning(
            f"Stopped at once by {signal.Signals(number).name}; requests cut: {worker.running()}"
        )
        listeners.close()
        leave_now(128 + number)

    def while_leaving(number: int, _frame: FrameType | None) -> None:
        if worker.seconds_since_stop() >= SECOND_SIGNAL_SECONDS:
            at_once(number)

    def ready() -> None:
        tell_ready(listeners, config)

    worker = Worker(loaded.application, listeners, config, interactive=terminal.is_terminal())
    serving.append(worker)
    all_back = worker.run(process="server", at_once=at_once, ready=ready)
    operators.end()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, while_leaving)
    listeners.close()
    if not all_back:
        leave_now(EXIT_STOPPED)
    ExitGuard(worker.seconds_left(), EXIT_STOPPED).start()
    return EXIT_STOPPED
