"""Failures to start or load are logged once and retried."""

import pytest
from played_system import World

from iotax._processes.failures import FORK_PAUSE_SECONDS
from iotax._processes.pool import Worker


def started(world: World) -> Worker:
    worker = world.connect().spawner.start_worker()
    assert worker is not None
    return worker


def test_same_cause_is_logged_once_until_a_start_succeeds(world: World) -> None:
    parts = world.connect()
    for _ in range(3):
        parts.failures.cannot_start("Too many open files")
    assert len(world.log) == 1
    assert world.log[0].startswith("Cannot start a process: Too many open files; retrying")
    assert parts.backoff.until == world.time + FORK_PAUSE_SECONDS
    parts.failures.started()
    parts.failures.cannot_start("Too many open files")
    assert len(world.log) == 2


def test_failed_fork_order_delays_the_next_unless_its_cause_was_reported(world: World) -> None:
    parts, worker = world.connect(), started(world)
    parts.failures.cannot_start("no room")
    until = parts.backoff.until
    parts.failures.not_forked(worker)
    assert parts.backoff.until == until
    parts.failures.started()
    parts.backoff.reset()
    parts.failures.not_forked(worker)
    assert not parts.backoff.allows(world.time)


def test_error_is_logged_in_full_once(world: World) -> None:
    failures = world.connect().failures
    screen = "Cannot load the application main:app\n\nmain.py, line 1"
    failures.log_load_error(screen)
    failures.log_load_error(screen)
    assert world.log == [screen, "Cannot load the application main:app: the same error again"]
    failures.loaded()
    failures.log_load_error(screen)
    assert world.log[-1] == screen


def test_next_attempt_names_its_time_and_what_is_wanted(world: World) -> None:
    parts, worker = world.connect("workers", "2"), started(world)
    parts.failures.try_again_later(worker)
    assert world.log[-1] == (
        "Keeping the current workers; next attempt in 0.1 s; still wanted: 2 workers that can serve"
        " (there are 0)"
    )
    assert parts.backoff.seconds_left(world.time) == pytest.approx(0.1)
