"""Pings and the loops that they depend on, on a clock of the test."""

import pytest
from played_system import PlayedNotifier

from iotax._processes.lifecycle import FOREVER
from iotax._processes.watchdog import Loop, Watchdog


class PlayedLoop:
    """Turns when it is woken, unless it is stopped."""

    def __init__(self, name: str) -> None:
        self.name, self.turns, self.woken, self.is_stopped = name, 0, 0, False

    def wake(self) -> None:
        self.woken += 1
        if not self.is_stopped:
            self.turns += 1

    @property
    def watched(self) -> Loop:
        return Loop(self.name, lambda: self.turns, self.wake)


class World:
    def __init__(self, watchdog_seconds: float) -> None:
        self.notifier = PlayedNotifier("/x", watchdog_seconds)
        self.watchdog = Watchdog(self.notifier)
        self.loops = [PlayedLoop("Worker [1]"), PlayedLoop("Worker [2]")]
        self.now = 100.0

    def passes(self, seconds: float) -> int:
        """The number of pings within it."""
        until = self.now + seconds
        while self.now <= until:
            self.watchdog.tick(self.now, lambda: [loop.watched for loop in self.loops])
            self.now = max(self.now, self.watchdog.due())
        return len(self.notifier.take())


@pytest.mark.parametrize("seconds", [0.1, 1.0, 3.0, 30.0, 3600.0])
def test_ping_comes_twice_per_interval(seconds: float) -> None:
    world = World(seconds)
    assert world.passes(0) == 1, "the first comes immediately"
    assert 18 <= world.passes(10 * seconds) <= 21


def test_loops_are_woken_at_least_once_a_second_and_twice_per_half_interval() -> None:
    for seconds in (1.0, 60.0):
        world = World(seconds)
        world.passes(10.0)
        assert world.loops[0].woken >= max(10, 20 / seconds)


def test_no_ping_while_one_loop_is_stopped(log: list[str]) -> None:
    world = World(10.0)
    world.passes(20.0)
    stopped = world.loops[1]
    stopped.is_stopped = True
    woken = stopped.woken
    assert world.passes(8.0) <= 2, "it may have turned just before"
    assert world.passes(60.0) == 0
    assert stopped.woken == woken + 1, "its messages do not pile up"
    assert len(log) == 1
    assert log[0].startswith("error: Worker [2] hangs: its event loop has not turned for ")
    stopped.is_stopped, stopped.turns = False, stopped.turns + 1
    assert world.passes(20.0) >= 3


def test_loop_that_is_not_watched_any_more_is_forgotten() -> None:
    world = World(10.0)
    world.passes(10.0)
    world.loops[1].is_stopped = True
    world.passes(20.0)
    del world.loops[1]
    assert world.passes(10.0) >= 1


def test_without_an_interval_nothing_is_due() -> None:
    watchdog = Watchdog(PlayedNotifier("/x"))
    assert watchdog.due() == FOREVER
    watchdog.tick(1.0, lambda: pytest.fail("nothing is looked at"))
