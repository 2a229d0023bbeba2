"""Which modules a template may keep, with projects and packages that the test creates."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[4]
TRY = """
import json, sys
from iotax._reload import trial_import
from iotax._reload.project import Project
sys.path[:0] = [{project!r}, {installed!r}]
found = trial_import.try_out({names!r}, Project([{project!r}]), [], {variables!r})
here = [name for name in sys.modules if name.startswith(("third", "own"))]
print(json.dumps([*found, here] if found else None))
"""


def run(code: str, **more: Any) -> Any:
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environ | more.pop("env", {}),
        **more,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    directory = tmp_path / "venv/site-packages"
    directory.mkdir(parents=True)
    return directory


def write(directory: Path, **modules: str) -> None:
    for name, text in modules.items():
        path = directory / (name.replace("__in__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def try_out(
    project: Path, installed: Path, *names: str, variables: tuple[str, ...] = (), **more: Any
) -> tuple[list[str], list[str], str]:
    code = TRY.format(
        project=str(project), installed=str(installed), names=list(names), variables=variables
    )
    good, bad, thread, here = run(code, **more)
    assert here == []  # the calling process has imported nothing
    return good, bad, thread


def test_importable_modules_are_listed_in_the_order_of_completion(
    project: Path, installed: Path
) -> None:
    write(installed, third_a="import third_b", third_b="x = 1")
    assert try_out(project, installed, "third_a", "third_b") == (["third_b", "third_a"], [], "")


def test_modules_of_the_project_are_refused(project: Path, installed: Path) -> None:
    write(project, own="print('not to be run')")
    write(installed, third="x = 1")
    assert try_out(project, installed, "own", "third") == (["third"], ["own"], "")


@pytest.mark.parametrize(
    "brings_in",
    [
        "import own",
        "try:\n    import own\nexcept ImportError:\n    own = None",
        "try:\n    import own\nexcept Exception:\n    own = None",
        "try:\n    import own\nexcept:\n    own = None",
        "import third_between",
        "import importlib\nimportlib.import_module('own')",
        "import ownpackage.own",
        "open('own.ini').close()",
        "import os\nos.environ.get('OWN_MODE')",
        "import os\n'OWN_MODE' in os.environ",
        "1 / 0",
        "raise SystemExit",
        "import nothing_of_that_name",
    ],
)
def test_a_module_that_depends_on_the_project_is_left_out(
    project: Path, installed: Path, brings_in: str
) -> None:
    write(project, own="x = 1", ownpackage__in__own="x = 1")
    (project / "own.ini").write_text("")
    write(
        installed,
        third_other="x = 1",
        third_between="import own",
        third="import third_other\n" + brings_in,
        third_above="import third",
        third_besides="import third_other",
    )
    names = ("third_above", "third", "third_other", "third_besides")
    good, bad, _ = try_out(project, installed, *names, variables=("OWN_MODE",), cwd=project)
    assert good == ["third_other", "third_besides"]
    assert {"third", "third_above"} <= set(bad)


def test_submodules_of_a_failed_package_are_left_out(project: Path, installed: Path) -> None:
    write(project, own="")
    write(installed, third__in____init__="import third.a, own", third__in__a="")
    assert try_out(project, installed, "third.a", "third")[0] == []


def test_a_thread_that_an_import_starts_is_reported(project: Path, installed: Path) -> None:
    write(
        installed,
        third="import threading, time\nt = threading.Thread(target=time.sleep, args=[9], daemon=1)"
        "\nt.start()",
    )
    assert try_out(project, installed, "third")[2] == "third"


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_an_import_that_exits_the_process_gives_no_result(
    project: Path, installed: Path, end: str
) -> None:
    write(installed, third=f"import os\n{end}")
    code = TRY.format(project="/p", installed=str(installed), names=["third"], variables=())
    assert run(code) is None


def test_trial_import_of_django_does_not_read_the_settings(project: Path) -> None:
    """Not even if the variable that names the settings is set from the start."""
    pytest.importorskip("django")
    write(project, own_settings="SECRET_KEY = 'x'\nINSTALLED_APPS = ['django.contrib.auth']")
    code = """
import json, os, sys
from iotax._reload import trial_import
from iotax._reload.project import Project
sys.path.insert(0, os.getcwd())
project = Project([os.getcwd()])
names = ["django", "django.conf", "django.core.wsgi", "django.contrib.auth.models", "django.urls"]
found = trial_import.try_out(names, project)
importing = trial_import.Importing(project, found.bad)
trial_import.import_all(found.good, importing)
from django.conf import settings
print(json.dumps([settings.configured, found.good, "django.contrib.auth.models" in sys.modules]))
"""
    configured, good, models = run(
        code, cwd=project, env={"DJANGO_SETTINGS_MODULE": "own_settings"}
    )
    assert not configured
    assert {"django.conf", "django.core.wsgi", "django.urls"} <= set(good)
    assert not models


def test_stamps_detect_a_replaced_module(project: Path, installed: Path) -> None:
    write(installed, third="x = 1")
    code = f"""
import json, os, sys
from iotax._reload import trial_import
from iotax._reload.project import Project
sys.path.insert(0, {str(installed)!r})
import third
project = Project([{str(project)!r}])
before = trial_import.stamps(project)
same = trial_import.what_changed(before)
os.utime(third.__file__, ns=(1, 1))
print(json.dumps([same, trial_import.what_changed(before)]))
"""
    assert run(code) == ["", f"{installed}/third.py has changed"]
