"""The processes of --reload: a worker that reports its imports, the template that keeps third-party
modules imported for it, and a worker that serves the error while the code is broken.

Decides what they report to the supervisor. trial_import.py decides which modules may stay imported.
"""

import gc
import os
import signal
import sys
import threading
import types
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from iotax._app.importer import Loaded
from iotax._log import server_log
from iotax._processes import forking, signals
from iotax._processes.channel import Channel
from iotax._processes.protocol import GONE, Order, Report
from iotax._processes.worker_process import OwnHooks, WorkerJob
from iotax._reload import trial_import
from iotax._reload.error_page import ErrorPage
from iotax._reload.project import Project, Recorder, changed_variables
from iotax._reload.reports import ReloadReport
from iotax._runtime import native
from iotax._runtime.call_watch import is_debugged
from iotax._runtime.process_exit import exit_now

# Asks a worker whether it is being debugged. A signal, so that it replies even while it waits for
# input.
ASK_DEBUGGED: Final = signal.SIGRTMAX - 2
NAMES_PER_MESSAGE: Final = 400


@dataclass(frozen=True)
class ReloadJob(WorkerJob):
    """`stamps`: the result of trial_import.stamps() after the template's last import."""

    project: Project = field(default_factory=lambda: Project([]))
    stamps: Mapping[str, int] = field(default_factory=dict)

    def _load(self, hooks: OwnHooks) -> Loaded:
        if changed := trial_import.what_changed(self.stamps):
            self.channel.send(ReloadReport.STALE, changed)
            exit_now(0)
        said = self.channel.copy()  # the job closes its own when the worker is ready
        os.register_at_fork(after_in_child=said.close)

        def answer(_number: int, _frame: object) -> None:
            said.send(ReloadReport.DEBUGGED, "yes" if is_being_debugged() else "no")

        signal.signal(ASK_DEBUGGED, answer)
        self.project.compile_from_source()
        variables, modules = dict(os.environ), set(sys.modules)
        try:
            return super()._load(hooks)
        finally:
            self._tell(ReloadReport.VARIABLES, changed_variables(variables))
            self._tell(ReloadReport.USES, self.project.others(modules))
            Recorder(lambda name: said.send(ReloadReport.USES, name)).install()

    def _tell(self, kind: str, names: list[str]) -> None:
        for start in range(0, len(names), NAMES_PER_MESSAGE):
            self.channel.send(kind, "\n".join(names[start : start + NAMES_PER_MESSAGE]))


def is_being_debugged() -> bool:
    """Whether a thread that runs the application waits in a debugger or is single-stepped. Call it
    in the main thread."""
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("iotax-")]
    idents = {native.get_ident(), *map(native.ident_of, ours)}
    tops = [top for ident, top in sys._current_frames().items() if ident in idents]
    return any(is_debugged(top) or _is_stepped(top) for top in tops)


def _is_stepped(top: types.FrameType) -> bool:
    bdb: Any = sys.modules.get("bdb")
    frame: types.FrameType | None = top
    while bdb is not None and frame is not None:
        if isinstance(getattr(frame.f_trace, "__self__", None), bdb.Bdb):
            return True
        frame = frame.f_back
    return False


@dataclass(frozen=True)
class TemplateJob:
    """Imports third-party modules in advance and forks `worker`. `names`: modules to import;
    `variables`: environment variables that the project's code changes."""

    worker: ReloadJob
    channel: Channel
    names: list[str]
    variables: list[str]

    def run(self) -> int:
        """Fork on demand until the supervisor closes the channel."""
        forking.die_with(self.worker.supervisor)
        server_log.open_log(self.worker.config, os.environ, threads=False)
        self.channel.send(Report.BOOTING, str(os.getpid()))
        bad: set[str] = set()
        stamps: dict[str, int] = {}
        if not self._import(self.names, bad, stamps):
            return 0
        while (message := self.channel.wait()).kind != GONE:
            if message.kind == Order.IMPORT:
                if not self._import(message.text.split("\n"), bad, stamps):
                    return 0
            elif message.kind == Order.FORK:
                if message.descriptor < 0:  # the supervisor sees the end of the worker's channel
                    server_log.error(
                        "No worker can be forked: the template has too many open files"
                    )
                    continue
                end = Channel.from_descriptor(message.descriptor)
                job = replace(self.worker, slot=int(message.text), channel=end, stamps=stamps)
                forking.fork_for_adoption(job.run, self._become_worker, end.send_not_forked)
                end.close()
        return 0

    def _import(self, names: list[str], bad: set[str], stamps: dict[str, int]) -> bool:
        """Import modules; report that the template is ready, or why it never will be."""
        project = self.worker.project
        with trial_import.silenced():
            tried = trial_import.try_out(names, project, bad, self.variables)
            if tried is not None and not tried.thread:
                bad.update(tried.bad)
                importing = trial_import.Importing(project, bad)
                trial_import.import_all(tried.good, importing)
                bad.update(importing.bad)
        if tried is None:
            self.channel.send(ReloadReport.NOT_WARM, "a module cannot be imported twice")
        elif tried.thread or trial_import.has_threads():
            name = tried.thread or "a module"
            self.channel.send(ReloadReport.NOT_WARM, f"importing {name} left a thread running")
        else:
            stamps.update(trial_import.stamps(project))
            gc.collect()
            gc.freeze()  # keeps collections from writing to pages that workers share
            self.channel.send(Report.READY)
            return True
        return False

    def _become_worker(self) -> None:
        signals.become_child(None)
        self.channel.close()


def stand_in(job: WorkerJob, text: str) -> WorkerJob:
    """A worker job that serves `text` as an error, without code of the project, and without an
    access log: the page polls."""

    def tell(line: str) -> None:
        server_log.warning(f"503 {line}: the application is not loaded")

    return replace(
        job,
        loaded=Loaded(ErrorPage(text, tell), job.config.app),
        config=replace(job.config, access_log=False, hooks=""),
    )
