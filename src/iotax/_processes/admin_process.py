"""The admin listener under a supervisor: a process of its own, started again when it exits.

Decides when it starts and ends, and what the scoreboard says of the server. What workers count,
they write there themselves.
"""

import os
import signal
from collections.abc import Iterator
from typing import Final, NamedTuple

from iotax import _iotax
from iotax._log import server_log
from iotax._net.listeners import Listeners
from iotax._processes import forking, signals
from iotax._processes.backoff import Backoff
from iotax._processes.channel import Channel
from iotax._processes.exit_status import Exit
from iotax._processes.lifecycle import FOREVER, Cause, State
from iotax._processes.parts import Parts
from iotax._processes.pool import Worker
from iotax._processes.protocol import Order
from iotax._runtime.admin import make_admin

# How often the supervisor says that it runs.
STAMP_SECONDS: Final = 1.0
# How long the process may take to exit at the end.
END_SECONDS: Final = 1.0

_SHOWN: Final = {
    State.FORKING: "booting",
    State.BOOTING: "booting",
    State.READY: "ready",
    State.DRAINING: "draining",
    State.DISMISSED: "draining",
    State.KILLED: "draining",
    State.EXITED: "none",
}


class AdminJob(NamedTuple):
    scoreboard: _iotax.Scoreboard
    admin: Listeners
    served: Listeners
    channel: Channel
    supervisor: int

    def run(self) -> int:
        for number in signals.TAKEN:  # it ends with its supervisor, not with the process group
            signal.signal(number, signal.SIG_IGN)
        forking.die_with(self.supervisor)
        self.served.hand_over()  # the application's port must not stay open because of it
        server = make_admin(self.scoreboard, self.admin, self.served, channel=self.channel.fileno())
        self.channel.close()
        self.admin.hand_over()
        server.run()
        return 0


class AdminProcess:
    """Without an admin listener it starts no process, and every method does nothing."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._system, self._pool = parts, parts.system, parts.pool
        self._listeners = parts.admin
        self._backoff = Backoff()
        self._pid, self._started = 0, 0.0
        self._channel: Channel | None = None
        self._next_stamp = 0.0
        self._slots: set[int] = set()  # of the workers that the scoreboard shows
        parts.spawner.kept_by_supervisor.append(self._release)

    @property
    def _is_on(self) -> bool:
        return bool(self._listeners.all)

    def tick(self, now: float) -> None:
        """Called in each turn."""
        if not self._is_on:
            return
        self._publish(now)
        if not self._pid and self._backoff.allows(now):
            self._start(now)

    def dues(self) -> Iterator[float]:
        if self._is_on:
            yield self._next_stamp
            yield FOREVER if self._pid else self._backoff.until

    def ended(self, pid: int, exited: Exit) -> bool:
        """Whether `pid`, which has exited, was this process."""
        if not self._pid or pid != self._pid:
            return False
        server_log.error(f"The admin process [{pid}] {exited}; starting another")
        self._forget()
        self._backoff.ended(self._started, self._system.now())
        return True

    def reopen_log(self) -> None:
        if self._channel is not None:
            self._channel.send(Order.REOPEN)

    def end(self) -> None:
        """Called when the last worker has left: the port closes."""
        self._listeners.close()
        if self._channel is not None:
            self._channel.close()
        queue, until = self._parts.signals, self._system.now() + END_SECONDS
        while self._pid and (left := until - self._system.now()) > 0:
            self._system.wait((queue.fileno(),), left)
            for _ in queue.take():
                pass
            while (found := self._system.exited()) is not None:
                if found[0] == self._pid:
                    self._pid = 0

    # ---- the process

    def _start(self, now: float) -> None:
        try:
            ours, theirs = self._system.channel()
        except OSError as error:
            self._cannot_start(error, now)
            return
        parts = self._parts
        job = AdminJob(parts.scoreboard, self._listeners, parts.listeners, theirs, os.getpid())
        try:
            self._pid = parts.spawner.start_admin(job, ours, self._release)
        except OSError as error:
            ours.close()
            self._cannot_start(error, now)
            return
        finally:
            theirs.close()
        self._channel, self._started = ours, now

    def _cannot_start(self, error: OSError, now: float) -> None:
        server_log.error(f"Cannot start the admin process: {error.strerror}")
        self._backoff.failed(now, now)

    def _forget(self) -> None:
        if self._channel is not None:
            self._channel.close()
        self._pid, self._channel = 0, None

    def _release(self) -> None:
        """In the child of a fork: close what belongs to the supervisor."""
        self._listeners.hand_over()
        if self._channel is not None:
            self._channel.close()

    # ---- the scoreboard

    def _publish(self, now: float) -> None:
        scoreboard, pool = self._parts.scoreboard, self._pool
        for slot in self._slots - {worker.slot for worker in pool.workers}:
            scoreboard.publish_worker(slot, "none", 0, 0.0)
        self._slots = {worker.slot for worker in pool.workers}
        for worker in pool.workers:
            self._publish_worker(worker, now)
        scoreboard.publish(
            wanted=self._parts.target.wanted(),
            starts=pool.starts,
            exits=[pool.exits[cause] for cause in Cause],
            has_served=pool.has_served,
            stopping=self._parts.shutdown.stop is not None,
            supervised=True,
            listeners=[one.socket.fileno() for one in self._parts.listeners.all],
        )
        self._next_stamp = now + STAMP_SECONDS

    def _publish_worker(self, worker: Worker, now: float) -> None:
        self._parts.scoreboard.publish_worker(
            worker.slot, _SHOWN[worker.state], worker.pid, worker.age(now)
        )
