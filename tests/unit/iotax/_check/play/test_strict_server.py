"""The strict server, in this process."""

import signal
import threading
from types import SimpleNamespace

import pytest

from iotax._check.observe import blame, guarded_call
from iotax._check.observe.outcome import TimeIsUp
from iotax._check.play import strict_server
from iotax._check.play.sandbox import install_alarm
from iotax._check.play.scenarios import scenarios_for
from iotax._check.play.strict_server import StrictServer
from iotax._check.report.clauses import clauses
from iotax._check.requests import RequestSpec

EVENTS = RequestSpec("GET", "/events")


@pytest.fixture
def timers(monkeypatch):
    """The time limits of all requests, in seconds."""
    set_timer, given = signal.setitimer, []

    def record(which, seconds, *interval):
        given.append(seconds)
        return set_timer(which, seconds, *interval)

    monkeypatch.setattr(signal, "setitimer", record)
    monkeypatch.setattr(strict_server, "STREAM_SECONDS", 0.02)
    former = signal.getsignal(signal.SIGALRM)
    install_alarm()
    yield given
    signal.signal(signal.SIGALRM, former)


def findings(application, timeout):
    server = StrictServer(application, {}, timeout, lambda _: None)
    seen = [server.play(name, EVENTS) for name in scenarios_for(EVENTS)]
    return [finding for part in seen for finding in part["findings"]]


def test_stream_is_waited_for_once_and_not_blamed(timers):
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        yield b"data: one\n\n"
        threading.Event().wait()

    found = findings(application, 0.5)

    assert found == []
    seconds = timers[::2]  # each second one restores the former timer
    assert set(seconds) == {0.5, 0.02}
    assert seconds.count(0.5) == 3  # once for each URL: strange_text() requests two more
    assert len(seconds) > 30


def test_every_request_waits_for_an_application_that_has_not_responded(timers):
    def application(environ, start_response):
        threading.Event().wait()

    server = StrictServer(application, {}, 0.05, lambda _: None)
    seen = [server.play("plain", RequestSpec("GET", path)) for path in ("/one", "/two")]

    assert [[one["clause"] for one in part["findings"]] for part in seen] == [["C-TIME-01"]] * 2
    assert timers[::2] == [0.05, 0.05]


def test_time_of_the_checker_does_not_count(timers, monkeypatch):
    """A slow machine looks up a finding during the call."""
    clock = SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(guarded_call, "time", clock)
    checked = guarded_call.GuardedCall._check_result

    def slowly(call):
        checked(call)
        clock.now += 100

    monkeypatch.setattr(guarded_call.GuardedCall, "_check_result", slowly)

    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (block for block in (b"one", b"two"))

    call = StrictServer(application, {}, 5.0, lambda _: None).send(EVENTS)

    assert bytes(call.body) == b"onetwo"
    assert not call.cut_off


def test_tables_are_read_before_the_first_call(timers):
    clauses.cache_clear()
    blame._distributions.cache_clear()
    known = []

    def application(environ, start_response):
        known.append((clauses.cache_info().currsize, blame._distributions.cache_info().currsize))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"x"]

    StrictServer(application, {}, 5.0, lambda _: None).send(EVENTS)

    assert known == [(1, 1)]


def test_alarm_outside_of_the_application_ends_the_call(timers, monkeypatch):
    started = []

    def application(environ, start_response):
        started.append(1)
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"x"

    server = StrictServer(application, {}, 5.0, lambda _: None)

    def too_late(call, environ):
        raise TimeIsUp

    monkeypatch.setattr(guarded_call.GuardedCall, "_prepare", too_late)
    call = server.send(EVENTS)

    assert isinstance(call.raised, TimeIsUp)
    assert not started
    assert [one.clause for one in call.record.findings] == ["C-TIME-01"]


def test_program_that_started_the_strict_server_is_not_blamed():
    """This test runs outside of the strict server, as pytest does."""
    assert strict_server.__file__ == blame.STRICT_SERVER
