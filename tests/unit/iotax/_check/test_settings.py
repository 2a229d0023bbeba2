"""The settings: the command line, and the table in iotax.toml or pyproject.toml."""

import pytest

from iotax._check.report.baseline import Ignore
from iotax._check.requests import RequestSpec
from iotax._check.settings import from_command
from iotax._config.errors import ConfigError

TYPED = dict.fromkeys(
    (
        *("middleware", "paths", "exclude", "ignore", "environ", "pythonpath", "crawl", "timeout"),
        *("strict", "unsafe_methods", "factory", "baseline", "write_baseline", "chdir"),
    )
)


@pytest.fixture
def settings(tmp_path):
    def read(table="", target="main:app", paths_named=(), **typed):
        if table:
            (tmp_path / "pyproject.toml").write_text(f"[tool.iotax.check]\n{table}")
        typed = {**TYPED, "target": target, "paths_named": list(paths_named), **typed}
        return from_command(typed, str(tmp_path))

    return read


def test_settings_have_defaults(settings):
    found = settings()

    assert (found.target, found.timeout, found.crawl) == ("main:app", 10.0, 0)
    assert found.exclude == ("*logout*", "*delete*")
    assert found.paths == found.ignore == found.middleware == ()


def test_the_table_is_read(settings, tmp_path):
    found = settings(
        'paths = ["/", {method = "POST", path = "/a", headers = {A = "b"}, body = "x\\ny"}]\n'
        'timeout = "500ms"\ncrawl = 3\nstrict = true\nunsafe-methods = true\n'
        'exclude = ["*admin*"]\nmiddleware = ["m:n"]\nbaseline = "b.json"\n'
        'environ = {MODE = "test"}\n'
        'ignore = ["A-WR-01", {id = "A-EXC-01", path = "/admin*", reason = "legacy"}]\n'
    )

    assert found.paths == (
        RequestSpec("GET", "/"),
        RequestSpec("POST", "/a", (("A", "b"),), b"x\ny"),
    )
    assert (found.timeout, found.crawl, found.strict, found.unsafe_methods) == (0.5, 3, True, True)
    assert (found.exclude, found.middleware) == (("*admin*",), ("m:n",))
    assert (found.baseline, found.environ) == (str(tmp_path / "b.json"), {"MODE": "test"})
    assert found.ignore == (Ignore("A-WR-01"), Ignore("A-EXC-01", "/admin*", "legacy"))


def test_table_of_iotax_toml_comes_first(settings, tmp_path):
    """Other keys, and other tables of the server, are not read."""
    own = tmp_path / "iotax.toml"
    own.write_text("threads = 'wrong'\n[check]\ntimeout = 3\n")
    assert settings("timeout = 1\nunknown = 5\n").timeout == 3.0
    own.write_text("threads = 8\n")
    assert settings("timeout = 1\n").timeout == 1.0
    (tmp_path / "pyproject.toml").unlink()
    assert settings().timeout == 10.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("check = 5", r"iotax\.toml \[check\]: 5 is not a table; expected keys, e\.g\. timeout = "),
        ("[check]\ntimout = 5", r"iotax\.toml \[check\]: unknown key timout; did you mean timeout"),
        ("[check", r"iotax\.toml: not TOML: "),
    ],
)
def test_wrong_table_of_iotax_toml_is_named(settings, tmp_path, text, message):
    (tmp_path / "iotax.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        settings()


def test_command_line_overrides_the_table_and_ignore_lists_are_joined(settings):
    found = settings(
        'paths = ["/table"]\ntimeout = 1\nignore = ["A-WR-01"]\nenviron = {A = "1", B = "1"}\n',
        paths_named=[{"text": "POST /typed", "headers": ["A: b"], "body": "x"}],
        timeout="2s",
        ignore=["A-SR-04"],
        environ=["B=2"],
    )

    assert found.paths == (RequestSpec("POST", "/typed", (("A", "b"),), b"x"),)
    assert found.timeout == 2.0
    assert [entry.id for entry in found.ignore] == ["A-WR-01", "A-SR-04"]
    assert found.environ == {"A": "1", "B": "2"}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("timout = 3", r"unknown key timout; did you mean timeout\?"),
        ("timeout = 'soon'", "timeout: .*soon.* is not a time; expected"),
        ("crawl = -1", "crawl: .*too small"),
        ("strict = 'yes'", "strict: 'yes' is not valid; expected true or false"),
        ("paths = '/'", "expected a list"),
        ("paths = ['x']", "is not a valid request"),
        ("paths = [{pth = '/'}]", r"unknown key pth in an entry; did you mean path\?"),
        ("paths = [{path = '/', body = 1}]", "body 1 is not valid"),
        ("paths = [{path = '/', headers = 1}]", "headers 1 are not valid"),
        ("paths = [1]", "1 is not valid"),
        ("ignore = ['A-WR-99']", 'unknown clause "A-WR-99"; did you mean A-WR-0'),
        ("ignore = [{path = '/'}]", "an entry has no id"),
        ("ignore = [{id = 'A-WR-01', why = 'x'}]", "unknown key why"),
        ("environ = {A = 1}", "expected a table of strings"),
        ("= 3", "not TOML: Invalid statement"),
    ],
)
def test_error_in_the_table_is_named(settings, table, said):
    with pytest.raises(ConfigError, match=said):
        settings(table)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"timeout": "soon"}, "--timeout: .*soon.* expected"),
        ({"crawl": "many"}, "--crawl: .*not an integer"),
        ({"environ": ["A"]}, "--environ: .* expected NAME=VALUE"),
        ({"ignore": ["A-WR-99"]}, "--ignore: unknown clause"),
        ({"target": ""}, "APP is missing"),
    ],
)
def test_error_on_the_command_line_is_named(settings, typed, said):
    with pytest.raises(ConfigError, match=said):
        settings(**typed)


def test_middleware_alone_is_enough(settings):
    assert settings(target="", middleware=["m:n"]).middleware == ("m:n",)
