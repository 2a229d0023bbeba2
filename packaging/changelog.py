"""Whether a tag, the version of CMakeLists.txt and CHANGELOG.md say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tools import Failed

VERSION = re.compile(r"^project\(iotax VERSION (\S+)", re.MULTILINE)
HEADING = re.compile(r"^## \[(?P<name>[^\]]+)\](?: - (?P<date>\d{4}-\d\d-\d\d))?$", re.MULTILINE)
UNRELEASED = "Unreleased"


def version_in(text: str) -> str:
    """The version in CMakeLists.txt, which has the only one."""
    found = VERSION.search(text)
    if found is None:
        raise Failed("CMakeLists.txt: no project(iotax VERSION ...)")
    return found[1]


def sections(changelog: str) -> dict[str, tuple[str | None, str]]:
    """Date and text of each section of CHANGELOG.md, by its name, in order."""
    found = [*HEADING.finditer(changelog)]
    ends = [*(one.start() for one in found[1:]), len(changelog)]
    return {
        one["name"]: (one["date"], changelog[one.end() : end].strip())
        for one, end in zip(found, ends, strict=True)
    }


def disagreements(tag: str, version: str, changelog: str, *, dry_run: bool) -> Iterator[str]:
    """Why the tag is not that of a release. A dry run takes the unreleased section for its own."""
    if tag != f"v{version}":
        yield f"the tag is {tag}, and CMakeLists.txt has version {version}; expected v{version}"
    found = sections(changelog)
    date, text = found.get(version, (None, ""))
    if version not in found and dry_run:
        date, text = "today", found.get(UNRELEASED, (None, ""))[1]
    elif found.get(UNRELEASED, (None, ""))[1]:
        yield f"CHANGELOG.md: [{UNRELEASED}] has entries; expected them in [{version}]"
    if version not in found and not dry_run:
        yield f"CHANGELOG.md: no section ## [{version}] - YYYY-MM-DD"
    elif not date:
        yield f"CHANGELOG.md: [{version}] has no date; expected ## [{version}] - YYYY-MM-DD"
    elif "\n### " not in f"\n{text}":
        yield f"CHANGELOG.md: [{version}] has no entries; expected ### Added or another kind"
