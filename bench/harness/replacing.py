"""Counts the requests that are lost while workers are replaced and servers are stopped.

Each scenario repeats an action on a server's processes under the load of tests/support/load.py,
which reports losses; the application is tests/e2e/apps/echoes.py. Every server gets two workers
with four threads, and an idle timeout for connections that is far longer than the load's pauses.
"""

import collections
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import servers

sys.path.insert(0, str(servers.ROOT / "tests"))
from support import load, patience, processes
from support.load import Load, Report
from support.wire import Connection

APPS = servers.ROOT / "tests" / "e2e" / "apps"
NAMES = ("iotax", "gunicorn", "granian")
WORKERS, THREADS = 2, 4
RECYCLE_AFTER = 300  # requests of a worker


class Stuck(Exception):
    """An expected event did not happen; the text names it."""


# ---- the servers


def command_of(name, context, port, app, mode):
    """`mode`: "" for two workers, "recycle" for two that are recycled, "reload" for development."""
    workers = 1 if mode == "reload" else WORKERS
    if name == "iotax":
        command = [context.python, "-m", "iotax", "--port", port, "--threads", THREADS]
        command += ["--workers", workers, "--no-access-log", app]
        if mode == "recycle":
            command += ["--max-requests", RECYCLE_AFTER]
    elif name == "gunicorn":
        command = [context.peers_python, "-m", "gunicorn", "-k", "gthread", "--threads", THREADS]
        command += ["-w", workers, "--keep-alive", 60, "--bind", f"127.0.0.1:{port}"]
        command += ["--no-control-socket", app]
        if mode == "recycle":
            command += ["--max-requests", RECYCLE_AFTER]
            command += ["--max-requests-jitter", RECYCLE_AFTER // 10]
    else:
        command = [context.peers_python, "-m", "granian", "--interface", "wsgi", "--port", port]
        command += ["--workers", workers, "--blocking-threads", THREADS]
        command += ["--respawn-failed-workers", "--respawn-interval", 0.1, app]
        if mode == "recycle":  # has no request limit; its shortest --workers-lifetime is a minute
            command += ["--workers-max-rss", 1, "--rss-sample-interval", 1]
    return [*command, *(["--reload"] if mode == "reload" else [])]


NOTES = {
    "granian": "recycled by --workers-max-rss 1 --rss-sample-interval 1, as it counts no requests;"
    " --respawn-failed-workers, or it ends when a worker does",
}


class Served:
    """A started server in its own process group."""

    def __init__(self, name, context, *, ran, app="echoes:application", cwd=APPS, mode=""):
        self.name = name
        self.port = servers.free_port()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end(). Not a pipe: nothing would read it
        self.process = subprocess.Popen(
            [str(part) for part in command_of(name, context, self.port, app, mode)],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(APPS), "PYTHONDONTWRITEBYTECODE": "1", "RAN": ran},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._wait_until_ready()

    def _wait_until_ready(self):
        deadline = time.monotonic() + patience.SECONDS
        while True:
            if self.process.poll() is not None or time.monotonic() > deadline:
                printed = os.pread(self._output.fileno(), 1 << 20, 0).decode(errors="replace")
                self.end()
                raise servers.Unavailable(f"{self.name} does not start: {printed.strip()[-300:]}")
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/echo/ready", timeout=5).read()
                return
            time.sleep(0.02)

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self):
        try:
            return self.process.wait(patience.SECONDS)
        except subprocess.TimeoutExpired:
            raise Stuck("the server does not end") from None

    def end(self):
        """Kill the processes left in the group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._output.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def wait_for_end(*pids):
    try:
        processes.wait_for_end(*pids)
    except AssertionError as why:
        raise Stuck(str(why)) from None


def serving(server, running):
    """Return the server's child processes that have responded."""
    return [pid for pid in processes.children(server.process.pid) if running.report.workers[pid]]


def wait_until(running, condition, what):
    try:
        running.wait_until(condition, what)
    except AssertionError as why:
        raise Stuck(str(why).splitlines()[0]) from None


def wait_for_answers(running, count):
    try:
        running.wait_for_answers(count)
    except AssertionError as why:
        raise Stuck(str(why).splitlines()[0]) from None


def wait_for_workers(server, running, count, *, without=()):
    """Wait until `count` child processes not in `without` have responded. Return them."""
    wait_until(
        running,
        lambda: len(set(serving(server, running)) - set(without)) >= count,
        f"response of {count} new workers",
    )
    return sorted(set(serving(server, running)) - set(without))


# ---- the scenarios: each yields after each of its events


@dataclass
class Result:
    """Result of one scenario for one server."""

    events: int = 0
    report: Report = field(default_factory=Report)
    excused: list = field(default_factory=list)  # failures explained by a killed worker
    waits: list = field(default_factory=list)  # seconds from save to new response
    ran_twice: int = 0
    seconds: float = 0.0
    stuck: str = ""

    @property
    def lost(self):
        return [one for one in self.report.lost if one not in self.excused]

    @property
    def wrong(self):
        return len(self.report.wrong) + self.ran_twice

    def is_clean(self, times):
        return not self.lost and not self.wrong and not self.stuck and self.events >= times


def reload(server, running, result):
    old = wait_for_workers(server, running, WORKERS)
    while True:
        server.signal(signal.SIGHUP)
        new = wait_for_workers(server, running, WORKERS, without=old)
        wait_for_end(*old)
        old = new
        yield


def recycle(server, running, result):
    known = set(wait_for_workers(server, running, WORKERS))
    while True:
        wait_until(running, lambda: set(running.report.workers) - known, "recycled worker")
        known.add(min(set(running.report.workers) - known))
        yield


def signal_one(number):
    def scenario(server, running, result):
        while True:
            workers = wait_for_workers(server, running, WORKERS)
            (victim, *_) = workers
            began = time.monotonic()
            os.kill(victim, number)
            wait_for_end(victim)
            died = time.monotonic()
            wait_for_workers(server, running, WORKERS, without=[victim])
            if number == signal.SIGKILL:
                result.excused += running.report.explained(victim, began, died)
            yield

    return scenario


def under_one_load(scenario, *, mode=""):
    """Make the scenario run with one server and one load from its first event to its last."""

    def play(name, context, times, result, ran):
        with Served(name, context, mode=mode, ran=ran) as server:
            with Load(server.port) as running:
                result.report = running.report
                events = scenario(server, running, result)
                for _ in range(times):
                    wait_for_answers(running, 100)
                    next(events)
                    result.events += 1
                wait_for_answers(running, 100)
            server.signal(signal.SIGTERM)
            server.wait()

    return play


def stop(name, context, times, result, ran):
    """Start a new server for each stop; its clients end when they are refused."""
    for number in range(times):
        with Served(name, context, ran=ran) as server:
            running = Load(server.port, seed=number).start()
            try:
                wait_for_answers(running, 300)
                running.stopping()
                server.signal(signal.SIGTERM)
                server.wait()
                running.join()
            except AssertionError as why:
                raise Stuck(str(why).splitlines()[0]) from None
            finally:
                result.report = add(result.report, running.stop())
        result.events += 1


SAVED = """
from echoes import application as echoes

VERSION = "{version}"


def application(environ, start_response):
    def start(status, fields):
        return start_response(status, [*fields, ("X-Version", VERSION)])

    return echoes(environ, start)
"""


def save(name, context, times, result, ran):
    """Save a module with another version, and send requests until that version responds."""
    with tempfile.TemporaryDirectory() as directory:
        module = Path(directory) / "saved.py"
        module.write_text(SAVED.format(version="0"))
        app = "saved:application"
        with Served(name, context, app=app, cwd=directory, mode="reload", ran=ran) as server:
            with Load(server.port) as running:
                result.report = running.report
                for version in range(1, times + 1):
                    wait_for_answers(running, 100)
                    began = time.monotonic()
                    module.write_text(SAVED.format(version=version))
                    wait_for_version(server.port, str(version))
                    result.waits.append(time.monotonic() - began)
                    result.events += 1
                wait_for_answers(running, 100)
            server.signal(signal.SIGTERM)
            server.wait()


def wait_for_version(port, version):
    deadline = time.monotonic() + patience.SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, AssertionError), Connection(port) as connection:
            if connection.ask("/echo/ready", "Connection: close").get("X-Version") == version:
                return
    raise Stuck(f"no response of version {version}")


def add(one, other):
    return Report(
        one.answered + other.answered,
        one.closed_idle + other.closed_idle,
        one.refused_late + other.refused_late,
        one.announced + other.announced,
        one.workers + other.workers,
        one.failures + other.failures,
    )


@dataclass(frozen=True)
class Scenario:
    what: str
    times: int
    quick: int
    play: Callable


SCENARIOS = {
    "reload": Scenario("HUP", 100, 5, under_one_load(reload)),
    "recycle": Scenario("recycled worker", 100, 5, under_one_load(recycle, mode="recycle")),
    "save": Scenario("--reload, save", 200, 5, save),
    "term": Scenario("TERM of one worker", 20, 3, under_one_load(signal_one(signal.SIGTERM))),
    "kill": Scenario("SIGKILL of one worker", 20, 3, under_one_load(signal_one(signal.SIGKILL))),
    "stop": Scenario("TERM of the server", 20, 3, stop),
}


def run(name, context, key, times):
    """Run one scenario for one server. Return its Result."""
    result = Result()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        ran = Path(directory) / "ran"
        ran.touch()
        try:
            SCENARIOS[key].play(name, context, times, result, str(ran))
        except Stuck as why:
            result.stuck = str(why)
        runs = load.runs(ran)
        runs.pop("ready", None)
        result.ran_twice = sum(count > 1 for count in runs.values())
    result.seconds = time.monotonic() - begin
    return result


def describe_load():
    counts = collections.Counter(sort.__name__.lower() for sort in load.mix())
    counts["steady"] = counts.pop("client")
    sorts = ", ".join(f"{count} {sort}" for sort, count in counts.items())
    return (
        f"{counts.total()} clients at once ({sorts}), {WORKERS} workers with {THREADS} threads each"
    )


HEAD = ["", "server", "times", "answered", "lost", "per time", "wrong"]
HEAD += ["unanswered", "broken", "silent", "refused", "idle closed", "seconds"]


def row(key, name, result):
    report = result.report
    times = result.events
    lost = len(result.lost)
    cells = [SCENARIOS[key].what, name, times, f"{report.answered:,}", lost]
    cells += [f"{lost / times:.1f}" if times else "-", result.wrong]
    fates = (load.Fate.UNANSWERED, load.Fate.BROKEN, load.Fate.SILENT, load.Fate.REFUSED)
    cells += [sum(one.fate is fate for one in result.lost) for fate in fates]
    return [str(cell) for cell in [*cells, report.closed_idle, f"{result.seconds:.0f}"]]


def remarks(key, name, result):
    """Return the lines below the table."""
    where = f"{SCENARIOS[key].what}, {name}"
    if result.excused:
        share = len(result.excused) / result.events if result.events else 0
        yield (
            f"{where}: {len(result.excused)} requests ({share:.1f} per time) were aborted with"
            " their worker; they do not count as lost"
        )
    if result.waits:
        waits = sorted(result.waits)
        yield (
            f"{where}: from save to new response {waits[len(waits) // 2]:.2f} s (median),"
            f" {waits[-1]:.2f} s (longest)"
        )
    if result.stuck:
        yield f"{where}: given up after {result.events}: {result.stuck}"
    if result.ran_twice:
        yield f"{where}: {result.ran_twice} requests ran twice"
    for one in [*result.report.wrong, *result.lost][:1]:
        yield f"{where}: e.g. {json.dumps(one.detail)[1:-1]}"


def layout(rows):
    widths = [max(len(one[i]) for one in rows) for i in range(len(rows[0]))]
    for one in rows:
        first, second, *numbers = one
        cells = [f"{first:{widths[0]}}", f"{second:{widths[1]}}"]
        cells += [f"{text:>{width}}" for text, width in zip(numbers, widths[2:], strict=True)]
        yield "  ".join(cells).rstrip()
