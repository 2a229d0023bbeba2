"""The virtual environment that the commands of this directory run in, and running programs.

Must not import anything beside the standard library before enter() has returned.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / "build" / "packaging"


class Failed(Exception):
    """A step failed; the text is for the person who runs the command."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def run(*words: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> str:
    """Run a program and return its standard output. Raises Failed with all that it printed."""
    command = [str(word) for word in words]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).splitlines()[-40:])
        raise Failed(f"{' '.join(command)}: exit code {done.returncode}\n{said}")
    return done.stdout


def zig() -> Path:
    return next((BUILD / "tools" / "lib").glob("python3*/site-packages/ziglang/zig"))


def make_environment(directory: Path, python: str | Path, requirements: Sequence[str]) -> Path:
    """A virtual environment with the requirements, made again if they changed: its interpreter."""
    inside = directory / "bin" / "python"
    stamp = directory / "requirements.sum"
    text = "\n".join([str(python), *requirements])
    wanted = hashlib.sha256(text.encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return inside
    say(f"making {directory.relative_to(ROOT)}")
    run(python, "-m", "venv", "--clear", directory)
    if requirements:
        quiet = ("--disable-pip-version-check", "install", "-q")
        run(inside, "-m", "pip", *quiet, *requirements)
    stamp.write_text(wanted)
    return inside


def enter() -> None:
    """Run the command again with an interpreter that has requirements.txt, unless it has it."""
    if Path(sys.prefix) == BUILD / "tools":
        return
    lines = (HERE / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    BUILD.mkdir(parents=True, exist_ok=True)
    try:
        python = make_environment(BUILD / "tools", sys.executable, wanted)
    except Failed as failure:
        sys.exit(f"{sys.argv[0]}: {failure}")
    os.execv(python, [str(python), *sys.argv])
