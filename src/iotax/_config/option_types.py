"""The types of option values: how each is parsed from text, accepted from Python and from a
settings file, checked and written.

Does not know single options (options.py) or where a value came from. The text of a ValueError
continues `"VALUE" `, that of a TypeError is the end of a sentence; the caller adds the option, what
is expected and an example.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable

from iotax import _iotax
from iotax._config.toml_values import to_toml

KIB, MIB, GIB = 1024, 1024**2, 1024**3
SIZE_MAX = 2**63 - 1
SECONDS_MAX = 365 * 86400

_SIZE = re.compile(r"([0-9]+)([KMG]?)", re.ASCII | re.IGNORECASE)
_SIZE_UNITS = {"": 1, "K": KIB, "M": MIB, "G": GIB}
_TIME = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ms|s|m|h|)", re.ASCII)
_TIME_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def _text(value: object) -> str:
    """`value`, if it is a string. Errors: TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"not {type(value).__name__}")
    return value


def filled_text(value: object) -> str:
    """The same, if it is not empty. Errors: also ValueError."""
    text = _text(value)
    if not text:
        raise ValueError("is empty")
    return text


class Kind(ABC):
    """The values of one option. `expected` completes "expected …"; `metavar`: the value in the
    help.

    `toml_types`: of its values in a settings file; `toml_form` completes "is not …" there.
    `is_secret`: messages do not contain its values. `hint`: the types of its values in Python.
    """

    expected = "a string"
    metavar = "TEXT"
    empty_is_a_value = False
    toml_types: tuple[type, ...] = (str,)
    toml_form = "a string"
    is_secret = False
    hint = "str"

    def parse(self, text: str) -> object:
        """Parse one value from a command line or a variable."""
        return self.accept(text)

    @abstractmethod
    def accept(self, value: object) -> object:
        """Check one value from Python. A string is parsed as on the command line."""

    def show(self, value: object) -> str:
        return str(value)

    @property
    def expected_in_toml(self) -> str:
        return self.expected

    def from_toml(self, value: object) -> object:
        """Check one value of a settings file. The text of a TypeError continues `VALUE ` too."""
        if type(value) not in self.toml_types:
            raise TypeError(f"is not {self.toml_form}")
        return self.accept(value)

    def to_toml(self, value: object) -> str:
        """Write a value for a settings file. "": it stands for an option that is not given."""
        return "" if value in (None, "") and not self.empty_is_a_value else to_toml(value)

    def to_json(self, value: object) -> object:
        """The value for JSON: seconds, bytes, numbers, strings, lists of strings; None: not
        given."""
        return None if value in (None, "") and not self.empty_is_a_value else value


class String(Kind):
    """A string without control characters. `field`: for a header, so visible ASCII and spaces only
    (RFC 9110 section 5.5)."""

    def __init__(
        self, expected: str, metavar: str, *, empty: bool = False, field: bool = False
    ) -> None:
        self.expected, self.metavar, self.empty_is_a_value, self._field = (
            expected,
            metavar,
            empty,
            field,
        )

    def accept(self, value: object) -> str:
        value = _text(value)
        if not value and not self.empty_is_a_value:
            raise ValueError("is empty")
        if not value.isprintable() and any(
            ord(character) < 32 or ord(character) == 127 for character in value
        ):
            raise ValueError("contains a control character")
        if self._field and (not value.isascii() or value != value.strip()):
            raise ValueError("is not a valid header value")
        return value


class ModuleName(String):
    def __init__(self) -> None:
        super().__init__("the name of a module", "MODULE")

    def accept(self, value: object) -> str:
        name = super().accept(value)
        if not all(part.isidentifier() for part in name.split(".")):
            raise ValueError("is not the name of a module")
        return name


class Integer(Kind):
    hint = "int"
    toml_types, toml_form = (int,), "an integer"

    def __init__(self, minimum: int, maximum: int, metavar: str = "N") -> None:
        self._minimum, self.maximum, self.metavar = minimum, maximum, metavar
        self.expected = f"an integer from {minimum} to {maximum}"

    def accept(self, value: object) -> int:
        if isinstance(value, str):
            if not re.fullmatch(r"[+-]?[0-9]{1,30}", value.strip(), re.ASCII):
                raise ValueError("is not an integer")
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"not {type(value).__name__}")
        if not self._minimum <= value <= self.maximum:
            raise ValueError("is too small" if value < self._minimum else "is too large")
        return value


class Size(Kind):
    """Bytes: an integer, with K, M or G for powers of 1024."""

    metavar = "SIZE"
    hint = "int | str"
    toml_types, toml_form = (int, str), "an integer or a string"

    def __init__(self, minimum: int = 1, maximum: int = SIZE_MAX, *, unit: str = "bytes") -> None:
        self._minimum, self.maximum = minimum, maximum
        least = "" if minimum == 0 else f", at least {minimum}"
        most = "" if maximum == SIZE_MAX else f", at most {self.show(maximum)}"
        self.expected = (
            f"{unit} as an integer, with K, M or G for 1024, 1024² and 1024³{least}{most}"
        )

    def accept(self, value: object) -> int:
        if isinstance(value, str):
            match = _SIZE.fullmatch(value.strip())
            if match is None:
                raise ValueError("is not a size")
            value = int(match[1]) * _SIZE_UNITS[match[2].upper()]
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"not {type(value).__name__}")
        if not self._minimum <= value <= self.maximum:
            raise ValueError("is too small" if value < self._minimum else "is too large")
        return value

    def show(self, value: object) -> str:
        assert isinstance(value, int)
        for letter, unit in (("G", GIB), ("M", MIB), ("K", KIB)):
            if value and value % unit == 0:
                return f"{value // unit}{letter}"
        return str(value)

    def to_toml(self, value: object) -> str:
        text = self.show(value)
        return text if text.isdigit() else to_toml(text)


class Time(Kind):
    """Seconds as a float. Text is a number with ms, s, m or h after it, or without: seconds."""

    metavar = "TIME"
    hint = "float | str"
    toml_types, toml_form = (int, float, str), "a number or a string"
    expected = "a time from 0 to 365 days with the unit ms, s, m or h, or in seconds"

    def accept(self, value: object) -> float:
        if isinstance(value, str):
            match = _TIME.fullmatch(value.strip())
            if match is None:
                raise ValueError("is not a time")
            value = float(match[1]) * _TIME_UNITS[match[2]]
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise TypeError(f"not {type(value).__name__}")
        if not 0 <= value <= SECONDS_MAX:
            raise ValueError("is not a time" if value != value else "is out of range")
        return float(value)

    def show(self, value: object) -> str:
        assert isinstance(value, float)
        return f"{value:g} s" if value else "0"

    def to_toml(self, value: object) -> str:
        assert isinstance(value, float)
        return to_toml(int(value) if value.is_integer() else value)


class Flag(Kind):
    """On or off. On the command line the option's name alone means on."""

    hint = "bool"
    expected = "on or off (1, true, yes; 0, false, no)"
    metavar = ""
    toml_types = (bool,)
    toml_form = expected_in_toml = "true or false"

    def accept(self, value: object) -> bool:
        if isinstance(value, str):
            if value.strip().lower() not in _TRUE + _FALSE:
                raise ValueError("is neither on nor off")
            return value.strip().lower() in _TRUE
        if not isinstance(value, bool):
            raise TypeError(f"not {type(value).__name__}")
        return value

    def show(self, value: object) -> str:
        return "on" if value else "off"


class Choice(Kind):
    def __init__(self, *choices: str) -> None:
        self.choices = choices
        self.expected = f"{', '.join(choices[:-1])} or {choices[-1]}"
        self.metavar = "|".join(choices)

    def accept(self, value: object) -> str:
        value = _text(value)
        if value.strip().lower() not in self.choices:
            raise ValueError("is unknown")
        return value.strip().lower()


class LineFormat(Kind):
    """The format of access lines."""

    metavar = "FORMAT"
    expected = "default, combined, json, or a text with atoms such as %(h)s and %({Name}i)s"

    def accept(self, value: object) -> str:
        value = _text(value)
        fault = _iotax.access_format_fault(value)
        if fault is None:
            return value
        offset, text = fault
        if not offset:
            raise ValueError(f"is {text}" if text.startswith("neither") else f"begins with {text}")
        before = value.encode(errors="surrogateescape")[:offset].decode(errors="replace")
        raise ValueError(f"has {text}, after {len(before)} characters")


class FieldName(Kind):
    """The name of a response field that the server adds. Those of framing and connection are its
    own."""

    metavar = "NAME"
    expected = "the name of a header that the server does not set itself"
    _OWN = (
        *("connection", "content-length", "date", "keep-alive", "proxy-connection", "server"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    )

    def accept(self, value: object) -> str:
        value = _text(value)
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", value, re.ASCII):
            raise ValueError("is not the name of a header")
        if value.lower() in self._OWN:
            raise ValueError("is a header that the server sets itself")
        return value


class TargetPath(Kind):
    """A path as in a request target, with percent-encoded bytes (RFC 3986 section 3.3)."""

    metavar = "PATH"
    expected = "a path as in a request, without a query"

    def accept(self, value: object) -> str:
        value = _text(value)
        if not value.startswith("/"):
            raise ValueError("does not begin with /")
        for sign, part in (("?", "query"), ("#", "fragment")):
            if sign in value:
                raise ValueError(f"has a {part}")
        for octet in re.split(r"[!$&'()*+,;=:@/._~0-9A-Za-z-]|%[0-9A-Fa-f]{2}", value):
            if octet:
                raise ValueError(
                    f'has "{octet[0]}", which a path can have only as bytes in the form %XX'
                )
        return value


class Mode(Kind):
    """Permissions of files: octal text, or an int from Python (0o660)."""

    metavar = "MODE"
    hint = "int | str"

    def __init__(self, expected: str) -> None:
        self.expected = expected

    def from_toml(self, value: object) -> object:
        if type(value) is int:
            raise TypeError("is an integer, which TOML reads as decimal")
        return super().from_toml(value)

    def to_toml(self, value: object) -> str:
        return "" if value is None else to_toml(f"{value:03o}")

    def to_json(self, value: object) -> object:
        return None if value is None else f"{value:03o}"

    def accept(self, value: object) -> int | None:
        if value is None:
            return None
        if isinstance(value, str):
            if not re.fullmatch(r"(0o)?[0-7]{1,4}", value.strip(), re.ASCII):
                raise ValueError("is not octal")
            value = int(value.strip().removeprefix("0o"), 8)
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"not {type(value).__name__}")
        if not 0 <= value <= 0o777:
            raise ValueError("is out of range")
        return value


class PartError(ValueError):
    """One value of a list, `part`, is invalid."""

    def __init__(self, part: str, text: str) -> None:
        super().__init__(text)
        self.part = part


class ListOf(Kind):
    """A list of values. In a variable, and in one string of a settings file, they are separated by
    commas; on the command line too if `split`."""

    toml_types: tuple[type, ...] = (str, list)
    toml_form = "a string or an array of strings"
    hint = "str | Sequence[str]"

    def __init__(self, *, split: bool) -> None:
        self.split = split

    @abstractmethod
    def one(self, text: str) -> object:
        """Parse one of the values."""

    def accept(self, value: object) -> tuple[object, ...]:
        """From Python: one string, split at commas, or an iterable of strings."""
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",")] if self.split else [value]
        if not isinstance(value, Iterable) or isinstance(value, bytes):
            raise TypeError(f"not {type(value).__name__}")
        parts = list(value)
        for part in parts:
            if not isinstance(part, str):
                raise TypeError(f"not a list that contains {type(part).__name__}")
        return tuple(self._checked(part) for part in parts if part)

    def _checked(self, part: str) -> object:
        try:
            return self.one(part)
        except PartError:
            raise
        except ValueError as error:
            raise PartError(part, str(error)) from None

    def parse(self, text: str) -> tuple[object, ...]:
        return self.accept([part.strip() for part in text.split(",")])

    def from_toml(self, value: object) -> object:
        if isinstance(value, str):
            return self.parse(value)
        if isinstance(value, list) and not all(isinstance(part, str) for part in value):
            raise TypeError(f"is not {self.toml_form}")
        return super().from_toml(value)

    def to_toml(self, value: object) -> str:
        return to_toml(self.to_json(value))

    def to_json(self, value: object) -> object:
        assert isinstance(value, tuple)
        return [str(part) for part in value]

    def show(self, value: object) -> str:
        assert isinstance(value, tuple)
        return ",".join(str(part) for part in value) or "none"


class Directories(ListOf):
    metavar = "DIR[,DIR…]"
    expected = "directories, separated by commas"

    def one(self, text: str) -> str:
        if "\0" in text:
            raise ValueError("contains a zero byte")
        return text


class Patterns(ListOf):
    """Names or paths with wildcards, as in fnmatch."""

    metavar = "PATTERN[,PATTERN…]"
    expected = "names or paths of files, with * and ?, separated by commas"

    def __init__(self) -> None:
        super().__init__(split=True)

    def one(self, text: str) -> str:
        if "\0" in text:
            raise ValueError("contains a zero byte")
        return text.rstrip("/")


class Words(ListOf):
    """A subset of `words`."""

    def __init__(self, *words: str) -> None:
        super().__init__(split=True)
        self.words = words
        self.metavar = "WORD[,WORD…]"
        self.expected = f"{', '.join(words[:-1])} and {words[-1]}, separated by commas"

    def one(self, text: str) -> str:
        word = text.strip().lower()
        if word not in self.words:
            raise ValueError("is unknown")
        return word


class Files(ListOf):
    metavar = "FILE"
    expected = "names of files, separated by commas"

    def one(self, text: str) -> str:
        if "\0" in text:
            raise ValueError("contains a zero byte")
        return text
