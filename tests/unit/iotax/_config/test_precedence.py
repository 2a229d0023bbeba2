"""Each option from each of its sources, and every pair of them: the stronger one wins and is
named."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from needed_options import NEEDED

from iotax._config.address import TcpAddress
from iotax._config.errors import ConfigError
from iotax._config.given import Source
from iotax._config.option import Option
from iotax._config.option_types import Choice, Flag, Integer, ListOf
from iotax._config.options import OPTIONS
from iotax._config.sources import Settings, from_command

OTHERS = {
    "admin": "unix:/a",
    "bind": ":9000",
    "access_log_format": "json",
    "forwarded_allow_ips": "::1",
    "forwarded_headers": "host",
    "host": "::1",
    "proxy_protocol_from": "::1",
    "statsd_host": "10.0.0.1:8125",
    "unix_mode": "600",
}
# Values of the application's environment are merged: test_environment.py.
EVERY_KEY = pytest.mark.parametrize(
    "row",
    [row for row in OPTIONS.values() if row.key and not row.kind.is_secret],
    ids=lambda row: row.name,
)


@pytest.fixture(autouse=True)
def _env_files(project: Path) -> None:
    """The values of env-file."""
    for name in ("prod.env", "prod.envx"):
        (project / name).touch()


def other(row: Option) -> str:
    """A value of `row` as text that is not its example, and not its default if it has a third."""
    if isinstance(row.kind, Flag):
        return "0" if row.example == "1" else "1"
    if isinstance(row.kind, Choice):
        return next(
            (c for c in row.kind.choices if c not in (row.default, row.example)), str(row.default)
        )
    if isinstance(row.kind, Integer):
        return str(int(row.example) - 1)
    if row.name in OTHERS:
        return OTHERS[row.name]
    return "3" if row.example[0].isdigit() else f"{row.example}x"


def settings(project: Path, row: Option, texts: dict[Source, str]) -> Settings:
    flags = dict(NEEDED.get(row.name, {}))
    environ = {}
    for source, text in texts.items():
        if source is Source.FILE:
            written = row.kind.to_toml(row.kind.parse(text))
            (project / "iotax.toml").write_text(f"{row.key} = {written}\n")
        elif source is Source.VARIABLE:
            environ[row.variable] = text
        elif isinstance(row.kind, Flag):
            flags[row.name] = row.kind.parse(text)
        else:
            flags[row.name] = [text] if isinstance(row.kind, ListOf) else text
    return from_command(flags, environ)


def sources_of(row: Option) -> list[Source]:
    """From the weakest to the strongest."""
    return [source for source in Source if source is not Source.VARIABLE or row.variable]


def place_of(row: Option, source: Source) -> str:
    places = {
        Source.DEFAULT: "",
        Source.FILE: "iotax.toml:1",
        Source.VARIABLE: row.variable,
        Source.COMMAND_LINE: row.flag,
    }
    return places[source]


@EVERY_KEY
def test_each_source_gives_the_option(project: Path, row: Option) -> None:
    for source in sources_of(row):
        (project / "iotax.toml").unlink(missing_ok=True)
        given = {} if source is Source.DEFAULT else {source: row.example}
        found = settings(project, row, given)
        assert found.origin(row.name).source is source
        assert found.origin(row.name).place == place_of(row, source)
        value = getattr(found.config, row.name)
        if source is Source.DEFAULT:
            assert value == row.default
        elif row.name != "app":
            assert value == row.kind.parse(row.example)


@EVERY_KEY
def test_stronger_of_two_sources_wins(project: Path, row: Option) -> None:
    for weak, strong in itertools.combinations(sources_of(row), 2):
        for texts in ((row.example, other(row)), (other(row), row.example)):
            (project / "iotax.toml").unlink(missing_ok=True)
            given = {
                source: text
                for source, text in zip((weak, strong), texts, strict=True)
                if source is not Source.DEFAULT
            }
            found = settings(project, row, given)
            assert found.origin(row.name).source is strong
            assert getattr(found.config, row.name) == row.kind.parse(texts[1])


def test_list_of_a_stronger_source_replaces_the_weaker_one(project: Path) -> None:
    (project / "iotax.toml").write_text('pythonpath = ["a", "b"]\nforwarded-allow-ips = "unix"\n')
    environ = {"FORWARDED_ALLOW_IPS": "::1"}
    found = from_command({"pythonpath": ["c"]}, environ)
    assert found.config.pythonpath == ("c",)
    assert found.config.forwarded_allow_ips == ("::1",)
    assert found.origin("forwarded_allow_ips").place == "FORWARDED_ALLOW_IPS"


@pytest.mark.parametrize(
    ("name", "variable", "text", "weaker", "stronger"),
    [
        ("port", "PORT", "5000", "port = 6000", "IOTAX_PORT"),
        ("workers", "WEB_CONCURRENCY", "3", "workers = 2", "IOTAX_WORKERS"),
        ("forwarded_allow_ips", "FORWARDED_ALLOW_IPS", "::1", 'forwarded-allow-ips = "*"', ""),
    ],
)
def test_common_variable_stands_between_file_and_own_variable(
    project: Path, name: str, variable: str, text: str, weaker: str, stronger: str
) -> None:
    (project / "iotax.toml").write_text(weaker)
    row = OPTIONS[name]
    assert from_command({}, {variable: text}).origin(name).place == variable
    environ = {variable: text, row.variable: row.example}
    assert from_command({}, environ).origin(name).place == row.variable


FILES = ["", 'bind = ":1"', 'host = "127.0.0.2"', "port = 2", 'host = "127.0.0.2"\nport = 2']


@pytest.mark.parametrize(
    ("typed", "environ", "addresses"),
    [
        ({}, {}, ["127.0.0.1:8000", "0.0.0.0:1", "127.0.0.2:8000", "127.0.0.1:2", "127.0.0.2:2"]),
        ({}, {"IOTAX_BIND": ":9"}, ["0.0.0.0:9"] * 5),
        ({"bind": [":9"]}, {"IOTAX_HOST": "::1", "PORT": "5"}, ["0.0.0.0:9"] * 5),
        (
            {},
            {"IOTAX_PORT": "9"},
            ["127.0.0.1:9", "127.0.0.1:9", "127.0.0.2:9", "127.0.0.1:9", "127.0.0.2:9"],
        ),
        (
            {"host": "::1"},
            {},
            ["[::1]:8000", "[::1]:8000", "[::1]:8000", "[::1]:2", "[::1]:2"],
        ),
        (
            {},
            {"PORT": "9"},
            ["0.0.0.0:9", "0.0.0.0:9", "127.0.0.2:9", "0.0.0.0:9", "127.0.0.2:9"],
        ),
        ({}, {"PORT": "5", "IOTAX_BIND": ":9"}, ["0.0.0.0:9"] * 5),
        ({"port": "7"}, {"IOTAX_BIND": ":9"}, [
            "127.0.0.1:7", "127.0.0.1:7", "127.0.0.2:7", "127.0.0.1:7", "127.0.0.2:7"
        ]),
    ],
)  # fmt: skip
def test_bind_and_host_with_port_are_one_setting(
    project: Path, typed: dict[str, Any], environ: dict[str, str], addresses: list[str]
) -> None:
    """An address of a stronger source hides those of weaker ones."""
    for text, address in zip(FILES, addresses, strict=True):
        (project / "iotax.toml").write_text(text)
        (found,) = from_command(typed, environ).config.addresses
        assert str(found) == address, text


@pytest.mark.parametrize("second", ['host = "::1"', "port = 2"])
def test_both_addresses_in_one_file_are_an_error(project: Path, second: str) -> None:
    (project / "iotax.toml").write_text(f'bind = ":1"\n{second}\n')
    name = second.partition(" ")[0]
    text = f"iotax.toml:2: bind and {name} cannot be combined; bind contains host and port, e.g."
    with pytest.raises(ConfigError) as caught:
        from_command({}, {})
    assert str(caught.value).startswith(text)


def test_empty_bind_in_the_file_is_not_an_address(project: Path) -> None:
    (project / "iotax.toml").write_text("bind = []\nport = 2\n")
    assert from_command({}, {}).config.addresses == (TcpAddress("127.0.0.1", 2),)


def test_service_variables_do_not_count_against_a_file(project: Path) -> None:
    (project / "iotax.toml").write_text("port = 2\n")
    found = from_command({}, {"IOTAX_PORT": "tcp://10.0.0.7:80", "IOTAX_SERVICE_HOST": "10.0.0.7"})
    assert found.config.port == 2
    (warning,) = found.warnings
    assert warning.startswith("Ignoring IOTAX_PORT=tcp://10.0.0.7:80, IOTAX_SERVICE_HOST: they")


def test_variables_of_others_are_never_settings(project: Path) -> None:
    found = from_command({}, {"IOTAX_APP": "main:app", "IOTAX_WORKER": "3"})
    assert found.config.app == ""
    assert found.warnings == []


@pytest.mark.parametrize(
    ("text", "flags", "environ", "where"),
    [
        ("max-requests = 5", {"workers": "0"}, {}, "iotax.toml:1: max-requests needs a supervisor"),
        ("workers = 0", {"reload": True}, {}, "--reload needs a supervisor"),
        ("workers = 0", {}, {"IOTAX_RELOAD": "1"}, "IOTAX_RELOAD needs a supervisor"),
        ("preload = true", {"reload": True}, {}, "iotax.toml:1: preload and --reload cannot be"),
    ],
)
def test_combination_that_cannot_work_names_the_sources(
    project: Path, text: str, flags: dict[str, Any], environ: dict[str, str], where: str
) -> None:
    (project / "iotax.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        from_command(flags, environ)
    assert str(caught.value).startswith(where)
