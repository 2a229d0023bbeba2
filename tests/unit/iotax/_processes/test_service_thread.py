"""What the service manager hears of a server without a supervisor."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from played_system import PlayedNotifier

from iotax._config.options import Config
from iotax._processes import service_thread
from iotax._processes.notifier import Notifier
from iotax._processes.service_thread import ServiceThread
from iotax._processes.watchdog import Loop


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(30)
        yield sock


def heard(manager: socket.socket) -> str:
    return manager.recv(999).decode().partition("\n")[0]


def test_slow_boot_asks_for_more_time_within_the_boot_timeout(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_thread, "EXTEND_EVERY_SECONDS", 0.01)
    service = ServiceThread(Notifier(manager.getsockname()), Config(boot_timeout=0.025))
    service.boots()
    assert [heard(manager), heard(manager)] == ["EXTEND_TIMEOUT_USEC=15000000"] * 2
    service.serves(["http://a"], None)
    assert heard(manager) == "READY=1"
    service.stops("prompt", 2)
    assert heard(manager) == "STOPPING=1"


def test_watchdog_is_pinged_until_the_stop(manager: socket.socket) -> None:
    turns = [0]

    def wake() -> None:
        turns[0] += 1

    service = ServiceThread(Notifier(manager.getsockname(), 0.1), Config())
    service.boots()
    service.serves(["http://a"], Loop("The server", lambda: turns[0], wake))
    assert [heard(manager) for _ in range(3)] == ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]
    service.stops("drain", 0)
    while heard(manager) != "STOPPING=1":
        pass


@pytest.mark.parametrize(("how", "seconds"), [("drain", 37), ("prompt", 35)])
def test_messages_say_how_serving_and_stopping_begin(how: str, seconds: int) -> None:
    notifier = PlayedNotifier("/x")
    service = ServiceThread(notifier, Config(shutdown_delay=2.0))
    service.refuses(signal.SIGHUP)
    service.serves(["http://a", "unix:b"], None)
    service.stops(how, 3)
    _, refused, ready, stopping = notifier.take()
    assert refused == "READY=1 STATUS=not reloaded: SIGHUP is refused with --workers 0"
    assert ready.endswith("STATUS=1 process serves on http://a, unix:b")
    assert stopping == (
        f"STOPPING=1 EXTEND_TIMEOUT_USEC={seconds}000000 STATUS=stopping: 3 requests"
    )
