"""Blocks of code in a Markdown page, with what a comment before a block says of it.

<!-- file: main.py -->         the block is that file of the page's project
<!-- test: server -->          a Python program that serves until it gets INT
<!-- test: log -->             lines that the server of the page has printed by now
<!-- test: fragment -->        Python that stands for a part of a file: it is only compiled
<!-- test: skip, REASON -->    it is not run
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
# Written by commands: its content was true at the commit that it names.
EVIDENCE = DOCS / "evidence"
_NOTE = re.compile(r"<!-- (file|test): (.*?) -->$")
_FENCE = re.compile(r"(?P<indent> *)(?P<ticks>```+)(?P<language>[\w{}-]*)(?P<title>.*)$")


def pages() -> list[Path]:
    """Every page written by hand: README, CONTRIBUTING and docs/, without the evidence."""
    found = [path for path in sorted(DOCS.rglob("*.md")) if EVIDENCE not in path.parents]
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *found]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@dataclass(frozen=True)
class Block:
    """`line`: of its first line in the page, from 1. `file`, `test`: from its comment."""

    page: Path
    line: int
    language: str
    text: str
    file: str = ""
    test: str = ""

    @property
    def where(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    lines = page.read_text(encoding="utf-8").split("\n")
    note: dict[str, str] = {}
    at = 0
    while at < len(lines):
        fence = _FENCE.match(lines[at])
        if fence is None:
            if found := _NOTE.match(lines[at].strip()):
                note = {found[1]: found[2]}
            elif lines[at].strip():
                note = {}
            at += 1
            continue
        closing = fence["indent"] + fence["ticks"]
        end = lines.index(closing, at + 1)
        text = textwrap.dedent("\n".join(lines[at + 1 : end])) + "\n"
        yield Block(page, at + 2, fence["language"], text, **note)
        note = {}
        at = end + 1


def prose_of(page: Path) -> str:
    """The page without its blocks."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^ *(```+)[^`]*?\n.*?^ *\1$", "", text, flags=re.M | re.S)
