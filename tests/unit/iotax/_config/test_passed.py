"""Which passed sockets are served: LISTEN_FDS against the other sources of an address."""

import os
from pathlib import Path

import pytest

from iotax._config.address import Address, PassedAddress, TcpAddress, parse_address
from iotax._config.errors import ConfigError
from iotax._config.passed import passed_sockets
from iotax._config.sources import Command, Settings, from_command


def environ(count: str = "1", names: str | None = None, pid: str | None = None) -> dict[str, str]:
    variables = {"LISTEN_FDS": count, "LISTEN_PID": str(os.getpid()) if pid is None else pid}
    return variables if names is None else {**variables, "LISTEN_FDNAMES": names}


@pytest.mark.parametrize(
    ("variables", "passed"),
    [
        ({}, {}),
        (environ(), {3: "unknown"}),
        (environ("3"), {3: "unknown", 4: "unknown", 5: "unknown"}),
        (environ("0"), {}),
        (environ("2", "web:admin"), {3: "web", 4: "admin"}),
        (environ("2", "web:web"), {3: "web", 4: "web"}),
        (environ("3", "web:"), {3: "web", 4: "unknown", 5: "unknown"}),
        (environ("1", "web:admin"), {3: "web"}),
        (environ(pid="1"), {}),
        (environ(pid=""), {}),
        (environ(pid="text"), {}),
        ({"LISTEN_FDS": "1"}, {}),
        ({"LISTEN_PID": str(os.getpid())}, {}),
    ],
)
def test_passed_sockets_are_those_of_the_variables(
    variables: dict[str, str], passed: dict[int, str]
) -> None:
    assert passed_sockets(variables) == passed


@pytest.mark.parametrize("count", ["", "two", "-1", "1.0", "²", "10001", "9" * 5000])
def test_number_of_sockets_that_is_wrong_is_explained(count: str) -> None:
    with pytest.raises(
        ConfigError, match=r"^LISTEN_FDS: .* is not an integer; expected the number"
    ):
        passed_sockets(environ(count))
    assert passed_sockets(environ(count, pid="1")) == {}, "not for this process"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("fd://3", PassedAddress(3)),
        ("fd://003", PassedAddress(3)),
        ("fd://web", PassedAddress("web")),
        ("fd://²", PassedAddress("²")),
        ("fd://mysite.socket", PassedAddress("mysite.socket")),
    ],
)
def test_form_of_a_passed_socket_is_read_and_written(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("fd://", "has neither a descriptor nor a name"),
        ("fd://1234567890", "descriptor that is to"),
    ],
)
def test_form_that_is_wrong_is_explained(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        from_command({"bind": [text]}, {})


def addresses(settings: Settings) -> list[str]:
    return [str(address) for address in settings.config.addresses]


@pytest.mark.parametrize(
    ("flags", "variables", "file", "served"),
    [
        ({}, {}, "", ["fd://3", "fd://4"]),
        ({}, {"PORT": "80"}, "", ["fd://3", "fd://4"]),
        ({}, {"IOTAX_BIND": ""}, "", ["fd://3", "fd://4"]),
        ({"port": "80"}, {}, "", ["127.0.0.1:80"]),
        ({"host": "::"}, {}, "", ["[::]:8000"]),
        ({"bind": [":80"]}, {}, "", ["0.0.0.0:80"]),
        ({"bind": ["fd://4", ":80"]}, {}, "", ["fd://4", "0.0.0.0:80"]),
        ({}, {"IOTAX_PORT": "80"}, "", ["127.0.0.1:80"]),
        ({}, {"IOTAX_BIND": "fd://admin"}, "", ["fd://admin"]),
        ({}, {}, 'bind = "fd://web"', ["fd://web"]),
        ({}, {}, "port = 80", ["127.0.0.1:80"]),
        ({}, {"PORT": "81"}, "port = 80", ["0.0.0.0:81"]),
        ({}, {}, "threads = 2", ["fd://3", "fd://4"]),
    ],
)
def test_passed_sockets_are_served_if_no_address_is_named(
    project: Path,
    flags: dict[str, object],
    variables: dict[str, str],
    file: str,
    served: list[str],
) -> None:
    (project / "iotax.toml").write_text(f"{file}\n")
    command = Command(flags, {**environ("2", "web:admin"), **variables})
    settings = command.read()
    assert addresses(settings) == served
    unused = [n for n in ("3 (web)", "4 (admin)") if not named(served, n)]
    expected = "Closing passed sockets that --bind does not name: " + ", ".join(
        f"fd://{n}" for n in unused
    )
    assert settings.warnings == ([expected] if unused else [])
    again = command.read_again(settings)
    assert (addresses(again), again.warnings, again.passed) == (served, [], settings.passed)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            {"bind": ["fd://3", "proxy://fd://3"]},
            '--bind: "proxy://fd://3" names the socket fd://3, as "fd://3" does; name it once;'
            " e.g. --bind fd://3",
        ),
        ({"bind": ["fd://3", "fd://3"]}, '"fd://3" names the socket fd://3, as "fd://3" does'),
        ({"bind": ["fd://3", "fd://web"]}, '"fd://web" names the socket fd://3, as "fd://3" does'),
        (
            {"bind": ["fd://4"], "admin": "fd://admin"},
            '--admin: "fd://admin" names the socket fd://4, as "fd://4" does',
        ),
        ({"bind": ["fd://9", "proxy://fd://9"]}, 'as "fd://9" does'),
    ],
)
def test_socket_that_two_addresses_name_is_refused(flags: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Command(flags, environ("2", "web:admin")).read()
    assert message in str(caught.value)


def named(served: list[str], socket: str) -> bool:
    number, name = socket.rstrip(")").split(" (")
    return f"fd://{number}" in served or f"fd://{name}" in served


def test_origin_of_passed_sockets_is_their_variable() -> None:
    assert from_command({}, environ()).origin("bind").place == "LISTEN_FDS"
    assert from_command({}, {}).config.addresses == (TcpAddress("127.0.0.1", 8000),)


@pytest.mark.parametrize(
    ("flags", "variables", "file", "text"),
    [
        ({"bind": ["fd://x"]}, {}, "", '--bind: "fd://x" names no passed socket; LISTEN_FDNAMES'),
        ({}, {"IOTAX_BIND": "fd://x"}, "", 'IOTAX_BIND: "fd://x" names no passed socket; LISTEN_'),
        ({}, {}, 'bind = "fd://x"', 'iotax.toml:1: bind: "fd://x" names no passed socket; LISTEN'),
    ],
)
def test_name_that_no_socket_has_is_explained(
    project: Path, flags: dict[str, object], variables: dict[str, str], file: str, text: str
) -> None:
    (project / "iotax.toml").write_text(file)
    with pytest.raises(ConfigError) as caught:
        from_command(flags, {**environ("2", "web:admin"), **variables})
    assert str(caught.value).startswith(text)
    assert "LISTEN_FDNAMES has admin, web;" in str(caught.value)
