"""Interpreters of another machine, from Debian's packages, which an emulator of Debian starts."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pythons
from platforms import Platform
from pythons import Python
from tools import BUILD, ROOT, Failed, run, say

FOREIGN = BUILD / "foreign"
SUITE = "bookworm"
VERSION = "3.11"
ARCHITECTURES = {"aarch64": "arm64", "x86_64": "amd64"}  # Debian's names


def find(platform: Platform) -> Python:
    """CPython with headers for the platform. Raises Failed where Debian has none, or no network.

    Its path is a script, so that the programs that it starts by sys.executable are emulated too.
    """
    if platform.is_musl:
        raise Failed(
            f"{platform.tag}: Debian has no Python for musl; run packaging/wheels in an image that"
            " has one, as .github/workflows/release.yml does"
        )
    architecture = ARCHITECTURES[platform.machine]
    packages = (f"python{VERSION}", f"libpython{VERSION}-dev")
    root = unpack(FOREIGN / architecture, architecture, *packages)
    own = run("dpkg", "--print-architecture").strip()
    qemu = unpack(FOREIGN / "qemu", own, "qemu-user-static")
    emulator = (qemu / "usr" / "bin" / f"qemu-{platform.machine}-static", "-L", root, "-0")
    program = root / "usr" / "bin" / f"python{VERSION}"
    python = pythons.probe(write_starter(FOREIGN / f"python-{architecture}", emulator, program))
    if python is None:
        raise Failed(f"{program} does not run under {emulator[0]}")
    return replace(python, emulator="qemu-user")


def unpack(directory: Path, architecture: str, *packages: str) -> Path:
    """Packages of Debian and what they depend on, unpacked at the first call."""
    if not directory.exists():
        say(f"unpacking {directory.relative_to(ROOT)}")
        script = ROOT / "cmake" / "unpack_debian"
        run(script, "--with-dependencies", SUITE, architecture, directory, *packages)
    return directory


def write_starter(directory: Path, emulator: tuple[str | Path, ...], program: Path) -> Path:
    """A virtual environment whose interpreter is a script: its path.

    The script runs the program with its own path as argument 0: the last word of the emulator is
    the option for that. Next to it Python finds pyvenv.cfg, and there its directories.
    """
    starter = directory / "bin" / "python3"
    starter.parent.mkdir(parents=True, exist_ok=True)
    (directory / "pyvenv.cfg").write_text(f"home = {program.parent}\n")
    quoted = " ".join(shlex.quote(str(word)) for word in emulator)
    starter.write_text(f'#!/bin/sh\nexec {quoted} "$0" {shlex.quote(str(program))} "$@"\n')
    starter.chmod(0o755)
    return starter
