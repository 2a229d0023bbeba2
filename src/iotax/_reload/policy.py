"""The supervisor under --reload: workers are made anew when a file is saved, and it never dies of
what is saved.

Each save begins a generation. What runs is told to hold new requests, the workers of the new
generation are started, and when the first of them is ready it gets the connections that wait, and
the old ones leave. If the new code cannot be loaded, a worker takes its place that serves the
error. It is the procedure of the supervisor, which fills up the workers that there should be; here
only those of the newest generation count.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from iotax._config.options import Config
from iotax._log import server_log
from iotax._net.listeners import Listeners
from iotax._processes import signals
from iotax._processes.channel import Channel, Message
from iotax._processes.lifecycle import FOREVER, Event, Replacement, State, Termination
from iotax._processes.pool import Child, WorkerChild
from iotax._processes.protocol import Order, Report
from iotax._processes.supervisor import Supervisor
from iotax._processes.system import System
from iotax._processes.worker_process import WorkerJob
from iotax._reload import processes as jobs
from iotax._reload import watcher
from iotax._reload.project import Project
from iotax._reload.reports import ReloadReport
from iotax._reload.template_state import Warmth
from iotax._reload.tree import Change, Names, Tree

# What runs in the old workers when the new one is ready has so long.
RETIRE_SECONDS: Final = 2.0
# Beyond its graceful time-out: a person waits at the terminal.
LEAVE_SECONDS: Final = 0.2
# A module that takes longer to import hangs, and requests wait no longer.
HANG_SECONDS: Final = 10.0
# A template forks in no time; one that has not by then hangs.
FORK_SECONDS: Final = 5.0
# How long a worker may take to say whether it is being debugged, and when it is asked again.
ANSWER_SECONDS: Final = 0.3
NAMED_MAX: Final = 3


class ReloadingSupervisor(Supervisor):
    def __init__(
        self,
        app: str,
        config: Config,
        listeners: Listeners,
        *,
        interactive: bool = False,
        system: System | None = None,
    ) -> None:
        # The supervisor ends what takes too long, and says so; a slow boot is not the end.
        patient = max(config.graceful_timeout, RETIRE_SECONDS) + 1
        self._worker_config = replace(config, graceful_timeout=patient)
        super().__init__(
            app,
            replace(config, boot_timeout=0.0),
            listeners,
            interactive=interactive,
            system=system,
        )
        self._leave_seconds = LEAVE_SECONDS
        self._folders = [os.path.abspath(folder) for folder in config.reload_dir or (".",)]
        names = Names(config.reload_include, config.reload_exclude)
        self._tree = Tree(self._folders, names)
        self._project = Project(self._folders)
        self._generation = 1
        self._began = self._system.now()
        self._has_loaded = False  # the code of this generation: a failed boot is no fault of it
        self._broken = ""  # the error of this generation
        self._answered = False  # a worker of this generation is ready
        self._hangs = False  # this generation has been told to hang
        self._starts_for_hang = False
        self._stand_ins: set[WorkerChild] = set()
        self._dropped: set[WorkerChild] = set()  # their end is nobody's concern
        self._retiring: set[WorkerChild] = set()  # old ones that may still come to an end
        self._held: list[int] = []  # connections on their way from an old worker to a new one
        self._how: dict[WorkerChild, str] = {}  # "warm", "cold: …"
        self._warmth = Warmth(cold=config.reload_cold, clock=self._system.now)
        self._watcher: Child | None = None
        self._watcher_due = 0.0
        self._watcher_failed = False
        self._saved: list[Change] = []  # not acted on yet
        self._saved_count = 0
        self._asked: dict[WorkerChild, float] = {}  # until when its answer is waited for
        self._ask_at = 0.0
        self._told_of_debugger = False

    def run(self) -> int:
        for folder in self._folders:
            server_log.info(f"Watching for file changes in: {folder}")
        server_log.info("Starting server subprocess...")
        return super().run()

    # ---- a turn

    def _look_at_the_clock(self, now: float) -> None:
        super()._look_at_the_clock(now)
        if self._watcher is None and now >= self._watcher_due:
            self._start_watcher(now)
        if self._saved and now >= self._ask_at:
            self._restart_if_nobody_debugs(now)
        if now >= self._fork_due():
            self._forget_template(f"the template process did not fork in {FORK_SECONDS:.0f} s")
        if not self._hangs and now >= self._hang_at():
            self._tell_that_it_hangs()
        if now >= self._warmth.due and self._answered:
            self._warm_up()

    def _dues(self) -> Iterator[float]:
        yield from super()._dues()
        if self._stop is not None:
            return
        if self._watcher is None:
            yield self._watcher_due
        if self._saved:
            yield self._ask_at
        yield self._fork_due()
        if not self._hangs:
            yield self._hang_at()
        if self._answered:
            yield self._warmth.due

    def _fork_due(self) -> float:
        """When the template is given up: then its orders are void, and others start cold."""
        if self._warmth.template is None:
            return FOREVER
        forking = [w.started for w in self._workers if w.state is State.FORKING]
        return min(forking, default=FOREVER) + FORK_SECONDS

    def _hang_at(self) -> float:
        waits = not self._answered and any(w.boots() for w in self._workers)
        return self._began + HANG_SECONDS if waits else float("inf")

    def _children(self) -> list[Child]:
        others = [one for one in (self._watcher, self._warmth.template) if one is not None]
        return [*others, *self._workers]

    # ---- what there should be

    def _counts(self, worker: WorkerChild) -> bool:
        if self._is_stale(worker) or worker in self._dropped:
            return False
        return bool(self._broken) or worker not in self._stand_ins

    def _wanted_now(self) -> int:
        return 1 if self._broken else self._wanted

    def _has_source(self, now: float) -> bool:
        return self._backoff.allows(now)

    def _job(self, channel: Channel, seat: int) -> WorkerJob:
        job = replace(super()._job(channel, seat), config=self._worker_config)
        if self._error_to_serve():
            return jobs.stand_in(job, self._error_to_serve())
        return self._reload_job(job)

    def _reload_job(self, job: WorkerJob) -> jobs.ReloadJob:
        return jobs.ReloadJob(**{**vars(job), "project": self._project})

    def _start_worker(self, replaces: WorkerChild | None = None) -> None:
        serves_error = bool(self._error_to_serve())
        cold = self._warmth.why_cold()
        self._template = None if cold or serves_error else self._warmth.template
        before = len(self._workers)
        super()._start_worker(replaces)
        self._template = None
        for worker in self._workers[before:]:
            worker.generation = self._generation
            self._how[worker] = f"cold: {cold}" if cold else "warm"
            if serves_error:
                self._stand_ins.add(worker)

    # ---- a save

    def _start_watcher(self, now: float) -> None:
        self._watcher_due = now + 1.0
        ends = self._open_channel()
        if ends is None:
            return
        ours, theirs = ends
        job = watcher.WatcherJob(
            tree=self._tree,
            before=self._tree.look(),  # what is saved while the first worker imports is seen
            poll=self._config.reload_poll,
            channel=theirs,
            supervisor=os.getpid(),
        )

        def run() -> int:
            self._listeners.hand_over()
            return job.run()

        pid = self._fork(run, ours)
        theirs.close()
        if pid:
            self._watcher = Child(ours, now, pid, State.READY)
        else:
            ours.close()

    def _hear_watcher(self, message: Message) -> None:
        if message.kind == ReloadReport.NOTE:
            server_log.warning(message.text)
        elif message.kind == ReloadReport.WATCHING and self._watcher_failed:
            self._watcher_failed = False
            self._begin_generation()  # nobody has seen what was saved meanwhile
        elif message.kind == ReloadReport.CHANGED:
            count, named = watcher.unpack(message.text)
            if not self._saved:
                self._ask_at, self._told_of_debugger = 0.0, False
            self._saved += named
            self._saved_count += count

    def _restart_if_nobody_debugs(self, now: float) -> None:
        """Whoever runs a request, or boots, may wait in a debugger: it is asked."""
        if not self._asked:
            for worker in self._workers:
                if not self._is_stale(worker) and worker.pid and self._may_debug(worker):
                    self._asked[worker] = self._ask_at = now + ANSWER_SECONDS
                    self._system.kill(worker.pid, jobs.ASK_DEBUGGED)
            if self._asked:
                return
        self._asked.clear()  # who does not answer runs, or hangs
        self._restart()

    def _may_debug(self, worker: WorkerChild) -> bool:
        if worker in self._stand_ins or worker.is_leaving or worker.state is State.KILLED:
            return False
        if worker.boots():
            return worker.age(self._system.now()) > 1.0
        return bool(self._page.calls(worker.seat))

    def _hear_debugged(self, worker: WorkerChild, debugged: bool) -> None:
        if self._asked.pop(worker, None) is None:
            return
        if debugged:
            self._asked.clear()
            self._ask_at = self._system.now() + ANSWER_SECONDS
            if not self._told_of_debugger:
                self._told_of_debugger = True
                what = f"A debugger is active in process [{worker.pid}]"
                server_log.info(f"{what}: the reload waits until it is left")
        elif not self._asked:
            self._restart()

    def _restart(self) -> None:
        for kind, path in self._saved[:NAMED_MAX]:
            server_log.info(f"Detected {kind}: {path}")
        if self._saved_count > NAMED_MAX:
            server_log.info(f"Detected {self._saved_count - NAMED_MAX} more changes")
        self._saved, self._saved_count = [], 0
        self._begin_generation()

    def _replace_all(self, why: str) -> None:
        server_log.info(f"Replacing all workers: {why}")
        self._begin_generation()

    def _begin_generation(self) -> None:
        server_log.info("Restarting server...")
        self._generation += 1
        self._began = self._system.now()
        self._broken, self._answered, self._hangs = "", False, False
        self._has_loaded = False
        self._backoff.reset()
        for worker in self._workers:
            worker.replacement = None  # the new generation replaces all of them
            if worker.state is State.READY:
                worker.channel.send(Order.PAUSE)
            elif worker.boots():
                self._drop(worker)

    def _drop(self, worker: WorkerChild) -> None:
        self._dropped.add(worker)
        if worker.boots():
            self._dismiss(worker)

    # ---- what children say

    def _hear_worker(self, worker: WorkerChild, message: Message) -> None:
        if message.kind == Report.TRANSFERRED and message.descriptor >= 0:
            self._held.append(message.descriptor)
            self._hand_over()
        elif message.kind == Report.TRANSFER_DONE:
            if worker.may(Event.DRAIN):
                self._retire(worker)
        elif message.kind == ReloadReport.USES:
            self._warmth.add(message.text.split("\n"))
        elif message.kind == ReloadReport.VARIABLES:
            self._warmth.variables.update(message.text.split("\n"))
        elif message.kind == ReloadReport.STALE:
            self._forget_template(message.text)
            self._drop(worker)
        elif message.kind == ReloadReport.DEBUGGED:
            self._hear_debugged(worker, message.text == "yes")
        else:
            super()._hear_worker(worker, message)

    def _hear_template(self, template: Child, message: Message) -> None:
        if template is self._watcher:
            self._hear_watcher(message)
        elif message.kind == ReloadReport.NOT_WARM:
            self._warmth.never = message.text
        elif message.kind == Report.READY:
            template.is_importing = False
            if template.state is State.BOOTING:
                template.apply(Event.READY)

    def _is_ready(self, worker: WorkerChild) -> None:
        super()._is_ready(worker)
        if worker.state is not State.READY:
            return  # it was dismissed, and drains
        if worker in self._stand_ins and self._has_loaded:
            self._let_leave(worker)  # it comes too late: the import has come to its end
            return
        if worker not in self._stand_ins:
            self._has_loaded = True
        if worker not in self._stand_ins and not self._answered:
            self._answered = True
            self._hangs = False
            self._warmth.loaded()
            if self._generation > 1:
                seconds = self._system.now() - self._began
                server_log.info(f"Reloaded in {seconds:.2f} s ({self._how[worker]})")
        self._hand_over()
        for old in self._workers:
            if old.state is State.READY and self._is_old(old, worker):
                old.channel.send(Order.PAUSE)
                old.channel.send(Order.TRANSFER)
                old.apply(Event.DRAIN)
                self._retiring.add(old)
                old.termination = Termination("", self._system.now() + RETIRE_SECONDS)

    def _is_old(self, old: WorkerChild, new: WorkerChild) -> bool:
        if old.generation != new.generation:
            return True
        return old in self._stand_ins and new not in self._stand_ins

    def _hand_over(self) -> None:
        """Connections that wait, to a worker of this generation."""
        new = [w for w in self._workers if w.state is State.READY and not self._is_stale(w)]
        while self._held and new:
            descriptor = self._held.pop()
            new[0].channel.send(Order.ADOPT, "", descriptor)
            os.close(descriptor)
            new.append(new.pop(0))

    def _is_stale(self, worker: WorkerChild) -> bool:
        return worker.generation != self._generation

    def _retire(self, worker: WorkerChild) -> None:
        worker.channel.send(Order.RETIRE)
        worker.apply(Event.DRAIN)
        kill_at = min(worker.kill_at(), self._system.now() + RETIRE_SECONDS)
        worker.termination = Termination(worker.killed_because(), kill_at)

    def _kill(self, child: Child, why: str = "") -> None:
        if isinstance(child, WorkerChild) and child in self._retiring:
            self._break_off(child)
        else:
            super()._kill(child, why)

    def _break_off(self, worker: WorkerChild) -> None:
        """What an old worker still runs is cut, so that clients see it, and then it is killed."""
        for call in self._calls(worker):
            server_log.warning(f"Broken off: {call}")
        worker.channel.send(Order.NOW)
        worker.termination = Termination("", self._system.now() + LEAVE_SECONDS)
        self._retiring.discard(worker)

    # ---- what cannot boot

    def _worker_ended(self, worker: WorkerChild, status: int) -> None:
        self._how.pop(worker, None)
        self._asked.pop(worker, None)
        self._stand_ins.discard(worker)
        self._retiring.discard(worker)
        if worker in self._dropped:
            self._dropped.discard(worker)
            worker.apply(Event.EXIT)
            return
        super()._worker_ended(worker, status)

    def _template_ended(self, template: Child, status: int) -> None:
        if template is self._watcher:
            template.apply(Event.EXIT)
            self._watcher = None
            if self._stop is None:
                self._watcher_failed = True
                server_log.error(
                    f"The process that watches files {self._cause(status)}; it is started anew"
                )
        elif template is self._warmth.template:
            killed = template.state is State.KILLED
            template.apply(Event.EXIT)
            self._warmth.template = None
            if self._stop is None and not self._warmth.never and not killed:
                self._warmth.never = f"the template process {self._cause(status)}"
            for worker in [worker for worker in self._workers if not worker.pid]:
                worker.apply(Event.EXIT)  # it was never made
                self._workers.remove(worker)
                worker.channel.close()
                self._seats.append(worker.seat)

    def _not_loaded(self, child: Child) -> None:
        self._is_broken(child, child.error)

    def _not_booted(self, child: Child, why: str) -> None:
        first = f"Cannot load the application {self._app}"
        self._is_broken(child, f"{first}\n\nProcess [{child.pid}] was to import it: {why}")

    def _is_broken(self, child: Child, text: str) -> None:
        if not isinstance(child, WorkerChild) or self._is_stale(child):
            return
        if self._has_loaded and not self._broken:
            # What it needs is away for a moment, or a save is about to be noticed.
            self._log_load_error(text)
            self._try_again_later(child)
            return
        if not self._broken:
            self._broken, self._hangs = text, False
            server_log.error(text)
            server_log.info("Waiting for a change...")
            self._answered = True
            self._warmth.loaded()
            for other in self._workers:
                if other in self._stand_ins and other.state is State.READY:
                    # It says that the import hangs.
                    other.want(Replacement("the import has failed", urgent=True))
                elif other.boots():
                    self._drop(other)
            return
        self._backoff.failed(child.started, self._system.now())  # not even the error page boots
        for other in self._workers:
            if other.boots() and other not in self._stand_ins:
                self._drop(other)

    def _tell_that_it_hangs(self) -> None:
        """A stand-in serves until the import comes to its end, or the next save ends it."""
        booting = [w for w in self._workers if w.state is State.BOOTING]
        server_log.warning(
            f"{self._app} has been imported for more than {HANG_SECONDS:.0f} s, and is not ready;"
            " the next save interrupts it. It is here:"
        )
        for worker in booting:
            self._system.kill(worker.pid, signals.DUMP_STACKS)
        self._hangs = True
        self._starts_for_hang = True
        self._start_worker()
        self._starts_for_hang = False

    def _error_to_serve(self) -> str:
        """What the next worker serves in place of the application; "": it is to serve that."""
        return self._broken or (self._hanging_text() if self._starts_for_hang else "")

    def _hanging_text(self) -> str:
        return (
            f"{self._app} is still being imported\n\n"
            f"It has been for more than {HANG_SECONDS:.0f} s. The server's log shows where it is."
        )

    # ---- what stays imported

    def _warm_up(self) -> None:
        names = self._warmth.take()
        template = self._warmth.template
        if self._warmth.never or (template is not None and not names):
            return
        if template is not None:
            text = "\n".join(names)
            if not template.channel.send(Order.IMPORT, text):
                self._forget_template("the template process does not take orders")
                return
            template.is_importing = True
            return
        ends = self._open_channel()
        if ends is None:
            return
        ours, theirs = ends
        worker = self._reload_job(replace(super()._job(theirs, -1), config=self._worker_config))
        job = jobs.TemplateJob(
            worker, theirs, [*self._warmth.names], sorted(self._warmth.variables)
        )
        pid = self._fork(job.run, ours)
        theirs.close()
        if pid:
            self._warmth.template = Child(ours, self._system.now(), pid)
        else:
            ours.close()

    def _forget_template(self, why: str) -> None:
        """The next worker starts cold, and then another template is made."""
        template = self._warmth.template
        if template is not None:
            self._kill(template, why)
            template.channel.close()
        self._warmth.start_over(why)

    def _order_stop(self, order: str) -> None:
        for descriptor in self._held:
            os.close(descriptor)
        self._held.clear()
        super()._order_stop(order)
