"""Descriptors and files of the log."""

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from iotax._config.errors import ConfigError
from iotax._config.options import Config
from iotax._log import server_log as module


def opened(log: list[str], server: str, access: str) -> str:
    """The descriptors and paths that the extension gets."""
    module.open_log(replace(Config(), error_logfile=server, access_logfile=access), {})
    return log[-1]


@pytest.fixture
def connection() -> Iterator[int]:
    """The descriptor of a socket, as systemd passes standard output."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours.fileno()


@pytest.mark.parametrize(
    ("path", "descriptor"),
    [
        ("/dev/stdin", 0),
        ("/dev/stdout", 1),
        ("/dev/stderr", 2),
        ("/dev/fd/1", 1),
        ("/dev/./fd/12", 12),
        ("/proc/self/fd/2", 2),
        ("/proc/thread-self/fd/7", 7),
        ("/proc/1/fd/1", None),
        ("/dev/null", None),
        ("/dev/fd/x", None),
        ("/dev/stdout/x", None),
        ("server.log", None),
        ("stdout", None),
    ],
)
def test_names_of_descriptors(path: str, descriptor: int | None) -> None:
    assert module.descriptor_named_by(path) == descriptor


def test_a_link_to_a_descriptor_is_one(project: Path) -> None:
    Path("access.log").symlink_to("/dev/stdout")
    Path("second.log").symlink_to("access.log")
    Path("other.log").symlink_to("file")
    Path("circle").symlink_to("circle")
    assert module.descriptor_named_by("second.log") == 1
    assert module.descriptor_named_by("other.log") is None
    assert module.descriptor_named_by("circle") is None
    assert module.descriptor_named_by(f"/proc/{os.getpid()}/fd/1") == 1


def test_named_descriptor_is_used_and_never_opened_again(log: list[str], connection: int) -> None:
    told = opened(log, "/dev/stderr", f"/dev/fd/{connection}")
    assert told.startswith(f"open: [2, {connection}]")
    assert "'paths': (b'', b'')" in told
    module._close(module._opened)
    os.fstat(connection)  # it belongs to its owner
    assert opened(log, "server.log", "-").endswith(
        f"'paths': ({os.fsencode(os.path.abspath('server.log'))!r}, b''), 'threads': True}}"
    )


def test_a_descriptor_that_cannot_be_written_is_named(log: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with open(tmp_path / "file", "rb") as file:
        number = file.fileno()
        with pytest.raises(ConfigError, match=rf'"/dev/fd/{number}" is descriptor {number}, .*rea'):
            opened(log, f"/dev/fd/{number}", "-")
    with pytest.raises(ConfigError, match=rf"is descriptor {number}, which is not open; e\.g\. --"):
        opened(log, "-", f"/proc/self/fd/{number}")
