"""Fixtures: start servers, make gates, and stop everything.

Each test waits for lines, sockets, pipes or processes; tests/support/patience.py limits a test that
fails. Nothing here sleeps.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.gates import Gate
from support.server import Server


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "smoke: the small part that every Python runs")
    config.addinivalue_line("markers", "browser: drives headless Chromium")


@pytest.fixture
def opened_gates() -> Iterator[list[Gate]]:
    """Closed after the servers have exited."""
    opened: list[Gate] = []
    yield opened
    for gate in opened:
        gate.close()


@pytest.fixture
def start(opened_gates: list[Gate]) -> Iterator[Callable[..., Server]]:
    """start("views", "--threads", "2") returns a server that listens. It is stopped by INT after
    the test, and its exit code must be 0, unless the test has stopped it."""
    servers: list[Server] = []

    def launch(*arguments: str, **more: Any) -> Server:
        servers.append(Server(*arguments, **more))
        return servers[-1].wait_until_listening()

    try:
        yield launch
        for server in servers:
            if server.process.poll() is None:
                server.stop()
    finally:
        for server in servers:
            server.kill()


@pytest.fixture
def gates(
    opened_gates: list[Gate], start: Callable[..., Server], tmp_path: Path
) -> Iterator[Callable[[str], Gate]]:
    """gates("a") makes gate a. Give the server env={"GATES": str(tmp_path)}. At the end of the
    test, calls inside are released before the servers are stopped."""

    def make(name: str) -> Gate:
        opened_gates.append(Gate(tmp_path, name))
        return opened_gates[-1]

    yield make
    for gate in opened_gates:
        gate.release()


@pytest.fixture
def project(tmp_path: Path) -> Callable[[str, str], Path]:
    """An empty directory for modules: project("main", "app = ...") returns the directory."""
    directory = tmp_path / "project"
    directory.mkdir()

    def write(name: str, text: str) -> Path:
        path = directory / (name.replace(".", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return directory

    return write
