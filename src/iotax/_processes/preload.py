"""The template process of --preload: imports the application once and forks workers from there.

Decides what happens to the signals and exit functions of the import. The supervisor is its parent,
and adopts its forks. left_behind.py finds what an import creates and a fork lacks.
"""

import gc
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from iotax._app import working_directory
from iotax._app.load_error import LoadError
from iotax._log import server_log
from iotax._processes import forking, left_behind, signals
from iotax._processes.channel import Channel
from iotax._processes.exit_functions import ExitFunctions
from iotax._processes.protocol import GONE, Order, Report
from iotax._processes.worker_process import WorkerJob, buffer_lines, load
from iotax._runtime import native


class TemplateJob(NamedTuple):
    """`worker` is the job of its forks, without a slot and a channel."""

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
                loaded = load(worker.config)
        except LoadError as error:
            channel.send(Report.LOAD_ERROR, str(error))
            return 0
        for what in left_behind.after_import(before):
            server_log.warning(f"--preload: {what}")
        forking.live_on()  # it exits when the channel closes, so that its exit functions run
        on_term = signals.leave_term_to_the_supervisor()
        gc.collect()
        gc.freeze()  # keeps collections from writing to pages that workers share
        channel.send(Report.READY)

        def become_worker() -> None:
            """Keep the signal handlers that the import installed, as in a worker without a
            template."""
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
            job = replace(worker, slot=int(message.text), channel=end)
            forking.fork_for_adoption(job.run, become_worker, end.send_not_forked)
            end.close()
