"""The pid file: who may write it, and who removes it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from iotax._command.pid_file import PidFile
from iotax._config.errors import OptionError

OWN = f"{os.getpid()}\n"
NO_PROCESS = 2**22 + 1  # the kernel's greatest number is below it (proc(5), pid_max)


def test_file_exists_in_the_block_only(project: Path) -> None:
    with PidFile("x.pid"):
        assert Path("x.pid").read_text() == OWN
        assert os.listdir() == ["x.pid"]
        assert Path("x.pid").stat().st_mode & 0o777 == 0o644
    assert os.listdir() == []


@pytest.mark.parametrize(
    "text",
    ["", "\n", OWN, f" {OWN}", "0", "-1", "12x", "²", str(NO_PROCESS), "9" * 31, "1" * 100, "1 2"],
    ids=lambda text: text.strip().replace(OWN.strip(), "own")[:12],
)
def test_file_without_a_living_process_is_replaced(project: Path, text: str) -> None:
    """Also the own number: a container starts with the same numbers again."""
    Path("x.pid").write_text(text)
    with PidFile("x.pid"):
        assert Path("x.pid").read_text() == OWN


def test_living_process_keeps_its_file(project: Path) -> None:
    other = os.getppid()
    Path("x.pid").write_text(f"{other}\n")
    with pytest.raises(OptionError) as caught, PidFile("x.pid"):
        pass
    assert str(caught.value).startswith(
        f'pid_file: "x.pid" has the number of a living process, {other}; stop that process'
    )
    assert Path("x.pid").read_text() == f"{other}\n"


def test_process_of_another_user_lives_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int, _number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    Path("x.pid").write_text("1\n")
    with pytest.raises(OptionError, match=r"living process, 1;"), PidFile("x.pid"):
        pass


def test_file_of_a_dead_process_is_replaced(project: Path) -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    Path("x.pid").write_text(f"{done.pid}\n")
    with PidFile("x.pid"):
        assert Path("x.pid").read_text() == OWN


@pytest.mark.parametrize(
    ("path", "why"), [("no/x.pid", "No such file or directory"), (".", "Is a directory")]
)
def test_file_that_cannot_be_written_is_an_error(project: Path, path: str, why: str) -> None:
    with pytest.raises(OptionError, match=f'pid_file: cannot write "{path}": {why}'):
        PidFile(path).__enter__()
    assert os.listdir() == []


def test_symbolic_link_is_replaced_and_not_followed(project: Path) -> None:
    Path("target").write_text("kept")
    Path("x.pid").symlink_to("target")
    with PidFile("x.pid"):
        assert not Path("x.pid").is_symlink()
    assert Path("target").read_text() == "kept"


def test_file_of_another_process_is_not_removed(project: Path) -> None:
    with PidFile("x.pid"):
        Path("x.pid").write_text("1\n")
    assert Path("x.pid").read_text() == "1\n"


def test_forked_child_does_not_remove_the_file(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with PidFile("x.pid") as file:
        with monkeypatch.context() as fork:
            fork.setattr(os, "getpid", lambda: 1)
            file.__exit__()
        assert Path("x.pid").exists()


def test_removed_file_is_nothing(project: Path, log: list[str]) -> None:
    with PidFile("x.pid"):
        Path("x.pid").unlink()
    assert log == []


def test_file_is_removed_by_its_full_name(project: Path) -> None:
    with PidFile("x.pid"):
        os.mkdir("other")
        os.chdir("other")
    assert os.listdir(project) == ["other"]


def test_file_that_may_not_be_removed_is_emptied(
    project: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: str) -> None:
        raise PermissionError(13, "Permission denied")

    with PidFile("x.pid"):
        monkeypatch.setattr(os, "unlink", refuse)
    assert Path("x.pid").read_text() == ""
    assert log == ["warning: Cannot remove x.pid: Permission denied; it is emptied (--pid-file)"]
