"""The effect of each report in each state."""

import os
import signal

import pytest
from played_system import PlayedPolicy, Process, World

from iotax._processes.channel import Channel
from iotax._processes.inbox import Inbox
from iotax._processes.lifecycle import Cause, Event, Replacement, State
from iotax._processes.parts import Parts
from iotax._processes.pool import Worker
from iotax._processes.protocol import Report
from iotax._processes.replacer import Replacer


@pytest.fixture
def parts(world: World) -> Parts:
    return world.connect("max_requests", "10")


@pytest.fixture
def policy(parts: Parts) -> PlayedPolicy:
    return PlayedPolicy(parts)


@pytest.fixture
def inbox(parts: Parts, policy: PlayedPolicy) -> Inbox:
    return Inbox(parts, policy, Replacer(parts, policy))


def started(world: World, parts: Parts) -> tuple[Worker, Process]:
    worker = parts.spawner.start_worker()
    assert worker is not None
    return worker, world.processes[-1]


def forking(world: World, parts: Parts) -> tuple[Worker, Channel]:
    """A worker that a template was ordered to fork, and the worker's end of its channel."""
    template = parts.spawner.start(lambda job: job)
    worker = parts.spawner.start_worker(template=template)
    assert worker is not None
    world.processes[-1].heard()
    return worker, Channel.from_descriptor(world.processes[-1].received.pop())


def test_ready_report_reaches_the_replacer_and_the_policy(
    world: World, parts: Parts, policy: PlayedPolicy, inbox: Inbox
) -> None:
    worker, process = started(world, parts)
    process.says(Report.READY)
    inbox.read(worker)
    assert worker.state is State.READY
    assert policy.notes == [("ready", worker.pid)]
    process.says(Report.READY)
    inbox.read(worker)
    assert len(policy.notes) == 1, "it is impossible now, and of no effect"


@pytest.mark.parametrize(
    ("report", "text", "expected"),
    [
        (Report.SIGTERM, "", Replacement("SIGTERM")),
        (Report.THREADS_LOST, "iotax-0", Replacement("iotax-0", Cause.THREADS_LOST, urgent=True)),
        (
            Report.MAX_REQUESTS,
            "10",
            Replacement("it has had 10 requests in 0.0 s (--max-requests 10)", Cause.MAX_REQUESTS),
        ),
        (Report.BUSY, "", None),
        ("?", "", None),
    ],
)
def test_reports_of_a_serving_worker_request_its_replacement(
    world: World, parts: Parts, inbox: Inbox, report: str, text: str, expected: Replacement | None
) -> None:
    worker, process = started(world, parts)
    worker.apply(Event.READY)
    process.says(report, text)
    inbox.read(worker)
    assert worker.replacement == expected
    assert worker.is_watched is (report == Report.BUSY)


def test_sigterm_just_before_a_worker_is_ready_requests_its_replacement(
    world: World, parts: Parts, inbox: Inbox
) -> None:
    worker, process = started(world, parts)
    process.says(Report.SIGTERM)
    process.says(Report.READY)
    inbox.read(worker)
    assert worker.state is State.READY
    assert worker.replacement == Replacement("SIGTERM")


def test_sigterm_of_a_dismissed_worker_is_the_supervisors_own(
    world: World, parts: Parts, inbox: Inbox
) -> None:
    worker, process = started(world, parts)
    worker.apply(Event.DISMISS)
    process.says(Report.SIGTERM)
    inbox.read(worker)
    assert worker.replacement is None


def test_replacement_requests_are_ignored_while_the_server_stops(
    world: World, parts: Parts, inbox: Inbox
) -> None:
    worker, process = started(world, parts)
    worker.apply(Event.READY)
    parts.shutdown.request(signal.SIGTERM)
    process.says(Report.SIGTERM)
    inbox.read(worker)
    assert worker.replacement is None


def test_load_error_is_kept_until_the_worker_exits(
    world: World, parts: Parts, inbox: Inbox
) -> None:
    worker, process = started(world, parts)
    process.says(Report.LOAD_ERROR, "Cannot load it")
    inbox.read(worker)
    assert worker.boot_error == "Cannot load it"


def test_policy_handles_reports_before_the_inbox(
    world: World, parts: Parts, policy: PlayedPolicy, inbox: Inbox
) -> None:
    worker, process = started(world, parts)
    policy.takes_reports = True
    process.says(Report.READY)
    inbox.read(worker)
    assert worker.state is State.BOOTING


def test_closed_channel_is_not_an_exit(world: World, parts: Parts, inbox: Inbox) -> None:
    worker, process = started(world, parts)
    process.channel.close()
    inbox.read(worker)
    assert worker.channel_closed
    assert worker in parts.pool.workers


@pytest.mark.parametrize(
    ("event", "state", "sent"),
    [
        (None, State.BOOTING, []),
        (Event.DISMISS, State.DISMISSED, [signal.SIGTERM]),
        (Event.KILL, State.KILLED, [signal.SIGKILL]),
    ],
)
def test_pending_signals_are_sent_when_the_process_id_arrives(
    world: World,
    parts: Parts,
    inbox: Inbox,
    event: Event | None,
    state: State,
    sent: list[signal.Signals],
) -> None:
    worker, end = forking(world, parts)
    if event is not None:
        worker.apply(event)
    end.send(Report.BOOTING, "4711")
    inbox.read(worker)
    assert (worker.pid, worker.state) == (4711, state)
    assert world.killed == [(4711, number) for number in sent]
    end.close()


def test_slot_of_a_worker_that_was_never_forked_is_freed(
    world: World, parts: Parts, inbox: Inbox
) -> None:
    slots = parts.pool.free_slots()
    worker, end = forking(world, parts)
    end.send_not_forked(OSError(11, os.strerror(11)))
    end.close()
    inbox.read(worker)
    assert worker.state is State.EXITED
    assert parts.pool.free_slots() == slots
    assert world.has_logged("Cannot start a process: Resource temporarily unavailable")
    inbox.read(worker)
