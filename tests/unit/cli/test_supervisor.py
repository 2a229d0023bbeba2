"""The supervisor's decisions, without processes: forks, deaths and the clock are the test's."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from iotax import channel as ch
from iotax import forking, supervisor
from iotax.channel import Channel
from iotax.config import from_command
from iotax.listeners import Listeners
from iotax.template import TemplateJob


class Process:
    """A child as the test plays it."""

    def __init__(self, pid: int, job: Any) -> None:
        self.pid, self.job = pid, job
        self.channel = Channel.from_descriptor(os.dup(job.channel.fileno()))
        self.status: int | None = None

    def says(self, kind: str, text: str = "") -> None:
        assert self.channel.send(kind, text)

    def heard(self) -> str:
        """The kinds of the orders since the last time."""
        kinds = ""
        while (message := self.channel.receive()) is not None and message.kind:
            kinds += message.kind
            if message.descriptor >= 0:
                os.close(message.descriptor)
        return kinds

    def ends(self, status: int = 0) -> None:
        self.status = status
        self.channel.close()


class Page:
    """Nothing runs, unless the test says so."""

    def __init__(self, seats: int, threads: int) -> None:
        self.running: dict[int, list[tuple[str, str, float]]] = {}
        self.made_turns = 0
        self.stuck = 0.0

    def calls(self, seat: int) -> list[tuple[str, str, float]]:
        return self.running.get(seat, [])

    def turns(self, _seat: int) -> int:
        return self.made_turns

    def gil_stuck(self, _seat: int) -> float:
        return self.stuck

    def watch(self, seat: int, on: bool) -> None:
        pass

    def clear(self, seat: int) -> None:
        self.running.pop(seat, None)


class Signals:
    def __init__(self) -> None:
        self.arrived: list[signal.Signals] = []

    def fileno(self) -> int:
        return -1

    def take(self) -> Iterator[signal.Signals]:
        while self.arrived:
            yield self.arrived.pop(0)

    def end(self) -> None:
        pass


class World:
    """A supervisor and everything around it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.processes: list[Process] = []
        self.killed: list[tuple[int, int]] = []
        self.log: list[str] = []
        self.said: list[str] = []
        self.memory: dict[int, int] = {}
        self.headroom: int | None = None
        monkeypatch.setattr(forking, "fork", self._fork)
        monkeypatch.setattr(os, "waitpid", self._waitpid)
        monkeypatch.setattr(os, "kill", lambda pid, number: self.killed.append((pid, number)))
        monkeypatch.setattr(supervisor.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(supervisor.signals, "SignalQueue", Signals)
        monkeypatch.setattr(supervisor._iotax, "Page", Page)
        monkeypatch.setattr(supervisor, "resident_bytes", lambda pid: self.memory.get(pid, 1))
        monkeypatch.setattr(supervisor.Cgroup, "headroom", lambda _: self.headroom)
        for level in ("info", "warning", "error"):
            monkeypatch.setattr(supervisor.log, level, self.log.append)
        monkeypatch.setattr(supervisor.log, "say", self.said.append)

    def start(self, *arguments: str) -> "World":
        flags = dict(zip(arguments[::2], arguments[1::2], strict=True))
        config, _ = from_command(flags, {})
        self.supervisor = supervisor.Supervisor("main:app", config, Listeners(()))
        self.turn()
        return self

    def _fork(self, run: Callable[[], int], _become_child: Callable[[], None]) -> int:
        job = run.__self__  # type: ignore[attr-defined]
        self.processes.append(Process(5000 + len(self.processes), job))
        return self.processes[-1].pid

    def _waitpid(self, _pid: int, _options: int) -> tuple[int, int]:
        for process in self.processes:
            if process.status is not None:
                status, process.status = process.status, None
                return process.pid, status
        return 0, 0

    def turn(self, *arrived: signal.Signals) -> None:
        """Until nothing moves any more."""
        self.supervisor._signals.arrived.extend(arrived)  # type: ignore[attr-defined]
        for _ in range(5):
            self.supervisor._read_signals()
            for child in self.supervisor._children():
                self.supervisor._read(child)
            if self.supervisor._exit_code is None:
                self.supervisor._act()

    def ready(self, *numbers: int) -> None:
        for number in numbers:
            self.processes[number].says(ch.READY)
        self.turn()

    @property
    def exit_code(self) -> int | None:
        return self.supervisor._exit_code


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


KILL = signal.SIGKILL


def test_starts_what_is_wanted_and_stops_when_all_have_left(world: World) -> None:
    world.start("workers", "2")
    assert len(world.processes) == 2
    world.ready(0, 1)
    world.turn(signal.SIGTERM)
    assert [process.heard() for process in world.processes] == [ch.DRAIN, ch.DRAIN]
    world.processes[0].ends()
    world.turn()
    assert world.exit_code is None
    world.processes[1].ends()
    world.turn()
    assert world.exit_code == 0


def test_hup_replaces_one_at_a_time_and_only_by_who_is_ready(world: World) -> None:
    world.start("workers", "2")
    world.ready(0, 1)
    world.turn(signal.SIGHUP)
    assert len(world.processes) == 3
    assert world.processes[0].heard() == ""
    world.ready(2)
    assert world.processes[0].heard() == ch.RETIRE
    assert len(world.processes) == 3, "the old one has not left yet"
    world.processes[0].ends()
    world.turn()
    assert len(world.processes) == 4
    world.ready(3)
    assert world.processes[1].heard() == ch.RETIRE
    world.processes[1].ends()
    world.turn()
    assert len(world.processes) == 4
    assert [process.heard() for process in world.processes[2:]] == ["", ""]


def test_a_second_hup_does_not_wait_for_code_that_is_old_already(world: World) -> None:
    world.start()
    world.ready(0)
    world.turn(signal.SIGHUP)
    world.turn(signal.SIGHUP)
    assert world.killed == [(5001, signal.SIGTERM)]
    world.processes[1].ends(signal.SIGTERM)
    world.turn()
    assert len(world.processes) == 3
    world.ready(2)
    assert world.processes[0].heard() == ch.RETIRE


@pytest.mark.parametrize("how", ["load error", "exit", "killed"])
def test_code_that_does_not_boot_later_leaves_the_old_worker(world: World, how: str) -> None:
    world.start()
    world.ready(0)
    world.turn(signal.SIGHUP)
    if how == "load error":
        world.processes[1].says(ch.LOAD_ERROR, "Cannot load the application main:app")
    world.processes[1].ends({"load error": 0, "exit": 5 << 8, "killed": KILL}[how])
    world.now += 100
    world.turn()
    expected = {"load error": "Cannot load", "exit": "exit code 5", "killed": "SIGKILL"}[how]
    assert any(expected in line for line in world.log)
    assert world.log[-1] == "The workers that serve stay"
    assert world.processes[0].heard() == ""
    assert len(world.processes) == 2, "it is not tried again by itself"


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("Cannot load it", 0, "Cannot load it"),
        ("", 5 << 8, "exit code 5"),
        ("", KILL, "was killed by SIGKILL from outside"),
        ("", signal.SIGSEGV, "died of SIGSEGV"),
    ],
)
def test_first_start_that_fails_is_exit_code_3(
    world: World, text: str, status: int, said: str
) -> None:
    world.start("workers", "2")
    if text:
        world.processes[0].says(ch.LOAD_ERROR, text)
    world.processes[0].ends(status)
    world.turn()
    assert said in world.said[0]
    assert (5001, KILL) in world.killed
    world.processes[1].ends(KILL)
    world.turn()
    assert world.exit_code == 3
    assert len(world.said) == 1


def test_boot_timeout_gives_up_at_the_first_start(world: World) -> None:
    world.start("boot_timeout", "5s")
    world.now += 4.9
    world.turn()
    assert world.killed == []
    world.now += 0.2
    world.turn()
    assert world.killed == [(5000, KILL)]
    world.processes[0].ends(KILL)
    world.turn()
    assert "not ready within 5 s (--boot-timeout)" in world.said[0]
    assert world.exit_code == 3


def test_death_is_explained_and_replaced(world: World) -> None:
    world.start()
    world.ready(0)
    seat = world.processes[0].job.seat
    world.now += 60
    world.supervisor._page.running[seat] = [("GET /slow", "ab-1", 12.0)]  # type: ignore[attr-defined]
    world.processes[0].ends(signal.SIGSEGV)
    world.turn()
    assert "Worker [5000] died of SIGSEGV (segmentation fault) after 60 s" in world.log[-2]
    assert "it ran GET /slow (12 s, ab-1)" in world.log[-2]
    assert len(world.processes) == 2


def test_whoever_dies_young_is_replaced_less_and_less_often(world: World) -> None:
    world.start()
    world.ready(0)
    for number in range(4):
        world.processes[number].ends(signal.SIGABRT)
        world.turn()
        assert len(world.processes) == number + 1
        world.now += 0.1 * 2**number + 0.001
        world.turn()
        assert len(world.processes) == number + 2
        world.ready(number + 1)
    world.now += 60
    world.processes[4].ends(signal.SIGABRT)
    world.turn()
    assert len(world.processes) == 6, "it had lived long"


def test_worker_that_was_asked_to_leave_is_replaced_first(world: World) -> None:
    world.start()
    world.ready(0)
    world.processes[0].says(ch.ASKED_TO_LEAVE)
    world.turn()
    assert world.processes[0].heard() == ""
    world.ready(1)
    assert world.processes[0].heard() == ch.RETIRE


def test_recycling_names_its_numbers(world: World) -> None:
    world.start("max_requests", "1000", "worker_lifetime", "1h")
    world.ready(0)
    world.now += 600
    world.processes[0].says(ch.REQUESTS_DONE, "1043")
    world.turn()
    assert any("1043 requests in 10 min (--max-requests 1000)" in line for line in world.log)
    world.ready(1)
    world.processes[0].ends()
    world.now += 3601
    world.turn()
    assert any("[5001] is to be replaced: it has served 60 min" in line for line in world.log)
    assert len(world.processes) == 3


def test_worker_with_too_much_memory_drains_first(world: World) -> None:
    world.start("worker_max_rss", "100M")
    world.ready(0)
    world.memory[5000] = 150 << 20
    world.now += 10
    world.turn()
    assert world.processes[0].heard() == "", "nobody has said that requests run"
    world.processes[0].says(ch.BUSY)
    world.now += 2
    world.turn()
    assert world.processes[0].heard() == ch.RETIRE
    assert any("150 MiB (--worker-max-rss 100 MiB)" in line for line in world.log)
    assert any("drains before another one starts" in line for line in world.log)
    assert len(world.processes) == 1
    world.processes[0].ends()
    world.turn()
    assert len(world.processes) == 2


def test_worker_whose_interpreter_is_stuck_tells_where_and_is_replaced(world: World) -> None:
    world.start("request_timeout", "5s")
    world.ready(0)
    seat = world.processes[0].job.seat
    page: Page = world.supervisor._page  # type: ignore[assignment]
    page.running[seat] = [("GET /regex", "ab-1", 6.0)]
    page.stuck = 1.2
    world.processes[0].says(ch.BUSY)
    world.now += 2
    world.turn()
    assert any("[5000] is stuck: a call has kept the interpreter (GIL)" in x for x in world.log)
    assert any("it ran GET /regex (6.0 s, ab-1)" in line for line in world.log)
    assert world.killed == [(5000, supervisor.signals.DUMP_STACKS)]
    assert len(world.processes) == 2
    world.ready(1)
    assert world.processes[0].heard() == ch.RETIRE


def test_worker_that_has_lost_its_threads_is_replaced(world: World) -> None:
    world.start()
    world.ready(0)
    world.processes[0].says("L", "iotax-0 does not come back from GET /hang")
    world.turn()
    assert any("[5000] is to be replaced: iotax-0 does not come back" in x for x in world.log)
    assert len(world.processes) == 2


def test_without_headroom_for_two_it_drains_first(world: World) -> None:
    world.start()
    world.ready(0)
    world.headroom, world.memory[5000] = 50 << 20, 60 << 20
    world.turn(signal.SIGHUP)
    assert world.processes[0].heard() == ch.RETIRE
    assert len(world.processes) == 1


def test_ttin_and_ttou(world: World) -> None:
    world.start()
    world.ready(0)
    world.now += 1
    world.turn(signal.SIGTTIN)
    assert len(world.processes) == 2
    world.ready(1)
    world.turn(signal.SIGTTOU)
    assert [process.heard() for process in world.processes] == ["", ch.RETIRE]
    world.turn(signal.SIGTTOU)
    assert world.processes[0].heard() == "", "one stays"


def test_worker_that_does_not_leave_is_killed(world: World) -> None:
    world.start("graceful_timeout", "5s")
    world.ready(0)
    world.turn(signal.SIGHUP)
    world.ready(1)
    world.now += 4
    world.turn()
    assert world.killed == []
    world.now += 5
    world.turn()
    assert world.killed == [(5000, KILL)]


def test_second_signal_stops_at_once(world: World) -> None:
    world.start()
    world.ready(0)
    world.turn(signal.SIGINT)
    world.turn(signal.SIGINT)
    assert world.processes[0].heard() == ch.PROMPT, "one Ctrl-C can come twice"
    world.now += 0.6
    world.turn(signal.SIGINT)
    assert world.processes[0].heard() == ch.NOW
    world.now += 1.1
    world.turn()
    assert world.killed == [(5000, KILL)]
    world.processes[0].ends(KILL)
    world.turn()
    assert world.exit_code == 128 + signal.SIGINT


def test_what_boots_when_the_server_stops_is_ended(world: World) -> None:
    world.start()
    world.turn(signal.SIGINT)
    assert world.killed == [(5000, signal.SIGTERM)]
    world.processes[0].ends(signal.SIGTERM)
    world.turn()
    assert world.exit_code == 0
    assert world.said == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_worker_that_is_ready_just_when_it_is_not_needed_any_more_drains(
    world: World, number: signal.Signals
) -> None:
    """It has clients perhaps, and has survived the TERM."""
    world.start()
    world.ready(0)
    world.turn(signal.SIGHUP)
    world.turn(number)
    assert world.killed == [(5001, signal.SIGTERM)]
    world.processes[0].heard()
    world.ready(1)
    expected = {signal.SIGTERM: ch.DRAIN, signal.SIGINT: ch.PROMPT, signal.SIGHUP: ch.RETIRE}
    assert world.processes[1].heard() == expected[number]
    world.now += 5
    world.turn()
    assert world.killed == [(5001, signal.SIGTERM)]


def test_worker_that_boots_on_though_it_is_not_needed_is_killed(world: World) -> None:
    world.start()
    world.turn(signal.SIGTERM)
    world.now += 1.1
    world.turn()
    assert world.killed == [(5000, signal.SIGTERM), (5000, KILL)]


def test_nobody_is_signalled_who_has_no_number_yet(world: World) -> None:
    """A process id of 0 would mean the whole process group."""
    world.start("workers", "2", "preload", "1")
    template = world.processes[0]
    template.says(ch.READY)
    world.turn()
    assert [worker.pid for worker in world.supervisor._workers] == [0, 0]
    world.turn(signal.SIGTTOU, signal.SIGUSR2)
    world.turn(signal.SIGHUP, signal.SIGUSR2)
    world.turn(signal.SIGTERM)
    assert all(pid for pid, _ in world.killed), world.killed


def test_term_to_a_worker_that_boots_is_no_failure(world: World) -> None:
    """One for the whole process group may come to the others before it comes to the supervisor."""
    world.start()
    world.processes[0].ends(signal.SIGTERM)
    world.turn()
    assert world.said == []
    assert world.exit_code is None
    world.now += 0.2
    world.turn()
    assert len(world.processes) == 2
    world.turn(signal.SIGTERM)
    world.processes[1].ends(signal.SIGTERM)
    world.turn()
    assert world.exit_code == 0


def test_log_files_are_opened_anew_everywhere(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    reopened: list[str] = []
    monkeypatch.setattr(supervisor.log, "reopen", lambda: reopened.append("ours"))
    world.start("workers", "2")
    world.ready(0, 1)
    world.turn(signal.SIGUSR1)
    assert [process.heard() for process in world.processes] == [ch.REOPEN, ch.REOPEN]
    assert reopened == ["ours"]


def test_preload_forks_from_a_template_and_hup_makes_a_new_one(world: World) -> None:
    world.start("preload", "1")
    (template,) = world.processes
    assert isinstance(template.job, TemplateJob)
    world.ready(0)
    assert template.heard() == ch.FORK
    worker = world.supervisor._workers[0]
    assert worker.pid == 0
    world.turn(signal.SIGHUP)
    assert len(world.processes) == 2
    world.processes[1].says(ch.LOAD_ERROR, "Cannot load it")
    world.supervisor._served = True
    world.processes[1].ends()
    world.turn()
    assert world.supervisor._template is not None
    assert world.supervisor._template.pid == template.pid, "the old one stays"


def test_memory_of_a_cgroup(tmp_path: Path) -> None:
    folder = tmp_path / "sys/a"
    folder.mkdir(parents=True)
    membership = tmp_path / "cgroup"
    membership.write_text("0::/a\n")
    (folder / "memory.events").write_text("low 0\noom 2\noom_kill 3\n")
    (folder / "memory.max").write_text("1000\n")
    (folder / "memory.current").write_text("400\n")
    cgroup = supervisor.Cgroup(tmp_path / "sys", membership)
    assert cgroup.oom_kills() == 3
    assert cgroup.headroom() == 600
    (folder / "memory.max").write_text("max\n")
    assert cgroup.headroom() is None


def test_memory_where_nothing_is_known(tmp_path: Path) -> None:
    cgroup = supervisor.Cgroup(tmp_path, tmp_path / "missing")
    assert cgroup.oom_kills() == 0
    assert cgroup.headroom() is None
