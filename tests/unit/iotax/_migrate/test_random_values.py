"""Whatever the values of a source are, what is printed is accepted by --config."""

import random
import shlex
from pathlib import Path

import pytest

from iotax._config.sources import from_command
from iotax._migrate import gunicorn, uwsgi
from iotax._migrate.command import translate
from iotax._migrate.setting import SourceError

ROUNDS = 300
LITERALS = (
    *("0", "1", "-1", "1.5", "1e400", "1j", "True", "None", "...", "b'x'", "99999999999999999999"),
    *("''", "'-'", "'a b'", "'A=B'", "'\\ud800'", "'\\x00'", "'é\\n'", "'/a,b'", "'*'", "x", "f()"),
    *("':80'", "'[::1]:80'", "'unix:/a'", "[]", "[1]", "['a', 'b']", "['A=B']", "(1, 2)", "{'a'}"),
)
TEXTS = (
    *("", "0", "1", "-1", "0.5", "66 6", "99999999999999999999", "true", "false", "a b", "é", "#x"),
    *(
        "%d",
        "%k",
        "%%",
        "%",
        "%(x)",
        "$(Y)",
        "@(f)",
        "/a=b",
        "A=B",
        "x=y=z",
        ":80",
        "[::]:80",
        "/p",
    ),
    *('a"b', "a\\b", '"q"', "\x01", "\x7f", "file:/a", "a:b", "a.py", "/a/b.py:c", "unix:/x"),
)


def python_file(chance: random.Random) -> str:
    lines = [f"{chance.choice(list(gunicorn.ROWS))} = {chance.choice(LITERALS)}\n" for _ in "12345"]
    Path("site.py").write_text("".join(lines), encoding="utf-8")
    return "site.py"


def ini_file(chance: random.Random) -> str:
    lines = [f"{chance.choice(list(uwsgi.ROWS))} = {chance.choice(TEXTS)}\n" for _ in "12345"]
    Path("site.ini").write_text(f"[uwsgi]\n{''.join(lines)}", encoding="utf-8")
    return "site.ini"


def command_line(chance: random.Random) -> str:
    server = chance.choice(("gunicorn", "uwsgi"))
    rows = gunicorn.ROWS if server == "gunicorn" else uwsgi.COMMAND_LINE
    flags = [flag for row in rows.values() for flag in row.flags]
    words = [f"{chance.choice(flags)}={shlex.quote(chance.choice(TEXTS))}" for _ in "123"]
    return " ".join([server, *words])


@pytest.mark.parametrize("make", [python_file, ini_file, command_line])
def test_printed_file_is_accepted(
    make: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(make)
    monkeypatch.chdir(tmp_path)
    chance = random.Random(1)
    accepted = 0
    for _ in range(ROUNDS):
        source = make(chance)
        try:
            printed = translate(source)
        except SourceError:  # gunicorn takes no value for this flag
            continue
        Path("printed.toml").write_bytes(printed)
        from_command({"config": "printed.toml"}, {}, str(tmp_path))
        accepted += 1
    assert accepted > ROUNDS / 5
