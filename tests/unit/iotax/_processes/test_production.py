"""How workers are started in production, and what a failed boot means."""

import signal

import pytest
from played_system import World

from iotax._processes.channel import Message
from iotax._processes.exit_status import EXIT_LOAD
from iotax._processes.lifecycle import Cause, Event, Replacement, State
from iotax._processes.parts import Parts
from iotax._processes.pool import Child, Worker
from iotax._processes.preload import TemplateJob
from iotax._processes.production import Production
from iotax._processes.protocol import Report


def worker_of(parts: Parts, policy: Production) -> Worker:
    policy.start_worker(None)
    return parts.pool.workers[-1]


def preloaded(world: World) -> tuple[Parts, Production, Child]:
    """The production policy with a template that is ready."""
    parts = world.connect("preload", "1")
    policy = Production(parts)
    assert not policy.can_start(world.time)
    (template,) = parts.pool.others
    policy.on_report(template, Message(Report.READY))
    assert policy.can_start(world.time)
    return parts, policy, template


def ended(parts: Parts, policy: Production, child: Child) -> bool:
    parts.pool.remove(child)
    expected = policy.on_exit(child, lambda: "has ended")
    child.apply(Event.EXIT)
    return expected


def test_without_preload_workers_are_forks_of_the_supervisor(world: World) -> None:
    parts = world.connect()
    policy = Production(parts)
    assert policy.can_start(world.time)
    assert worker_of(parts, policy).state is State.BOOTING
    parts.backoff.wait(world.time, 1.0)
    assert not policy.can_start(world.time)


def test_with_preload_workers_are_forks_of_a_template(world: World) -> None:
    parts, policy, template = preloaded(world)
    assert isinstance(world.processes[0].job, TemplateJob)
    worker = worker_of(parts, policy)
    assert (worker.state, worker.template) == (State.FORKING, template)
    assert policy.can_start(world.time)
    assert parts.pool.others == [template], "one is enough"


def test_hup_replaces_all_workers_from_a_new_template(world: World) -> None:
    parts, policy, old = preloaded(world)
    worker = worker_of(parts, policy)
    worker.state = State.READY
    parts.pool.has_served = True
    policy.on_hup()
    assert policy.can_start(world.time), "the old template serves until the new one is ready"
    assert worker.replacement is None
    new = parts.pool.others[-1]
    assert new is not old
    policy.on_report(new, Message(Report.READY))
    assert worker.replacement is not None
    assert worker.replacement.reason == "SIGHUP"
    assert worker_of(parts, policy).template is new
    policy.tick(world.time)
    assert not old.is_leaving, "a worker is its fork"
    parts.pool.remove(worker)
    policy.tick(world.time)
    assert old.is_leaving
    assert not new.is_leaving


def test_second_hup_does_not_use_a_template_with_old_code(world: World) -> None:
    parts, policy, _ = preloaded(world)
    policy.on_hup()
    policy.can_start(world.time)
    new = parts.pool.others[-1]
    policy.on_hup()
    assert world.killed == [(new.pid, signal.SIGKILL)]
    assert new not in parts.pool.others
    policy.can_start(world.time)
    assert len(parts.pool.others) == 2


def test_hup_dismisses_booting_workers_once_one_has_served(world: World) -> None:
    parts = world.connect()
    policy = Production(parts)
    first = worker_of(parts, policy)
    policy.on_hup()
    assert first.state is State.BOOTING
    assert first.replacement is not None
    parts.pool.has_served = True
    second = worker_of(parts, policy)
    policy.on_hup()
    assert second.state is State.DISMISSED
    assert second.leaves_for == Replacement("SIGHUP", Cause.RELOAD)


def test_exit_of_a_template_is_a_failure_unless_it_was_replaced(world: World) -> None:
    parts, policy, old = preloaded(world)
    policy.on_hup()
    policy.can_start(world.time)
    new = parts.pool.others[-1]
    policy.on_report(new, Message(Report.READY))
    assert ended(parts, policy, old)
    assert not ended(parts, policy, new)
    assert not policy.can_start(world.time)
    (third,) = parts.pool.others
    parts.shutdown.request(signal.SIGTERM)
    assert ended(parts, policy, third)


@pytest.mark.parametrize("why", ["", "it ended with exit code 5"])
def test_failed_first_boot_stops_the_server(world: World, why: str) -> None:
    parts = world.connect()
    policy = Production(parts)
    worker = worker_of(parts, policy)
    worker.boot_error = "" if why else "Cannot load it"
    policy.on_boot_failure(worker, why)
    expected = f"iotax: process [{worker.pid}] was to load main:app, but {why}"
    assert world.said == [expected if why else "\nCannot load it"]
    assert parts.shutdown.stop is not None
    assert parts.shutdown.stop.exit_code == EXIT_LOAD


@pytest.mark.parametrize("why", ["", "it ended with exit code 5"])
def test_later_failed_boot_is_retried(world: World, why: str) -> None:
    parts = world.connect()
    policy = Production(parts)
    parts.pool.has_served = True
    worker = worker_of(parts, policy)
    worker.boot_error = "" if why else "Cannot load it"
    policy.on_boot_failure(worker, why)
    assert world.said == []
    assert parts.shutdown.stop is None
    assert world.has_logged(f"did not get ready: {why}" if why else "Cannot load it")
    assert world.log[-1].startswith("Keeping the current workers; next attempt in 0.1 s")
    assert not policy.can_start(world.time)
