"""The project's own modules are distinguished from others, and compiled from source each time."""

import json
import os
import subprocess
import sys
from pathlib import Path

from iotax._reload.project import Project


def run(code: str, directory: Path) -> object:
    """Run `code` in a process that may write bytecode."""
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=directory, env=environ
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_packages_installed_below_the_directory_are_not_the_projects_own(
    project: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(project)
    own = Project([str(tmp_path / "link")])
    assert own.owns(str(project / "x.py"))
    assert own.owns(str(tmp_path / "link/x.py"))
    assert own.owns(str(project))
    assert not own.owns(str(project / "venv/lib/python3.11/site-packages/x.py"))
    assert not own.owns(str(tmp_path / "projects/x.py"))
    assert not own.owns(json.__file__)
    assert not Project(["/"]).owns(json.__file__)


def test_bytecode_is_neither_read_nor_written(project: Path) -> None:
    """Two versions of equal length and time: bytecode of the first would count as valid."""
    code = """
import importlib, json, os, sys
sys.path.insert(0, os.getcwd())
from iotax._reload.project import Project
def save(text):
    with open("own.py", "w") as file:
        file.write(text)
    os.utime("own.py", (1, 1))
save("x = 1")
import own
cached = os.path.exists(own.__cached__)
del sys.modules["own"]
Project([os.getcwd()]).compile_from_source()
save("x = 2")
os.utime("own.py", (1, 1))
import own
seen = own.x
os.remove(own.__cached__)
del sys.modules["own"]
import own
print(json.dumps([cached, seen, own.x, os.path.exists(own.__cached__)]))
"""
    assert run(code, project) == [True, 2, 2, False]


def test_other_modules_are_listed_in_the_order_of_their_import(project: Path) -> None:
    (project / "own.py").write_text("import colorsys, chunk_of_mine\nimport sndhdr_of_mine\n")
    (project / "chunk_of_mine.py").write_text("import this_is_not_there_or_is as x\n")
    code = """
import json, os, sys
sys.path.insert(0, os.getcwd())
from iotax._reload.project import Project, Recorder
known = set(sys.modules)
looked_for = []
Recorder(looked_for.append).install()
try:
    import own
except ImportError:
    pass
print(json.dumps([Project([os.getcwd()]).others(known), looked_for]))
"""
    others, looked_for = run(code, project)  # type: ignore[misc]
    assert others == ["colorsys"]
    assert looked_for == ["own", "colorsys", "chunk_of_mine", "this_is_not_there_or_is"]
