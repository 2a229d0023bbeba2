"""Transfer of connections from old workers to new ones."""

import os

import pytest
from played_system import Process, World

from iotax._processes.control import LEAVE_SECONDS
from iotax._processes.lifecycle import Event, State
from iotax._processes.parts import Parts
from iotax._processes.pool import Worker
from iotax._processes.protocol import Order
from iotax._reload.generation import Generation
from iotax._reload.transfer import RETIRE_SECONDS, Transfer


class Scene:
    def __init__(self, world: World) -> None:
        self.world = world
        self.generation = Generation(2, world.time)
        self.parts: Parts = world.connect(target=self.generation)
        self.transfer = Transfer(self.parts, self.generation)

    def start(self) -> tuple[Worker, Process]:
        worker = self.parts.spawner.start_worker()
        assert worker is not None
        self.generation.add(worker, "warm", serves_error=False)
        worker.apply(Event.READY)
        return worker, self.world.processes[-1]


@pytest.fixture
def scene(world: World) -> Scene:
    return Scene(world)


def connection() -> int:
    return os.open(os.devnull, os.O_RDONLY)


def is_open(descriptor: int) -> bool:
    return os.path.exists(f"/proc/self/fd/{descriptor}")


def test_old_worker_transfers_its_connections_and_then_retires(scene: Scene) -> None:
    old, process = scene.start()
    scene.transfer.begin(old)
    assert process.heard() == Order.PAUSE + Order.TRANSFER
    assert old.state is State.DRAINING
    assert old.aborts_first
    assert old.kill_at() == scene.world.time + RETIRE_SECONDS
    scene.world.time += 0.5
    scene.transfer.done(old)
    assert process.heard() == Order.RETIRE
    assert old.kill_at() == pytest.approx(scene.world.time + RETIRE_SECONDS - 0.5)


def test_worker_without_a_transfer_order_has_the_full_time_to_retire(scene: Scene) -> None:
    old, _ = scene.start()
    scene.transfer.done(old)
    assert old.kill_at() == scene.world.time + RETIRE_SECONDS


def test_killed_worker_gets_no_orders(scene: Scene) -> None:
    old, process = scene.start()
    scene.parts.control.kill(old)
    scene.transfer.done(old)
    assert process.heard() == ""


def test_workers_of_the_current_code_adopt_connections_in_turn(scene: Scene) -> None:
    _, old = scene.start()
    scene.generation.begin(scene.world.time)
    descriptors = [connection() for _ in range(3)]
    for descriptor in descriptors:
        scene.transfer.received(descriptor)
    assert all(is_open(descriptor) for descriptor in descriptors), "they wait"
    _, one = scene.start()
    _, two = scene.start()
    scene.transfer.hand_over()
    assert (old.heard(), one.heard(), two.heard()) == ("", Order.ADOPT * 2, Order.ADOPT)
    assert not any(
        is_open(descriptor)
        for descriptor in descriptors
        if descriptor not in one.received + two.received
    )
    for process in (one, two):
        process.ends()


def test_connections_in_transit_are_closed_when_the_server_stops(scene: Scene) -> None:
    descriptor = connection()
    scene.transfer.received(descriptor)
    scene.transfer.close()
    assert not is_open(descriptor)
    scene.transfer.close()


def test_requests_of_an_old_worker_are_aborted_before_it_is_killed(scene: Scene) -> None:
    old, process = scene.start()
    scene.transfer.begin(old)
    process.heard()
    scene.world.time += RETIRE_SECONDS
    scene.parts.control.enforce_exit(old)
    assert process.heard() == Order.NOW
    assert old.kill_at() == scene.world.time + LEAVE_SECONDS
