"""The wanted number of workers, and the description of what is still missing."""

import pytest
from played_system import World

from iotax._processes.channel import Channel
from iotax._processes.lifecycle import Replacement, State
from iotax._processes.pool import Worker
from iotax._processes.target import MORE_WORKERS_MAX, Target


def worker(pid: int, state: State = State.READY) -> Worker:
    one, other = Channel.pair()
    other.close()
    return Worker(one, 0.0, pid, state)


@pytest.mark.parametrize(("by", "end"), [(1, 2 + MORE_WORKERS_MAX), (-1, 1)])
def test_count_changes_within_its_bounds(world: World, by: int, end: int) -> None:
    target = Target(2)
    for _ in range(MORE_WORKERS_MAX + 2):
        target.change(by)
    assert target.wanted() == target.count == end


def test_worker_is_needed_while_fewer_than_wanted_can_serve_without_it() -> None:
    one, other, lost = worker(1), worker(2), worker(3)
    lost.want(Replacement("lost", urgent=True))
    workers = [one, other, lost, worker(4, State.BOOTING)]
    assert Target(2).is_needed(one, workers)
    assert not Target(1).is_needed(one, workers)
    assert not Target(2).is_needed(lost, workers)


def test_still_wanted_names_code_missing_workers_and_replacements() -> None:
    target, one = Target(2), worker(1)
    assert target.still_wanted([one, worker(2)]) == ""
    target.new_code = "SIGHUP"
    one.want(Replacement("it is old"))
    assert target.still_wanted([one]) == (
        "; still wanted: freshly imported code (SIGHUP), 2 workers that can serve (there are 1),"
        " a replacement of [1] (it is old)"
    )


def test_still_wanted_names_at_most_five() -> None:
    workers = [worker(pid) for pid in range(1, 8)]
    for one in workers:
        one.want(Replacement("it is old"))
    assert Target(7).still_wanted(workers).endswith("a replacement of [5] (it is old) and 2 more")
