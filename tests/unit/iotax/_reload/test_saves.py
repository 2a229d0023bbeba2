"""Saved files lead to a restart."""

import pytest
from played_system import Process, World

from iotax._processes.channel import Message
from iotax._processes.lifecycle import Event, State
from iotax._processes.live_settings import LiveSettings
from iotax._processes.parts import Parts
from iotax._processes.pool import Child, Worker
from iotax._reload import watcher
from iotax._reload.generation import Generation
from iotax._reload.processes import ASK_DEBUGGED
from iotax._reload.reports import ReloadReport
from iotax._reload.saves import REPLY_SECONDS, WATCHER_PAUSE_SECONDS, Saves
from iotax._reload.tree import Change


class Scene:
    def __init__(self, world: World) -> None:
        self.world = world
        self.generation = Generation(2, world.time)
        self.parts: Parts = world.connect("reload", "1", target=self.generation)
        self.restarts = 0
        self.saves = Saves(self.parts, self.generation, self.restart)
        self.tick()

    def restart(self) -> None:
        self.restarts += 1

    def tick(self, seconds: float = 0.0) -> None:
        self.world.time += seconds
        self.saves.tick(self.world.time)

    def watcher(self) -> Child:
        (found,) = self.parts.pool.others
        return found

    def saved(self, *names: str) -> None:
        changes = [Change("modified", name) for name in names]
        self.saves.on_report(Message(ReloadReport.CHANGED, watcher.pack(changes)))

    def start(self) -> tuple[Worker, Process]:
        worker = self.parts.spawner.start_worker()
        assert worker is not None
        self.generation.add(worker, "warm", serves_error=False)
        worker.apply(Event.READY)
        return worker, self.world.processes[-1]

    def runs_a_request(self, worker: Worker) -> None:
        self.world.played_scoreboard.running[worker.slot] = [("GET /", "r1", 1.0)]


@pytest.fixture
def scene(world: World) -> Scene:
    return Scene(world)


def test_a_separate_process_watches_the_files(scene: Scene) -> None:
    assert isinstance(scene.world.processes[0].job, watcher.WatcherJob)
    assert scene.saves.is_watcher(scene.watcher())
    assert scene.watcher().state is State.READY
    assert [*scene.saves.dues()] == []


def test_save_restarts_and_logs_three_file_names(scene: Scene) -> None:
    scene.world.log.clear()
    scene.saved("a.py", "b.py")
    scene.saved("c.py", "d.py", "e.py")
    scene.tick()
    assert scene.restarts == 1
    assert scene.world.log == [
        "Detected modified: a.py",
        "Detected modified: b.py",
        "Detected modified: c.py",
        "Detected 2 more changes",
    ]
    scene.tick()
    assert scene.restarts == 1


def test_busy_worker_is_asked_about_a_debugger_with_a_short_timeout(scene: Scene) -> None:
    worker, process = scene.start()
    scene.start()
    scene.runs_a_request(worker)
    scene.saved("a.py")
    scene.tick()
    assert scene.world.killed == [(process.pid, ASK_DEBUGGED)]
    assert [*scene.saves.dues()] == [scene.world.time + REPLY_SECONDS]
    assert scene.restarts == 0
    scene.tick(REPLY_SECONDS)
    assert scene.restarts == 1, "it hangs"


def test_restart_begins_with_the_last_reply(scene: Scene) -> None:
    workers = [scene.start()[0], scene.start()[0]]
    for worker in workers:
        scene.runs_a_request(worker)
    scene.saved("a.py")
    scene.tick()
    scene.saves.on_debugged(workers[0], is_debugged=False)
    assert scene.restarts == 0
    scene.saves.on_debugged(workers[1], is_debugged=False)
    scene.saves.on_debugged(workers[1], is_debugged=False)
    assert scene.restarts == 1


def test_restart_waits_until_the_debugger_exits(scene: Scene) -> None:
    worker, process = scene.start()
    scene.runs_a_request(worker)
    scene.saved("a.py")
    scene.tick()
    for _ in range(3):
        scene.saves.on_debugged(worker, is_debugged=True)
        scene.tick(REPLY_SECONDS)
    assert scene.restarts == 0
    assert [line for line in scene.world.log if "debugger" in line] == [
        f"A debugger is active in process [{process.pid}]; the reload is delayed until it exits"
    ]
    scene.saves.on_debugged(worker, is_debugged=False)
    assert scene.restarts == 1


def test_restart_does_not_wait_for_replies_of_exited_workers(scene: Scene) -> None:
    worker, _ = scene.start()
    scene.runs_a_request(worker)
    scene.saved("a.py")
    scene.tick()
    scene.parts.pool.remove(worker)
    scene.saves.forget(worker)
    scene.saves.on_debugged(worker, is_debugged=False)
    assert scene.restarts == 0
    scene.tick(REPLY_SECONDS)
    assert scene.restarts == 1


@pytest.mark.parametrize("what", ["stale", "page", "draining", "idle", "boots"])
def test_worker_that_cannot_be_debugged_is_not_asked(scene: Scene, what: str) -> None:
    worker, _ = scene.start()
    scene.runs_a_request(worker)
    if what == "stale":
        scene.generation.begin(scene.world.time)
    elif what == "page":
        scene.generation.error_workers.add(worker)
    elif what == "draining":
        scene.parts.control.drain(worker)
    elif what == "idle":
        scene.world.played_scoreboard.running.clear()
    else:
        worker.state = State.BOOTING
    scene.saved("a.py")
    scene.tick()
    assert scene.restarts == 1
    assert scene.world.killed == []


def test_worker_that_has_imported_for_a_second_is_asked_about_a_debugger(scene: Scene) -> None:
    worker, process = scene.start()
    worker.state = State.BOOTING
    scene.world.time += 1.1
    scene.saved("a.py")
    scene.tick()
    assert scene.world.killed == [(process.pid, ASK_DEBUGGED)]


def test_exited_watcher_is_restarted_and_missed_changes_are_loaded(scene: Scene) -> None:
    scene.saves.on_report(Message(ReloadReport.WATCHING))
    assert scene.restarts == 0
    scene.parts.pool.remove(scene.watcher())
    scene.saves.watcher_ended("was killed by SIGKILL from outside")
    assert scene.world.has_logged("The process that watches files was killed by SIGKILL")
    (due,) = scene.saves.dues()
    assert due <= scene.world.time + WATCHER_PAUSE_SECONDS
    scene.tick(WATCHER_PAUSE_SECONDS)
    assert scene.saves.is_watcher(scene.watcher())
    scene.saves.on_report(Message(ReloadReport.WATCHING))
    assert scene.restarts == 1


def test_messages_of_the_watcher_are_logged(scene: Scene) -> None:
    scene.saves.on_report(Message(ReloadReport.NOTE, "inotify limit reached"))
    assert scene.world.log[-1] == "inotify limit reached"


# ---- the settings file


class SettingsScene(Scene):
    """With a settings file, and what is returned when it is read again."""

    PATH = "/srv/shop/iotax.toml"

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_good, self.reads = True, 0
        monkeypatch.setattr(LiveSettings, "paths", property(lambda _: (self.PATH,)))
        monkeypatch.setattr(LiveSettings, "read_again", lambda _: self._read_again())
        super().__init__(world)

    def _read_again(self) -> bool:
        self.reads += 1
        return self.is_good


@pytest.fixture
def with_settings(world: World, monkeypatch: pytest.MonkeyPatch) -> SettingsScene:
    return SettingsScene(world, monkeypatch)


@pytest.mark.parametrize(
    ("saved", "is_good", "reads", "restarts"),
    [
        ([SettingsScene.PATH], True, 1, 1),
        ([SettingsScene.PATH], False, 1, 0),
        (["main.py"], True, 0, 1),
        (["main.py"], False, 0, 1),
        (["main.py", SettingsScene.PATH], False, 1, 1),
    ],
)
def test_saved_settings_restart_the_application_if_they_are_right(
    with_settings: SettingsScene, saved: list[str], is_good: bool, reads: int, restarts: int
) -> None:
    with_settings.is_good = is_good
    with_settings.saved(*saved)
    with_settings.tick()
    assert (with_settings.reads, with_settings.restarts) == (reads, restarts)


def test_settings_are_read_if_not_all_saved_files_are_named(with_settings: SettingsScene) -> None:
    with_settings.saved(*(f"{n}.py" for n in range(watcher.NAMED_MAX + 1)))
    with_settings.tick()
    assert (with_settings.reads, with_settings.restarts) == (1, 1)


def test_watcher_looks_at_the_settings_file(with_settings: SettingsScene) -> None:
    job = with_settings.world.processes[0].job
    assert job.tree.matters(SettingsScene.PATH, directory=False)
