"""Output of the commands in bench/, printed and written to a file."""

import subprocess
import sys
import time
from pathlib import Path

from . import servers


class Report:
    """Prints lines and collects them for a file."""

    def __init__(self, command, title, peers=servers.PEERS):
        self.command = " ".join([command, *sys.argv[1:]])
        self.title = title
        self.peers = servers.peers(peers)
        self.lines = []
        self.started = time.monotonic()
        self.commit = commit()

    def add(self, *lines):
        for line in lines:
            print(line, flush=True)
        self.lines += lines

    def write(self, path):
        minutes = (time.monotonic() - self.started) / 60
        day = time.strftime("%Y-%m-%d", time.gmtime())
        head = [
            f"# {self.title}",
            "",
            f"Written by `{self.command}` on {day}, commit {self.commit},"
            f" in {minutes:.1f} minutes.",
            "",
            f"Peers: {', '.join(line.replace('==', ' ') for line in self.peers) or 'none'}.",
            "",
            "```",
        ]
        Path(path).write_text("\n".join([*head, *self.lines, "```", ""]))


def commit():
    def git(*arguments):
        return subprocess.run(
            ["git", *arguments], cwd=servers.ROOT, capture_output=True, text=True
        ).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return git("rev-parse", "HEAD") + (" with changes" if changed else "")
