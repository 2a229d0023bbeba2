"""Write what is generated from tables of the code: python docs/generate.py [--check]

Parts of pages stand between <!-- generated: NAME --> and <!-- /generated -->; other files are
generated as a whole. --check only compares, and exits with 1 if a file differs.
"""

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from iotax._config.reference import options_table, typed_source
from iotax._migrate.reference import gunicorn_table, uwsgi_groups, uwsgi_table
from iotax._processes.lifecycle import TRANSITIONS, State

HERE = Path(__file__).resolve().parent


def worker_states() -> str:
    """The lifecycle of a worker as a diagram."""
    lines = ["```mermaid", "stateDiagram-v2", f"  [*] --> {State.FORKING.name}"]
    events: dict[tuple[State, State], list[str]] = {}
    for (state, event), then in TRANSITIONS.items():
        events.setdefault((state, then), []).append(event.name.lower())
    for (state, then), names in events.items():
        lines.append(f"  {state.name} --> {then.name} : {', '.join(names)}")
    return "\n".join([*lines, f"  {State.EXITED.name} --> [*]", "```"]) + "\n"


def other_uwsgi_options() -> str:
    """The options of uWSGI that the tables of the code only know by patterns."""
    text = (HERE.parent / "tests/docs/peers/uwsgi.txt").read_text(encoding="utf-8")
    return uwsgi_groups(text.splitlines()[1:])


PARTS: Mapping[str, tuple[str, Callable[[], str]]] = {
    "options": ("reference/options.md", options_table),
    "gunicorn settings": ("migrating/gunicorn.md", gunicorn_table),
    "uWSGI options": ("migrating/uwsgi.md", uwsgi_table),
    "other uWSGI options": ("migrating/uwsgi.md", other_uwsgi_options),
    "worker states": ("internals/processes.md", worker_states),
}
WHOLE: Mapping[str, Callable[[], str]] = {"src/iotax/_config/typed.py": typed_source}


def with_part(text: str, name: str, part: str) -> str:
    begin, end = f"<!-- generated: {name} -->\n", "<!-- /generated -->"
    pattern = re.compile(f"(?<={re.escape(begin)}).*?(?={re.escape(end)})", re.S)
    new, count = pattern.subn(lambda _: part, text)
    if count != 1:
        raise ValueError(f"{begin.strip()} stands {count} times in the page, not once")
    return new


def differing() -> dict[Path, str]:
    """The files that differ from their source, as they should be."""
    found: dict[Path, str] = {}
    for name, (page, make) in PARTS.items():
        path = HERE / page
        text = found.get(path) or path.read_text(encoding="utf-8")
        if (new := with_part(text, name, make())) != text:
            found[path] = new
    for file, make in WHOLE.items():
        path = HERE.parent / file
        if (new := make()) != path.read_text(encoding="utf-8"):
            found[path] = new
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    given = parser.parse_args()
    files = differing()
    for path, text in files.items():
        if given.check:
            print(f"{path.relative_to(HERE.parent)} differs: run python docs/generate.py")
        else:
            path.write_text(text, encoding="utf-8")
    return 1 if given.check and files else 0


if __name__ == "__main__":
    sys.exit(main())
