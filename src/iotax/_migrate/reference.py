"""The tables of the migration pages, in Markdown."""

from collections.abc import Iterable

from iotax._migrate import gunicorn, uwsgi
from iotax._migrate.draft import KEYS, Row


def gunicorn_table() -> str:
    """All settings of gunicorn."""
    lines = ["| setting | option | iotax | note |", "|---|---|---|---|"]
    for name, row in gunicorn.ROWS.items():
        flags = ", ".join(f"`{flag}`" for flag in row.flags)
        lines.append(f"| `{name}` | {flags} | {key_of(row)} | {row.note} |")
    return "\n".join(lines) + "\n"


def uwsgi_table() -> str:
    """The options of uWSGI that have a counterpart or a reason of their own."""
    lines = ["| uWSGI | iotax | note |", "|---|---|---|"]
    lines += [f"| `{name}` | {key_of(row)} | {row.note} |" for name, row in uwsgi.ROWS.items()]
    return "\n".join(lines) + "\n"


def uwsgi_groups(names: Iterable[str]) -> str:
    """Those of `names` that are not in the other table, by their reason."""
    groups: dict[str, list[str]] = {reason: [] for _, reason in uwsgi.GROUPS}
    for name in names:
        if name not in uwsgi.ROWS:
            groups[uwsgi.reason_of(name)].append(f"`{name}`")
    lines = ["| why there is none | options |", "|---|---|"]
    lines += [f"| {reason} | {', '.join(found)} |" for reason, found in groups.items() if found]
    return "\n".join(lines) + "\n"


def key_of(row: Row) -> str:
    if not row.key:
        return "none"
    return f"`{row.key}`" + ("" if row.key in KEYS else " (not in this version yet)")
