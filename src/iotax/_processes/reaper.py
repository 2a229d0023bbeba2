"""Handles exits of processes.

Decides which exits are failures, and logs their cause. The policy decides what a failed boot means.
"""

import os
import signal
from functools import partial

from iotax._log import server_log
from iotax._processes import exit_status
from iotax._processes.inbox import Inbox
from iotax._processes.lifecycle import Event, State
from iotax._processes.parts import Parts
from iotax._processes.policy import Policy
from iotax._processes.pool import Child, Worker
from iotax._processes.service_status import ServiceStatus


class Reaper:
    def __init__(self, parts: Parts, policy: Policy, inbox: Inbox, service: ServiceStatus) -> None:
        self._policy, self._inbox, self._service = policy, inbox, service
        self._system, self._pool, self._shutdown = parts.system, parts.pool, parts.shutdown
        self._backoff, self._calls = parts.backoff, parts.calls
        self._oom_kills = self._system.oom_kills()

    def reap(self) -> None:
        """Handle all processes that have exited."""
        while (exited := self._system.exited()) is not None:
            pid, status = exited
            child = self._find(pid)
            if child is None:
                continue  # adopted: started by the application
            self._inbox.read(child)  # its last reports
            child.channel.close()
            self._pool.remove(child)
            is_expected = self._policy.on_exit(child, partial(self._cause, status))
            before = child.state
            child.apply(Event.EXIT)
            if not is_expected:
                self._ended(child, before, status)

    def _find(self, pid: int) -> Child | None:
        for child in self._pool.children():
            if not child.pid:
                self._inbox.read(child)  # it may report its process id
            if child.pid == pid:
                return child
        return None

    def _ended(self, child: Child, before: State, status: int) -> None:
        is_stopping = self._shutdown.stop is not None and not child.boot_error
        if isinstance(child, Worker) and (child.is_leaving or is_stopping):
            self._log_exit(child, before, status)
        elif child.boot_error:
            self._boot_failed(child, "")
        elif before is State.BOOTING and _got_term(status):
            self._was_asked_while_booting(child)
        elif before is not State.READY:
            why = child.killed_because() or f"it {self._cause(status)}"
            self._boot_failed(child, why)
        else:
            self._log_failure(child, self._cause(status))
            self._backoff.ended(child.started, self._system.now())

    def _boot_failed(self, child: Child, why: str) -> None:
        self._policy.on_boot_failure(child, why)
        self._service.boot_failed(child, why)

    def _log_failure(self, child: Child, what: str) -> None:
        if isinstance(child, Worker):
            age = exit_status.age(child.age(self._system.now()))
            server_log.error(
                f"Worker [{child.pid}] {what} after {age} {self._calls.clause(child.slot)};"
                " starting a replacement"
            )
        else:
            server_log.error(f"The template process [{child.pid}] {what}; starting another")

    def _was_asked_while_booting(self, child: Child) -> None:
        """A SIGTERM to the process group may reach a booting process before the supervisor. This is
        not a failure of the application."""
        server_log.info(f"Process [{child.pid}] got SIGTERM before it was ready; starting another")
        self._backoff.failed(child.started, self._system.now())

    def _log_exit(self, worker: Worker, before: State, status: int) -> None:
        """Log only unexpected exits."""
        calls = self._calls.clause(worker.slot)
        if before is State.KILLED:
            if why := worker.killed_because():
                server_log.warning(f"Worker [{worker.pid}] was killed {calls}: {why}")
        elif os.WIFSIGNALED(status) and os.WTERMSIG(status) not in (signal.SIGINT, signal.SIGTERM):
            what = f"{self._cause(status)} during shutdown, {calls}"
            server_log.error(f"Worker [{worker.pid}] {what}")

    def _cause(self, status: int) -> str:
        before, self._oom_kills = self._oom_kills, self._system.oom_kills()
        return exit_status.cause(status, out_of_memory=self._oom_kills > before)


def _got_term(status: int) -> bool:
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGTERM
