"""One live server for each test module, and the report about the clauses at the end."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import clauses
import pytest
import reports
from clauses import Shown
from served import NOT_APPLICABLE, Served
from support import wire
from support.wire import OTHER

SAID_MAX = 600
WIRE_LINES_MAX, WIRE_LINE_MAX = 8, 300

outcomes: dict[str, dict[str, Shown]] = defaultdict(dict)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--clause-report", metavar="FILE", help="write the result of each PEP 3333 clause as JSON"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "obligation(*ids): what of obligations.toml a test shows")
    config.addinivalue_line("markers", "browser: drives headless Chromium")


def ids_of(item: pytest.Item) -> list[str]:
    return [id for mark in item.iter_markers("obligation") for id in mark.args]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A skipped test shows nothing; a test that is expected to fail has failed."""
    report: pytest.TestReport = yield
    shown = None
    if report.failed or hasattr(report, "wasxfail"):
        said = _said(report)
        foreign = NOT_APPLICABLE in said
        shown = Shown(item.nodeid, "not applicable" if foreign else "failed", said, _wire())
    elif report.when == "call" and report.passed:
        shown = Shown(item.nodeid, "passed")
    for id in ids_of(item) if shown else ():
        if shown.result == "failed" or item.nodeid not in outcomes[id]:
            outcomes[id][item.nodeid] = shown
    return report  # type: ignore[return-value]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    wire.seen.clear()


def _wire() -> str:
    """The bytes on the connections of the test, the last part if they are many."""
    lines = [f"{way} {data!r}" for way, data in wire.seen]
    shown = [line if len(line) <= WIRE_LINE_MAX else f"{line[:WIRE_LINE_MAX]}..." for line in lines]
    return "\n".join(shown[-WIRE_LINES_MAX:])


def _said(report: pytest.TestReport) -> str:
    """The failed assertion or error, truncated."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text: str = crash.message if crash is not None else str(report.longrepr)
    return text if len(text) <= SAID_MAX else text[:SAID_MAX] + "..."


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if not outcomes:
        return
    found = clauses.report(outcomes, of_iotax=not OTHER)
    terminalreporter.section("PEP 3333: obligations of the server")
    for line in reports.lines(found):
        terminalreporter.line(line)
    if file := config.getoption("--clause-report", None):
        clauses.write(found, Path(file))


@pytest.fixture(scope="module")
def served_module(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """The `applications` of the test module."""
    target = f"{request.module.__name__}:applications"
    served = Served(tmp_path_factory.mktemp("served"), target)
    yield served
    served.stop()


@pytest.fixture
def served(served_module: Served) -> Served:
    served_module.clear()
    return served_module


@pytest.fixture(scope="module")
def on_demand(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """The same, called before the body has arrived."""
    target = f"{request.module.__name__}:applications"
    served = Served(tmp_path_factory.mktemp("served"), target, "--no-request-buffering")
    yield served
    served.stop()


@pytest.fixture
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """serve("module:attribute", "--option") serves it until the end of the test."""
    started: list[Served] = []

    def one(target: str, *options: str, **more: Any) -> Served:
        started.append(Served(tmp_path_factory.mktemp("served"), target, *options, **more))
        return started[-1]

    yield one
    for served in started:
        served.stop()
