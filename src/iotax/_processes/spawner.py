"""Starts processes: forks of the supervisor, or of a template.

Decides what a child releases, and cleans up after a failed start. Does not know when a process is
wanted.
"""

import os
from collections.abc import Callable
from typing import Protocol

from iotax import _iotax
from iotax._log import server_log
from iotax._net.listeners import Listeners
from iotax._processes import forking, signals
from iotax._processes.channel import Channel
from iotax._processes.failures import Failures
from iotax._processes.lifecycle import State
from iotax._processes.live_settings import LiveSettings
from iotax._processes.pool import Child, Pool, Worker
from iotax._processes.protocol import Order
from iotax._processes.signals import SignalQueue
from iotax._processes.system import System
from iotax._processes.worker_process import WorkerJob


class Job(Protocol):
    """The task of a process."""

    def run(self) -> int:
        """Returns the exit code."""


class Spawner:
    def __init__(
        self,
        system: System,
        pool: Pool,
        failures: Failures,
        queue: SignalQueue,
        *,
        settings: LiveSettings,
        listeners: Listeners,
        scoreboard: _iotax.Scoreboard,
        interactive: bool,
    ) -> None:
        self._system, self._pool, self._failures, self._queue = system, pool, failures, queue
        self._settings, self._listeners = settings, listeners
        self._scoreboard, self._interactive = scoreboard, interactive
        # Called in each child: close what else belongs to the supervisor.
        self.kept_by_supervisor: list[Callable[[], None]] = []

    def start_worker(
        self,
        adapt: Callable[[WorkerJob], WorkerJob] = lambda job: job,
        *,
        template: Child | None = None,
        replaces: Worker | None = None,
    ) -> Worker | None:
        """Fork a worker from `template`, or from the supervisor. `adapt` returns its job. None: a
        worker cannot be started now."""
        if not self._pool.free_slots():
            return None  # wait until a worker exits
        ends = self._open_channel()
        if ends is None:
            return None
        ours, theirs = ends
        slot = self._pool.take_slot()
        self._scoreboard.clear(slot)
        worker = Worker(ours, self._system.now(), slot=slot, replaces=replaces)
        worker.graceful_seconds = self._settings.config.graceful_timeout
        if template is not None:
            worker.state, worker.template = State.FORKING, template
            template.channel.send(Order.FORK, str(slot), theirs.fileno())
        else:
            worker.pid = self._fork(adapt(self._job(theirs, slot)), ours)
        theirs.close()
        if not worker.pid and worker.state is not State.FORKING:
            ours.close()
            self._pool.give_back(slot)
            return None
        self._pool.add(worker)
        if worker.pid:
            self.started(worker)
        return worker

    def started(self, worker: Worker) -> None:
        """Called when the process id of `worker` is known."""
        self._failures.started()
        self._pool.starts += 1
        server_log.info(f"Started server process [{worker.pid}]")

    def start(self, make: Callable[[WorkerJob], Job]) -> Child | None:
        """Start a process other than a worker. `make` returns its job, and takes the channel from
        the job of a worker without a slot. None: a process cannot be started now."""
        ends = self._open_channel()
        if ends is None:
            return None
        ours, theirs = ends
        pid = self._fork(make(self._job(theirs, -1)), ours)
        theirs.close()
        if not pid:
            ours.close()
            return None
        child = Child(ours, self._system.now(), pid)
        child.graceful_seconds = self._settings.config.graceful_timeout
        self._pool.add(child)
        return child

    def start_hook(self, job: Job) -> int:
        """Start a process without a channel. Returns its process id. Errors: OSError."""
        return self._system.fork(job.run, lambda: self._become_child(None))

    def start_admin(self, job: Job, ours: Channel, keep: Callable[[], None]) -> int:
        """Start the process of the admin listener, which does not call `keep`. Returns its process
        id. Errors: OSError."""
        return self._system.fork(job.run, lambda: self._become_child(ours, keep))

    def _job(self, channel: Channel, slot: int) -> WorkerJob:
        return WorkerJob(
            config=self._settings.config,
            listeners=self._listeners,
            channel=channel,
            supervisor=os.getpid(),
            scoreboard=self._scoreboard,
            slot=slot,
            interactive=self._interactive,
        )

    def _open_channel(self) -> tuple[Channel, Channel] | None:
        """None: a channel cannot be opened now."""
        try:
            return self._system.channel()
        except OSError as error:
            self._failures.cannot_start(error.strerror or str(error))
            return None

    def _fork(self, job: Job, ours: Channel) -> int:
        """The process id of the child; 0: the fork failed."""
        try:
            return self._system.fork(job.run, lambda: self._become_child(ours))
        except OSError as error:
            self._failures.cannot_start(error.strerror or str(error))
            return 0

    def _become_child(self, ours: Channel | None, keep: Callable[[], None] | None = None) -> None:
        """Release what belongs to the supervisor except what `keep` would, and set the
        application's environment. A channel with an open copy would not close."""
        signals.become_child(self._queue)
        for release in self.kept_by_supervisor:
            if release != keep:
                release()
        forking.close_all(ours, *(child.channel for child in self._pool.children()))
        self._settings.environment.apply()
