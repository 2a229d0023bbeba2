"""Plant bugs in a copy of the sources, to see whether a test finds them.

A planted bug is a TOML file that names the text it changes, not the line or the file, so that code
can move without breaking it:

    title = "What is wrong now."
    found_by = ["simulate", "explore is-left"]   # only tests/mutants: which programs find it
    alone = true              # only tests/mutants: it cannot be a branch (below); default: false

    [[change]]
    within = "src/driver"     # the directory whose sources are searched
    old = '''lines'''         # must occur exactly once there
    new = '''lines'''         # what replaces them

Lines are compared without their indentation, and blank lines do not count. Lines that `old` and
`new` begin or end with alike only say where the change is.

To compile a copy for each bug takes long. So many bugs are planted in one copy, each as a branch
that a number in the environment selects (BRANCHES). That is possible where what changes is whole
statements without a declaration, or the condition of one `if`.
"""

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {".cc", ".h", ".py"}
BRANCHES = Path(__file__).with_name("planted.h")  # to be included first in every source file
SELECTS = "PLANTED_BUG"  # the environment variable that it reads


class DoesNotApply(Exception):
    """The bug cannot be planted: the sources have changed, or its file is wrong."""


@dataclass(frozen=True)
class Change:
    within: str
    old: str
    new: str


@dataclass(frozen=True)
class PlantedBug:
    name: str
    title: str
    found_by: list[str]
    alone: bool
    changes: list[Change]

    @classmethod
    def read(cls, file: Path) -> "PlantedBug":
        """Raises DoesNotApply with what is wrong in the file."""
        try:
            table = tomllib.loads(file.read_text("utf-8"))
            made = cls(
                file.stem,
                table.pop("title"),
                table.pop("found_by", []),
                table.pop("alone", False),
                [Change(**change) for change in table.pop("change")],
            )
        except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
            raise DoesNotApply(f"{file.name}: {type(error).__name__}: {error}") from None
        if table:
            raise DoesNotApply(f"{file.name}: unknown key {next(iter(table))}")
        return made


@dataclass(frozen=True)
class Edit:
    """Lines `first` to `end` (exclusive, from 0) of a file become `new`."""

    file: Path
    first: int
    end: int
    old: list[str]
    new: list[str]

    def as_branch(self, number: int) -> "Edit":
        """The same, but only for the bug of this number."""
        conditions = [IF.fullmatch(" ".join(lines)) for lines in (self.old, self.new)]
        if all(conditions):
            (begin, healthy), (_, planted) = (found.groups() for found in conditions if found)
            lines = [f"{begin}(planted_bug == {number} ? ({planted}) : ({healthy}))) {{"]
        else:
            lines = [f"if (planted_bug == {number}) {{", *self.new, "} else {", *self.old, "}"]
        return Edit(self.file, self.first, self.end, self.old, lines)


IF = re.compile(r"((?:} else )?if \()(.*)\) \{(?: *//.*)?")


class PatchedCopy:
    """The files of the working tree, in `directory`. A file that is the same there already keeps
    its time, so that little has to be built again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout
        wanted = {name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()}
        for name in wanted:
            source, target = ROOT / name, directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists() or target.read_bytes() != source.read_bytes():
                shutil.copy(source, target)  # with a new time, so that a build sees it
        # A file that was moved since an earlier run would be compiled and searched as well.
        for file in sources_below(directory / "src"):
            if str(file.relative_to(directory)) not in wanted:
                file.unlink()

    @contextmanager
    def planted(self, bug: PlantedBug) -> Iterator[None]:
        """Within the context, the bug is in the copy. Raises DoesNotApply."""
        with self._edited(self._edits(bug)):
            yield

    @contextmanager
    def planted_as_branches(self, bugs: Iterable[PlantedBug]) -> Iterator[None]:
        """Within the context, all bugs are in the copy, each active if SELECTS is its index in
        `bugs` (from 0). Raises DoesNotApply."""
        with self._edited(self._branches(bugs)):
            yield

    def check(self, bug: PlantedBug) -> None:
        """Check without planting it. Raises DoesNotApply."""
        in_order(self._edits(bug))

    def check_as_branches(self, bugs: Iterable[PlantedBug]) -> None:
        """Check without planting them. Raises DoesNotApply."""
        in_order(self._branches(bugs))

    def _edits(self, bug: PlantedBug) -> list[Edit]:
        return [self._edit(change) for change in bug.changes]

    def _branches(self, bugs: Iterable[PlantedBug]) -> list[Edit]:
        return [
            edit.as_branch(number) for number, bug in enumerate(bugs) for edit in self._edits(bug)
        ]

    @contextmanager
    def _edited(self, edits: list[Edit]) -> Iterator[None]:
        edits = in_order(edits)
        before = {edit.file: edit.file.read_text("utf-8") for edit in edits}
        try:
            for edit in reversed(edits):
                lines = edit.file.read_text("utf-8").splitlines(keepends=True)
                lines[edit.first : edit.end] = [line + "\n" for line in edit.new]
                edit.file.write_text("".join(lines), "utf-8")
            yield
        finally:
            for file, text in before.items():
                file.write_text(text, "utf-8")

    def _edit(self, change: Change) -> Edit:
        """The lines that differ in `change.old` and `change.new`."""
        found = [
            (file, place)
            for file in sources_below(self.directory / change.within)
            for place in places(file.read_text("utf-8"), change.old)
        ]
        if len(found) != 1:
            first = next(iter(lines_of(change.old)), "(no line)")
            raise DoesNotApply(
                f"{len(found)} places instead of one below {change.within} have: {first} ..."
            )
        file, place = found[0]
        old, new = lines_of(change.old), lines_of(change.new)
        before = alike(old, new)
        while before and not ends_statement(old[before - 1]):
            before -= 1
        behind = alike(old[before:][::-1], new[before:][::-1])
        while behind and not ends_statement(old[len(old) - behind - 1]):
            behind -= 1
        last = len(old) - behind
        first_line = place[before] if before < len(place) else place[-1] + 1
        end = place[last - 1] + 1 if last > before else first_line
        return Edit(file, first_line, end, old[before:last], new[before : len(new) - behind])


def in_order(edits: list[Edit]) -> list[Edit]:
    """Raises DoesNotApply if two of them change the same line."""
    edits = sorted(edits, key=lambda edit: (edit.file, edit.first, edit.end))
    for one, other in pairwise(edits):
        if one.file == other.file and one.end > other.first:
            raise DoesNotApply(f"two changes have the same line: {one.old[-1]}")
    return edits


def sources_below(directory: Path) -> list[Path]:
    return sorted(file for file in directory.rglob("*") if file.suffix in SOURCES)


def lines_of(text: str) -> list[str]:
    """The lines that count, without indentation."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def alike(one: list[str], other: list[str]) -> int:
    """The number of lines that both begin with."""
    differ = (number for number, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differ, min(len(one), len(other)))


def ends_statement(line: str) -> bool:
    """Or a block begins or ends there."""
    return line.split("//")[0].rstrip().endswith((";", "{", "}"))


def places(text: str, wanted: str) -> Iterator[list[int]]:
    """The numbers of the lines that count, for each place where `wanted` occurs in `text`."""
    lines = text.splitlines()
    counting = [number for number, line in enumerate(lines) if line.strip()]
    stripped = [lines[number].strip() for number in counting]
    looked_for = lines_of(wanted)
    for start in range(len(stripped) - len(looked_for) + 1 if looked_for else 0):
        if stripped[start : start + len(looked_for)] == looked_for:
            yield counting[start : start + len(looked_for)]
