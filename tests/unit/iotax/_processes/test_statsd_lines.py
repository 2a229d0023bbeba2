"""What the supervisor sends to statsd, and when."""

import signal

import pytest
from played_system import World, settings_of
from scripted_extension import extension

from iotax._log import statsd


class Played:
    """What the extension was asked to do. `waits`: lines have not been sent."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counts: list[int] = []
        self.sends = 0
        self.waits = False
        self.opened: list[str] = []
        monkeypatch.setattr(extension, "count_workers", self._count)
        monkeypatch.setattr(extension, "statsd_waits", lambda: self.waits)
        monkeypatch.setattr(extension, "send_statsd", self._send)
        monkeypatch.setattr(extension, "close_statsd", lambda: self.opened.append(""))
        monkeypatch.setattr(
            extension, "open_statsd", lambda _, name, **__: self.opened.append(name)
        )

    def _count(self, count: int) -> None:
        self.counts.append(count)
        self.waits = True

    def _send(self) -> None:
        self.sends += 1
        self.waits = False


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    return Played(monkeypatch)


ON = ("statsd_host", "127.0.0.1:8125")


def test_without_the_option_there_is_nothing_to_do(world: World, played: Played) -> None:
    world.start("workers", "2").ready(0, 1)
    played.waits = True
    assert list(world.supervisor._statsd.dues()) == []
    world.passes(60.0)
    assert (played.counts, played.sends) == ([], 0)


def test_the_number_of_workers_is_sent_when_it_changes(world: World, played: Played) -> None:
    world.start("workers", "2", *ON)
    assert played.counts == []
    world.ready(0)
    world.ready(1)
    assert played.counts == [1, 2]
    world.passes(1.0)
    world.turn(signal.SIGTTIN)
    world.ready(2)
    assert played.counts == [1, 2, 3]
    world.turn(signal.SIGTTOU)
    assert played.counts == [1, 2, 3, 2]
    world.processes[1].ends(signal.SIGKILL)
    world.turn()
    assert played.counts == [1, 2, 3, 2, 1]
    world.turn(signal.SIGTERM)
    assert played.counts == [1, 2, 3, 2, 1, 0]


def test_a_replacement_does_not_change_the_number(world: World, played: Played) -> None:
    world.start("workers", "1", *ON).ready(0)
    world.turn(signal.SIGHUP)
    world.ready(1)
    assert world.has_logged("Worker [5001] replaces [5000]: SIGHUP")
    assert played.counts == [1]


def test_lines_are_sent_at_most_once_a_second(world: World, played: Played) -> None:
    world.start("workers", "2", *ON).ready(0)
    assert played.sends == 1
    assert list(world.supervisor._statsd.dues()) == [], "nothing waits, so nothing wakes"
    world.passes(0.5)
    world.ready(1)
    assert played.sends == 1
    assert list(world.supervisor._statsd.dues()) == [world.time + 0.5]
    world.passes(0.5)
    assert played.sends == 2
    assert list(world.supervisor._statsd.dues()) == []


def test_hup_changes_the_receiver_which_gets_the_number(world: World, played: Played) -> None:
    world.start("workers", "1", *ON).ready(0)
    world.settings_read = settings_of("workers", "1", "statsd_host", "127.0.0.1:9")
    world.turn(signal.SIGHUP)
    assert played.opened == ["127.0.0.1:9"]
    assert played.counts == [1, 1]
    world.turn(signal.SIGHUP)
    assert played.opened == ["127.0.0.1:9"], "only if the settings change"
    world.settings_read = settings_of("workers", "1")
    world.turn(signal.SIGHUP)
    assert played.opened == ["127.0.0.1:9", ""]
    assert played.counts == [1, 1]


def test_hup_with_a_host_that_does_not_resolve_changes_nothing(
    world: World, played: Played
) -> None:
    world.start("workers", "1", *ON).ready(0)
    world.settings_read = settings_of("statsd_host", "no.such.host.invalid:8125", "workers", "1")
    world.turn(signal.SIGHUP)
    assert world.has_logged('--statsd-host: "no.such.host.invalid:8125" does not resolve (')
    assert world.log[-1] == "Keeping the current settings and workers"
    assert len(world.processes) == 1
    assert played.opened == []
    assert statsd.settings_of(world.supervisor._settings.config)[0] is not None
