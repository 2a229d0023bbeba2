"""Sockets that another process has opened: which can be served, and what they keep."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from iotax._config.address import PassedAddress
from iotax._net.bind_error import BindError
from iotax._net.listeners import Listeners, open_listeners
from iotax._net.passed import close_all, take_over


def opened(*which: int | str, passed: dict[int, str] = {}) -> Listeners:  # noqa: B006
    return open_listeners(
        [PassedAddress(one) for one in which],
        backlog=16,
        unix_mode=0o600,
        example=str,
        passed=passed,
    )


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def test_tcp_listener_is_served_as_it_is(tcp: socket.socket) -> None:
    port = tcp.getsockname()[1]
    with opened(tcp.fileno()) as found:
        (listener,) = found.all
        assert (listener.label, listener.port) == (f"127.0.0.1:{port}", port)
        assert (listener.url, listener.is_local) == (f"http://127.0.0.1:{port}", True)
        assert not os.get_inheritable(listener.socket.fileno())
        assert found.descriptors() == [(listener.socket.fileno(), listener.label, True, False)]
        assert not os.get_blocking(tcp.fileno())
    socket.create_connection(("127.0.0.1", port)).close()


def test_ipv6_listener_has_a_url_for_this_machine() -> None:
    try:
        sock = socket.create_server(("::", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6")
    with sock, opened(sock.fileno()) as found:
        assert found.all[0].label == f"[::]:{sock.getsockname()[1]}"
        assert found.all[0].clickable == f"http://127.0.0.1:{sock.getsockname()[1]}"


@pytest.mark.parametrize("name", ["x.sock", "\0iotax-test-of-passed"])
def test_unix_listener_keeps_its_file_and_mode(project: Path, name: str) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(name)
        sock.listen()
        with opened(sock.fileno()) as found:
            assert found.all[0].url == f"unix:{name}".replace("\0", "@")
            assert found.all[0].is_local
            assert found.port == 0
        if name[0] != "\0":
            assert (project / name).is_socket()
            assert (project / name).stat().st_mode & 0o777 != 0o600


def test_name_stands_for_each_socket_that_has_it(tcp: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        passed = {tcp.fileno(): "web", other.fileno(): "web", 99999: "admin"}
        with opened("web", passed=passed) as found:
            ports = [listener.port for listener in found.all]
        assert ports == [tcp.getsockname()[1], other.getsockname()[1]]
    with pytest.raises(
        BindError, match=r"^fd://web: no passed socket has this name; use its number"
    ):
        opened("web")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: socket.socket(type=socket.SOCK_DGRAM), " is not a listening socket (it is a data"),
        (
            lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)[0],
            " is not a listening socket (it is a socket of sequenced packets)",
        ),
        (lambda: socket.socketpair()[0], " is a connection: set Accept=no"),
        (socket.socket, " is not a listening socket (listen() was not called on it)"),
        (
            lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
            " is not a listening socket (it is neither a TCP nor a Unix socket)",
        ),
        (
            lambda: Path(os.devnull).open(),  # noqa: SIM115  # the test closes it
            " is not a listening socket (it is a file, a pipe or a device)",
        ),
    ],
)
def test_socket_that_cannot_be_served_is_explained(make, why):  # type: ignore[no-untyped-def]
    with make() as one:
        with pytest.raises(BindError) as caught:
            take_over(one.fileno())
        assert str(caught.value).startswith(f"fd://{one.fileno()}{why}")
        assert one.fileno() >= 0


def test_descriptor_that_is_not_open_is_explained() -> None:
    with pytest.raises(BindError, match=r"^fd://9999 is not open; start the server with a socket"):
        take_over(9999)


def test_closing_leaves_standard_streams_and_what_is_closed(tcp: socket.socket) -> None:
    number = tcp.detach()
    close_all([0, 1, 2, number, number])
    os.fstat(2)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
