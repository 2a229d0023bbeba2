"""The plugin of pytest: `pytest --iotax-check main:app` makes a test of each clause of PEP 3333
that `iotax check` looks at.

A module of its own, beside the package, so that pytest imports nothing of iotax unless it is asked
for. The settings are those of [tool.iotax.check] in pyproject.toml. A clause fails with what
counts; what does not fail without --iotax-strict is a warning; a clause that was not exercised is
skipped.
"""

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from iotax.check.findings import ClauseResult, Report


class IotaxWarning(pytest.PytestWarning):
    """A finding of iotax check that does not fail."""


class Failed(Exception):
    """What a clause says when it fails."""


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
        help="warnings, and what lies in installed packages, fail too",
    )


def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    for target in config.getoption("--iotax-check"):
        items += Check.from_parent(
            session, name=f"iotax check {target}", nodeid=f"iotax check {target}", target=target
        ).collect()


class Check(pytest.Collector):
    """One application. `report` is made when the first of its tests runs."""

    def __init__(self, *, target: str, **more: Any) -> None:
        super().__init__(**more)
        self._target = target
        self._report: Report | None = None
        self.failed = False

    def collect(self) -> list[pytest.Item]:
        from iotax.check.clauses import clauses

        found: list[pytest.Item] = [CanBeChecked.from_parent(self, name="can be checked")]
        for clause in clauses().values():
            if clause.side == "application":
                name = f"{clause.id} {clause.level}"
                found.append(ClauseTest.from_parent(self, name=name, clause=clause.id))
        return found

    def report(self) -> "Report":
        """Errors: LoadError and Died, once; ConfigError for the settings."""
        if self._report is None:
            from iotax.check.playing import check
            from iotax.check.settings import from_command

            self.failed = True
            typed = {"target": self._target, "strict": self.config.getoption("--iotax-strict")}
            self._report = check(from_command(typed, str(self.config.rootpath)))
            self.failed = False
        return self._report


class CheckTest(pytest.Item):
    parent: Check

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        return f"{excinfo.value}"

    def reportinfo(self) -> tuple[Any, None, str]:
        return self.config.rootpath, None, f"{self.parent.name}: {self.name}"


class CanBeChecked(CheckTest):
    """The application can be loaded, and answered something."""

    def runtest(self) -> None:
        report = self.parent.report()
        for note in report.notes:
            warnings.warn(IotaxWarning(note), stacklevel=1)
        if report.problem:
            raise Failed(report.problem)


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
            raise Failed("\n\n".join(_in_words(failing)))
        self._tell(result)

    def _tell(self, result: "ClauseResult") -> None:
        counting = (one for one in result.findings if not one.accepted)
        told = [one for one in counting if one.severity != "information"]
        for said in _in_words(told):
            warnings.warn(IotaxWarning(f"{self._clause}: {said}"), stacklevel=1)
        if result.outcome.startswith("not "):
            pytest.skip(result.clause.not_checkable or result.outcome)


def _in_words(findings: Any) -> Iterator[str]:
    from iotax.check.forms.programs import in_words

    return map(in_words, findings)
