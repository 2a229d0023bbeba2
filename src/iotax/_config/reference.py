"""The table of all options, in Markdown: `python -m iotax._config.reference` prints it."""

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


if __name__ == "__main__":
    print(options_table(), end="")
