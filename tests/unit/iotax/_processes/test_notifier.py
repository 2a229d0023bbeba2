"""Messages on real sockets, and the variables of the service manager."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from iotax._processes.notifier import Notifier, forget_variables


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        yield sock


def test_each_message_is_one_datagram(manager: socket.socket) -> None:
    notifier = Notifier(manager.getsockname())
    assert notifier.is_on
    notifier.ready("all \udcff well")
    notifier.not_reloaded("\n  first \nsecond")
    notifier.extend()
    notifier.stopping(0.25, 1)
    notifier.ping()
    notifier.status("x")
    assert [manager.recv(999).decode() for _ in range(6)] == [
        f"READY=1\nMAINPID={os.getpid()}\nSTATUS=all \\udcff well",
        "READY=1\nSTATUS=not reloaded: first",
        "EXTEND_TIMEOUT_USEC=15000000",
        "STOPPING=1\nEXTEND_TIMEOUT_USEC=250000\nSTATUS=stopping: 1 request",
        "WATCHDOG=1",
        "STATUS=x",
    ]


def test_message_reaches_an_abstract_address(manager: socket.socket) -> None:
    name = f"iotax-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{name}")
        Notifier(f"@{name}").ping()
        assert sock.recv(99) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("/nowhere/notify", "No such file or directory"),
        ("/" + 200 * "x", "AF_UNIX path too long"),
        ("relative", "expected an absolute path, or @ and a name"),
        ("@", "expected an absolute path, or @ and a name"),
        ("vsock:2:1234", "expected an absolute path, or @ and a name"),
    ],
)
def test_failure_is_logged_once(log: list[str], address: str, why: str) -> None:
    notifier = Notifier(address)
    notifier.ping()
    notifier.ready("x")
    assert log == [
        f'warning: Cannot notify the service manager at "{address}" (NOTIFY_SOCKET): {why}'
    ]


def test_full_socket_delays_for_a_moment_only(log: list[str], manager: socket.socket) -> None:
    notifier = Notifier(manager.getsockname())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                sender.sendto(b"x", manager.getsockname())
        notifier.ping()
    assert len(log) == 1
    assert log[0].endswith("(NOTIFY_SOCKET): timed out")


@pytest.mark.parametrize(
    ("variables", "seconds", "warnings"),
    [
        ({}, 0.0, 0),
        ({"WATCHDOG_USEC": "1000000"}, 1.0, 0),
        ({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())}, 1.0, 0),
        ({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, 0.0, 0),
        ({"WATCHDOG_USEC": "0"}, 0.0, 0),
        ({"WATCHDOG_USEC": "1s"}, 0.0, 1),
        ({"WATCHDOG_USEC": "-1"}, 0.0, 1),
    ],
)
def test_watchdog_interval_is_read_from_the_variables(
    log: list[str], variables: dict[str, str], seconds: float, warnings: int
) -> None:
    with_socket = {"NOTIFY_SOCKET": "/x", **variables}
    assert Notifier.from_environ(with_socket).watchdog_seconds == seconds
    assert len(log) == warnings
    off = Notifier.from_environ(variables)
    assert (off.is_on, off.watchdog_seconds) == (False, 0.0)


def test_only_the_variables_of_systemd_are_forgotten() -> None:
    environ = {
        "LISTEN_FDS": "1",
        "LISTEN_FDNAMES": "web",
        "LISTEN_PID": "1",
        "NOTIFY_SOCKET": "/x",
        "WATCHDOG_PID": "1",
        "WATCHDOG_USEC": "1",
        "LISTEN_ADDRESS": "of the application",
    }
    forget_variables(environ)
    assert environ == {"LISTEN_ADDRESS": "of the application"}
