"""Handles exits of processes.

Decides which exits are failures, and logs their cause. The policy decides what a failed boot means.
"""

import signal
from typing import Final

from iotax._log import server_log
from iotax._processes import exit_status
from iotax._processes.admin_process import AdminProcess
from iotax._processes.child_exit import ChildExits
from iotax._processes.exit_status import Exit
from iotax._processes.inbox import Inbox
from iotax._processes.lifecycle import Cause, Event, State
from iotax._processes.parts import Parts
from iotax._processes.policy import Policy
from iotax._processes.pool import Child, Worker
from iotax._processes.service_status import ServiceStatus

# Of a worker that was asked to exit; 0: none.
_USUAL_SIGNALS: Final = (0, signal.SIGINT, signal.SIGTERM)


class Reaper:
    def __init__(
        self,
        parts: Parts,
        policy: Policy,
        inbox: Inbox,
        child_exits: ChildExits,
        service: ServiceStatus,
        admin: AdminProcess,
    ) -> None:
        self._policy, self._inbox = policy, inbox
        self._child_exits, self._service, self._admin = child_exits, service, admin
        self._system, self._pool, self._shutdown = parts.system, parts.pool, parts.shutdown
        self._backoff, self._calls = parts.backoff, parts.calls
        self._oom_kills = self._system.oom_kills()

    def reap(self) -> None:
        """Handle all processes that have exited."""
        while (found := self._system.exited()) is not None:
            pid, status = found
            child = self._find(pid)
            if child is None:  # if it is not for a hook, the application started it: adopted
                if not self._admin.ended(pid, Exit(status)):
                    self._child_exits.ended(pid, Exit(status))
                continue
            self._inbox.read(child)  # its last reports
            child.channel.close()
            self._pool.remove(child)
            exited = Exit(status, self._is_out_of_memory(child, status))
            is_expected = self._policy.on_exit(child, exited.__str__)
            before = child.state
            child.apply(Event.EXIT)
            if isinstance(child, Worker):
                is_stopping = self._shutdown.stop is not None
                cause = cause_of_exit(child, before, exited, is_stopping=is_stopping)
                self._pool.exits[cause] += 1
                self._child_exits.start(child, cause, exited)
            if not is_expected:
                self._ended(child, before, exited)

    def _find(self, pid: int) -> Child | None:
        for child in self._pool.children():
            if not child.pid:
                self._inbox.read(child)  # it may report its process id
            if child.pid == pid:
                return child
        return None

    def _is_out_of_memory(self, child: Child, status: int) -> bool:
        if child.state is State.KILLED or Exit(status).signal != signal.SIGKILL:
            return False
        before, self._oom_kills = self._oom_kills, self._system.oom_kills()
        return self._oom_kills > before

    def _ended(self, child: Child, before: State, exited: Exit) -> None:
        is_stopping = self._shutdown.stop is not None and not child.boot_error
        if isinstance(child, Worker) and (child.is_leaving or is_stopping):
            self._log_exit(child, before, exited)
        elif child.boot_error:
            self._boot_failed(child, "")
        elif before is State.BOOTING and exited.signal == signal.SIGTERM:
            self._was_asked_while_booting(child)
        elif before is not State.READY:
            why = child.killed_because() or f"it {exited}"
            self._boot_failed(child, why)
        else:
            self._log_failure(child, str(exited))
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

    def _log_exit(self, worker: Worker, before: State, exited: Exit) -> None:
        """Log only unexpected exits."""
        calls = self._calls.clause(worker.slot)
        if before is State.KILLED:
            if why := worker.killed_because():
                server_log.warning(f"Worker [{worker.pid}] was killed {calls}: {why}")
        elif exited.signal not in _USUAL_SIGNALS:
            server_log.error(f"Worker [{worker.pid}] {exited} during shutdown, {calls}")


def cause_of_exit(worker: Worker, before: State, exited: Exit, *, is_stopping: bool) -> Cause:
    """`before`: the state in which the worker exited."""
    if exited.out_of_memory:
        return Cause.OOM
    if worker.boot_error:
        return Cause.BOOT
    if not worker.has_been_ready and not worker.is_leaving and not is_stopping:
        return Cause.OTHER if exited.signal == signal.SIGTERM else Cause.BOOT
    if before is not State.KILLED and exited.signal not in _USUAL_SIGNALS:
        return Cause.CRASH
    if is_stopping:
        return Cause.STOP
    if before is State.READY:
        return Cause.CRASH
    return (worker.replacement or worker.leaves_for).cause
