"""The player, in this process."""

import signal
import threading

import pytest

from iotax.check import player as player_module
from iotax.check.player import Player, install_alarm
from iotax.check.requests import RequestSpec
from iotax.check.scenarios import scenarios_for

EVENTS = RequestSpec("GET", "/events")


@pytest.fixture
def timers(monkeypatch):
    """The seconds that each request was given."""
    set_timer, given = signal.setitimer, []

    def record(which, seconds, *interval):
        given.append(seconds)
        return set_timer(which, seconds, *interval)

    monkeypatch.setattr(signal, "setitimer", record)
    monkeypatch.setattr(player_module, "STREAM_SECONDS", 0.01)
    former = signal.getsignal(signal.SIGALRM)
    install_alarm()
    yield given
    signal.signal(signal.SIGALRM, former)


def findings(application, timeout):
    player = Player(application, {}, timeout, lambda _: None)
    seen = [player.play(name, EVENTS) for name in scenarios_for(EVENTS)]
    return [finding for part in seen for finding in part["findings"]]


def test_a_stream_is_waited_for_once_and_blamed_for_nothing(timers):
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        yield b"data: one\n\n"
        threading.Event().wait()

    found = findings(application, 0.5)

    assert found == []
    seconds = timers[::2]  # each second one sets the former timer again
    assert set(seconds) == {0.5, 0.01}
    assert seconds.count(0.5) == 3  # once for each URL: strange_text() asks two more
    assert len(seconds) > 30


def test_an_application_that_has_not_begun_is_waited_for_each_time(timers):
    def application(environ, start_response):
        threading.Event().wait()

    player = Player(application, {}, 0.05, lambda _: None)
    seen = [player.play("plain", RequestSpec("GET", path)) for path in ("/one", "/two")]

    assert [[one["clause"] for one in part["findings"]] for part in seen] == [["C-TIME-01"]] * 2
    assert timers[::2] == [0.05, 0.05]
