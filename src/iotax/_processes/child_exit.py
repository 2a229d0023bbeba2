"""The hook child_exit: a short-lived process for each worker that has exited, in whatever way.

Decides when there is one, and how long it may take. The supervisor never imports the hooks: this
process does. It also tells prometheus_client which process has exited.
"""

import importlib
import importlib.util
import os
from collections.abc import Iterator
from typing import Final, NamedTuple

from iotax._app import working_directory
from iotax._app.hooks import Hooks, WorkerInfo
from iotax._app.load_error import LoadError, summary
from iotax._config.options import Config
from iotax._log import server_log
from iotax._net.listeners import Listeners
from iotax._processes import forking
from iotax._processes.exit_status import Exit
from iotax._processes.lifecycle import Cause
from iotax._processes.live_settings import LiveSettings
from iotax._processes.parts import Parts
from iotax._processes.pool import HookProcess, Worker
from iotax._processes.worker_process import buffer_lines

SECONDS: Final = 10.0
# prometheus_client keeps the values of each process in files there.
_PROMETHEUS: Final = "PROMETHEUS_MULTIPROC_DIR"


class ChildExitJob(NamedTuple):
    config: Config
    listeners: Listeners
    supervisor: int
    info: WorkerInfo

    def run(self) -> int:
        forking.die_with(self.supervisor)
        self.listeners.hand_over()  # the port must not stay open because of this process
        buffer_lines()
        try:
            working_directory.enter_again()
            if os.environ.get(_PROMETHEUS):
                _mark_dead(self.info.pid)
            hooks = Hooks(self.config.hooks)
            hooks.load()
            hooks.call("child_exit", self.info)
        except OSError as error:
            self._log(f"{error.filename}: {error.strerror}")
        except LoadError as error:
            self._log(f"{error.problem}\n{error.trace}".rstrip())
        return 0

    def _log(self, problem: str) -> None:
        server_log.error(f"Hook for the exit of worker [{self.info.pid}]: {problem}")


def _mark_dead(pid: int) -> None:
    """Remove the process from prometheus_client's live gauges, if that is installed."""
    if importlib.util.find_spec("prometheus_client") is None:
        return
    try:
        importlib.import_module("prometheus_client.multiprocess").mark_process_dead(pid)
    except Exception as error:
        server_log.error(f"prometheus_client cannot mark worker [{pid}] as dead: {summary(error)}")


def is_wanted(settings: LiveSettings) -> bool:
    """Whether exits of workers have hook processes."""
    own = settings.environment.variables.get(_PROMETHEUS)
    uses_prometheus = own.value if own is not None else os.environ.get(_PROMETHEUS)
    return bool(settings.config.hooks or uses_prometheus)


class ChildExits:
    def __init__(self, parts: Parts) -> None:
        self._settings, self._listeners = parts.settings, parts.listeners
        self._system, self._spawner, self._pool = parts.system, parts.spawner, parts.pool
        self._control, self._shutdown = parts.control, parts.shutdown

    def start(self, worker: Worker, cause: Cause, exited: Exit) -> None:
        """Called when `worker` has exited."""
        config, now = self._settings.config, self._system.now()
        if self._shutdown.is_immediate or not is_wanted(self._settings):
            return
        if self._shutdown.stop is not None and worker.is_abandoned:
            return  # the stop no longer waits for it, nor for its hook
        info = WorkerInfo(worker.number, worker.pid, worker.age(now), cause.value, exited.code)
        try:
            pid = self._spawner.start_hook(ChildExitJob(config, self._listeners, os.getpid(), info))
        except OSError as error:
            server_log.error(
                f"Cannot start the hook for the exit of worker [{worker.pid}]: {error.strerror}"
            )
            return
        self._pool.hook_processes[pid] = HookProcess(pid, worker.pid, now + SECONDS)

    def ended(self, pid: int, exited: Exit) -> None:
        """Called when a process that is not a child of the pool has exited."""
        process = self._pool.hook_processes.pop(pid, None)
        if process is not None and exited.status and not process.is_killed:
            server_log.error(f"The hook for the exit of worker [{process.worker}] {exited}")

    def enforce_exits(self, now: float) -> None:
        for process in [*self._pool.hook_processes.values()]:
            if now < process.kill_at:
                continue
            if process.is_killed:  # it hangs in the kernel: stop waiting
                del self._pool.hook_processes[process.pid]
                continue
            server_log.error(
                f"The hook for the exit of worker [{process.worker}] has not returned after"
                f" {SECONDS:g} s: killing process [{process.pid}]"
            )
            self._control.kill_hook(process)

    def dues(self) -> Iterator[float]:
        yield from (process.kill_at for process in self._pool.hook_processes.values())
