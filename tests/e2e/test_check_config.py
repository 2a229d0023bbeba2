"""--check-config and --print-config: what they load, and what they leave alone."""

import signal
import socket
from pathlib import Path

import pytest
from support.processes import has_ended
from support.server import Server, run_command
from support.systemd import passing

APP = "def app(environ, start_response): pass\n"


def files_below(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*")}


def test_right_settings_exit_with_0_and_write_nothing(project, tmp_path):
    """Nothing is opened, and no file is written, not even bytecode."""
    directory = project("main", "import helper\nprint('imported')\n" + APP)
    project("helper", "")
    (directory / "iotax.toml").write_text(
        'app = "main"\nbind = ["unix:x.sock"]\nerror-logfile = "server.log"\n'
        'pythonpath = "nowhere"\npreload = true\n'
    )
    before = files_below(directory)
    done = run_command("--check-config", cwd=directory, env={"PYTHONDONTWRITEBYTECODE": ""})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "OK: settings: iotax.toml",
        f"OK: directory: {directory}",
        "OK: application: main:app",
        'WARNING: iotax.toml:4: pythonpath: "nowhere" does not exist',
    ]
    assert "imported" in done.stderr, "what the application prints is not mixed with the report"
    assert files_below(directory) == before


SLOW_OUTPUT = """
import os, sys, time
class Slow:
    def flush(self):
        time.sleep(0.2)
        os.write(2, b"written late")
sys.stdout = Slow()
"""


def test_what_the_import_prints_is_complete(project):
    """The process that imports the application ends when its output is written."""
    done = run_command("main", "--check-config", cwd=project("main", SLOW_OUTPUT + APP))
    assert done.returncode == 0
    assert done.stderr == "written late"


def test_check_runs_beside_a_server_on_the_same_port(start, project):
    directory = project("main", APP)
    server = start("main:app", cwd=directory)
    done = run_command("main:app", "--check-config", "--port", str(server.port), cwd=directory)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("OK: settings: no file\n")


def test_passed_sockets_are_checked(project):
    directory = project("main", APP)
    for kind, code, error in (
        (socket.SOCK_STREAM, 0, ""),
        (socket.SOCK_DGRAM, 2, "iotax: LISTEN_FDS: fd://3 is not a listening socket (it is a data"),
    ):
        with socket.socket(type=kind) as sock:
            sock.bind(("127.0.0.1", 0))
            if not code:
                sock.listen()
            server = Server("main:app", "--check-config", cwd=directory, **passing(sock))
            try:
                assert server.wait() == code
                assert server.err.wait_for_end().startswith(error)
            finally:
                server.kill()


def test_every_error_of_the_settings_is_reported_before_the_import(project):
    directory = project("main", "raise SystemExit('imported')\n")
    (directory / "iotax.toml").write_text(
        'app = "main:app"\naccess-logfile = "no/access.log"\nbind = "unix:no/x.sock"\n'
        'admin = "unix:no/admin.sock"\n'
    )
    done = run_command("--check-config", cwd=directory)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        'iotax: iotax.toml:2: access-logfile: cannot open "no/access.log": No such file or'
        ' directory; e.g. access-logfile = "/var/log/iotax.log"',
        'iotax: iotax.toml:3: bind: "unix:no/x.sock" is in a directory that does not exist; e.g.'
        ' bind = ["127.0.0.1:8001"]',
        'iotax: iotax.toml:4: admin: "unix:no/admin.sock" is in a directory that does not exist;'
        ' e.g. admin = "127.0.0.1:9100"',
    ]
    done = run_command("--check-config", "--threads", "0", cwd=directory)
    assert done.returncode == 2
    done = run_command("--check-config", "--chdir", "nowhere", cwd=directory)
    assert done.returncode == 2
    assert done.stderr.startswith('iotax: --chdir: cannot enter "nowhere": No such file')


ENDED = "iotax: the process that loads main:app "


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (
            "import no_such_module\n",
            "Problem: importing main failed: ModuleNotFoundError: No module",
        ),
        ("raise SystemExit(0)\n", "Problem: importing main failed: SystemExit: 0"),
        ("application = 5\n", 'Problem: main has no attribute "app"'),
        ("import os; os._exit(0)\n", f"{ENDED}ended with exit code 0"),
        ("import os; os.kill(os.getpid(), 11)\n", f"{ENDED}died of SIGSEGV"),
        ("raise KeyboardInterrupt\n", f"KeyboardInterrupt\n{ENDED}ended with exit code 1"),
    ],
)
def test_application_that_cannot_be_loaded_is_reported(project, code, text):
    directory = project("main", code)
    done = run_command("main:app", "--check-config", "--port", "0", cwd=directory)
    assert done.returncode == 3
    assert text in done.stderr
    is_explained = "\nCannot load the application main:app\n" in done.stderr
    assert is_explained == text.startswith("Problem")
    assert done.stdout.startswith("OK: settings: no file\n")
    assert "OK: application" not in done.stdout


def test_import_that_hangs_ends_with_the_boot_timeout(project):
    directory = project("main", "import signal\nprint('here')\nsignal.pause()\n")
    done = run_command("main:app", "--check-config", "--boot-timeout", "500ms", cwd=directory)
    assert done.returncode == 3
    last = "iotax: the process that loads main:app was not ready within 0.5 s (--boot-timeout)"
    assert done.stderr.splitlines()[-1] == last
    assert f'File "{directory}/main.py", line 3 in <module>' in done.stderr


FORKS = """
import os, signal
if not os.fork():
    with open("child", "w") as file:
        file.write(str(os.getpid()))
    os.rename("child", "pid")
    {then}
while not os.path.exists("pid"):
    pass
def app(environ, start_response): pass
"""


@pytest.mark.parametrize("then", ["signal.pause()", "pass"])
def test_processes_that_the_import_forks_do_not_remain(project, then):
    """A fork holds what its parent has open, or goes on with the import."""
    directory = project("main", FORKS.format(then=then))
    done = run_command("main:app", "--check-config", cwd=directory)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("OK: application: main:app\n") == 1
    assert has_ended(int((directory / "pid").read_text()))


def test_interrupted_check_leaves_no_process(project):
    directory = project(
        "main",
        "import os, signal\nprint('pid', os.getpid(), flush=True)\nsignal.pause()\n",
    )
    server = Server("main:app", "--check-config", cwd=directory)
    try:
        pid = int(server.err.wait_for(r"pid (\d+)")[1])
        server.send_signal(signal.SIGINT)
        assert server.wait() == 0
        assert has_ended(pid)
    finally:
        server.kill()


def test_print_config_loads_nothing(project):
    directory = project("main", "raise SystemExit('imported')\n")
    (directory / "iotax.toml").write_text('app = "main:app"\nthreads = 3\n')
    done = run_command("--print-config", "--chdir", "nowhere", cwd=directory)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "\nthreads = 3  # iotax.toml:2\n" in done.stdout
    (directory / "printed.toml").write_text(done.stdout)
    again = run_command("--print-config", "--config", "printed.toml", cwd=directory)
    assert values_of(again.stdout) == values_of(done.stdout)
    assert f'chdir = "{directory}/nowhere"' in values_of(done.stdout)


def values_of(printed):
    """The lines of --print-config without the sources."""
    return [line.partition("  # ")[0] for line in printed.splitlines()[1:]]
