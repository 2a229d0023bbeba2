"""The next steps, computed from values only."""

import pytest

from iotax._processes.channel import Channel
from iotax._processes.lifecycle import Replacement, State, Termination
from iotax._processes.pool import Worker
from iotax._processes.replacement import (
    Assign,
    DrainFirst,
    Kill,
    Leave,
    Start,
    Step,
    members,
    next_steps,
    predecessor,
)

OLD = Replacement("it is old")
LOST = Replacement("it is lost", urgent=True)


def worker(
    pid: int,
    state: State = State.READY,
    replacement: Replacement | None = None,
    replaces: Worker | None = None,
) -> Worker:
    one, other = Channel.pair()
    one.close()
    other.close()
    is_leaving = state in (State.DRAINING, State.DISMISSED)
    return Worker(
        one,
        float(pid),
        pid,
        state,
        replacement=replacement,
        replaces=replaces,
        is_leaving=is_leaving,
    )


def steps(
    workers: list[Worker],
    wanted: int,
    *,
    can_start: bool = True,
    slots: int = 10,
    short_of_memory: bool = False,
    stale: tuple[Worker, ...] = (),
) -> list[Step]:
    return next_steps(
        workers,
        wanted,
        counts=lambda one: one not in stale,
        can_start=can_start,
        slots=slots,
        is_short_of_memory=lambda _: short_of_memory,
    )


def test_no_steps_when_all_wanted_workers_serve() -> None:
    assert steps([worker(1), worker(2)], 2) == []


@pytest.mark.parametrize(("slots", "started"), [(10, 2), (1, 1), (0, 0)])
def test_missing_workers_are_started_up_to_the_number_of_slots(slots: int, started: int) -> None:
    assert steps([worker(1)], 3, slots=slots) == [Start()] * started


def test_no_worker_is_started_while_processes_cannot_start() -> None:
    old = worker(1, replacement=OLD)
    assert steps([old], 2, can_start=False) == []


def test_least_useful_surplus_workers_drain_first() -> None:
    serving, booting, unwanted = worker(1), worker(2, State.BOOTING), worker(3, replacement=OLD)
    lost = worker(4, replacement=LOST)
    assert steps([serving, booting, unwanted, lost], 3) == [Leave(lost)]
    assert steps([serving, booting, unwanted], 2) == [Leave(booting)]
    assert steps([serving, unwanted], 1) == [Leave(unwanted)]


def test_worker_of_another_kind_does_not_count() -> None:
    old = worker(1)
    assert steps([old], 1, stale=(old,)) == [Start()]


def test_workers_that_can_serve_are_replaced_one_at_a_time() -> None:
    one, two = worker(1, replacement=OLD), worker(2, replacement=OLD)
    assert steps([one, two], 2) == [Start(one)]
    new = worker(3, State.BOOTING, replaces=one)
    assert steps([one, two, new], 2) == []
    draining = worker(4, State.DRAINING)
    assert steps([one, two, draining], 2) == []
    draining.is_abandoned = True
    assert steps([one, two, draining], 2) == [Start(one)]


def test_without_memory_for_two_the_old_one_drains_first() -> None:
    old = worker(1, replacement=OLD)
    assert steps([old], 1, short_of_memory=True) == [DrainFirst(old)]
    assert steps([old], 1, short_of_memory=True, slots=0) == [DrainFirst(old)]
    assert steps([old], 1, slots=0) == []


def test_workers_that_cannot_serve_are_replaced_together() -> None:
    one, two = worker(1, replacement=LOST), worker(2, replacement=LOST)
    assert steps([one, two, worker(3, State.DRAINING)], 2) == [Start(one), Start(two)]


def test_urgent_replacement_takes_a_booting_worker_that_can_wait() -> None:
    old, lost = worker(1, replacement=OLD), worker(2, replacement=LOST)
    new = worker(3, State.BOOTING, replaces=old)
    assert steps([old, lost, new], 2) == [Assign(new, lost)]
    new.replaces = lost
    assert steps([old, lost, new], 2) == []


def test_next_replacement_waits_for_the_exit_of_a_failed_one() -> None:
    """The exit of the failed replacement starts the backoff of the next one."""
    lost = worker(1, replacement=LOST)
    failed = worker(2, State.KILLED, replaces=lost)
    assert steps([lost, failed], 1) == []
    failed.is_abandoned = True
    assert steps([lost, failed], 1) == [Start(lost)]


def test_hung_workers_do_not_pile_up() -> None:
    hung = [worker(pid, State.DRAINING, LOST) for pid in (1, 2, 3)]
    for number, one in enumerate(hung):
        one.termination = Termination("", 100.0 - number)
    assert steps([worker(4), *hung], 1) == [Kill(hung[2]), Kill(hung[1])]


def test_members_are_the_workers_that_count_towards_the_number() -> None:
    old = worker(1, replacement=OLD)
    new = worker(2, State.BOOTING, replaces=old)
    drains_first = worker(3, State.DRAINING, Replacement("memory", drain_first=True))
    abandoned = worker(4, State.KILLED)
    abandoned.is_abandoned = True
    workers = [old, new, drains_first, abandoned, worker(5, State.DRAINING)]
    assert members(workers) == [old, drains_first]
    assert predecessor(new) is old
    old.state = State.DRAINING
    assert predecessor(new) is None
