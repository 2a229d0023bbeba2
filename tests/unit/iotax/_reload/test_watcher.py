"""The changes that the watcher process reports, with kernel notifications and without.

Tests wait for its messages, never for time to pass.
"""

import os
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import patience

from iotax._processes.channel import Channel, Message
from iotax._processes.protocol import GONE
from iotax._reload.reports import ReloadReport
from iotax._reload.tree import CREATED, DELETED, MODIFIED
from iotax._reload.watcher import NAMED_MAX, unpack

CODE = """
import sys
from iotax._net.listeners import Listeners
from iotax._processes.channel import Channel
from iotax._reload.tree import Names, Tree
from iotax._reload.watcher import WatcherJob
roots, poll, descriptor, supervisor = sys.argv[1:5]
if len(sys.argv) > 5:
    exec(sys.argv[5])
channel = Channel.from_descriptor(int(descriptor))
tree = Tree(roots.split(","), Names())
WatcherJob(tree, None, poll == "poll", channel, int(supervisor), Listeners(())).run()
"""
LIMIT_REACHED = """
import errno
from watchdog.observers.inotify_c import InotifyFD
def no_more(*_):
    raise OSError(errno.{name}, "limit")
InotifyFD.add_callback = no_more
"""
LIMIT_REACHED_LATER = """
import errno, os
from iotax._reload import watcher
from watchdog.observers.inotify_c import InotifyFD
add, ask, failed = InotifyFD.add_callback, watcher.probe, []
def no_more(self, path, *more):
    if os.fsdecode(path).endswith("one_too_many"):
        failed.append(path)
        raise OSError(errno.ENOSPC, "limit")
    return add(self, path, *more)
def probe(directory):
    if failed:
        raise OSError(errno.ENOSPC, "limit")
    ask(directory)
InotifyFD.add_callback, watcher.probe = no_more, probe
"""

WRITTEN_BEFORE_IT_IS_WATCHED = """
import os
from iotax._reload import watcher
follow = watcher.Notified.follow
def late(self, snapshot):
    for directory in snapshot.directories:
        if directory.endswith("new") and not os.path.exists(directory + "/late.py"):
            open(directory + "/late.py", "w").close()
    follow(self, snapshot)
watcher.Notified.follow = late
"""


class Watch:
    """A watcher process, seen through its channel."""

    def __init__(self, *roots: Path, poll: bool = False, first: str = "") -> None:
        self.channel, theirs = Channel.pair()
        os.set_inheritable(theirs.fileno(), True)
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", CODE, ",".join(map(str, roots))),
                *("poll" if poll else "notify", str(theirs.fileno()), str(os.getpid())),
                *([first] if first else []),
            ],
            pass_fds=[theirs.fileno()],
        )
        theirs.close()

    def message(self) -> Message:
        if not select.select([self.channel], [], [], patience.SECONDS)[0]:
            raise AssertionError("the watcher says nothing")
        message = self.channel.receive()
        assert message is not None
        return message

    def changes(self) -> list[tuple[str, str]]:
        message = self.message()
        assert message.kind == ReloadReport.CHANGED, message
        return [(kind, Path(path).name) for kind, path in unpack(message.text)[1]]

    def until(self, *wanted: tuple[str, str]) -> None:
        """Wait until all of these have been reported."""
        left = set(wanted)
        while left:
            left -= set(self.changes())


def put(path: Path, text: str) -> None:
    """Write the file in one step, as editors do. `write_text()` takes two, and a watcher that takes
    a snapshot between them correctly reports both."""
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.write_text(text)
    unfinished.rename(path)


@pytest.fixture
def watch() -> Iterator[Callable[..., Watch]]:
    started: list[Watch] = []

    def start(*roots: Path, **more: object) -> Watch:
        started.append(Watch(*roots, **more))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for one in started:
        one.channel.close()
        assert one.process.wait(patience.SECONDS) == 0


@pytest.fixture(params=["notify", "poll"])
def begun(
    request: pytest.FixtureRequest, watch: Callable[..., Watch], project: Path
) -> Callable[..., Watch]:
    """Start to watch the project, with notifications and with polling."""

    def begin(*roots: Path) -> Watch:
        one = watch(*(roots or (project,)), poll=request.param == "poll")
        assert one.message().kind == ReloadReport.WATCHING
        return one

    return begin


def test_a_new_a_written_and_a_deleted_file_are_reported(
    begun: Callable[..., Watch], project: Path
) -> None:
    watch = begun()
    put(project / "main.py", "1")
    assert watch.changes() == [(CREATED, "main.py")]
    put(project / "main.py", "2")
    assert watch.changes() == [(MODIFIED, "main.py")]
    (project / "main.py").unlink()
    assert watch.changes() == [(DELETED, "main.py")]


def test_a_file_that_an_editor_replaces_is_reported_as_modified(
    begun: Callable[..., Watch], project: Path
) -> None:
    put(project / "main.py", "1")
    watch = begun()
    put(project / "main.py", "2")
    assert watch.changes() == [(MODIFIED, "main.py")]


def test_a_moved_file_is_reported(begun: Callable[..., Watch], project: Path) -> None:
    put(project / "old.py", "1")
    watch = begun()
    (project / "old.py").rename(project / "new.py")
    watch.until((DELETED, "old.py"), (CREATED, "new.py"))


def test_excluded_files_are_not_reported(begun: Callable[..., Watch], project: Path) -> None:
    (project / "venv").mkdir()
    (project / "package").mkdir()
    watch = begun()
    for name in ("venv/x.py", "notes.txt", ".#main.py", "package/x.log", "package/main.py~"):
        put(project / name, "1")
    put(project / "package/last.py", "1")
    assert watch.changes() == [(CREATED, "last.py")]


def test_new_directories_are_watched(begun: Callable[..., Watch], project: Path) -> None:
    watch = begun()
    (project / "a/b").mkdir(parents=True)
    put(project / "a/b/x.py", "1")
    assert watch.changes() == [(CREATED, "x.py")]
    put(project / "a/b/x.py", "22")
    assert watch.changes() == [(MODIFIED, "x.py")]


def test_a_checkout_is_one_batch(begun: Callable[..., Watch], project: Path) -> None:
    for number in range(20):
        (project / f"p{number}").mkdir()
    watch = begun()
    for number in range(2000):
        put(project / f"p{number % 20}/m{number}.py", "1")
    counts = []
    while sum(counts) < 2000:
        message = watch.message()
        assert message.kind == ReloadReport.CHANGED
        counts.append(unpack(message.text)[0])
        assert len(unpack(message.text)[1]) <= NAMED_MAX
    assert len(counts) <= 3  # one, unless this process had to wait for a CPU
    put(project / "last.py", "1")
    assert watch.changes() == [(CREATED, "last.py")]


def test_a_directory_that_is_deleted_and_recreated_is_watched_again(
    begun: Callable[..., Watch], project: Path
) -> None:
    (project / "a").mkdir()
    put(project / "a/x.py", "1")
    watch = begun()
    shutil.rmtree(project / "a")
    watch.until((DELETED, "x.py"))
    (project / "a").mkdir()
    put(project / "a/x.py", "1")
    watch.until((CREATED, "x.py"))
    put(project / "a/x.py", "22")
    watch.until((MODIFIED, "x.py"))


@pytest.mark.parametrize("name", ["", "below"])
def test_a_recreated_directory_with_the_same_inode_is_watched_again(
    begun: Callable[..., Watch], tmp_path: Path, name: str
) -> None:
    """The file system reuses its inode for the next directory, so nothing seems to have changed."""
    root = tmp_path / "root"
    directory = root / name
    directory.mkdir(parents=True)
    put(directory / "x.py", "")
    watch = begun(root)
    for text in map(str, range(8, 12)):
        shutil.rmtree(directory)
        directory.mkdir()
        put(directory / "x.py", text)
        while (DELETED, "x.py") in watch.changes():
            pass
        put(directory / "x.py", text + " and more")
        watch.until((MODIFIED, "x.py"))


@pytest.mark.parametrize("how", ["removed", "moved"])
def test_the_root_directory_is_watched_again_after_it_comes_back(
    begun: Callable[..., Watch], tmp_path: Path, how: str
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    put(root / "x.py", "1")
    watch = begun(root)
    shutil.rmtree(root) if how == "removed" else root.rename(tmp_path / "elsewhere")
    watch.until((DELETED, "x.py"))
    root.mkdir()
    put(root / "x.py", "1")
    watch.until((CREATED, "x.py"))
    put(root / "x.py", "22")
    watch.until((MODIFIED, "x.py"))


def test_targets_of_links_are_watched(
    begun: Callable[..., Watch], project: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    (other / "below").mkdir(parents=True)
    (project / "link").symlink_to(other)
    watch = begun()
    put(other / "below/x.py", "1")
    assert watch.changes() == [(CREATED, "x.py")]


def test_several_root_directories_are_watched(
    begun: Callable[..., Watch], project: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    watch = begun(project, other)
    put(other / "x.py", "1")
    put(project / "y.py", "1")
    watch.until((CREATED, "x.py"), (CREATED, "y.py"))


@pytest.mark.parametrize("name", ["ENOSPC", "EMFILE"])
def test_watcher_polls_when_the_kernels_limit_is_reached(
    watch: Callable[..., Watch], project: Path, name: str
) -> None:
    one = watch(project, first=LIMIT_REACHED.format(name=name))
    note = one.message()
    assert note.kind == ReloadReport.NOTE
    assert "limit on watche" in note.text
    assert one.message().kind == ReloadReport.WATCHING
    put(project / "main.py", "1")
    assert one.changes() == [(CREATED, "main.py")]


def test_watcher_polls_when_the_limit_is_reached_later(
    watch: Callable[..., Watch], project: Path
) -> None:
    (project / "a").mkdir()
    one = watch(project, first=LIMIT_REACHED_LATER)
    assert one.message().kind == ReloadReport.WATCHING
    (project / "a/one_too_many").mkdir()
    assert "limit on watched directories" in one.message().text
    put(project / "a/one_too_many/x.py", "1")
    one.until((CREATED, "x.py"))


def test_watcher_polls_without_watchdog(watch: Callable[..., Watch], project: Path) -> None:
    one = watch(project, first="sys.modules['watchdog'] = None")
    assert one.message().kind == ReloadReport.WATCHING
    put(project / "main.py", "1")
    assert one.changes() == [(CREATED, "main.py")]


def test_watcher_exits_with_the_supervisor(watch: Callable[..., Watch], project: Path) -> None:
    one = watch(project)
    assert one.message().kind == ReloadReport.WATCHING
    one.channel.close()
    assert one.process.wait(patience.SECONDS) == 0


def test_files_created_in_a_new_directory_before_it_is_watched_are_reported(
    watch: Callable[..., Watch], project: Path
) -> None:
    one = watch(project, first=WRITTEN_BEFORE_IT_IS_WATCHED)
    assert one.message().kind == ReloadReport.WATCHING
    put(project / "main.py", "1")
    one.until((CREATED, "main.py"))
    (project / "new").mkdir()
    put(project / "new/first.py", "")
    seen: list[str] = []
    while not seen or not seen[-1].endswith("late.py"):
        seen += sorted(path for _, path in unpack(one.message().text)[1])
    assert [Path(path).name for path in seen] == ["first.py", "late.py"]


def test_the_message_of_a_batch_has_a_maximum_length(
    watch: Callable[..., Watch], project: Path
) -> None:
    directory = project / ("x" * 200) / ("y" * 200) / ("z" * 200)
    one = watch(project)
    assert one.message().kind == ReloadReport.WATCHING
    directory.mkdir(parents=True)
    for number in range(300):
        put(directory / f"{'m' * 200}{number}.py", "")
    total = 0
    while total < 300:
        message = one.message()
        assert message.kind != GONE
        total += unpack(message.text)[0]
