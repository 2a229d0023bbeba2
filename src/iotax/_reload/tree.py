"""Snapshots of a project's files, and the changes between two snapshots.

Decides which names matter. Must not know how a change is noticed or handled.
"""

import contextlib
import fnmatch
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from iotax._config.options import RELOAD_EXCLUDE, RELOAD_INCLUDE

CREATED: Final = "created"
MODIFIED: Final = "modified"
DELETED: Final = "deleted"

# The file that marks a virtual environment, independent of the directory's name (PEP 405).
_ENVIRONMENT: Final = "pyvenv.cfg"
# Directories of installed packages, in an environment or not.
_PACKAGES: Final = ("site-packages", "dist-packages")

# Lock files, copies and checker files that editors create next to a file and that would match.
_EDITORS: Final = (".#*", "#*#", "flycheck_*", "flymake_*", "*_flymake.py")


class Change(NamedTuple):
    kind: str
    path: str


class Stamp(NamedTuple):
    """Attributes that change when a file is written, replaced or swapped with another."""

    mtime_ns: int
    size: int
    inode: int


@dataclass(frozen=True)
class Snapshot:
    """`directories`: the directories that were read, with their identity (device and inode); a
    directory that replaces another one at the same path has another identity."""

    files: Mapping[str, Stamp]
    directories: Mapping[str, tuple[int, int]]

    def changes_since(self, before: "Snapshot") -> list[Change]:
        """The deleted, created and modified files, sorted by path."""
        changes = [Change(DELETED, path) for path in before.files.keys() - self.files.keys()]
        for path, stamp in self.files.items():
            former = before.files.get(path)
            if former is None:
                changes.append(Change(CREATED, path))
            elif former != stamp:
                changes.append(Change(MODIFIED, path))
        return sorted(changes, key=lambda change: change.path)


class Names:
    """Decides which files are watched, by name or by path relative to the watched directory."""

    def __init__(self, include: Iterable[str] = (), exclude: Iterable[str] = ()) -> None:
        self._include = _Patterns((*RELOAD_INCLUDE, *include))
        self._exclude = _Patterns((*RELOAD_EXCLUDE, *_PACKAGES, *_EDITORS, *exclude))

    def has_file(self, name: str, path: str) -> bool:
        return self._include.match(name, path) and not self._exclude.match(name, path)

    def has_directory(self, name: str, path: str) -> bool:
        return not self._exclude.match(name, path)


class _Patterns:
    def __init__(self, patterns: Sequence[str]) -> None:
        names = [pattern for pattern in patterns if "/" not in pattern]
        paths = [pattern.removeprefix("./") for pattern in patterns if "/" in pattern]
        self._names, self._paths = _any_of(names), _any_of(paths)

    def match(self, name: str, path: str) -> bool:
        return bool(self._names.match(name) or self._paths.match(path))


def _any_of(patterns: Sequence[str]) -> re.Pattern[str]:
    """An empty list matches nothing."""
    return re.compile("|".join(map(fnmatch.translate, patterns)) or r"(?!)")


class Tree:
    """The watched directories, and `single` files that are watched too, whatever their names and
    wherever they are."""

    def __init__(self, roots: Sequence[str], names: Names, single: Sequence[str] = ()) -> None:
        self.roots, self._names, self._single = roots, names, single
        # Path and identity of each virtual environment. A directory remains one without pyvenv.cfg:
        # `rm -r` may delete that file first, and must not make the packages appear.
        self._environments: Mapping[str, tuple[int, int]] = {}

    def look(self) -> Snapshot:
        """Take a snapshot, without virtual environments. A directory that cannot be read, or was
        just deleted, counts as empty. Follows links to directories; reads each directory once."""
        files = self._single_files()
        directories: dict[str, tuple[int, int]] = {}
        seen: set[tuple[int, int]] = set()
        environments: dict[str, tuple[int, int]] = {}
        left = [(root, "") for root in self.roots]
        while left:
            directory, below = left.pop()
            try:
                found = os.stat(directory)
                identity = (found.st_dev, found.st_ino)
                if identity in seen:
                    continue
                seen.add(identity)
                with os.scandir(directory) as listed:
                    entries = list(listed)
                marked = any(entry.name == _ENVIRONMENT for entry in entries)
                # If the project itself is an environment, only its packages are left out.
                if below and (marked or self._environments.get(directory) == identity):
                    environments[directory] = identity
                    continue
                directories[directory] = identity
                for entry in entries:
                    path = below + entry.name
                    if self._names.has_file(entry.name, path) and _is_file(entry):
                        files[entry.path] = _stamp(entry)
                    elif self._names.has_directory(entry.name, path) and entry.is_dir():
                        left.append((entry.path, path + "/"))
            except OSError:
                continue
        self._environments = environments
        return Snapshot(files, directories)

    def _single_files(self) -> dict[str, Stamp]:
        found = {}
        for path in self._single:
            with contextlib.suppress(OSError):
                found[path] = _stamp_of(os.stat(path))
        return found

    def single_file_has_changed(self, before: Snapshot) -> bool:
        """Whether a single file has changed: it may be outside the directories."""
        now = self._single_files()
        return any(now.get(path) != before.files.get(path) for path in self._single)

    def matters(self, path: str, *, directory: bool) -> bool:
        """Whether a change at `path` can change the result of look()."""
        if os.path.basename(path) in map(os.path.basename, self._single):
            return True
        for root in self.roots:
            if path == root:
                return True
            if any(path.startswith(one + "/") for one in self._environments):
                return False
            if path.startswith(root.rstrip("/") + "/"):
                return self._matters_below(path[len(root.rstrip("/")) + 1 :], directory)
        name = os.path.basename(path)  # the target of a link
        is_watched = self._names.has_directory if directory else self._names.has_file
        return is_watched(name, name)

    def _matters_below(self, path: str, directory: bool) -> bool:
        *above, name = path.split("/")
        so_far = ""
        for part in above:
            so_far += part
            if not self._names.has_directory(part, so_far):
                return False
            so_far += "/"
        is_watched = self._names.has_directory if directory else self._names.has_file
        return is_watched(name, path)


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _stamp(entry: os.DirEntry[str]) -> Stamp:
    try:
        return _stamp_of(entry.stat())
    except OSError:
        return Stamp(0, -1, 0)  # deleted since it was listed


def _stamp_of(found: os.stat_result) -> Stamp:
    return Stamp(found.st_mtime_ns, found.st_size, found.st_ino)
