"""Takes the next steps from the existing workers to the wanted ones.

replacement.py decides which steps. Decides what happens to a worker that becomes ready, and to the
worker that it replaces.
"""

from iotax._log import server_log
from iotax._processes.lifecycle import Event, State
from iotax._processes.parts import Parts
from iotax._processes.policy import Policy
from iotax._processes.pool import Worker
from iotax._processes.replacement import (
    Assign,
    DrainFirst,
    Kill,
    Leave,
    Start,
    Step,
    next_steps,
    predecessor,
)
from iotax._processes.worker_process import tell_ready


class Replacer:
    def __init__(self, parts: Parts, policy: Policy) -> None:
        self._parts, self._policy = parts, policy
        self._system, self._pool = parts.system, parts.pool
        self._target, self._control = parts.target, parts.control

    def take_steps(self) -> None:
        """Take steps until none is left: one step can make others possible."""
        while steps := next_steps(
            self._pool.workers,
            self._target.wanted(),
            counts=self._target.counts,
            can_start=self._policy.can_start(self._system.now()),
            slots=self._pool.free_slots(),
            is_short_of_memory=self._is_short_of_memory,
        ):
            for step in steps:
                self._take(step)

    def _take(self, step: Step) -> None:
        match step:
            case Start(replaces):
                if self._parts.backoff.allows(self._system.now()):  # false after a failed start
                    self._policy.start_worker(replaces)
            case Assign(booting, replaces):
                booting.replaces = replaces
            case Leave(worker):
                self._control.drain(worker)
            case DrainFirst(worker):
                self._drain_first(worker)
            case Kill(worker):
                others = self._target.wanted()
                many = f"it could not serve, and {others} others like it drain"
                self._control.kill(worker, many)

    def _drain_first(self, worker: Worker) -> None:
        server_log.info(f"Worker [{worker.pid}] drains before another one starts: memory is short")
        if worker.replacement is not None:
            worker.replacement = worker.replacement._replace(urgent=False, drain_first=True)
        self._control.drain(worker)

    def _is_short_of_memory(self, worker: Worker) -> bool:
        headroom = self._system.headroom()
        return headroom is not None and headroom < self._system.resident_bytes(worker.pid)

    def on_ready(self, worker: Worker) -> None:
        """Called when `worker` has reported that it serves."""
        worker.apply(Event.READY)
        if worker.state is State.READY and worker.is_leaving:
            self._is_ready_though_dismissed(worker)
        if worker.state is not State.READY:
            return
        if not self._pool.has_served:
            self._pool.has_served = True
            tell_ready(self._parts.listeners, self._parts.config)
        self._parts.failures.loaded()
        old = predecessor(worker)
        if old is not None and not old.cannot_serve() and self._is_needed(old):
            worker.replaces = None  # another worker has exited meanwhile: this replaces it instead
        elif old is not None:
            why = old.replacement.reason if old.replacement is not None else "it is not needed"
            server_log.info(f"Worker [{worker.pid}] replaces [{old.pid}]: {why}")
            self._control.drain(old)
        self._policy.on_ready(worker)

    def _is_ready_though_dismissed(self, worker: Worker) -> None:
        """Drain it, unless too few workers can serve: then it serves until it is replaced."""
        worker.termination = None
        if (stop := self._parts.shutdown.stop) is not None:
            worker.apply(Event.DRAIN)
            worker.channel.send(stop.order)
        elif self._is_needed(worker):
            worker.is_leaving, worker.replaces = False, None
            worker.want(worker.leaves_for)
        else:
            self._control.drain(worker)

    def _is_needed(self, worker: Worker) -> bool:
        return self._target.is_needed(worker, self._pool.workers)
