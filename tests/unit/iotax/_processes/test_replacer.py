"""The steps that are taken, and what happens to a worker that becomes ready."""

import signal

import pytest
from played_system import PlayedPolicy, Process, World

from iotax._processes import replacer as module
from iotax._processes.lifecycle import Event, Replacement, State
from iotax._processes.pool import Worker
from iotax._processes.protocol import Order
from iotax._processes.replacer import Replacer


class Scene:
    def __init__(self, world: World, workers: str) -> None:
        self.world, self.parts = world, world.connect("workers", workers)
        self.policy = PlayedPolicy(self.parts)
        self.replacer = Replacer(self.parts, self.policy)

    def step(self) -> None:
        self.replacer.take_steps()

    def workers(self) -> list[Worker]:
        return self.parts.pool.workers

    def process(self, worker: Worker) -> Process:
        return self.world.processes[worker.pid - 5000]

    def serve(self) -> list[Worker]:
        """Start all wanted workers and make them ready."""
        self.step()
        for worker in self.workers():
            self.replacer.on_ready(worker)
        return [*self.workers()]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    found: list[object] = []
    monkeypatch.setattr(module, "tell_ready", lambda *told: found.append(told))
    return found


def test_all_wanted_workers_are_started(world: World, told: list[object]) -> None:
    scene = Scene(world, "3")
    scene.policy.is_able = False
    scene.step()
    assert scene.workers() == []
    scene.policy.is_able = True
    scene.step()
    assert len(scene.workers()) == 3
    for worker in scene.workers():
        scene.replacer.on_ready(worker)
    assert len(told) == 1, "the first says that the server is ready"
    assert scene.parts.pool.has_served


def test_no_further_start_after_a_failed_one(world: World) -> None:
    scene = Scene(world, "3")
    world.fork_error = OSError(11, "no room")
    scene.policy.is_able = False
    scene.policy.can_start = lambda now: scene.parts.backoff.allows(now)  # type: ignore[method-assign]
    scene.step()
    assert scene.workers() == []
    assert len(world.log) == 1


@pytest.mark.usefixtures("told")
def test_old_worker_drains_when_the_new_one_is_ready(world: World) -> None:
    scene = Scene(world, "1")
    (old,) = scene.serve()
    old.want(Replacement("it is old"))
    scene.step()
    _, new = scene.workers()
    assert new.replaces is old
    scene.replacer.on_ready(new)
    assert scene.process(old).heard() == Order.RETIRE
    assert world.log[-1] == f"Worker [{new.pid}] replaces [{old.pid}]: it is old"
    assert scene.policy.notes[-1] == ("ready", new.pid)


@pytest.mark.usefixtures("told")
def test_booted_worker_replaces_another_one_that_has_exited(world: World) -> None:
    scene = Scene(world, "2")
    old, other = scene.serve()
    old.want(Replacement("it is old"))
    scene.step()
    new = scene.workers()[-1]
    other.apply(Event.EXIT)
    scene.parts.pool.remove(other)
    scene.replacer.on_ready(new)
    assert new.replaces is None
    assert old.state is State.READY
    assert old.replacement is not None, "the request stays"


@pytest.mark.usefixtures("told")
def test_dismissed_worker_that_becomes_ready_drains_or_serves(world: World) -> None:
    scene = Scene(world, "1")
    scene.step()
    (needed,) = scene.workers()
    scene.parts.control.dismiss(needed)
    scene.replacer.on_ready(needed)
    assert needed.state is State.READY
    assert needed.replacement == Replacement("it was dismissed while it booted")
    surplus = scene.parts.spawner.start_worker()
    assert surplus is not None
    scene.parts.control.dismiss(surplus)
    scene.replacer.on_ready(surplus)
    assert surplus.state is State.DRAINING
    assert scene.process(surplus).heard() == Order.RETIRE


@pytest.mark.usefixtures("told")
def test_dismissed_worker_that_becomes_ready_during_a_stop_gets_the_stop_order(
    world: World,
) -> None:
    scene = Scene(world, "1")
    scene.step()
    (worker,) = scene.workers()
    scene.parts.shutdown.request(signal.SIGINT)
    scene.replacer.on_ready(worker)
    assert scene.process(worker).heard() == Order.INTERRUPT
    assert scene.policy.notes == []


@pytest.mark.usefixtures("told")
def test_without_memory_for_two_the_old_one_drains_first(world: World) -> None:
    scene = Scene(world, "1")
    (old,) = scene.serve()
    old.want(Replacement("it is old"))
    world.room = 0
    scene.step()
    assert old.state is State.DRAINING
    assert scene.workers() == [old]
    assert old.drains_first(), "it counts until it has exited"
    assert world.has_logged("drains before another one starts: memory is short")


def test_ready_report_of_a_killed_worker_changes_nothing(world: World, told: list[object]) -> None:
    scene = Scene(world, "1")
    scene.step()
    (worker,) = scene.workers()
    scene.parts.control.kill(worker)
    scene.replacer.on_ready(worker)
    assert worker.state is State.KILLED
    assert (told, scene.policy.notes) == ([], [])
