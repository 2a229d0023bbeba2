"""The receiver of lines for statsd."""

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted_extension import extension

from iotax._config.address import TcpAddress, UnixAddress, parse_receiver
from iotax._config.errors import OptionError
from iotax._config.options import Config
from iotax._log import statsd


def config_for(address: str, **more: Any) -> Config:
    return replace(Config(), statsd_host=parse_receiver(address), **more)


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    [
        ("127.0.0.1:8125", TcpAddress("127.0.0.1", 8125), "127.0.0.1:8125"),
        ("[::1]:1", TcpAddress("::1", 1), "[::1]:1"),
        ("statsd.internal:65535", TcpAddress("statsd.internal", 65535), "statsd.internal:65535"),
        ("unix:/run/statsd.sock", UnixAddress("/run/statsd.sock"), "unix:/run/statsd.sock"),
        ("unix:///run/statsd.sock", UnixAddress("/run/statsd.sock"), "unix:/run/statsd.sock"),
        ("unix://a", UnixAddress("a"), "unix:a"),
    ],
)
def test_receivers_are_read_in_all_forms(text: str, address: object, shown: str) -> None:
    assert parse_receiver(text) == address
    assert str(parse_receiver(text)) == shown


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("127.0.0.1:8125", ("127.0.0.1", 8125, 0)),
        ("[::1]:8125", ("::1", 8125, 0)),
        ("[fe80::1%lo]:8125", ("fe80::1", 8125, socket.if_nametoindex("lo"))),
    ],
)
def test_an_address_is_its_own_receiver(text: str, where: tuple[str, int, int]) -> None:
    assert statsd.resolve(config_for(text)) == statsd.Receiver(where, text)


def test_without_the_option_there_is_none() -> None:
    assert statsd.resolve(Config()) is None


def test_of_the_addresses_of_a_name_the_first_ipv4_address_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    v6: list[Any] = [(socket.AF_INET6, 2, 17, "", ("2001:db8::1", 8125, 0, 0))]
    v4 = [(socket.AF_INET, 2, 17, "", (f"192.0.2.{n}", 8125)) for n in (1, 2)]
    found = [*v6, *v4]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    receiver = statsd.resolve(config_for("statsd.internal:8125"))
    assert receiver == statsd.Receiver(("192.0.2.1", 8125, 0), "statsd.internal:8125")
    found = v6
    receiver = statsd.resolve(config_for("statsd.internal:8125"))
    assert receiver is not None
    assert receiver.where == ("2001:db8::1", 8125, 0)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 64, "a..b"])
def test_a_name_that_does_not_resolve_is_an_error(host: str) -> None:
    with pytest.raises(OptionError) as caught:
        statsd.resolve(config_for(f"{host}:8125"))
    assert caught.value.option == "statsd_host"
    assert f'"{host}:8125" does not resolve (' in str(caught.value)
    assert str(caught.value).endswith('e.g. statsd_host="127.0.0.1:8125"')


def test_the_path_of_a_socket_is_absolute(project: Path) -> None:
    receiver = statsd.resolve(config_for("unix:a.sock"))
    assert receiver == statsd.Receiver(
        os.fsencode(f"{os.getcwd()}/a.sock"), f"{os.getcwd()}/a.sock"
    )


def test_a_path_that_is_too_long_for_a_socket_is_an_error() -> None:
    assert statsd.resolve(config_for("unix:/" + "a" * 106)) is not None
    with pytest.raises(OptionError, match="is a path of more than 107 bytes"):
        statsd.resolve(config_for("unix:/" + "a" * 107))


def test_the_extension_gets_receiver_prefix_and_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    monkeypatch.setattr(extension, "open_statsd", lambda where, **how: calls.append((where, how)))
    monkeypatch.setattr(extension, "send_statsd", lambda: calls.append("send"))
    monkeypatch.setattr(extension, "close_statsd", lambda: calls.append("close"))
    config = config_for("127.0.0.1:1", statsd_prefix="site", dogstatsd_tags="a:b")
    statsd.open_statsd(config, statsd.resolve(config))
    statsd.open_statsd(Config(), None)
    assert calls == [
        (("127.0.0.1", 1, 0), {"name": "127.0.0.1:1", "prefix": "site", "tags": "a:b"}),
        "send",
        "close",
    ]
