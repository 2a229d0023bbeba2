"""The text of the settings file."""

from collections.abc import Iterator

from iotax._config.toml_values import key as toml_key
from iotax._migrate.draft import Draft, Entry
from iotax._migrate.setting import Setting

# Longer source text in a comment is cut: an expression may be a megabyte.
COMMENT_CHARACTERS_MAX = 200


def write(draft: Draft, source: str, server: str) -> str:
    """The file in TOML. `source`, `server`: names for the comments."""
    blocks = [
        [f"# Translated from {one_line(source)} by iotax migrate, which executes nothing of it."],
        [
            _line(key, key, entry)
            for key, entry in sorted(draft.keys.items(), key=lambda item: item[0] != "app")
        ],
        _defaults(draft, server),
        [
            f"# not carried over: {one_line(setting.shown)}: {one_line(reason)}"
            for setting, reason in sorted(draft.left_out, key=lambda item: item[0].line)
        ],
    ]
    for table, members in draft.tables.items():
        lines = [_line(toml_key(name), "", entry) for name, entry in members.items()]
        blocks.append([f"[{table}]", *lines])
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _defaults(draft: Draft, server: str) -> list[str]:
    lines = [_line(key, key, entry) for key, entry in draft.defaults.items()]
    return [f"# Defaults of {server} that iotax does not share:", *lines] if lines else []


def _line(key: str, plain_name: str, entry: Entry) -> str:
    comment = ": ".join(part for part in (_origins(plain_name, entry.origins), entry.note) if part)
    after = f"  # {comment}" if comment else ""
    return f"{key} = {entry.text}{after}"


def _origins(key: str, origins: list[Setting]) -> str:
    """Where the value comes from; empty if it is the setting of the same name."""
    labels = [origin.label for origin in origins]
    if len(labels) == 1 and labels[0].lstrip("-").replace("_", "-") == key:
        return ""
    return ", ".join(labels)


def one_line(text: str) -> str:
    """`text` for a comment: without line breaks and control characters, not too long."""
    shown = " ".join(text.split())
    if len(shown) > COMMENT_CHARACTERS_MAX:
        shown = shown[: COMMENT_CHARACTERS_MAX - 1] + "…"
    return "".join(_visible(shown))


def _visible(text: str) -> Iterator[str]:
    for character in text:
        if character.isprintable():
            yield character
        else:
            yield character.encode("unicode_escape").decode()
