"""A system that the test controls (forks, exits, signals, the clock), and a supervisor in it."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import pytest

from iotax import _iotax
from iotax._config.errors import ConfigError
from iotax._config.sources import Settings, from_command
from iotax._log import server_log, terminal
from iotax._net.listeners import Listeners
from iotax._processes.channel import Channel, Message
from iotax._processes.notifier import Notifier
from iotax._processes.parts import Parts, connect
from iotax._processes.pool import Child, Worker
from iotax._processes.production import Production
from iotax._processes.protocol import Report
from iotax._processes.signals import SignalQueue
from iotax._processes.supervisor import Supervisor, production_supervisor
from iotax._processes.system import System
from iotax._processes.target import Target


class Process:
    """A child process that the test controls."""

    def __init__(self, pid: int, job: Any) -> None:
        self.pid, self.job = pid, job
        if hasattr(job, "channel"):
            self.channel = Channel.from_descriptor(os.dup(job.channel.fileno()))
        else:  # of a hook
            self.channel, _ = Channel.pair()
        self.status: int | None = None
        self.received: list[int] = []  # descriptors that came with orders; owned by this process

    def says(self, kind: str, text: str = "") -> None:
        assert self.channel.send(kind, text)

    def heard(self) -> str:
        """The kinds of the orders since the last call, joined."""
        kinds = ""
        while (message := self.channel.receive()) is not None and message.kind:
            kinds += message.kind
            if message.descriptor >= 0:
                self.received.append(message.descriptor)
        return kinds

    def ends(self, status: int = 0) -> None:
        self.status = status
        self.channel.close()
        while self.received:
            os.close(self.received.pop())


class PlayedScoreboard:
    """A scoreboard on which nothing runs unless the test sets it."""

    def __init__(self, slots: int, threads: int) -> None:
        self.running: dict[int, list[tuple[str, str, float]]] = {}
        self.made_turns = 0
        self.stuck = 0.0
        self.server: dict[str, Any] = {}  # of the last publish()
        self.workers: dict[int, tuple[str, int]] = {}  # state and process id of each slot

    def publish(self, **server: Any) -> None:
        self.server = server

    def publish_worker(self, slot: int, state: str, pid: int, age: float) -> None:
        self.workers[slot] = (state, pid)

    def calls(self, slot: int) -> list[tuple[str, str, float]]:
        return self.running.get(slot, [])

    def turns(self, _slot: int) -> int:
        return self.made_turns

    def gil_stuck(self, _slot: int) -> float:
        return self.stuck

    def watch(self, slot: int, on: bool) -> None:
        pass

    def clear(self, slot: int) -> None:
        self.running.pop(slot, None)


class Signals:
    def __init__(self) -> None:
        self.arrived: list[signal.Signals] = []

    def fileno(self) -> int:
        return -1

    def take(self) -> Iterator[signal.Signals]:
        while self.arrived:
            yield self.arrived.pop(0)

    def end(self) -> None:
        pass


class PlayedSystem(System):
    """Processes are objects in `processes`, in the order of their forks."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.processes: list[Process] = []
        self.killed: list[tuple[int, int]] = []
        self.memory: dict[int, int] = {}
        self.stopped: set[int] = set()
        self.room: int | None = None  # headroom()
        self.is_terminal_closed = False
        self.fork_error: OSError | None = None
        self.played_scoreboard = PlayedScoreboard(0, 0)
        self.queue = Signals()

    def now(self) -> float:
        return self.time

    def signals(self) -> SignalQueue:
        return cast("SignalQueue", self.queue)

    def scoreboard(self, slots: int, threads: int, *, counted: bool) -> _iotax.Scoreboard:
        return cast("_iotax.Scoreboard", self.played_scoreboard)

    def adopt_orphans(self) -> None:
        pass

    def fork(self, run: Callable[[], int], become_child: Callable[[], None]) -> int:
        if self.fork_error is not None:
            raise self.fork_error
        return self.process(run.__self__).pid  # type: ignore[attr-defined]

    def process(self, job: Any) -> Process:
        self.processes.append(Process(5000 + len(self.processes), job))
        return self.processes[-1]

    def kill(self, pid: int, number: int) -> None:
        self.killed.append((pid, number))

    def exited(self) -> tuple[int, int] | None:
        for process in self.processes:
            if process.status is not None:
                status, process.status = process.status, None
                return process.pid, status
        return None

    def wait(self, descriptors: Iterable[int], seconds: float | None) -> set[int]:
        raise AssertionError("the test takes the turns")

    def is_stopped(self, pid: int) -> bool:
        return pid in self.stopped

    def resident_bytes(self, pid: int) -> int:
        return self.memory.get(pid, 1)

    def terminal_is_gone(self) -> bool:
        return self.is_terminal_closed

    def headroom(self) -> int | None:
        return self.room

    def oom_kills(self) -> int:
        return 0


class PlayedNotifier(Notifier):
    """Keeps the messages, each as one line. Off unless the test names a socket."""

    def __init__(self, address: str = "", watchdog_seconds: float = 0.0) -> None:
        super().__init__(address, watchdog_seconds)
        self._sent: list[str] = []

    def _send(self, *assignments: str) -> None:
        self._sent.append(" ".join(assignments))

    def take(self) -> list[str]:
        """The messages since the last call."""
        sent, self._sent = self._sent, []
        return sent


class PlayedPolicy:
    """Starts workers as the test wants, and records its calls."""

    def __init__(self, parts: Parts) -> None:
        self.parts, self.notes = parts, list[tuple[Any, ...]]()
        self.is_able = True  # can_start()
        self.takes_reports = self.expects_exits = False

    def begin(self) -> None:
        self.notes.append(("begin",))

    def can_start(self, now: float) -> bool:
        return self.is_able

    def start_worker(self, replaces: Worker | None) -> None:
        self.parts.spawner.start_worker(replaces=replaces)

    def on_report(self, child: Child, message: Message) -> bool:
        return self.takes_reports

    def on_ready(self, worker: Worker) -> None:
        self.notes.append(("ready", worker.pid))

    def on_exit(self, child: Child, cause: Callable[[], str]) -> bool:
        return self.expects_exits

    def on_boot_failure(self, child: Child, why: str) -> None:
        self.notes.append(("boot failure", child.pid, why))

    def on_hup(self) -> None:
        self.notes.append(("hup",))

    def tick(self, now: float) -> None:
        self.notes.append(("tick",))

    def dues(self) -> Iterator[float]:
        yield from ()

    def stopping(self) -> None:
        self.notes.append(("stopping",))


def settings_of(*arguments: str) -> Settings:
    """Settings from alternating names and values."""
    typed = dict(zip(arguments[::2], arguments[1::2], strict=True))
    return from_command({"app": "main:app", **typed}, {})


class World(PlayedSystem):
    """A supervisor and everything around it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.make: Callable[..., Supervisor] = production_supervisor
        self.log: list[str] = []
        self.said: list[str] = []
        self.notifier = PlayedNotifier()
        self.settings_read: Settings | ConfigError | None = None  # what is read the next times
        self.admin = Listeners(())
        for level in ("info", "warning", "error"):
            monkeypatch.setattr(server_log, level, self.log.append)
        monkeypatch.setattr(terminal, "say", self.said.append)

    def connect(self, *arguments: str, target: Target | None = None) -> Parts:
        """The parts of a supervisor, without the supervisor."""
        settings = settings_of(*arguments)
        target = target or Target(settings.config.workers)
        return connect(
            settings,
            Listeners(()),
            target=target,
            system=self,
            interactive=False,
            notifier=self.notifier,
        )

    def start(self, *arguments: str) -> "World":
        settings = settings_of(*arguments)
        self.supervisor = self.make(
            settings,
            Listeners(()),
            system=self,
            read_again=self._read_again,
            notifier=self.notifier,
            admin=self.admin,
        )
        self.turn()
        return self

    def _read_again(self, former: Settings) -> Settings:
        if isinstance(self.settings_read, ConfigError):
            raise self.settings_read
        return self.settings_read or former

    def turn(self, *arrived: signal.Signals) -> None:
        """Run the supervisor's turn often enough that nothing is left to do."""
        self.queue.arrived.extend(arrived)
        for _ in range(5):
            self.supervisor._read_signals()
            for child in self.supervisor._pool.children():
                self.supervisor._inbox.read(child)
            if self.exit_code is None:
                self.supervisor._act()

    @property
    def template(self) -> Child | None:
        """The template of --preload."""
        assert isinstance(self.supervisor._policy, Production)
        return self.supervisor._policy._template

    def passes(self, seconds: float) -> None:
        self.time += seconds
        self.turn()

    def ready(self, *numbers: int) -> None:
        for number in numbers:
            self.processes[number].says(Report.READY)
        self.turn()

    def has_logged(self, text: str) -> bool:
        return any(text in line for line in self.log)

    @property
    def exit_code(self) -> int | None:
        return self.supervisor._shutdown.exit_code
