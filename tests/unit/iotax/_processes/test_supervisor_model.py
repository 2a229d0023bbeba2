"""Runs the supervisor with random events (supervisor_model.py), and plants bugs in it to show that
the model finds them."""

import random
from collections.abc import Callable

import pytest
import supervisor_model as model

from iotax._processes import control, replacement, shutdown
from iotax._processes.backoff import Backoff
from iotax._processes.failures import Failures
from iotax._processes.inbox import Inbox
from iotax._processes.lifecycle import FOREVER, State
from iotax._processes.live_settings import LiveSettings
from iotax._processes.pool import Child, Worker
from iotax._processes.service_status import ServiceStatus
from iotax._processes.supervisor import Supervisor
from iotax._processes.target import Target
from iotax._reload.policy import Reloading
from iotax._reload.warm_template import WarmTemplate

SEQUENCES = 100
# Upper bound on the seeds to try; planted bugs are found much sooner.
LONGEST_SEARCH = 400


def sequences(count: int, *, reload: bool) -> None:
    """Run the fixed seeds of every run, and as many new random ones."""
    fresh = random.SystemRandom().sample(range(1 << 32), count)
    for seed in (*range(1, count), *fresh):
        try:
            model.run(seed, reload=reload)
        except Exception as problem:
            raise AssertionError(f"seed {seed}: {model.again(seed, reload=reload)}") from problem


def test_invariants_hold_under_random_events() -> None:
    sequences(SEQUENCES, reload=False)


def test_invariants_hold_under_random_events_with_reload() -> None:
    sequences(SEQUENCES // 3, reload=True)


# ---- bugs that the model has to find


def request_is_cleared_by_a_failed_boot(patch: pytest.MonkeyPatch) -> None:
    later = Failures.try_again_later

    def forgets(self: Failures, child: Child) -> None:
        for worker in self._pool.workers:
            worker.replacement = None
        later(self, child)

    patch.setattr(Failures, "try_again_later", forgets)


def urgent_ones_wait_for_drains(patch: pytest.MonkeyPatch) -> None:
    """The wanted state is reached in the end, but draining workers delay the replacement of workers
    that cannot serve."""
    patch.setattr(Worker, "cannot_serve", lambda _: False)


def all_are_replaced_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Worker, "cannot_serve", lambda self: self.replacement is not None)


def delay_without_wakeup(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Backoff, "allows", lambda self, now: now >= self.until)
    dues = Supervisor._dues

    def forgets(self: Supervisor) -> object:
        return (due for due in dues(self) if due != self._backoff.until)

    patch.setattr(Supervisor, "_dues", forgets)


def killed_process_is_waited_for(patch: pytest.MonkeyPatch) -> None:
    def kill_at(self: Child) -> float:
        over = self.termination is None or self.state is State.KILLED
        return FOREVER if over or self.termination is None else self.termination.kill_at

    patch.setattr(Child, "kill_at", kill_at)


def slot_is_lost(patch: pytest.MonkeyPatch) -> None:
    def loses(self: Inbox, worker: Worker) -> None:
        self._parts.pool.workers.remove(worker)

    patch.setattr(Inbox, "_was_not_forked", loses)


def successor_drains_whom_it_should_not(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Target, "is_needed", lambda *_: False)


def hung_workers_pile_up(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(replacement, "_kills", lambda *_: [])


def failed_fork_is_the_end(patch: pytest.MonkeyPatch) -> None:
    def cannot_start(self: Failures, why: str) -> None:
        raise OSError(why)

    patch.setattr(Failures, "cannot_start", cannot_start)


def stop_forgets_who_boots(patch: pytest.MonkeyPatch) -> None:
    for module in (control, shutdown):
        patch.setattr(module, "AT_ONCE_SECONDS", 1e9)


def former_settings_stay(patch: pytest.MonkeyPatch) -> None:
    read_again = LiveSettings.read_again

    def forgets(self: LiveSettings) -> bool:
        former = self._settings
        is_good = read_again(self)
        self._settings = former
        return is_good

    patch.setattr(LiveSettings, "read_again", forgets)


def reload_never_ends_for_the_service_manager(patch: pytest.MonkeyPatch) -> None:
    """Failed reloads end; those that succeed do not."""
    patch.setattr(ServiceStatus, "_follow_reload", lambda *_: None)


@pytest.mark.parametrize(
    "plant",
    [
        request_is_cleared_by_a_failed_boot,
        urgent_ones_wait_for_drains,
        all_are_replaced_at_once,
        delay_without_wakeup,
        killed_process_is_waited_for,
        slot_is_lost,
        successor_drains_whom_it_should_not,
        hung_workers_pile_up,
        failed_fork_is_the_end,
        stop_forgets_who_boots,
        former_settings_stay,
        reload_never_ends_for_the_service_manager,
    ],
    ids=lambda plant: plant.__name__,
)
def test_planted_bug_is_found(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None]
) -> None:
    plant(monkeypatch)
    assert is_found(reload=False)


def template_keeps_former_settings(patch: pytest.MonkeyPatch) -> None:
    def source(self: WarmTemplate) -> tuple[Child | None, str]:
        self._forked_with = (self._settings.config, self._settings.environment)
        return with_check(self)

    with_check = WarmTemplate.source
    patch.setattr(WarmTemplate, "source", source)


def late_stand_in_stays(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Reloading, "on_ready", lambda *_: None)


@pytest.mark.parametrize(
    "plant",
    [late_stand_in_stays, template_keeps_former_settings],
    ids=lambda plant: plant.__name__,
)
def test_planted_bug_is_found_with_reload(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None]
) -> None:
    plant(monkeypatch)
    assert is_found(reload=True)


def is_found(*, reload: bool) -> bool:
    for seed in range(1, LONGEST_SEARCH):
        try:
            model.run(seed, reload=reload)
        except Exception:
            return True
    return False
