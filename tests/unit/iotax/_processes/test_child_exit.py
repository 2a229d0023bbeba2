"""The process for the hook child_exit: when there is one, what it does, and how it ends."""

import os
import signal
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from played_system import Process, World, settings_of

from iotax._app.hooks import WorkerInfo
from iotax._config.options import Config
from iotax._net.listeners import Listeners
from iotax._processes import forking
from iotax._processes.child_exit import SECONDS, ChildExitJob
from iotax._processes.control import KILLED_SECONDS
from iotax._processes.protocol import Report

HOOKS = """
import sys
def child_exit(info):
    sys.called.append(info)
"""


def hooks_of(world: World) -> list[Process]:
    return [process for process in world.processes if isinstance(process.job, ChildExitJob)]


def infos(world: World) -> list[tuple[int, int, str, int | None]]:
    found = [process.job.info for process in hooks_of(world)]
    return [(one.number, one.pid, one.cause, one.exit_code) for one in found]


# ---- when


@pytest.mark.parametrize(
    ("status", "cause", "code"),
    [(0, "crash", 0), (5 << 8, "crash", 5), (signal.SIGSEGV, "crash", -11), (9, "crash", -9)],
)
def test_each_exit_of_a_worker_runs_the_hook(
    world: World, status: int, cause: str, code: int
) -> None:
    world.start("hooks", "hooks").ready(0)
    world.time += 12
    world.processes[0].ends(status)
    world.turn()
    assert infos(world) == [(1, 5000, cause, code)]
    assert hooks_of(world)[0].job.info.age == 12


def test_worker_that_hup_dismisses_while_it_boots_has_that_cause(world: World) -> None:
    world.start("hooks", "hooks", "workers", "2").ready(0)
    world.turn(signal.SIGHUP)
    booting = world.processes[1]
    booting.ends(signal.SIGTERM)
    world.turn()
    assert [info[1:3] for info in infos(world)] == [(booting.pid, "reload")]


def test_worker_that_the_kernel_killed_for_memory_has_that_cause(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.start("hooks", "hooks").ready(0)
    monkeypatch.setattr(world, "oom_kills", lambda: 1)
    world.processes[0].ends(signal.SIGKILL)
    world.turn()
    assert infos(world) == [(1, 5000, "oom", -9)]
    assert world.has_logged("was killed by the kernel (out of memory)")


def test_hook_is_told_why_its_worker_was_replaced(world: World) -> None:
    world.start("hooks", "hooks", "max_requests", "9", "worker_lifetime", "1h").ready(0)

    def replaced(old: Process) -> Process:
        """Returns the worker that replaces `old`."""
        world.turn()
        new = [one for one in world.processes if one not in hooks_of(world)][-1]
        new.says(Report.READY)
        world.turn()
        old.ends()
        world.turn()
        hooks_of(world)[-1].ends()
        world.turn()
        return new

    world.turn(signal.SIGHUP)
    second = replaced(world.processes[0])
    second.says(Report.MAX_REQUESTS, "9")
    third = replaced(second)
    third.says(Report.SIGTERM)
    fourth = replaced(third)
    world.passes(3600)
    replaced(fourth)
    causes = [cause for _, _, cause, _ in infos(world)]
    assert causes == ["reload", "max_requests", "other", "lifetime"]


def test_boot_failure_runs_the_hook_also_when_the_server_gives_up(world: World) -> None:
    world.start("hooks", "hooks")
    world.processes[0].says(Report.LOAD_ERROR, "Cannot load it")
    world.processes[0].ends()
    world.turn()
    assert infos(world) == [(1, 5000, "boot", 0)]
    assert world.exit_code is None, "it waits for the hook"
    hooks_of(world)[0].ends()
    world.turn()
    assert world.exit_code == 3


def test_exit_of_a_template_runs_no_hook(world: World) -> None:
    world.start("hooks", "hooks", "preload", "1")
    world.processes[0].says(Report.READY)
    world.turn()
    world.processes[0].ends(signal.SIGKILL)
    world.turn()
    assert hooks_of(world) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_hooks_of_a_stop_run_at_the_same_time(world: World, number: signal.Signals) -> None:
    world.start("hooks", "hooks", "workers", "3").ready(0, 1, 2)
    world.turn(number)
    for process in world.processes[:3]:
        process.ends()
    world.turn()
    assert infos(world) == [(n, 4999 + n, "stop", 0) for n in (1, 2, 3)]
    assert world.exit_code is None
    for process in hooks_of(world):
        process.ends()
    world.turn()
    assert world.exit_code == 0


def test_quit_runs_no_hook_and_kills_those_that_run(world: World) -> None:
    world.start("hooks", "hooks", "workers", "2").ready(0, 1)
    world.processes[0].ends(signal.SIGKILL)
    world.turn()
    (hook,) = hooks_of(world)
    world.turn(signal.SIGQUIT)
    assert (hook.pid, signal.SIGKILL) in world.killed
    world.processes[1].ends()
    hook.ends(signal.SIGKILL)
    world.turn()
    assert len(hooks_of(world)) == 1
    assert world.exit_code == 131
    assert not world.has_logged("The hook for the exit")


def test_second_signal_kills_the_hooks_that_run(world: World) -> None:
    world.start("hooks", "hooks").ready(0)
    world.turn(signal.SIGTERM)
    world.processes[0].ends()
    world.turn()
    world.time += 1
    world.turn(signal.SIGTERM)
    (hook,) = hooks_of(world)
    assert (hook.pid, signal.SIGKILL) in world.killed


def test_no_process_is_started_without_hooks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    world.start().ready(0)
    world.processes[0].ends(signal.SIGKILL)
    world.turn()
    assert hooks_of(world) == []


@pytest.mark.parametrize("inherited", [True, False])
def test_directory_of_prometheus_starts_the_process_without_hooks(
    world: World, monkeypatch: pytest.MonkeyPatch, inherited: bool
) -> None:
    if inherited:
        monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/tmp")
        world.start().ready(0)
    else:
        world.start("env", ["PROMETHEUS_MULTIPROC_DIR=/tmp"]).ready(0)  # type: ignore[arg-type]
    world.processes[0].ends(signal.SIGKILL)
    world.turn()
    assert len(hooks_of(world)) == 1


def test_hup_changes_the_module(world: World) -> None:
    world.start("hooks", "one").ready(0)
    world.settings_read = settings_of("hooks", "two")
    world.turn(signal.SIGHUP)
    world.ready(1)
    world.processes[0].ends()
    world.turn()
    assert hooks_of(world)[0].job.config.hooks == "two"


# ---- how it ends


def test_hook_that_hangs_is_killed(world: World) -> None:
    world.start("hooks", "hooks").ready(0)
    world.processes[0].ends(signal.SIGKILL)
    world.turn()
    (hook,) = hooks_of(world)
    world.passes(SECONDS - 0.1)
    assert world.killed == []
    assert min(world.supervisor._dues()) <= world.time + 0.1
    world.passes(0.1)
    assert world.killed == [(hook.pid, signal.SIGKILL)]
    assert world.has_logged(
        "The hook for the exit of worker [5000] has not returned after 10 s: killing process"
    )
    hook.ends(signal.SIGKILL)
    world.turn()
    assert not world.has_logged("was killed by SIGKILL from outside; ")
    assert world.supervisor._pool.hook_processes == {}


def test_hook_that_cannot_be_killed_does_not_hold_the_stop(world: World) -> None:
    world.start("hooks", "hooks").ready(0)
    world.turn(signal.SIGTERM)
    world.processes[0].ends()
    world.turn()
    world.passes(SECONDS)
    world.passes(KILLED_SECONDS)
    assert world.exit_code == 0


def test_worker_that_the_stop_has_given_up_runs_no_hook(world: World) -> None:
    world.start("hooks", "hooks", "workers", "2").ready(0, 1)
    world.turn(signal.SIGTERM)
    world.processes[0].ends()
    world.passes(world.supervisor._shutdown.due() - world.time)
    world.passes(KILLED_SECONDS)
    assert world.has_logged("Process [5001] has not exited 5 s after SIGKILL")
    world.processes[1].ends(signal.SIGKILL)
    world.turn()
    assert [pid for _, pid, _, _ in infos(world)] == [5000]


@pytest.mark.parametrize(
    ("status", "text"), [(3 << 8, "ended with exit code 3"), (11, "died of SIGSEGV")]
)
def test_hook_that_ends_the_process_is_logged(world: World, status: int, text: str) -> None:
    world.start("hooks", "hooks").ready(0)
    world.processes[0].ends(signal.SIGKILL)
    world.turn()
    hooks_of(world)[0].ends(status)
    world.turn()
    assert world.has_logged(f"The hook for the exit of worker [5000] {text}")


def test_fork_that_fails_is_logged_and_nothing_else(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_job: Any) -> int:
        raise OSError(11, "Resource temporarily unavailable")

    world.start("hooks", "hooks").ready(0)
    monkeypatch.setattr(world.supervisor._child_exits._spawner, "start_hook", refuse)
    world.processes[0].ends(signal.SIGKILL)
    world.turn()
    assert world.has_logged("Cannot start the hook for the exit of worker [5000]: Resource")
    world.passes(60)
    assert len(world.processes) == 2, "the worker is replaced"


# ---- what it does


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []
    monkeypatch.setattr(sys, "called", found, raising=False)
    monkeypatch.setattr(forking, "die_with", lambda supervisor: found.append(supervisor))
    return found


def run(hooks: str) -> int:
    info = WorkerInfo(2, 4711, 1.5, "crash", -9)
    return ChildExitJob(Config(hooks=hooks), Listeners(()), os.getpid(), info).run()


def test_process_calls_the_function_of_the_module(
    project: Path, called: list[Any], log: list[str]
) -> None:
    (project / "hooks.py").write_text(HOOKS)
    assert run("hooks") == 0
    assert called == [os.getpid(), WorkerInfo(2, 4711, 1.5, "crash", -9)]
    assert log == []


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("raise ValueError('x')", "child_exit failed: ValueError: x\nTraceback"),
        ("raise SystemExit(3)", "child_exit failed: SystemExit: 3\nTraceback"),
    ],
)
@pytest.mark.usefixtures("called")
def test_failure_is_logged_with_its_traceback(
    project: Path, log: list[str], code: str, text: str
) -> None:
    (project / "hooks.py").write_text(f"def child_exit(info):\n    {code}\n")
    assert run("hooks") == 0
    (line,) = log
    assert line.startswith(f"error: Hook for the exit of worker [4711]: {text}")
    assert 'hooks.py", line 2, in child_exit' in line


@pytest.mark.usefixtures("called")
def test_module_that_cannot_be_loaded_is_logged(project: Path, log: list[str]) -> None:
    assert run("hooks") == 0
    assert log == ['error: Hook for the exit of worker [4711]: module "hooks" not found']


@pytest.mark.usefixtures("called")
def test_module_without_child_exit_is_nothing(project: Path, log: list[str]) -> None:
    (project / "hooks.py").write_text("def worker_start(info): raise ValueError\n")
    assert run("hooks") == 0
    assert log == []


@pytest.mark.usefixtures("called")
def test_prometheus_client_is_told_without_a_hooks_module(
    project: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    marked: list[int] = []
    (project / "prometheus_client").mkdir()
    (project / "prometheus_client/__init__.py").touch()
    module: Any = types.ModuleType("prometheus_client.multiprocess")
    module.mark_process_dead = marked.append
    monkeypatch.setitem(sys.modules, module.__name__, module)
    run("")
    assert marked == []
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(project))
    monkeypatch.syspath_prepend(project)
    run("")
    assert marked == [4711]
    module.mark_process_dead = None
    run("")
    assert log == [
        "error: prometheus_client cannot mark worker [4711] as dead: TypeError: 'NoneType' object"
        " is not callable"
    ]


@pytest.mark.usefixtures("called")
def test_prometheus_client_need_not_be_installed(
    project: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(project))
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert run("") == 0
    assert log == []
