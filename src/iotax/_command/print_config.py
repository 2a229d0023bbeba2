"""--print-config: every setting with its value and its source, as TOML or JSON.

The TOML is a settings file: read with --config, it gives the same values.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator

from iotax import _iotax
from iotax._app import working_directory
from iotax._config.given import Given, Source
from iotax._config.option import Option
from iotax._config.options import OPTIONS
from iotax._config.sources import Settings
from iotax._log import terminal


def main(settings: Settings) -> int:
    """Print `settings`; warnings go to standard error. Returns the exit code."""
    for warning in settings.warnings:
        terminal.say(f"iotax: warning: {warning}")
    text = as_json(settings) if settings.config.format == "json" else as_toml(settings)
    with contextlib.suppress(BrokenPipeError):  # a reader such as head wants no more
        sys.stdout.buffer.write(text.encode(errors="backslashreplace"))  # of names in comments
        sys.stdout.buffer.flush()
    return 0


def as_json(settings: Settings) -> str:
    options = {
        row.key: {
            "value": row.kind.to_json(given.value),
            "source": given.source.value,
            "from": given.place or None,
        }
        for row, given in _rows(settings)
        if not row.kind.is_secret
    }
    file = settings.file.name if settings.file is not None else None
    printed = {"version": _iotax.__version__, "file": file, "options": options}
    return json.dumps({**printed, "env": [*settings.environment.variables]}, indent=2) + "\n"


def as_toml(settings: Settings) -> str:
    unused = ("host", "port") if settings.config.bind else ("bind",)
    lines = [f"# iotax {_iotax.__version__}, settings file: {settings.file or 'none'}"]
    section = ""
    for row, given in _rows(settings):
        if row.section != section:
            section = row.section
            lines += ["", f"# {section}"]
        if row.kind.is_secret:
            lines += _lines_of_environment(settings)
        else:
            lines.append(_line(row, given, is_used=row.name not in unused))
    return "\n".join(lines) + "\n"


def _rows(settings: Settings) -> Iterator[tuple[Option, Given]]:
    for row in OPTIONS.values():
        given = settings.origin(row.name)
        if row.starts_at_file and given.value:  # what is printed can be read from anywhere
            start = working_directory.start_directory(os.environ)
            given = given._replace(value=os.path.join(start, given.value))
        if row.key:
            yield row, given


def _lines_of_environment(settings: Settings) -> list[str]:
    """Comments without values, which may be passwords."""
    flag = OPTIONS["env"].flag
    places = [(one.name, one.place) for one in settings.environment.variables.values()]
    return [
        f"# {name} is set ({Source.COMMAND_LINE.value if place == flag else place})"
        for name, place in places
    ] or ["# env is not set  # default"]


def _line(row: Option, given: Given, *, is_used: bool) -> str:
    by_flag = given.source is Source.COMMAND_LINE
    source = given.source.value if by_flag else given.place or given.source.value
    written = row.kind.to_toml(given.value)
    if not is_used:
        return f"# {row.key} is not used  # {source}"
    if not written:
        return f"# {row.key} is not set  # {source}"
    try:
        written.encode()
    except UnicodeEncodeError:
        return f"# {row.key} is not valid UTF-8: {written}  # {source}"
    return f"{row.key} = {written}  # {source}"
