"""The supervisor: keeps workers running, replaces them one at a time, and ends them.

One procedure replaces a worker, whatever the reason: start another, wait until it is ready, let the
old one drain, see it exit. What each worker is and what is wanted of it are values (lifecycle.py);
each turn looks at them and takes the next steps (replacement.py), so nothing depends on the order
in which messages, signals and exits come, and no wish is forgotten.

It runs no application code and no threads, and never waits for anything but its poll. It knows
nothing of requests but what the shared page tells about them.
"""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from iotax._config.options import Config
from iotax._log import server_log, terminal
from iotax._net.listeners import Listeners
from iotax._processes import exit_status, forking, signals
from iotax._processes.backoff import Backoff
from iotax._processes.calls import Call, Calls
from iotax._processes.channel import Channel, Message
from iotax._processes.lifecycle import FOREVER, Event, Replacement, State, Termination
from iotax._processes.pool import Child, WorkerChild
from iotax._processes.preload import TemplateJob
from iotax._processes.protocol import GONE, Order, Report
from iotax._processes.replacement import (
    Assign,
    DrainFirst,
    Kill,
    Leave,
    Start,
    Step,
    next_steps,
    predecessor,
)
from iotax._processes.running_clock import Suspicion
from iotax._processes.system import System
from iotax._processes.worker_process import WorkerJob, tell_ready
from iotax._runtime.stop_signals import SECOND_SIGNAL_SECONDS
from iotax._runtime.worker import JOIN_SECONDS

EXIT_STOPPED: Final = 0
EXIT_LOAD: Final = 3

# What a worker gets beyond its graceful time-out for threads and exit functions of the application.
LEAVE_SECONDS: Final = JOIN_SECONDS + 1.0
# A stop at once: the workers' last words.
AT_ONCE_SECONDS: Final = 1.0
# A killed process that has not exited by then hangs in the kernel: nobody waits for it.
KILLED_SECONDS: Final = 5.0
FORK_PAUSE_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 1.0
# How long after a HUP the end of the terminal is still what it was about.
TERMINAL_SECONDS: Final = 1.0
GIL_STUCK_SECONDS: Final = 1.0
# How many TTIN can add.
MORE_WORKERS_MAX: Final = 32


class Stop(NamedTuple):
    exit_code: int
    order: str
    since: float
    kill_at: float


class Supervisor:
    """Runs workers for `app` on `listeners` until a signal says otherwise."""

    def __init__(
        self,
        app: str,
        config: Config,
        listeners: Listeners,
        *,
        interactive: bool = False,
        system: System | None = None,
    ) -> None:
        self._config, self._listeners = config, listeners
        self._system = system or System()
        self._workers_max = config.workers + MORE_WORKERS_MAX
        self._seats = deque(range(2 * self._workers_max))  # those that leave have one too
        self._page = self._system.page(len(self._seats), config.threads)
        self._all_calls = Calls(self._page)
        self._interactive = interactive
        self._app = app
        self._leave_seconds = LEAVE_SECONDS
        self._wanted = config.workers
        self._workers: list[WorkerChild] = []
        self._template: Child | None = None
        self._next_template: Child | None = None
        self._hup_at = -FOREVER
        self._old_templates: list[Child] = []  # workers that were forked from them still run
        self._new_code = ""  # why a template with freshly imported code is wanted
        self._served = False  # a worker has been ready
        self._backoff = Backoff()
        self._fork_error = ""  # why processes cannot be started now
        self._load_error = ""  # what was logged last of code that cannot be loaded
        self._stop: Stop | None = None
        self._exit_code: int | None = None
        self._oom_kills = self._system.oom_kills()
        self._next_look = 0.0
        self._signals = self._system.signals()

    def run(self) -> int:
        """Supervise. Returns the exit code; raises Forked in the children."""
        self._system.adopt_orphans()
        while self._exit_code is None:
            self._act()
            if self._exit_code is None:
                self._wait()
        self._signals.end()
        return self._exit_code

    # ---- a turn

    def _act(self) -> None:
        now = self._system.now()
        for child in self._children():
            if now >= child.kill_at():
                self._enforce_exit(child)
        if self._stop is not None:
            self._go_on_stopping(now, self._stop)
            return
        if self._terminal_due() != FOREVER and self._stops_with_its_terminal():
            return
        self._look_at_the_clock(now)
        self._end_unused_templates()
        self._take_steps()

    def _wait(self) -> None:
        readers: dict[int, Callable[[], None]] = {self._signals.fileno(): self._read_signals}
        for child in self._children():
            if not child.gone:
                readers[child.channel.fileno()] = lambda child=child: self._read(child)  # type: ignore[misc]
        due = min(self._dues())
        ready = self._system.wait(readers, None if due == FOREVER else due - self._system.now())
        for descriptor, read in readers.items():
            if descriptor in ready:
                read()

    def _children(self) -> list[Child]:
        templates = [one for one in (self._template, self._next_template) if one is not None]
        return [*templates, *self._old_templates, *self._workers]

    def _dues(self) -> Iterator[float]:
        """When there is something to do even if nothing happens."""
        yield FOREVER
        yield from (child.kill_at() for child in self._children())
        if self._stop is not None:
            yield self._stop.kill_at
            return
        yield self._terminal_due()
        config = self._config
        if not self._backoff.allows(self._system.now()):
            yield self._backoff.until
        if config.boot_timeout:
            yield from (child.started + config.boot_timeout for child in self._booting())
        if config.worker_lifetime:
            yield from (w.started + config.worker_lifetime for w in self._waiting_for_no_other())
        if any(worker.watched for worker in self._workers):
            yield self._next_look

    def _booting(self) -> list[Child]:
        return [child for child in self._children() if child.boots()]

    def _waiting_for_no_other(self) -> list[WorkerChild]:
        return [w for w in self._workers if w.state is State.READY and w.replacement is None]

    def _look_at_the_clock(self, now: float) -> None:
        config = self._config
        if config.boot_timeout:
            for child in self._booting():
                if now - child.started >= config.boot_timeout:
                    self._boots_too_long(child)
        if config.worker_lifetime:
            for worker in self._waiting_for_no_other():
                if now - worker.started >= config.worker_lifetime:
                    why = f"it has served {exit_status.age(worker.age(now))}"
                    self._want(worker, Replacement(why))
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            for worker in self._workers:
                if worker.watched:
                    self._look_at(worker)

    def _boots_too_long(self, child: Child) -> None:
        why = f"it was not ready within {self._config.boot_timeout:g} s (--boot-timeout)"
        if child.state is State.FORKING and self._template is not None:
            # Its order is unread: the template hangs, and with its end the order is void.
            self._kill(self._template, f"it did not fork within {self._config.boot_timeout:g} s")
        self._kill(child, why)

    def _look_at(self, worker: WorkerChild) -> None:
        """Once a second while requests run; a worker that has come to rest says when that ends."""
        turns, calls = self._page.turns(worker.seat), self._page.calls(worker.seat)
        if not calls and turns == worker.turns_seen:
            worker.watched = False
            self._page.watch(worker.seat, False)
        worker.turns_seen = turns
        if worker.state is not State.READY:
            return
        if not worker.is_stuck and self._seems_stuck(worker):
            self._is_stuck(worker)
            return
        limit = self._config.worker_max_rss
        if limit and worker.replacement is None:
            used = self._system.resident_bytes(worker.pid)
            if used > limit:
                why = (
                    f"it uses {exit_status.size(used)} (--worker-max-rss {exit_status.size(limit)})"
                )
                self._want(worker, Replacement(why, drain_first=True))

    def _seems_stuck(self, worker: WorkerChild) -> bool:
        """Whether its interpreter is kept: seen twice, since the first look may be at what it said
        before it was frozen."""
        now = self._system.now()
        waits = self._page.gil_stuck(worker.seat) >= GIL_STUCK_SECONDS
        waits = waits and not self._system.is_stopped(worker.pid)
        confirmed = worker.seems_stuck.is_confirmed(waits, now)
        if waits and not confirmed:
            self._next_look = min(self._next_look, now + Suspicion.SECONDS)
        return confirmed

    def _is_stuck(self, worker: WorkerChild) -> None:
        """A call keeps the interpreter, so that not even its stack can be asked for in Python."""
        worker.is_stuck = True
        server_log.error(
            f"Worker [{worker.pid}] is stuck: a call has kept the interpreter (GIL) for more than"
            f" {GIL_STUCK_SECONDS:g} s{self._with_calls(worker)}. Its threads are at:"
        )
        self._dump_stacks(worker)
        if self._config.request_timeout_action != "log":
            why = "its interpreter is stuck (--request-timeout)"
            self._want(worker, Replacement(why, urgent=True))

    # ---- what there should be

    def _counts(self, worker: WorkerChild) -> bool:
        """Whether it is of the kind that is wanted."""
        return True

    def _wanted_now(self) -> int:
        return self._wanted

    def _has_source(self, now: float) -> bool:
        """Whether workers can be made now. Starts the templates that are needed."""
        if not self._backoff.allows(now):
            return False
        if not self._config.preload:
            return True
        if self._new_code and self._next_template is None:
            self._next_template = self._start_template()
        if self._template is None and self._backoff.allows(now):
            self._template = self._start_template()
        return self._template is not None and self._template.state is State.READY

    def _take_steps(self) -> None:
        """Until there is nothing more to do: whoever is not needed any more may make others so."""
        while steps := next_steps(
            self._workers,
            self._wanted_now(),
            counts=self._counts,
            can_start=self._has_source(self._system.now()),
            slots=len(self._seats),
            is_short_of_memory=self._is_short_of_memory,
        ):
            for step in steps:
                self._take(step)

    def _take(self, step: Step) -> None:
        match step:
            case Start(replaces):
                if self._backoff.allows(self._system.now()):  # the one before could be started
                    self._start_worker(replaces)
            case Assign(booting, replaces):
                booting.replaces = replaces
            case Leave(worker):
                self._let_leave(worker)
            case DrainFirst(worker):
                self._drain_first(worker)
            case Kill(worker):
                many = f"it could not serve, and {self._wanted_now()} others like it drain"
                self._kill(worker, many)

    def _drain_first(self, worker: WorkerChild) -> None:
        server_log.info(f"Worker [{worker.pid}] drains before another one starts: memory is short")
        if worker.replacement is not None:
            worker.replacement = Replacement(worker.replacement.reason, drain_first=True)
        self._let_leave(worker)

    def _is_short_of_memory(self, worker: WorkerChild) -> bool:
        headroom = self._system.headroom()
        return headroom is not None and headroom < self._system.resident_bytes(worker.pid)

    def _want(self, worker: WorkerChild, replacement: Replacement) -> None:
        """Another worker in its place. The wish stays until this one has exited."""
        if worker.want(replacement):
            server_log.info(f"Worker [{worker.pid}] is to be replaced: {replacement.reason}")

    # ---- starting

    def _job(self, channel: Channel, seat: int) -> WorkerJob:
        return WorkerJob(
            app=self._app,
            config=self._config,
            listeners=self._listeners,
            channel=channel,
            supervisor=os.getpid(),
            page=self._page,
            seat=seat,
            interactive=self._interactive,
        )

    def _start_worker(self, replaces: WorkerChild | None = None) -> None:
        if not self._seats:
            return  # until somebody exits
        ends = self._open_channel()
        if ends is None:
            return
        ours, theirs = ends
        seat = self._seats.popleft()
        self._page.clear(seat)
        worker = WorkerChild(ours, self._system.now(), seat=seat, replaces=replaces)
        if self._template is not None:
            worker.state, worker.template = State.FORKING, self._template
            self._template.channel.send(Order.FORK, str(seat), theirs.fileno())
        else:
            worker.pid = self._fork(self._job(theirs, seat).run, ours)
        theirs.close()
        if worker.pid or worker.state is State.FORKING:
            self._workers.append(worker)
        else:
            ours.close()
            self._seats.append(seat)
        if worker.pid:
            self._tell_started(worker)

    def _start_template(self) -> Child | None:
        ends = self._open_channel()
        if ends is None:
            return None
        ours, theirs = ends
        job = TemplateJob(self._job(theirs, -1), theirs)
        pid = self._fork(job.run, ours)
        theirs.close()
        if not pid:
            ours.close()
            return None
        return Child(ours, self._system.now(), pid)

    def _open_channel(self) -> tuple[Channel, Channel] | None:
        """None: not now."""
        try:
            return self._system.channel()
        except OSError as error:
            self._cannot_start(error.strerror or str(error))
            return None

    def _fork(self, run: forking.Run, ours: Channel) -> int:
        """The process id of the child, which runs `run`; 0: the system has no room for one now."""
        try:
            return self._system.fork(run, lambda: self._become_child(ours))
        except OSError as error:
            self._cannot_start(error.strerror or str(error))
            return 0

    def _cannot_start(self, why: str) -> None:
        """It is tried again until it succeeds; the same cause is logged once."""
        if why != self._fork_error:
            server_log.error(
                f"No process can be started: {why}; it is tried again every"
                f" {FORK_PAUSE_SECONDS:g} s{self._still_wanted()}"
            )
        self._fork_error = why
        self._backoff.wait(self._system.now(), FORK_PAUSE_SECONDS)

    def _become_child(self, *others: Channel) -> None:
        """Let go of what is the supervisor's: a copy of a channel would hide the end of another."""
        signals.become_child(self._signals)
        forking.close_all(*others, *(child.channel for child in self._children()))

    def _tell_started(self, worker: WorkerChild) -> None:
        self._fork_error = ""
        server_log.info(f"Started server process [{worker.pid}]")

    # ---- what children say

    def _read(self, child: Child) -> None:
        if child.state is State.EXITED:
            return  # seen in this turn, after its channel was found readable
        while not child.gone and (message := child.channel.receive()) is not None:
            if message.kind == GONE:
                child.gone = True
                if isinstance(child, WorkerChild) and not child.pid:
                    self._was_not_forked(child)
            elif isinstance(child, WorkerChild):
                self._hear_worker(child, message)
            else:
                self._hear_template(child, message)

    def _hear_worker(self, worker: WorkerChild, message: Message) -> None:
        if message.kind == Report.BOOTING:
            if not worker.pid:
                self._has_pid(worker, int(message.text))
        elif message.kind == Report.NOT_FORKED:
            self._cannot_start(message.text)
        elif message.kind == Report.LOAD_ERROR:
            worker.error = message.text
        elif message.kind == Report.READY:
            if worker.may(Event.READY):
                self._is_ready(worker)
        elif message.kind == Report.BUSY:
            worker.watched = True
        elif self._stop is not None or worker.state is not State.READY:
            return
        elif message.kind == Report.SIGTERM:
            self._want(worker, Replacement("SIGTERM"))
        elif message.kind == Report.THREADS_LOST:
            self._want(worker, Replacement(message.text, urgent=True))
        elif message.kind == Report.MAX_REQUESTS:
            limit = self._config.max_requests
            age = exit_status.age(worker.age(self._system.now()))
            why = f"it has had {message.text} requests in {age} (--max-requests {limit})"
            self._want(worker, Replacement(why))

    def _has_pid(self, worker: WorkerChild, pid: int) -> None:
        """The template has forked it. What was decided meanwhile is done now."""
        worker.pid = pid
        worker.apply(Event.PID)
        self._tell_started(worker)
        if worker.state is State.DISMISSED:
            self._system.kill(pid, signal.SIGTERM)
        elif worker.state is State.KILLED:
            self._system.kill(pid, signal.SIGKILL)

    def _hear_template(self, template: Child, message: Message) -> None:
        if message.kind == Report.LOAD_ERROR:
            template.error = message.text
        elif message.kind == Report.READY and template.may(Event.READY):
            template.apply(Event.READY)
            if template is self._next_template and template.state is State.READY:
                self._use_next_template()

    def _is_ready(self, worker: WorkerChild) -> None:
        worker.apply(Event.READY)
        if worker.state is not State.READY:
            return
        if worker.is_leaving:
            self._is_ready_though_dismissed(worker)
        if worker.state is not State.READY:
            return
        if not self._served:
            self._served = True
            tell_ready(self._listeners, self._config)
        self._load_error = ""
        old = predecessor(worker)
        if old is not None and not old.cannot_serve() and self._is_needed(old):
            worker.replaces = None  # another worker has exited meanwhile: this one takes its place
        elif old is not None:
            why = old.replacement.reason if old.replacement is not None else "it is not needed"
            server_log.info(f"Worker [{worker.pid}] replaces [{old.pid}]: {why}")
            self._let_leave(old)

    def _let_leave(self, worker: WorkerChild) -> None:
        """Tell a worker to drain and exit, while others serve; one that boots is dismissed."""
        if worker.boots():
            self._dismiss(worker)
        elif worker.state is State.READY:
            worker.channel.send(Order.RETIRE)
            worker.apply(Event.DRAIN)
            seconds = self._config.graceful_timeout + self._leave_seconds
            worker.termination = Termination(
                "it did not leave in time", self._system.now() + seconds
            )

    def _dismiss(self, worker: WorkerChild) -> None:
        """Whoever boots is not needed any more. By TERM, which ends a process that boots, and
        which one that has become ready this moment survives: it may have clients."""
        worker.apply(Event.DISMISS)
        worker.termination = Termination("", self._system.now() + AT_ONCE_SECONDS)
        if worker.pid:
            self._system.kill(worker.pid, signal.SIGTERM)

    def _is_ready_though_dismissed(self, worker: WorkerChild) -> None:
        """It drains, unless it is all there is for now: then it serves until it is replaced."""
        worker.termination = None
        if self._stop is not None:
            worker.apply(Event.DRAIN)
            worker.channel.send(self._stop.order)
        elif self._is_needed(worker):
            worker.is_leaving, worker.replaces = False, None
            worker.want(Replacement("it was dismissed while it booted"))
        else:
            self._let_leave(worker)

    def _is_needed(self, worker: WorkerChild) -> bool:
        """Whether fewer workers than wanted can serve without it."""
        ready = (w for w in self._workers if w.state is State.READY and self._counts(w))
        able = [w for w in ready if not w.cannot_serve() and w is not worker]
        return self._counts(worker) and len(able) < self._wanted_now()

    def _kill(self, child: Child, why: str = "") -> None:
        """Immediately; as soon as it has told who it is, if it has not yet."""
        if child.state is State.EXITED:
            return
        if child.state is not State.KILLED:
            child.termination = Termination(why, self._system.now() + KILLED_SECONDS)
        child.apply(Event.KILL)
        if child.pid:
            self._system.kill(child.pid, signal.SIGKILL)

    def _enforce_exit(self, child: Child) -> None:
        """Its time is over."""
        if child.state is not State.KILLED:
            self._kill(child, child.killed_because())
            return
        child.is_abandoned = True
        if not child.pid:
            return  # it was never forked, and never will be
        server_log.error(
            f"Process [{child.pid}] has not exited {KILLED_SECONDS:g} s after SIGKILL; nobody waits"
            " for it any longer"
        )

    # ---- deaths

    def _bury_the_dead(self) -> None:
        while (exited := self._system.exited()) is not None:
            pid, status = exited
            child = self._child_of(pid)
            if child is None:
                continue  # an orphan of the application's
            self._read(child)  # its last words
            child.channel.close()
            if isinstance(child, WorkerChild):
                self._workers.remove(child)
                self._worker_ended(child, status)
                self._seats.append(child.seat)
            else:
                self._template_ended(child, status)

    def _child_of(self, pid: int) -> Child | None:
        for child in self._children():
            if not child.pid:
                self._read(child)  # it says who it is
            if child.pid == pid:
                return child
        return None

    def _was_not_forked(self, worker: WorkerChild) -> None:
        """The template ended with the order unread, or the fork before it could tell its number."""
        worker.channel.close()
        worker.apply(Event.EXIT)
        self._workers.remove(worker)
        self._seats.append(worker.seat)
        if not self._fork_error:
            self._backoff.failed(worker.started, self._system.now())

    def _worker_ended(self, worker: WorkerChild, status: int) -> None:
        before = worker.state
        worker.apply(Event.EXIT)
        if worker.is_leaving or (self._stop is not None and not worker.error):
            self._left(worker, before, status)
            return
        if worker.error:
            self._not_loaded(worker)
            return
        if self._was_asked_while_booting(worker, before, status):
            return
        what = self._cause(status)
        if before is not State.READY:
            self._not_booted(worker, worker.killed_because() or f"it {what}")
            return
        now = self._system.now()
        server_log.error(
            f"Worker [{worker.pid}] {what} after {exit_status.age(worker.age(now))}"
            f"{self._with_calls(worker)}; another one is started"
        )
        self._backoff.ended(worker.started, now)

    def _was_asked_while_booting(self, child: Child, before: State, status: int) -> bool:
        """A TERM that was for the whole process group may come to the others first: that is no
        failure of the application's."""
        if before is not State.BOOTING or child.error:
            return False
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGTERM:
            return False
        server_log.info(
            f"Process [{child.pid}] got SIGTERM before it was ready; another one is started"
        )
        self._backoff.failed(child.started, self._system.now())
        return True

    def _left(self, worker: WorkerChild, before: State, status: int) -> None:
        """It was told to; only what went wrong is told."""
        if before is State.KILLED:
            if why := worker.killed_because():
                server_log.warning(
                    f"Worker [{worker.pid}] was killed: {why}{self._with_calls(worker)}"
                )
        elif os.WIFSIGNALED(status) and os.WTERMSIG(status) not in (signal.SIGINT, signal.SIGTERM):
            what = f"{self._cause(status)} while it was leaving{self._with_calls(worker)}"
            server_log.error(f"Worker [{worker.pid}] {what}")

    def _with_calls(self, worker: WorkerChild) -> str:
        return self._all_calls.clause(worker.seat)

    def _calls(self, worker: WorkerChild) -> list[Call]:
        return self._all_calls.of(worker.seat)

    def _cause(self, status: int) -> str:
        before, self._oom_kills = self._oom_kills, self._system.oom_kills()
        return exit_status.cause(status, out_of_memory=self._oom_kills > before)

    def _template_ended(self, template: Child, status: int) -> None:
        before = template.state
        template.apply(Event.EXIT)
        if template is self._next_template:
            self._next_template = None
        elif template is self._template:
            self._template = None
        else:
            if template in self._old_templates:
                self._old_templates.remove(template)
            return
        if self._stop is not None or self._was_asked_while_booting(template, before, status):
            return
        what = self._cause(status)
        now = self._system.now()
        if before is State.READY:
            server_log.error(
                f"The template process [{template.pid}] {what}; another one is started"
            )
            self._backoff.ended(template.started, now)
        elif template.error:
            self._not_loaded(template)
        else:
            self._not_booted(template, template.killed_because() or f"it {what}")

    # ---- what cannot boot

    def _not_loaded(self, child: Child) -> None:
        if not self._served:
            terminal.say(f"\n{child.error}")
            self._give_up()
            return
        self._log_load_error(child.error)
        self._try_again_later(child)

    def _not_booted(self, child: Child, why: str) -> None:
        if not self._served:
            terminal.say(f"iotax: process [{child.pid}] was to load {self._app}, but {why}")
            self._give_up()
            return
        server_log.error(f"Process [{child.pid}] did not get ready: {why}")
        self._try_again_later(child)

    def _log_load_error(self, screen: str) -> None:
        """In full once, however often it is tried."""
        again = screen == self._load_error
        self._load_error = screen
        server_log.error(f"{screen.splitlines()[0]}: the same error again" if again else screen)

    def _try_again_later(self, child: Child) -> None:
        """Nobody is replaced by code that does not run, and no wish for a replacement is
        forgotten."""
        now = self._system.now()
        self._backoff.failed(child.started, now)
        later = f"next attempt in {self._backoff.seconds_left(now):.1f} s{self._still_wanted()}"
        server_log.error(f"Keeping the current workers; {later}")

    def _still_wanted(self) -> str:
        """What is to be done as soon as workers can be started, as a clause."""
        counted = filter(self._counts, self._workers)
        ready = [worker for worker in counted if worker.state is State.READY]
        wishes = [f"freshly imported code ({self._new_code})"] if self._new_code else []
        able = sum(not worker.cannot_serve() for worker in ready)
        if able < self._wanted_now():
            wishes.append(f"{_workers(self._wanted_now())} that can serve (there are {able})")
        wishes += [
            f"a replacement of [{worker.pid}] ({worker.replacement.reason})"
            for worker in ready
            if worker.replacement is not None
        ]
        return f"; still wanted: {_listed(wishes)}" if wishes else ""

    def _give_up(self) -> None:
        self._order_stop(Order.NOW)
        now = self._system.now()
        self._stop = Stop(EXIT_LOAD, Order.NOW, now, now + AT_ONCE_SECONDS)

    # ---- signals

    def _read_signals(self) -> None:
        for number in self._signals.take():
            self._on_signal(number)
        self._bury_the_dead()

    def _on_signal(self, number: signal.Signals) -> None:
        if number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
            self._asked_to_stop(number)
        elif self._stop is not None or (
            number == signal.SIGHUP and self._stops_with_its_terminal()
        ):
            return
        elif number == signal.SIGHUP:
            self._hup_at = self._system.now()
            self._replace_all("SIGHUP")
        elif number == signal.SIGTTIN:
            self._wanted = min(self._wanted + 1, self._workers_max)
            server_log.info(f"{self._wanted} workers are wanted now")
        elif number == signal.SIGTTOU:
            self._wanted = max(self._wanted - 1, 1)
            server_log.info(f"{self._wanted} workers are wanted now")
        elif number == signal.SIGUSR1:
            server_log.reopen()
            for worker in self._workers:
                worker.channel.send(Order.REOPEN)
        elif number == signal.SIGUSR2:
            self._tell_what_runs()

    def _stops_with_its_terminal(self) -> bool:
        if not self._system.terminal_is_gone():
            return False
        server_log.info("Stopping: the terminal is closed")
        self._asked_to_stop(signal.SIGINT)
        return True

    def _terminal_due(self) -> float:
        """Some terminals (xterm) send HUP to their shell, which passes it on to its jobs, a moment
        before they close."""
        now = self._system.now()
        return now + TERMINAL_SECONDS / 10 if now < self._hup_at + TERMINAL_SECONDS else FOREVER

    def _replace_all(self, why: str) -> None:
        """With freshly imported code."""
        server_log.info(f"Replacing all workers: {why}")
        self._backoff.reset()
        if not self._config.preload:
            self._mark_all(why)
            return
        self._new_code = why
        if self._next_template is not None:  # it may have imported the old code
            self._kill(self._next_template)
            self._next_template.channel.close()
            self._next_template.gone = True
            self._next_template = None

    def _mark_all(self, why: str) -> None:
        for worker in self._workers:
            if worker.boots() and self._served:
                self._let_leave(worker)  # it may have imported the old code
            elif worker.boots() or worker.state is State.READY:
                worker.want(Replacement(why))

    def _use_next_template(self) -> None:
        if self._template is not None:
            self._old_templates.append(self._template)
        self._template, self._next_template = self._next_template, None
        self._mark_all(self._new_code)
        self._new_code = ""

    def _tell_what_runs(self) -> None:
        for worker in filter(lambda worker: worker.pid, self._workers):
            running = "\n".join(f"  {call}" for call in self._calls(worker)) or "  no request"
            age = exit_status.age(worker.age(self._system.now()))
            server_log.info(f"Worker [{worker.pid}], {age} old, runs\n{running}")
            if worker.state in (State.READY, State.DRAINING):
                self._dump_stacks(worker)

    def _dump_stacks(self, worker: WorkerChild) -> None:
        if worker.pid:  # 0 would be the whole process group
            self._system.kill(worker.pid, signals.DUMP_STACKS)

    # ---- the ends of templates

    def _has_exit_functions(self, child: Child) -> bool:
        """A template that has imported the application, and was not told to end."""
        templates = (self._template, *self._old_templates)
        return (
            self._config.preload
            and child in templates
            and child.state is State.READY
            and (not child.is_leaving)
        )

    def _end_template(self, template: Child) -> None:
        """It runs the exit functions of the import, and exits."""
        template.channel.close()
        template.gone = template.is_leaving = True
        seconds = self._config.graceful_timeout + self._leave_seconds
        template.termination = Termination("", self._system.now() + seconds)

    def _end_unused_templates(self) -> None:
        used = [worker.template for worker in self._workers]
        for template in self._old_templates:
            if template not in used and self._has_exit_functions(template):
                self._end_template(template)

    # ---- stopping

    def _asked_to_stop(self, number: signal.Signals) -> None:
        now = self._system.now()
        if self._stop is None and number != signal.SIGQUIT:
            config = self._config
            delay = config.shutdown_delay if number == signal.SIGTERM else 0.0
            kill_at = now + delay + config.graceful_timeout + self._leave_seconds
            order = Order.DRAIN if number == signal.SIGTERM else Order.INTERRUPT
            self._stop = Stop(EXIT_STOPPED, order, now, kill_at)
            self._order_stop(order)
        elif self._stop is None or self._is_second(number, now, self._stop):
            cut = sum(len(self._page.calls(worker.seat)) for worker in self._workers)
            server_log.warning(f"Stopped at once by {number.name}; requests cut: {cut}")
            self._stop = Stop(128 + number, Order.NOW, now, now + AT_ONCE_SECONDS)
            self._order_stop(Order.NOW)

    @staticmethod
    def _is_second(number: signal.Signals, now: float, stop: Stop) -> bool:
        """One Ctrl-C can reach a process twice (group and wrapper)."""
        if stop.exit_code != EXIT_STOPPED:
            return False
        return number == signal.SIGQUIT or now - stop.since >= SECOND_SIGNAL_SECONDS

    def _order_stop(self, order: str) -> None:
        """The listeners of the supervisor go first, or they would accept clients that nobody
        serves."""
        self._listeners.hand_over()
        for child in self._children():
            if self._has_exit_functions(child):
                continue  # workers may use what they end
            if not isinstance(child, WorkerChild) or (child.boots() and order == Order.NOW):
                self._kill(child)
            elif child.boots():
                self._dismiss(child)
            elif child.may(Event.DRAIN):
                child.apply(Event.DRAIN)
                child.channel.send(order)
            elif order == Order.NOW:
                self._kill(child)

    def _go_on_stopping(self, now: float, stop: Stop) -> None:
        left = [child for child in self._children() if not child.is_abandoned]
        templates = [child for child in left if self._has_exit_functions(child)]
        others = [child for child in left if child not in templates]
        if not left:
            self._exit_code = stop.exit_code
        elif templates and not others:
            for template in templates:
                self._end_template(template)
            self._stop = stop._replace(kill_at=max(stop.kill_at, now + AT_ONCE_SECONDS))
        elif now >= stop.kill_at:
            for child in others:
                self._kill(child, "it did not end in time")
            self._stop = stop._replace(kill_at=now + AT_ONCE_SECONDS)


def _workers(count: int) -> str:
    return f"{count} worker{'' if count == 1 else 's'}"


def _listed(texts: Sequence[str]) -> str:
    """At most five of them."""
    more = f" and {len(texts) - 5} more" if len(texts) > 5 else ""
    return ", ".join(texts[:5]) + more
