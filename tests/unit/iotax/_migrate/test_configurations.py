"""Configurations as they are found in public projects, and what `iotax migrate` prints for them.

The expected file of each has the same name. `python test_configurations.py` writes them all again.
"""

import ast
import re
import shlex
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from iotax._config.sources import from_command
from iotax._migrate import gunicorn, uwsgi
from iotax._migrate.command import translate

HERE = Path(__file__).parent / "configurations"
SOURCES = sorted(path for path in HERE.iterdir() if path.suffix in (".py", ".ini", ".txt"))
EACH = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)


def output_for(path: Path) -> str:
    """With a fixed directory for %d. A command line is in a file of its own."""
    source = path.read_text().strip() if path.suffix == ".txt" else str(path)
    return translate(source).decode().replace(str(HERE), "/srv/site")


def test_there_are_twenty_configurations() -> None:
    assert len(SOURCES) >= 20


@EACH
def test_output_is_as_expected(path: Path) -> None:
    assert output_for(path) == path.with_suffix(".toml").read_text(encoding="utf-8")


@EACH
def test_the_settings_file_is_accepted(path: Path, tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text(output_for(path), encoding="utf-8")
    settings = from_command({"config": str(file)}, {}, str(tmp_path))
    assert settings.warnings == []
    keys = tomllib.loads(output_for(path))
    assert {name.replace("_", "-") for name in settings.given} - {"config"} == set(keys)


@EACH
def test_each_setting_appears_exactly_once(path: Path) -> None:
    wanted = SETTINGS[path.suffix](path)
    assert sum(wanted.values()) > 2
    assert appearances(output_for(path), wanted) == wanted


def appearances(output: str, names: Counter[str]) -> Counter[str]:
    """How often each name is a key, the origin of one, or left out."""
    found: Counter[str] = Counter()
    for line in output.splitlines():
        if line.startswith("# Defaults of"):
            is_default = True
        elif not line:
            is_default = False
        elif left := re.match(r"# not carried over: (?:def |from \S+ import )?([^ :]+)", line):
            found[left[1]] += 1
        elif (key := re.match(r"([\w-]+) = ", line)) and not is_default:
            origins = line.partition("  # ")[2].partition(": ")[0].split(", ")
            known = [origin for origin in origins if origin in names]
            same = [name for name in names if name.lstrip("-").replace("_", "-") == key[1]]
            found.update(known or same)
    return found


def settings_of_python(path: Path) -> Counter[str]:
    """All names that are set outside functions."""
    tree = ast.parse(path.read_bytes())
    names = []
    for statement in tree.body:
        nodes = [statement] if isinstance(statement, ast.FunctionDef) else ast.walk(statement)
        for node in nodes:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.append(node.id)
            elif isinstance(node, ast.FunctionDef):
                names.append(node.name)
            elif isinstance(node, ast.ImportFrom):
                names += [alias.name for alias in node.names]
    return Counter(name for name in names if name in gunicorn.ROWS)


def settings_of_ini(path: Path) -> Counter[str]:
    names = []
    section = ""
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = line
            names += [line] if line != "[uwsgi]" else []
        elif line and line[0] not in "#;" and section == "[uwsgi]":
            names.append(line.partition("=")[0].strip())
    return Counter(names)


def settings_of_command_line(path: Path) -> Counter[str]:
    server, *words = shlex.split(path.read_text())
    rows = gunicorn.ROWS if "gunicorn" in server else uwsgi.COMMAND_LINE
    with_value = {flag for row in rows.values() if row.switch is None for flag in row.flags}
    names = []
    former = ""
    for word in words:
        label = word.partition("=")[0] if word.startswith("--") else word[:2]
        is_value = former in [*with_value, "--cheaper", "--unknown-option"]
        if word.startswith("-") and word != "-":
            names.append(label)
        elif not is_value:
            names.append(word if word.endswith(".ini") else "APP")
        former = word
    return Counter(names)


SETTINGS = {
    ".py": settings_of_python,
    ".ini": settings_of_ini,
    ".txt": settings_of_command_line,
}


if __name__ == "__main__":
    for source in SOURCES:
        source.with_suffix(".toml").write_text(output_for(source), encoding="utf-8")
