"""The settings file read again: options and variables are those of the start."""

from pathlib import Path

import pytest

from iotax._config.errors import ConfigError
from iotax._config.option import Option
from iotax._config.options import OPTIONS
from iotax._config.sources import Command, Settings


def write(text: str) -> None:
    Path("iotax.toml").write_text(text, encoding="utf-8")


class Scene:
    def __init__(self, **flags: object) -> None:
        self.command = Command(flags, {"IOTAX_LIMIT_BODY": "9"})
        self.settings = self.command.read()

    def again(self) -> Settings:
        return self.command.read_again(self.settings)


def test_file_is_read_again(project: Path) -> None:
    write("max-queued = 5\n")
    scene = Scene(limit_fields="7")
    write("\nmax-queued = 6\nlimit-body = 1\nlimit-fields = 1\n")
    found = scene.again()
    assert (found.config.max_queued, found.config.limit_body, found.config.limit_fields) == (
        6,
        9,
        7,
    )
    assert found.origin("max_queued").place == "iotax.toml:2"
    assert found.warnings == []


def test_removed_key_has_its_default_again(project: Path) -> None:
    write("max-queued = 5\n")
    scene = Scene()
    write("")
    assert scene.again().config.max_queued == OPTIONS["max_queued"].default


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("max-queued = 'x'", 'iotax.toml:1: max-queued: "x" is not an integer'),
        ("max-queued =", "iotax.toml: not TOML: Invalid value (at end of document)"),
        ("treads = 1", 'iotax.toml:1: unknown key "treads": did you mean threads?'),
        ("workers = 0\npreload = true", "iotax.toml:2: preload needs a supervisor"),
    ],
)
def test_wrong_file_is_the_error_of_the_start(project: Path, text: str, line: str) -> None:
    write("")
    scene = Scene()
    write(text)
    with pytest.raises(ConfigError) as again:
        scene.again()
    with pytest.raises(ConfigError) as start:
        Scene()
    assert again.value.lines == start.value.lines
    assert str(again.value).startswith(line)


def test_removed_file_is_an_error(project: Path) -> None:
    """The choice of the file is that of the start."""
    write("")
    scene = Scene()
    Path("iotax.toml").unlink()
    with pytest.raises(ConfigError, match=r"^iotax\.toml cannot be read: No such file"):
        scene.again()
    Path("iotax.toml").mkdir()
    with pytest.raises(ConfigError, match=r"^iotax\.toml cannot be read: Is a directory"):
        scene.again()


def test_file_that_appears_later_is_not_read(project: Path) -> None:
    scene = Scene()
    write("max-queued = 5\n")
    found = scene.again()
    assert found.config == scene.settings.config
    assert found.warnings == [
        "iotax.toml is not read: it did not exist at the start; restart the server"
    ]
    Path("iotax.toml").unlink()
    assert scene.again().warnings == []
    write("")
    assert Scene(no_config=True).again().warnings == []


@pytest.mark.parametrize(
    "row",
    [row for row in OPTIONS.values() if row.until_restart and row.key],
    ids=lambda row: row.name,
)
def test_key_that_needs_a_restart_keeps_its_value(project: Path, row: Option) -> None:
    write("")
    scene = Scene()
    write(f"{row.key} = {row.kind.to_toml(row.kind.parse(row.example))}\n")
    found = scene.again()
    assert found.config == scene.settings.config
    assert found.origin(row.name).place == ""
    assert found.warnings == [
        f"These settings change with a restart only: {row.key} (iotax.toml:1)"
    ]


def test_one_warning_names_all_keys_that_need_a_restart(project: Path) -> None:
    write("threads = 2\nport = 5\n")
    scene = Scene()
    write('threads = 3\nerror-logfile = "x.log"\nworkers = 0\nmax-queued = 5\n')
    found = scene.again()
    assert found.warnings == [
        "These settings change with a restart only: port (default), workers (iotax.toml:3), threads"
        " (iotax.toml:1), error-logfile (iotax.toml:2)"
    ]
    assert found.config.max_queued == 5
    assert (found.config.threads, found.config.port, found.config.workers) == (2, 5, 1)
    assert scene.command.read_again(found).warnings == found.warnings


def test_drain_stays_short_under_reload(project: Path) -> None:
    write("reload = true\n")
    scene = Scene()
    write("max-queued = 5\n")
    assert scene.again().config.graceful_timeout == 0.5
    scene = Scene()
    write("reload = true\n")
    assert scene.again().config.graceful_timeout == 30.0


def test_link_to_the_directory_is_followed_again(project: Path, tmp_path: Path) -> None:
    for number in ("5", "6"):
        (tmp_path / number).mkdir()
        (tmp_path / number / "iotax.toml").write_text(f"max-queued = {number}\n")
    current = tmp_path / "current"
    current.symlink_to(tmp_path / "5")
    command = Command({}, {}, str(current))
    settings = command.read()
    assert settings.config.max_queued == 5
    current.unlink()
    current.symlink_to(tmp_path / "6")
    assert command.read_again(settings).config.max_queued == 6
