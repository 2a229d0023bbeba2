"""The watcher process: reports changed files to the supervisor in batches.

It always finds changes by comparing two snapshots of the tree. Kernel notifications (through
watchdog, if installed) only trigger a comparison: lost or duplicate events do no harm.

Decides when a batch is complete, and when to fall back to polling. It is a separate process so that
the supervisor does not need threads.
"""

import ctypes
import errno
import importlib
import os
import select
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from iotax._net.listeners import Listeners
from iotax._processes import forking, signals
from iotax._processes.channel import Channel
from iotax._processes.protocol import GONE
from iotax._reload.reports import ReloadReport
from iotax._reload.tree import Change, Snapshot, Tree

# A batch is complete after QUIET_SECONDS without a change, or after BATCH_SECONDS_MAX in total.
QUIET_SECONDS: Final = 0.03
# More events, or files, than one save causes: a checkout, which has longer pauses.
BURST_CHANGES: Final = 20
QUIET_SECONDS_IN_BURST: Final = 0.25
BATCH_SECONDS_MAX: Final = 2.0
# Interval between two snapshots when polling; longer if a snapshot would take over 1/20 of a CPU.
POLL_SECONDS: Final = 0.25
POLL_SHARE: Final = 20
# How often to check the watched directories themselves, and single files: watchdog does not report
# that a directory was moved away or came back, and does not watch outside of them.
ROOT_SECONDS: Final = 1.0
_IN_CREATE: Final = 0x100  # inotify(7)
# watchdog's names for events that change nothing.
_READING: Final = ("opened", "closed_no_write")
# A batch names at most this many of its files.
NAMED_MAX: Final = 200


class Hints(Protocol):
    """Decides when to look at the tree."""

    def wait(self, before: Snapshot) -> None:
        """Return when something may have changed."""

    def settle(self, until: float) -> None:
        """Return when nothing has changed for a while, or at `until` (monotonic)."""

    def follow(self, snapshot: Snapshot) -> None:
        """Called with each new snapshot."""

    def close(self) -> None: ...


class Watcher:
    """Compares snapshots of `tree`; `report` gets each batch, `note` messages for the log. `before`
    is the first snapshot, if one was taken already."""

    def __init__(
        self,
        tree: Tree,
        report: Callable[[list[Change]], None],
        note: Callable[[str], None],
        *,
        poll: bool,
        pause: Callable[[float | None, int], bool],
        before: Snapshot | None = None,
    ) -> None:
        self._tree, self._report, self._note, self._pause = tree, report, note, pause
        self._hints: Hints = self._polling()
        self._before = before or tree.look()
        if not poll and _has_watchdog():
            self._hints = self._notified() or self._hints

    def turn(self, *, wait: bool = True) -> None:
        """Wait for the next batch and report it. Without `wait`, report the changes since the first
        snapshot, which were made before notifications started."""
        try:
            if wait:
                self._hints.wait(self._before)
                self._hints.settle(time.monotonic() + BATCH_SECONDS_MAX)
        except NotNotified as error:
            self._fall_back(error)
        now = self._tree.look()
        changes, self._before = now.changes_since(self._before), now
        try:
            self._hints.follow(now)
        except NotNotified as error:
            self._fall_back(error)
        if changes:
            self._report(changes)

    def _polling(self) -> Hints:
        return Polling(self._tree, self._pause)

    def _notified(self) -> Hints | None:
        hints = Notified(self._tree, self._pause)
        try:
            hints.follow(self._before)
        except NotNotified as error:
            hints.close()
            self._note(f"{error}; falling back to polling")
            return None
        return hints

    def _fall_back(self, error: "NotNotified") -> None:
        self._note(f"{error}; falling back to polling")
        self._hints.close()
        self._hints = self._polling()


# ---- polling


class Polling:
    def __init__(self, tree: Tree, pause: Callable[[float | None, int], bool]) -> None:
        self._tree, self._pause = tree, pause
        self._before = Snapshot({}, {})

    def wait(self, before: Snapshot) -> None:
        self._before = before
        took = 0.0
        while True:
            self._pause(max(POLL_SECONDS, took * POLL_SHARE), -1)
            began = time.monotonic()
            if self._tree.look().files != before.files:
                return
            took = time.monotonic() - began

    def settle(self, until: float) -> None:
        last = self._tree.look()
        while time.monotonic() < until:
            many = len(last.changes_since(self._before)) > BURST_CHANGES
            self._pause(QUIET_SECONDS_IN_BURST if many else QUIET_SECONDS, -1)
            now = self._tree.look()
            if now.files == last.files:
                return
            last = now

    def follow(self, snapshot: Snapshot) -> None:
        pass

    def close(self) -> None:
        pass


# ---- kernel notifications


class NotNotified(Exception):
    """The kernel does not send notifications, or no longer does; the text says why."""


def _has_watchdog() -> bool:
    try:
        importlib.import_module("watchdog.observers")
    except ImportError:
        return False
    return True


class Notified:
    """Watches the roots themselves, and recursively only those of their subdirectories that are not
    left out: the others can be large."""

    def __init__(self, tree: Tree, pause: Callable[[float | None, int], bool]) -> None:
        self._tree, self._pause = tree, pause
        self._woken, self._waking = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._waking, False)
        self._failure: str = ""
        self._watches: dict[str, tuple[tuple[int, int], Any]] = {}
        self._ended: set[str] = set()  # watches that ended when their directories were deleted
        self._observer: Any = None
        threading.excepthook = self._thread_failed

    def wait(self, before: Snapshot) -> None:
        while not self._pause(ROOT_SECONDS, self._woken):
            if any(_identity(root) != before.directories.get(root) for root in self._tree.roots):
                return
            if self._tree.single_file_has_changed(before):
                return
        self._take()

    def settle(self, until: float) -> None:
        events = 0
        while time.monotonic() < until:
            quiet = QUIET_SECONDS_IN_BURST if events > BURST_CHANGES else QUIET_SECONDS
            if not self._pause(quiet, self._woken):
                return
            events += self._take()

    def follow(self, snapshot: Snapshot) -> None:
        """Watch the directories of `snapshot`. Errors: NotNotified."""
        wanted = self._wanted(snapshot)
        try:
            if self._observer is None:
                self._observer = importlib.import_module("watchdog.observers").Observer()
                self._observer.start()
            ended = {self._ended.pop() for _ in range(len(self._ended))}
            for path, (identity, watch) in list(self._watches.items()):
                # A directory that is recreated immediately can get the inode of the old one.
                if path in ended or wanted.get(path, (None, False))[0] != identity:
                    del self._watches[path]
                    self._unschedule(watch)
            for path, (identity, recursive) in wanted.items():
                if path not in self._watches:
                    try:
                        watch = self._observer.schedule(self, path, recursive=recursive)
                    except (FileNotFoundError, NotADirectoryError):
                        self._wake()  # deleted already: look again
                        continue
                    self._watches[path] = (identity, watch)
                    self._wake()  # files created in it after the snapshot were not reported
            probe(self._tree.roots[0])
        except OSError as error:
            raise NotNotified(_why(error)) from None

    def _wanted(self, snapshot: Snapshot) -> dict[str, tuple[tuple[int, int], bool]]:
        """Path -> (identity, recursive) of the roots, their subdirectories, and directory links."""
        wanted = {}
        for path, identity in snapshot.directories.items():
            if path in self._tree.roots:
                wanted[path] = (identity, False)
            elif os.path.dirname(path) in self._tree.roots or os.path.islink(path):
                wanted[path] = (identity, True)
        return wanted

    def _unschedule(self, watch: Any) -> None:
        try:
            self._observer.unschedule(watch)
        except (KeyError, OSError):
            return  # the watch ended when its directory was deleted

    def dispatch(self, event: Any) -> None:
        """The event handler, which watchdog calls in its own thread."""
        if event.event_type in _READING or (event.is_directory and event.event_type == "modified"):
            return
        paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        if event.is_directory and event.event_type == "deleted" and paths[0] in self._watches:
            self._ended.add(paths[0])
            self._wake()
        if any(self._tree.matters(path, directory=event.is_directory) for path in paths):
            self._wake()

    def _thread_failed(self, failed: threading.ExceptHookArgs) -> None:
        error = failed.exc_value
        self._failure = (
            _why(error) if isinstance(error, OSError) else f"watchdog failed ({error!r})"
        )
        self._wake()

    def _wake(self) -> None:
        try:
            os.write(self._waking, b".")
        except BlockingIOError:
            return  # the pipe is full, so wait() returns anyway

    def _take(self) -> int:
        """Take the events from the pipe, and return their number. Errors: NotNotified."""
        events = 0
        try:
            while data := os.read(self._woken, 65536):
                events += len(data)
        except BlockingIOError:
            pass
        if self._failure:
            raise NotNotified(self._failure)
        return events

    def close(self) -> None:
        if self._observer is not None:
            self._observer.stop()


def probe(directory: str) -> None:
    """Raise OSError if the kernel cannot watch one more directory: watchdog does not report that it
    could not watch a subdirectory."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_CLOEXEC)
    if descriptor < 0:
        return  # the limit on inotify instances is reached, but watchdog has its own already
    try:
        if libc.inotify_add_watch(descriptor, os.fsencode(directory), _IN_CREATE) < 0:
            error = ctypes.get_errno()
            if error == errno.ENOSPC:
                raise OSError(error, os.strerror(error))
    finally:
        os.close(descriptor)


def _identity(directory: str) -> tuple[int, int] | None:
    try:
        found = os.stat(directory)
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def _why(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "The kernel's limit on watched directories is reached (fs.inotify.max_user_watches)"
    if error.errno == errno.EMFILE:
        return "The kernel's limit on watchers is reached (fs.inotify.max_user_instances)"
    return f"The kernel does not report changed files ({error})"


# ---- the process


@dataclass(frozen=True)
class WatcherJob:
    """The job of the watcher process."""

    tree: Tree
    before: Snapshot | None
    poll: bool
    channel: Channel
    supervisor: int
    listeners: Listeners

    def run(self) -> int:
        """Report batches until the supervisor exits."""
        self.listeners.hand_over()
        forking.die_with(self.supervisor)
        signals.become_child(None)
        watcher = Watcher(
            self.tree,
            self._report,
            self._note,
            poll=self.poll,
            pause=self._pause,
            before=self.before,
        )
        self.channel.send(ReloadReport.WATCHING)
        watcher.turn(wait=False)
        while True:
            watcher.turn()

    def _report(self, changes: list[Change]) -> None:
        self.channel.send(ReloadReport.CHANGED, pack(changes))

    def _note(self, text: str) -> None:
        self.channel.send(ReloadReport.NOTE, text)

    def _pause(self, seconds: float | None, descriptor: int) -> bool:
        """Wait at most `seconds` until `descriptor` (-1: none) is readable, and return whether it
        is. Exits the process when the supervisor has exited."""
        poll = select.poll()
        poll.register(self.channel.fileno(), select.POLLIN)
        if descriptor >= 0:
            poll.register(descriptor, select.POLLIN)
        ready = {number for number, _ in poll.poll(None if seconds is None else seconds * 1000)}
        if self.channel.fileno() in ready:
            message = self.channel.receive()
            if message is not None and message.kind == GONE:
                os._exit(0)
        return descriptor in ready


def pack(changes: Sequence[Change]) -> str:
    """Encode a batch as one message: the number of changes, and the first of them."""
    named = (f"{kind} {path}" for kind, path in changes[:NAMED_MAX])
    return "\0".join([str(len(changes)), *named])


def unpack(text: str) -> tuple[int, list[Change]]:
    """Decode a message of pack(): the number of changes, and the first of them."""
    count, *named = text.split("\0")
    return int(count), [Change(*one.split(" ", 1)) for one in named if " " in one]
