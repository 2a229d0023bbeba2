"""The working directory by name: entered, entered again, deleted."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from iotax._app.importer import load
from iotax._app.load_error import LoadError
from iotax._app.working_directory import WorkingDirectory, prepare
from iotax._config.errors import ConfigError
from iotax._config.options import Config
from iotax._processes.worker_process import load as load_in_worker

APP = "def app(environ, start_response):\n    return []\n"


def write(directory: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def releases(tmp_path: Path) -> Path:
    """A directory with the releases one and two, and the link `current` to one."""
    for name in ("one", "two"):
        write(tmp_path, {f"{name}/main.py": APP, f"{name}/lib/part.py": f"name = {name!r}\n"})
    (tmp_path / "current").symlink_to(tmp_path / "one")
    return tmp_path


def switch(releases: Path) -> None:
    (releases / "next").symlink_to(releases / "two")
    (releases / "next").rename(releases / "current")


def test_prepare_changes_directory_and_path(project: Path, tmp_path: Path) -> None:
    write(tmp_path, {"other/main_h.py": "import lib_h\n" + APP})
    write(tmp_path, {"lib/lib_h.py": ""})
    prepare(str(tmp_path / "other"), ["../lib"])
    assert load("main_h:app").name == "main_h:app"
    assert Path.cwd() == tmp_path / "other"
    assert sys.path[:2] == [str(tmp_path / "lib"), str(tmp_path / "other")]


def test_chdir_is_entered_again_by_its_name(releases: Path) -> None:
    directory = WorkingDirectory(str(releases / "current"), ["lib"])
    assert sys.path[:2] == [str(releases / "one/lib"), str(releases / "one")]
    switch(releases)
    directory.enter()
    assert Path.cwd() == releases / "two"
    assert sys.path[:2] == [str(releases / "two/lib"), str(releases / "two")]
    assert not [path for path in sys.path if path.startswith(str(releases / "one"))]


def test_start_directory_is_known_by_the_name_that_the_shell_gave(
    releases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the entries that Python puts on sys.path: its start directory, and relative entries of
    PYTHONPATH."""
    monkeypatch.chdir(releases / "current")
    monkeypatch.setattr(sys, "path", [str(releases / "one"), str(releases / "one/lib"), "/else"])
    directory = WorkingDirectory(
        "", [], {"PWD": str(releases / "current"), "PYTHONPATH": "lib:/else"}
    )
    switch(releases)
    directory.enter()
    assert Path.cwd() == releases / "two"
    assert sys.path == [str(releases / "two"), str(releases / "two/lib"), "/else"]


def test_relative_chdir_starts_in_the_start_directory(
    releases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(releases)
    directory = WorkingDirectory("current", [])
    assert Path.cwd() == releases / "one"
    switch(releases)
    directory.enter()
    assert Path.cwd() == releases / "two"


def test_other_directory_is_entered_next_time(
    releases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its directories to import from, as many as there are."""
    monkeypatch.chdir(releases)
    monkeypatch.setattr(sys, "path", ["/else"])
    directory = WorkingDirectory("one", ["lib"])
    directory.change("two", ["lib", "/more"])
    assert Path.cwd() == releases / "one"
    directory.enter()
    assert Path.cwd() == releases / "two"
    assert sys.path == [str(releases / "two/lib"), "/more", str(releases / "two"), "/else"]
    directory.change("", [])
    directory.enter()
    assert Path.cwd() == releases
    assert sys.path == [str(releases), "/else"]


@pytest.mark.parametrize(
    ("name", "why"), [("gone", "No such file or directory"), ("one/main.py", "Not a directory")]
)
def test_change_to_a_directory_that_cannot_be_entered_is_rejected(
    releases: Path, monkeypatch: pytest.MonkeyPatch, name: str, why: str
) -> None:
    monkeypatch.chdir(releases)
    directory = WorkingDirectory("one", ["lib"])
    with pytest.raises(ConfigError, match=f'^chdir: cannot enter "{name}": {why}; expected a'):
        directory.change(name, [])
    shutil.rmtree(releases / "one")
    directory.change("one", ["lib"])  # a worker that starts says so
    assert directory.path == str(releases / "one")


@pytest.mark.parametrize("name", ["", "relative", "/", "/nowhere"])
def test_pwd_that_names_another_directory_does_not_count(
    releases: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(releases / "current")
    assert WorkingDirectory("", [], {"PWD": name}).path == str(releases / "one")


def test_deleted_directory_is_named(releases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(releases / "one")
    prepare("", [])
    shutil.rmtree(releases / "one")
    with pytest.raises(LoadError) as error:
        load_in_worker(Config(app="main:app"))
    text = str(error.value)
    assert f"Problem: {releases / 'one'}: No such file or directory" in text
    assert "Fix:     create the directory again" in text


def test_start_in_a_deleted_directory_is_rejected(
    releases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(releases / "one")
    shutil.rmtree(releases / "one")
    with pytest.raises(ConfigError, match="the current directory has no name: No such file"):
        WorkingDirectory("", [])
    WorkingDirectory(str(releases / "two"), [])
    assert Path.cwd() == releases / "two"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every directory")
def test_directory_that_cannot_be_entered_by_name_is_kept(
    releases: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(releases / "one")
    releases.chmod(0)
    try:
        directory = WorkingDirectory("", [], {})
        assert directory.path == ""
        directory.enter()
    finally:
        releases.chmod(0o700)
