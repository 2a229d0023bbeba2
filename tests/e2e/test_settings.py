"""A running server reads its settings file again: on SIGHUP, and under --reload when it is saved.

The Server header of a response shows the settings of the worker that sent it.
"""

import os
import re
import signal

import pytest
from support.load import Load, mix
from support.processes import wait_for_end
from support.project import Project
from support.server import APPS
from support.wire import Connection

APP = """
import os
def app(environ, start_response):
    start_response("200 OK", [])
    return [f"{os.getpid()} {os.getcwd()}".encode()]
"""


def header(server):
    with Connection(server.port) as connection:
        return connection.ask("/", "Connection: close").get("Server")


def save(directory, text):
    """As a deployment does it."""
    (directory / "new.toml").write_text(text)
    os.replace(directory / "new.toml", directory / "iotax.toml")


@pytest.fixture
def directory(project):
    directory = project("main", APP)
    save(directory, 'app = "main"\nserver-header = "one"\n')
    return directory


@pytest.fixture
def server(start, directory):
    return start(cwd=directory)


def test_start_screen_names_the_file(server, directory):
    lines = server.err.text.splitlines()
    assert lines[1:3] == ["Running main", "Settings: iotax.toml"]
    assert header(server) == "one"


@pytest.mark.parametrize("options", [("--workers", "2"), ("--preload",)], ids=" ".join)
def test_hup_applies_changed_settings_without_losing_a_request(start, tmp_path, options):
    file = tmp_path / "site.toml"
    file.write_text('server-header = "0"\n')
    server = start("echoes", *options, "--config", str(file), cwd=APPS)
    with Load(server.port, mix(streaming=0)) as running:
        for number in range(1, 4):
            old = server.workers()
            running.wait_for_answers(20, by=old)
            file.write_text(f'server-header = "{number}"\n')
            server.send_signal(signal.SIGHUP)
            wait_for_end(*old)
            assert header(server) == str(number)
    running.report.must_be_clean()


@pytest.mark.parametrize(
    ("break_it", "text"),
    [
        (lambda d: save(d, "server-header = 5\n"), "iotax.toml:1: server-header: 5 is not a"),
        (lambda d: save(d, "server-header =\n"), "iotax.toml:1:16: not TOML: Invalid value"),
        (lambda d: (d / "iotax.toml").unlink(), "iotax.toml cannot be read: No such file"),
        (lambda d: os.replace(d / "other", d / "iotax.toml"), "iotax.toml cannot be read: Is a"),
        (lambda d: save(d, 'chdir = "gone"'), 'iotax.toml:1: chdir: cannot enter "{d}/gone": No s'),
    ],
    ids=["value", "syntax", "removed", "unreadable", "chdir"],
)  # fmt: skip
def test_hup_with_wrong_settings_changes_nothing(server, directory, break_it, text):
    """Running workers stay, and later replacements have the former settings."""
    (directory / "other").mkdir()
    (worker,) = server.workers()
    if "Is a" in text:
        (directory / "iotax.toml").unlink()
    break_it(directory)
    server.send_signal(signal.SIGHUP)
    server.err.wait_for("ERROR: .*" + re.escape(text.format(d=directory)))
    server.err.wait_for("ERROR: .*Keeping the current settings and workers")
    assert header(server) == "one"
    assert server.workers() == [worker]
    os.kill(worker, signal.SIGKILL)
    wait_for_end(worker)
    server.wait_for_answers_of(1)
    assert header(server) == "one"
    if (directory / "iotax.toml").is_dir():
        (directory / "iotax.toml").rmdir()
    save(directory, 'app = "main"\nserver-header = "two"\n')
    (worker,) = server.workers()
    server.send_signal(signal.SIGHUP)
    wait_for_end(worker)
    assert header(server) == "two"


def test_settings_that_need_a_restart_are_named(server, directory):
    (worker,) = server.workers()
    save(directory, 'app = "main"\nserver-header = "two"\nthreads = 4\nport = 1\nworkers = 2\n')
    server.send_signal(signal.SIGHUP)
    server.err.wait_for(
        r"WARNING: .*These settings change with a restart only: threads \(iotax.toml:3\)$"
    )
    wait_for_end(worker)
    server.wait_for_answers_of(2)
    assert header(server) == "two"


def test_options_and_variables_of_the_start_still_win(start, directory):
    server = start("--server-header", "flag", cwd=directory)
    (worker,) = server.workers()
    save(directory, 'app = "main"\nserver-header = "two"\nlog-level = "warning"\n')
    server.send_signal(signal.SIGHUP)
    wait_for_end(worker)
    assert header(server) == "flag"
    assert f"replaces [{worker}]" not in server.err.text, "the log level has changed"


def test_switched_link_brings_other_settings_and_another_directory(start, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "main.py").write_text(APP)
        (tmp_path / name / "iotax.toml").write_text(f'app = "main"\nserver-header = "{name}"\n')
    current = tmp_path / "current"
    current.symlink_to("one")
    server = start(cwd=current, env={"PWD": str(current)})
    (worker,) = server.workers()
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").rename(current)
    server.send_signal(signal.SIGHUP)
    wait_for_end(worker)
    with Connection(server.port) as connection:
        answer = connection.ask("/")
    assert answer.get("Server") == "two"
    assert answer.text.split()[1] == str(tmp_path / "two")


def test_hup_serves_a_changed_application_from_a_changed_directory(server, directory):
    (worker,) = server.workers()
    (directory / "sub").mkdir()
    (directory / "sub/other.py").write_text(APP)
    save(directory, 'app = "other"\nchdir = "sub"\n')
    server.send_signal(signal.SIGHUP)
    wait_for_end(worker)
    with Connection(server.port) as connection:
        assert connection.ask("/").text.split()[1] == str(directory / "sub")


@pytest.mark.parametrize("options", [(), ("--reload-poll",)], ids=" ".join)
@pytest.mark.parametrize("place", ["project/iotax.toml", "conf/site.toml"])
def test_saved_settings_apply_under_reload(start, tmp_path, options, place):
    """In the watched directory or elsewhere; a wrong file changes nothing."""
    project = Project(tmp_path / "project", start)
    project.write("main.py", APP)
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_text('server-header = "one"\n')
    server = project.serve("main:app", "--config", str(path), *options)
    assert header(server) == "one"
    path.write_text('server-header = "two"\n')
    project.reloaded()
    assert header(server) == "two"
    path.write_text("server-header = 5\n")
    server.err.wait_for("ERROR: .*server-header: 5 is not a string")
    server.err.wait_for("ERROR: .*Keeping the current settings and workers")
    assert header(server) == "two"
    project.save("main.py", APP + "\n")
    project.reloaded()
    assert header(server) == "two", "the code is reloaded with the former settings"
    path.write_text('server-header = "three"\nthreads = 5\n')
    project.reloaded()
    assert header(server) == "three"
    server.err.wait_for("WARNING: .*These settings change with a restart only: threads")


def test_reload_with_warm_workers_applies_settings(start, tmp_path):
    """The template that keeps modules imported has the former settings."""
    project = Project(tmp_path / "project", start)
    project.write("main.py", APP)
    project.write("iotax.toml", 'server-header = "one"\n')
    server = project.serve("main:app")
    project.ask()
    while project.save("main.py", APP + f"# {project.reloads}\n") or project.reloaded() != "warm":
        pass
    project.save("iotax.toml", 'server-header = "two"\n')
    assert project.reloaded().startswith("cold: the settings have changed")
    assert header(server) == "two"


def test_without_a_supervisor_hup_is_refused(start, directory):
    server = start("--workers", "0", cwd=directory)
    save(directory, 'app = "main"\nserver-header = "two"\n')
    server.send_signal(signal.SIGHUP)
    server.err.wait_for("WARNING: .*SIGHUP is refused: with --workers 0")
    assert header(server) == "one"


def test_service_variables_do_not_stop_the_start(start, directory):
    env = {"IOTAX_PORT": "tcp://10.0.0.7:80", "IOTAX_SERVICE_HOST": "10.0.0.7"}
    server = start(cwd=directory, env=env)
    assert len(re.findall("WARNING: .*Ignoring IOTAX_PORT", server.err.text)) == 1
