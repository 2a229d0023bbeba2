"""Errors in a configuration, with messages for its author."""

from collections.abc import Sequence
from typing import Final

SHOWN_MAX: Final = 10


class ConfigError(ValueError):
    """An invalid option, variable, setting or argument. The message names it, its value, what is
    expected, and an example."""

    @property
    def lines(self) -> tuple[str, ...]:
        """One for each error."""
        return (str(self),)


class OptionError(ConfigError):
    """The value of `option` has the right form, but cannot be used. `problem`: why, with the value;
    `example`: another value."""

    def __init__(self, option: str, problem: str, example: str) -> None:
        self.option, self.problem, self.example = option, problem, example
        super().__init__(f'{option}: {problem}; e.g. {option}="{example}"')


class ConfigTypeError(ConfigError, TypeError):
    """An argument of the wrong type."""


class ConfigErrors(ConfigError):
    """Several errors; the first SHOWN_MAX are shown. `name`: what has them."""

    def __init__(self, name: str, errors: Sequence[str]) -> None:
        self._lines = tuple(errors[:SHOWN_MAX])
        if (more := len(errors) - SHOWN_MAX) > 0:
            self._lines += (f"{name}: {more} more error{'' if more == 1 else 's'}",)
        super().__init__("\n".join(self._lines))

    @property
    def lines(self) -> tuple[str, ...]:
        return self._lines
