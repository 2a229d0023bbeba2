"""Transfers idle connections from old workers to new ones, under --reload.

Decides how long the requests of an old worker may take. A connection in transit waits for the next
worker of the current code.
"""

import os
from typing import Final

from iotax._processes.lifecycle import Event, State
from iotax._processes.parts import Parts
from iotax._processes.pool import Worker
from iotax._processes.protocol import Order
from iotax._reload.generation import Generation

# How long the requests of an old worker may run after a new worker is ready.
RETIRE_SECONDS: Final = 2.0


class Transfer:
    def __init__(self, parts: Parts, generation: Generation) -> None:
        self._pool, self._control, self._now = parts.pool, parts.control, parts.system.now
        self._generation = generation
        self._in_transit: list[int] = []

    def begin(self, old: Worker) -> None:
        """Order `old` to transfer its idle connections: another worker serves from now on."""
        old.channel.send(Order.PAUSE)
        old.channel.send(Order.TRANSFER)
        old.apply(Event.DRAIN)
        old.aborts_first = True
        self._control.expect_exit(old, "", RETIRE_SECONDS)

    def done(self, old: Worker) -> None:
        """Called when `old` has transferred all idle connections."""
        if not old.may(Event.DRAIN):
            return
        old.channel.send(Order.RETIRE)
        old.apply(Event.DRAIN)
        seconds = min(old.kill_at() - self._now(), RETIRE_SECONDS)
        self._control.expect_exit(old, old.killed_because(), seconds)

    def received(self, descriptor: int) -> None:
        self._in_transit.append(descriptor)
        self.hand_over()

    def hand_over(self) -> None:
        """Distribute the connections in turn to the ready workers of the current code, if any."""
        new = [
            worker
            for worker in self._pool.workers
            if worker.state is State.READY and not self._generation.is_stale(worker)
        ]
        while self._in_transit and new:
            descriptor = self._in_transit.pop()
            new[0].channel.send(Order.ADOPT, "", descriptor)
            os.close(descriptor)
            new.append(new.pop(0))

    def close(self) -> None:
        """Close the connections in transit: the server stops, so no worker will adopt them."""
        while self._in_transit:
            os.close(self._in_transit.pop())
