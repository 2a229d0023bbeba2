"""The supervisor: keeps workers running, replaces them one at a time, and ends them.

One procedure replaces a worker, whatever the reason: start another, wait until it is ready, let the
old one drain, see it leave. Each turn looks at what there is and at what there should be, and takes
the next step; so nothing depends on the order in which messages, signals and deaths come.

It runs no application code and no threads, and never waits for anything but its poll. It knows
nothing of requests but what the shared page tells about them.
"""

import contextlib
import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from iotax import _iotax, deaths, forking, log, signals
from iotax import channel as ch
from iotax.channel import Channel, Message
from iotax.children import FOREVER, Child, State, WorkerChild
from iotax.listeners import Listeners
from iotax.memory import Cgroup, resident_bytes
from iotax.options import Config
from iotax.template import TemplateJob
from iotax.worker import JOIN_SECONDS, SECOND_SIGNAL_SECONDS
from iotax.worker_process import WorkerJob, tell_ready

EXIT_STOPPED: Final = 0
EXIT_LOAD: Final = 3

# A worker that ends sooner than this died young: the next one waits, each time twice as long.
YOUNG_SECONDS: Final = 10.0
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 30.0
# What a worker gets beyond its graceful time-out for threads and exit functions of the application.
LEAVE_SECONDS: Final = JOIN_SECONDS + 1.0
# A stop at once: the workers' last words.
AT_ONCE_SECONDS: Final = 1.0
FORK_PAUSE_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 1.0
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
        self, app: str, config: Config, listeners: Listeners, *, interactive: bool = False
    ) -> None:
        self._config, self._listeners = config, listeners
        self._workers_max = config.workers + MORE_WORKERS_MAX
        self._seats = deque(range(2 * self._workers_max))  # those that leave have one too
        self._page = _iotax.Page(len(self._seats), config.threads)
        self._interactive = interactive
        self._app = app
        self._leave_seconds = LEAVE_SECONDS
        self._wanted = config.workers
        self._workers: list[WorkerChild] = []
        self._template: Child | None = None
        self._next_template: Child | None = None
        self._served = False  # a worker has been ready
        self._pause_until, self._pause = 0.0, 0.0
        self._stop: Stop | None = None
        self._exit_code: int | None = None
        self._cgroup = Cgroup()
        self._oom_kills = self._cgroup.oom_kills()
        self._next_look = 0.0
        self._signals = signals.SignalQueue()

    def run(self) -> int:
        """Supervise. Returns the exit code; raises Forked in the children."""
        _iotax.set_child_subreaper()
        while self._exit_code is None:
            self._act()
            if self._exit_code is None:
                self._wait()
        self._signals.end()
        return self._exit_code

    # ---- a turn

    def _act(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            if now >= worker.kill_at:
                self._kill(worker, worker.killed_because)
        if self._stop is not None:
            self._go_on_stopping(now, self._stop)
            return
        self._look_at_the_clock(now)
        if self._has_source(now):
            self._fill_up(now)
            self._replace_next()

    def _wait(self) -> None:
        poll = select.poll()
        readers: dict[int, Callable[[], None]] = {self._signals.fileno(): self._read_signals}
        for child in self._children():
            if not child.gone:
                readers[child.channel.fileno()] = lambda child=child: self._read(child)  # type: ignore[misc]
        for descriptor in readers:
            poll.register(descriptor, select.POLLIN)
        due = min(self._dues())
        left = None if due == FOREVER else max(0.0, due - time.monotonic()) * 1000 + 1
        ready = {descriptor for descriptor, _ in poll.poll(left)}
        for descriptor, read in readers.items():
            if descriptor in ready:
                read()

    def _children(self) -> list[Child]:
        templates = [one for one in (self._template, self._next_template) if one is not None]
        return [*templates, *self._workers]

    def _dues(self) -> Iterator[float]:
        """When there is something to do even if nothing happens."""
        yield FOREVER
        yield from (worker.kill_at for worker in self._workers)
        if self._stop is not None:
            yield self._stop.kill_at
            return
        config = self._config
        if self._pause_until > time.monotonic():
            yield self._pause_until
        if config.boot_timeout:
            yield from (child.started + config.boot_timeout for child in self._booting())
        if config.worker_lifetime:
            yield from (w.started + config.worker_lifetime for w in self._waiting_for_no_other())
        if any(worker.watched for worker in self._workers):
            yield self._next_look

    def _booting(self) -> list[Child]:
        return [
            child for child in self._children() if child.state is State.BOOTING and not child.killed
        ]

    def _waiting_for_no_other(self) -> list[WorkerChild]:
        return [w for w in self._workers if w.state is State.READY and not w.because]

    def _look_at_the_clock(self, now: float) -> None:
        config = self._config
        if config.boot_timeout:
            for child in self._booting():
                if now - child.started >= config.boot_timeout:
                    why = f"it was not ready within {config.boot_timeout:g} s (--boot-timeout)"
                    self._kill(child, why)
        if config.worker_lifetime:
            for worker in self._waiting_for_no_other():
                if now - worker.started >= config.worker_lifetime:
                    self._recycle(worker, f"it has served {deaths.age(worker.age())}")
        if now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            for worker in self._workers:
                if worker.watched:
                    self._look_at(worker)

    def _look_at(self, worker: WorkerChild) -> None:
        """Once a second while requests run; a worker that has come to rest says when that ends."""
        turns, calls = self._page.turns(worker.seat), self._page.calls(worker.seat)
        if not calls and turns == worker.turns_seen:
            worker.watched = False
            self._page.watch(worker.seat, False)
        worker.turns_seen = turns
        if worker.state is not State.READY or worker.because:
            return
        if self._page.gil_stuck(worker.seat) >= GIL_STUCK_SECONDS and not worker.is_stuck:
            self._is_stuck(worker)
            return
        limit = self._config.worker_max_rss
        if limit and (used := resident_bytes(worker.pid)) > limit:
            worker.first_leave = True
            self._recycle(
                worker,
                f"it uses {deaths.size(used)} (--worker-max-rss {deaths.size(limit)})",
            )

    def _is_stuck(self, worker: WorkerChild) -> None:
        """A call keeps the interpreter, so that not even its stack can be asked for in Python."""
        worker.is_stuck = True
        log.error(
            f"Worker [{worker.pid}] is stuck: a call has kept the interpreter (GIL) for more than"
            f" {GIL_STUCK_SECONDS:g} s{self._with_calls(worker)}. Its threads are at:"
        )
        self._dump_stacks(worker)
        if self._config.request_timeout_action != "log":
            self._recycle(worker, "its interpreter is stuck (--request-timeout)")

    # ---- what there should be

    def _members(self) -> list[WorkerChild]:
        """Those that count: all but who leaves (there may be no room for another until it has),
        and who comes for one that still serves."""
        return [
            worker
            for worker in self._workers
            if (worker.state is not State.LEAVING or worker.first_leave)
            and self._predecessor(worker) is None
        ]

    def _predecessor(self, worker: WorkerChild) -> WorkerChild | None:
        """Whom it comes for, as long as that one serves."""
        old = worker.replaces
        serves = old is not None and old in self._workers and old.state is State.READY
        return old if serves else None

    def _has_source(self, now: float) -> bool:
        """Whether workers can be made now. Starts the template that they need."""
        if now < self._pause_until:
            return False
        if not self._config.preload:
            return True
        if self._template is None:
            self._template = self._start_template()
        return self._template is not None and self._template.state is State.READY

    def _fill_up(self, now: float) -> None:
        members = self._members()
        for _ in range(len(members), self._wanted_now()):
            if now >= self._pause_until:
                self._start_worker()
        for worker in sorted(members, key=lambda w: w.started)[self._wanted_now() :]:
            self._let_leave(worker)

    def _wanted_now(self) -> int:
        return self._wanted

    def _replace_next(self) -> None:
        """One at a time: only when nobody boots and nobody leaves."""
        if any(worker.state is not State.READY for worker in self._workers):
            return
        worker = next((worker for worker in self._workers if worker.because), None)
        if worker is None:
            return
        if worker.first_leave or self._is_short_of_memory(worker):
            worker.first_leave = True
            log.info(f"Worker [{worker.pid}] drains before another one starts: memory is short")
            self._let_leave(worker)
        else:
            self._start_worker(replaces=worker)

    def _is_short_of_memory(self, worker: WorkerChild) -> bool:
        headroom = self._cgroup.headroom()
        return headroom is not None and headroom < resident_bytes(worker.pid)

    def _recycle(self, worker: WorkerChild, why: str) -> None:
        log.info(f"Worker [{worker.pid}] is to be replaced: {why}")
        worker.because = why

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
        ours, theirs = Channel.pair()
        seat = self._seats.popleft()
        self._page.clear(seat)
        worker = WorkerChild(ours, time.monotonic(), seat=seat, replaces=replaces)
        if self._template is not None:
            self._template.channel.send(ch.FORK, str(seat), theirs.fileno())
        else:
            worker.pid = self._fork(self._job(theirs, seat).run, ours)
            if worker.pid:
                self._tell_started(worker)
        theirs.close()
        if worker.pid or self._template is not None:
            self._workers.append(worker)
        else:
            ours.close()
            self._seats.append(seat)

    def _start_template(self) -> Child | None:
        ours, theirs = Channel.pair()
        job = TemplateJob(self._job(theirs, -1), theirs)
        pid = self._fork(job.run, ours)
        theirs.close()
        return Child(ours, time.monotonic(), pid) if pid else None

    def _fork(self, run: forking.Run, ours: Channel) -> int:
        """The process id of the child, which runs `run`; 0: the system has no room for one now."""
        try:
            return forking.fork(run, lambda: self._become_child(ours))
        except OSError as error:
            log.error(f"No process can be started: {error.strerror}")
            self._pause_until = time.monotonic() + FORK_PAUSE_SECONDS
            return 0

    def _become_child(self, *others: Channel) -> None:
        """Let go of what is the supervisor's: a copy of a channel would hide the end of another."""
        signals.become_child(self._signals)
        forking.close_all(*others, *(child.channel for child in self._children()))

    def _tell_started(self, worker: WorkerChild) -> None:
        log.info(f"Started server process [{worker.pid}]")

    # ---- what children say

    def _read(self, child: Child) -> None:
        while not child.gone and (message := child.channel.receive()) is not None:
            if message.kind == ch.GONE:
                child.gone = True
                if isinstance(child, WorkerChild) and not child.pid:
                    self._was_not_forked(child)
            elif isinstance(child, WorkerChild):
                self._hear_worker(child, message)
            else:
                self._hear_template(child, message)

    def _hear_worker(self, worker: WorkerChild, message: Message) -> None:
        if message.kind == ch.BOOTING and not worker.pid:
            worker.pid = int(message.text)
            self._tell_started(worker)
            if worker.state is State.LEAVING:
                self._dismiss(worker)
            elif worker.killed:
                self._kill(worker, worker.killed_because)
        elif message.kind == ch.LOAD_ERROR:
            worker.error = message.text
        elif message.kind == ch.READY:
            self._is_ready(worker)
        elif message.kind == ch.BUSY:
            worker.watched = True
        elif self._stop is not None or worker.state is not State.READY:
            return
        elif message.kind == ch.ASKED_TO_LEAVE:
            self._recycle(worker, "SIGTERM")
        elif message.kind == ch.THREADS_LOST and not worker.because:
            self._recycle(worker, message.text)
        elif message.kind == ch.REQUESTS_DONE and not worker.because:
            limit = self._config.max_requests
            age = deaths.age(worker.age())
            self._recycle(
                worker, f"it has had {message.text} requests in {age} (--max-requests {limit})"
            )

    def _hear_template(self, template: Child, message: Message) -> None:
        if message.kind == ch.LOAD_ERROR:
            template.error = message.text
        elif message.kind == ch.READY:
            template.state = State.READY
            if template is self._next_template:
                self._use_next_template()

    def _is_ready(self, worker: WorkerChild) -> None:
        dismissed = worker.state is State.LEAVING
        worker.state = State.READY
        if dismissed:
            self._is_ready_though_dismissed(worker)
            return
        if not self._served:
            self._served = True
            tell_ready(self._listeners)
        old = self._predecessor(worker)
        if old is not None:
            log.info(f"Worker [{worker.pid}] replaces [{old.pid}]: {old.because}")
            self._let_leave(old)

    def _let_leave(self, worker: WorkerChild) -> None:
        """Tell a worker to drain and go, while others serve."""
        if worker.state is State.LEAVING:
            return
        if worker.state is State.BOOTING:
            self._dismiss(worker)
            return
        worker.channel.send(ch.RETIRE)
        worker.killed_because = "it did not leave in time"
        worker.kill_at = time.monotonic() + self._config.graceful_timeout + self._leave_seconds
        worker.state = State.LEAVING

    def _dismiss(self, worker: WorkerChild) -> None:
        """Whoever boots is not needed any more. By TERM, which ends a process that boots, and
        which one that has become ready this moment survives: it may have clients."""
        worker.state, worker.killed = State.LEAVING, True
        worker.kill_at = time.monotonic() + AT_ONCE_SECONDS
        if worker.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGTERM)

    def _is_ready_though_dismissed(self, worker: WorkerChild) -> None:
        worker.killed, worker.kill_at = False, FOREVER
        if self._stop is None:
            self._let_leave(worker)
        else:
            worker.channel.send(self._stop.order)

    def _kill(self, child: Child, why: str = "") -> None:
        """At once; as soon as it has told who it is, if it has not yet."""
        child.killed, child.killed_because = True, why
        if isinstance(child, WorkerChild):
            child.kill_at = FOREVER
        if child.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)

    # ---- deaths

    def _bury_the_dead(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
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
        self._workers.remove(worker)
        self._seats.append(worker.seat)
        self._pause_if_young(worker)

    def _worker_ended(self, worker: WorkerChild, status: int) -> None:
        if worker.state is State.LEAVING or (self._stop is not None and not worker.error):
            self._left(worker, status)
            return
        if worker.error:
            self._not_loaded(worker)
            return
        if self._was_asked_while_booting(worker, status):
            return
        what = self._cause(status)
        if worker.state is State.BOOTING:
            self._not_booted(worker, worker.killed_because or f"it {what}")
            return
        log.error(
            f"Worker [{worker.pid}] {what} after {deaths.age(worker.age())}"
            f"{self._with_calls(worker)}; another one is started"
        )
        self._pause_if_young(worker)

    def _was_asked_while_booting(self, child: Child, status: int) -> bool:
        """A TERM that was for the whole process group may come to the others first: that is no
        failure of the application's."""
        if child.state is not State.BOOTING or child.killed or child.error:
            return False
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGTERM:
            return False
        log.info(f"Process [{child.pid}] got SIGTERM before it was ready; another one is started")
        self._pause_if_young(child)
        return True

    def _left(self, worker: WorkerChild, status: int) -> None:
        """It was told to; only what went wrong is told."""
        if worker.killed:
            if worker.killed_because:
                why = f"{worker.killed_because}{self._with_calls(worker)}"
                log.warning(f"Worker [{worker.pid}] was killed: {why}")
        elif os.WIFSIGNALED(status) and os.WTERMSIG(status) not in (signal.SIGINT, signal.SIGTERM):
            what = f"{self._cause(status)} while it was leaving{self._with_calls(worker)}"
            log.error(f"Worker [{worker.pid}] {what}")

    def _with_calls(self, worker: WorkerChild) -> str:
        return "; " + deaths.ran(self._calls(worker))

    def _calls(self, worker: WorkerChild) -> list[deaths.Call]:
        return [deaths.Call(*call) for call in self._page.calls(worker.seat)]

    def _cause(self, status: int) -> str:
        before, self._oom_kills = self._oom_kills, self._cgroup.oom_kills()
        return deaths.cause(status, out_of_memory=self._oom_kills > before)

    def _pause_if_young(self, child: Child) -> None:
        """Whoever dies young again and again is started less and less often."""
        if child.age() >= YOUNG_SECONDS:
            self._pause = 0.0
            return
        self._pause = min(max(FIRST_PAUSE_SECONDS, self._pause * 2), LONGEST_PAUSE_SECONDS)
        self._pause_until = time.monotonic() + self._pause

    def _template_ended(self, template: Child, status: int) -> None:
        was_next = template is self._next_template
        if was_next:
            self._next_template = None
        elif template is self._template:
            self._template = None
        else:
            return  # one of before
        if self._stop is not None or self._was_asked_while_booting(template, status):
            return
        what = self._cause(status)
        if template.state is State.READY:
            log.error(f"The template process [{template.pid}] {what}; another one is started")
            self._pause_if_young(template)
        elif template.error:
            self._not_loaded(template)
        else:
            self._not_booted(template, template.killed_because or f"it {what}")

    # ---- what cannot boot

    def _not_loaded(self, child: Child) -> None:
        if not self._served:
            log.say(f"\n{child.error}")
            self._give_up()
            return
        log.error(child.error)
        self._stay_with_the_old(child)

    def _not_booted(self, child: Child, why: str) -> None:
        if not self._served:
            log.say(f"iotax: process [{child.pid}] was to load {self._app}, but {why}")
            self._give_up()
            return
        log.error(f"Process [{child.pid}] did not get ready: {why}")
        self._stay_with_the_old(child)

    def _stay_with_the_old(self, child: Child) -> None:
        """Nobody is replaced by code that does not run."""
        self._pause_if_young(child)
        replaced = [worker for worker in self._workers if worker.because]
        if replaced:
            log.error("The workers that serve stay")
        for worker in replaced:
            worker.because = ""

    def _give_up(self) -> None:
        self._order_stop(ch.NOW)
        now = time.monotonic()
        self._stop = Stop(EXIT_LOAD, ch.NOW, now, now + AT_ONCE_SECONDS)

    # ---- signals

    def _read_signals(self) -> None:
        for number in self._signals.take():
            self._on_signal(number)
        self._bury_the_dead()

    def _on_signal(self, number: signal.Signals) -> None:
        if number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
            self._asked_to_stop(number)
        elif self._stop is not None:
            return
        elif number == signal.SIGHUP:
            self._replace_all("SIGHUP")
        elif number == signal.SIGTTIN:
            self._wanted = min(self._wanted + 1, self._workers_max)
            log.info(f"{self._wanted} workers are wanted now")
        elif number == signal.SIGTTOU:
            self._wanted = max(self._wanted - 1, 1)
            log.info(f"{self._wanted} workers are wanted now")
        elif number == signal.SIGUSR1:
            log.reopen()
            for worker in self._workers:
                worker.channel.send(ch.REOPEN)
        elif number == signal.SIGUSR2:
            self._tell_what_runs()

    def _replace_all(self, why: str) -> None:
        """With freshly imported code."""
        log.info(f"Replacing all workers: {why}")
        self._pause_until = 0.0
        if self._config.preload:
            if self._next_template is not None:
                self._kill(self._next_template)
            self._next_template = self._start_template()
            return
        self._mark_all(why)

    def _mark_all(self, why: str) -> None:
        for worker in self._workers:
            if worker.state is State.BOOTING and self._served:
                self._let_leave(worker)  # it may have imported the old code
            elif worker.state is State.READY:
                worker.because = why

    def _use_next_template(self) -> None:
        if self._template is not None:
            self._template.channel.close()
            self._template.gone = True
        self._template, self._next_template = self._next_template, None
        self._mark_all("freshly imported code")

    def _tell_what_runs(self) -> None:
        for worker in filter(lambda worker: worker.pid, self._workers):
            running = "\n".join(f"  {call}" for call in self._calls(worker)) or "  no request"
            log.info(f"Worker [{worker.pid}], {deaths.age(worker.age())} old, runs\n{running}")
            if worker.state is not State.BOOTING and not worker.killed:
                self._dump_stacks(worker)

    @staticmethod
    def _dump_stacks(worker: WorkerChild) -> None:
        if worker.pid:  # 0 would be the whole process group
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signals.DUMP_STACKS)

    # ---- stopping

    def _asked_to_stop(self, number: signal.Signals) -> None:
        now = time.monotonic()
        if self._stop is None and number != signal.SIGQUIT:
            config = self._config
            delay = config.shutdown_delay if number == signal.SIGTERM else 0.0
            kill_at = now + delay + config.graceful_timeout + self._leave_seconds
            order = ch.DRAIN if number == signal.SIGTERM else ch.PROMPT
            self._stop = Stop(EXIT_STOPPED, order, now, kill_at)
            self._order_stop(order)
        elif self._stop is None or self._is_second(number, now, self._stop):
            cut = sum(len(self._page.calls(worker.seat)) for worker in self._workers)
            log.warning(f"Stopped at once by {number.name}; requests cut: {cut}")
            self._stop = Stop(128 + number, ch.NOW, now, now + AT_ONCE_SECONDS)
            self._order_stop(ch.NOW)

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
            boots = child.state is State.BOOTING or child.killed
            if not isinstance(child, WorkerChild) or (boots and order == ch.NOW):
                self._kill(child)
            elif boots:
                self._dismiss(child)
            else:
                child.channel.send(order)

    def _go_on_stopping(self, now: float, stop: Stop) -> None:
        if not self._children():
            self._exit_code = stop.exit_code
        elif now >= stop.kill_at:
            for child in self._children():
                self._kill(child, "it did not end in time")
            self._stop = stop._replace(kill_at=now + AT_ONCE_SECONDS)
