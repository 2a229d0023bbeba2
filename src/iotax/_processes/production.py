"""Workers in production: forks of the supervisor, or with --preload of a template that has imported
the application.

Decides when templates start and end. A failed boot ends the server at its first start; later, the
serving workers stay.
"""

from collections.abc import Callable, Iterator

from iotax._log import server_log, terminal
from iotax._processes.channel import Message
from iotax._processes.lifecycle import Cause, Event, Replacement, State
from iotax._processes.parts import Parts
from iotax._processes.pool import Child, Worker
from iotax._processes.preload import TemplateJob
from iotax._processes.protocol import Report


class Production:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._pool, self._target, self._control = parts.pool, parts.target, parts.control
        self._template: Child | None = None
        self._next_template: Child | None = None

    def begin(self) -> None:
        pass

    def can_start(self, now: float) -> bool:
        backoff = self._parts.backoff
        if not backoff.allows(now):
            return False
        if not self._parts.config.preload:
            return True
        if self._target.new_code and self._next_template is None:
            self._next_template = self._start_template()
        if self._template is None and backoff.allows(now):
            self._template = self._start_template()
        return self._template is not None and self._template.state is State.READY

    def start_worker(self, replaces: Worker | None) -> None:
        self._parts.spawner.start_worker(template=self._template, replaces=replaces)

    def _start_template(self) -> Child | None:
        return self._parts.spawner.start(lambda job: TemplateJob(job, job.channel))

    def on_report(self, child: Child, message: Message) -> bool:
        if isinstance(child, Worker) or message.kind != Report.READY:
            return False
        if child.may(Event.READY):
            child.apply(Event.READY)
            child.has_exit_functions = True
            if child is self._next_template and child.state is State.READY:
                self._template, self._next_template = child, None
                self._mark_all(self._target.new_code)
                self._target.new_code = ""
        return True

    def on_ready(self, worker: Worker) -> None:
        pass

    def on_exit(self, child: Child, cause: Callable[[], str]) -> bool:
        if isinstance(child, Worker):
            return False
        if child is self._next_template:
            self._next_template = None
        elif child is self._template:
            self._template = None
        else:
            return True  # an old template, replaced already
        return self._parts.shutdown.stop is not None

    def on_boot_failure(self, child: Child, why: str) -> None:
        """End the server at its first start; later, keep the serving workers and retry."""
        if not self._pool.has_served:
            what = f"iotax: process [{child.pid}] was to load {self._parts.config.app}, but {why}"
            terminal.show_failure(what if why else f"\n{child.boot_error}")
            self._parts.shutdown.give_up()
            return
        if why:
            server_log.error(f"Process [{child.pid}] did not get ready: {why}")
        else:
            self._parts.failures.log_load_error(child.boot_error)
        self._parts.failures.try_again_later(child)

    def on_hup(self) -> None:
        """Replace all workers by workers with freshly imported code."""
        why = "SIGHUP"
        server_log.info(f"Replacing all workers: {why}")
        self._parts.backoff.reset()
        if not self._parts.config.preload:
            self._mark_all(why)
            return
        self._target.new_code = why
        if self._next_template is not None:  # it may have imported the old code
            self._control.discard(self._next_template)
            self._next_template = None

    def _mark_all(self, why: str) -> None:
        replacement = Replacement(why, Cause.RELOAD)
        for worker in self._pool.workers:
            if worker.boots() and self._pool.has_served:
                worker.leaves_for = replacement
                self._control.drain(worker)  # it may have imported the old code
            elif worker.boots() or worker.state is State.READY:
                worker.want(replacement)

    def tick(self, now: float) -> None:
        """End a replaced template when no worker that it forked is left."""
        used = [self._template, self._next_template, *(w.template for w in self._pool.workers)]
        for template in self._pool.others:
            if template not in used and template.ends_last():
                self._control.end_template(template)

    def dues(self) -> Iterator[float]:
        yield from ()

    def stopping(self) -> None:
        pass
