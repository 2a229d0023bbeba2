"""The hooks of --hooks in real processes: their order, argument and process; failures; metrics."""

import ast
import importlib.util
import os
import re
import signal
import time

import pytest
from support import patience
from support.processes import wait_for_end
from support.server import run_command
from support.wire import Connection

APP = """
import atexit, os
def tell(what): os.write(1, f"{os.getpid()} {what}\\n".encode())
tell("import")
atexit.register(tell, "atexit")
def app(environ, start_response):
    start_response("200 OK", [])
    return [f"{os.getpid()} {os.environ['IOTAX_WORKER']}".encode()]
"""
HOOKS = """
import os, threading
def tell(name, info):
    main = threading.current_thread() is threading.main_thread()
    told = (info.number, info.pid, round(info.age), info.cause, info.exit_code)
    line = f"{os.getpid()} {name} {told} {os.environ.get('IOTAX_WORKER')} {main}\\n"
    os.write(1, line.encode())  # whole, as other processes write there too
def worker_start(info): tell("worker_start", info)
def worker_ready(info): tell("worker_ready", info)
def worker_exit(info): tell("worker_exit", info)
def child_exit(info): tell("child_exit", info)
"""


@pytest.fixture
def directory(project):
    project("main", APP)
    return project("hooks", HOOKS)


@pytest.fixture
def serve(start, directory):
    def serve(*options, **more):
        return start(
            "main:app", "--hooks", "hooks", "--no-access-log", *options, cwd=directory, **more
        )

    return serve


def told_by(server, pid):
    """What the process has printed, without its number."""
    return [
        line.partition(" ")[2]
        for line in server.out.text.splitlines()
        if line.startswith(f"{pid} ")
    ]


def ask(server):
    with Connection(server.port) as connection:
        return connection.ask("/", "Connection: close").text


def of_worker(name, number, pid, *, in_worker=True, cause="", code=None):
    shown = str(number) if in_worker else None
    return f"{name} {(number, pid, 0, cause, code)} {shown} True"


@pytest.mark.parametrize(
    "options", [(), ("--preload",), ("--workers=0",), ("--reload",)], ids=" ".join
)
def test_hooks_run_in_their_order_and_process_with_their_argument(serve, options):
    server = serve(*options)
    pid = int(ask(server).split()[0])
    assert ask(server) == f"{pid} 1"
    server.stop(signal.SIGTERM)
    server.out.wait_for_end()
    in_worker = [
        of_worker("worker_start", 1, pid),
        *([] if options == ("--preload",) else ["import"]),
        of_worker("worker_ready", 1, pid),
        of_worker("worker_exit", 1, pid),
        *([] if options == ("--preload",) else ["atexit"]),
    ]
    assert told_by(server, pid) == in_worker
    found = re.findall(r"^(\d+) child_exit (\(.*\)) None True$", server.out.text, re.MULTILINE)
    if options == ("--workers=0",):
        assert found == []
        return
    ((child, told),) = found
    assert int(child) not in (pid, server.pid)
    assert ast.literal_eval(told) == (1, pid, 0, "stop", 0)


def test_child_exit_is_told_of_a_reload_and_of_a_kill(serve):
    server = serve("--workers", "2")
    first, second = server.wait_for_answers_of(2)
    server.send_signal(signal.SIGHUP)
    server.err.wait_for(rf"replaces \[{first}\]: SIGHUP")
    server.err.wait_for(rf"replaces \[{second}\]: SIGHUP")
    server.out.wait_for(rf"child_exit \([1-3], {first}, \d+, 'reload', 0\)")
    server.out.wait_for(rf"child_exit \([1-3], {second}, \d+, 'reload', 0\)")
    victim = server.workers()[0]
    os.kill(victim, signal.SIGKILL)
    server.out.wait_for(rf"child_exit \([1-3], {victim}, \d+, 'crash', -9\)")
    server.err.wait_for("Started server process", 5)
    new = server.started()[-1]
    server.out.wait_for(rf"worker_ready \([1-3], {new}, ")


@pytest.mark.parametrize("options", [(), ("--preload",), ("--workers=0",)], ids=" ".join)
def test_logs_have_the_same_number(start, directory, options):
    server = start("main:app", "--access-log-format", "<%(worker)s>", *options, cwd=directory)
    if options != ("--workers=0",):
        (first,) = server.wait_for_answers_of(1)
        server.send_signal(signal.SIGHUP)
        server.err.wait_for(rf"replaces \[{first}\]: SIGHUP")
    number = ask(server).split()[1]
    server.out.wait_for(f"^<{number}>$")


def test_supervisor_does_not_import_the_module(serve, directory):
    server = serve("--preload")
    (worker,) = server.wait_for_answers_of(1)
    os.kill(worker, signal.SIGKILL)
    wait_for_end(worker)
    server.out.wait_for("child_exit")
    server.wait_for_answers_of(1)  # its replacement, which a HUP during its boot would dismiss
    (directory / "hooks.py").write_text(f"{HOOKS}\nos.write(1, f'by {os.getpid()}\\n'.encode())\n")
    server.send_signal(signal.SIGHUP)
    server.out.wait_for("'reload', 0")
    assert f"by {server.pid}\n" not in server.out.text
    assert "by " in server.out.text


BOOT = ["worker_start", "worker_ready"]


@pytest.mark.parametrize("options", [(), ("--preload",), ("--workers=0",)], ids=" ".join)
@pytest.mark.parametrize("name", BOOT)
@pytest.mark.parametrize("code", ["raise ValueError('x')", "import sys; sys.exit('x')"])
def test_first_hooks_that_fail_are_boot_failures(directory, options, name, code):
    (directory / "hooks.py").write_text(f"def {name}(info):\n    {code}\n")
    done = run_command("main:app", "--port=0", "--hooks=hooks", *options, cwd=directory)
    assert done.returncode == 3
    kind = "ValueError" if "Value" in code else "SystemExit"
    assert "Cannot load the hooks module hooks\n" in done.stderr
    assert f'hooks.py", line 2, in {name}\n' in done.stderr
    assert f"Problem: {name} failed: {kind}: x\n" in done.stderr


@pytest.mark.parametrize("name", BOOT)
def test_first_hooks_that_end_or_hang_are_boot_failures(directory, name):
    (directory / "hooks.py").write_text(f"import os\ndef {name}(info): os._exit(5)\n")
    done = run_command("main:app", "--port=0", "--hooks=hooks", cwd=directory)
    assert done.returncode == 3
    assert "was to load main:app, but it ended with exit code 5" in done.stderr
    (directory / "hooks.py").write_text(f"import signal\ndef {name}(info): signal.pause()\n")
    options = ("--port=0", "--hooks=hooks", "--boot-timeout=500ms")
    done = run_command("main:app", *options, cwd=directory)
    assert done.returncode == 3
    assert "it was not ready within 0.5 s (--boot-timeout)" in done.stderr


@pytest.mark.parametrize("options", [(), ("--workers=0",)], ids=" ".join)
@pytest.mark.parametrize("code", ["raise ValueError('x')", "import sys; sys.exit('x')"])
def test_worker_exit_that_fails_is_logged_and_leaving_goes_on(serve, directory, options, code):
    (directory / "hooks.py").write_text(f"def worker_exit(info):\n    {code}\n")
    server = serve(*options)
    ask(server)
    server.stop(signal.SIGTERM)
    assert re.search(
        r"ERROR: +worker_exit failed: (ValueError|SystemExit): x$", server.err.wait_for_end(), re.M
    )
    assert "atexit" in server.out.wait_for_end()


@pytest.mark.parametrize("options", [(), ("--workers=0",)], ids=" ".join)
def test_worker_exit_that_hangs_has_the_graceful_timeout(serve, directory, options):
    (directory / "hooks.py").write_text("import signal\ndef worker_exit(info): signal.pause()\n")
    server = serve("--graceful-timeout", "1s", *options)
    ask(server)
    server.stop(signal.SIGTERM)
    assert "Exiting without waiting for" in server.err.wait_for_end()


def test_child_exit_that_fails_is_logged(serve, directory):
    (directory / "hooks.py").write_text("def child_exit(info):\n    raise ValueError(info.cause)\n")
    server = serve()
    ask(server)
    server.stop(signal.SIGTERM)
    assert "ValueError: stop\n" in server.err.wait_for_end()


def test_quit_runs_no_child_exit(serve):
    server = serve()
    ask(server)
    server.send_signal(signal.SIGQUIT)
    assert server.wait() == 131
    assert "child_exit" not in server.out.wait_for_end()


def test_child_exit_has_no_socket(serve, directory):
    """It does not keep the port open, nor the channels of other processes."""
    (directory / "hooks.py").write_text(
        "import os\n"
        "def child_exit(info):\n"
        "    found = [os.path.realpath(f'/proc/self/fd/{n}') for n in range(64)]\n"
        "    print('open', *(os.path.basename(path) for path in found), 'end')\n"
    )
    server = serve("--workers", "2")
    os.kill(server.wait_for_answers_of(2)[0], signal.SIGKILL)
    found = server.out.wait_for("^open (.*) end$")[1]
    assert "pipe" in found, "standard output"
    assert "socket:" not in found


def test_check_of_the_configuration_loads_the_module(directory):
    done = run_command("main:app", "--check-config", "--hooks", "hooks", cwd=directory)
    assert done.returncode == 0
    assert done.stdout.splitlines()[2:] == ["OK: hooks: hooks", "OK: application: main:app"]
    assert "worker_start" not in done.stderr
    done = run_command("main:app", "--check-config", "--hooks", "main", cwd=directory)
    assert done.returncode == 3
    assert "Problem: main has none of the functions worker_start" in done.stderr


# ---- prometheus_client

METRICS = """
import os
from prometheus_client import CollectorRegistry, Gauge, make_wsgi_app, multiprocess
gauge = Gauge("workers_up", "x", multiprocess_mode="livesum")
gauge.set(1)
registry = CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
metrics = make_wsgi_app(registry)
def app(environ, start_response):
    if environ["PATH_INFO"] == "/metrics":
        return metrics(environ, start_response)
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""


@pytest.mark.skipif(
    importlib.util.find_spec("prometheus_client") is None, reason="prometheus_client is missing"
)
def test_live_gauges_count_living_workers(start, project, tmp_path):
    """Right after SIGKILL and HUP, without a hooks module and without exit functions."""

    def live():
        """What the gauge says; "": a file of a worker that boots was read before it is complete."""
        with Connection(server.port) as connection:
            text = connection.ask("/metrics", "Connection: close").text
        found = re.search(r"^workers_up (.*)$", text, re.M)
        return found[1] if found else ""

    values = tmp_path / "values"
    values.mkdir()
    directory = project("metrics", METRICS)
    env = {"PROMETHEUS_MULTIPROC_DIR": str(values)}
    server = start("metrics:app", "--workers", "2", cwd=directory, env=env)
    for _ in range(2):
        victim, _ = server.wait_for_answers_of(2)
        assert live() == "2.0"
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda victim=victim: not list(values.glob(f"gauge_live*_{victim}.db")))
        wait_until(lambda victim=victim: victim not in server.workers())
    server.wait_for_answers_of(2)
    assert live() == "2.0"
    server.send_signal(signal.SIGHUP)
    server.err.wait_for("replaces .*: SIGHUP", 2)
    wait_until(lambda: len(list(values.glob("gauge_live*.db"))) == 2)
    assert live() == "2.0"
    server.stop(signal.SIGTERM)
    assert list(values.glob("gauge_live*.db")) == []


def wait_until(holds):
    deadline = time.monotonic() + patience.SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
