"""Control of one process: orders, signals, deadlines."""

import signal

import pytest
from played_system import Process, World

from iotax._processes.control import AT_ONCE_SECONDS, KILLED_SECONDS, LEAVE_SECONDS
from iotax._processes.lifecycle import Event, Replacement, State
from iotax._processes.parts import Parts
from iotax._processes.pool import Worker
from iotax._processes.protocol import GONE, Order


@pytest.fixture
def parts(world: World) -> Parts:
    return world.connect("graceful_timeout", "30s")


def started(world: World, parts: Parts, *, ready: bool = True) -> tuple[Worker, Process]:
    worker = parts.spawner.start_worker()
    assert worker is not None
    if ready:
        worker.apply(Event.READY)
    return worker, world.processes[-1]


def test_serving_worker_is_ordered_to_drain(world: World, parts: Parts) -> None:
    worker, process = started(world, parts)
    parts.control.drain(worker)
    assert process.heard() == Order.RETIRE
    assert worker.state is State.DRAINING
    assert worker.kill_at() == world.time + 30 + LEAVE_SECONDS
    parts.control.drain(worker)
    assert process.heard() == "", "it has its order"


def test_booting_worker_is_dismissed(world: World, parts: Parts) -> None:
    worker, process = started(world, parts, ready=False)
    parts.control.drain(worker)
    assert world.killed == [(process.pid, signal.SIGTERM)]
    assert worker.state is State.DISMISSED
    assert worker.kill_at() == world.time + AT_ONCE_SECONDS


def test_no_signal_is_sent_without_a_process_id(world: World, parts: Parts) -> None:
    template = parts.spawner.start(lambda job: job)
    worker = parts.spawner.start_worker(template=template)
    assert worker is not None
    parts.control.dump_stacks(worker)
    parts.control.dismiss(worker)
    parts.control.kill(worker)
    assert world.killed == []
    assert worker.state is State.KILLED, "as soon as the id is known"


def test_killed_process_is_abandoned_after_a_while(world: World, parts: Parts) -> None:
    worker, process = started(world, parts)
    parts.control.expect_exit(worker, "it did not leave", 1.0)
    parts.control.enforce_exit(worker)
    assert world.killed == [(process.pid, signal.SIGKILL)]
    assert worker.kill_at() == world.time + KILLED_SECONDS
    assert worker.killed_because() == "it did not leave"
    world.time += KILLED_SECONDS
    parts.control.enforce_exit(worker)
    assert worker.is_abandoned
    assert world.has_logged("has not exited 5 s after SIGKILL")


def test_exited_process_is_not_killed(world: World, parts: Parts) -> None:
    worker, _ = started(world, parts)
    worker.apply(Event.EXIT)
    parts.control.kill(worker)
    assert world.killed == []


def test_worker_aborts_its_requests_before_it_is_killed(world: World, parts: Parts) -> None:
    worker, process = started(world, parts)
    worker.apply(Event.DRAIN)
    worker.aborts_first = True
    world.played_scoreboard.running[worker.slot] = [("GET /slow", "r1", 3.0)]
    parts.control.kill(worker)
    assert process.heard() == Order.NOW
    assert world.has_logged("Aborted: GET /slow (3.0 s, r1)")
    assert world.killed == []
    parts.control.kill(worker)
    assert world.killed == [(process.pid, signal.SIGKILL)]


def test_replacement_request_is_logged_once(world: World, parts: Parts) -> None:
    worker, _ = started(world, parts)
    parts.control.want(worker, Replacement("it is old"))
    parts.control.want(worker, Replacement("it is older"))
    assert [line for line in world.log if "Replacing" in line] == [
        f"Replacing worker [{worker.pid}]: it is old"
    ]


def test_template_exits_when_its_channel_closes(world: World, parts: Parts) -> None:
    template = parts.spawner.start(lambda job: job)
    assert template is not None
    parts.control.end_template(template)
    message = world.processes[-1].channel.receive()
    assert message is not None
    assert message.kind == GONE
    assert template.is_leaving
    assert template in parts.pool.children()


def test_discarded_template_is_killed_and_forgotten(world: World, parts: Parts) -> None:
    template = parts.spawner.start(lambda job: job)
    assert template is not None
    parts.control.discard(template)
    assert world.killed == [(template.pid, signal.SIGKILL)]
    assert parts.pool.children() == []
