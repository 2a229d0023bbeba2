"""The command `iotax check`: reads its arguments, runs the checker, and writes its report.

Exit codes: 0 no findings that count, 1 findings (or a run that proves nothing), 2 usage, 3 the
application cannot be loaded, 5 internal error.
"""

import argparse
import difflib
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, TextIO

from iotax._app.load_error import LoadError
from iotax._check.play.runner import check, planned
from iotax._check.play.sandbox_process import SandboxExited
from iotax._check.report.findings import Report
from iotax._check.report.formats import FORMATS, heading, text
from iotax._check.settings import EXAMPLES, from_command
from iotax._config.errors import ConfigError
from iotax._log import server_log, terminal

EXIT_USAGE: Final = 2
EXIT_LOAD: Final = 3
EXIT_INTERNAL: Final = 5
EXIT_INTERRUPTED: Final = 130
CLEAR: Final = "\r\x1b[K"
QUIET_SECONDS: Final = 10.0

USAGE: Final = "iotax check [options] APP"
DESCRIPTION: Final = """\
Call an application as a strict WSGI server, and report which rules of PEP 3333 it breaks.

APP names the application, as for `iotax`. Its URLs: those of --path, else /, and the routes of
Flask and Django without parameters. Nothing with effects is sent unless you ask for it: routes get
GET, HEAD and OPTIONS only, and with --exclude '*' nothing."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


class _Named(argparse.Action):
    """--path, and the -H and -d that belong to the --path before them."""

    def __call__(
        self, parser: Any, namespace: Any, values: Any, option_string: str | None = None
    ) -> None:
        named = namespace.paths_named
        if self.dest == "path":
            named.append({"text": values, "headers": [], "body": None})
        elif not named:
            raise ConfigError(f"{option_string} belongs to the --path before it; add --path first")
        elif self.dest == "header":
            named[-1]["headers"].append(values)
        else:
            named[-1]["body"] = values


def main(argv: Sequence[str]) -> int:
    """Run the command with `argv`, the arguments after `check`. Returns the exit code."""
    try:
        return _run(_read(argv))
    except ConfigError as error:
        return _fail(EXIT_USAGE, f"iotax check: {error}")
    except LoadError as error:
        return _fail(EXIT_LOAD, f"\n{error}")
    except SandboxExited as exited:
        what = f"iotax check: importing the application failed: {exited.how}"
        return _fail(EXIT_LOAD, f"{exited.output}{what}")
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception:
        what = "iotax check: internal error, please report the lines above"
        return _fail(EXIT_INTERNAL, f"{traceback.format_exc()}{what}")


def _read(argv: Sequence[str]) -> argparse.Namespace:
    parser = make_parser()
    given, rest = parser.parse_known_args(argv, argparse.Namespace(paths_named=[]))
    for word in rest:
        if word.startswith("-"):
            flag = word.partition("=")[0]
            known = [name for name in parser._option_string_actions if name.startswith("--")]
            close = difflib.get_close_matches(flag, known, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}? " if close else ""
            raise ConfigError(f"unknown option {flag}: {hint}iotax check -h lists all")
    if rest:
        raise ConfigError(f'unexpected argument "{rest[0]}"; expected one APP')
    return given


def make_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="iotax check",
        usage=USAGE,
        description=DESCRIPTION,
        epilog=EXAMPLES,
        allow_abbrev=False,
        add_help=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_targets(parser)
    _add_requests(parser.add_argument_group("Requests"))
    _add_findings(parser.add_argument_group("Findings"))
    _add_output(parser.add_argument_group("Output"))
    return parser


def _add_targets(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("Application")
    group.add_argument("target", metavar="APP", nargs="?", default="", help="e.g. main:app")
    group.add_argument(
        "--middleware",
        action="append",
        metavar="TARGET",
        help="check middleware too: a callable that takes an application and returns one;"
        " repeatable; without APP, only middleware is checked",
    )
    group.add_argument("--factory", action="store_const", const=True, help="as for iotax")
    group.add_argument("--chdir", metavar="DIR", help="as for iotax")
    group.add_argument("--pythonpath", action="append", metavar="DIRS", help="as for iotax")
    group.add_argument(
        "--environ",
        action="append",
        metavar="NAME=VALUE",
        help="a variable that the deployment adds to environ; repeatable",
    )


def _add_requests(group: Any) -> None:
    group.add_argument(
        "--path",
        action=_Named,
        metavar="'[METHOD] TARGET'",
        help="send this request, e.g. /items or 'POST /items'; repeatable",
    )
    group.add_argument(
        "-H", "--header", action=_Named, metavar="'NAME: VALUE'", help="header for the last --path"
    )
    group.add_argument(
        "-d", "--data", action=_Named, metavar="BODY", help="body for the last --path"
    )
    group.add_argument("--paths", metavar="FILE", help="send the requests of this .http file")
    group.add_argument("--crawl", metavar="N", help="follow up to N links of pages")
    group.add_argument(
        "--exclude",
        action="append",
        metavar="PATTERN",
        help="routes and links to skip (default: *logout* *delete*)",
    )
    group.add_argument(
        "--unsafe-methods",
        action="store_const",
        const=True,
        help="send POST, PUT, PATCH and DELETE to routes and links too",
    )
    group.add_argument("--timeout", metavar="TIME", help="limit for each call (default: 10s)")
    group.add_argument("--list", action="store_true", help="print the requests, send none")


def _add_findings(group: Any) -> None:
    group.add_argument(
        "--strict",
        action="store_const",
        const=True,
        help="warnings, and findings in installed packages, count as errors",
    )
    group.add_argument(
        "--ignore", action="append", metavar="ID", help="accept findings of this clause; repeatable"
    )
    group.add_argument("--baseline", metavar="FILE", help="accept the findings of this file")
    group.add_argument(
        "--write-baseline", metavar="FILE", help="write the findings to a file, for --baseline"
    )


def _add_output(group: Any) -> None:
    group.add_argument(
        "--format", choices=list(FORMATS), default="text", help="of the report (default: text)"
    )
    group.add_argument("-o", "--output", metavar="FILE", help="write the report to it (default: -)")
    group.add_argument("--color", choices=("auto", "always", "never"), default="auto")
    group.add_argument(
        "-v", "--verbose", action="store_true", help="show information and accepted findings too"
    )
    group.add_argument("-h", "--help", action="help", help="print this and exit")


def _run(given: argparse.Namespace) -> int:
    settings = from_command(vars(given))
    if given.list:
        plan = planned(settings)
        print(heading(settings.target, plan.in_words()))
        for spec in plan.waiting:
            print(f"  {spec.method} {spec.target}")
        return 0
    report = check(settings, Progress(sys.stderr))
    _write(report, given)
    return report.exit_code


class Progress:
    """Shows progress: on a terminal each request, on one line; elsewhere, such as in a CI log, a
    line if nothing was written for QUIET_SECONDS. `clock`: in seconds."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._began = self._shown = clock()

    def __call__(self, what: str) -> None:
        now = self._clock()
        if self._out.isatty():
            width = shutil.get_terminal_size().columns - 1
            print(CLEAR + what[:width], end="", file=self._out, flush=True)
        elif now - self._shown >= QUIET_SECONDS:
            self._shown = now
            line = f"iotax check: {now - self._began:.0f} s, {what}"
            print(line, file=self._out, flush=True)


def _write(report: Report, given: argparse.Namespace) -> None:
    if given.format == "text":
        descriptor = sys.stdout.fileno() if given.output is None else -1
        color = server_log.colored(given.color, descriptor, os.environ)
        written = text(report, color=color, verbose=given.verbose)
    else:
        written = FORMATS[given.format](report)
    if sys.stderr.isatty():
        print(end=CLEAR, file=sys.stderr, flush=True)
    if given.output in (None, "-"):
        sys.stdout.buffer.write(written.encode(errors="backslashreplace"))
        return
    try:
        Path(given.output).write_text(written, "utf-8", "backslashreplace")
    except OSError as error:
        raise ConfigError(f'--output: cannot write "{given.output}": {error}') from None


def _fail(code: int, what: str) -> int:
    terminal.say(what)
    return code
