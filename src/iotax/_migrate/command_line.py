"""Reads a command line of gunicorn or uWSGI into settings."""

import argparse
import shlex
from collections.abc import Mapping
from typing import Any, NoReturn

from iotax._migrate.draft import Row
from iotax._migrate.setting import Setting, SourceError

# The application, which is an argument without an option.
APP = "APP"


def words_of(source: str) -> list[str]:
    """`source` as the shell splits it. Errors: SourceError."""
    try:
        return shlex.split(source)
    except ValueError as error:
        raise SourceError(f"the command line ends too early: {error}") from None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SourceError(f"gunicorn does not accept this command line: {message}")


class _Collect(argparse.Action):
    """Keeps the order of all options."""

    def __call__(
        self, parser: Any, namespace: Any, values: Any, option_string: str | None = None
    ) -> None:
        label = option_string or ""
        value = self.const if self.nargs == 0 else values
        text = "" if self.nargs == 0 or values is None else f" {shlex.quote(values)}"
        namespace.settings.append(Setting(self.dest, label, f"{label}{text}", value))


def read_gunicorn(words: list[str], rows: Mapping[str, Row]) -> list[Setting]:
    """gunicorn reads its command line with argparse, so abbreviations count. Errors:
    SourceError."""
    parser = _Parser(prog="gunicorn", add_help=False)
    for name, row in rows.items():
        if row.flags:
            takes: dict[str, Any] = {}
            if row.switch is not None:
                takes = {"nargs": 0, "const": row.switch}
            elif name == "proxy_protocol":
                takes = {"nargs": "?"}
            parser.add_argument(*row.flags, dest=name, action=_Collect, **takes)
    parser.add_argument("args", nargs="*")
    given = parser.parse_args(words, argparse.Namespace(settings=[]))
    settings: list[Setting] = given.settings
    return settings + [_application(word) for word in given.args]


def _application(word: str) -> Setting:
    return Setting(APP, APP, word, word)


def read_uwsgi(words: list[str], rows: Mapping[str, Row]) -> list[Setting]:
    """uWSGI has options in long and short form. The value of an unknown option is the next word,
    unless that is an option too."""
    settings: list[Setting] = []
    flags = {flag: name for name, row in rows.items() for flag in row.flags}
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("-"):
            settings.append(_application(word))
            continue
        label, equals, text = word.partition("=")
        if not word.startswith("--"):
            label, equals, text = word[:2], word[2:], word[2:]
        name = flags.get(label, label.lstrip("-"))
        value: object = text if equals else True
        switch = name in rows and rows[name].switch is not None
        if switch and text and not word.startswith("--"):  # several in one word
            waiting.insert(0, f"-{text}")
            value = True
        elif not equals and not switch and waiting and not waiting[0].startswith("-"):
            value = waiting.pop(0)
        shown = label if value is True else f"{label} {shlex.quote(str(value))}"
        settings.append(Setting(name, label, shown, value))
    return settings
