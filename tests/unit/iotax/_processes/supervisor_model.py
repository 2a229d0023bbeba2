"""A world in which everything happens to a supervisor that can, drawn from a seed.

The supervisor is the real one with its real loop; its operating system is simulated. Each time it
waits, the world does one thing (a report, an exit, a signal, a step of the clock, …) and checks the
invariants. Only the seed decides, so the same seed gives the same sequence:

    python tests/unit/iotax/_processes/supervisor_model.py --first 1 --count 100000
    python tests/unit/iotax/_processes/supervisor_model.py --seed 4711        # with every step

Exit code of the program: 0, or 1 with the first seed that fails.
"""

import argparse
import errno
import os
import random
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar, Final

if __name__ == "__main__":
    HERE = Path(__file__).resolve().parent
    sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[3] / "src")]
    import conftest  # noqa: F401  the stand-in for the extension, where that is not built

from played_system import PlayedNotifier, PlayedSystem

from iotax._config.errors import ConfigError
from iotax._config.sources import Settings, from_command
from iotax._log import server_log, terminal
from iotax._net.listeners import Listener, Listeners
from iotax._processes import admin_process, child_exit, control, replacer
from iotax._processes.admin_process import AdminJob
from iotax._processes.channel import Channel, Message
from iotax._processes.exit_status import EXIT_LOAD
from iotax._processes.lifecycle import State
from iotax._processes.pool import Worker
from iotax._processes.preload import TemplateJob
from iotax._processes.production import Production
from iotax._processes.protocol import GONE, Order, Report
from iotax._processes.replacement import Leave, Step
from iotax._processes.supervisor import production_supervisor
from iotax._processes.worker_process import WorkerJob
from iotax._reload import processes, watcher
from iotax._reload.generation import Generation
from iotax._reload.policy import reloading_supervisor
from iotax._reload.reports import ReloadReport
from iotax._reload.tree import Change

STEPS: Final = 250
# Without new trouble, the supervisor reaches the wanted state within this many steps.
CALM_STEPS: Final = 600
STOP_STEPS: Final = 400
# How long a stop may take beyond --graceful-timeout: exit functions of workers, killed workers that
# do not exit, then exit functions of a template, and a killed template that does not exit. Each
# wait of the supervisor may end a little late.
STOP_SECONDS: Final = (
    control.LEAVE_SECONDS + control.AT_ONCE_SECONDS + 2 * control.KILLED_SECONDS + 1.1
)
STATUSES: Final = (0, 1 << 8, 5 << 8, signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT)
NEWS: Final = (Report.MAX_REQUESTS, Report.SIGTERM, Report.THREADS_LOST, Report.BUSY)
ORDERS_TO_EXIT: Final = (Order.RETIRE, Order.DRAIN, Order.INTERRUPT, Order.NOW)


class Broken(Exception):
    """An invariant does not hold."""


class Program:
    """A process of the simulated system: `kind` is "worker", "template", "watcher", "admin" or
    "hook"."""

    def __init__(self, kind: str, pid: int, channel: Channel, code: int) -> None:
        self.kind, self.pid, self.channel, self.code = kind, pid, channel, code
        self.state = "boots"  # "serves", "exits" (it has an order to), "dead", "zombie", "gone"
        self.status = 0
        self.has_hook = False  # one was started when it had exited
        self.is_lost = False  # it has reported that it cannot serve
        self.is_unwanted = False  # it has sent a report for which it has to be replaced
        self.version = 0  # of its settings
        self.hangs = False  # reacts only to SIGKILL
        self.is_unkillable = False  # it hangs in the kernel
        self.is_killed = False
        self.stand_in = False

    @property
    def lives(self) -> bool:
        return self.state in ("boots", "serves", "exits")

    def __repr__(self) -> str:
        return f"{self.kind} [{self.pid}] of code {self.code} {self.state}"


class World(PlayedSystem):
    def __init__(self, seed: int, *, reload: bool, tell: Callable[[str], None]) -> None:
        super().__init__()
        self.dice = random.Random(seed)
        self.tell = tell
        self.reload = reload
        self.preload = not reload and self.dice.random() < 0.4
        self.programs: list[Program] = []
        self.lines: list[str] = []
        self.code = 1  # version of the code on disk; each HUP or save increments it
        self.is_good = True  # the code can be loaded
        self.boot_failures = self.fork_failures = self.hanging = 0.0
        self.phase, self.steps_left = "trouble", self.dice.randint(1, STEPS)
        self.calms = self.dice.randint(0, 2)
        self.stop_signal: signal.Signals | None = None
        self.is_asked_to_stop = False
        self.stopped_at = 0.0
        self.to_replace: set[int] = set()  # process ids of the workers that have to be replaced
        self.stop_codes = {0, 3}
        self.most_workers = 0  # at one time
        self.version = 1  # of the settings, which each HUP with right ones increments
        self.read_next: list[Settings | ConfigError] = []  # one for each HUP that has not arrived
        flags = {
            "app": "main:app",
            "limit_body": "1",  # the version
            "workers": str(self.dice.choice([1, 1, 2, 3, 5])),
            "graceful_timeout": self.dice.choice(["0s", "1s", "15s", "30s"]),
            "boot_timeout": self.dice.choice(["5s", "60s"]),
            "request_timeout": "5s",
        }
        if self.dice.random() < 0.3:
            flags["hooks"] = "hooks"
        if self.dice.random() < 0.3:
            flags["worker_lifetime"] = "1h"
        if self.dice.random() < 0.3:
            flags["worker_max_rss"] = "100M"
        if self.preload:
            flags["preload"] = "1"
        if reload:
            flags["reload"] = "1"
        self.flags = flags
        self.number = int(flags["workers"])
        self.has_admin = self.dice.random() < 0.3
        admin = (Listener(socket.socket(), "127.0.0.1:9100", port=9100),) if self.has_admin else ()
        settings = from_command(flags, {})
        self.config = settings.config
        self.workers_set = settings.config.workers
        make = reloading_supervisor if reload else production_supervisor
        self.notifier = CheckedNotifier()
        self.supervisor = make(
            settings,
            Listeners(()),
            system=self,
            read_again=self.read_again,
            notifier=self.notifier,
            admin=Listeners(admin),
        )
        self.pool, self.target = self.supervisor._pool, self.supervisor._target
        self.orders = CheckedOrders(self)
        self.trouble()

    # ---- the system's functions

    def fork(self, run: Callable[[], int], become_child: Callable[[], None]) -> int:
        if self.dice.random() < self.fork_failures:
            self.tell("a fork fails")
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        job: Any = run.__self__  # type: ignore[attr-defined]
        kind = "watcher"
        if isinstance(job, child_exit.ChildExitJob):
            return self.starts_hook(job)
        if isinstance(job, WorkerJob):
            kind = "worker"
        elif isinstance(job, TemplateJob | processes.TemplateJob):
            kind = "template"
        elif isinstance(job, AdminJob):
            kind = "admin"
        program = self.add(kind, Channel.from_descriptor(os.dup(job.channel.fileno())), self.code)
        if kind in ("worker", "template"):
            config = job.config if kind == "worker" else job.worker.config
            program.version = config.limit_body
        if isinstance(job, WorkerJob):
            program.stand_in = job.loaded is not None
        if kind == "watcher":
            program.state = "serves"
            program.channel.send(ReloadReport.WATCHING)
        if kind == "admin":
            program.state = "serves"
        return program.pid

    def starts_hook(self, job: child_exit.ChildExitJob) -> int:
        worker = self.programs[job.info.pid - 5000]
        if worker.state != "gone" or worker.kind != "worker" or worker.has_hook:
            raise Broken(f"a hook for the exit of {worker}")
        worker.has_hook = True
        ours, theirs = Channel.pair()
        ours.close()
        program = self.add("hook", theirs, self.code)
        program.state = "exits"
        return program.pid

    def channel(self) -> tuple[Channel, Channel]:
        if self.dice.random() < self.fork_failures / 4:
            raise OSError(errno.EMFILE, "Too many open files")
        return super().channel()

    def add(self, kind: str, channel: Channel, code: int) -> Program:
        program = Program(kind, 5000 + len(self.programs), channel, code)
        program.hangs = self.dice.random() < self.hanging
        self.programs.append(program)
        self.tell(f"started: {program}")
        return program

    def kill(self, pid: int, number: int) -> None:
        if pid < 5000:
            raise Broken(f"signal {number} for process {pid}")
        program = self.programs[pid - 5000]
        if program.state == "gone":
            raise Broken(f"signal {number} for {program}, whose number may be another's by now")
        self.tell(f"signal {number} for {program}")
        if not program.lives:
            return
        if number == signal.SIGKILL:
            program.is_killed = True
            if not program.is_unkillable:
                self.dies(program, signal.SIGKILL)
        elif number == signal.SIGTERM and program.state == "boots" and not program.hangs:
            if program.kind == "worker" and self.dice.random() < 0.3:
                self.boots(program)  # becomes ready just before the signal
            else:
                self.dies(program, signal.SIGTERM)
        elif number == processes.ASK_DEBUGGED and self.dice.random() < 0.7:
            debugged = self.phase == "trouble" and self.dice.random() < 0.3
            program.channel.send(ReloadReport.DEBUGGED, "yes" if debugged else "no")

    def exited(self) -> tuple[int, int] | None:
        for program in self.programs:
            if program.state == "zombie":
                program.state = "gone"
                return program.pid, program.status
        return None

    def wait(self, descriptors: Iterable[int], seconds: float | None) -> set[int]:
        self.check()
        self.step(seconds)
        poll = select.poll()
        for descriptor in descriptors:
            if descriptor >= 0:
                poll.register(descriptor, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(0)}
        if self.queue.arrived or any(program.state == "zombie" for program in self.programs):
            ready.add(-1)
        return ready

    # ---- events

    def step(self, seconds: float | None) -> None:
        self.steps_left -= 1
        if self.phase == "trouble":
            if self.steps_left > 0:
                self.act(seconds)
                return
            self.end_trouble()
        if self.phase == "calm":
            self.calm_step(seconds)
        elif self.phase == "stop":
            self.stop_step(seconds)

    def end_trouble(self) -> None:
        if self.calms == 0:
            self.tell("---- stop")
            self.phase, self.steps_left = "stop", STOP_STEPS
            return
        self.tell("---- calm")
        self.calms -= 1
        self.phase, self.steps_left = "calm", CALM_STEPS
        self.boot_failures = self.fork_failures = self.hanging = 0.0
        self.room = None
        self.memory.clear()
        self.played_scoreboard.stuck = 0.0

    def trouble(self) -> None:
        self.boot_failures = self.dice.choice([0.0, 0.1, 0.5, 1.0])
        self.fork_failures = self.dice.choice([0.0, 0.0, 0.2, 1.0])
        self.hanging = self.dice.choice([0.0, 0.0, 0.2])

    def act(self, seconds: float | None) -> None:
        """Do one random thing."""
        living = [program for program in self.programs if program.lives]
        program = self.dice.choice(living) if living else None
        match self.dice.randrange(16):
            case 0 | 1 | 2:
                self.passes(seconds)
            case 3 | 4 | 5 | 6 if program is not None:
                self.lives(program)
            case 7 | 8 if program is not None and program.kind == "worker":
                self.says(program, self.dice.choice(NEWS))
            case 9 if program is not None and self.dice.random() < 0.5:
                self.dies(program, self.dice.choice(STATUSES))
            case 10 | 11:
                self.signal(self.dice.choice(SIGNALS))
            case 12:
                self.trouble()
            case 13 if self.reload:
                self.save()
            case 14 if program is not None and self.dice.random() < 0.2:
                program.is_unkillable = True
            case 15:
                self.played_scoreboard.stuck = self.dice.choice([0.0, 0.0, 2.0])
                self.room = self.dice.choice([None, 0, 1 << 40])
                self.memory = {p.pid: self.dice.choice([1, 200 << 20]) for p in living}
            case _:
                self.bury()

    def calm_step(self, seconds: float | None) -> None:
        """Do one thing without trouble; when nothing is left to happen, check the result."""
        if self.steps_left <= 0:
            raise Broken(f"it does not reach a stable state: {self.picture()}")
        for program in self.programs:
            program.hangs = program.is_unkillable = False
            if program.is_killed and program.lives:
                self.dies(program, signal.SIGKILL)
        if self.bury():
            return
        for program in self.programs:
            if program.lives and self.lives(program):
                return
        if seconds is not None and seconds < 3000:
            self.passes(seconds, due=True)
            return
        self.check_rest()
        self.phase, self.steps_left = "trouble", self.dice.randint(1, STEPS)

    def stop_step(self, seconds: float | None) -> None:
        if self.steps_left <= 0:
            raise Broken(f"it does not stop: {self.picture()}")
        if not self.is_asked_to_stop:
            number = self.dice.choice([signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
            self.is_asked_to_stop = True
            self.stopped_at = self.time
            self.stop_signal = number
            given_up = {3} if self.supervisor._shutdown.stop is not None else set()
            self.stop_codes = {128 + number} | given_up if number == signal.SIGQUIT else {0, 3}
            self.signal(number)
        elif self.dice.random() < 0.02:
            number = self.dice.choice([signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
            self.stop_codes |= {128 + number}
            self.signal(number)
        elif self.dice.random() < 0.5:
            if seconds is None:
                raise Broken("the stop does not end")
            self.passes(seconds, due=True)
        elif not self.bury():
            for program in self.programs:
                if program.lives and self.dice.random() < 0.5 and self.lives(program):
                    return

    def passes(self, seconds: float | None, *, due: bool = False) -> None:
        """Advance the clock until the supervisor's timeout, or by a random step."""
        step = self.dice.choice([0.01, 0.1, 1.0, 6.0, 40.0, 4000.0])
        if due or (seconds is not None and self.dice.random() < 0.7):
            step = max(0.0, seconds or 0.0) + 0.001
        self.tell(f"{step:g} s pass")
        self.time += step

    def signal(self, number: signal.Signals) -> None:
        self.tell(f"{number.name} for the supervisor")
        self.queue.arrived.append(number)
        if number == signal.SIGTTIN:
            self.number = min(self.number + 1, self.target.count_max)
        elif number == signal.SIGTTOU:
            self.number = max(self.number - 1, 1)
        elif number == signal.SIGHUP:
            self.change_settings()

    def change_settings(self) -> None:
        """What the next HUP reads: nothing changes if it is wrong."""
        if self.dice.random() < 0.2:
            self.tell("its settings are wrong")
            self.read_next.append(ConfigError("wrong"))
            return
        self.code += 1
        self.version += 1
        workers = self.workers_set
        if self.dice.random() < 0.3:
            workers = self.dice.choice([1, 2, 3, 5])
        if workers != self.workers_set:
            self.workers_set = workers
            self.number = min(workers, self.target.count_max)
        flags = {**self.flags, "workers": str(workers), "limit_body": str(self.version)}
        self.tell(f"its settings are version {self.version}, with {workers} workers")
        self.read_next.append(from_command(flags, {}))

    def read_again(self, former: Settings) -> Settings:
        """A restarted watcher makes the supervisor read them too, possibly before the HUP."""
        found = self.read_next.pop(0) if self.read_next else former
        if isinstance(found, ConfigError):
            raise found
        return found

    def save(self) -> None:
        """Save a file: the watcher, if it runs, reports it."""
        for program in self.programs:
            if program.kind == "watcher" and program.lives:
                self.code += 1
                self.is_good = self.dice.random() < 0.7
                self.tell(f"a save, {'good' if self.is_good else 'bad'}")
                changes = [Change("modified", "main.py")]
                program.channel.send(ReloadReport.CHANGED, watcher.pack(changes))

    def bury(self) -> bool:
        """Let the supervisor reap one dead process. False: none is dead."""
        for program in self.programs:
            if program.state == "dead":
                program.state = "zombie"
                return True
        return False

    # ---- processes

    def lives(self, program: Program) -> bool:
        """Let a process obey an order or take its next step. False: it has nothing to do."""
        if program.hangs or program.is_killed:  # a killed process runs no code of its own
            return False
        if (message := program.channel.receive()) is not None:
            self.obeys(program, message)
            return True
        if program.state == "boots":
            self.boots(program)
            return True
        if program.state == "exits":
            self.dies(program, 0)
            return True
        return False

    def boots(self, program: Program) -> None:
        fails = self.dice.random() < self.boot_failures
        if program.kind == "worker" and self.reload and not program.stand_in:
            fails = fails or not self.is_good
            if self.phase == "trouble" and self.dice.random() < 0.05:
                program.channel.send(ReloadReport.STALE, "a module")
                self.dies(program, 0)
                return
            program.channel.send(ReloadReport.USES, "third.party")
        if fails:
            if self.dice.random() < 0.5:
                program.channel.send(Report.LOAD_ERROR, "Cannot load the application main:app")
                self.dies(program, 0)
            else:
                self.dies(program, self.dice.choice(STATUSES))
            return
        if program.kind == "worker" and self.phase == "trouble" and self.dice.random() < 0.05:
            self.tell(f"SIGTERM from outside, just before it is ready: {program}")
            program.channel.send(Report.SIGTERM)
            program.is_unwanted = True
        self.tell(f"ready: {program}")
        program.state = "serves"
        program.channel.send(Report.READY)

    def obeys(self, program: Program, message: Message) -> None:
        self.tell(f"order {message.kind!r} for {program}")
        if message.kind == GONE:
            self.dies(program, 0)
        elif message.kind == Order.FORK:
            self.forks(program, message)
        elif message.kind == Order.IMPORT:
            program.state = "boots"
        elif message.kind in ORDERS_TO_EXIT:
            if program.state == "serves":
                program.state = "exits"
        elif message.kind == Order.TRANSFER:
            program.channel.send(Report.TRANSFER_DONE)

    def forks(self, template: Program, message: Message) -> None:
        end = Channel.from_descriptor(message.descriptor)
        if self.dice.random() < self.fork_failures:
            end.send_not_forked(OSError(errno.EAGAIN, "Resource temporarily unavailable"))
            end.close()
            return
        worker = self.add("worker", end, self.code if self.reload else template.code)
        worker.version = template.version
        worker.channel.send(Report.BOOTING, str(worker.pid))

    def says(self, worker: Program, kind: str) -> None:
        if worker.state != "serves":
            return
        self.tell(f"{worker} says {kind!r}")
        worker.channel.send(kind, "why")
        worker.is_unwanted = worker.is_unwanted or kind != Report.BUSY
        worker.is_lost = worker.is_lost or kind == Report.THREADS_LOST

    def dies(self, program: Program, status: int) -> None:
        self.tell(f"died with {status}: {program}")
        program.state, program.status = "dead", status
        program.channel.close()

    # ---- invariants

    def check(self) -> None:
        """Invariants that hold at any time."""
        one = self.supervisor
        workers = self.pool.workers
        slots = [worker.slot for worker in workers] + [*self.pool._free]
        if sorted(slots) != [*range(2 * self.target.count_max)]:
            raise Broken("slots are lost, or used twice")
        admins = [p for p in self.programs if p.lives and p.kind == "admin"]
        if len(admins) > self.has_admin:
            raise Broken(f"{len(admins)} admin processes: {self.picture()}")
        self.most_workers = max(self.most_workers, len(workers))
        if any(worker.number > self.most_workers for worker in workers):
            raise Broken(f"a number is greater than that of workers: {self.picture()}")
        if one._shutdown.stop is not None:
            return
        if self.target.count != self.number and not self.queue.arrived:
            raise Broken(f"{self.target.count} workers are wanted, not {self.number}")
        staying = [w for w in workers if not w.is_leaving and w.state is not State.KILLED]
        if not self.reload:
            for worker in workers:
                if worker.pid and worker.replacement is not None:
                    self.to_replace.add(worker.pid)
                elif worker.pid in self.to_replace and worker.state is State.READY:
                    raise Broken(f"the replacement request is lost: {self.picture()}")
            needed = sum(is_urgent(worker) for worker in staying)
            if len(staying) > self.number + max(1, needed) and not self.queue.arrived:
                raise Broken(f"{len(staying)} workers for {self.number}: {self.picture()}")
            moving = [worker for worker in workers if self.is_moving(worker)]
            if len(moving) > 1:
                raise Broken(f"{len(moving)} are replaced at the same time: {self.picture()}")
        if self.could_start():
            under_way = {w.replaces for w in workers if w.boots() or w.state is State.KILLED}
            for worker in staying:
                if is_urgent(worker) and self.target.counts(worker) and worker not in under_way:
                    raise Broken(f"[{worker.pid}] cannot serve, and waits: {self.picture()}")
        hung = [w for w in workers if w.state is State.DRAINING and is_urgent(w)]
        if len(hung) > self.number + len(self.queue.arrived):
            raise Broken(f"workers that cannot serve pile up: {self.picture()}")

    def could_start(self) -> bool:
        """Whether the supervisor could start a worker now."""
        if not self.supervisor._backoff.allows(self.time) or not self.pool.free_slots():
            return False
        policy = self.supervisor._policy
        template = policy._template if isinstance(policy, Production) else None
        return not self.preload or (template is not None and template.state is State.READY)

    def is_moving(self, worker: Worker) -> bool:
        """Whether `worker` takes part in the replacement of a worker that can serve."""
        if worker.is_abandoned:
            return False
        old = worker.replaces
        if worker.boots() and old is not None and old.state is State.READY:
            return not is_urgent(old)
        return worker.state is State.DRAINING and worker.pid in self.orders.moved

    def check_rest(self) -> None:
        """Invariants that hold when nothing is left to happen: the wanted state is reached."""
        workers = [p for p in self.programs if p.lives and p.kind == "worker"]
        self.tell(f"at rest: {workers}")
        if self.notifier.state != "serving":
            raise Broken(f"at rest it is {self.notifier.state} for the service manager")
        wanted = 1 if self.is_broken() else self.number
        if len(workers) != wanted:
            raise Broken(f"{len(workers)} workers at rest, not {wanted}: {self.picture()}")
        for worker in workers:
            if worker.state != "serves" or worker.stand_in != self.is_broken():
                raise Broken(f"at rest: {worker}")
            if worker.is_unwanted:
                raise Broken(f"the replacement request is lost: {worker}")
            if worker.code != self.code:
                raise Broken(f"it does not run code {self.code}: {worker}")
            if worker.version != self.version:
                raise Broken(f"its settings are {worker.version}, not {self.version}: {worker}")
        admins = [p for p in self.programs if p.lives and p.kind == "admin"]
        if len(admins) != self.has_admin:
            raise Broken(f"admin processes at rest: {admins}")
        others = [p for p in self.programs if p.lives and p.kind == "template"]
        if len(others) != (1 if self.preload else 0) and not self.reload:
            raise Broken(f"templates at rest: {others}")

    def is_broken(self) -> bool:
        """Whether the first load under --reload failed, so that the supervisor waits for a save.
        The code may be good: a file that it needs may have been missing."""
        return isinstance(self.target, Generation) and bool(self.target.error)

    def check_end(self, code: int) -> None:
        if self.phase != "stop" and code != EXIT_LOAD:
            raise Broken(f"it has ended with {code} without an order")
        if code == EXIT_LOAD and any("tell ready" in line for line in self.lines):
            raise Broken("it has given up though it had served")
        if code not in self.stop_codes:
            raise Broken(f"exit code {code} after {self.stop_signal}")
        longest = self.config.graceful_timeout + STOP_SECONDS
        if self.config.hooks:
            longest += child_exit.SECONDS + control.KILLED_SECONDS
        if self.phase == "stop" and self.time - self.stopped_at > longest:
            raise Broken(f"the stop has taken {self.time - self.stopped_at:g} s")
        left = [p for p in self.programs if p.lives and not p.is_unkillable and p.kind == "worker"]
        if left:
            raise Broken(f"it has ended before {left}")

    def picture(self) -> str:
        workers = "\n  ".join(
            f"[{w.pid}] {w.state.name} replaces {w.replaces and w.replaces.pid}, {w.replacement}"
            for w in self.pool.workers
        )
        living = "\n  ".join(str(p) for p in self.programs if p.state != "gone")
        return f"wanted {self.number}\n  {workers}\nprocesses\n  {living}"

    def close(self) -> None:
        for program in self.programs:
            program.channel.close()
        for child in self.pool.children():
            child.channel.close()
        self.supervisor._admin._release()


def is_urgent(worker: Worker) -> bool:
    return worker.replacement is not None and worker.replacement.urgent


SIGNALS: Final = (
    *(signal.SIGHUP, signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD),
)


class CheckedNotifier(PlayedNotifier):
    """Checks the order of the messages to the service manager."""

    NEXT: ClassVar = {
        ("booting", "READY=1"): "serving",
        ("booting", "STOPPING=1"): "stopping",
        ("booting", "EXTEND_TIMEOUT_USEC"): "booting",
        ("serving", "RELOADING=1"): "reloading",
        ("serving", "STATUS=reloaded"): "serving",
        ("serving", "STOPPING=1"): "stopping",
        ("reloading", "RELOADING=1"): "reloading",
        ("reloading", "READY=1"): "serving",
        ("reloading", "STOPPING=1"): "stopping",
        ("reloading", "EXTEND_TIMEOUT_USEC"): "reloading",
    }

    def __init__(self) -> None:
        super().__init__("/x")
        self.state = "booting"

    def _send(self, *assignments: str) -> None:
        kind = assignments[0].removesuffix("=15000000")
        if (self.state, kind) not in self.NEXT:
            raise Broken(f"{assignments} while it is {self.state} for the service manager")
        self.state = self.NEXT[self.state, kind]


class CheckedOrders:
    """Checks each order to drain when it is given."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.moved: set[int] = set()  # process ids of replaced workers that could serve
        self.is_surplus = False
        controlled, replacing = world.supervisor._control, world.supervisor._replacer
        self.drain_now, self.take_now = controlled.drain, replacing._take
        controlled.drain = self.drain  # type: ignore[method-assign]
        replacing._take = self.take  # type: ignore[method-assign]

    def drain(self, worker: Worker) -> None:
        target = self.world.target
        ready = [w for w in self.world.pool.workers if w.state is State.READY]
        able = [w for w in ready if not w.cannot_serve()]
        if worker in able and not worker.drains_first():
            if len(able) <= target.wanted() and target.counts(worker):
                raise Broken(f"[{worker.pid}] drains though it is needed: {self.world.picture()}")
            is_dismissed = worker.is_leaving  # it became ready although it was not needed
            if worker.replacement is not None and not self.is_surplus and not is_dismissed:
                self.moved.add(worker.pid)
        self.drain_now(worker)

    def take(self, step: Step) -> None:
        self.is_surplus = isinstance(step, Leave)
        self.take_now(step)
        self.is_surplus = False


def run(seed: int, *, reload: bool = False, tell: Callable[[str], None] = lambda _: None) -> None:
    """Run one sequence. Errors: Broken, or any exception of the supervisor."""
    logged = [(server_log, name) for name in ("info", "warning", "error")] + [(terminal, "say")]
    former = [
        (module, name, getattr(module, name)) for module, name in [*logged, (server_log, "reopen")]
    ]
    ready, stamp = replacer.tell_ready, admin_process.STAMP_SECONDS
    world: World | None = None

    def line(text: str) -> None:
        tell(f"    log: {text}")
        if world is not None:
            world.lines.append(text)

    try:
        for module, name in logged:
            setattr(module, name, line)
        server_log.reopen = lambda: None
        replacer.tell_ready = lambda *_: line("tell ready")
        admin_process.STAMP_SECONDS = 3600.0  # type: ignore[misc]  # otherwise it never rests
        world = World(seed, reload=reload, tell=tell)
        tell(f"seed {seed}: {world.flags}")
        world.check_end(world.supervisor.run())
    finally:
        for module, name, function in former:
            setattr(module, name, function)
        replacer.tell_ready = ready
        admin_process.STAMP_SECONDS = stamp  # type: ignore[misc]
        if world is not None:
            world.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seed", type=int, help="this one, with every step")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="at most so long")
    parser.add_argument("--reload", action="store_true", help="the supervisor of --reload")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        run(arguments.seed, reload=arguments.reload, tell=print)
        return 0
    ends, done = time.monotonic() + arguments.seconds, 0
    for seed in range(arguments.first, arguments.first + arguments.count):
        if time.monotonic() >= ends:
            break
        done += 1
        try:
            run(seed, reload=arguments.reload)
        except Exception:
            traceback.print_exc()
            print(f"seed {seed} fails; {again(seed, reload=arguments.reload)}")
            return 1
    print(f"{done} sequences from seed {arguments.first} on: all invariants held")
    return 0


def again(seed: int, *, reload: bool) -> str:
    """The command that repeats a sequence."""
    kind = " --reload" if reload else ""
    return f"every step: python tests/unit/iotax/_processes/supervisor_model.py --seed {seed}{kind}"


if __name__ == "__main__":
    sys.exit(main())
