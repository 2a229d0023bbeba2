"""The table of options, compared with everything that is made from it."""

import re
import sys
import typing
from pathlib import Path

import pytest
from needed_options import NEEDED

from iotax import _iotax
from iotax._command.parser import make_parser
from iotax._command.parser import read as parse
from iotax._config.errors import ConfigError
from iotax._config.foreign_options import FOREIGN
from iotax._config.option_types import Flag, ListOf
from iotax._config.options import OPTIONS, WORKER_KEYS, Config, Option
from iotax._config.reference import options_table, typed_source
from iotax._config.sources import from_arguments, from_command
from iotax._config.typed import PathOptions, ServerOptions

ROOT = Path(__file__).resolve().parents[4]
CONTRACT = {
    "--host": "127.0.0.1",
    "--port": "8000",
    "--bind": "none",
    "--unix-mode": "666 & ~umask",
    "--backlog": "2048",
    "--workers": "1",
    "--preload": "off",
    "--boot-timeout": "60 s",
    "--max-requests": "0",
    "--max-requests-jitter": "10 % of --max-requests",
    "--worker-lifetime": "0",
    "--worker-max-rss": "0",
    "--hooks": "none",
    "--umask": "unchanged",
    "--pid-file": "none",
    "--user": "unchanged",
    "--group": "unchanged; with --user, the user's",
    "--admin": "none",
    "--reload": "off",
    "--reload-dir": "the current directory",
    "--reload-include": "*.py *.html *.jinja *.jinja2 *.j2",
    "--reload-exclude": "__pycache__ .git .svn .hg venv .venv env .env node_modules .tox .eggs"
    " *.egg-info dist build .mypy_cache .pytest_cache",
    "--reload-poll": "off",
    "--reload-cold": "off",
    "--threads": "1",
    "APP": "none",
    "--env": "none",
    "--env-file": "none",
    "--config": "iotax.toml, else [tool.iotax] of pyproject.toml",
    "--no-config": "off",
    "--check-config": "off",
    "--print-config": "off",
    "--format": "toml",
    "--factory": "off",
    "--chdir": "none",
    "--pythonpath": "none",
    "--slow-request": "off",
    "--request-timeout": "off",
    "--request-timeout-grace": "5 s",
    "--request-timeout-action": "raise",
    "--graceful-timeout": "30 s; 0.5 s with --reload",
    "--shutdown-delay": "0",
    "--keep-alive": "15 s",
    "--keep-alive-requests": "100",
    "--limit-head": "64K",
    "--limit-request-line": "8K",
    "--limit-field": "16K",
    "--limit-fields": "100",
    "--limit-body": "1M",
    "--receive-timeout": "10 s",
    "--send-timeout": "30 s",
    "--min-rate": "500 B/s",
    "--no-request-buffering": "off",
    "--body-memory": "256K",
    "--answer-memory": "1M",
    "--spool-dir": "the system's",
    "--spool-max": "1G",
    "--max-connections": "descriptor limit - 64",
    "--max-queued": "1024",
    "--queue-timeout": "30 s",
    "--forwarded-allow-ips": "none",
    "--forwarded-headers": "for,proto",
    "--proxy-protocol-from": "127.0.0.1,::1,unix",
    "--log-level": "info",
    "--access-log": "on",
    "--access-logfile": "-",
    "--error-logfile": "-",
    "--color": "auto",
    "--server-header": "iotax",
    "--access-log-format": "default; json with --log-format json",
    "--log-format": "text",
    "--request-id-header": "none",
    "--health-path": "none",
    "--health-log": "off",
    "--statsd-host": "none",
    "--statsd-prefix": "none",
    "--dogstatsd-tags": "none",
}
EVERY_OPTION = pytest.mark.parametrize("row", OPTIONS.values(), ids=lambda row: row.name)


NAMED_OPTION = pytest.mark.parametrize(
    "row", [row for row in OPTIONS.values() if row.variable], ids=lambda row: row.name
)


@pytest.fixture(autouse=True)
def _settings_file(project: Path) -> None:
    """The examples of --config and --env-file."""
    (project / "site.toml").touch()
    (project / "prod.env").touch()


def typed(row: Option) -> list[str]:
    flag = [] if row.positional else [row.flag]
    return flag if isinstance(row.kind, Flag) else [*flag, row.example]


def read(arguments: list[str]) -> Config:
    return from_command(parse(make_parser(), arguments), {}).config


def test_names_and_defaults_are_those_that_are_documented() -> None:
    assert {row.flag: row.default_text for row in OPTIONS.values()} == CONTRACT


@NAMED_OPTION
def test_example_has_the_same_value_from_flag_variable_and_argument(row: Option) -> None:
    beside = NEEDED.get(row.name, {})
    by_flag = from_command({**parse(make_parser(), typed(row)), **beside}, {}).config
    by_variable, warnings, *_ = from_command(beside, {row.variable: row.example})
    assert getattr(by_flag, row.name) != row.default or row.name == "access_log"
    assert by_flag == by_variable or row.name in ("access_log", "env")
    assert warnings == []
    argument: object = row.kind.accept(row.example)
    if isinstance(row.kind, ListOf):
        argument = row.example.split(",")
    if row.for_command_only:
        with pytest.raises(TypeError, match=f"^{row.name} is supported by the command"):
            from_arguments({row.name: argument}, path=True)
    else:
        assert by_variable == from_arguments({row.name: argument, **beside}, path=True)


@EVERY_OPTION
def test_default_is_a_value_of_its_kind(row: Option) -> None:
    if isinstance(row.kind, ListOf):
        assert row.kind.accept(",".join(row.default)) == row.default
    elif row.default in ("", None):
        assert not row.default
    else:
        assert row.kind.accept(row.default) == row.default


@EVERY_OPTION
def test_help_shows_flag_meaning_and_default(row: Option) -> None:
    shown = re.sub(r"\s+", " ", make_parser().format_help())
    assert re.search(rf"(?<![\w-]){re.escape(row.flag)}(?![\w-])", shown)
    assert not row.short or re.search(rf" {row.short}[ ,]", shown)
    plain = shown.replace("- ", "-")
    assert f"{row.help} (default: {row.default_text})".replace("- ", "-") in plain


def test_help_is_grouped_and_fits() -> None:
    shown = make_parser().format_help()
    for section in {row.section for row in OPTIONS.values()}:
        assert f"\n{section}:\n" in shown
    assert "iotax main:app" in shown


def test_documentation_holds_the_table() -> None:
    page = (ROOT / "docs/reference/options.md").read_text(encoding="utf-8")
    _, _, rest = page.partition("<!-- generated: options -->\n")
    table, end, _ = rest.partition("<!-- /generated -->")
    assert end
    assert table.strip() == options_table().strip()


@EVERY_OPTION
def test_table_for_the_documentation_has_one_row_per_option(row: Option) -> None:
    (line,) = [
        line for line in options_table().splitlines() if f"`{row.flag}`" in line.split("|")[1]
    ]
    _, flags, variables, key, hup, default, meaning, _ = (cell.strip() for cell in line.split("|"))
    assert (f"`{row.variable}`" if row.variable else "") in variables
    assert key == (f"`{row.key}`" if row.key else "")
    assert hup == (("no" if row.until_restart else "yes") if row.key else "")
    assert default.strip("`") == row.default_text
    assert meaning == row.help
    assert (f"`{row.short}`" in flags) == bool(row.short)


def test_typed_arguments_are_the_options() -> None:
    typed_file = ROOT / "src/iotax/_config/typed.py"
    assert typed_file.read_text(encoding="utf-8") == typed_source()  # else run docs/generate.py
    loading = {row.name for row in OPTIONS.values() if row.for_path_only}
    command = {row.name for row in OPTIONS.values() if row.for_command_only}
    server = set(typing.get_type_hints(ServerOptions))
    assert server == set(OPTIONS) - loading - command - {"host", "port"}
    assert set(typing.get_type_hints(PathOptions)) == server | loading


def test_every_key_of_a_worker_is_given_and_documented() -> None:
    assert set(Config().worker_options()) == set(WORKER_KEYS)
    stub = (ROOT / "src/iotax/_iotax.pyi").read_text(encoding="utf-8")
    for key in WORKER_KEYS:
        assert re.search(rf"\b{key}\b", stub), key


@pytest.mark.parametrize(
    ("arguments", "key", "value"),
    [
        (["--threads", "3"], "threads", 3),
        (["--no-request-buffering"], "request_buffering", False),
        (["--limit-head", "128k"], "limit_head", 131072),
        (["--limit-request-line", "9000"], "limit_request_line", 9000),
        (["--limit-field", "1K"], "limit_field", 1024),
        (["--limit-fields", "7"], "limit_fields", 7),
        (["--limit-body", "5G"], "limit_body", 5 * 1024**3),
        (["--keep-alive", "2m"], "keep_alive", 120.0),
        (["--keep-alive-requests", "0"], "keep_alive_requests", 0),
        (["--receive-timeout", "250ms"], "receive_timeout", 0.25),
        (["--send-timeout", "1h"], "send_timeout", 3600.0),
        (["--min-rate", "2K"], "min_rate", 2048),
        (["--body-memory", "1M"], "body_memory", 1024**2),
        (["--answer-memory", "4M"], "answer_memory", 4 * 1024**2),
        (["--spool-dir", "/var/tmp"], "spool_dir", "/var/tmp"),
        (["--spool-max", "0"], "spool_max", 0),
        (["--max-connections", "9"], "max_connections", 9),
        (["--max-queued", "9"], "max_queued", 9),
        (["--queue-timeout", "1.5"], "queue_timeout", 1.5),
        (["--graceful-timeout", "5s"], "graceful_timeout", 5.0),
        (["--shutdown-delay", "5s"], "shutdown_delay", 5.0),
        (["--server-header", ""], "server_header", ""),
        (["--no-access-log"], "access_log", False),
        ([], "access_log_format", "default"),
        (["--log-format", "json"], "access_log_format", "json"),
        (["--log-format", "json"], "log_traces", True),
        (
            ["--log-format", "json", "--access-log-format", "default"],
            "access_log_format",
            "default",
        ),
        (["--access-log-format", "%(h)s"], "access_log_format", "%(h)s"),
        (["--request-id-header", "X-Id"], "request_id_header", "X-Id"),
        (["--health-path", "/%C3%A9;v=1"], "health_path", "/%C3%A9;v=1"),
        ([], "health_log", False),
        ([], "statsd", False),
        (["--statsd-host", "127.0.0.1:8125"], "statsd", True),
        (["--health-path", "/", "--health-log"], "health_log", True),
        (["--host", "localhost"], "server_name", "localhost"),
        (["--host", "::"], "server_name", ""),
        (["-b", "127.0.0.1:1", "-b", "unix:/x"], "server_name", ""),
        ([], "multiprocess", False),
        ([], "max_requests", 0),
        (["--max-requests", "9"], "max_requests", 9),
        (["--max-requests", "100", "--max-requests-jitter", "0"], "max_requests", 100),
        (
            ["--forwarded-allow-ips", "10.0.0.0/8,unix", "--forwarded-allow-ips", "0::1"],
            "forwarded_allow_ips",
            ["10.0.0.0/8", "unix", "::1"],
        ),
        ([], "forwarded_headers", ["for", "proto"]),
        (
            ["--forwarded-headers", "forwarded", "--forwarded-headers", "for"],
            "forwarded_headers",
            ["forwarded", "for"],
        ),
        (
            ["--forwarded-headers", "Prefix, for", "--forwarded-headers", "host"],
            "forwarded_headers",
            ["prefix", "for", "host"],
        ),
    ],
)
def test_option_reaches_the_worker(arguments: list[str], key: str, value: object) -> None:
    given = read(arguments).worker_options()[key]
    assert given == value
    assert type(given) is type(value)


def test_under_a_supervisor_there_can_be_another_process() -> None:
    assert Config().worker_options(supervised=True)["multiprocess"] is True


def test_each_worker_draws_its_share_of_requests() -> None:
    config = read(["--max-requests", "1000", "--max-requests-jitter", "3"])
    drawn = {config.worker_options()["max_requests"] for _ in range(200)}
    assert drawn == {1000, 1001, 1002, 1003}
    by_default = read(["--max-requests", "1000"])
    drawn = {by_default.worker_options()["max_requests"] for _ in range(2000)}
    assert min(drawn) >= 1000
    assert 1050 < max(drawn) <= 1100  # type: ignore[operator]


@pytest.mark.parametrize(
    "row",
    [row for row in OPTIONS.values() if row.needs_supervisor],
    ids=lambda row: row.name,
)
def test_options_that_need_a_supervisor_are_rejected_without_one(row: Option) -> None:
    with pytest.raises(ConfigError, match=rf"^{row.flag} needs a supervisor"):
        read(["--workers", "0", *typed(row)])


def test_no_foreign_option_is_an_option() -> None:
    flags = {row.flag for row in OPTIONS.values()} | {row.short for row in OPTIONS.values()}
    assert not set(FOREIGN) & flags


def test_version_is_that_of_the_extension(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        make_parser().parse_args(["--version"])
    assert end.value.code == 0
    python = sys.version.split()[0]
    assert capsys.readouterr().out == (
        f"iotax {_iotax.__version__} (Python {python}, llhttp {_iotax.llhttp_version})\n"
    )
