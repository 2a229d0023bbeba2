"""Turns reports of processes into events and requests for replacements.

Decides which report counts in which state. If a channel closes before the worker's process id is
known, the worker was never forked.
"""

import signal

from iotax._processes import exit_status
from iotax._processes.channel import Message
from iotax._processes.lifecycle import Cause, Event, Replacement, State
from iotax._processes.parts import Parts
from iotax._processes.policy import Policy
from iotax._processes.pool import Child, Worker
from iotax._processes.protocol import GONE, Report
from iotax._processes.replacer import Replacer


class Inbox:
    def __init__(self, parts: Parts, policy: Policy, replacer: Replacer) -> None:
        self._parts, self._policy, self._replacer = parts, policy, replacer

    def read(self, child: Child) -> None:
        """Handle all reports that have arrived."""
        if child.state is State.EXITED:
            return  # reaped in this turn, after poll() found its channel readable
        while not child.channel_closed and (message := child.channel.receive()) is not None:
            if message.kind == GONE:
                child.channel_closed = True
                if isinstance(child, Worker) and not child.pid:
                    self._was_not_forked(child)
            elif not self._policy.on_report(child, message):
                if message.kind == Report.LOAD_ERROR:
                    child.boot_error = message.text
                elif isinstance(child, Worker):
                    self._on_report(child, message)

    def _on_report(self, worker: Worker, message: Message) -> None:
        if message.kind == Report.BOOTING:
            if not worker.pid:
                self._has_pid(worker, int(message.text))
        elif message.kind == Report.NOT_FORKED:
            self._parts.failures.cannot_start(message.text)
        elif message.kind == Report.READY:
            if worker.may(Event.READY):
                self._replacer.on_ready(worker)
        elif message.kind == Report.BUSY:
            worker.is_watched = True
        elif (
            self._parts.shutdown.stop is None
            and worker.state in (State.BOOTING, State.READY)
            and (replacement := self._replacement(worker, message)) is not None
        ):
            self._parts.control.want(worker, replacement)

    def _replacement(self, worker: Worker, message: Message) -> Replacement | None:
        if message.kind == Report.SIGTERM:
            return Replacement("SIGTERM")
        if message.kind == Report.THREADS_LOST:
            return Replacement(message.text, Cause.THREADS_LOST, urgent=True)
        if message.kind == Report.MAX_REQUESTS:
            limit = self._parts.config.max_requests
            age = exit_status.age(worker.age(self._parts.system.now()))
            return Replacement(
                f"it has had {message.text} requests in {age} (--max-requests {limit})",
                Cause.MAX_REQUESTS,
            )
        return None

    def _has_pid(self, worker: Worker, pid: int) -> None:
        """The template has forked the worker. Send the signal that waited for its process id."""
        worker.pid = pid
        worker.apply(Event.PID)
        self._parts.spawner.started(worker)
        if worker.state is State.DISMISSED:
            self._parts.system.kill(pid, signal.SIGTERM)
        elif worker.state is State.KILLED:
            self._parts.system.kill(pid, signal.SIGKILL)

    def _was_not_forked(self, worker: Worker) -> None:
        """The template exited without reading the order, or the fork failed or exited before it
        reported its process id."""
        worker.channel.close()
        worker.apply(Event.EXIT)
        self._parts.pool.remove(worker)
        self._parts.failures.not_forked(worker)
