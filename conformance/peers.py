"""The servers that iotax is compared with: how to start each, and the commit of the comparison."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path

START = Path(__file__).resolve().parent.parent / "bench/harness/start_peer.py"
# As at the beginning of each documentation, with one worker process.
COMMANDS = {
    "gunicorn sync": "{python} -m gunicorn -b 127.0.0.1:{{port}} {{app}}",
    "gunicorn gthread": (
        "{python} -m gunicorn -k gthread --threads 4 -b 127.0.0.1:{{port}} {{app}}"
    ),
    "waitress": "{python} -m waitress --listen=127.0.0.1:{{port}} {{app}}",
    "cheroot": "{directory}/cheroot --bind 127.0.0.1:{{port}} {{app}}",
    "uWSGI": "{directory}/uwsgi --need-app --http 127.0.0.1:{{port}} --wsgi {{app}}",
    "granian": ("{python} -m granian --interface wsgi --host 127.0.0.1 --port {{port}} {{app}}"),
    "bjoern": "{python} {start} bjoern {{app}} {{port}}",
    "fastwsgi": "{python} {start} fastwsgi {{app}} {{port}}",
}
EXAMPLE = "'gunicorn -b 127.0.0.1:{port} {app}'"


def command(name: str, python: str) -> str:
    """Its command, with {port} and {app}; `python` is the interpreter with the servers."""
    return COMMANDS[name].format(python=python, directory=Path(python).parent, start=START)


def version(name: str, python: str) -> str:
    """The version of the package; empty: it has none."""
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format=json"], capture_output=True, text=True, check=True
    )
    found = {one["name"].lower(): one["version"] for one in json.loads(listed.stdout)}
    return str(found.get(name.split()[0].lower(), ""))


def objection(command: str) -> str:
    """The error in the command of a server; empty: none."""
    try:
        words = shlex.split(command.format(port=1, app="a:b"))
    except (ValueError, KeyError, IndexError) as error:
        return f"--server {command!r} cannot be read ({error}); e.g. {EXAMPLE}"
    if "{port}" not in command or "{app}" not in command:
        return f"--server has to hold {{port}} and {{app}}, e.g. {EXAMPLE}"
    if shutil.which(words[0]) is None:
        return f"--server: there is no command {words[0]}"
    return ""


def commit() -> str:
    def git(*arguments: str) -> str:
        directory = Path(__file__).resolve().parent
        done = subprocess.run(["git", *arguments], cwd=directory, capture_output=True, text=True)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no")
    return git("rev-parse", "HEAD") + (" with changes" if changed else "")
