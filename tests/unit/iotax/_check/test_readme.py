"""What the README shows of iotax check is what it prints."""

import re
from pathlib import Path

import pytest

from iotax._check import command

ROOT = Path(__file__).resolve().parents[4]
SECTION = (ROOT / "README.md").read_text().partition("## Check your application\n")[2]


def test_the_report_of_the_readme_is_printed(tmp_path, monkeypatch, capfd):
    (application,) = re.findall(r"```python\n(.*?)```", SECTION.partition("\n## ")[0], re.DOTALL)
    shown = SECTION.partition("gets this report:\n\n")[2].partition("\n\n**What is sent**")[0]
    (tmp_path / "main.py").write_text(application)
    monkeypatch.chdir(tmp_path)

    assert command.main(["main:app"]) == 1

    lines = [line.removeprefix("    ") for line in shown.splitlines()]
    printed = capfd.readouterr().out.splitlines()
    assert [without_time(line) for line in printed] == [without_time(line) for line in lines]


def without_time(line):
    return re.sub(r" in [0-9.]+ s:", " in some time:", line)


def test_the_settings_of_the_readme_are_accepted(tmp_path, monkeypatch, capfd):
    (settings,) = re.findall(r"```toml\n(\[tool\.iotax.*?)```", SECTION, re.DOTALL)
    (tmp_path / "pyproject.toml").write_text(settings)
    (tmp_path / "main.py").write_text("def app(e, s):\n    s('200 OK', [])\n    return []\n")
    monkeypatch.chdir(tmp_path)

    assert command.main(["main:app", "--list"]) == 0
    assert "  POST /login" in capfd.readouterr().out.splitlines()


@pytest.mark.parametrize("option", re.findall(r"`(--[a-z-]+)", SECTION.partition("\n## ")[0]))
def test_the_options_of_the_readme_exist(option):
    known = command.make_parser()._option_string_actions

    assert option in known
