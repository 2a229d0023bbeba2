"""What is checked, and how: from the command line, and from a table of the current directory:
[check] of iotax.toml, else [tool.iotax.check] of pyproject.toml. The command line beats the table;
entries to ignore, variables and middleware add up.

    [check]
    paths = ["/", "POST /items", {method = "POST", path = "/login", body = "name=ada"}]
    timeout = "5s"
    ignore = ["A-WR-01", {id = "A-EXC-01", path = "/admin*", reason = "legacy"}]

Errors: ConfigError.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from iotax._check.report.baseline import Ignore, compared, ignored, known_clause, write_baseline
from iotax._check.report.findings import Report
from iotax._check.requests import RequestSpec, parse_request, read_requests, with_parts
from iotax._config.errors import ConfigError
from iotax._config.option import PROJECT_FILE, SETTINGS_FILE
from iotax._config.option_types import Integer, Kind, String, Time
from iotax._config.settings_file import CHECK, SettingsFile
from iotax._config.similar import nearest

EXAMPLES: Final = """\
Examples:
  iotax check main:app
  iotax check main:app --path / --path 'POST /items' -H 'Content-Type: application/json' -d '{}'
  iotax check mysite.wsgi --crawl 50 --format github
  iotax check --middleware 'shop.middleware:Timing'
"""
EXCLUDE: Final = ("*logout*", "*delete*")
_TIMEOUT: Final = Time()
_CRAWL: Final = Integer(0, 10_000)


@dataclass(frozen=True)
class Settings:
    """`target`: the application; empty: only `middleware`, whose entries are targets too.
    `environ`: variables that the deployment sets. `timeout`: seconds for one call."""

    target: str
    middleware: tuple[str, ...] = ()
    paths: tuple[RequestSpec, ...] = ()
    crawl: int = 0
    exclude: tuple[str, ...] = EXCLUDE
    unsafe_methods: bool = False
    timeout: float = 10.0
    strict: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)
    ignore: tuple[Ignore, ...] = ()
    baseline: str = ""
    write_baseline: str = ""
    chdir: str = ""
    pythonpath: tuple[str, ...] = ()
    factory: bool = False

    def judge(self, report: Report) -> Report:
        """Mark accepted findings in `report`, write the baseline if requested, and return
        `report`."""
        ignored(report, self.ignore)
        if self.baseline:
            compared(report, self.baseline)
        if self.write_baseline:
            write_baseline(self.write_baseline, report)
        return report


def from_command(typed: Mapping[str, Any], directory: str = ".") -> Settings:
    """`typed`: values by the names of the options; None or absent: not given. `directory`: of the
    file, and of the baseline that it names."""
    values = _from_files(Path(directory))
    if "baseline" in values:
        values["baseline"] = str(Path(directory) / values["baseline"])
    paths = [_named(named) for named in typed.get("paths_named") or ()]
    if file := typed.get("paths"):
        paths += read_requests(file)
    own: dict[str, Any] = {
        "paths": tuple(paths),
        "middleware": tuple(typed.get("middleware") or ()),
        "exclude": tuple(typed.get("exclude") or ()),
        "ignore": tuple(_ignore("--ignore", one) for one in typed.get("ignore") or ()),
        "environ": dict(_pair(text) for text in typed.get("environ") or ()),
        "pythonpath": tuple(
            part for text in typed.get("pythonpath") or () for part in text.split(os.pathsep)
        ),
    }
    for name, kind in (("crawl", _CRAWL), ("timeout", _TIMEOUT)):
        if typed.get(name) is not None:
            own[name] = _value(f"--{name}", kind, typed.get(name))
    for name in ("strict", "unsafe_methods", "factory", "baseline", "write_baseline", "chdir"):
        if typed.get(name) is not None:
            own[name] = typed.get(name)
    for name, value in own.items():
        if name in ("ignore", "middleware"):
            values[name] = (*values.get(name, ()), *value)
        elif name == "environ":
            values[name] = {**values.get(name, {}), **value}
        elif value or name in ("crawl", "timeout"):
            values[name] = value
    target = typed.get("target") or ""
    if not target and not values["middleware"]:
        raise ConfigError("APP is missing, e.g. iotax check main:app")
    return Settings(target, **values)


def _named(named: Mapping[str, Any]) -> RequestSpec:
    spec = parse_request("--path", named["text"])
    return with_parts(f"--path {named['text']}", spec, named["headers"], named["body"])


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise ConfigError(
            f'--environ: "{text}" has no name or no value; expected NAME=VALUE, e.g. MODE=test'
        )
    return name, value


def _value(spelling: str, kind: Kind, given: Any) -> Any:
    try:
        return kind.parse(given) if isinstance(given, str) else kind.accept(given)
    except (TypeError, ValueError) as error:
        wrong = error if isinstance(error, TypeError) else f'"{given}" {error}'
        raise ConfigError(f"{spelling}: {wrong}; expected {kind.expected}") from None


# ---- the files


def _from_files(directory: Path) -> dict[str, Any]:
    for name, table in ((SETTINGS_FILE, "[check]"), (PROJECT_FILE, "[tool.iotax.check]")):
        path = str(directory / name)
        if os.path.lexists(path):
            found = SettingsFile(path, path).read().settings().get(CHECK)
            if found is not None:
                return _from_table(f"{path} {table}", found)
    return {}


def _from_table(where: str, table: Any) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise ConfigError(f'{where}: {table!r} is not a table; expected keys, e.g. timeout = "5s"')
    values: dict[str, Any] = {}
    for key, given in table.items():
        if key not in _READERS:
            raise ConfigError(f"{where}: unknown key {key}; did you mean {nearest(key, _READERS)}?")
        values[key.replace("-", "_")] = _READERS[key](f"{where} {key}", given)
    return values


def _flag(where: str, given: Any) -> bool:
    if not isinstance(given, bool):
        raise ConfigError(f"{where}: {given!r} is not valid; expected true or false")
    return given


def _text(where: str, given: Any) -> str:
    return str(_value(where, String("a string", "TEXT"), given))


def _listed(read: Callable[[str, Any], Any]) -> Callable[[str, Any], tuple[Any, ...]]:
    def read_all(where: str, given: Any) -> tuple[Any, ...]:
        if not isinstance(given, list):
            raise ConfigError(f'{where}: {given!r} is not valid; expected a list, e.g. ["..."]')
        return tuple(read(where, one) for one in given)

    return read_all


def _table(where: str, given: Any, known: Iterable[str], example: str) -> dict[str, Any]:
    """A table with these keys only."""
    if not isinstance(given, dict):
        raise ConfigError(
            f"{where}: {given!r} is not valid; expected a string or a table, e.g. {example}"
        )
    for key in given:
        if key not in known:
            raise ConfigError(
                f"{where}: unknown key {key} in an entry; did you mean {nearest(key, known)}?"
            )
    return given


def _ignore(where: str, given: Any) -> Ignore:
    if isinstance(given, str):
        given = {"id": given}
    example = '{id = "A-WR-01", path = "/admin*", reason = "legacy"}'
    entry = _table(where, given, ("id", "path", "reason"), example)
    if "id" not in entry:
        raise ConfigError(f"{where}: an entry has no id, e.g. {example}")
    texts = {key: _text(where, value) for key, value in entry.items()}
    known_clause(where, texts["id"])
    return Ignore(**texts)


def _path(where: str, given: Any) -> RequestSpec:
    if isinstance(given, str):
        return parse_request(where, given)
    example = '{method = "POST", path = "/items", headers = {Accept = "text/html"}, body = "a=1"}'
    entry = _table(where, given, ("method", "path", "headers", "body"), example)
    line = f"{entry.get('method', 'GET')} {entry.get('path', '')}"
    headers = entry.get("headers", {})
    if not isinstance(headers, dict):
        raise ConfigError(
            f"{where}: headers {headers!r} are not valid; expected a table, e.g. {example}"
        )
    fields = [f"{name}: {value}" for name, value in headers.items()]
    body = entry.get("body")
    if body is not None and not isinstance(body, str):
        raise ConfigError(f"{where}: body {body!r} is not valid; expected a string, e.g. {example}")
    return with_parts(where, parse_request(where, line), fields, body)


def _variables(where: str, given: Any) -> dict[str, str]:
    if not isinstance(given, dict) or not all(isinstance(one, str) for one in given.values()):
        raise ConfigError(
            f'{where}: {given!r} is not valid; expected a table of strings, e.g. {{A = "b"}}'
        )
    return given


_READERS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "paths": _listed(_path),
    "middleware": _listed(_text),
    "exclude": _listed(_text),
    "ignore": _listed(_ignore),
    "environ": _variables,
    "crawl": lambda where, given: _value(where, _CRAWL, given),
    "timeout": lambda where, given: _value(where, _TIMEOUT, given),
    "unsafe-methods": _flag,
    "strict": _flag,
    "baseline": _text,
}
