"""An env file: lines NAME=VALUE, and the text of every error in it.

A start without one does not import this module. Values never appear in messages.
"""

import re
from typing import Final

from iotax._config.errors import ConfigError, ConfigErrors, OptionError
from iotax._config.variables import Variable, is_variable_name

BYTES_MAX: Final = 1 << 20
_BLANKS: Final = " \t\r"
_EXPORT: Final = re.compile(r"export[ \t]+")
_ESCAPE: Final = re.compile(r"\\(.?)", re.DOTALL)
_EXPECTED: Final = "expected NAME=VALUE, e.g. DEBUG=1"
_ESCAPES: Final = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}


def read_env_file(name: str, path: str) -> dict[str, Variable]:
    """The variables of a file, by name; the last of a name counts. Errors: OptionError, or
    ConfigErrors with all bad lines."""
    found: dict[str, Variable] = {}
    errors: list[str] = []
    for number, line in enumerate(_text(name, path).split("\n"), 1):
        place = f"{name}:{number}"
        try:
            if (pair := _pair(line.strip(_BLANKS))) is not None:
                found[pair[0]] = Variable(*pair, place=place, yields=True)
        except ValueError as error:
            errors.append(f"{place}: {error}")
    if errors:
        raise ConfigErrors(name, errors)
    return found


def _text(name: str, path: str) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise _unreadable(f'"{name}" cannot be read: {why}') from None
    if len(data) > BYTES_MAX:
        raise _unreadable(f'"{name}" is larger than {BYTES_MAX >> 20} MiB')
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{name}:{line}: not UTF-8") from None


def _unreadable(problem: str) -> OptionError:
    return OptionError("env_file", problem, "prod.env")


def _pair(line: str) -> tuple[str, str] | None:
    """Name and value; None: a blank line or a comment. Errors: ValueError."""
    if not line or line.startswith("#"):
        return None
    if exported := _EXPORT.match(line):
        line = line[exported.end() :]
    name, equals, text = line.partition("=")
    if not equals:
        raise ValueError(f'the line has no "="; {_EXPECTED}')
    if not is_variable_name(name):  # perhaps a piece of a value, so it is not shown
        raise ValueError(f'the text before "=" is not a name; {_EXPECTED}')
    if "\0" in text:
        raise ValueError("the value contains a zero byte")
    return name, _value(text.strip(_BLANKS))


def _value(text: str) -> str:
    quote = text[:1]
    if quote not in ("'", '"'):
        return text
    end = _closing_quote(text, quote)
    if end < 0:
        raise ValueError(f"the closing {quote} is missing; a value ends on its line")
    if end != len(text) - 1:
        raise ValueError(f"there is text after the closing {quote}; leave it out")
    inner = text[1:end]
    return inner if quote == "'" else _ESCAPE.sub(_unescape, inner)


def _closing_quote(text: str, quote: str) -> int:
    position = 1
    while position < len(text):
        if text[position] == quote:
            return position
        position += 2 if quote == '"' and text[position] == "\\" else 1
    return -1


def _unescape(found: re.Match[str]) -> str:
    if found[1] not in _ESCAPES:
        raise ValueError(r'a backslash between " is not followed by n, t, " or another backslash')
    return _ESCAPES[found[1]]
