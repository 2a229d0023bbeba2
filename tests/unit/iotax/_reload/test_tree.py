"""Which files are watched, and which changes are found."""

import os
from pathlib import Path

import pytest

from iotax._reload.tree import CREATED, DELETED, MODIFIED, Change, Names, Tree


def paths(tree: Tree, root: Path) -> list[str]:
    return sorted(str(Path(path).relative_to(root)) for path in tree.look().files)


@pytest.mark.parametrize(
    ("path", "watched"),
    [
        ("main.py", True),
        ("package/views.py", True),
        ("templates/page.html", True),
        ("templates/page.jinja2", True),
        ("notes.txt", False),
        ("server.log", False),
        ("main.pyc", False),
        ("main.py~", False),
        (".main.py.swp", False),
        (".#main.py", False),
        ("#main.py#", False),
        ("flycheck_main.py", False),
        ("4913", False),
        ("__pycache__/main.py", False),
        ("venv/lib/x.py", False),
        ("package/node_modules/x.py", False),
        ("x.egg-info/x.py", False),
        ("building/x.py", True),
    ],
)
def test_default_names_select_python_and_templates(project: Path, path: str, watched: bool) -> None:
    (project / path).parent.mkdir(parents=True, exist_ok=True)
    (project / path).write_text("")
    tree = Tree([str(project)], Names())
    assert (paths(tree, project) == [path]) == watched
    assert tree.matters(str(project / path), directory=False) == watched


def test_patterns_match_names_or_paths(project: Path) -> None:
    for path in ("a/x.toml", "b/x.toml", "a/x.py", "b/x.py", "gen/x.py"):
        (project / path).parent.mkdir(exist_ok=True)
        (project / path).write_text("")
    tree = Tree([str(project)], Names(include=["b/*.toml"], exclude=["gen", "a/x.*"]))
    assert paths(tree, project) == ["b/x.py", "b/x.toml"]


def test_changes_between_two_snapshots_are_found(project: Path) -> None:
    for name in ("same.py", "written.py", "swapped.py", "gone.py"):
        (project / name).write_text("1")
    tree = Tree([str(project)], Names())
    before = tree.look()
    (project / "written.py").write_text("22")
    (project / "other").write_text("1")
    os.utime(project / "other", ns=(0, (project / "swapped.py").stat().st_mtime_ns))
    (project / "other").rename(project / "swapped.py")  # same length, same time, another file
    (project / "gone.py").unlink()
    (project / "new").mkdir()
    (project / "new/new.py").write_text("")
    found = [(change.kind, Path(change.path).name) for change in tree.look().changes_since(before)]
    assert sorted(found) == [
        (CREATED, "new.py"),
        (DELETED, "gone.py"),
        (MODIFIED, "swapped.py"),
        (MODIFIED, "written.py"),
    ]


def test_links_are_followed_once(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "x.py").write_text("")
    (project / "link").symlink_to(other)
    (project / "again").symlink_to(other)
    (other / "loop").symlink_to(project)
    (project / "broken.py").symlink_to(project / "nothing")
    assert len(Tree([str(project)], Names()).look().files) == 1


def test_a_missing_directory_counts_as_empty(project: Path) -> None:
    assert Tree([str(project / "none")], Names()).look().files == {}


@pytest.mark.parametrize("directory", ["myenv", "tools/py 3", "a/.b/c"])
def test_a_virtual_environment_with_any_name_is_left_out(project: Path, directory: str) -> None:
    packages = project / directory / "lib/python3/site-packages"
    packages.mkdir(parents=True)
    (project / directory / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (project / directory / "setup_hook.py").write_text("")
    (packages / "x.py").write_text("")
    (project / "main.py").write_text("")
    tree = Tree([str(project)], Names())
    look = tree.look()
    assert [Path(path).name for path in look.files] == ["main.py"]
    assert str(project / directory) not in look.directories, "nothing watches it"
    assert not tree.matters(str(project / directory / "setup_hook.py"), directory=False)


def test_an_environment_that_loses_pyvenv_cfg_first_stays_left_out(project: Path) -> None:
    (project / "myenv/tools").mkdir(parents=True)
    (project / "myenv/pyvenv.cfg").write_text("")
    (project / "myenv/tools/x.py").write_text("")
    tree = Tree([str(project)], Names())
    before = tree.look()
    (project / "myenv/pyvenv.cfg").unlink()
    assert tree.look().changes_since(before) == []


def test_a_project_in_an_environment_is_watched_without_its_packages(project: Path) -> None:
    packages = project / "lib/python3/site-packages"
    packages.mkdir(parents=True)
    (project / "pyvenv.cfg").write_text("")
    (packages / "x.py").write_text("")
    (project / "lib/own.py").write_text("")
    (project / "main.py").write_text("")
    assert paths(Tree([str(project)], Names()), project) == ["lib/own.py", "main.py"]


def test_single_file_is_watched_wherever_it_is(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    single = tmp_path / "conf/site.toml"
    tree = Tree([str(tmp_path / "src")], Names(), [str(single)])
    before = tree.look()
    assert not tree.single_file_has_changed(before)
    single.parent.mkdir()
    single.write_text("a")
    assert tree.single_file_has_changed(before)
    now = tree.look()
    assert now.changes_since(before) == [Change(CREATED, str(single))]
    single.write_text("a longer text")
    assert tree.look().changes_since(now) == [Change(MODIFIED, str(single))]
    assert tree.matters(str(tmp_path / "src/site.toml"), directory=False), "by any of its names"
    single.unlink()
    assert tree.single_file_has_changed(now)
    assert tree.look().changes_since(now) == [Change(DELETED, str(single))]
