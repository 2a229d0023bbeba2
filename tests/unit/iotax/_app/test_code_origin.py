"""Whose code a file is, and everything that depends on it: frames of every sub-package are
distinguished from those of the application."""

import pkgutil
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

import iotax
from iotax._app.code_origin import PACKAGE_DIR, Origin, origin_of
from iotax._app.load_error import trace_of
from iotax._check.observe import blame
from iotax._reload.project import Project
from iotax._runtime import call_watch

PACKAGES = [
    "iotax",
    *(found.name for found in pkgutil.walk_packages(iotax.__path__, "iotax.") if found.ispkg),
]


def directory_of(package: str) -> Path:
    return Path(PACKAGE_DIR).joinpath(*package.split(".")[1:])


def function(file: Path, text: str) -> Callable[..., object]:
    """The function `f` defined by `text`, compiled as if it were in `file`."""
    scope: dict[str, Callable[..., object]] = {}
    exec(compile(text, str(file), "exec"), scope)
    return scope["f"]


def through(package: str, inner: Callable[..., object]) -> Callable[..., object]:
    return function(directory_of(package) / "module.py", "def f(g):\n    return lambda: g()\n")(
        inner
    )


def through_all(inner: Callable[..., object]) -> Callable[..., object]:
    """Call `inner` through a frame of every sub-package."""
    for package in PACKAGES:
        inner = through(package, inner)
    return inner


def test_package_dir_is_where_the_package_was_imported_from() -> None:
    assert Path(PACKAGE_DIR, "__init__.py") == Path(iotax.__file__)


def test_code_of_every_sub_package_is_iotax() -> None:
    assert len(PACKAGES) > 2
    for package in PACKAGES:
        assert (directory_of(package) / "__init__.py").is_file()
        assert origin_of(str(directory_of(package) / "__init__.py")) is Origin.IOTAX


@pytest.mark.parametrize("beside", [".py", "_app/main.py", "_pytest.py"])
def test_code_next_to_the_package_is_not_iotax(beside: str) -> None:
    assert origin_of(f"{PACKAGE_DIR}{beside}") is not Origin.IOTAX


@pytest.mark.parametrize(
    ("file", "origin"),
    [
        (f"{sysconfig.get_path('stdlib')}/json/decoder.py", Origin.LIBRARY),
        (f"{sysconfig.get_path('stdlib')}/", Origin.LIBRARY),
        ("<frozen importlib._bootstrap>", Origin.LIBRARY),
        ("<string>", Origin.LIBRARY),
        (f"{sysconfig.get_path('purelib')}/flask/app.py", Origin.PACKAGE),
        ("/srv/venv/lib/python3.12/site-packages/flask/app.py", Origin.PACKAGE),
        ("/usr/lib/python3/dist-packages/flask/app.py", Origin.PACKAGE),
        ("/srv/venv/lib/python3.12/site-packages/", Origin.PACKAGE),
        ("/srv/project/main.py", Origin.APPLICATION),
        ("/srv/my-site-packages/main.py", Origin.APPLICATION),
        ("main.py", Origin.APPLICATION),
    ],
)
def test_origin_is_decided_by_path(file: str, origin: Origin) -> None:
    assert origin_of(file) is origin


def test_relative_name_without_a_working_directory_is_the_applications(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(gone)
        gone.rmdir()
        assert origin_of("of_a_directory_that_is_gone.py") is Origin.APPLICATION


def test_load_error_shows_no_frame_of_any_sub_package(tmp_path: Path) -> None:
    fail = function(tmp_path / "main.py", "def f():\n    raise LookupError('x')\n")
    with pytest.raises(LookupError) as caught:
        through_all(fail)()
    error = caught.value
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next  # without the frame of this test
    text = trace_of(error)
    assert PACKAGE_DIR not in text
    assert f'File "{tmp_path / "main.py"}", line 2, in f' in text


def test_stack_in_the_log_begins_after_the_frames_of_every_sub_package(tmp_path: Path) -> None:
    frames: list[FrameType] = []
    view = function(tmp_path / "main.py", "def f(see):\n    see()\n")

    def see() -> None:
        frames.append(sys._getframe(1))  # the view's

    through_all(lambda: view(see))()
    text = call_watch.stack(frames[0])
    assert PACKAGE_DIR not in text
    assert f'File "{tmp_path / "main.py"}", line 2, in f' in text


def test_stack_in_the_log_ends_before_a_call_into_a_sub_package(tmp_path: Path) -> None:
    frames: list[FrameType] = []
    view = function(tmp_path / "main.py", "def f(see):\n    see()\n")
    for package in PACKAGES:
        call = function(
            directory_of(package) / "module.py", "def f(a, s):\n    a(s._getframe(0))\n"
        )
        view(lambda call=call: call(frames.append, sys))
        text = call_watch.stack(frames.pop())
        assert PACKAGE_DIR not in text
        assert f'File "{tmp_path / "main.py"}", line 2, in f' in text


def test_project_around_the_package_does_not_own_it() -> None:
    project = Project([str(Path(PACKAGE_DIR).parent)])
    for package in PACKAGES:
        assert not project.owns(str(directory_of(package) / "module.py"))


def test_finding_is_blamed_on_the_application_through_any_sub_package(tmp_path: Path) -> None:
    view = function(tmp_path / "main.py", "def f(see):\n    return see()\n")
    for package in PACKAGES:
        found = view(through(package, blame.of_caller))
        assert found is not None
        assert Path(found.file).name == "main.py"
