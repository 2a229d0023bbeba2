"""The settings file as it grows: keys with values that this version accepts, and what is left out.

Asks the table of options whether a key exists and takes a value, so a later version with more
options carries more over. Does not know any other server.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from iotax._app.target import TargetError, parse_target
from iotax._config.option_types import Flag, Integer, Kind, ListOf, Mode, Size, Time
from iotax._config.options import OPTIONS
from iotax._migrate.setting import Setting

Scalar: TypeAlias = str | int | float | bool
Value: TypeAlias = Scalar | list[str]
# Keys that are tables, and the options that they stand for.
TABLES: Final[Mapping[str, str]] = {"env": "env", "static": "static", "mounts": "mount"}


class NotCarriedOver(Exception):
    """The text says why."""


def unchanged(value: object) -> object:
    return value


@dataclass(frozen=True)
class Row:
    """What becomes of one setting of another server.

    `key`: the key that takes its value, empty if there is none. `note`: why there is none, or what
    differs. `convert`: makes a value for `key`, or raises NotCarriedOver with a better reason for
    this value. `flags`: on the server's
    command line. `switch`: the flag takes no value and means this. `repeats`: values of several
    flags are collected.
    """

    key: str = ""
    note: str = ""
    convert: Callable[[object], object] = unchanged
    flags: tuple[str, ...] = ()
    switch: bool | None = None
    repeats: bool = False


@dataclass
class Entry:
    value: Value
    origins: list[Setting] = field(default_factory=list)
    note: str = ""


def has_key(key: str) -> bool:
    """Whether a settings file of this version may contain `key`."""
    return key == "app" or TABLES.get(key, key).replace("-", "_") in OPTIONS


def _why_none(setting: Setting, row: Row) -> str:
    try:
        row.convert(setting.value)
    except NotCarriedOver as why:
        return str(why)
    return row.note


def _missing(key: str) -> str:
    return f"this version of iotax has no {key}"


def maximum_of(key: str) -> int:
    kind = OPTIONS[key.replace("-", "_")].kind
    assert isinstance(kind, Integer | Size)
    return kind.maximum


class Draft:
    """`undecided`: keys whose value only the user knows, because the source computes it."""

    def __init__(self) -> None:
        self.keys: dict[str, Entry] = {}
        self.defaults: dict[str, Entry] = {}
        self.tables: dict[str, dict[str, Entry]] = {}
        self.left_out: list[tuple[Setting, str]] = []
        self.undecided: set[str] = set()

    def carry(self, setting: Setting, key: str, value: object, note: str = "") -> None:
        """Give `key` a value. Values of a list are collected; any other value replaces the one of
        an earlier setting. Leaves the setting out if `key` does not take the value."""
        try:
            new = accepted(key, value)
        except NotCarriedOver as why:
            self.leave_out(setting, str(why))
            return
        former = self.keys.pop(key, None)
        if former and isinstance(former.value, list) and isinstance(new, list):
            former.value += [part for part in new if part not in former.value]
            former.origins.append(setting)
            self.keys[key] = former
            return
        for origin in former.origins if former else ():
            self.leave_out(origin, f"{setting.place} sets it again")
        self.keys[key] = Entry(new, [setting], note)

    def carry_members(self, setting: Setting, table: str, new: Mapping[str, str]) -> None:
        """As carry(), for keys of a table. The setting is the origin of the first."""
        try:
            if not has_key(table):
                raise NotCarriedOver(_missing(table))
            for name, value in new.items():
                _refuse_surrogates(name + value)
        except NotCarriedOver as why:
            self.leave_out(setting, str(why))
            return
        members = self.tables.setdefault(table, {})
        origins = [setting]
        for name, value in new.items():
            for origin in members.pop(name).origins if name in members else ():
                self.leave_out(origin, f"{setting.place} sets it again")
            members[name] = Entry(value, origins)
            origins = []

    def leave_out(self, setting: Setting, reason: str) -> None:
        self.left_out.append((setting, reason))

    def withdraw(self, key: str, reason: str) -> None:
        """Leave out all settings that gave `key` its value."""
        for origin in self.keys.pop(key).origins:
            self.leave_out(origin, reason)

    def default(self, key: str, value: object, note: str) -> None:
        """Write out a default of the other server, unless the source decides `key` itself."""
        if has_key(key) and key not in self.keys and key not in self.undecided:
            self.defaults[key] = Entry(accepted(key, value), note=note)

    def apply(self, setting: Setting, row: Row) -> None:
        """Do what `row` says."""
        if not row.key:
            self.leave_out(setting, _why_none(setting, row))
        elif setting.superseded:
            self.leave_out(setting, setting.obstacle)
        elif setting.obstacle:
            self.undecided.add(row.key)
            hint = f"set {row.key}" if has_key(row.key) else _missing(row.key)
            self.leave_out(setting, f"{setting.obstacle}; {hint}")
        else:
            try:
                self.carry(setting, row.key, row.convert(setting.value))
            except NotCarriedOver as why:
                self.leave_out(setting, str(why))

    def values(self, key: str) -> list[str]:
        """The values of a list."""
        found = self.keys[key].value if key in self.keys else []
        return found if isinstance(found, list) else []


def accepted(key: str, value: object) -> Value:
    """`value` as the settings file spells it. Errors: NotCarriedOver."""
    if key == "app":
        return _accepted_app(value)
    row = OPTIONS.get(key.replace("-", "_"))
    if row is None:
        raise NotCarriedOver(_missing(key))
    try:
        found = _in_toml(row.kind, row.kind.accept(value))
    except TypeError as error:
        raise NotCarriedOver(f"{key}: expected {row.kind.expected}, {error}") from None
    except ValueError as error:
        raise NotCarriedOver(f"{key}: the value {error}; expected {row.kind.expected}") from None
    for text in found if isinstance(found, list) else [found]:
        if isinstance(text, str):
            _refuse_surrogates(text)
    return found


def _accepted_app(value: object) -> str:
    if not isinstance(value, str):
        raise NotCarriedOver("app: not a string; expected an application, e.g. main:app")
    try:
        parse_target(value)
    except TargetError as error:
        raise NotCarriedOver(f"app: {error.problem}; {error.fix}") from None
    return value


def _in_toml(kind: Kind, value: object) -> Value:
    if isinstance(kind, ListOf):
        assert isinstance(value, Iterable)
        return [str(part) for part in value]
    if isinstance(kind, Mode):
        if value is None:
            raise TypeError("is not set")
        return f"{value:o}"
    if isinstance(kind, Size):
        shown = kind.show(value)
        return int(shown) if shown.isdecimal() else shown
    if isinstance(kind, Time):
        assert isinstance(value, float)
        return int(value) if value.is_integer() else value
    if isinstance(kind, Flag | Integer):
        assert isinstance(value, int)
        return value
    return str(value)


def _refuse_surrogates(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NotCarriedOver("the value is not valid Unicode") from None
