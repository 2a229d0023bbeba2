"""Starting processes, and cleaning up after a failed start."""

import dataclasses
import errno
import os

import pytest
from played_system import World

from iotax._processes.channel import Channel
from iotax._processes.lifecycle import State
from iotax._processes.protocol import Order, Report

FULL = OSError(errno.EAGAIN, "Resource temporarily unavailable")


def test_worker_gets_a_slot_and_a_channel(world: World) -> None:
    parts = world.connect()
    slots = parts.pool.free_slots()
    worker = parts.spawner.start_worker()
    assert worker is not None
    (process,) = world.processes
    assert (process.job.config.app, process.job.slot, worker.pid) == (
        "main:app",
        worker.slot,
        process.pid,
    )
    assert parts.pool.free_slots() == slots - 1
    process.says(Report.READY)
    message = worker.channel.receive()
    assert message is not None
    assert message.kind == Report.READY
    assert world.log == [f"Started server process [{process.pid}]"]


def test_policy_can_adapt_the_job(world: World) -> None:
    world.connect().spawner.start_worker(lambda job: dataclasses.replace(job, slot=7))
    assert world.processes[0].job.slot == 7


def test_failed_fork_releases_slot_and_channel(world: World) -> None:
    parts = world.connect()
    slots, descriptors = parts.pool.free_slots(), os.listdir("/proc/self/fd")
    world.fork_error = FULL
    assert parts.spawner.start_worker() is None
    assert parts.spawner.start(lambda job: job) is None
    assert parts.pool.free_slots() == slots
    assert parts.pool.children() == []
    assert len(os.listdir("/proc/self/fd")) == len(descriptors)
    assert world.has_logged("Cannot start a process: Resource temporarily unavailable")
    assert not parts.backoff.allows(world.time)


def test_channel_that_cannot_be_opened_counts_as_a_failed_start(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more() -> tuple[Channel, Channel]:
        raise OSError(errno.EMFILE, "Too many open files")

    parts = world.connect()
    monkeypatch.setattr(world, "channel", no_more)
    assert parts.spawner.start_worker() is None
    assert world.has_logged("Too many open files")


def test_no_worker_starts_without_a_free_slot(world: World) -> None:
    parts = world.connect()
    while parts.pool.free_slots():
        parts.pool.take_slot()
    assert parts.spawner.start_worker() is None
    assert world.processes == []


def test_template_gets_the_fork_order_with_one_end_of_the_channel(world: World) -> None:
    parts = world.connect()
    template = parts.spawner.start(lambda job: job)
    assert template is not None
    worker = parts.spawner.start_worker(template=template)
    assert worker is not None
    assert (worker.state, worker.pid, worker.template) == (State.FORKING, 0, template)
    (process,) = world.processes
    assert process.heard() == Order.FORK
    end = Channel.from_descriptor(process.received.pop())
    end.send(Report.BOOTING, "4711")
    message = worker.channel.receive()
    assert message is not None
    assert message.text == "4711"
    end.close()


def test_only_workers_take_slots(world: World) -> None:
    parts = world.connect()
    slots = parts.pool.free_slots()
    child = parts.spawner.start(lambda job: job)
    assert child in parts.pool.others
    assert parts.pool.free_slots() == slots
    assert world.processes[0].job.slot == -1
