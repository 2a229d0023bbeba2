"""Real sockets on loopback: what is bound, how, and the error if that fails."""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from iotax._config.address import Address, TcpAddress, UnixAddress, parse_address
from iotax._net import listeners as module
from iotax._net.bind_error import BindError
from iotax._net.listeners import Listeners, open_listeners


def opened(*addresses: Address, mode: int | None = None) -> Listeners:
    return open_listeners(
        addresses, backlog=16, unix_mode=mode, example=lambda address: f"--port {address.port}"
    )


def refusal(*addresses: Address) -> BindError:
    with pytest.raises(BindError) as caught:
        opened(*addresses)
    return caught.value


@pytest.fixture
def umask() -> Iterator[None]:
    former = os.umask(0o027)
    yield
    os.umask(former)


def test_a_tcp_listener_accepts_and_is_set_up() -> None:
    with opened(TcpAddress("127.0.0.1", 0)) as found:
        (listener,) = found.all
        assert listener.label == f"127.0.0.1:{found.port}"
        assert listener.url == f"http://127.0.0.1:{found.port}"
        assert listener.clickable == ""
        assert not listener.socket.getblocking()
        assert not os.get_inheritable(listener.socket.fileno())
        assert listener.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        with socket.create_connection(("127.0.0.1", found.port)):
            accepted, _ = listener.socket.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert found.descriptors() == [(listener.socket.fileno(), listener.label, False, False)]


def test_a_wildcard_has_a_url_with_an_address() -> None:
    with opened(TcpAddress("0.0.0.0", 0), TcpAddress("::", 0)) as found:
        v4, v6 = found.all
        assert v4.clickable == f"http://127.0.0.1:{v4.port}"
        assert v6.url == f"http://[::]:{v6.port}"
        assert v6.clickable == f"http://127.0.0.1:{v6.port}"
        socket.create_connection(("127.0.0.1", v6.port)).close()
        socket.create_connection(("::1", v6.port)).close()


def test_another_v6_address_takes_v6_only() -> None:
    with opened(TcpAddress("::1", 0)) as found:
        (listener,) = found.all
        assert listener.label == f"[::1]:{found.port}"
        assert listener.socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def test_a_star_is_every_address_on_one_port() -> None:
    with opened(TcpAddress("*", 0)) as found:
        port = found.port
        assert [one.label for one in found.all] == [f"0.0.0.0:{port}", f"[::]:{port}"]
        assert found.all[1].socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        socket.create_connection(("127.0.0.1", port)).close()
        socket.create_connection(("::1", port)).close()


def test_a_star_without_ipv6_is_every_ipv4_address(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def without_ipv6(family: int, kind: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, kind)

    monkeypatch.setattr(module.socket, "socket", without_ipv6)
    with opened(TcpAddress("*", 0)) as found:
        assert [one.label for one in found.all] == [f"0.0.0.0:{found.port}"]


def free_port() -> int:
    with opened(TcpAddress("*", 0)) as found:
        return found.port


def test_both_wildcards_may_be_named_on_one_port() -> None:
    port = free_port()
    with opened(TcpAddress("::", port), TcpAddress("0.0.0.0", port)) as found:
        assert [one.label for one in found.all] == [f"[::]:{port}", f"0.0.0.0:{port}"]


def test_address_given_twice_is_reported_as_own() -> None:
    port = free_port()
    text = str(refusal(TcpAddress("*", port), TcpAddress("127.0.0.1", port)))
    assert text == (
        f"127.0.0.1:{port} is in use by another address of this server, 0.0.0.0:{port}; leave one"
        " of them out"
    )


def test_a_listener_knows_whether_only_this_machine_can_connect(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with opened(TcpAddress("127.0.0.2", 0), TcpAddress("::1", 0), UnixAddress(path)) as found:
        assert all(one.is_local for one in found.all)
    with opened(TcpAddress("*", 0)) as found:
        assert not any(one.is_local for one in found.all)


def resolve_to(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    def getaddrinfo(host: bytes, port: int, **_: object) -> list[object]:
        assert host == b"localhost"
        kinds = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(kinds[":" in a], socket.SOCK_STREAM, 6, "", (a, port)) for a in hosts]

    monkeypatch.setattr(module.socket, "getaddrinfo", getaddrinfo)


def test_a_name_binds_every_address_on_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, "127.0.0.1", "::1", "127.0.0.1")
    with opened(TcpAddress("localhost", 0)) as found:
        assert [listener.label for listener in found.all] == [
            f"127.0.0.1:{found.port}",
            f"[::1]:{found.port}",
        ]


def test_a_name_may_stand_for_an_address_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, "203.0.113.1", "127.0.0.1")
    with opened(TcpAddress("localhost", 0)) as found:
        assert [listener.label for listener in found.all] == [f"127.0.0.1:{found.port}"]
    resolve_to(monkeypatch, "203.0.113.1", "203.0.113.2")
    assert str(refusal(TcpAddress("localhost", 80))).startswith(
        "localhost:80 is not an address of this machine; use one of its addresses, e.g. 127.0.0.1"
    )


def test_address_in_use_is_explained() -> None:
    with opened(TcpAddress("127.0.0.1", 0)) as found:
        error = refusal(TcpAddress("127.0.0.1", 0), TcpAddress("127.0.0.1", found.port))
    assert error.errno == errno.EADDRINUSE
    assert str(error) == (
        f"127.0.0.1:{found.port} is in use: stop the other process or take another port,"
        f" e.g. --port {found.port + 1}"
    )


def test_address_of_another_machine_is_explained() -> None:
    assert str(refusal(TcpAddress("203.0.113.1", 8000))) == (
        "203.0.113.1:8000 is not an address of this machine;"
        " use one of its addresses, e.g. 127.0.0.1, or 0.0.0.0 for all"
    )


def test_a_name_that_does_not_resolve_is_explained() -> None:
    text = str(refusal(TcpAddress("no such host", 8000)))
    assert "cannot listen on no such host:8000: the name no such host does not" in text
    assert "e.g. 127.0.0.1 or 0.0.0.0" in text
    assert "invalid host name" in str(refusal(TcpAddress("ä" * 70 + ".example", 80)))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (
            errno.EACCES,
            "127.0.0.1:80 is not permitted: ports below 1024 need root or CAP_NET_BIND_SERVICE;"
            " use a higher port, e.g. --port 8000",
        ),
        (errno.EMFILE, "cannot listen on 127.0.0.1:80: Too many open files"),
    ],
)
def test_other_failures_are_explained(
    monkeypatch: pytest.MonkeyPatch, number: int, text: str
) -> None:
    def refuse(*_: object, **_named: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, "_listen_tcp", refuse)
    assert str(refusal(TcpAddress("127.0.0.1", 80))) == text


def test_bound_addresses_are_released_when_a_later_one_fails(tmp_path: Path) -> None:
    path = tmp_path / "s"
    refusal(UnixAddress(str(path)), TcpAddress("203.0.113.1", 80))
    assert not path.exists()


def test_a_unix_socket_accepts_and_is_removed(tmp_path: Path, umask: None) -> None:
    path = tmp_path / "s"
    with opened(UnixAddress(str(path))) as found:
        (listener,) = found.all
        assert listener.label == listener.url == f"unix:{path}"
        assert (listener.clickable, found.port) == ("", 0)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    assert not path.exists()


def test_hand_over_closes_the_sockets_and_keeps_the_files(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with opened(UnixAddress(str(path)), TcpAddress("127.0.0.1", 0)) as found:
        port = found.port
        found.hand_over()
        assert [listener.socket.fileno() for listener in found.all] == [-1, -1]
        assert found.port == port
        assert path.is_socket()
    assert not path.exists()


def test_unix_mode_is_exact(tmp_path: Path, umask: None) -> None:
    path = tmp_path / "s"
    with opened(UnixAddress(str(path)), mode=0o606):
        assert stat.S_IMODE(path.stat().st_mode) == 0o606


def test_a_path_that_is_not_utf_8_can_be_logged(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    with opened(UnixAddress(path)) as found:
        ((_, label, _, _),) = found.descriptors()
    assert label == f"unix:{tmp_path}/\\xff"


def test_a_stale_unix_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    former = path.stat().st_ino
    with opened(UnixAddress(str(path))) as found, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert found.all[0].socket.accept()[0].close() is None
    assert former


def test_a_live_unix_socket_is_in_use_even_when_its_queue_is_full(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(0)
        text = f"unix:{path} is in use: stop the other process or take another path, e.g. unix:"
        assert str(refusal(UnixAddress(str(path)))).startswith(text)
        clients = []
        for _ in range(4):
            clients.append(socket.socket(socket.AF_UNIX))
            clients[-1].setblocking(False)
            clients[-1].connect_ex(str(path))
        assert str(refusal(UnixAddress(str(path)))).startswith(text)
        for client in clients:
            client.close()
    assert path.is_socket()


def test_file_of_another_type_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("mine", encoding="utf-8")
    assert "a file of another type, which is not removed" in str(refusal(UnixAddress(str(path))))
    assert path.read_text(encoding="utf-8") == "mine"
    link = tmp_path / "link"
    link.symlink_to(path)
    assert "a file of another type" in str(refusal(UnixAddress(str(link))))
    assert link.is_symlink()


def test_invalid_unix_paths_are_explained(tmp_path: Path) -> None:
    missing = tmp_path / "no" / "s"
    assert f"directory {missing.parent} not found" in str(refusal(UnixAddress(str(missing))))
    assert "at most 107 bytes" in str(refusal(UnixAddress("x" * 108)))


def test_no_permission_for_a_unix_socket_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(module, "_remove_stale", refuse)
    path = tmp_path / "s"
    assert f"may not create files in {tmp_path}" in str(refusal(UnixAddress(str(path))))


def test_the_file_is_removed_only_if_it_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with opened(UnixAddress(str(path))), socket.socket(socket.AF_UNIX) as other:
        path.unlink()
        other.bind(str(path))
    assert path.is_socket()


def test_the_file_is_removed_only_by_the_process_that_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s"
    with opened(UnixAddress(str(path))) as found:
        with monkeypatch.context() as child:
            child.setattr(module.os, "getpid", lambda: -1)
            found.close()
        assert path.is_socket()
    assert not path.exists()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("[::1]:80", "[::1]:80"),
        (":80", "0.0.0.0:80"),
        ("localhost:0", "localhost:0"),
        ("unix:a:b", "unix:a:b"),
    ],
)
def test_addresses_are_read_and_written(text: str, shown: str) -> None:
    assert str(parse_address(text)) == shown
