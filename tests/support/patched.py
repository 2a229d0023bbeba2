"""A copy of the sources with one bug in it, planted by a patch: does a test find it?"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class DoesNotApply(Exception):
    """The sources have changed under the patch."""


class PatchedCopy:
    """The files of the working tree, in `folder`. What is the same there already stays, so that
    little is built anew."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout
        for name in set(filter(None, listed.decode().split("\0"))):
            source, target = ROOT / name, folder / name
            if not source.is_file():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists() or target.read_bytes() != source.read_bytes():
                shutil.copy(source, target)  # a build sees that it is new

    @contextmanager
    def planted(self, patch: Path) -> Iterator[None]:
        """The bug is there within the context. Raises DoesNotApply."""
        self._change(patch)
        try:
            yield
        finally:
            self._change(patch, "--reverse")

    def _change(self, patch: Path, *options: str) -> None:
        command = ["patch", "--batch", "--fuzz=0", "-p1", *options, "-i", str(patch)]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        if done.returncode:
            raise DoesNotApply(f"{patch.relative_to(ROOT)} does not apply\n{done.stdout}")
