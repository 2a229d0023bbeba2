"""Values of options, each with the place that it comes from."""

from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

from iotax._config.errors import ConfigError, ConfigTypeError
from iotax._config.option import Option
from iotax._config.option_types import PartError


class Source(Enum):
    """From the weakest to the strongest."""

    DEFAULT = "default"
    FILE = "file"
    VARIABLE = "variable"
    COMMAND_LINE = "command line"


class Given(NamedTuple):
    """`place`: "" for a default, else "iotax.toml:3", "IOTAX_THREADS" or "--threads"."""

    value: Any
    source: Source
    place: str

    def spelled(self, row: Option) -> str:
        """The option as the user has written it, for messages."""
        return f"{self.place}: {row.key}" if self.source is Source.FILE else self.place


def read_value(
    row: Option, spelling: str, value: Any, example: str, read: Callable[[Any], Any]
) -> Any:
    """Read a value that is text, or comes from Python. Errors: ConfigError, ConfigTypeError."""
    try:
        return read(value)
    except TypeError as error:
        raise ConfigTypeError(
            f"{spelling}: expected {row.kind.expected}, {error}; e.g. {example}"
        ) from None
    except ValueError as error:
        wrong = _quoted(error.part if isinstance(error, PartError) else value)
        raise ConfigError(
            f"{spelling}: {wrong} {error}; expected {row.kind.expected}, e.g. {example}"
        ) from None


def _quoted(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return f'"{text}"' if text.isprintable() else repr(text)
