"""One worker from start to stop, over a scripted extension."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from scripted_extension import ScriptedWorker

from iotax._config.address import TcpAddress
from iotax._config.options import Config
from iotax._config.sources import from_arguments
from iotax._net.listeners import Listeners, open_listeners
from iotax._runtime import process_exit
from iotax._runtime import worker as module


def made_worker(**options: object) -> module.Worker:
    return module.Worker(
        lambda environ, start: [], Listeners([]), from_arguments(options, path=False)
    )


def no_second(number: int) -> None:
    raise AssertionError(number)


def test_application_threads_are_named_threads(worker: type[ScriptedWorker]) -> None:
    begun = threading.Barrier(4)

    class Begins(worker):  # type: ignore[valid-type,misc]
        def run_thread(self, number: int) -> None:
            begun.wait()
            super().run_thread(number)

    module._iotax.Worker = Begins  # type: ignore[misc]

    def script(made: ScriptedWorker) -> None:
        begun.wait()
        made.stop("script")

    Begins.script = staticmethod(script)
    assert made_worker(threads=4).run(stop_now=no_second)
    assert sorted(worker.made[0].threads) == ["1 iotax-1", "2 iotax-2", "3 iotax-3"]


@pytest.mark.parametrize("options", [{"threads": 4}, {"threads": 4, "request_timeout": 1}])
def test_threads_that_cannot_be_started_are_counted(
    worker: type[ScriptedWorker], monkeypatch: pytest.MonkeyPatch, options: dict[str, int]
) -> None:
    start = threading.Thread.start

    def full(self: threading.Thread) -> None:
        if self.name in ("iotax-3", "iotax-watch"):
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", full)
    with pytest.raises(
        module.ThreadsNotStarted, match=r"only 3 of 4 .* can't start new thread; .*--threads"
    ):
        made_worker(**options).run()
    assert worker.made[0].calls[-1] == "now"


def test_the_sockets_are_the_workers(worker: type[ScriptedWorker]) -> None:
    found = open_listeners(
        [TcpAddress("127.0.0.1", 0)], backlog=1, unix_mode=None, example=lambda _: ""
    )
    with found:
        module.Worker(lambda environ, start: [], found, Config())
        assert found.all[0].socket.fileno() == -1
        ((duplicate, _),) = worker.made[0].listeners
        with socket.create_connection(("127.0.0.1", found.port)):
            assert os.get_blocking(duplicate) is False


def test_handlers_are_restored_at_the_end(worker: type[ScriptedWorker]) -> None:
    def mine(number: int, frame: object) -> None:
        raise AssertionError(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
    former = {number: signal.signal(number, mine) for number in numbers}
    during: list[object] = []

    def script(made: ScriptedWorker) -> None:
        during.extend(signal.getsignal(number) for number in numbers)
        during.append(signal.set_wakeup_fd(-1))
        signal.set_wakeup_fd(made.wakeup_fd)
        made.stop("script")

    worker.script = staticmethod(script)
    try:
        made_worker().run(stop_now=no_second)
        assert [signal.getsignal(number) for number in numbers] == [mine] * 3
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    assert during[0] == during[1] != mine
    assert during[2] == mine  # QUIT is handled by the command
    assert during[3] == worker.made[0].wakeup_fd
    assert signal.set_wakeup_fd(-1) == -1
    assert worker.made[0].calls == ["install", "script", "restore", "now"]


def test_handlers_are_restored_when_the_loop_cannot_be_set_up(worker: type[ScriptedWorker]) -> None:
    def script(made: ScriptedWorker) -> None:
        raise OSError("no descriptors left")

    worker.script = staticmethod(script)
    former = signal.getsignal(signal.SIGTERM)
    with pytest.raises(OSError, match="no descriptors left"):
        made_worker(threads=2).run(stop_now=no_second)
    assert signal.getsignal(signal.SIGTERM) is former
    assert worker.made[0].stopped.is_set()


def test_in_another_thread_no_signal_is_touched(worker: type[ScriptedWorker]) -> None:
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=lambda: made_worker().run(stop_now=no_second))
    thread.start()
    thread.join()
    assert worker.made[0].calls == ["script", "now"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_thread_that_does_not_return_is_reported(
    worker: type[ScriptedWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "JOIN_SECONDS", 0.0)

    def script(made: ScriptedWorker) -> None:
        made.hold = True
        made.stop("script")

    worker.script = staticmethod(script)
    assert not made_worker(threads=2).run(stop_now=no_second)


@pytest.mark.parametrize(
    ("hanging", "what"),
    [
        (
            "threading.Thread(target=threading.Event().wait, name='mailer').start()",
            "threads: mailer",
        ),
        ("atexit.register(threading.Event().wait)", "the application's exit functions"),
    ],
)
def test_the_exit_guard_ends_a_process_that_does_not_end(
    tmp_path: Path, hanging: str, what: str
) -> None:
    source = f"""
import atexit, sys, threading, types
extension = types.ModuleType("iotax._iotax")
vars(extension).update(__version__="0", Worker=0, Scoreboard=object, Admin=object)
vars(extension).update(ClientDisconnected=0, BodyTimedOut=0, BodyMalformed=0, RequestTimeout=0)
extension.log = lambda level, text: print(level, text, flush=True)
extension.flush_log = lambda _: True
extension.flush_standard_streams = lambda _: True
extension.after_fork_in_child = lambda: None
sys.modules["iotax._iotax"] = extension
from iotax._runtime.process_exit import ExitGuard
{hanging}
ExitGuard(0.05, 7).start()
"""
    package = Path(str(module.__file__)).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", source],
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 7, ended.stderr
    assert ended.stdout == f"warning Exiting without waiting for {what}\n"


def test_exit_continues_if_its_guard_cannot_start(
    log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", full)
    process_exit.ExitGuard(0.05, 7).start()
    assert log == ["warning: Exiting without a time limit: can't start new thread"]
