"""The settings file: which one is read, its values, and the text of every error in it.

A start without a file does not import this module. Does not know which source wins (sources.py).
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from iotax._config import toml_values
from iotax._config.errors import ConfigError, ConfigErrors
from iotax._config.foreign_options import FOREIGN, spelled
from iotax._config.given import Given, Source
from iotax._config.option import PROJECT_FILE, SETTINGS_FILE, Option
from iotax._config.option_types import Flag, PartError
from iotax._config.options import OPTIONS
from iotax._config.similar import similar
from iotax._config.toml_values import shown, string
from iotax._config.variables import MemberErrors, Variables

_TABLE: Final = ("tool", "iotax")
# What `iotax migrate` translates.
_OF_OTHER_SERVERS: Final = (".py", ".ini")
# Belongs to `iotax check`.
CHECK: Final = "check"
BYTES_MAX: Final = 1 << 20
_KEYS: Final = {row.key: row for row in OPTIONS.values() if row.key}
_POSITION: Final = re.compile(r"(.*) \(at line (\d+), column (\d+)\)")


@dataclass(frozen=True)
class SettingsFile:
    """`path`: opens it from any directory; `chosen_by`: "--config site.toml", or "" if it was found
    in the current directory."""

    name: str
    path: str
    chosen_by: str = ""

    @property
    def is_project(self) -> bool:
        """Whether the settings are a table of a pyproject.toml."""
        return os.path.basename(self.name) == PROJECT_FILE

    def __str__(self) -> str:
        return f"[tool.iotax] of {self.name}" if self.is_project else self.name

    def read(self) -> "Document":
        """Errors: ConfigError."""
        text = self._text()
        try:
            data: dict[str, Any] = tomllib.loads(text)
        except ValueError as error:
            at = _POSITION.fullmatch(str(error))
            where, what = (f"{self.name}:{at[2]}:{at[3]}", at[1]) if at else (self.name, error)
            raise ConfigError(f"{where}: not TOML: {what}") from None
        except RecursionError:
            raise ConfigError(f"{self.name}: not TOML: nested too deeply") from None
        return Document(self, text, data)

    def _text(self) -> str:
        try:
            with open(self.path, "rb") as opened:
                data = opened.read(BYTES_MAX + 1)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(f"{self.chosen_by or self.name} cannot be read: {why}") from None
        if len(data) > BYTES_MAX:
            large = f"is larger than {BYTES_MAX >> 20} MiB, so it is not a settings file"
            raise ConfigError(f"{self.chosen_by or self.name} {large}")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise ConfigError(
                f"{self.name}:{line}: not UTF-8: byte 0x{data[error.start]:02x}"
            ) from None


@dataclass(frozen=True)
class Document:
    """A settings file that was read."""

    file: SettingsFile
    text: str
    data: Mapping[str, Any]

    def settings(self) -> Mapping[str, Any]:
        """The table of the settings. Errors: ConfigError."""
        found: Any = self.data
        for name in _TABLE if self.file.is_project else ():
            found = found.get(name, {}) if isinstance(found, Mapping) else found
        if not isinstance(found, Mapping):
            raise ConfigError(
                f"{self.file.name}: tool.iotax: {shown(found)} is not a table; expected keys below"
                " [tool.iotax], e.g. threads = 8"
            )
        return found

    def has_settings(self) -> bool:
        """Whether there are keys other than the table of `iotax check`."""
        return bool(self.settings().keys() - {CHECK})

    def values(self) -> dict[str, Given]:
        """By the names of the options. Errors: ConfigErrors with all of them."""
        found: dict[str, Given] = {}
        errors: list[str] = []
        for key, value in self.settings().items():
            try:
                if (row := _KEYS.get(key)) is not None:
                    found[row.name] = Given(self._value(row, value), Source.FILE, self.place(key))
                elif key != CHECK:
                    raise ConfigError(f"{self.place(key)}: {_unknown(key, value)}")
            except ConfigError as error:
                errors += error.lines
        if found.keys() & {"host", "port"} and "bind" in found and found["bind"].value:
            other = found.get("host") or found["port"]
            errors.append(
                f"{other.place}: bind and {'host' if 'host' in found else 'port'} cannot be"
                f" combined; bind contains host and port, e.g. {_example(OPTIONS['bind'])}"
            )
        if errors:
            raise ConfigErrors(self.file.name, errors)
        return found

    def _value(self, row: Option, value: Any) -> Any:
        expected = f"expected {row.kind.expected_in_toml}, e.g. {_example(row)}"
        try:
            read: Any = row.kind.from_toml(value)
        except MemberErrors as error:
            lines = [
                f"{self.place(name)}: {row.key}.{toml_values.key(name)}: {why}; {expected}"
                for name, why in error.errors.items()
            ]
            raise ConfigErrors(self.file.name, lines) from None
        except (TypeError, ValueError) as error:
            wrong = shown(error.part if isinstance(error, PartError) else value)
            wrong = "the value" if row.kind.is_secret else wrong
            where = f"{self.place(row.key)}: {row.key}"
            raise ConfigError(f"{where}: {wrong} {error}; {expected}") from None
        if isinstance(row.kind, Variables):
            return tuple(one._replace(place=self.place(one.name)) for one in read)
        if row.starts_at_file and isinstance(read, str):
            return os.path.join(os.path.dirname(self.file.path), read)
        return read

    def place(self, key: str) -> str:
        """The file and, if `key` occurs once in it, the line."""
        pattern = rf"(?<![\w-]){re.escape(key)}(?![\w-])[\"']?[ \t]*[=\]]"
        found = [one.start() for one in re.finditer(pattern, self.text)]
        if len(found) == 1:
            line = self.text.count("\n", 0, found[0]) + 1
            return f"{self.file.name}:{line}"
        return f"{self.file.name} [tool.iotax]" if self.file.is_project else self.file.name


def _example(row: Option) -> str:
    return f"{row.key} = {row.kind.to_toml(row.kind.parse(row.example))}"


def _unknown(key: str, value: object) -> str:
    dashed = key.replace("_", "-")
    if dashed != key and dashed in _KEYS:
        return f"{key}: keys are written with dashes: {dashed}"
    row = OPTIONS.get(dashed.replace("-", "_"))
    if row is not None:
        return f"unknown key {string(key)}: {row.flag} belongs on the command line"
    positive = _KEYS.get(dashed.removeprefix("no-"))
    if positive is not None and isinstance(positive.kind, Flag):
        return f"unknown key {string(key)}: write {positive.key} = false"
    if hint := FOREIGN.get(f"--{dashed}"):
        use = spelled(hint, lambda row: row.key or row.flag)
        return f"unknown key {string(key)}: it is an option of other servers; {use}"
    close = similar(dashed, [*_KEYS, CHECK])
    nearest = f": did you mean {close[0]}?" if close else ""
    what = "table" if isinstance(value, Mapping) else "key"
    return f"unknown {what} {string(key)}{nearest}"


def find(
    directory: str, chosen: str = "", chosen_by: str = ""
) -> tuple[Document | None, list[str]]:
    """The file `chosen`, else the one in `directory`, and a warning about another one there that is
    not read. Errors: ConfigError."""
    if chosen:
        if chosen.endswith(_OF_OTHER_SERVERS):
            raise ConfigError(
                f"{chosen_by} is a configuration of another server; translate it:"
                f" iotax migrate {chosen} >{SETTINGS_FILE}"
            )
        document = SettingsFile(chosen, os.path.join(directory, chosen), chosen_by).read()
        if document.file.is_project and not document.has_settings():
            raise ConfigError(
                f"{chosen_by}: it has no table [tool.iotax]; expected settings there, e.g."
                " threads = 8"
            )
        return document, []
    own = SettingsFile(SETTINGS_FILE, os.path.join(directory, SETTINGS_FILE))
    project = SettingsFile(PROJECT_FILE, os.path.join(directory, PROJECT_FILE))
    if os.path.lexists(own.path):
        return own.read(), [_IGNORED] if _has_settings(project) else []
    if os.path.lexists(project.path):
        document = project.read()
        return (document, []) if document.has_settings() else (None, [])
    return None, []


_IGNORED: Final = (
    f"[tool.iotax] of {PROJECT_FILE} is not read: {SETTINGS_FILE} is; move its settings there"
)


def _has_settings(project: SettingsFile) -> bool:
    try:
        return os.path.lexists(project.path) and project.read().has_settings()
    except ConfigError:
        return False
