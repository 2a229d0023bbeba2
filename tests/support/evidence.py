"""The origin of a measurement: the header of pages in docs/evidence."""

import datetime
import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def commit() -> str:
    """The commit of the working tree, and whether its sources or tests differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()

    changed = git("status", "--porcelain", "--", "src", "tests")
    return git("rev-parse", "HEAD") + (" with changes" if changed else "")


def written_by(command: str, minutes: float) -> str:
    """The first sentence of a page."""
    return (
        f"Written by `{command}` on {datetime.date.today()}, commit {commit()}, Python"
        f" {platform.python_version()}, {platform.system()} {platform.release()}, in"
        f" {minutes:.1f} minutes."
    )
