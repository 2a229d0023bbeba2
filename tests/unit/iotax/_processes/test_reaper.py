"""Exits of processes: which are failures, and what is logged."""

import signal

import pytest
from played_system import PlayedPolicy, World

from iotax._processes.admin_process import AdminProcess
from iotax._processes.child_exit import ChildExits
from iotax._processes.exit_status import Exit
from iotax._processes.inbox import Inbox
from iotax._processes.lifecycle import Cause, Event, Replacement, State
from iotax._processes.parts import Parts
from iotax._processes.pool import Worker
from iotax._processes.protocol import Report
from iotax._processes.reaper import Reaper, cause_of_exit
from iotax._processes.replacer import Replacer
from iotax._processes.service_status import ServiceStatus


@pytest.fixture
def parts(world: World) -> Parts:
    return world.connect()


@pytest.fixture
def policy(parts: Parts) -> PlayedPolicy:
    return PlayedPolicy(parts)


@pytest.fixture
def reaper(parts: Parts, policy: PlayedPolicy) -> Reaper:
    inbox = Inbox(parts, policy, Replacer(parts, policy))
    return Reaper(
        parts, policy, inbox, ChildExits(parts), ServiceStatus(parts), AdminProcess(parts)
    )


def started(parts: Parts, *, ready: bool) -> Worker:
    worker = parts.spawner.start_worker()
    assert worker is not None
    if ready:
        worker.apply(Event.READY)
    return worker


@pytest.mark.usefixtures("policy")
def test_death_of_a_serving_worker_is_logged_with_its_requests(
    world: World, parts: Parts, reaper: Reaper
) -> None:
    worker = started(parts, ready=True)
    world.played_scoreboard.running[worker.slot] = [("GET /", "r1", 2.0)]
    world.time += 12
    world.processes[0].ends(signal.SIGSEGV)
    reaper.reap()
    assert world.log[-1] == (
        f"Worker [{worker.pid}] died of SIGSEGV (segmentation fault) after 12 s while"
        " running GET / (2.0 s, r1); starting a replacement"
    )
    assert (worker.state, parts.pool.workers) == (State.EXITED, [])
    assert parts.backoff.allows(world.time), "it was not young"


def test_exit_of_a_young_worker_delays_the_next_start(
    world: World, parts: Parts, reaper: Reaper
) -> None:
    started(parts, ready=True)
    world.processes[0].ends(signal.SIGKILL)
    reaper.reap()
    assert not parts.backoff.allows(world.time)


@pytest.mark.parametrize(
    ("status", "why"),
    [(5 << 8, "it ended with exit code 5"), (signal.SIGABRT, "it died of SIGABRT (aborted)")],
)
def test_policy_handles_exits_before_ready(
    world: World, parts: Parts, policy: PlayedPolicy, reaper: Reaper, status: int, why: str
) -> None:
    worker = started(parts, ready=False)
    world.processes[0].ends(status)
    reaper.reap()
    assert policy.notes == [("boot failure", worker.pid, why)]


def test_reports_sent_before_the_exit_are_read(
    world: World, parts: Parts, policy: PlayedPolicy, reaper: Reaper
) -> None:
    worker = started(parts, ready=False)
    world.processes[0].says(Report.LOAD_ERROR, "Cannot load it")
    world.processes[0].ends()
    reaper.reap()
    assert worker.boot_error == "Cannot load it"
    assert policy.notes == [("boot failure", worker.pid, "")]


def test_killed_boot_is_logged_with_the_reason_for_the_kill(
    world: World, parts: Parts, policy: PlayedPolicy, reaper: Reaper
) -> None:
    worker = started(parts, ready=False)
    parts.control.kill(worker, "it was too slow")
    world.processes[0].ends(signal.SIGKILL)
    reaper.reap()
    assert policy.notes == [("boot failure", worker.pid, "it was too slow")]


def test_term_for_the_process_group_is_not_a_failure(
    world: World, parts: Parts, policy: PlayedPolicy, reaper: Reaper
) -> None:
    started(parts, ready=False)
    world.processes[0].ends(signal.SIGTERM)
    reaper.reap()
    assert policy.notes == []
    assert world.has_logged("got SIGTERM before it was ready; starting another")


def test_exit_that_the_policy_expects_is_not_logged(
    world: World, parts: Parts, policy: PlayedPolicy, reaper: Reaper
) -> None:
    policy.expects_exits = True
    worker = started(parts, ready=True)
    world.log.clear()
    world.processes[0].ends(signal.SIGSEGV)
    reaper.reap()
    assert worker.state is State.EXITED
    assert world.log == []


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (0, None),
        (signal.SIGTERM, None),
        (signal.SIGSEGV, "during shutdown, with no request in progress"),
    ],
)
def test_exit_of_a_drained_worker_is_logged_only_after_an_error(
    world: World, parts: Parts, reaper: Reaper, status: int, said: str | None
) -> None:
    worker = started(parts, ready=True)
    parts.control.drain(worker)
    world.log.clear()
    world.processes[0].ends(status)
    reaper.reap()
    assert len(world.log) == (said is not None)
    assert said is None or said in world.log[0]


def test_killed_worker_is_logged_with_the_reason(
    world: World, parts: Parts, reaper: Reaper
) -> None:
    worker = started(parts, ready=True)
    parts.control.drain(worker)
    parts.control.enforce_exit(worker)
    world.processes[0].ends(signal.SIGKILL)
    reaper.reap()
    said = "was killed with no request in progress: it did not exit in time"
    assert world.log[-1] == f"Worker [{worker.pid}] {said}"


def test_exited_template_is_restarted(world: World, parts: Parts, reaper: Reaper) -> None:
    template = parts.spawner.start(lambda job: job)
    assert template is not None
    template.apply(Event.READY)
    world.processes[0].ends(signal.SIGKILL)
    reaper.reap()
    assert parts.pool.others == []
    said = "was killed by SIGKILL from outside; starting another"
    assert world.log == [f"The template process [{template.pid}] {said}"]


def test_exit_of_an_adopted_process_is_ignored(
    world: World, parts: Parts, policy: PlayedPolicy, reaper: Reaper
) -> None:
    worker = started(parts, ready=True)
    parts.pool.workers.clear()
    world.processes[0].ends(signal.SIGKILL)
    world.log.clear()
    reaper.reap()
    assert (world.log, policy.notes) == ([], [])
    assert worker.state is State.READY


KILL, SEGV, TERM, OOM = Exit(9), Exit(11), Exit(15), Exit(9, out_of_memory=True)
BOOTS, READY, DRAINS, KILLED = State.BOOTING, State.READY, State.DRAINING, State.KILLED


@pytest.mark.parametrize(
    ("before", "exited", "stop", "cause"),
    [
        (BOOTS, Exit(0), False, Cause.BOOT),
        (BOOTS, SEGV, False, Cause.BOOT),
        (BOOTS, OOM, False, Cause.OOM),
        (BOOTS, TERM, False, Cause.OTHER),
        (BOOTS, TERM, True, Cause.STOP),
        (READY, Exit(0), False, Cause.CRASH),
        (READY, Exit(5 << 8), False, Cause.CRASH),
        (READY, SEGV, False, Cause.CRASH),
        (READY, KILL, False, Cause.CRASH),
        (READY, OOM, False, Cause.OOM),
        (READY, KILL, True, Cause.CRASH),
        (DRAINS, Exit(0), True, Cause.STOP),
        (DRAINS, SEGV, True, Cause.CRASH),
        (DRAINS, Exit(0), False, Cause.OTHER),
        (KILLED, KILL, True, Cause.STOP),
        (KILLED, KILL, False, Cause.OTHER),
    ],
)
def test_cause_of_an_exit_depends_on_the_state_and_the_status(
    parts: Parts, before: State, exited: Exit, stop: bool, cause: Cause
) -> None:
    worker = started(parts, ready=before is not BOOTS)
    if before is DRAINS:
        worker.apply(Event.DRAIN)
    assert cause_of_exit(worker, before, exited, is_stopping=stop) is cause


@pytest.mark.parametrize("cause", [Cause.RELOAD, Cause.MEMORY, Cause.STUCK])
def test_cause_of_a_replaced_worker_is_that_of_its_replacement(parts: Parts, cause: Cause) -> None:
    worker = started(parts, ready=True)
    worker.want(Replacement("why", cause))
    assert cause_of_exit(worker, READY, Exit(1 << 8), is_stopping=False) is Cause.CRASH
    worker.apply(Event.DRAIN)
    for before, exited in ((DRAINS, Exit(0)), (KILLED, KILL)):
        assert cause_of_exit(worker, before, exited, is_stopping=False) is cause
    assert cause_of_exit(worker, DRAINS, SEGV, is_stopping=False) is Cause.CRASH


def test_cause_of_a_load_error_is_the_boot_also_while_the_server_gives_up(parts: Parts) -> None:
    worker = started(parts, ready=False)
    worker.boot_error = "Cannot load it"
    assert cause_of_exit(worker, BOOTS, Exit(0), is_stopping=True) is Cause.BOOT
