"""The pytest plugin: `pytest --iotax-check main:app` runs `iotax check` with a test for each clause
of PEP 3333.

A module outside of the package, so that pytest does not import iotax without the option. Reads
[tool.iotax.check] in pyproject.toml. The test of a clause fails with findings that count; other
findings are warnings; a clause that was not exercised is skipped.
"""

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from iotax._check.report.findings import ClauseResult, Report
    from iotax._check.settings import Settings


class IotaxWarning(pytest.PytestWarning):
    """A finding of iotax check that does not fail."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("iotax", "iotax: does a WSGI application obey PEP 3333?")
    group.addoption(
        "--iotax-check",
        action="append",
        default=[],
        metavar="APP",
        help="check this application, e.g. main:app; repeatable",
    )
    group.addoption(
        "--iotax-strict",
        action="store_true",
        help="warnings, and findings in installed packages, fail too",
    )


def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    for target in config.getoption("--iotax-check"):
        name = f"iotax check {target}"
        settings = _settings(target, config)
        items += Check.from_parent(session, name=name, nodeid=name, settings=settings).collect()


def _settings(target: str, config: pytest.Config) -> "Settings":
    """The application is imported in pytest's root directory, as pytest imports tests. Errors:
    UsageError."""
    from iotax._check.settings import from_command
    from iotax._config.errors import ConfigError

    directories = [config.invocation_params.dir, *config.getini("pythonpath")]
    typed = {
        "target": target,
        "strict": config.getoption("--iotax-strict"),
        "chdir": str(config.rootpath),
        "pythonpath": [str(directory) for directory in directories],
    }
    try:
        return from_command(typed, str(config.rootpath))
    except ConfigError as error:
        raise pytest.UsageError(f"--iotax-check {target}: {error}") from None


class Check(pytest.Collector):
    """One application. The report is made when the first of its tests runs."""

    def __init__(self, *, settings: "Settings", **more: Any) -> None:
        super().__init__(**more)
        self._settings = settings
        self._report: Report | None = None
        self.failed = False

    def collect(self) -> list[pytest.Item]:
        from iotax._check.report.clauses import clauses

        sides = ("application", "middleware") if self._settings.middleware else ("application",)
        found: list[pytest.Item] = [CanBeChecked.from_parent(self, name="can be checked")]
        for clause in clauses().values():
            if clause.side in sides:
                name = f"{clause.id} {clause.level}"
                found.append(ClauseTest.from_parent(self, name=name, clause=clause.id))
        return found

    def report(self) -> "Report":
        """Make the report once. If that fails, the test that called it first fails."""
        if self._report is None:
            from iotax._app.load_error import LoadError
            from iotax._check.play.runner import check
            from iotax._check.play.sandbox_process import SandboxExited
            from iotax._config.errors import ConfigError

            self.failed, problem = True, ""
            try:
                self._report = check(self._settings)
            except (LoadError, ConfigError) as error:
                problem = str(error)
            except SandboxExited as exited:
                problem = f"{exited.output}{exited.how}"
            if self._report is None:
                pytest.fail(problem, pytrace=False)
            self.failed = False
        return self._report


class CheckTest(pytest.Item):
    parent: Check

    def reportinfo(self) -> tuple[Any, None, str]:
        return self.config.rootpath, None, f"{self.parent.name}: {self.name}"


class CanBeChecked(CheckTest):
    """The application can be loaded, and responded to a request."""

    def runtest(self) -> None:
        report = self.parent.report()
        for note in report.notes:
            warnings.warn(IotaxWarning(note), stacklevel=1)
        if report.problem:
            pytest.fail(report.problem, pytrace=False)


class ClauseTest(CheckTest):
    def __init__(self, *, clause: str, **more: Any) -> None:
        super().__init__(**more)
        self._clause = clause

    def runtest(self) -> None:
        if self.parent.failed:
            pytest.skip("the application cannot be checked")
        report = self.parent.report()
        (result,) = (one for one in report.results if one.clause.id == self._clause)
        failing = [one for one in result.findings if one.fails(strict=report.strict)]
        if failing:
            pytest.fail("\n\n".join(_in_words(failing)), pytrace=False)
        self._tell(result)

    def _tell(self, result: "ClauseResult") -> None:
        counting = (one for one in result.findings if not one.accepted)
        told = [one for one in counting if one.severity != "information"]
        for finding, said in zip(told, _in_words(told), strict=True):
            place = finding.place
            file, line = (place.file, place.line) if place is not None else (self.name, 0)
            warnings.warn_explicit(IotaxWarning(f"{self._clause}: {said}"), None, file, line)
        if result.outcome.startswith("not "):
            pytest.skip(result.clause.not_checkable or result.outcome)


def _in_words(findings: Any) -> Iterator[str]:
    from iotax._check.report.machine_readable import in_words

    return map(in_words, findings)
