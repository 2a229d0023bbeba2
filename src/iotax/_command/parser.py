"""The parser of the command line, made from the table of options, and its error messages.

Does not know single options: options.py has their table.
"""

import argparse
import sys
from typing import Final, NoReturn

from iotax import _iotax
from iotax._config.foreign_options import FOREIGN, spelled
from iotax._config.option_types import Flag, ListOf
from iotax._config.options import OPTIONS
from iotax._config.similar import similar

USAGE: Final = "iotax [options] APP\n       iotax check [options] APP\n       iotax migrate SOURCE"
EXAMPLES: Final = """\
APP names the application: module:attribute, a factory call, or a module with `application` or
`app`.

Examples:
  iotax main:app
  iotax --host 0.0.0.0 --port 80 --threads 8 'mysite.factory:create_app("live")'
"""
VERSIONS: Final = (
    f"iotax {_iotax.__version__} (Python {sys.version.split()[0]}, llhttp {_iotax.llhttp_version})"
)
VARIABLES: Final = """\
Every option is also a variable, and a key of iotax.toml: --limit-body 10M is IOTAX_LIMIT_BODY=10M,
and limit-body = "10M". The option beats the variable, which beats the file."""


class UsageError(Exception):
    """An invalid command line."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


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
    groups = {"Application": parser.add_argument_group("Application")}
    for row in OPTIONS.values():
        if row.section not in groups:
            groups[row.section] = parser.add_argument_group(row.section)
        group = groups[row.section]
        flags = [flag for flag in (row.short, row.flag) if flag]
        text = f"{row.help} (default: {row.default_text})".replace("%", "%%")
        if row.positional:
            group.add_argument(row.name, metavar=row.kind.metavar, nargs="?", help=text)
        elif isinstance(row.kind, Flag):
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
            action = "append" if isinstance(row.kind, ListOf) else "store"
            group.add_argument(
                *flags, dest=row.name, action=action, metavar=row.kind.metavar, help=text
            )
    about = parser.add_argument_group("About")
    about.add_argument("-h", "--help", action="help", help="print this and exit")
    about.add_argument(
        "--version",
        action="version",
        version=VERSIONS,
        help="print the versions of iotax, Python and llhttp, and exit",
    )
    return parser


def read(parser: argparse.ArgumentParser, argv: list[str]) -> dict[str, object]:
    """The values as typed, by the names of their options. Errors: UsageError."""
    try:
        found, rest = parser.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise UsageError(_explain(error)) from None
    for word in rest:
        if word.startswith("-") and word != "-":
            raise UsageError(_unknown(word))
    if rest:
        raise UsageError(f'unexpected argument "{rest[0]}"; expected one APP, e.g. iotax main:app')
    return {name: value for name, value in vars(found).items() if value is not None}


def _explain(error: argparse.ArgumentError) -> str:
    flag = (error.argument_name or "").split("/")[-1]
    row = next((row for row in OPTIONS.values() if row.flag == flag), None)
    if row is None:
        return str(error)
    if isinstance(row.kind, Flag):
        return f"{flag} takes no value; the option alone turns it on"
    return f"{flag} needs a value; expected {row.kind.expected}, e.g. {flag} {row.example}"


def _unknown(word: str) -> str:
    flag = word.partition("=")[0] if word.startswith("--") else word[:2]
    if flag in FOREIGN:
        use = spelled(FOREIGN[flag], lambda row: row.flag)
        return f"{flag} is an option of other servers; {use}"
    flags = [row.flag for row in OPTIONS.values()]
    flags += [f"--no-{row.flag[2:]}" for row in OPTIONS.values() if row.negative] + [
        "--help",
        "--version",
    ]
    if not word.startswith("--"):
        return f"unknown option {flag}: iotax -h lists all"
    close = similar(flag, flags)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"unknown option {flag}: {hint}iotax -h lists all"
