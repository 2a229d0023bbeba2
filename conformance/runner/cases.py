"""The cases of conformance/http1: loading, selecting and printing them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DIR = Path(__file__).resolve().parent.parent / "http1"


@dataclass(frozen=True)
class Step:
    """Send `data`, then wait for the interim status `wait_for` (0: none), or `pause` seconds."""

    data: bytes
    wait_for: int = 0
    pause: float = 0.0


@dataclass(frozen=True)
class Case:
    id: str
    group: str
    level: str
    raw: bytes
    eof: bool
    steps: tuple[Step, ...]
    expectations: tuple[dict[str, Any], ...]
    rule: str
    why: str


def load(directory: Path = DIR, only: Iterable[str] = ()) -> list[Case]:
    """All cases, or those whose id or group is in `only`. Raises LookupError if there is none."""
    names = set(only)
    cases = [
        case
        for file in sorted(directory.glob("*.jsonl"))
        for case in map(parse, file.read_text("ascii").splitlines())
        if not names or case.id in names or case.group in names
    ]
    if not cases:
        named = " named " + " or ".join(sorted(names)) if names else ""
        raise LookupError(f"no case{named} in {directory}")
    return cases


def parse(line: str) -> Case:
    entry = json.loads(line)
    raw = entry["raw"].encode("latin-1")
    steps = tuple(
        Step(step["send"].encode("latin-1"), step.get("await", 0), step.get("pause", 0.0))
        for step in entry.get("steps", [{"send": entry["raw"]}])
    )
    return Case(
        id=entry["id"],
        group=entry["group"],
        level=entry["level"],
        raw=raw,
        eof=entry["eof"],
        steps=steps,
        expectations=(entry["expect"], *entry.get("alt", [])),
        rule=entry["rule"],
        why=entry["why"],
    )


def escaped(data: bytes, most: int = 2000) -> str:
    text = data[:most].decode("latin-1").encode("unicode_escape").decode("ascii")
    return text + (f" ... ({len(data)} data)" if len(data) > most else "")


def show(case: Case) -> str:
    """Several lines: the reason of the case, its bytes line by line, and what must happen."""
    lines = [
        f"{case.id}  ({case.group}, {case.level})",
        f"  rule      {case.rule}",
        f"  point     {case.why}",
    ]
    for step in case.steps:
        label = "send"
        short = len(step.data) < 2000
        for piece in step.data.splitlines(keepends=True) if short else [step.data]:
            lines.append(f"  {label:<9} {escaped(piece)}")
            label = ""
        if step.wait_for:
            lines.append(f"            then wait for {step.wait_for}")
        if step.pause:
            lines.append(f"            then wait {step.pause} s")
    if case.eof:
        lines.append("            then shut down the sending side")
    for label, expectation in zip(["expect", *["or"] * 9], case.expectations, strict=False):
        for key, value in expectation.items():
            lines.append(f"  {label:<9} {key}: {json.dumps(value)}")
            label = ""
    return "\n".join(lines)
