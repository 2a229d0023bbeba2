"""The template process of --preload: imports the application once and forks workers from there.

Decides: what becomes of signals and exit functions of the import. It is the supervisor's child, its
forks become the supervisor's too. What an import leaves that a fork does not have is told by
left_behind.py.
"""

import gc
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace

from iotax._app import working_directory
from iotax._app.load_error import LoadError
from iotax._log import server_log
from iotax._processes import forking, left_behind, signals
from iotax._processes.channel import Channel
from iotax._processes.exit_functions import ExitFunctions
from iotax._processes.protocol import GONE, Order, Report
from iotax._processes.worker_process import WorkerJob, buffer_lines, load
from iotax._runtime import native


@dataclass(frozen=True)
class TemplateJob:
    """`worker` is what its forks are there for, but for seat and channel."""

    worker: WorkerJob
    channel: Channel

    def run(self) -> int:
        """Import, then fork on demand until the supervisor closes the channel."""
        worker, channel = self.worker, self.channel
        forking.die_with(worker.supervisor)
        server_log.open_log(worker.config, os.environ, threads=False)
        channel.send(Report.BOOTING, str(os.getpid()))
        buffer_lines()
        before = left_behind.sockets()
        exit_functions = ExitFunctions()
        try:
            with exit_functions.recorded():
                loaded = load(worker.app, worker.config)
        except LoadError as error:
            channel.send(Report.LOAD_ERROR, str(error))
            return 0
        for what in left_behind.after_import(before):
            server_log.warning(f"--preload: {what}")
        forking.live_on()  # the end of the channel is its end, and the exit functions run
        on_term = signals.leave_term_to_the_supervisor()
        gc.collect()
        gc.freeze()  # what is shared is not written to by a collection
        channel.send(Report.READY)

        def become_worker() -> None:
            """Signals are as the import has left them, as in a worker that imports by itself."""
            signal.signal(signal.SIGTERM, on_term)
            exit_functions.forget_in_child()
            channel.close()
            native.reinit_in_child()
            working_directory.enter_again_if_gone()

        self._fork_on_demand(replace(worker, loaded=loaded), become_worker)
        return 0

    def _fork_on_demand(self, worker: WorkerJob, become_worker: Callable[[], None]) -> None:
        while (message := self.channel.wait()).kind != GONE:
            if message.kind != Order.FORK:
                continue
            if message.descriptor < 0:  # the supervisor sees the end of the worker's channel
                server_log.error("No worker can be forked: the template has too many open files")
                continue
            end = Channel.from_descriptor(message.descriptor)
            job = replace(worker, seat=int(message.text), channel=end)
            forking.fork_for_adoption(job.run, become_worker, end.send_not_forked)
            end.close()
