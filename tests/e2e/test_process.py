"""The process of the server: its user, umask, pid file, and the environment of the application."""

import os
import pwd
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from support.processes import wait_for_end
from support.server import environment, run_command
from support.wire import Connection

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
APP = """
import os, stat
def app(environ, start_response):
    name = environ["PATH_INFO"][1:]
    if name == "fork":
        if not os.fork():
            raise SystemExit
        os.wait()
    elif name == "hang":
        os.write(2, b"hangs\\n")
        import ctypes
        ctypes.PyDLL(None).pause()  # keeps the GIL
    elif name:
        open(name, "w").close()
        name = oct(stat.S_IMODE(os.stat(name).st_mode))
    try:
        os.setuid(0)
        root = "root again"
    except PermissionError:
        root = "for good"
    start_response("200 OK", [])
    first = name or os.getpid()
    text = f"{first} {os.getresuid()} {os.getresgid()} {sorted(os.getgroups())} {root}"
    return [text.encode()]
"""


@pytest.fixture
def directory():
    """A directory that every user can write, in one that every user can enter."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o777)
        (directory / "main.py").write_text(APP)
        yield directory


@pytest.fixture
def serve(start, directory):
    """serve(OPTION…) returns a server with an access log in the directory."""

    def serve(*options):
        return start("main:app", "--access-logfile", "access.log", *options, cwd=directory)

    return serve


def ask(server, path="/"):
    with Connection(server.port) as connection:
        return connection.ask(path, "Connection: close").text


def ids(server):
    """Those of a worker, as it sees them."""
    return ask(server).partition(" ")[2]


def owners(directory, *names):
    return {
        (os.lstat(directory / name).st_uid, os.lstat(directory / name).st_gid) for name in names
    }


@ROOT
@pytest.mark.parametrize("options", [("--workers=2",), ("--preload",), ("--workers=0",)])
def test_server_becomes_the_user_for_good(serve, directory, options):
    user = pwd.getpwnam("nobody")
    numbers = (user.pw_uid,) * 3, (user.pw_gid,) * 3
    groups = sorted(os.getgrouplist("nobody", user.pw_gid))
    addresses = ("-b", "127.0.0.1:0", "-b", "unix:x.sock")
    server = serve(*addresses, "--pid-file", "x.pid", "--user", "nobody", *options)
    assert ids(server) == f"{numbers[0]} {numbers[1]} {groups} for good"
    assert (directory / "x.pid").read_text() == f"{server.pid}\n"
    files = ("access.log", "x.pid", "x.sock")
    assert owners(directory, *files) == {(user.pw_uid, user.pw_gid)}
    server.stop(signal.SIGTERM)
    assert {path.name for path in directory.iterdir()} == {"access.log", "main.py"}


@ROOT
def test_numbers_have_one_group(serve):
    server = serve("--user", "4242", "--group", "4343")
    assert ids(server) == f"{(4242,) * 3} {(4343,) * 3} [4343] for good"


@ROOT
def test_privileged_port_and_logs_outlive_hup_and_usr1(serve, directory):
    """A port that only root can open; the log is opened again by its new owner."""
    with socket.socket() as probe:
        port = next(port for port in range(600, 1024) if probe.connect_ex(("127.0.0.1", port)))
    server = serve("-b", f"127.0.0.1:{port}", "--user", "nobody")
    (first,) = server.wait_for_workers(1)
    ask(server)
    server.send_signal(signal.SIGHUP)
    server.err.wait_for(rf"replaces \[{first}\]: SIGHUP")
    (directory / "access.log").rename(directory / "access.log.1")
    server.send_signal(signal.SIGUSR1)
    while not (directory / "access.log").exists():
        assert ids(server).endswith("for good")
    assert owners(directory, "access.log") == {(pwd.getpwnam("nobody").pw_uid,) * 2}


@ROOT
def test_privileges_that_come_back_stop_the_start(directory):
    """The process keeps its capabilities when it changes its user."""
    under = ["setpriv", "--securebits=+no_setuid_fixup", sys.executable, "-m", "iotax"]
    words = [*under, "main:app", "--port", "0", "--user", "nobody"]
    done = subprocess.run(words, cwd=directory, env=environment(), capture_output=True, text=True)
    assert done.returncode == 1
    assert "can become root again, so this process has kept a capability" in done.stderr


@ROOT
def test_files_that_the_user_may_not_remove_do_not_prevent_the_next_start(serve, directory):
    """The pid file is emptied, and a socket is replaced at the next start."""
    directory.chmod(0o755)
    server = serve("-b", "127.0.0.1:0", "-b", "unix:x.sock", "--pid-file=x.pid", "--user=nobody")
    server.stop()
    warning = "Cannot remove x.pid: Permission denied; it is emptied (--pid-file)"
    assert server.err.wait_for_end().count(warning) == 1
    assert (directory / "x.pid").read_text() == ""
    assert (directory / "x.sock").exists()
    serve("-b", "127.0.0.1:0", "-b", "unix:x.sock", "--pid-file=x.pid").stop()
    assert not (directory / "x.pid").exists()
    assert not (directory / "x.sock").exists()


@ROOT
def test_directory_that_the_user_may_not_enter_stops_the_start(directory):
    directory.chmod(0o700)
    done = run_command("main:app", "--port=0", "--user=nobody", cwd=directory)
    assert done.returncode == 3
    assert f"Problem: {directory}: Permission denied\n" in done.stderr
    assert (
        "Fix:     let this user (--user) enter it, or start in another one (--chdir)" in done.stderr
    )


@ROOT
@pytest.mark.parametrize("kind", ["file", "link", "dangling link"])
def test_log_file_that_exists_is_not_given_to_the_user(directory, kind):
    """Else a user who can write the directory could become the owner of any file."""
    secret, log = directory / "secret", directory / "x.log"
    if kind == "file":
        log.touch(0o600)
    else:
        log.symlink_to(secret)
    if kind == "link":
        secret.touch(0o600)
    options = ("--port=0", "--user=nobody", "--access-logfile=x.log")
    done = run_command("main:app", *options, cwd=directory)
    assert done.returncode == 2
    assert 'iotax: --access-logfile: cannot open "x.log": Permission denied' in done.stderr
    assert log.stat().st_uid == 0
    done = run_command("main:app", "--check-config", *options, cwd=directory)
    assert done.returncode == 2
    assert 'iotax: --access-logfile: cannot open "x.log": Permission denied' in done.stderr


@ROOT
def test_check_of_the_configuration_becomes_the_user(directory):
    directory.chmod(0o755)
    (directory / "main.py").write_text("import os\nprint(os.getresuid())\napp = print\n")
    options = ("--user=nobody", "--pid-file=x.pid", "--error-logfile=e.log")
    done = run_command("main:app", "--check-config", *options, cwd=directory)
    assert done.returncode == 0
    uid = pwd.getpwnam("nobody").pw_uid
    assert done.stderr == f"{(uid,) * 3}\n"
    where = f"is in a directory that user {uid} cannot write;"
    assert done.stdout.splitlines()[-2:] == [
        f'WARNING: --error-logfile: "e.log" {where} USR1 cannot make it again',
        f'WARNING: --pid-file: "x.pid" {where} at the end it is emptied, not removed',
    ]


@pytest.mark.parametrize("options", [("--preload",), ("--workers=0",)])
def test_umask_holds_for_the_socket_and_the_application(serve, directory, options):
    server = serve("-b", "127.0.0.1:0", "-b", "unix:x.sock", "--umask", "027", *options)
    assert stat.S_IMODE((directory / "x.sock").stat().st_mode) == 0o640
    assert ask(server, "/made").split()[0] == "0o640"


@pytest.mark.parametrize("options", [("--workers=2",), ("--preload",), ("--workers=0",)])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_pid_file_is_removed_by_the_server_only(serve, directory, options, number):
    """Not by a worker that exits, nor by a fork of the application, nor by a template."""
    server = serve("--pid-file=x.pid", *options)
    file = directory / "x.pid"
    assert file.read_text() == f"{server.pid}\n"
    if options != ("--workers=0",):
        worker = server.wait_for_workers(1)[0]
        os.kill(worker, signal.SIGTERM)
        wait_for_end(worker)
        assert file.exists()
    ask(server, "/fork")
    assert file.exists()
    server.send_signal(number)
    assert server.wait() == (0 if number == signal.SIGTERM else 128 + number)
    assert not file.exists()


def test_server_without_workers_removes_its_files_though_a_call_keeps_the_gil(serve, directory):
    """The application may have changed the directory since they were made."""
    (directory / "main.py").write_text(APP + "os.chdir('/')\n")
    server = serve(
        *("-b", "127.0.0.1:0", "-b", "unix:x.sock", "--admin=unix:a.sock", "--pid-file=x.pid"),
        *("--workers=0", "--graceful-timeout=0.1"),
    )
    with Connection(server.port) as client:
        client.get("/hang")
        server.err.wait_for("hangs")
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0
    assert [path.suffix for path in directory.iterdir() if path.suffix in (".sock", ".pid")] == []


def test_pid_file_is_written_before_the_server_is_ready(directory):
    (directory / "main.py").write_text("print(open('x.pid').read(), flush=True)\napp = 5\n")
    done = run_command("main:app", "--port=0", "--pid-file=x.pid", cwd=directory)
    assert done.returncode == 3
    assert int(done.stdout) > 0
    assert not (directory / "x.pid").exists()


def test_pid_file_of_a_killed_server_is_replaced(serve, directory):
    first = serve("--pid-file=x.pid")
    done = run_command("main:app", "--port=0", "--pid-file=x.pid", cwd=directory)
    assert done.returncode == 2
    assert f'"x.pid" has the number of a living process, {first.pid}; stop that' in done.stderr
    first.process.kill()
    first.process.wait()
    second = serve("--pid-file=x.pid")
    assert (directory / "x.pid").read_text() == f"{second.pid}\n"


@pytest.mark.parametrize("path", ["no/x.pid", "/proc/x.pid"])
def test_pid_file_that_cannot_be_written_stops_the_start(directory, path):
    done = run_command("main:app", "--port=0", f"--pid-file={path}", cwd=directory)
    assert done.returncode == 2
    assert f'iotax: --pid-file: cannot write "{path}": ' in done.stderr


# ---- the application's environment

SHOWS = """
import os, time
at_import = {name: os.environ[name] for name in sorted(os.environ) if name.startswith("E_")}
os.environ["E_IMPORT"] = "set by the import"
def app(environ, start_response):
    start_response("200 OK", [])
    return [f"{at_import} {os.environ['E_IMPORT']} {time.tzname[0]}".encode()]
"""


def replace(file, text):
    """In one step: --reload may read the file at any time."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.rename(file)


@pytest.mark.parametrize(
    "options", [("--workers=1",), ("--preload",), ("--reload",), ("--workers=0",)], ids=" ".join
)
def test_environment_is_set_before_the_import_and_made_again_by_hup(start, directory, options):
    (directory / "main.py").write_text(SHOWS)
    (directory / "x.env").write_text("E_FILE=1\nE_GONE=1\nE_IMPORT=file\n")
    (directory / "iotax.toml").write_text(
        'app = "main"\nenv-file = "x.env"\n[env]\nE_TABLE = "1"\nE_OS = "1"\nTZ = "Asia/Tokyo"\n'
    )
    server = start("--env", "E_FLAG=flag", *options, cwd=directory, env={"E_OS": "inherited"})
    first = {"E_FILE": "1", "E_FLAG": "flag", "E_GONE": "1", "E_IMPORT": "file"}
    first |= {"E_OS": "inherited", "E_TABLE": "1"}
    assert ask(server) == f"{first} set by the import JST"
    if options == ("--workers=0",):
        return
    replace(directory / "x.env", "E_FILE=2\nE_NEW=1\n")
    server.send_signal(signal.SIGHUP)
    first |= {"E_FILE": "2", "E_NEW": "1"}
    second = {name: first[name] for name in sorted(first.keys() - {"E_GONE", "E_IMPORT"})}
    while ask(server) != f"{second} set by the import JST":
        assert server.process.poll() is None
    replace(directory / "x.env", "E_FILE")
    server.send_signal(signal.SIGHUP)
    server.err.wait_for(r'x\.env:1: the line has no "="')
    server.err.wait_for("Keeping the current settings and workers")
    assert ask(server) == f"{second} set by the import JST"


def test_saved_env_file_applies_under_reload(start, directory):
    (directory / "main.py").write_text(SHOWS)
    (directory / ".env").write_text("E_FILE=1\nE_IMPORT=\n")
    server = start("main", "--env-file", ".env", "--reload", cwd=directory)
    assert "'E_FILE': '1'" in ask(server)
    (directory / "new").write_text("E_FILE=2\n")
    (directory / "new").rename(directory / ".env")
    server.err.wait_for("Reloaded in")
    assert "'E_FILE': '2'" in ask(server)


def test_bad_env_file_stops_the_start(directory):
    (directory / "x.env").write_text("A=1\nB\nC='s3cret\n")
    done = run_command("main:app", "--port=0", "--env-file=x.env", cwd=directory)
    assert done.returncode == 2
    assert [line.partition("; ")[0] for line in done.stderr.splitlines()] == [
        'iotax: x.env:2: the line has no "="',
        "iotax: x.env:3: the closing ' is missing",
    ]
