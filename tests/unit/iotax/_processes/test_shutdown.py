"""Stopping the server: orders, waiting, exit codes."""

import signal

import pytest
from played_system import Process, World

from iotax._processes.control import AT_ONCE_SECONDS, LEAVE_SECONDS
from iotax._processes.exit_status import EXIT_LOAD, EXIT_STOPPED
from iotax._processes.lifecycle import Event, State
from iotax._processes.parts import Parts
from iotax._processes.pool import Child, Worker
from iotax._processes.protocol import Order


def started(world: World, parts: Parts, *, ready: bool = True) -> tuple[Worker, Process]:
    worker = parts.spawner.start_worker()
    assert worker is not None
    if ready:
        worker.apply(Event.READY)
    return worker, world.processes[-1]


def exit_of(parts: Parts, child: Child) -> None:
    child.apply(Event.EXIT)
    parts.pool.remove(child)


@pytest.mark.parametrize(
    ("number", "order", "seconds"),
    [(signal.SIGTERM, Order.DRAIN, 5.0), (signal.SIGINT, Order.INTERRUPT, 0.0)],
)
def test_workers_drain_and_the_server_exits_after_the_last(
    world: World, number: signal.Signals, order: Order, seconds: float
) -> None:
    parts = world.connect("graceful_timeout", "30s", "shutdown_delay", "5s")
    worker, process = started(world, parts)
    parts.shutdown.request(number)
    assert process.heard() == order
    assert parts.shutdown.due() == world.time + seconds + 30 + LEAVE_SECONDS
    parts.shutdown.turn(world.time)
    assert parts.shutdown.exit_code is None
    exit_of(parts, worker)
    parts.shutdown.turn(world.time)
    assert parts.shutdown.exit_code == EXIT_STOPPED


def test_processes_that_do_not_exit_in_time_are_killed(world: World) -> None:
    parts = world.connect("graceful_timeout", "1s")
    worker, process = started(world, parts)
    parts.shutdown.request(signal.SIGTERM)
    world.time = parts.shutdown.due()
    parts.shutdown.turn(world.time)
    assert world.killed == [(process.pid, signal.SIGKILL)]
    assert worker.killed_because() == "it did not exit in time"
    assert parts.shutdown.exit_code is None
    worker.is_abandoned = True
    parts.shutdown.turn(world.time)
    assert parts.shutdown.exit_code == EXIT_STOPPED


def test_second_signal_aborts_requests_unless_it_repeats_the_first_quickly(world: World) -> None:
    parts = world.connect()
    worker, process = started(world, parts)
    world.played_scoreboard.running[worker.slot] = [("GET /", "r1", 1.0)]
    parts.shutdown.request(signal.SIGINT)
    parts.shutdown.request(signal.SIGINT)
    assert process.heard() == Order.INTERRUPT, "one Ctrl-C for the group and for the wrapper"
    world.time += 1
    parts.shutdown.request(signal.SIGINT)
    assert process.heard() == Order.NOW
    assert world.log[-1] == "Stopped immediately by SIGINT; 1 request aborted"
    exit_of(parts, worker)
    parts.shutdown.turn(world.time)
    assert parts.shutdown.exit_code == 128 + signal.SIGINT


def test_quit_kills_booting_workers(world: World) -> None:
    parts = world.connect()
    _, process = started(world, parts, ready=False)
    parts.shutdown.request(signal.SIGQUIT)
    assert world.killed == [(process.pid, signal.SIGKILL)]


def test_term_dismisses_booting_workers(world: World) -> None:
    parts = world.connect()
    worker, process = started(world, parts, ready=False)
    parts.shutdown.request(signal.SIGTERM)
    assert world.killed == [(process.pid, signal.SIGTERM)]
    assert worker.state is State.DISMISSED


def test_failed_start_stops_all_processes(world: World) -> None:
    parts = world.connect("workers", "2")
    worker, process = started(world, parts, ready=False)
    parts.shutdown.give_up()
    assert world.killed == [(process.pid, signal.SIGKILL)]
    assert parts.shutdown.due() == world.time + AT_ONCE_SECONDS
    exit_of(parts, worker)
    parts.shutdown.turn(world.time)
    assert parts.shutdown.exit_code == EXIT_LOAD


def test_failed_start_does_not_change_the_exit_code_of_a_quit(world: World) -> None:
    parts = world.connect("workers", "1")
    worker, _ = started(world, parts, ready=False)
    parts.shutdown.request(signal.SIGQUIT)
    parts.shutdown.give_up()
    exit_of(parts, worker)
    parts.shutdown.turn(world.time)
    assert parts.shutdown.exit_code == 128 + signal.SIGQUIT


def test_template_with_exit_functions_exits_after_the_workers(world: World) -> None:
    parts = world.connect()
    template = parts.spawner.start(lambda job: job)
    other = parts.spawner.start(lambda job: job)
    assert template is not None
    assert other is not None
    template.apply(Event.READY)
    template.has_exit_functions = True
    worker, _ = started(world, parts)
    parts.shutdown.request(signal.SIGTERM)
    assert world.killed == [(other.pid, signal.SIGKILL)], "nothing has to be ended there"
    exit_of(parts, other)
    parts.shutdown.turn(world.time)
    assert not template.is_leaving
    exit_of(parts, worker)
    parts.shutdown.turn(world.time)
    assert template.is_leaving
    assert parts.shutdown.exit_code is None
    exit_of(parts, template)
    parts.shutdown.turn(world.time)
    assert parts.shutdown.exit_code == EXIT_STOPPED


def test_terminal_is_watched_for_a_moment_after_a_hup(world: World) -> None:
    shutdown = world.connect().shutdown
    assert shutdown.due() == float("inf")
    shutdown.hup_came()
    assert shutdown.watches_terminal()
    assert shutdown.due() < world.time + 1
    assert not shutdown.request_if_terminal_is_gone()
    assert shutdown.stop is None
    world.time += 1
    assert not shutdown.watches_terminal()
    world.is_terminal_closed = True
    assert shutdown.request_if_terminal_is_gone()
    assert shutdown.stop is not None
    assert shutdown.stop.order == Order.INTERRUPT
