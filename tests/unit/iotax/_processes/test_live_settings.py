"""Settings that are read again: what changes, what stays, and what is logged."""

import dataclasses
import signal
from typing import Any

import pytest
from played_system import World, settings_of

from iotax._app import working_directory
from iotax._config.errors import ConfigErrors, OptionError
from iotax._config.sources import Settings
from iotax._log import server_log
from iotax._processes.lifecycle import State
from iotax._processes.target import MORE_WORKERS_MAX


def changed(*arguments: str, warnings: list[str] | None = None) -> Settings:
    return settings_of(*arguments)._replace(warnings=warnings or [])


def jobs(world: World) -> list[Any]:
    return [process.job.config for process in world.processes]


def test_hup_starts_workers_with_the_new_values(world: World) -> None:
    world.start("limit_body", "1M").ready(0)
    world.settings_read = changed("limit_body", "2M", "app", "other:app", warnings=["one key"])
    world.turn(signal.SIGHUP)
    assert "one key" in world.log
    assert [(job.limit_body, job.app) for job in jobs(world)] == [
        (1024**2, "main:app"),
        (2 * 1024**2, "other:app"),
    ]
    world.ready(1)
    assert world.has_logged("Worker [5001] replaces [5000]: SIGHUP")


def test_wrong_settings_change_nothing(world: World) -> None:
    """Running workers stay, and a later replacement has the old values."""
    world.start("limit_body", "1M").ready(0)
    world.settings_read = ConfigErrors(
        "iotax.toml", ["iotax.toml:1: first", "iotax.toml:2: second"]
    )
    world.turn(signal.SIGHUP)
    assert world.log[-3:] == [
        "iotax.toml:1: first",
        "iotax.toml:2: second",
        "Keeping the current settings and workers",
    ]
    assert len(world.processes) == 1
    world.processes[0].ends(signal.SIGKILL)
    world.turn()
    world.passes(60.0)
    assert jobs(world)[1] == jobs(world)[0]
    world.settings_read = changed("limit_body", "2M")
    world.turn(signal.SIGHUP)
    world.ready(1)
    assert jobs(world)[-1].limit_body == 2 * 1024**2


@pytest.mark.parametrize(("workers", "count"), [("4", 4), ("1", 1)])
def test_number_of_workers_follows(world: World, workers: str, count: int) -> None:
    world.start("workers", "2").ready(0, 1)
    world.settings_read = changed("workers", workers)
    world.turn(signal.SIGHUP)
    assert world.supervisor._target.count == count
    assert world.has_logged(f"Number of workers set to {count}")


def test_number_that_signals_have_set_stays_unless_the_settings_change_it(world: World) -> None:
    world.start("workers", "2").ready(0, 1)
    world.turn(signal.SIGTTIN)
    world.turn(signal.SIGHUP)
    assert world.supervisor._target.count == 3


def test_number_of_workers_is_limited_by_the_scoreboard(world: World) -> None:
    world.start("workers", "2").ready(0, 1)
    world.settings_read = changed("workers", "200")
    world.turn(signal.SIGHUP)
    assert world.supervisor._target.count == 2 + MORE_WORKERS_MAX
    assert world.has_logged("There is room for 34 of 200 workers until a restart")


def test_supervisor_uses_the_new_limits(world: World) -> None:
    world.start().ready(0)
    world.settings_read = changed("worker_lifetime", "10s")
    world.turn(signal.SIGHUP)
    world.ready(1)
    world.passes(11.0)
    assert world.has_logged("it has served for 11 s (--worker-lifetime)")


def test_each_process_drains_for_as_long_as_its_own_settings_say(world: World) -> None:
    parts = world.start("graceful_timeout", "20s").supervisor
    world.ready(0)
    world.settings_read = changed("graceful_timeout", "5s")
    world.turn(signal.SIGHUP)
    world.ready(1)
    old, new = parts._pool.workers
    assert (old.state, new.state) == (State.DRAINING, State.READY)
    assert old.kill_at() - world.time > 20
    assert parts._control.drain_seconds(new) < 20
    world.turn(signal.SIGTERM)
    assert parts._shutdown.stop is not None
    assert parts._shutdown.stop.kill_at - world.time > 20, "the former worker still drains"


def test_with_preload_the_next_template_has_the_new_values(world: World) -> None:
    world.start("preload", "1").ready(0)
    world.settings_read = changed("preload", "1", "limit_body", "2M")
    world.turn(signal.SIGHUP)
    templates = [process.job.worker.config.limit_body for process in world.processes[::1]]
    assert templates == [1024**2, 2 * 1024**2]
    assert world.template is world.supervisor._pool.others[0], "the former one serves until then"


def test_log_is_opened_again_only_if_its_settings_change(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    monkeypatch.setattr(server_log, "open_log", lambda config, *_, **__: opened.append(config))
    world.start().ready(0)
    world.settings_read = changed("limit_body", "2M")
    world.turn(signal.SIGHUP)
    assert opened == []
    world.settings_read = changed("log_level", "error")
    world.turn(signal.SIGHUP)
    assert [config.log_level for config in opened] == ["error"]
    world.settings_read = changed("log_level", "error", "log_format", "json")
    world.turn(signal.SIGHUP)
    assert [config.log_format for config in opened] == ["text", "json"]


def test_directory_that_cannot_be_entered_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(chdir: str, _import_from: object) -> None:
        if chdir:
            raise OptionError("chdir", f'cannot enter "{chdir}": no; expected a directory', "/srv")

    monkeypatch.setattr(working_directory, "change", refuse)
    world.start().ready(0)
    world.settings_read = changed("chdir", "/gone")
    world.turn(signal.SIGHUP)
    assert world.has_logged('--chdir: cannot enter "/gone": no; expected a directory; e.g. --chdir')
    assert len(world.processes) == 1
    assert world.supervisor._settings.config.chdir == ""


def test_log_stays_if_the_directory_cannot_be_entered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OptionError("chdir", "no", "/srv")

    opened = []
    monkeypatch.setattr(server_log, "open_log", lambda config, *_, **__: opened.append(config))
    monkeypatch.setattr(working_directory, "change", refuse)
    world.start().ready(0)
    world.settings_read = changed("log_level", "error")
    world.turn(signal.SIGHUP)
    assert [config.log_level for config in opened] == ["error", "info"]


def test_without_a_reader_the_settings_stay(world: World) -> None:
    world.start().ready(0)
    before = world.supervisor._settings.config
    world.turn(signal.SIGHUP)
    assert world.supervisor._settings.config == before
    assert dataclasses.asdict(jobs(world)[1]) == dataclasses.asdict(before)
