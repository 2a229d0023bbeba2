"""Reasons to replace a worker: time, memory, and a call that holds the GIL."""

import signal

import pytest
from played_system import World

from iotax._processes import signals
from iotax._processes.lifecycle import Cause, Event, Replacement, State
from iotax._processes.monitor import Monitor
from iotax._processes.parts import Parts
from iotax._processes.pool import Worker
from iotax._processes.running_clock import Suspicion


def ready(parts: Parts) -> Worker:
    worker = parts.spawner.start_worker()
    assert worker is not None
    worker.apply(Event.READY)
    worker.is_watched = True
    return worker


def tick(world: World, monitor: Monitor, seconds: float = 0.0) -> None:
    world.time += seconds
    monitor.tick(world.time)


def test_monitor_needs_no_tick_while_no_worker_is_watched(world: World) -> None:
    parts = world.connect()
    ready(parts).is_watched = False
    assert [*Monitor(parts).dues()] == []


def test_worker_that_exceeds_the_boot_timeout_is_killed(world: World) -> None:
    parts = world.connect("boot_timeout", "20s")
    worker, monitor = parts.spawner.start_worker(), Monitor(parts)
    assert worker is not None
    assert [*monitor.dues()] == [world.time + 20]
    tick(world, monitor, 20)
    assert world.killed == [(worker.pid, signal.SIGKILL)]
    assert worker.killed_because() == "it was not ready within 20 s (--boot-timeout)"


def test_only_the_template_that_did_not_fork_is_killed(world: World) -> None:
    """Another template may have replaced it meanwhile."""
    parts = world.connect("boot_timeout", "20s")
    monitor = Monitor(parts)
    template = parts.spawner.start(lambda job: job)
    other = parts.spawner.start(lambda job: job)
    assert template is not None
    assert other is not None
    template.apply(Event.READY)
    other.apply(Event.READY)
    parts.spawner.start_worker(template=template)
    tick(world, monitor, 20)
    assert world.killed == [(template.pid, signal.SIGKILL)]
    assert template.killed_because() == "it did not fork within 20 s"


def test_worker_over_its_lifetime_is_replaced(world: World) -> None:
    parts = world.connect("worker_lifetime", "1h")
    worker, monitor = ready(parts), Monitor(parts)
    worker.is_watched = False
    assert [*monitor.dues()] == [world.time + 3600]
    tick(world, monitor, 3600)
    why = "it has served for 60 min (--worker-lifetime)"
    assert worker.replacement == Replacement(why, Cause.LIFETIME)
    assert [*monitor.dues()] == []


def test_worker_over_its_memory_limit_drains_first(world: World) -> None:
    parts = world.connect("worker_max_rss", "1M")
    worker, monitor = ready(parts), Monitor(parts)
    world.memory[worker.pid] = 1 << 20
    tick(world, monitor)
    assert worker.replacement is None
    world.memory[worker.pid] = 3 << 20
    tick(world, monitor, 1)
    why = "it uses 3 MiB (--worker-max-rss 1 MiB)"
    assert worker.replacement == Replacement(why, Cause.MEMORY, drain_first=True)


def test_idle_worker_is_not_watched(world: World) -> None:
    parts = world.connect()
    worker, monitor = ready(parts), Monitor(parts)
    world.played_scoreboard.running[worker.slot] = [("GET /", "r1", 1.0)]
    tick(world, monitor)
    tick(world, monitor, 1)
    assert worker.is_watched
    del world.played_scoreboard.running[worker.slot]
    tick(world, monitor, 1)
    assert not worker.is_watched


@pytest.mark.parametrize(("action", "replaced"), [("log", False), ("replace", True)])
def test_interpreter_is_stuck_only_after_two_observations(
    world: World, action: str, replaced: bool
) -> None:
    parts = world.connect("request_timeout", "5s", "request_timeout_action", action)
    worker, monitor = ready(parts), Monitor(parts)
    world.played_scoreboard.stuck = 2.0
    world.played_scoreboard.running[worker.slot] = [("GET /", "r1", 2.0)]
    tick(world, monitor)
    assert world.killed == []
    assert min(monitor.dues()) == pytest.approx(world.time + Suspicion.SECONDS)
    tick(world, monitor, Suspicion.SECONDS)
    assert world.killed == [(worker.pid, signals.DUMP_STACKS)]
    assert world.has_logged(
        "is stuck while running GET / (2.0 s, r1): a call has held the GIL for more than 1 s;"
    )
    assert worker.cannot_serve() is replaced
    tick(world, monitor, 10)
    assert len(world.killed) == 1, "it is told once"


def test_stopped_worker_is_not_stuck(world: World) -> None:
    parts = world.connect()
    worker, monitor = ready(parts), Monitor(parts)
    world.played_scoreboard.stuck = 2.0
    world.played_scoreboard.running[worker.slot] = [("GET /", "r1", 2.0)]
    world.stopped.add(worker.pid)
    tick(world, monitor)
    tick(world, monitor, Suspicion.SECONDS)
    assert not worker.stuck_reported


def test_status_lists_calls_of_workers_with_a_process_id(world: World) -> None:
    parts = world.connect()
    worker, monitor = ready(parts), Monitor(parts)
    template = parts.spawner.start(lambda job: job)
    parts.spawner.start_worker(template=template)
    booting = parts.spawner.start_worker()
    assert booting is not None
    world.played_scoreboard.running[worker.slot] = [("GET /", "r1", 2.0)]
    world.log.clear()
    monitor.log_running_calls()
    assert world.log == [
        f"Worker [{worker.pid}], 0.0 s old, runs\n  GET / (2.0 s, r1)",
        f"Worker [{booting.pid}], 0.0 s old, runs\n  no request",
    ]
    assert booting.state is State.BOOTING
    assert world.killed == [(worker.pid, signals.DUMP_STACKS)]
