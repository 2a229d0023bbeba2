"""Plant a bug in a copy of the sources, to see whether a test finds it.

A planted bug is a TOML file that names the text it changes, not the line or the file, so that code
can move without breaking it:

    title = "What is wrong now."
    found_by = ["simulate", "explore is-left"]   # only tests/mutants: which programs find it

    [[change]]
    within = "src/driver"     # the directory whose sources are searched
    old = '''lines'''         # must occur exactly once there
    new = '''lines'''         # what replaces them

Lines are compared without their indentation, and blank lines do not count.
"""

import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {".cc", ".h", ".py"}


class DoesNotApply(Exception):
    """The bug cannot be planted: the sources have changed, or its file is wrong."""


@dataclass(frozen=True)
class Change:
    within: str
    old: str
    new: str


@dataclass(frozen=True)
class PlantedBug:
    title: str
    found_by: list[str]
    changes: list[Change]

    @classmethod
    def read(cls, file: Path) -> "PlantedBug":
        """Raises DoesNotApply with what is wrong in the file."""
        try:
            table = tomllib.loads(file.read_text("utf-8"))
            made = cls(
                table.pop("title"),
                table.pop("found_by", []),
                [Change(**change) for change in table.pop("change")],
            )
        except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
            raise DoesNotApply(f"{file.name}: {type(error).__name__}: {error}") from None
        if table:
            raise DoesNotApply(f"{file.name}: unknown key {next(iter(table))}")
        return made


class PatchedCopy:
    """The files of the working tree, in `folder`. A file that is the same there already keeps its
    time, so that little has to be built again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout
        wanted = {name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()}
        for name in wanted:
            source, target = ROOT / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists() or target.read_bytes() != source.read_bytes():
                shutil.copy(source, target)  # with a new time, so that a build sees it
        # A file that was moved since an earlier run would be compiled and searched as well.
        for file in sources_below(folder / "src"):
            if str(file.relative_to(folder)) not in wanted:
                file.unlink()

    @contextmanager
    def planted(self, bug: PlantedBug) -> Iterator[None]:
        """The bug is in the copy within the context. Raises DoesNotApply."""
        before: dict[Path, str] = {}
        try:
            for change in bug.changes:
                file, text = self._changed(change)
                before.setdefault(file, file.read_text("utf-8"))
                file.write_text(text, "utf-8")
            yield
        finally:
            for file, text in before.items():
                file.write_text(text, "utf-8")

    def _changed(self, change: Change) -> tuple[Path, str]:
        """The file that holds `change.old`, and its text after the change."""
        found = [
            (file, text)
            for file in sources_below(self.folder / change.within)
            for text in replaced(file.read_text("utf-8"), change.old, change.new)
        ]
        if len(found) != 1:
            first = next(iter(lines_of(change.old)), "(no line)")
            raise DoesNotApply(
                f"{len(found)} places instead of one below {change.within} have: {first} ..."
            )
        return found[0]


def sources_below(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.suffix in SOURCES)


def lines_of(text: str) -> list[str]:
    """The lines that count, without indentation."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def replaced(text: str, old: str, new: str) -> Iterator[str]:
    """`text` with `old` replaced by `new`: once for each place where `old` occurs."""
    lines = text.splitlines(keepends=True)
    counting = [number for number, line in enumerate(lines) if line.strip()]
    stripped = [lines[number].strip() for number in counting]
    wanted = lines_of(old)
    for start in range(len(stripped) - len(wanted) + 1 if wanted else 0):
        if stripped[start : start + len(wanted)] == wanted:
            first, last = counting[start], counting[start + len(wanted) - 1]
            middle = [line + "\n" for line in new.strip("\n").splitlines()]
            yield "".join([*lines[:first], *middle, *lines[last + 1 :]])
