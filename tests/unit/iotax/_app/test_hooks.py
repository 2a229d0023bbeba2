"""The hooks module: what is loaded and called, and what is said when that fails."""

from pathlib import Path

import pytest

from iotax._app.hooks import NAMES, Hooks, WorkerInfo
from iotax._app.load_error import LoadError

INFO = WorkerInfo(1, 4711, 0.5)


def hooks(project: Path, text: str) -> Hooks:
    (project / "conf.py").write_text(text)
    found = Hooks("conf")
    found.load()
    return found


def error(project: Path, text: str, name: str = "conf") -> str:
    (project / "conf.py").write_text(text)
    with pytest.raises(LoadError) as caught:
        Hooks(name).load()
    return str(caught.value)


def test_functions_are_called_with_one_argument(project: Path) -> None:
    text = "".join(f"def {name}(info): calls.append(('{name}', info))\n" for name in NAMES)
    found = hooks(project, f"calls = []\n{text}")
    for name in NAMES:
        found.call(name, INFO)
    assert found._module is not None
    assert found._module.calls == [(name, INFO) for name in NAMES]


def test_other_names_and_missing_functions_are_nothing(project: Path) -> None:
    found = hooks(project, "post_fork = worker_exit = 1\ndef worker_start(info): pass\n")
    for name in NAMES:
        found.call(name, INFO)


def test_without_a_module_nothing_is_imported(project: Path) -> None:
    found = Hooks("")
    found.load()
    found.call("worker_start", INFO)


def test_module_in_a_package_is_loaded(project: Path) -> None:
    (project / "site_").mkdir()
    (project / "site_/hooks.py").write_text("def worker_start(info): pass\n")
    Hooks("site_.hooks").load()


@pytest.mark.parametrize(
    ("text", "name", "problem"),
    [
        ("", "cnf", 'module "cnf" not found\nFix:     did you mean conf?'),
        ("", "conf", f"conf has none of the functions {', '.join(NAMES)}\nFix:     define one of"),
        ("worker_start = 5", "conf", "conf has none of the functions"),
        ("import no_such", "conf", "importing conf failed: ModuleNotFoundError: No module named"),
        ("raise SystemExit", "conf", "importing conf failed: SystemExit"),
        ("def f(:", "conf", "importing conf failed: SyntaxError: invalid syntax\nFix:     correct"),
    ],
)
def test_module_that_cannot_be_loaded_is_explained(
    project: Path, text: str, name: str, problem: str
) -> None:
    screen = error(project, text, name)
    assert screen.startswith(f"Cannot load the hooks module {name}\n\nTried:   import {name}")
    assert f"Problem: {problem}" in screen


@pytest.mark.parametrize("code", ["raise ValueError('x')", "raise SystemExit('x')", "exit('x')"])
def test_function_that_fails_is_explained_with_its_traceback(project: Path, code: str) -> None:
    found = hooks(project, f"def worker_start(info):\n    {code}\n")
    with pytest.raises(LoadError) as caught:
        found.call("worker_start", INFO)
    screen = str(caught.value)
    kind = "ValueError" if "Value" in code else "SystemExit"
    assert "Tried:   call worker_start of conf\n" in screen
    assert f"From:    {project}/conf.py\n" in screen
    assert f'File "{project}/conf.py", line 2, in worker_start\n' in screen
    assert f"Problem: worker_start failed: {kind}: x\n" in screen


def test_function_with_other_parameters_is_explained(project: Path) -> None:
    found = hooks(project, "def worker_start(): pass\n")
    with pytest.raises(LoadError, match="worker_start"):
        found.call("worker_start", INFO)


def test_interrupt_during_a_hook_is_raised(project: Path) -> None:
    found = hooks(project, "def worker_start(info): raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        found.call("worker_start", INFO)
