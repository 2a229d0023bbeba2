"""The supervisor's processes, and which worker has which slot."""

from iotax._processes.channel import Channel
from iotax._processes.lifecycle import Event, Replacement, State, Termination
from iotax._processes.pool import Child, Pool, Worker


def channel() -> Channel:
    one, other = Channel.pair()
    other.close()
    return one


def worker_of(pool: Pool, pid: int, state: State = State.READY) -> Worker:
    worker = Worker(channel(), 0.0, pid, state, slot=pool.take_slot())
    pool.add(worker)
    return worker


def test_slot_is_freed_when_its_worker_has_exited() -> None:
    pool = Pool(2)
    one, other = worker_of(pool, 1), worker_of(pool, 2)
    assert {one.slot, other.slot} == {0, 1}
    assert pool.free_slots() == 0
    pool.remove(one)
    assert pool.take_slot() == one.slot
    pool.give_back(one.slot)
    assert pool.free_slots() == 1


def test_templates_come_before_workers_and_take_no_slot() -> None:
    pool = Pool(1)
    worker, template = worker_of(pool, 1), Child(channel(), 0.0, 2)
    pool.add(template)
    assert pool.children() == [template, worker]
    pool.remove(template)
    assert pool.children() == [worker]
    assert pool.free_slots() == 0


def test_ready_and_wanted_workers_have_no_replacement_request() -> None:
    pool = Pool(3)
    wanted, replaced = worker_of(pool, 1), worker_of(pool, 2)
    booting = worker_of(pool, 3, State.BOOTING)
    replaced.want(Replacement("it is old"))
    assert pool.ready_and_wanted() == [wanted]
    assert pool.booting() == [booting]


def test_only_an_urgent_request_overrides_another() -> None:
    worker = worker_of(Pool(1), 1)
    assert worker.want(Replacement("first"))
    assert not worker.want(Replacement("second"))
    assert worker.want(Replacement("lost", urgent=True))
    assert not worker.want(Replacement("lost again", urgent=True))
    assert worker.replacement == Replacement("lost", urgent=True)


def test_exit_is_enforced_until_it_is_abandoned() -> None:
    worker = worker_of(Pool(1), 1)
    assert worker.kill_at() == float("inf")
    worker.termination = Termination("late", 5.0)
    assert worker.kill_at() == 5.0
    assert worker.killed_because() == "late"
    worker.is_abandoned = True
    assert worker.kill_at() == float("inf")


def test_template_with_exit_functions_exits_last_unless_ordered_to_exit() -> None:
    template = Child(channel(), 0.0, 1, has_exit_functions=True)
    assert not template.ends_last(), "it still imports"
    template.apply(Event.READY)
    assert template.ends_last()
    template.is_leaving = True
    assert not template.ends_last()
