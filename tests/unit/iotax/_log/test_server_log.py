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
def test_descriptors_are_recognized_by_their_names(path: str, descriptor: int | None) -> None:
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
    with pytest.raises(
        ConfigError, match=rf"is descriptor {number}, which is not open; e\.g\. acc"
    ):
        opened(log, "-", f"/proc/self/fd/{number}")


def test_files_are_checked_without_making_them(project: Path) -> None:
    def problems(server: str, access: str = "-") -> list[str]:
        config = replace(Config(), error_logfile=server, access_logfile=access)
        return [str(error) for error in module.check_files(config)]

    Path("there.log").touch()
    Path("link.log").symlink_to("no/x.log")
    assert problems("server.log", "there.log") == []
    assert problems("/dev/stdout") == []
    assert problems("no/server.log", ".") == [
        'error_logfile: cannot open "no/server.log": No such file or directory; e.g.'
        ' error_logfile="/var/log/iotax.log"',
        'access_logfile: "." is a directory; e.g. access_logfile="/var/log/iotax.log"',
    ]
    assert problems("link.log") == [
        'error_logfile: cannot open "link.log": No such file or directory; e.g.'
        ' error_logfile="/var/log/iotax.log"'
    ]
    assert problems("/dev/fd/987")[0].startswith('error_logfile: "/dev/fd/987" is descriptor 987')
    assert sorted(os.listdir()) == ["link.log", "there.log"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_directory_that_is_not_writable_is_found(project: Path) -> None:
    Path("closed").mkdir(mode=0o555)
    config = replace(Config(), error_logfile="closed/server.log")
    (error,) = module.check_files(config)
    assert "Permission denied" in str(error)
