"""Shared by the commands of this directory: the targets, how to build them, and their seeds."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).resolve().parent
ROOT = FUZZ.parent
NAMES = sorted(path.stem.removeprefix("fuzz_") for path in FUZZ.glob("fuzz_*.cc"))
SEED_BYTES_MAX = 8192  # longer inputs only repeat themselves; the small limits need none

WITHOUT_CLIENT = ("access_line", "response")  # their inputs consist of choices

# The flags of client.h.
EARLY, SMALL_LIMITS, EOF = 1, 2, 4


def build(tree: Path, programs: list[str], preset: str = "fuzz") -> Path:
    """Build programs of a source tree. Return their directory."""
    python = ROOT / "build" / "venv" / "bin" / "python"
    directory = tree / "build" / preset
    configure = ["cmake", "--preset", preset, f"-DIOTAX_PYTHON={python}"]
    prefix = ROOT / "build" / "llhttp" / "usr"
    if prefix.exists():
        configure.append(f"-DIOTAX_LLHTTP_PREFIX={prefix}")
    jobs = str(os.cpu_count() or 1)
    for command in (
        configure,
        ["cmake", "--build", directory, "-j", jobs, "--target", *programs],
    ):
        done = subprocess.run(command, cwd=tree, text=True, capture_output=True)
        if done.returncode:
            sys.exit(f"{done.stdout}{done.stderr}{Path(sys.argv[0]).name}: cannot build")
    return directory


def engine(directory: Path, target: str) -> Path:
    return directory / f"fuzz_{target}_engine"


def seeds(target: str) -> dict[str, bytes]:
    """Return the cases as inputs, by name; none for a target without client bytes."""
    if target in WITHOUT_CLIENT:
        return {}
    found = {}
    cases = "proxy_protocol" if target == "proxy_header" else "http1"
    for file in sorted((ROOT / "conformance" / cases).glob("*.jsonl")):
        for case in map(json.loads, file.read_text("ascii").splitlines()):
            raw = case["raw"].encode("latin-1")
            if len(raw) > SEED_BYTES_MAX:
                continue
            for flavor, data in flavors(target, raw, case.get("eof", False), len(found)).items():
                found[case["id"] + flavor] = data
    return found


def flavors(target: str, raw: bytes, eof: bool, number: int) -> dict[str, bytes]:
    if target == "proxy_header":
        return {"": bytes([0, 13]) + raw}
    if target == "connection":  # bytes, choices, number of choices
        ends = {"": b"\0", ".small": b"\1\1", ".early": b"\0\1\2", ".early-small": b"\1\1\2"}
        return {way: raw + end for way, end in ends.items()}
    ways = {"": 0, ".small": SMALL_LIMITS}
    if target == "request":
        ways |= {".early": EARLY, ".early-small": EARLY | SMALL_LIMITS}
    last = EOF if eof else 0
    return {way: bytes([flags | last, number % 5]) + raw for way, flags in ways.items()}


def client_bytes(target: str, data: bytes) -> bytes | None:
    """Return the bytes that an input sends as the client; None if it consists of choices."""
    if target in WITHOUT_CLIENT:
        return None
    if target == "connection":
        return data[: max(0, len(data) - 1 - data[-1])] if data else b""
    return data[2:]


def statistic(log: str, name: str) -> int:
    found = re.findall(rf"^stat::{name}:\s+(\d+)", log, re.M)
    return int(found[-1]) if found else 0


def coverage(log: str) -> tuple[int, int]:
    """Return the edges and features that an engine reports at its end."""
    found = re.findall(r"cov: (\d+) ft: (\d+)", log)
    return (int(found[-1][0]), int(found[-1][1])) if found else (0, 0)
