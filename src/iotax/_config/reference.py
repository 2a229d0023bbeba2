"""What is written from the table of options: the reference page in Markdown, which
`python -m iotax._config.reference` prints, and the types of keyword arguments (typed.py)."""

from iotax._config.options import OPTIONS


def options_table() -> str:
    """The options as a table in Markdown."""
    lines = ["| option | variable | key | HUP | default | meaning |", "|---|---|---|---|---|---|"]
    section = ""
    for row in OPTIONS.values():
        if row.section != section:
            section = row.section
            lines.append(f"| **{section}** | | | | | |")
        flags = ", ".join(f"`{flag}`" for flag in (row.short, row.flag) if flag)
        if row.negative:
            flags += f", `--no-{row.flag.removeprefix('--')}`"
        variables = ", ".join(
            f"`{variable}`" for variable in (row.variable, row.variable_too) if variable
        )
        key = f"`{row.key}`" if row.key else ""
        changes = "" if not row.key else "no" if row.until_restart else "yes"
        default = row.default_text
        if "*" in default or "_" in default:
            default = f"`{default}`"  # otherwise Markdown reads it as emphasis
        lines.append(f"| {flags} | {variables} | {key} | {changes} | {default} | {row.help} |")
    return "\n".join(lines) + "\n"


def typed_source() -> str:
    """The source of typed.py."""
    loading: list[str] = []
    serving: list[str] = []
    for row in OPTIONS.values():
        if not row.for_command_only and row.name not in ("host", "port"):
            line = f"    {row.name}: {row.hint}\n"
            (loading if row.for_path_only else serving).append(line)
    return f'''"""The keyword arguments of the library, for type checkers.

Written by docs/generate.py from the table of options.
"""

from collections.abc import Sequence
from typing import TypedDict


class ServerOptions(TypedDict, total=False):
    """The options of Config for a loaded application; sizes and times also as strings ("10M",
    "30s")."""

{"".join(serving)}

class PathOptions(ServerOptions, total=False):
    """Also the options for loading an application."""

{"".join(loading)}'''


if __name__ == "__main__":
    print(options_table(), end="")
