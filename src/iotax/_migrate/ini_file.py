"""Reads the settings of a uWSGI .ini: its own dialect, which has repeated keys, no continuation
lines and no comments after a value.

https://uwsgi-docs.readthedocs.io/en/latest/Configuration.html
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from iotax._migrate.setting import Setting, SourceError

# %d is the directory of the file; %(name) an earlier key; $(NAME) a variable of the environment;
# @(file) the content of a file.
_PLACEHOLDER = re.compile(
    r"%\((?P<key>[^()]*)\)|\$\((?P<variable>\w+)\)|@\((?P<file>[^()]*)\)"
    r"|%(?P<letter>[A-Za-z0-9\[%])"
)
_SET_PLACEHOLDER = ("set-placeholder", "set-ph", "set")
_BLOCKS = frozenset({"for", "ifenv", "ifexists", "ifplugin", "ifdir"})
_BLOCK_ENDS = frozenset({"end", "endif", "end-if", "endfor", "end-for"})


class _Unknown(Exception):
    """The text says why the value of a placeholder is unknown."""


def _is_block(key: str) -> bool:
    """Whether uWSGI applies the settings after `key` under a condition, or several times."""
    return key.startswith(("if-", "for-")) or key in _BLOCKS


def read_ini(content: bytes, path: str, section: str = "uwsgi") -> list[Setting]:
    """The settings of one section, in order. Errors: SourceError."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = content.count(b"\n", 0, error.start) + 1
        raise SourceError(f"{path}:{where}: not valid UTF-8") from None
    reader = _Reader(path)
    sections: list[str] = []
    current = ""
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip(" \t\r")
        if not line or line[0] in ";#":
            continue
        if line[0] == "[":
            if not line.endswith("]"):
                raise SourceError(f'{path}:{number}: "]" is missing after the section')
            current = line[1:-1]
            if current not in sections:
                sections.append(current)
                if current != section:
                    reader.skip_section(current, number)
        elif current == section:
            key, equals, value = line.partition("=")
            reader.add(key.rstrip(" \t\r"), value.lstrip(" \t\r") if equals else None, number)
        elif not current:
            reader.skip_line(line, number)
    if section not in sections:
        others = f"; it has {', '.join(f'[{name}]' for name in sections)}" if sections else ""
        raise SourceError(
            f"{path} has no section [{section}]{others}; a section with another name is"
            f" FILE:SECTION, e.g. iotax migrate {path}:{sections[0] if sections else 'app'}"
        )
    return reader.settings


class _Reader:
    """`settings`: those read so far."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.settings: list[Setting] = []
        self._defined: dict[str, str] = {}
        self._block = ""

    def skip_section(self, name: str, line: int) -> None:
        why = f"another section; iotax migrate {self._path}:{name} translates it"
        self.settings.append(Setting(f"[{name}]", "", f"[{name}]", obstacle=why, line=line))

    def skip_line(self, text: str, line: int) -> None:
        why = "it is before the first section, where uWSGI ignores it"
        self.settings.append(Setting("", "", text, obstacle=why, line=line))

    def add(self, key: str, value: str | None, line: int) -> None:
        shown = key if value is None else f"{key} = {value}"
        obstacle = f"it depends on {self._block}" if self._block else ""
        if key in _BLOCK_ENDS:
            self._block, obstacle = "", f"the end of {self._block or 'nothing'}"
        elif _is_block(key):
            self._block, obstacle = f"{key} in line {line}", "conditions are not evaluated"
        elif key == "else":
            obstacle = "conditions are not evaluated"
        known = ""
        if not obstacle:
            try:
                known = self._filled_in(value or "")
            except _Unknown as why:
                obstacle = str(why)
        if not obstacle:
            name, _, text = known.partition("=")
            if key in _SET_PLACEHOLDER:
                self._defined[name.strip()] = text.strip()
            else:
                self._defined[key] = known
        final: object = None if obstacle else True if value is None else known
        self.settings.append(Setting(key, key, shown, final, obstacle, line=line))

    def _filled_in(self, value: str) -> str:
        return _PLACEHOLDER.sub(self._replacement, value)

    def _replacement(self, found: re.Match[str]) -> str:
        if found["variable"]:
            raise _Unknown(f"it reads the variable {found['variable']}")
        if found["file"] is not None:
            raise _Unknown(f"it reads the file {found['file']}")
        if found["letter"]:
            text = _magic(found["letter"], Path(os.path.abspath(self._path)))
            follows = found.string[found.end() : found.end() + 1]
            return text.removesuffix("/") if follows == "/" else text
        if found["key"] not in self._defined:
            raise _Unknown(f"the value of {found[0]} is unknown")
        return self._defined[found["key"]]


_MAGIC: Mapping[str, Callable[[Path], str]] = {
    "p": str,
    "s": lambda path: path.name,
    "d": lambda path: f"{path.parent}/",
    "e": lambda path: path.suffix.removeprefix("."),
    "n": lambda path: path.stem,
    "c": lambda path: path.parent.name,
    "%": lambda path: "%",
}


def _magic(letter: str, path: Path) -> str:
    """The value of %letter. Upper case: of the first file, which is this one."""
    make = _MAGIC.get(letter.lower())
    if make is None:
        raise _Unknown(f"only the running server knows %{letter}")
    return make(path)


def placeholders_in(settings: list[Setting]) -> Iterator[str]:
    """Keys that other settings refer to by %(key)."""
    for setting in settings:
        for found in _PLACEHOLDER.finditer(setting.shown):
            if found["key"]:
                yield from found["key"].split()
