"""A settings file under construction: keys with values that this version accepts, and the settings
of the source that it leaves out.

Asks the table of options whether a key exists and takes a value, so a later version with more
options carries more over. Does not know any other server.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from iotax._app.target import TargetError, parse_target
from iotax._config.option import Option
from iotax._config.option_types import Integer, Size
from iotax._config.options import OPTIONS
from iotax._config.toml_values import string
from iotax._migrate.setting import Setting

KEYS: Final[Mapping[str, Option]] = {row.key: row for row in OPTIONS.values() if row.key}
# Keys that are tables of the settings file.
TABLES: Final = ("env", "static", "mounts")
# No sensible value is longer, and a settings file may have 1 MiB.
_VALUE_CHARACTERS_MAX: Final = 10_000


class NotCarriedOver(Exception):
    """The text says why."""


def unchanged(value: object) -> object:
    return value


@dataclass(frozen=True)
class Row:
    """What becomes of one setting of another server.

    `key`: the key that takes its value, empty if there is none. `note`: why there is none, or what
    differs. `convert`: makes a value for `key`, or raises NotCarriedOver with a better reason for
    this value. `flags`: on the server's command line. `switch`: the flag takes no value and means
    this.
    """

    key: str = ""
    note: str = ""
    convert: Callable[[object], object] = unchanged
    flags: tuple[str, ...] = ()
    switch: bool | None = None


@dataclass
class Entry:
    """`value`: as in Config, or one string of a table. `text`: as TOML."""

    value: object
    text: str
    origins: list[Setting] = field(default_factory=list)
    note: str = ""


class Draft:
    """`undecided`: keys whose value only the user knows, because the source computes it."""

    def __init__(self) -> None:
        self.keys: dict[str, Entry] = {}
        self.defaults: dict[str, Entry] = {}
        self.tables: dict[str, dict[str, Entry]] = {}
        self.left_out: list[tuple[Setting, str]] = []
        self.undecided: set[str] = set()

    def apply(self, setting: Setting, row: Row) -> None:
        """Do what `row` says."""
        if not row.key:
            self.leave_out(setting, _why_none(setting, row))
        elif setting.superseded:
            self.leave_out(setting, setting.obstacle)
        elif setting.obstacle:
            self.undecided.add(row.key)
            hint = f"set {row.key}" if row.key in KEYS else _missing(row.key)
            self.leave_out(setting, f"{setting.obstacle}; {hint}")
        else:
            try:
                self.carry(setting, row.key, row.convert(setting.value))
            except NotCarriedOver as why:
                self.leave_out(setting, str(why))

    def carry(self, setting: Setting, key: str, value: object) -> None:
        """Give `key` a value. Values of a list are collected; any other value replaces the one of
        an earlier setting. Leaves the setting out if `key` does not take the value."""
        try:
            new = accepted(key, value)
        except NotCarriedOver as why:
            self.leave_out(setting, str(why))
            return
        former = self.keys.pop(key, None)
        if former and isinstance(former.value, tuple) and isinstance(new.value, tuple):
            parts = [part for part in new.value if part not in former.value]
            new = accepted(key, [str(part) for part in (*former.value, *parts)])
            new.origins = former.origins
        else:
            self._supersede(former, setting)
        new.origins.append(setting)
        self.keys[key] = new

    def carry_members(self, setting: Setting, table: str, new: Mapping[str, str]) -> None:
        """As carry(), for keys of a table. The setting is the origin of the first."""
        try:
            accepted(table, dict(new))
        except NotCarriedOver as why:
            self.leave_out(setting, str(why))
            return
        members = self.tables.setdefault(table, {})
        origins = [setting]
        for name, value in new.items():
            self._supersede(members.pop(name, None), setting)
            members[name] = Entry(value, string(value), origins)
            origins = []

    def _supersede(self, former: Entry | None, by: Setting) -> None:
        for origin in former.origins if former else ():
            self.leave_out(origin, f"{by.place} sets it again")

    def leave_out(self, setting: Setting, reason: str) -> None:
        self.left_out.append((setting, reason))

    def withdraw(self, key: str, reason: str) -> None:
        """Leave out all settings that gave `key` its value."""
        for origin in self.keys.pop(key).origins:
            self.leave_out(origin, reason)

    def default(self, key: str, value: object, note: str) -> None:
        """Write out a default of the other server, unless the source decides `key` itself."""
        if key in KEYS and key not in self.keys and key not in self.undecided:
            self.defaults[key] = accepted(key, value)
            self.defaults[key].note = note

    def is_on(self, key: str) -> bool:
        return key in self.keys and bool(self.keys[key].value)

    def values(self, key: str) -> list[str]:
        """The values of a list."""
        found = self.keys[key].value if key in self.keys else ()
        return [str(part) for part in found] if isinstance(found, tuple) else []

    def bytes_of(self, key: str) -> int:
        """The value of a size, or its default."""
        found = self.keys[key].value if key in self.keys else KEYS[key].default
        assert isinstance(found, int)
        return found


def accepted(key: str, value: object) -> Entry:
    """`value` as an entry that a settings file of this version may contain. Errors:
    NotCarriedOver."""
    row = KEYS.get(key)
    if row is None:
        raise NotCarriedOver(_missing(key))
    kind = row.kind
    try:
        if isinstance(value, dict):
            return Entry(kind.from_toml(value), "")
        if key == "app":
            parse_target(str(value))
        checked = kind.accept(value)
        text = kind.to_toml(checked)
        text.encode()
        kind.from_toml(_read(text))
    except TargetError as error:
        raise NotCarriedOver(f"{key}: {error.problem}; {error.fix}") from None
    except UnicodeEncodeError:
        raise NotCarriedOver(f"{key}: the value is not valid Unicode") from None
    except TypeError as error:
        raise NotCarriedOver(f"{key}: expected {kind.expected_in_toml}, {error}") from None
    except ValueError as error:
        expected = f"expected {kind.expected_in_toml}"
        raise NotCarriedOver(f"{key}: the value {error}; {expected}") from None
    return Entry(checked, text)


def _read(text: str) -> Any:
    if not text:
        raise ValueError("is empty")
    if len(text) > _VALUE_CHARACTERS_MAX:
        raise ValueError("is too long")
    return tomllib.loads(f"value = {text}")["value"]


def maximum_of(key: str) -> int:
    kind = KEYS[key].kind
    assert isinstance(kind, Integer | Size)
    return kind.maximum


def _why_none(setting: Setting, row: Row) -> str:
    try:
        row.convert(setting.value)
    except NotCarriedOver as why:
        return str(why)
    return row.note


def _missing(key: str) -> str:
    return f"this version of iotax has no {key}"
