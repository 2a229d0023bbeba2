"""Finds workers that boot too long, have served long enough, use too much memory, or are stuck.

Decides from the clock and the scoreboard why a worker has to be replaced, but not when.
"""

from collections.abc import Iterator
from typing import Final

from iotax._log import server_log
from iotax._processes import exit_status
from iotax._processes.lifecycle import Cause, Replacement, State
from iotax._processes.parts import Parts
from iotax._processes.pool import Child, Worker
from iotax._processes.running_clock import Suspicion

LOOK_SECONDS: Final = 1.0
GIL_STUCK_SECONDS: Final = 1.0


class Monitor:
    def __init__(self, parts: Parts) -> None:
        self._settings, self._system, self._scoreboard = (
            parts.settings,
            parts.system,
            parts.scoreboard,
        )
        self._pool, self._control, self._calls = parts.pool, parts.control, parts.calls
        self._next_look = 0.0

    def tick(self, now: float) -> None:
        config = self._settings.config
        if config.boot_timeout:
            for child in self._pool.booting():
                if now - child.started >= config.boot_timeout:
                    self._boots_too_long(child)
        if config.worker_lifetime:
            for worker in self._pool.ready_and_wanted():
                if now - worker.started >= config.worker_lifetime:
                    why = (
                        f"it has served for {exit_status.age(worker.age(now))} (--worker-lifetime)"
                    )
                    self._control.want(worker, Replacement(why, Cause.LIFETIME))
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            for worker in self._pool.workers:
                if worker.is_watched:
                    self._look_at(worker, now)

    def dues(self) -> Iterator[float]:
        """Times at which tick() has work to do without any event."""
        config = self._settings.config
        if config.boot_timeout:
            yield from (child.started + config.boot_timeout for child in self._pool.booting())
        if config.worker_lifetime:
            ready = self._pool.ready_and_wanted()
            yield from (worker.started + config.worker_lifetime for worker in ready)
        if any(worker.is_watched for worker in self._pool.workers):
            yield self._next_look

    def log_running_calls(self) -> None:
        now = self._system.now()
        for worker in filter(lambda worker: worker.pid, self._pool.workers):
            calls = self._calls.of(worker.slot)
            running = "\n".join(f"  {call}" for call in calls) or "  no request"
            age = exit_status.age(worker.age(now))
            server_log.info(f"Worker [{worker.pid}], {age} old, runs\n{running}")
            if worker.state in (State.READY, State.DRAINING):
                self._control.dump_stacks(worker)

    def _boots_too_long(self, child: Child) -> None:
        why = f"it was not ready within {self._settings.config.boot_timeout:g} s (--boot-timeout)"
        if isinstance(child, Worker) and child.state is State.FORKING and child.template:
            # The template has not read the order, so it hangs; killing it cancels the order.
            hangs = f"it did not fork within {self._settings.config.boot_timeout:g} s"
            self._control.kill(child.template, hangs)
        self._control.kill(child, why)

    def _look_at(self, worker: Worker, now: float) -> None:
        """Called once a second while requests run; an idle worker reports its next request."""
        turns, calls = self._scoreboard.turns(worker.slot), self._scoreboard.calls(worker.slot)
        if not calls and turns == worker.turns_seen:
            worker.is_watched = False
            self._scoreboard.watch(worker.slot, False)
        worker.turns_seen = turns
        if worker.state is not State.READY:
            return
        if not worker.stuck_reported and self._seems_stuck(worker, now):
            self._report_stuck(worker)
            return
        limit = self._settings.config.worker_max_rss
        if limit and worker.replacement is None:
            used = self._system.resident_bytes(worker.pid)
            if used > limit:
                why = (
                    f"it uses {exit_status.size(used)} (--worker-max-rss {exit_status.size(limit)})"
                )
                self._control.want(worker, Replacement(why, Cause.MEMORY, drain_first=True))

    def _seems_stuck(self, worker: Worker, now: float) -> bool:
        """Whether a call holds the GIL. Checked twice: after a freeze, the scoreboard can be
        outdated."""
        waits = self._scoreboard.gil_stuck(worker.slot) >= GIL_STUCK_SECONDS
        waits = waits and not self._system.is_stopped(worker.pid)
        confirmed = worker.seems_stuck.is_confirmed(waits, now)
        if waits and not confirmed:
            self._next_look = min(self._next_look, now + Suspicion.SECONDS)
        return confirmed

    def _report_stuck(self, worker: Worker) -> None:
        """A call holds the GIL, so its stack can only be dumped from C (faulthandler)."""
        worker.stuck_reported = True
        server_log.error(
            f"Worker [{worker.pid}] is stuck {self._calls.clause(worker.slot)}: a call has held the"
            f" GIL for more than {GIL_STUCK_SECONDS:g} s; stacks of its threads:"
        )
        self._control.dump_stacks(worker)
        if self._settings.config.request_timeout_action != "log":
            why = "its interpreter is stuck (--request-timeout)"
            self._control.want(worker, Replacement(why, Cause.STUCK, urgent=True))
