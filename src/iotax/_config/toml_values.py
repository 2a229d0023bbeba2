"""Writes values as TOML 1.0."""

from collections.abc import Mapping, Sequence
from typing import Final

_ESCAPES: Final = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_SHOWN_MAX: Final = 60


def to_toml(value: object) -> str:
    """Write one value of a type that TOML has, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return string(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        pairs = (f"{key(name)} = {to_toml(one)}" for name, one in value.items())
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    if isinstance(value, Sequence):
        return f"[{', '.join(map(to_toml, value))}]"
    return str(value)  # a date or a time


def shown(value: object) -> str:
    """The value as TOML for a message, shortened."""
    text = to_toml(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[: _SHOWN_MAX - 1]}…"


def key(name: str) -> str:
    """A bare key if possible, else a quoted one."""
    bare = name.isascii() and name and all(one.isalnum() or one in "_-" for one in name)
    return name if bare else string(name)


def string(text: str) -> str:
    """A basic string. A lone surrogate, which no TOML file can contain, stays as it is."""
    return f'"{"".join(map(_character, text))}"'


def _character(one: str) -> str:
    if one in '"\\':
        return "\\" + one
    if one in _ESCAPES:
        return _ESCAPES[one]
    return f"\\u{ord(one):04x}" if ord(one) < 32 or ord(one) == 127 else one
