"""The command `iotax migrate`: reads SOURCE, and prints a settings file on standard output.

Exit codes: 0 printed, 1 standard output cannot be written, 2 SOURCE or the command line cannot be
used.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from iotax._config.settings_file import BYTES_MAX
from iotax._log import terminal
from iotax._migrate import gunicorn, uwsgi
from iotax._migrate.command_line import read_gunicorn, read_uwsgi, words_of
from iotax._migrate.draft import Draft
from iotax._migrate.ini_file import read_ini
from iotax._migrate.python_file import read_python
from iotax._migrate.setting import SourceError
from iotax._migrate.toml_file import write

EXIT_OUTPUT: Final = 1
EXIT_USAGE: Final = 2
USAGE: Final = """\
usage: iotax migrate SOURCE

Print an iotax.toml for the configuration of gunicorn or uWSGI. SOURCE is a gunicorn.conf.py, a
uWSGI .ini (FILE:SECTION for another section than uwsgi), or one quoted command line. Nothing of it
is executed.

Examples:
  iotax migrate gunicorn.conf.py >iotax.toml
  iotax migrate "gunicorn -w 4 -b :8000 mysite.wsgi"
"""
_KINDS: Final = (
    "expected a gunicorn.conf.py, a uWSGI .ini, or a quoted command line, e.g. iotax migrate"
    ' "gunicorn -w 4 main:app"'
)


def main(argv: Sequence[str]) -> int:
    """Run the command with `argv`, the arguments after `migrate`. Returns the exit code."""
    if list(argv) in (["-h"], ["--help"]):
        print(USAGE, end="")
        return 0
    try:
        text = translate(_one_source(argv))
    except SourceError as error:
        terminal.say(f"iotax migrate: {error}")
        return EXIT_USAGE
    try:
        # A file of its own: at its exit, Python would try again to write what sys.stdout keeps.
        with open(sys.stdout.fileno(), "wb", closefd=False) as out:
            out.write(text)
    except OSError as error:
        terminal.say(f"iotax migrate: cannot write to standard output: {error.strerror}")
        return EXIT_OUTPUT
    return 0


def _one_source(argv: Sequence[str]) -> str:
    if not argv:
        raise SourceError(f"SOURCE is missing; {_KINDS}")
    if len(argv) > 1:
        if _server_of(argv[0]):
            line = " ".join(argv)
            raise SourceError(f'quote the command line: iotax migrate "{line}"')
        raise SourceError(f'unexpected argument "{argv[1]}"; expected one SOURCE')
    if argv[0].startswith("-"):
        raise SourceError(f"unknown option {argv[0]}; iotax migrate has no options")
    return argv[0]


def translate(source: str) -> bytes:
    """The settings file for `source`. Errors: SourceError."""
    text = _translated(source).encode(errors="backslashreplace")
    if len(text) > BYTES_MAX:
        raise SourceError("SOURCE has more settings than a settings file may contain")
    return text


def _translated(source: str) -> str:
    first = source.split(maxsplit=1)[:1]
    server = _server_of(first[0]) if first else ""
    if server and not os.path.isfile(source):
        draft = _from_command_line(server, words_of(source)[1:])
        return write(draft, f"a {server} command line", server)
    path, section = _split_section(source)
    server, draft = _from_file(path, section)
    return write(draft, os.path.basename(path), server)


def _server_of(word: str) -> str:
    name = os.path.basename(word)
    return {"gunicorn": "gunicorn", "uwsgi": "uWSGI"}.get(name, "")


def _from_command_line(server: str, words: list[str]) -> Draft:
    if server == "gunicorn":
        return gunicorn.translate(read_gunicorn(words, gunicorn.ROWS))
    return uwsgi.translate(read_uwsgi(words, uwsgi.COMMAND_LINE))


def _split_section(source: str) -> tuple[str, str]:
    """FILE or FILE:SECTION"""
    path, colon, section = source.rpartition(":")
    if colon and path.endswith(".ini") and not os.path.exists(source):
        return path, section
    return source, "uwsgi"


def _from_file(path: str, section: str) -> tuple[str, Draft]:
    kind = os.path.splitext(path)[1].lower()
    content = _content(path)
    if kind not in (".py", ".ini"):
        raise SourceError(f"{path} is of an unknown kind; {_KINDS}")
    if kind == ".py":
        settings = read_python(content, path, gunicorn.ROWS)
        if not settings:
            raise SourceError(f"{path} has no setting of gunicorn; expected a gunicorn.conf.py")
        return "gunicorn", gunicorn.translate(settings)
    return "uWSGI", uwsgi.translate(read_ini(content, path, section))


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        kinds = f"; {_KINDS}" if isinstance(error, FileNotFoundError) else ""
        raise SourceError(f"{path} cannot be read: {error.strerror}{kinds}") from None
    except ValueError as error:
        raise SourceError(f"SOURCE cannot be read: {error}") from None
