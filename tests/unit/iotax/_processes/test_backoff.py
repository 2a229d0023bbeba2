"""Delays between attempts to start a process."""

import pytest

from iotax._processes.backoff import Backoff


def test_delay_doubles_with_each_failure_and_resets_after_a_while() -> None:
    backoff, now, delays = Backoff(), 0.0, []
    for _ in range(11):
        backoff.failed(now, now)
        delays.append(backoff.seconds_left(now))
        now = backoff.until
    expected = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]
    assert delays == pytest.approx(expected)
    backoff.failed(now + 3600, now + 3601)
    assert backoff.seconds_left(now + 3601) == pytest.approx(0.1), "it had been good for an hour"
