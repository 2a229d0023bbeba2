"""--print-config: what is printed, and that it reads back as the same values."""

import json
import os
import random
import string
import tomllib
from pathlib import Path
from typing import Any

import pytest
from needed_options import NEEDED

from iotax import _iotax, cli
from iotax._command.print_config import as_json, as_toml
from iotax._config.network_types import Bind, Binds, Host, MetricPrefix, MetricTags, Peers, Receiver
from iotax._config.option import Option
from iotax._config.option_types import (
    Choice,
    FieldName,
    Files,
    Flag,
    Integer,
    LineFormat,
    Mode,
    ModuleName,
    Patterns,
    Size,
    String,
    TargetPath,
    Time,
    Words,
)
from iotax._config.options import OPTIONS
from iotax._config.sources import Settings, from_command

CONFIGURATIONS = 300
KEYS = [row for row in OPTIONS.values() if row.key and not row.kind.is_secret]
# Not with --workers 0, or not with each other.
APART = ("workers", "preload", "reload")


@pytest.fixture(autouse=True)
def _env_files(project: Path) -> None:
    """The values of env-file."""
    for name in ("prod.env", "b.env"):
        (project / name).write_text("FILE=s3cret")


def reads_back(settings: Settings) -> None:
    text = as_toml(settings)
    Path("printed.toml").write_text(text, encoding="utf-8")
    again = from_command({"config": "printed.toml"}, {})
    for row in KEYS:
        value = getattr(settings.config, row.name)
        if row.name == "chdir" and value:
            value = os.path.join(Path.cwd(), value)
        assert getattr(again.config, row.name) == value, text
    assert again.warnings == []


def any_text(dice: random.Random) -> str:
    letters = string.printable[:-5] + "äß€𝄞\\\"'#=[]{}"
    return "".join(dice.choice(letters) for _ in range(dice.randint(1, 12)))


def any_value(dice: random.Random, row: Option) -> Any:
    """A value as it is typed on the command line."""
    kind = row.kind
    if isinstance(kind, Flag):
        return dice.random() < 0.5
    if isinstance(kind, Choice):
        return dice.choice(kind.choices)
    if isinstance(kind, FieldName):
        return dice.choice(["X-Request-ID", "Request-Id", "x"])
    if isinstance(kind, Receiver):
        return dice.choice(["10.0.0.1:8125", "[::1]:1", "unix:/run/é \\.sock", "unix://a"])
    if isinstance(kind, MetricPrefix):
        return dice.choice(["site", "a.b..", '"\\'])
    if isinstance(kind, MetricTags):
        return dice.choice(["a", "a:b,c:d"])
    if isinstance(kind, TargetPath):
        return dice.choice(["/", "/healthz", "/%C3%A9;v=1"])
    if isinstance(kind, LineFormat):
        return dice.choice(["json", "combined", '%(h)s "%(r)s" \\ é', "%({X-A}i)s\t%%"])
    if isinstance(kind, Mode):
        return f"{dice.randint(0, 0o777):o}"
    if isinstance(kind, Integer | Size):
        low, high = kind._minimum, kind.maximum
        return str(dice.choice([low, high, dice.randint(low, high), 2 ** dice.randint(10, 23)][:3]))
    if isinstance(kind, Time):
        return dice.choice(["0", "1500ms", "2h", "0.001", f"{dice.random():.17f}", "365h"])
    if isinstance(kind, Host):
        return dice.choice(["localhost", "::1", "*", "[::]"])
    if isinstance(kind, Binds):
        addresses = [":1", "unix:/a b", "[::1]:80", "x:0", 'unix:"', "proxy://:2"]
        return dice.sample(addresses, dice.randint(1, 4))
    if isinstance(kind, Bind):
        return dice.choice([":1", "unix:/a b", "[::1]:80"])
    if isinstance(kind, Peers):
        return dice.sample(["unix", "*", "10.0.0.0/8", "::1"], dice.randint(1, 3))
    if isinstance(kind, Files):
        return dice.sample(["prod.env", "b.env"], dice.randint(1, 2))
    if isinstance(kind, Words):
        return dice.sample(kind.words, dice.randint(1, 3))
    if isinstance(kind, ModuleName):
        return dice.choice(["hooks", "a.b_1"])
    if isinstance(kind, String):
        return "visible" if row.name == "server_header" else any_text(dice)
    assert row.kind.metavar.endswith("…]")
    texts = [any_text(dice) for _ in range(dice.randint(1, 3))]
    return [text.rstrip("/") or "x" for text in texts] if isinstance(kind, Patterns) else texts


def any_flags(dice: random.Random) -> dict[str, Any]:
    flags = {}
    for row in KEYS:
        if dice.random() < 0.4 and row.name not in APART:
            flags[row.name] = any_value(dice, row)
    one = dice.choice(APART)
    flags[one] = str(dice.randint(1, 9)) if one == "workers" else True
    for name in ("host", "port") if "bind" in flags else ():
        flags.pop(name, None)
    if "proxy://:2" not in flags.get("bind", ()):
        flags.pop("proxy_protocol_from", None)
    for name, needed in NEEDED.items():
        if name != "proxy_protocol_from" and not needed.keys() & flags.keys():
            flags.pop(name, None)
    if "forwarded" in flags.get("forwarded_headers", ()):  # not alone
        flags["forwarded_headers"].append("for")
    if "chdir" in flags:  # a directory without env files
        flags.pop("env_file", None)
    return flags


def test_printed_settings_read_back_as_the_same_values(project: Path) -> None:
    for seed in range(CONFIGURATIONS):
        flags = any_flags(random.Random(seed))
        try:
            settings = from_command(flags, {})
        except ValueError as error:
            raise AssertionError(f"seed {seed} made an invalid configuration") from error
        reads_back(settings)


def test_printed_defaults_read_back_under_reload_and_without_workers(project: Path) -> None:
    for flags in ({}, {"reload": True}, {"workers": "0"}, {"bind": [":1"]}, {"server_header": ""}):
        reads_back(from_command(flags, {"PORT": "5000"}))


@pytest.mark.parametrize("row", KEYS, ids=lambda row: row.name)
def test_each_option_is_named_with_value_and_source(project: Path, row: Option) -> None:
    Path("iotax.toml").write_text(
        f"\n{row.key} = {row.kind.to_toml(row.kind.parse(row.example))}\n"
    )
    settings = from_command(NEEDED.get(row.name, {}), {})
    value = row.kind.to_toml(getattr(settings.config, row.name))
    assert f"\n{row.key} = {value}  # iotax.toml:2\n" in as_toml(settings)
    found = json.loads(as_json(settings))["options"][row.key]
    assert (found["source"], found["from"]) == ("file", "iotax.toml:2")


def test_every_source_is_named(project: Path) -> None:
    Path("iotax.toml").write_text("backlog = 7\n")
    environ = {"IOTAX_THREADS": "8", "PORT": "5000"}
    settings = from_command({"keep_alive": "500ms", "app": "main:app"}, environ)
    lines = as_toml(settings).splitlines()
    for line in (
        f"# iotax {_iotax.__version__}, settings file: iotax.toml",
        "backlog = 7  # iotax.toml:1",
        "threads = 8  # IOTAX_THREADS",
        "port = 5000  # PORT",
        'host = "0.0.0.0"  # PORT',
        "keep-alive = 0.5  # command line",
        'app = "main:app"  # command line',
        "workers = 1  # default",
        "# unix-mode is not set  # default",
        "# bind is not used  # default",
    ):
        assert line in lines
    printed = json.loads(as_json(settings))
    assert list(printed) == ["version", "file", "options", "env"]
    assert printed["file"] == "iotax.toml"
    assert printed["env"] == []
    options = printed["options"]
    assert list(options) == [row.key for row in KEYS]
    assert options["threads"] == {"value": 8, "source": "variable", "from": "IOTAX_THREADS"}
    assert options["keep-alive"] == {"value": 0.5, "source": "command line", "from": "--keep-alive"}
    assert options["limit-body"] == {"value": 1048576, "source": "default", "from": None}
    assert options["unix-mode"]["value"] is None
    assert options["bind"]["value"] == []


def test_bind_hides_host_and_port(project: Path) -> None:
    Path("iotax.toml").write_text("port = 7\n")
    lines = as_toml(from_command({"bind": ["unix:/x"]}, {})).splitlines()
    assert 'bind = ["unix:/x"]  # command line' in lines
    assert "# host is not used  # default" in lines
    assert "# port is not used  # default" in lines


def test_text_that_toml_cannot_hold_is_a_comment(project: Path) -> None:
    settings = from_command({"spool_dir": "/a\udcff", "access_logfile": "ä"}, {})
    text = as_toml(settings)
    assert tomllib.loads(text)["access-logfile"] == "ä"
    assert '\n# spool-dir is not valid UTF-8: "/a\udcff"  # command line\n' in text


def test_name_of_a_file_that_is_not_utf_8_is_escaped(
    capfdbinary: pytest.CaptureFixture[bytes], project: Path
) -> None:
    Path("x\udcff.toml").write_text("backlog = 7\n")
    assert cli.main(["--config", "x\udcff.toml", "--print-config"]) == 0
    assert b"\nbacklog = 7  # x\\udcff.toml:1\n" in capfdbinary.readouterr().out


def test_command_prints_and_exits(
    capfd: pytest.CaptureFixture[str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without loading anything, and without APP."""
    monkeypatch.setenv("IOTAX_TREADS", "4")
    assert cli.main(["--print-config"]) == 0
    out, err = capfd.readouterr()
    assert "\n# app is not set  # default\n" in out
    assert err.startswith("iotax: warning: Ignoring the unknown variable IOTAX_TREADS")
    assert cli.main(["no.such:app", "--print-config", "--format", "json"]) == 0
    assert json.loads(capfd.readouterr().out)["options"]["app"]["value"] == "no.such:app"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--check-config", "--print-config"], "--check-config and --print-config cannot be comb"),
        (["--format", "json"], "--format belongs to --print-config; leave it out, or add"),
        (["--check-config", "--format", "toml"], "--format belongs to --print-config"),
        (["--print-config", "--format", "yaml"], '--format: "yaml" is unknown; expected toml or j'),
        (["--print-config", "--threads", "x"], '--threads: "x" is not an integer'),
        (["--check-config"], "APP is missing"),
    ],
)
def test_wrong_use_is_explained(
    capfd: pytest.CaptureFixture[str], project: Path, arguments: list[str], text: str
) -> None:
    assert cli.main(arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"iotax: {text}")
