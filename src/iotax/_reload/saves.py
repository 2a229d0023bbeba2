"""Restarts the application when files were saved, with new settings if theirs was.

Decides when: immediately, unless a worker waits in a debugger. A separate process watches the files
(watcher.py); it is restarted when it exits.
"""

import os
from collections.abc import Callable, Iterator
from typing import Final

from iotax._config.options import Config
from iotax._log import server_log
from iotax._processes.channel import Message
from iotax._processes.lifecycle import State
from iotax._processes.parts import Parts
from iotax._processes.pool import Child, Worker
from iotax._processes.worker_process import WorkerJob
from iotax._reload import processes, watcher
from iotax._reload.generation import Generation
from iotax._reload.reports import ReloadReport
from iotax._reload.tree import Change, Names, Tree

# How long to wait for a worker's reply whether it is being debugged, and when to ask it again.
REPLY_SECONDS: Final = 0.3
WATCHER_PAUSE_SECONDS: Final = 1.0
NAMED_MAX: Final = 3


class Saves:
    """`restart` begins the next generation."""

    def __init__(self, parts: Parts, generation: Generation, restart: Callable[[], None]) -> None:
        config: Config = parts.config
        self.directories = [os.path.abspath(one) for one in config.reload_dir or (".",)]
        names = Names(config.reload_include, config.reload_exclude)
        self._settings = parts.settings
        self._tree = Tree(self.directories, names, [*parts.settings.paths])
        self._poll = config.reload_poll
        self._spawner, self._system, self._pool = parts.spawner, parts.system, parts.pool
        self._calls = parts.calls
        self._generation, self._restart = generation, restart
        self._watcher: Child | None = None
        self._watcher_due = 0.0
        self._watcher_failed = False
        self._changes: list[Change] = []  # not acted on yet
        self._count = 0
        self._asked: set[Worker] = set()  # have not replied yet
        self._ask_at = 0.0
        self._debugger_logged = False

    def tick(self, now: float) -> None:
        if self._watcher is None and now >= self._watcher_due:
            self._start_watcher(now)
        if self._changes and now >= self._ask_at:
            self._restart_unless_debugged(now)

    def dues(self) -> Iterator[float]:
        if self._watcher is None:
            yield self._watcher_due
        if self._changes:
            yield self._ask_at

    def is_watcher(self, child: Child) -> bool:
        return child is self._watcher

    def watcher_ended(self, cause: str) -> None:
        self._watcher = None
        self._watcher_failed = True
        server_log.error(f"The process that watches files {cause}; restarting it")

    def forget(self, worker: Worker) -> None:
        """Called when `worker` has exited."""
        self._asked.discard(worker)

    def on_report(self, message: Message) -> None:
        """Handle a report of the watcher."""
        if message.kind == ReloadReport.NOTE:
            server_log.warning(message.text)
        elif message.kind == ReloadReport.WATCHING and self._watcher_failed:
            self._watcher_failed = False
            self._settings.read_again()
            self._restart()  # files may have been saved while no process watched them
        elif message.kind == ReloadReport.CHANGED:
            count, named = watcher.unpack(message.text)
            if not self._changes:
                self._ask_at, self._debugger_logged = 0.0, False
            self._changes += named
            self._count += count

    def on_debugged(self, worker: Worker, *, is_debugged: bool) -> None:
        """Handle the reply of a worker that was asked."""
        if worker not in self._asked:
            return
        self._asked.discard(worker)
        if is_debugged:
            self._asked.clear()
            self._ask_at = self._system.now() + REPLY_SECONDS
            if not self._debugger_logged:
                self._debugger_logged = True
                what = f"A debugger is active in process [{worker.pid}]"
                server_log.info(f"{what}; the reload is delayed until it exits")
        elif not self._asked:
            self._act_on_changes()

    def _start_watcher(self, now: float) -> None:
        self._watcher_due = now + WATCHER_PAUSE_SECONDS
        self._watcher = self._spawner.start(self._watcher_job)
        if self._watcher is not None:
            self._watcher.state = State.READY

    def _watcher_job(self, job: WorkerJob) -> watcher.WatcherJob:
        return watcher.WatcherJob(
            tree=self._tree,
            before=self._tree.look(),  # to notice saves while the first worker imports
            poll=self._poll,
            channel=job.channel,
            supervisor=job.supervisor,
            listeners=job.listeners,
        )

    def _restart_unless_debugged(self, now: float) -> None:
        """Ask workers that run a request or boot whether they wait in a debugger."""
        if not self._asked:
            for worker in self._pool.workers:
                if worker.pid and self._may_debug(worker, now):
                    self._asked.add(worker)
                    self._ask_at = now + REPLY_SECONDS
                    self._system.kill(worker.pid, processes.ASK_DEBUGGED)
            if self._asked:
                return
        self._asked.clear()  # a worker that does not reply in time is not being debugged
        self._act_on_changes()

    def _may_debug(self, worker: Worker, now: float) -> bool:
        generation = self._generation
        if generation.is_stale(worker) or worker in generation.error_workers:
            return False
        if worker.is_leaving or worker.state is State.KILLED:
            return False
        if worker.boots():
            return worker.age(now) > 1.0
        return bool(self._calls.of(worker.slot))

    def _act_on_changes(self) -> None:
        for kind, path in self._changes[:NAMED_MAX]:
            server_log.info(f"Detected {kind}: {path}")
        if self._count > NAMED_MAX:
            server_log.info(f"Detected {self._count - NAMED_MAX} more changes")
        saved, all_named = {path for _, path in self._changes}, self._count == len(self._changes)
        self._changes, self._count = [], 0
        settings = {*self._settings.paths}
        has_settings = bool(settings & saved) or not all_named
        is_good = not has_settings or self._settings.read_again()
        if is_good or not saved <= settings:
            self._restart()
