"""Variables of the application's environment, as a type of option values.

Does not know env files (env_file.py) or which source wins (environment.py). Values may be
passwords, so messages show names only.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from iotax._config.option_types import ListOf, PartError
from iotax._config.toml_values import to_toml

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_NOT_A_NAME: Final = "is not made of letters, digits and underscores"


class MemberErrors(ValueError):
    """Values of keys of a table are invalid: each key with a clause that says why."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__("; ".join(f'"{key}": {text}' for key, text in errors.items()))
        self.errors = errors


class Variable(NamedTuple):
    """A variable of the application's environment. `place`: where it is set. `yields`: a variable
    that the server has inherited beats it."""

    name: str
    value: str
    place: str = ""
    yields: bool = False


def is_variable_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


class Variables(ListOf):
    """Variables of the application's environment; a table in a settings file."""

    metavar = "NAME=VALUE"
    expected = "NAME=VALUE"
    toml_types, toml_form = (dict,), "a table of strings"
    expected_in_toml = 'NAME = "VALUE"'
    is_secret = True

    def parse(self, text: str) -> tuple[object, ...]:
        parts = [part.strip() for part in text.split(",")]
        for number, part in enumerate(parts, 1):
            if "=" not in part:  # perhaps a piece of a value that contains a comma
                raise PartError(f"part {number}", 'has no "="')
        return self.accept(parts)

    def one(self, text: str) -> Variable:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError('has no "="')
        if not is_variable_name(name):
            raise PartError(name, _NOT_A_NAME)
        return Variable(name, value)

    def from_toml(self, value: object) -> tuple[Variable, ...]:
        if not isinstance(value, Mapping):
            raise TypeError(f"is not {self.toml_form}")
        errors = {}
        for name, text in value.items():
            if not is_variable_name(name):
                errors[name] = f"the name {_NOT_A_NAME}"
            elif not isinstance(text, str):
                errors[name] = "the value is not a string"
            elif "\0" in text:
                errors[name] = "the value contains a zero byte"
        if errors:
            raise MemberErrors(errors)
        return tuple(Variable(name, text, yields=True) for name, text in value.items())

    def to_toml(self, value: object) -> str:
        assert isinstance(value, tuple)
        return to_toml({one.name: one.value for one in value})

    def to_json(self, value: object) -> object:
        assert isinstance(value, tuple)
        return [one.name for one in value]

    def show(self, value: object) -> str:
        assert isinstance(value, tuple)
        return ",".join(one.name for one in value) or "none"
