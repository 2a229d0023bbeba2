"""Time in which the supervisor did not run does not count towards any deadline."""

import pytest

from iotax._processes.running_clock import PULSE_SECONDS, SLACK_SECONDS, RunningClock, Suspicion


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def real():
    return Clock()


@pytest.fixture
def clock(real):
    return RunningClock(real)


def test_clock_counts_waits_that_end_in_time(clock, real):
    planned = clock.now() + 1
    real.seconds += 1 + SLACK_SECONDS / 2
    clock.woke(planned)
    assert clock.now() == 1000 + 1 + SLACK_SECONDS / 2


def test_clock_leaves_out_the_time_by_which_a_wait_was_late(clock, real):
    planned = clock.now() + 1
    real.seconds += 61
    clock.woke(planned)
    assert clock.now() == planned
    real.seconds += 2
    assert clock.now() == planned + 2


def test_a_wait_without_a_limit_is_never_late(clock, real):
    real.seconds += 3600
    clock.woke(float("inf"))
    assert clock.now() == 1000 + 3600


def test_waits_for_deadlines_are_split_into_pieces(clock):
    assert clock.piece(0.3) == 0.3
    assert clock.piece(-1) == 0
    assert clock.piece(30) == PULSE_SECONDS
    assert clock.piece(86400) == 86400
    assert clock.piece(None) is None


def test_a_freeze_within_a_wait_does_not_count_towards_a_deadline(clock, real):
    """A boot timeout of 30 s, and a freeze of 20 s: only the time that ran is subtracted."""
    deadline = clock.now() + 30
    waited, frozen = 0.0, False
    while (left := deadline - clock.now()) > 0:
        piece = clock.piece(left)
        planned = clock.now() + piece
        real.seconds += piece
        waited += piece
        if waited > 5 and not frozen:
            real.seconds += 20
            frozen = True
        clock.woke(planned)
    assert waited == pytest.approx(30)
    assert real.seconds == pytest.approx(1050)


def test_a_suspicion_is_confirmed_only_when_it_lasts():
    suspicion = Suspicion()
    assert not suspicion.is_confirmed(True, 10.0)
    assert not suspicion.is_confirmed(False, 10.3)
    assert not suspicion.is_confirmed(True, 11.0)
    assert not suspicion.is_confirmed(True, 11.1)
    assert suspicion.is_confirmed(True, 11.3)
