"""Policy of --reload: replaces workers when a file is saved. No saved code stops the server.

Each save begins a generation. Old workers pause; when the first new one is ready, it adopts their
idle connections, and they drain. If the code cannot be loaded, one worker serves the error.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from iotax._config.options import Config
from iotax._config.sources import Settings
from iotax._log import server_log
from iotax._net.listeners import Listeners
from iotax._processes.channel import Message
from iotax._processes.lifecycle import Cause, Replacement, State
from iotax._processes.live_settings import ReadAgain
from iotax._processes.notifier import Notifier
from iotax._processes.parts import Parts, connect
from iotax._processes.pool import Child, Worker
from iotax._processes.protocol import Order, Report
from iotax._processes.supervisor import Supervisor
from iotax._processes.system import System
from iotax._processes.worker_process import WorkerJob
from iotax._reload.generation import HANG_SECONDS, Generation, hanging_text
from iotax._reload.processes import ReloadJob, stand_in
from iotax._reload.project import Project
from iotax._reload.reports import ReloadReport
from iotax._reload.saves import Saves
from iotax._reload.transfer import RETIRE_SECONDS, Transfer
from iotax._reload.warm_template import WarmTemplate

# Added to a worker's graceful timeout. Short, because the developer waits at the terminal.
LEAVE_SECONDS: Final = 0.2


class Reloading:
    def __init__(self, parts: Parts, generation: Generation) -> None:
        self._parts, self._generation = parts, generation
        self._pool, self._control = parts.pool, parts.control
        self._saves = Saves(parts, generation, self._begin_generation)
        self._project = Project(self._saves.directories)
        self._transfer = Transfer(parts, generation)
        self._warm = WarmTemplate(parts, self._reload_job)

    def begin(self) -> None:
        for directory in self._saves.directories:
            server_log.info(f"Watching for file changes in: {directory}")
        server_log.info("Starting server subprocess...")

    def can_start(self, now: float) -> bool:
        return self._parts.backoff.allows(now)

    def tick(self, now: float) -> None:
        self._saves.tick(now)
        self._warm.tick(now, may_import=self._generation.has_result)
        if now >= self._generation.hang_at(self._pool.workers):
            self._log_that_it_hangs()

    def dues(self) -> Iterator[float]:
        yield from self._saves.dues()
        yield from self._warm.dues(may_import=self._generation.has_result)
        yield self._generation.hang_at(self._pool.workers)

    def stopping(self) -> None:
        self._transfer.close()

    # ---- starting workers

    def start_worker(self, replaces: Worker | None) -> None:
        self._start(replaces, self._generation.error)

    def _start(self, replaces: Worker | None, text: str) -> None:
        """Start a worker that serves `text` as an error; "": the application."""
        template, how = self._warm.source()

        def job_of(job: WorkerJob) -> WorkerJob:
            if text:
                return stand_in(replace(job, config=_patient(job.config)), text)
            return self._reload_job(job)

        worker = self._parts.spawner.start_worker(
            job_of, template=None if text else template, replaces=replaces
        )
        if worker is not None:
            self._generation.add(worker, how, serves_error=bool(text))

    def _reload_job(self, job: WorkerJob) -> ReloadJob:
        config = _patient(job.config)
        return ReloadJob(**{**vars(job), "config": config, "project": self._project})

    # ---- what processes report

    def on_report(self, child: Child, message: Message) -> bool:
        if isinstance(child, Worker):
            return self._on_worker_report(child, message)
        if self._saves.is_watcher(child):
            self._saves.on_report(message)
        elif self._warm.owns(child):
            self._warm.on_report(message)
        return True

    def _on_worker_report(self, worker: Worker, message: Message) -> bool:
        match message.kind:
            case Report.TRANSFERRED if message.descriptor >= 0:
                self._transfer.received(message.descriptor)
            case Report.TRANSFER_DONE:
                self._transfer.done(worker)
            case ReloadReport.USES:
                self._warm.add_modules(message.text.split("\n"))
            case ReloadReport.VARIABLES:
                self._warm.add_variables(message.text.split("\n"))
            case ReloadReport.STALE:
                self._warm.forget(message.text)
                self._drop(worker)
            case ReloadReport.DEBUGGED:
                self._saves.on_debugged(worker, is_debugged=message.text == "yes")
            case _:
                return False
        return True

    def on_ready(self, worker: Worker) -> None:
        generation = self._generation
        if worker in generation.error_workers and generation.has_loaded:
            self._control.drain(worker)  # ready after the import has succeeded
            return
        if worker not in generation.error_workers and generation.loaded():
            self._warm.loaded()
            if generation.number > 1:
                seconds = self._parts.system.now() - generation.began
                server_log.info(f"Reloaded in {seconds:.2f} s ({generation.how(worker)})")
        self._transfer.hand_over()
        for old in self._pool.workers:
            if old.state is State.READY and generation.is_old(old, worker):
                self._transfer.begin(old)

    def on_exit(self, child: Child, cause: Callable[[], str]) -> bool:
        is_stopping = self._parts.shutdown.stop is not None
        if isinstance(child, Worker):
            self._saves.forget(child)
            return self._generation.remove(child)
        if self._saves.is_watcher(child):
            if not is_stopping:
                self._saves.watcher_ended(cause())
        elif self._warm.owns(child):
            is_expected = is_stopping or child.state is State.KILLED
            self._warm.ended("" if is_expected else cause())
        return True

    # ---- generations

    def on_hup(self) -> None:
        server_log.info("Replacing all workers: SIGHUP")
        self._begin_generation()

    def _begin_generation(self) -> None:
        server_log.info("Restarting server...")
        self._generation.begin(self._parts.system.now())
        self._parts.backoff.reset()
        for worker in self._pool.workers:
            worker.replacement = None  # the new generation replaces all workers
            worker.leaves_for = worker.leaves_for._replace(cause=Cause.RELOAD)
            if worker.state is State.READY:
                worker.channel.send(Order.PAUSE)
            elif worker.boots():
                self._drop(worker)

    def _drop(self, worker: Worker) -> None:
        self._generation.dropped.add(worker)
        if worker.boots():
            self._control.dismiss(worker)

    def on_boot_failure(self, child: Child, why: str) -> None:
        generation, failures = self._generation, self._parts.failures
        if not isinstance(child, Worker) or generation.is_stale(child):
            return
        first = f"Cannot load the application {self._parts.config.app}"
        text = (
            f"{first}\n\nProcess [{child.pid}] was to import it: {why}" if why else child.boot_error
        )
        if generation.error:
            self._error_worker_failed(child)
        elif generation.has_loaded:
            # Something it needs is missing for a moment, or the watcher will report a save soon.
            failures.log_load_error(text)
            failures.try_again_later(child)
        else:
            self._cannot_load(text)

    def _cannot_load(self, text: str) -> None:
        generation = self._generation
        generation.failed(text)
        server_log.error(text)
        server_log.info("Waiting for a change...")
        self._warm.loaded()
        for worker in self._pool.workers:
            if worker in generation.error_workers and worker.state is State.READY:
                # Its page still says that the import hangs.
                worker.want(Replacement("the import has failed", urgent=True))
            elif worker.boots():
                self._drop(worker)

    def _error_worker_failed(self, child: Worker) -> None:
        """The worker for the error page did not boot either: back off, and drop the workers that
        still boot the application."""
        self._parts.backoff.failed(child.started, self._parts.system.now())
        for worker in self._pool.workers:
            if worker.boots() and worker not in self._generation.error_workers:
                self._drop(worker)

    def _log_that_it_hangs(self) -> None:
        """Log it, and serve a page about it until the import ends or the next save interrupts
        it."""
        app = self._parts.config.app
        server_log.warning(
            f"{app} has been imported for more than {HANG_SECONDS:.0f} s, and is not ready; the"
            " next save interrupts it. It is here:"
        )
        for worker in self._pool.workers:
            if worker.state is State.BOOTING:
                self._control.dump_stacks(worker)
        self._generation.hangs = True
        self._start(None, hanging_text(app))


def _patient(config: Config) -> Config:
    """A worker waits longer than the supervisor, which aborts and logs late requests."""
    return replace(config, graceful_timeout=max(config.graceful_timeout, RETIRE_SECONDS) + 1)


def _without_boot_timeout(settings: Settings) -> Settings:
    """The next save interrupts an import that hangs."""
    return settings._replace(config=replace(settings.config, boot_timeout=0.0))


def reloading_supervisor(
    settings: Settings,
    listeners: Listeners,
    *,
    read_again: ReadAgain = lambda settings: settings,
    interactive: bool = False,
    system: System | None = None,
    notifier: Notifier | None = None,
    admin: Listeners | None = None,
) -> Supervisor:
    system = system or System()
    generation = Generation(settings.config.workers, system.now())
    parts = connect(
        _without_boot_timeout(settings),
        listeners,
        read_again=lambda former: _without_boot_timeout(read_again(former)),
        target=generation,
        system=system,
        interactive=interactive,
        leave_seconds=LEAVE_SECONDS,
        notifier=notifier,
        admin=admin,
    )
    return Supervisor(parts, Reloading(parts, generation))
