"""Threads of the operating system in a program whose threading module is patched."""

import importlib.util
import os
import subprocess
import sys
import threading

import pytest

from iotax._runtime import native

PATCHES = {
    "plain": "",
    # The relevant part of the patches, for machines on which neither of the two is installed.
    "inline": """
import threading
def start(function, *args, **named):
    function(*(args[0] if args else ()))
for name in ("_start_new_thread", "_start_joinable_thread"):
    if hasattr(threading, name):
        setattr(threading, name, start)
""",
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}
CHECKS = """
import _thread, os, sys, threading, time
lock, seen, begun = native.make_lock(), [], native.make_lock()
lock.acquire(), begun.acquire()

def run(word):
    thread = threading.current_thread()
    seen.extend([word, thread.name, isinstance(thread, threading.Thread), thread.is_alive()])
    seen.append(thread in threading.enumerate() and thread.ident == threading.get_ident())
    seen.append(thread.native_id == native._thread.get_native_id() != os.getpid())
    seen.append(native.ident_of(thread) in sys._current_frames())
    seen.append(native.in_main_thread())
    begun.release()
    lock.acquire()

made = native.thread(run, "iotax-7", ("word",))
try:
    made.join()
except RuntimeError as error:
    assert "before it is started" in str(error)
assert not made.is_alive()
made.start()
begun.acquire()
assert seen == ["word", "iotax-7", True, True, True, True, True, False], seen
made.join(0.01)
assert made.is_alive() and made.daemon
try:
    made.start()
except RuntimeError as error:
    assert "once" in str(error)
assert native.in_main_thread()
child = native.fork()
if child == 0:
    os._exit(0 if native.in_main_thread() else 1)
assert native.waitpid(child, 0)[1] == 0
lock.release()
made.join(5)
assert not made.is_alive() and made not in threading.enumerate()

threading.excepthook = lambda args: seen.append((args.thread, args.exc_type))
failing = native.thread(lambda: 1 / 0, "failing")
failing.start()
failing.join()
assert seen[-1] == (failing, ZeroDivisionError)
print("done")
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("patch", PATCHES)
def test_threads_are_native_threads_in_patched_programs(patch: str, when: str) -> None:
    """Whether iotax is imported before the patch (command) or after it (serve())."""
    if patch in ("gevent", "eventlet") and importlib.util.find_spec(patch) is None:
        pytest.skip(f"{patch} is not installed")
    parts = ["from iotax._runtime import native", PATCHES[patch], CHECKS]
    if when == "after":
        parts[:2] = parts[1::-1]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "\n".join(parts)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "done\n", done.stderr


def test_nothing_is_replaced_where_nothing_is_patched() -> None:
    assert type(native.thread(print, "name")) is threading.Thread


def test_debugger_that_wraps_the_start_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The debugger traces the threads that it starts."""

    def start(*_: object) -> None: ...

    start.__module__ = "_pydev_bundle.pydev_monkey"
    for name in native._STARTS:
        monkeypatch.setattr(threading, name, start, raising=False)
    assert type(native.thread(print, "name")) is threading.Thread


def test_poll_and_fork_are_those_of_the_system() -> None:
    reading, writing = os.pipe()
    poll = native.poll()
    poll.register(reading)
    pid = native.fork()
    if pid == 0:
        os.write(writing, b"x")
        os._exit(0)
    assert poll.poll(60_000)
    assert native.waitpid(pid, 0) == (pid, 0)
    os.close(reading)
    os.close(writing)
