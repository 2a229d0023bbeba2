"""Worker numbers: 1 to N + 1, and never two workers with the same one."""

import random
import signal

import pytest
from played_system import World

from iotax._processes.channel import Channel
from iotax._processes.protocol import Order


def numbers(world: World) -> list[int]:
    found = [worker.number for worker in world.supervisor._pool.workers]
    assert len({*found}) == len(found)
    return sorted(found)


def number_of(world: World, index: int) -> int:
    slot: int = world.processes[index].job.slot
    return slot + 1


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_numbers_stay_within_the_workers_and_one_over_100_replacements(
    world: World, workers: int
) -> None:
    """Replaced one by one for any reason, or killed; the exit of a worker is seen late or early."""
    dice = random.Random(workers)
    world.start("workers", str(workers)).ready(*range(workers))
    living = [*range(workers)]
    assert numbers(world) == [*range(1, workers + 1)]
    for _ in range(100):
        index = living.pop(dice.randrange(workers))
        if dice.random() < 0.5:
            world.processes[index].ends(signal.SIGKILL)
        else:
            world.processes[index].says("sigterm")
        world.passes(60.0)
        new = len(world.processes) - 1
        living.append(new)
        assert numbers(world)[-1] <= workers + 1
        world.ready(new)
        if world.processes[index].heard():
            assert numbers(world) == [*range(1, workers + 2)]
            world.processes[index].ends()
            world.turn()
        assert len(numbers(world)) == workers
        assert numbers(world)[-1] <= workers + 1


def test_number_of_a_worker_that_exited_is_the_next_ones(world: World) -> None:
    world.start("workers", "3").ready(0, 1, 2)
    world.processes[1].ends(signal.SIGKILL)
    world.passes(60.0)
    assert (number_of(world, 1), number_of(world, 3)) == (2, 2)


def test_start_that_fails_takes_no_number(world: World) -> None:
    parts = world.connect()
    world.fork_error = OSError(11, "Resource temporarily unavailable")
    assert parts.spawner.start_worker() is None
    world.fork_error = None
    parts.spawner.start_worker()
    assert number_of(world, 0) == 1


def test_template_is_told_the_slot(world: World) -> None:
    world.start("preload", "1", "workers", "2").ready(0)
    template = world.processes[0].channel.copy()
    orders = []
    while (order := template.receive()) is not None:
        orders.append(order.text)
        assert order.kind == Order.FORK
        Channel.from_descriptor(order.descriptor).close()
    template.close()
    assert orders == ["0", "1"]
