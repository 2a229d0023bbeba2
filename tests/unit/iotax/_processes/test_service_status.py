"""What the service manager hears of a supervisor that the test plays, and when."""

import signal

import pytest
from played_system import PlayedNotifier, World

from iotax._config.errors import ConfigError
from iotax._processes.protocol import Order, Report

EXTENSION = "EXTEND_TIMEOUT_USEC=15000000"


@pytest.fixture
def service(world: World) -> PlayedNotifier:
    world.notifier = PlayedNotifier("/x")
    return world.notifier


def short(messages: list[str]) -> list[str]:
    """Without what differs from run to run."""
    return [message.partition(" ")[0].removesuffix("=1") for message in messages]


def dues(world: World) -> list[float]:
    return [due for due in world.supervisor._dues() if due != float("inf")]


def replaced(world: World, number: int, by: int) -> None:
    """The next replacement starts when the old worker has exited."""
    world.ready(by)
    assert world.processes[number].heard() == Order.RETIRE
    world.processes[number].ends()
    world.turn()


def reload(world: World, service: PlayedNotifier, *options: str) -> None:
    world.start("workers", "2", *options)
    world.ready(0, 1)
    service.take()
    world.turn(signal.SIGHUP)
    assert short(service.take()) == ["RELOADING"]


def test_without_a_service_manager_nothing_is_sent(world: World) -> None:
    world.start("boot_timeout", "0")
    world.ready(0)
    assert dues(world) == []
    world.turn(signal.SIGHUP)
    assert world.notifier.take() == []


def test_first_worker_makes_the_server_ready(world: World, service: PlayedNotifier) -> None:
    world.start("workers", "2")
    assert service.take() == []
    world.ready(1)
    (ready,) = service.take()
    assert ready.startswith("READY=1 MAINPID=")
    assert "STATUS=2 workers serve on" in ready
    world.ready(0)
    assert service.take() == []
    assert dues(world) == []


def test_slow_boot_asks_for_more_time_within_the_boot_timeout(
    world: World, service: PlayedNotifier
) -> None:
    world.start("boot_timeout", "16s")
    world.passes(4)
    assert service.take() == []
    for seconds in (1, 5, 5):
        assert min(dues(world)) - world.time == seconds
        world.passes(seconds)
        assert service.take() == [EXTENSION]
    world.passes(5)
    world.processes[0].ends(9)
    world.turn()
    assert world.exit_code == 3
    assert service.take() == []


def test_reload_is_over_when_all_are_replaced(world: World, service: PlayedNotifier) -> None:
    reload(world, service)
    replaced(world, 0, by=2)
    assert service.take() == []
    world.ready(3)
    assert service.take() == ["READY=1 STATUS=reloaded"]


def test_slow_reload_asks_for_more_time(world: World, service: PlayedNotifier) -> None:
    """Each worker has the whole boot timeout."""
    reload(world, service, "boot_timeout", "12s")
    for number in (0, 1):
        world.passes(5)
        world.passes(5)
        assert service.take() == [EXTENSION, EXTENSION]
        replaced(world, number, by=2 + number)
    assert short(service.take()) == ["READY"]


def test_failed_reload_and_its_later_success_are_notified(
    world: World, service: PlayedNotifier
) -> None:
    reload(world, service)
    world.processes[2].says(Report.LOAD_ERROR, "Cannot load main:app\n\nTraceback")
    world.processes[2].ends()
    world.turn()
    assert service.take() == ["READY=1 STATUS=not reloaded: Cannot load main:app"]
    world.passes(60)
    replaced(world, 0, by=3)
    replaced(world, 1, by=4)
    assert service.take() == ["STATUS=reloaded"]


def test_reload_during_a_reload_ends_with_the_last_one(
    world: World, service: PlayedNotifier
) -> None:
    reload(world, service)
    replaced(world, 0, by=2)
    world.turn(signal.SIGHUP)
    assert short(service.take()) == ["RELOADING"]
    world.processes[3].ends(signal.SIGTERM)  # it may have imported the old code
    world.turn()
    replaced(world, 1, by=4)
    assert service.take() == []
    replaced(world, 2, by=5)
    assert service.take() == ["READY=1 STATUS=reloaded"]


def test_reload_of_wrong_settings_ends_at_once(world: World, service: PlayedNotifier) -> None:
    world.start()
    world.ready(0)
    service.take()
    world.settings_read = ConfigError("iotax.toml:1: no")
    world.turn(signal.SIGHUP)
    assert short(service.take()) == ["RELOADING", "READY"]


def test_hup_before_the_first_worker_is_ready_is_not_notified(
    world: World, service: PlayedNotifier
) -> None:
    world.start()
    world.turn(signal.SIGHUP)
    assert service.take() == []
    world.ready(*range(len(world.processes)))
    assert short(service.take()) == ["READY"]


@pytest.mark.parametrize(
    ("number", "more", "seconds"),
    [
        (signal.SIGTERM, (), 32),
        (signal.SIGINT, (), 25),
        (signal.SIGQUIT, (), 3),
        (signal.SIGTERM, ("hooks", "h"), 42),
        (signal.SIGQUIT, ("hooks", "h"), 3),
    ],
)
def test_stop_is_notified_once_with_its_longest_duration(
    world: World,
    service: PlayedNotifier,
    number: signal.Signals,
    more: tuple[str, ...],
    seconds: int,
) -> None:
    """A second signal is not notified: the service stops already."""
    world.start("shutdown_delay", "7s", "graceful_timeout", "20s", *more)
    world.ready(0)
    world.played_scoreboard.running[0] = [("GET /", "r1", 1.0)]
    service.take()
    world.turn(number)
    assert service.take() == [
        f"STOPPING=1 EXTEND_TIMEOUT_USEC={seconds}000000 STATUS=stopping: 1 request"
    ]
    world.passes(1)
    world.turn(signal.SIGQUIT)
    world.processes[0].ends()
    world.turn()
    assert service.take() == []


def test_watchdog_wakes_the_workers_that_serve(world: World) -> None:
    world.notifier = PlayedNotifier("/x", 10.0)
    world.start("workers", "2")
    world.ready(0)
    assert short(world.notifier.take()) == ["READY", "WATCHDOG"]
    assert [process.heard() for process in world.processes] == [Order.TURN, ""]
    world.played_scoreboard.made_turns += 1
    world.passes(1)
    assert world.processes[0].heard() == Order.TURN
    world.passes(60)
    assert world.notifier.take() == []
    assert world.has_logged(f"Worker [{world.processes[0].pid}] hangs: its event loop has not")
    world.turn(signal.SIGTERM)
    assert short(world.notifier.take()) == ["STOPPING"]


def test_stop_before_the_first_worker_is_ready_is_notified(
    world: World, service: PlayedNotifier
) -> None:
    world.start()
    world.turn(signal.SIGTERM)
    assert short(service.take()) == ["STOPPING"]
