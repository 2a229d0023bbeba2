"""The template process of --preload: imports the application once and forks workers from there.

Decides: what is told about what an import left behind. It is the supervisor's child, its forks
become the supervisor's too.
"""

import gc
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from iotax import channel as ch
from iotax import forking, log, signals
from iotax.channel import Channel
from iotax.load_error import LoadError
from iotax.worker_process import WorkerJob, buffer_lines, load


@dataclass(frozen=True)
class TemplateJob:
    """`worker` is what its forks are there for, but for seat and channel."""

    worker: WorkerJob
    channel: Channel

    def run(self) -> int:
        """Import, then fork on demand until the supervisor closes the channel."""
        worker, channel = self.worker, self.channel
        forking.die_with(worker.supervisor)
        log.open_log(worker.config, os.environ, threads=False)
        channel.send(ch.BOOTING, str(os.getpid()))
        buffer_lines()
        before = set(_sockets())
        try:
            loaded = load(worker.app, worker.config)
        except LoadError as error:
            channel.send(ch.LOAD_ERROR, str(error))
            return 0
        for left in _left_behind(before):
            log.warning(f"--preload: the import left {left}; workers get a copy that does not work")
        gc.collect()
        gc.freeze()  # what is shared is not written to by a collection
        channel.send(ch.READY)
        self._fork_on_demand(replace(worker, loaded=loaded))
        return 0

    def _fork_on_demand(self, worker: WorkerJob) -> None:
        while (message := self.channel.wait()).kind != ch.GONE:
            if message.kind != ch.FORK:
                continue
            if message.descriptor < 0:  # the supervisor sees the end of the worker's channel
                log.error("No worker can be forked: the template has too many open files")
                continue
            end = Channel.from_descriptor(message.descriptor)
            job = replace(worker, seat=int(message.text), channel=end)
            forking.fork_for_adoption(job.run, self._become_worker, end.send_not_forked)
            end.close()

    def _become_worker(self) -> None:
        signals.become_child(None)
        self.channel.close()


def _left_behind(sockets_before: set[str]) -> Iterator[str]:
    """What does not survive a fork, in words."""
    threads = [thread.name for thread in threading.enumerate()[1:]]
    if threads:
        yield f"{_count(threads, 'thread')} running ({', '.join(threads)})"
    elif len(os.listdir("/proc/self/task")) > 1:
        yield "a thread running that Python does not know of"
    opened = sorted(set(_sockets()) - sockets_before)
    if opened:
        yield f"{_count(opened, 'socket')} open ({', '.join(opened)})"
    if "asyncio" in sys.modules:
        loops = [one for one in gc.get_objects() if isinstance(one, _loop_type()) and _is_open(one)]
        if loops:
            yield f"{_count(loops, 'event loop')} ({', '.join(map(repr, loops))})"


def _count(found: Sequence[object], name: str) -> str:
    return f"{len(found)} {name}{'s' if len(found) > 1 else ''}"


def _sockets() -> Iterator[str]:
    """Names of the open sockets of this process: "descriptor 7"."""
    for number in os.listdir("/proc/self/fd"):
        try:
            kind = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue  # that of the listing itself
        if kind.startswith("socket:"):
            yield f"descriptor {number}"


def _loop_type() -> type:
    return sys.modules["asyncio"].AbstractEventLoop  # type: ignore[no-any-return]


def _is_open(loop: object) -> bool:
    try:
        return not loop.is_closed()  # type: ignore[attr-defined]
    except Exception:
        return True  # a loop that does not tell is not known to be closed
