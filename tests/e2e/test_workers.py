"""The life of a worker: its start, exit, recycling, and what it inherits."""

import itertools
import os
import re
import shutil
import signal
from datetime import datetime
from pathlib import Path

import pytest
from support.processes import (
    children,
    has_ended,
    listening_inode,
    sockets,
    threads,
    wait_for_end,
)
from support.server import run_command
from support.wire import Connection

AGE = r"\d+(\.\d)? s"


@pytest.fixture
def gate(gates):
    return gates("a")


@pytest.fixture
def trouble(start, tmp_path):
    """trouble("--workers", "2"): a server of apps/trouble.py."""
    return lambda *options, **more: start(
        "trouble", *map(str, options), env={"GATES": str(tmp_path)}, **more
    )


def ask(server, path):
    """The body of the response, over a new connection."""
    with Connection(server.port) as connection:
        return connection.ask(path, "Connection: close").text


def worker_that_answers(server):
    return int(ask(server, "/").split()[0])


# ---- deaths


DEATHS = [
    ("/exit/3", r"exit code 3"),
    ("/exit/0", r"exit code 0"),
    ("/signal/SIGKILL", r"SIGKILL"),
    ("/signal/SIGABRT", r"SIGABRT"),
    ("/segfault", r"SIGSEGV"),
]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("path", "cause"), DEATHS)
def test_death_is_one_line_and_the_worker_is_replaced(trouble, workers, path, cause):
    """With its cause, the request that it ran, and its age, for any exit code."""
    server = trouble("--workers", workers)
    server.wait_for_workers(workers)
    with Connection(server.port) as connection:
        connection.get(path)
        assert connection.rest() == b""
    found = server.err.wait_for(rf"ERROR: .*Worker \[(\d+)\].*{cause}.*GET {path}[^,;]*{AGE}.*$")
    dead = int(found[1])
    server.wait_for_workers(workers + 1)
    assert worker_that_answers(server) != dead
    assert len(server.workers()) == workers
    assert len(re.findall(r"ERROR: ", server.err.text)) == 1
    server.stop()  # with exit code 0: the application was loaded


def test_death_of_an_idle_worker_is_logged_and_it_is_replaced(trouble):
    server = trouble()
    (pid,) = server.workers()
    os.kill(pid, signal.SIGKILL)
    server.err.wait_for(rf"ERROR: .*Worker \[{pid}\].*SIGKILL from outside.*no request")
    server.wait_for_workers(2)
    assert worker_that_answers(server) != pid


def test_every_request_of_a_dead_worker_is_named(trouble, gate):
    server = trouble("--threads", 3)
    (pid,) = server.workers()
    connections = [Connection(server.port) for _ in range(2)]
    for connection in connections:
        connection.get("/gate/a")
    gate.wait_entered(2)
    os.kill(pid, signal.SIGKILL)
    server.err.wait_for(rf"ERROR: .*SIGKILL from outside(.*GET /gate/a \({AGE}){{2}}")
    for connection in connections:
        assert connection.rest() == b""
        connection.close()
    server.wait_for_workers(2)


DIES_YOUNG = """
import os, threading
def app(environ, start_response): pass
threading.Timer(0.02, os._exit, [7]).start()
"""


def test_backoff_grows_while_workers_die_young(start, project):
    server = start("main:app", cwd=project("main", DIES_YOUNG))
    server.err.wait_for(r"ERROR: .*exit code 7", 4)
    server.wait_for_workers(5)
    stamps = re.findall(r"^(\S+) \[\d+\] INFO: +Started server process", server.err.text, re.M)
    times = [datetime.fromisoformat(stamp).timestamp() for stamp in stamps]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    for pause, least in zip(pauses, [0.1, 0.2, 0.4, 0.8], strict=False):
        assert pause >= least, pauses
    server.stop()


# ---- boot


@pytest.fixture(params=[(), ("--preload",), ("--workers", "2")], ids=" ".join)
def way(request):
    return request.param


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import os\nos._exit(0)", "exit code 0"),
        ("import os\nos._exit(5)", "exit code 5"),
        ("import os\nos.kill(os.getpid(), 9)", "SIGKILL"),
        ("import os\nos.abort()", "SIGABRT"),
        ("import os\nwhile True: os.read(os.pipe()[0], 1)", "--boot-timeout"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_application_that_does_not_boot_exits_with_3(project, way, text, words):
    done = run_command(
        "main:app", *way, "--boot-timeout", "500ms", "--port", "0", cwd=project("main", text)
    )
    assert done.returncode == 3, done.stderr
    assert words in done.stderr
    assert "Listening" not in done.stderr


def version(number):
    return f"""
import os
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"%d version {number}" % os.getpid()]
"""


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("x = (", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(0)", "SystemExit"),
        ("import os\nos._exit(0)", "exit code 0"),
        ("import os\nos.kill(os.getpid(), 9)", "SIGKILL"),
        ("import os\nos.read(os.pipe()[0], 1)", "--boot-timeout"),
        ("", "main:app"),
    ],
)
def test_hup_with_broken_code_keeps_the_old_code_serving(start, project, way, broken, words):
    directory = project("main", version(1))
    server = start("main:app", *way, "--boot-timeout", "2s", cwd=directory)
    old = server.wait_for_answers_of(2 if "2" in way else 1)
    project("main", broken)
    server.send_signal(signal.SIGHUP)
    server.err.wait_for(rf"ERROR: (.|\n)*{re.escape(words)}")
    assert "version 1" in ask(server, "/")
    assert set(old) <= set(server.workers())  # other workers are tried repeatedly
    project("main", version(2))
    server.send_signal(signal.SIGHUP)
    wait_for_end(*old)
    assert "version 2" in ask(server, "/")
    server.stop()


def test_hup_serves_the_new_code(start, project, way):
    directory = project("main", version(1))
    server = start("main:app", *way, cwd=directory)
    for number in (2, 3):
        old = server.wait_for_answers_of(2 if "2" in way else 1)
        project("main", version(number))
        server.send_signal(signal.SIGHUP)
        wait_for_end(*old)
        assert f"version {number}" in ask(server, "/")


def test_listener_stays_open_while_a_worker_is_replaced(trouble, gate):
    """And the old worker finishes its requests."""
    server = trouble()
    (old,) = server.workers()
    with Connection(server.port) as slow:
        slow.get("/gate/a")
        gate.wait_entered()
        listener = listening_inode(server.port)
        server.send_signal(signal.SIGHUP)
        server.err.wait_for(rf"Worker \[\d+\] replaces \[{old}\]")
        while listener in sockets(old):  # until the order has arrived
            os.sched_yield()
        for _ in range(20):
            assert worker_that_answers(server) != old
        gate.let_go()
        answer = slow.answer()
        assert answer.text.split()[0] == str(old)
        assert answer.get("Connection") == "close"
    wait_for_end(old)


def test_idle_connection_gets_one_more_response_after_hup(trouble):
    server = trouble()
    (old,) = server.workers()
    with Connection(server.port) as connection:
        assert connection.ask("/").get("Connection") is None
        server.send_signal(signal.SIGHUP)
        server.err.wait_for(rf"Worker \[\d+\] replaces \[{old}\]")
        while True:  # until the order has arrived at the old one
            answer = connection.ask("/")
            assert answer.text.split()[0] == str(old)
            if answer.get("Connection") == "close":
                break
        assert connection.is_closed()
    wait_for_end(old)


def test_idle_connection_ends_with_its_keep_alive_after_hup(trouble):
    server = trouble("--keep-alive", "500ms")
    (old,) = server.workers()
    with Connection(server.port) as connection:
        assert connection.ask("/").status == 200
        server.send_signal(signal.SIGHUP)
        assert connection.is_closed()
        wait_for_end(old)


def test_worker_that_ends_survives_the_order_to_dump_its_stacks(start, gate, tmp_path):
    """That of USR2, which comes at any time: no process is left that could follow it."""
    dump = signal.SIGRTMAX - 1
    server = start("trouble", env={"GATES": str(tmp_path), "EXIT_GATE": "a"})
    (old,) = server.workers()
    assert not masked(old, "SigIgn", dump)
    assert masked(old, "SigCgt", dump)
    server.send_signal(signal.SIGHUP)
    gate.wait_entered()
    assert masked(old, "SigIgn", dump)
    gate.let_go(2)
    wait_for_end(old)
    server.stop()


def masked(pid, name, number):
    """Whether the signal is in this mask of the process, as named in proc(5)."""
    text = Path(f"/proc/{pid}/status").read_text()
    mask = int(re.search(rf"^{name}:\s+(\w+)$", text, re.M)[1], 16)
    return bool(mask >> (number - 1) & 1)


# ---- recycling


def test_recycling_logs_its_reason(trouble):
    server = trouble("--max-requests", 5, "--max-requests-jitter", 0)
    (old,) = server.workers()
    with Connection(server.port) as connection:
        for _ in range(5):
            assert connection.ask("/").text.split()[0] == str(old)
        server.err.wait_for(rf"INFO: .*\[{old}\].*5.*--max-requests")
    wait_for_end(old)
    assert worker_that_answers(server) != old


def test_worker_over_its_lifetime_is_replaced(trouble):
    server = trouble("--worker-lifetime", "500ms")
    (old,) = server.workers()
    wait_for_end(old)
    server.err.wait_for(rf"INFO: .*\[{old}\].*{AGE}")
    assert worker_that_answers(server) != old


def test_worker_over_its_memory_limit_drains_before_another_starts(trouble):
    """The old one drains before the new one starts: memory may be too short for two."""
    server = trouble("--worker-max-rss", "150M")
    (old,) = server.workers()
    assert ask(server, f"/grow/{200 << 20}")
    server.err.wait_for(rf"INFO: .*\[{old}\]: it uses \d{{3}}(\.\d)? MiB .*150 MiB")
    server.err.wait_for(rf"\[{old}\] drains before another one starts")
    wait_for_end(old)
    assert worker_that_answers(server) != old
    text = server.err.text
    assert text.index("drains before") < text.rindex("Started server process")


# ---- releases behind a symbolic link

RELEASE = """
import os, part
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {part.name} {os.path.basename(os.getcwd())}".encode()]
"""


@pytest.fixture
def releases(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name / "lib").mkdir(parents=True)
        (tmp_path / name / "main.py").write_text(RELEASE)
        (tmp_path / name / "lib/part.py").write_text(f"name = {name!r}\n")
    (tmp_path / "current").symlink_to("one")
    return tmp_path


@pytest.mark.parametrize("options", [(), ("--preload",), ("--reload",)], ids=" ".join)
@pytest.mark.parametrize("how", ["chdir", "relative chdir", "start directory"])
def test_a_new_worker_runs_the_release_that_the_link_names(start, releases, how, options):
    current = releases / "current"
    env, directory, chdir = {}, releases, ()
    if how == "start directory":
        env, directory = {"PWD": str(current)}, current
    else:
        chdir = ("--chdir", str(current) if how == "chdir" else "current")
    server = start("main:app", "--pythonpath", "lib", *chdir, *options, cwd=directory, env=env)
    old, *names = ask(server, "/").split()
    assert names == ["one", "one"]
    (releases / "next").symlink_to("two")
    (releases / "next").rename(current)
    server.send_signal(signal.SIGHUP)
    while (answer := ask(server, "/").split())[1] == "one":
        assert server.process.poll() is None
    assert answer[1:] == ["two", "two"]
    wait_for_end(int(old))  # it may serve until it has exited
    shutil.rmtree(releases / "one")
    os.kill(int(answer[0]), signal.SIGKILL)
    wait_for_end(int(answer[0]))
    assert ask(server, "/").split()[1:] == ["two", "two"]


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=" ".join)
def test_a_missing_directory_is_reported_and_the_workers_stay(start, releases, options):
    server = start("main:app", "--pythonpath", "lib", "--chdir", "current", *options, cwd=releases)
    before = ask(server, "/")
    (releases / "current").rename(releases / "elsewhere")
    server.send_signal(signal.SIGHUP)
    server.err.wait_for(rf"Problem: .*{releases}/current: No such file or directory")
    assert ask(server, "/") == before
    (releases / "elsewhere").rename(releases / "current")
    server.send_signal(signal.SIGHUP)
    while ask(server, "/") == before:
        assert server.process.poll() is None


# ---- preload


def test_preload_imports_once(trouble):
    server = trouble("--preload", "--workers", 2)
    pids = server.wait_for_answers_of(2)
    (importer,) = {int(ask(server, "/").split()[1]) for _ in range(20)}
    assert importer not in pids
    assert importer in children(server.pid)
    assert set(pids) <= set(children(server.pid))
    assert threads(importer) == 1


LEAVES_BEHIND = """
import asyncio, socket, threading
def app(environ, start_response): pass
over = threading.Event()
threading.Thread(target=over.wait, name="collector", daemon=True).start()
kept = socket.socket()
loop = asyncio.new_event_loop()
"""


def test_preload_warns_of_threads_of_the_import(start, project):
    server = start("main:app", "--preload", cwd=project("main", LEAVES_BEHIND))
    warnings = "\n".join(re.findall(r"WARNING: .*", server.err.text))
    assert "collector" in warnings
    assert "socket" in warnings
    assert "event loop" in warnings


RESTARTS = """
import os, threading
def app(environ, start_response): pass
over = threading.Event()
def begin(_=None):
    threading.Thread(target=over.wait, name="exporter", daemon=True).start()
begin()
os.register_at_fork(after_in_child=begin)
"""


def test_preload_does_not_warn_of_threads_that_their_library_starts_again(start, project):
    """In the child of a fork, as OpenTelemetry and ddtrace do."""
    server = start("main:app", "--preload", cwd=project("main", RESTARTS))
    assert "WARNING" not in server.err.text


HANGS_AFTER_A_FORK = RESTARTS.replace("after_in_child=begin", "after_in_child=first_child")
HANGS_AFTER_A_FORK = HANGS_AFTER_A_FORK.replace(
    "os.register",
    """
def first_child():
    try:
        os.mkdir("tried")
    except FileExistsError:
        return
    threading.Event().wait()
os.register""",
)


def test_preload_does_not_wait_for_a_trial_that_hangs(start, project):
    server = start("main:app", "--preload", cwd=project("main", HANGS_AFTER_A_FORK))
    assert re.search("WARNING: .*exporter", server.err.text)


EXITS = """
import atexit, logging, os, pathlib, tempfile, weakref
from atexit import register

class Kept: pass
kept = Kept()

def note(word):
    with open("exits", "a") as file:
        file.write(f"{word} {os.getpid()}\\n")

atexit.register(note, "import")
register(note, "import as a name")
weakref.finalize(kept, note, "finalizer of the import")
directory = tempfile.TemporaryDirectory()

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/register":
        register(note, "worker")
        weakref.finalize(kept, note, "finalizer of the worker")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {os.path.isdir(directory.name)} {directory.name}".encode()]
"""


def exits(directory):
    path = directory / "exits"
    return (
        [tuple(line.rsplit(" ", 1)) for line in path.read_text().splitlines()]
        if path.exists()
        else []
    )


def test_preload_runs_exit_functions_of_the_import_once_at_the_end(start, project):
    """In the template; functions that a worker registers run in the worker."""
    directory = project("main", EXITS)
    server = start("main:app", "--preload", "--workers", "2", cwd=directory)
    first = server.wait_for_answers_of(2)
    registered = {int(ask(server, "/register").split()[0]) for _ in range(20)}
    os.kill(first[0], signal.SIGTERM)
    wait_for_end(first[0])
    _, is_there, temporary = ask(server, "/").split()
    assert is_there == "True", "the end of a worker has removed what the others use"
    server.stop()
    found = exits(directory)
    imported = [one for one in found if "import" in one[0]]
    assert sorted(word for word, _ in imported) == [
        "finalizer of the import",
        "import",
        "import as a name",
    ]
    (template,) = {int(pid) for _, pid in imported}
    assert template not in server.started()
    assert found[-len(imported) :] == imported, "the workers have gone before"
    assert {int(pid) for word, pid in found if word == "worker"} == registered
    assert not os.path.exists(temporary)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_exit_functions_of_the_template_run_when_the_whole_group_gets_the_signal(
    start, project, number
):
    directory = project("main", EXITS)
    server = start("main:app", "--preload", cwd=directory, new_session=True)
    os.killpg(server.pid, number)
    assert server.wait() == 0
    assert len(exits(directory)) == 3


def test_a_template_ends_with_the_last_of_its_workers(start, project):
    """HUP: resources that exit functions of the former import release are in use as long as its
    workers run."""
    directory = project("main", EXITS)
    server = start("main:app", "--preload", cwd=directory)
    old = int(ask(server, "/").split()[0])
    server.send_signal(signal.SIGHUP)
    server.err.wait_for(rf"Worker \[\d+\] replaces \[{old}\]")
    wait_for_end(old)
    while len(exits(directory)) < 3:
        assert server.process.poll() is None
    assert ask(server, "/").split()[1] == "True"
    server.stop()
    assert len(exits(directory)) == 6


HANGING_EXIT = """
import atexit, threading
atexit.register(threading.Event().wait)
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"here"]
"""


def test_an_exit_function_of_the_template_that_hangs_is_not_waited_for(start, project):
    directory = project("main", HANGING_EXIT)
    server = start("main:app", "--preload", "--graceful-timeout", "100ms", cwd=directory)
    assert ask(server, "/") == "here"
    server.stop()


def test_template_that_dies_is_replaced(trouble):
    server = trouble("--preload")
    (worker,) = server.workers()
    (template,) = set(children(server.pid)) - {worker}
    os.kill(template, signal.SIGKILL)
    server.err.wait_for(rf"ERROR: .*\[{template}\].*SIGKILL")
    os.kill(worker, signal.SIGKILL)
    server.wait_for_workers(2)
    assert worker_that_answers(server) != worker


def test_template_that_dies_before_it_forks(trouble):
    """The worker that it should fork never existed: neither a replacement nor a stop waits for
    it."""
    server = trouble("--preload")
    (worker,) = server.workers()
    (template,) = set(children(server.pid)) - {worker}
    os.kill(template, signal.SIGSTOP)
    os.kill(worker, signal.SIGTERM)
    server.err.wait_for(rf"Replacing worker \[{worker}\]")
    os.kill(template, signal.SIGKILL)
    server.err.wait_for(rf"ERROR: .*\[{template}\].*SIGKILL")
    wait_for_end(worker)
    assert worker_that_answers(server) != worker


FORK_FAILS = """
import atexit, errno, os
from iotax._runtime import native
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"%d served" % os.getpid()]
def note():
    with open("exited", "a") as file:
        file.write(f"{os.getpid()}")
atexit.register(note)
fork = native.fork
def no_room():
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
def first():
    native.fork = second
    no_room()
def second():
    native.fork = no_room  # in the process in the middle
    if pid := fork():
        native.fork = fork
    return pid
native.fork = first
"""


def test_fork_that_fails_in_the_template_is_tried_again(start, project):
    """In the template, and in the process between it and the worker."""
    directory = project("main", FORK_FAILS)
    server = start("main:app", "--preload", cwd=directory)
    assert "served" in ask(server, "/")
    assert len(re.findall("ERROR: .*Resource temporarily unavailable", server.err.text)) == 1
    assert "internal error" not in server.err.text
    assert not (directory / "exited").exists(), "exit functions of the application have run"


# ---- what a worker inherits


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=" ".join)
def test_workers_inherit_no_descriptor_of_each_other(trouble, options):
    """The listener once; nothing of another worker."""
    server = trouble("--workers", 3, *options)
    for _ in range(3):
        old = server.wait_for_answers_of(3)
        look_at_descriptors(server)
        server.send_signal(signal.SIGHUP)
        wait_for_end(*old)


def look_at_descriptors(server):
    listener = listening_inode(server.port)
    of_supervisor = sockets(server.pid)
    assert of_supervisor.count(listener) == 1
    found = {pid: sockets(pid) for pid in server.workers()}
    assert len(found) == 3
    others = set(of_supervisor)
    for pid, inodes in found.items():
        assert inodes.count(listener) == 1, (pid, inodes)
        assert set(inodes) & others == {listener}
        others |= set(inodes)


def test_workers_0_serves_in_the_process_itself(start):
    server = start("trouble", "--workers", "0")
    assert worker_that_answers(server) == server.pid
    assert children(server.pid) == []
    assert "supervisor" not in server.err.text


def test_supervisor_waits_for_orphans_of_the_application(trouble, gate):
    """It is their parent, so they must not stay zombies."""
    server = trouble()
    pid = int(ask(server, "/orphan"))
    gate.wait_entered()
    gate.let_go()
    wait_for_end(pid)
    while pid in children(server.pid):
        assert has_ended(pid)
        ask(server, "/")
