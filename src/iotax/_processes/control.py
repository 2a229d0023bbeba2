"""Control of one process: orders, signals, and the deadline for its exit.

Decides how a process is ordered to exit, and how that is enforced. Knows neither the reason nor the
state of the other processes.
"""

import signal
from typing import Final

from iotax._log import server_log
from iotax._processes import signals
from iotax._processes.calls import Calls
from iotax._processes.lifecycle import Event, Replacement, State, Termination
from iotax._processes.pool import Child, HookProcess, Pool, Worker
from iotax._processes.protocol import Order
from iotax._processes.system import System
from iotax._runtime.worker import JOIN_SECONDS

# Added to a worker's graceful timeout for the application's threads and exit functions.
LEAVE_SECONDS: Final = JOIN_SECONDS + 1.0
# Time to exit for a process that has to abort its requests, or that still boots.
AT_ONCE_SECONDS: Final = 1.0
# A killed process that has not exited after this time hangs in the kernel: stop waiting for it.
KILLED_SECONDS: Final = 5.0


class Control:
    def __init__(
        self,
        system: System,
        pool: Pool,
        calls: Calls,
        *,
        leave_seconds: float,
    ) -> None:
        self._system, self._pool, self._calls = system, pool, calls
        self._leave_seconds = leave_seconds

    def drain_seconds(self, child: Child) -> float:
        """How long it may take to exit by itself."""
        return child.graceful_seconds + self._leave_seconds

    def want(self, worker: Worker, replacement: Replacement) -> None:
        """Ask for a replacement of `worker`. The request stays until `worker` has exited."""
        if worker.want(replacement):
            server_log.info(f"Replacing worker [{worker.pid}]: {replacement.reason}")

    def drain(self, worker: Worker) -> None:
        """Order a worker to drain and exit while others serve; dismiss it if it still boots."""
        if worker.boots():
            self.dismiss(worker)
        elif worker.state is State.READY:
            worker.channel.send(Order.RETIRE)
            worker.apply(Event.DRAIN)
            self.expect_exit(worker, "it did not exit in time", self.drain_seconds(worker))

    def dismiss(self, child: Child) -> None:
        """End a process that boots. SIGTERM, because a worker that has just become ready must
        survive it: it may have clients."""
        child.apply(Event.DISMISS)
        self.expect_exit(child, "", AT_ONCE_SECONDS)
        if child.pid:
            self._system.kill(child.pid, signal.SIGTERM)

    def expect_exit(self, child: Child, reason: str, seconds: float) -> None:
        """Kill `child` if it has not exited after `seconds`; `reason` is logged then."""
        child.termination = Termination(reason, self._system.now() + seconds)

    def kill(self, child: Child, why: str = "") -> None:
        """Kill `child` immediately, or as soon as its process id is known."""
        if child.state is State.EXITED:
            return
        if isinstance(child, Worker) and child.aborts_first:
            self._abort(child)
            return
        if child.state is not State.KILLED:
            self.expect_exit(child, why, KILLED_SECONDS)
        child.apply(Event.KILL)
        if child.pid:
            self._system.kill(child.pid, signal.SIGKILL)

    def _abort(self, worker: Worker) -> None:
        """Truncate its responses, visibly to the clients; the worker is killed afterwards."""
        for call in self._calls.of(worker.slot):
            server_log.warning(f"Aborted: {call}")
        worker.channel.send(Order.NOW)
        self.expect_exit(worker, "", self._leave_seconds)
        worker.aborts_first = False

    def enforce_exit(self, child: Child) -> None:
        """Called when kill_at() of `child` has passed."""
        if child.state is not State.KILLED:
            self.kill(child, child.killed_because())
            return
        child.is_abandoned = True
        if not child.pid:
            return  # it was never forked, and never will be
        server_log.error(
            f"Process [{child.pid}] has not exited {KILLED_SECONDS:g} s after SIGKILL; no longer"
            " waiting for it"
        )

    def kill_hook(self, process: HookProcess) -> None:
        process.is_killed, process.kill_at = True, self._system.now() + KILLED_SECONDS
        self._system.kill(process.pid, signal.SIGKILL)

    def discard(self, template: Child, why: str = "") -> None:
        """Kill it and forget it: its exit is not reported."""
        self.kill(template, why)
        template.channel.close()
        template.channel_closed = True
        self._pool.remove(template)

    def end_template(self, template: Child) -> None:
        """Close its channel: it runs the exit functions of the import, and exits."""
        template.channel.close()
        template.channel_closed = template.is_leaving = True
        self.expect_exit(template, "", self.drain_seconds(template))

    def dump_stacks(self, worker: Worker) -> None:
        if worker.pid:  # kill(0) would signal the whole process group
            self._system.kill(worker.pid, signals.DUMP_STACKS)
