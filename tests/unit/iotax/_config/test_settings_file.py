"""The settings file: which one is read, every form of a value, and every error."""

import errno
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from needed_options import NEEDED

from iotax._config import settings_file
from iotax._config.address import TcpAddress, UnixAddress
from iotax._config.errors import ConfigError
from iotax._config.network_types import Bind, Host, MetricPrefix, MetricTags, Receiver
from iotax._config.option import Option
from iotax._config.option_types import (
    Choice,
    FieldName,
    Flag,
    Integer,
    LineFormat,
    ListOf,
    Mode,
    Size,
    String,
    TargetPath,
    Time,
)
from iotax._config.options import OPTIONS, Config
from iotax._config.settings_file import BYTES_MAX
from iotax._config.sources import Settings, from_command

KEYS = [row for row in OPTIONS.values() if row.key and not row.kind.is_secret]
EVERY_KEY = pytest.mark.parametrize("row", KEYS, ids=lambda row: row.name)
# One value of each other type, by the type of TOML.
WRONG = {
    "boolean": "true",
    "integer": "7",
    "float": "1.5",
    "string": '"x"',
    "date": "1979-05-27",
    "time": "07:32:00",
    "array": "[1, 2]",
    "date with time": "1979-05-27T07:32:00Z",
    "mixed array": '["x", 1]',
    "table": "{ a = 1 }",
}
ACCEPTED: dict[type, set[str]] = {
    Flag: {"boolean"},
    Integer: {"integer"},
    Size: {"integer", "string"},
    Time: {"integer", "float", "string"},
    Mode: {"string"},
    String: {"string"},
    Host: {"string"},
    Choice: {"string"},
    Bind: {"string"},
    FieldName: {"string"},
    TargetPath: {"string"},
    Receiver: {"string"},
    MetricPrefix: {"string"},
    MetricTags: {"string"},
    LineFormat: {"string"},
    ListOf: {"string"},
}


@pytest.fixture(autouse=True)
def _env_file(project: Path) -> None:
    """The example of env-file."""
    (project / "prod.env").touch()


def write(text: str | bytes, name: str = "iotax.toml") -> None:
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())


def read(text: str | bytes, name: str = "iotax.toml", **flags: object) -> Settings:
    write(text, name)
    return from_command(flags, {})


def errors(text: str | bytes, name: str = "iotax.toml", **flags: object) -> list[str]:
    write(text, name)
    with pytest.raises(ConfigError) as caught:
        from_command(flags, {})
    return list(caught.value.lines)


def error(text: str | bytes, name: str = "iotax.toml", **flags: object) -> str:
    (line,) = errors(text, name, **flags)
    return line


# ---- every kind, every form


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("access-log = false", "access_log", False),
        ("preload = true", "preload", True),
        ("threads = 8", "threads", 8),
        ("threads = 0x10", "threads", 16),
        ("limit-body = 1_000", "limit_body", 1000),
        ('limit-body = "20M"', "limit_body", 20 * 1024**2),
        ("keep-alive = 75", "keep_alive", 75.0),
        ("keep-alive = 0.5", "keep_alive", 0.5),
        ('keep-alive = "75s"', "keep_alive", 75.0),
        ('keep-alive = "500ms"', "keep_alive", 0.5),
        ('host = "[::1]"', "host", "::1"),
        ('app = "main:app"', "app", "main:app"),
        ('server-header = ""', "server_header", ""),
        ('log-level = "DEBUG"', "log_level", "debug"),
        ('unix-mode = "660"', "unix_mode", 0o660),
        ('bind = ":1, unix:/a"', "bind", (TcpAddress("0.0.0.0", 1), UnixAddress("/a"))),
        ('bind = ["unix:/a,b", ":1"]', "bind", (UnixAddress("/a,b"), TcpAddress("0.0.0.0", 1))),
        ("bind = []", "bind", ()),
        ('admin = ":9100"', "admin", TcpAddress("0.0.0.0", 9100)),
        ('pythonpath = "a,b"', "pythonpath", ("a", "b")),
        ('pythonpath = ["a", "b,c"]', "pythonpath", ("a", "b,c")),
        ('forwarded-headers = ["Proto"]', "forwarded_headers", ("proto",)),
        ('bind = "proxy://:1"', "bind", (TcpAddress("0.0.0.0", 1, proxy=True),)),
        ('"threads" = 8', "threads", 8),
        ("max-requests-jitter = 0", "max_requests_jitter", 0),
    ],
)
def test_value_is_read_in_each_form(project: Path, text: str, name: str, value: object) -> None:
    found = read(text).config
    assert getattr(found, name) == value
    assert type(getattr(found, name)) is type(value)


def accepted(row: Option) -> set[str]:
    return next(forms for kind, forms in ACCEPTED.items() if isinstance(row.kind, kind))


@EVERY_KEY
@pytest.mark.parametrize("form", WRONG)
def test_other_types_are_refused_with_place_value_expectation_and_example(
    project: Path, row: Option, form: str
) -> None:
    if form in accepted(row):
        return
    line = error(f"\n{row.key} = {WRONG[form]}\n")
    what = "an integer, which TOML reads as decimal" if form == "integer" else row.kind.toml_form
    if not isinstance(row.kind, Mode):
        what = row.kind.toml_form
    shown = WRONG[form].replace("T07:32:00Z", " 07:32:00+00:00")
    assert line.startswith(f"iotax.toml:2: {row.key}: {shown} is ")
    assert f"is not {what}; " in line or f"is {what}; " in line
    assert f"; expected {row.kind.expected_in_toml}, e.g. {row.key} = " in line
    example = line.rpartition(", e.g. ")[2]
    assert getattr(read(example, **NEEDED.get(row.name, {})).config, row.name) is not None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            'threads = "eight"',
            'iotax.toml:1: threads: "eight" is not an integer; expected an integer from 1 to 1000,'
            " e.g. threads = 8",
        ),
        ("threads = 0", "iotax.toml:1: threads: 0 is too small; expected an integer from 1 to"),
        ('limit-body = "5X"', 'iotax.toml:1: limit-body: "5X" is not a size; expected bytes as'),
        ("keep-alive = nan", "iotax.toml:1: keep-alive: nan is not a time; expected a time from"),
        ("keep-alive = inf", "iotax.toml:1: keep-alive: inf is out of range; expected a time"),
        ("keep-alive = -1", "iotax.toml:1: keep-alive: -1 is out of range"),
        (
            "unix-mode = 660",
            "iotax.toml:1: unix-mode: 660 is an integer, which TOML reads as decimal; expected the"
            ' permissions of the socket file in octal, 000 to 777, e.g. unix-mode = "660"',
        ),
        ("unix-mode = 0o660", "iotax.toml:1: unix-mode: 432 is an integer, which TOML reads as"),
        ('unix-mode = "888"', 'iotax.toml:1: unix-mode: "888" is not octal; expected'),
        (
            "access-log = 1",
            "iotax.toml:1: access-log: 1 is not true or false; expected true or false, e.g."
            " access-log = false",
        ),
        ('bind = ["80"]', 'iotax.toml:1: bind: "80" has no port; expected host:port, [v6]:port'),
        ('admin = "80"', 'iotax.toml:1: admin: "80" has no port; expected host:port, [v6]:port'),
        ('log-level = "loud"', 'iotax.toml:1: log-level: "loud" is unknown; expected debug, info'),
        ('server-header = "a\\nb"', 'iotax.toml:1: server-header: "a\\nb" contains a control'),
    ],
)
def test_invalid_value_is_explained(project: Path, text: str, line: str) -> None:
    assert error(text).startswith(line)


def test_long_value_is_shortened(project: Path) -> None:
    assert len(error(f'threads = "{"x" * 500}"')) < 200


# ---- keys


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("treads = 8", 'iotax.toml:1: unknown key "treads": did you mean threads?'),
        ("qqqqqq = 8", 'iotax.toml:1: unknown key "qqqqqq"'),
        ("limit_body = 8", "iotax.toml:1: limit_body: keys are written with dashes: limit-body"),
        ("no-access-log = true", 'iotax.toml:1: unknown key "no-access-log": write access-log = f'),
        ('config = "x"', 'iotax.toml:1: unknown key "config": --config belongs on the command'),
        (
            "timeout = 30",
            'iotax.toml:1: unknown key "timeout": it is an option of other servers; use'
            " request-timeout for calls, receive-timeout for clients",
        ),
        ('worker_class = "sync"', 'iotax.toml:1: unknown key "worker_class": it is an option of o'),
        ('uds = "/x"', 'iotax.toml:1: unknown key "uds": it is an option of other servers; use b'),
        ("[chexk]", 'iotax.toml:1: unknown table "chexk": did you mean check?'),
        ("[logging.root]\na = 1", 'iotax.toml: unknown table "logging"'),
        ("[[bind]]\nx = 1", "iotax.toml:1: bind: [{ x = 1 }] is not a string or an array of"),
        ('"a\\nb" = 1', 'iotax.toml: unknown key "a\\nb"'),
        ("version = 1", 'iotax.toml:1: unknown key "version"'),
    ],
)
def test_unknown_key_is_explained(project: Path, text: str, line: str) -> None:
    assert error(text).startswith(line)


def test_duplicate_key_is_not_toml(project: Path) -> None:
    line = error("threads = 1\nthreads = 2\n")
    assert re.match(r"iotax\.toml:2:\d+: not TOML: Cannot overwrite a value", line)


def test_all_errors_are_printed_up_to_ten(project: Path) -> None:
    ten = errors("".join(f"unknown{n} = 1\n" for n in range(10)))
    assert len(ten) == 10
    assert ten[9] == 'iotax.toml:10: unknown key "unknown9"'
    eleven = errors("".join(f"unknown{n} = 1\n" for n in range(11)))
    assert eleven[:10] == ten
    assert eleven[10:] == ["iotax.toml: 1 more error"]
    assert errors("".join(f"unknown{n} = 1\n" for n in range(13)))[10:] == [
        "iotax.toml: 3 more errors"
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('\n\nthreads = "x"', "iotax.toml:3: "),
        ('\r\n\r\n  "threads"  =  "x"\r\n', "iotax.toml:3: "),
        ('app = "threads:app"\nmax-requests = 1\nthreads = "x"', "iotax.toml:3: "),
        ('threads = "x"\n[check]\nenviron = { threads = "y" }', "iotax.toml: "),
        ('# threads = 1\nthreads = "x"', "iotax.toml: "),
        ('"thr\\u0065ads" = "x"', "iotax.toml: "),
    ],
)
def test_line_is_named_if_the_key_occurs_once(project: Path, text: str, place: str) -> None:
    line = error(text)
    assert line.startswith(f"{place}threads: "), line


# ---- files


def test_empty_file_has_no_settings(project: Path) -> None:
    for text in (b"", b"\n# nothing\n", b"\xef\xbb\xbf"):
        found = read(text)
        assert found.config == Config()
        assert str(found.file) == "iotax.toml"


def test_byte_order_mark_is_skipped(project: Path) -> None:
    assert read(b"\xef\xbb\xbfthreads = 8").config.threads == 8


def test_without_a_file_there_are_defaults(project: Path) -> None:
    found = from_command({}, {})
    assert found.file is None
    assert found.config == Config()


def test_other_file_can_be_named(project: Path) -> None:
    write("threads = 2")
    write("threads = 3", "site.toml")
    assert from_command({"config": "site.toml"}, {}).config.threads == 3
    assert from_command({}, {"IOTAX_CONFIG": "site.toml"}).config.threads == 3
    found = from_command({"config": str(project / "site.toml")}, {})
    assert found.origin("threads").place == f"{project}/site.toml:1"
    assert from_command({"no_config": True}, {}).config.threads == 1
    assert from_command({}, {"IOTAX_NO_CONFIG": "1"}).file is None
    assert from_command({}, {"IOTAX_NO_CONFIG": "0"}).config.threads == 2
    assert from_command({"config": "site.toml"}, {"IOTAX_NO_CONFIG": "1"}).config.threads == 3
    assert from_command({"no_config": True}, {"IOTAX_CONFIG": "site.toml"}).file is None


def test_named_file_and_no_file_cannot_be_combined(project: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--config and --no-config cannot be combined; leave"):
        from_command({"config": "site.toml", "no_config": True}, {})
    with pytest.raises(ConfigError, match=r"^IOTAX_CONFIG and IOTAX_NO_CONFIG cannot be combined"):
        from_command({}, {"IOTAX_CONFIG": "site.toml", "IOTAX_NO_CONFIG": "1"})


@pytest.mark.parametrize(
    ("typed", "environ", "text"),
    [
        ({"config": "no.toml"}, {}, "--config no.toml cannot be read: No such file or directory"),
        ({}, {"IOTAX_CONFIG": "no.toml"}, "IOTAX_CONFIG=no.toml cannot be read: No such file"),
        ({"config": "directory"}, {}, "--config directory cannot be read: Is a directory"),
        ({"config": "loop"}, {}, "--config loop cannot be read: Too many levels of symbolic"),
    ],
)
def test_file_that_cannot_be_read_is_named(
    project: Path, typed: dict[str, Any], environ: dict[str, str], text: str
) -> None:
    Path("directory").mkdir()
    Path("loop").symlink_to("loop")
    with pytest.raises(ConfigError) as caught:
        from_command(typed, environ)
    assert str(caught.value).startswith(text)


def test_own_file_that_cannot_be_read_is_an_error(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in the current directory is not passed over because it cannot be read."""
    Path("iotax.toml").mkdir()
    with pytest.raises(ConfigError, match=r"^iotax\.toml cannot be read: Is a directory$"):
        from_command({}, {})
    Path("iotax.toml").rmdir()
    Path("iotax.toml").symlink_to("nowhere")
    with pytest.raises(ConfigError, match=r"^iotax\.toml cannot be read: No such file"):
        from_command({}, {})


def test_file_without_permission_is_an_error(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulated, because root can read every file."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    write("threads = 8")
    monkeypatch.setattr(settings_file, "open", refuse, raising=False)
    with pytest.raises(ConfigError, match=r"^iotax\.toml cannot be read: Permission denied$"):
        from_command({}, {})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"threads =\n", r"iotax\.toml:1:10: not TOML: Invalid value"),
        (b"a = 1\nthreads = eight\n", r"iotax\.toml:2:11: not TOML: Invalid value"),
        (b'a = "', r"iotax\.toml(:1:\d+)?: not TOML: "),
        (b"a = 1\n\nthreads = \"\xff\"\n", r"iotax\.toml:3: not UTF-8: byte 0xff$"),
        (b"\x00", r"iotax\.toml:1:1: not TOML: "),
        (b"\xff\xfet\x00h\x00", r"iotax\.toml:1: not UTF-8: byte 0xff$"),
        (b"a = " + b"[" * 100_000, r"iotax\.toml: not TOML: "),
    ],
)  # fmt: skip
def test_file_that_is_not_toml_is_an_error(project: Path, text: bytes, line: str) -> None:
    assert re.match(line, error(text))


def test_size_of_a_file_is_limited(project: Path) -> None:
    comment = "# " + "x" * 96 + "\n"
    large = comment * (BYTES_MAX // len(comment))
    assert read(f"{large}threads = 8").config.threads == 8
    assert error(comment * 100_000) == (
        "iotax.toml is larger than 1 MiB, so it is not a settings file"
    )
    with pytest.raises(ConfigError, match=r"^--config /dev/zero is larger than 1 MiB"):
        from_command({"config": "/dev/zero"}, {})


# ---- pyproject.toml


def test_table_of_pyproject_is_read(project: Path) -> None:
    write('[project]\nname = "x"\n\n[tool.iotax]\nthreads = 8\n', "pyproject.toml")
    found = from_command({}, {})
    assert found.config.threads == 8
    assert str(found.file) == "[tool.iotax] of pyproject.toml"
    assert found.origin("threads").place == "pyproject.toml:5"
    named = from_command({"config": "pyproject.toml"}, {})
    assert named.config.threads == 8
    text = '[project]\nthreads = 1\n[tool.iotax]\nthreads = "x"\n'
    assert error(text, "pyproject.toml").startswith('pyproject.toml [tool.iotax]: threads: "x" is')


@pytest.mark.parametrize("text", ["", "[tool.ruff]\n", "[tool.iotax]\n", "[tool.iotax.check]\n"])
def test_pyproject_without_settings_is_not_read(project: Path, text: str) -> None:
    assert read(text, "pyproject.toml").file is None
    with pytest.raises(ConfigError, match=r"^--config pyproject\.toml: it has no table \[tool\.io"):
        from_command({"config": "pyproject.toml"}, {})


def test_table_of_the_checker_is_not_read(project: Path) -> None:
    text = 'threads = 8\n[check]\nsettings_of = "iotax check"\n'
    assert read(text).config.threads == 8
    Path("iotax.toml").unlink()
    text = "[tool.iotax]\nthreads = 8\n[tool.iotax.check]\nunknown = 1\n"
    assert read(text, "pyproject.toml").config.threads == 8


def test_pyproject_that_is_wrong_is_an_error(project: Path) -> None:
    assert error("[tool\n", "pyproject.toml").startswith("pyproject.toml:1:6: not TOML: ")
    line = "pyproject.toml: tool.iotax: 5 is not a table; expected keys below [tool.iotax], e.g. th"
    assert error("[tool]\niotax = 5", "pyproject.toml").startswith(line)


def test_of_two_files_the_own_one_is_read(project: Path) -> None:
    write("threads = 8\n")
    for text, warned in (
        ("[tool.iotax]\nthreads = 9\n", True),
        ("[tool.iotax.check]\nstrict = true\n", False),
        ("not TOML", False),
    ):
        write(text, "pyproject.toml")
        found = from_command({}, {})
        assert found.config.threads == 8
        assert bool(found.warnings) is warned
    write("[tool.iotax]\nthreads = 9\n", "pyproject.toml")
    assert from_command({}, {}).warnings == [
        "[tool.iotax] of pyproject.toml is not read: iotax.toml is; move its settings there"
    ]
    assert from_command({"config": "iotax.toml"}, {}).warnings == []


# ---- paths


def test_file_is_looked_for_in_the_start_directory(project: Path, tmp_path: Path) -> None:
    write("threads = 8\n")
    found = from_command({"chdir": str(tmp_path)}, {}, str(project))
    assert found.config.threads == 8
    assert from_command({}, {}, str(tmp_path)).file is None


@pytest.mark.parametrize(
    ("chdir", "entered"), [("app", "conf/app"), ("/srv", "/srv"), (".", "conf/.")]
)
def test_relative_chdir_starts_in_the_directory_of_the_file(
    project: Path, chdir: str, entered: str
) -> None:
    Path("conf").mkdir()
    write(f'chdir = "{chdir}"\npythonpath = "lib"\n', "conf/site.toml")
    found = from_command({"config": "conf/site.toml"}, {}, str(project)).config
    assert found.chdir == os.path.join(project, entered)
    assert found.pythonpath == ("lib",), "other paths start in the directory that was entered"
    assert from_command({"chdir": "app"}, {}, str(project)).config.chdir == "app"


def test_without_a_file_nothing_is_imported_for_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "iotax._config.settings_file", None)
    assert from_command({"threads": "2"}, {}).config.threads == 2
