"""The template under --reload, from which warm workers are forked.

Decides when it is started, ordered to import more, and given up. template_state.py decides which
modules it keeps.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from iotax._processes.channel import Message
from iotax._processes.lifecycle import FOREVER, Event, State
from iotax._processes.parts import Parts
from iotax._processes.pool import Child
from iotax._processes.protocol import Order, Report
from iotax._processes.worker_process import WorkerJob
from iotax._reload.processes import ReloadJob, TemplateJob
from iotax._reload.reports import ReloadReport
from iotax._reload.template_state import Warmth

# A fork takes milliseconds; a template that has not forked by then hangs.
FORK_SECONDS: Final = 5.0


class WarmTemplate:
    """`make_job` returns the job of its forks."""

    def __init__(self, parts: Parts, make_job: Callable[[WorkerJob], ReloadJob]) -> None:
        self._spawner, self._control, self._pool = parts.spawner, parts.control, parts.pool
        self._settings = parts.settings
        self._forked_with = (parts.config, parts.settings.environment)
        self._make_job = make_job
        self._warmth = Warmth(cold=parts.config.reload_cold, clock=parts.system.now)

    def tick(self, now: float, *, may_import: bool) -> None:
        """`may_import`: more urgent work is not waiting."""
        if now >= self._fork_due():
            self.forget(f"the template process did not fork in {FORK_SECONDS:.0f} s")
        if may_import and now >= self._warmth.due:
            self._warm_up()

    def dues(self, *, may_import: bool) -> Iterator[float]:
        yield self._fork_due()
        if may_import:
            yield self._warmth.due

    def source(self) -> tuple[Child | None, str]:
        """The template and "warm", or None and why the next worker starts cold."""
        current = (self._settings.config, self._settings.environment)
        if self._forked_with != current:
            self._forked_with = current
            self.forget("the settings have changed")
        cold = self._warmth.why_cold()
        return (None, f"cold: {cold}") if cold else (self._warmth.template, "warm")

    def loaded(self) -> None:
        """A worker has reported the modules that it needs."""
        self._warmth.loaded()

    def add_modules(self, names: Iterable[str]) -> None:
        self._warmth.add(names)

    def add_variables(self, names: Iterable[str]) -> None:
        self._warmth.variables.update(names)

    def owns(self, child: Child) -> bool:
        return child is self._warmth.template

    def on_report(self, message: Message) -> None:
        """Handle a report of the template."""
        template = self._warmth.template
        if message.kind == ReloadReport.NOT_WARM:
            self._warmth.never = message.text
        elif message.kind == Report.READY and template is not None:
            template.is_importing = False
            if template.state is State.BOOTING:
                template.apply(Event.READY)

    def ended(self, cause: str) -> None:
        """The template has exited, for `cause`; "": the exit was expected. Cancels its orders."""
        self._warmth.template = None
        if cause and not self._warmth.never:
            self._warmth.never = f"the template process {cause}"
        for worker in [worker for worker in self._pool.workers if not worker.pid]:
            worker.apply(Event.EXIT)
            worker.channel.close()
            self._pool.remove(worker)

    def forget(self, why: str) -> None:
        """Kill the template, if it exists. The next worker starts cold; a new template follows."""
        if self._warmth.template is not None:
            self._control.discard(self._warmth.template, why)
        self._warmth.start_over(why)

    def _fork_due(self) -> float:
        """When to give up the template. Its orders are canceled then, and workers start cold."""
        if self._warmth.template is None:
            return FOREVER
        forking = [w.started for w in self._pool.workers if w.state is State.FORKING]
        return min(forking, default=FOREVER) + FORK_SECONDS

    def _warm_up(self) -> None:
        names, template = self._warmth.take(), self._warmth.template
        if self._warmth.never or (template is not None and not names):
            return
        if template is None:
            self._warmth.template = self._spawner.start(self._template_job)
        elif template.channel.send(Order.IMPORT, "\n".join(names)):
            template.is_importing = True
        else:
            self.forget("the template process does not read its orders")

    def _template_job(self, job: WorkerJob) -> TemplateJob:
        warmth = self._warmth
        worker = self._make_job(job)
        return TemplateJob(worker, job.channel, [*warmth.names], sorted(warmth.variables))
