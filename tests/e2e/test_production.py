"""The files of examples/ for systemd and containers."""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess

import pytest
import yaml
from support.processes import NAMESPACE, children, why_no_namespace
from support.server import TESTS, Server
from support.systemd import NotifySocket, passing, unix_socket, why_missing
from support.wire import Connection

EXAMPLES = TESTS.parent / "examples"
APP = "mysite.wsgi"


def example(name):
    return (EXAMPLES / name).read_text(encoding="utf-8")


@pytest.fixture
def unit():
    return dict(
        line.split("=", 1)
        for line in example("mysite.service").splitlines()
        if "=" in line and not line.startswith("#")
    )


def options(words):
    """The options of a command line after its application."""
    assert APP in words
    return words[words.index(APP) + 1 :]


def seconds(words, option, default):
    if option not in words:
        return default
    return float(words[words.index(option) + 1].removesuffix("s"))


def drain_seconds(words):
    return seconds(words, "--shutdown-delay", 0) + seconds(words, "--graceful-timeout", 30)


@pytest.mark.skipif(bool(why := why_missing("systemd-analyze")), reason=why)
def test_systemd_accepts_the_units(unit, tmp_path):
    program = unit["ExecStart"].split()[0]
    service, socket_unit = tmp_path / "mysite.service", tmp_path / "mysite.socket"
    service.write_text(example("mysite.service").replace(program, "/bin/true"))
    socket_unit.write_text(example("mysite.socket"))
    verify = ["systemd-analyze", "verify", service, socket_unit]
    done = subprocess.run(verify, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "mysite" not in done.stderr, done.stderr
    exposure = ["systemd-analyze", "security", "--offline=true", "--threshold=20", service]
    done = subprocess.run(exposure, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout  # the threshold is in tenths


def test_systemd_unit_starts_reloads_and_stops(unit, tmp_path):
    """Its command, its reload, and the TERM that systemd sends to every process."""
    words = options(shlex.split(unit["ExecStart"]))
    path = tmp_path / "app.sock"
    with contextlib.closing(NotifySocket(str(tmp_path / "notify"))) as notified:
        variables = notified.variables(watchdog_seconds=float(unit["WatchdogSec"]))
        with unix_socket(path) as listener:
            server = Server("trouble", *words, new_session=True, **passing(listener, env=variables))
        try:
            notified.wait_for("READY=1")
            with Connection(path=str(path)) as connection:
                assert connection.ask("/").status == 200
            command = shlex.split(unit["ExecReload"])
            subprocess.run([str(server.pid) if one == "$MAINPID" else one for one in command])
            assert notified.wait_for("READY=1") == ["READY=1", "STATUS=reloaded"]
            with Connection(path=str(path)) as connection:
                assert connection.ask("/").status == 200
                os.killpg(server.pid, signal.SIGTERM)
            assert server.wait() == 0
            notified.wait_for("STOPPING=1")
            assert path.exists()
        finally:
            server.kill()


def test_command_of_the_container_serves_as_pid_1(tmp_path):
    if why := why_no_namespace():
        pytest.skip(f"no PID namespace to be had here: {why}")
    text = example("Dockerfile")
    command = json.loads(re.search(r"^CMD (\[.*\])$", text, re.M)[1])
    assert "ENV PORT=" in text
    words = options(command)
    server = Server("trouble", *words, env={"PORT": free_port()}, under=NAMESPACE)
    try:
        server.wait_until_listening()
        server.err.wait_for(r"Listening on http://0\.0\.0\.0:")
        assert "WARNING" not in server.err.text
        (first,) = children(server.pid)
        os.kill(first, signal.SIGTERM)
        with Connection(server.port) as connection:
            while connection.ask("/").get("Connection") != "close":
                pass
        # By --shutdown-delay; each worker gets the order in time.
        while not closed_at_once(server.port):
            pass
        os.kill(first, signal.SIGQUIT)
        server.wait()
    finally:
        server.kill()
    pod = yaml.safe_load(example("kubernetes.yaml"))["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > drain_seconds(words)


def closed_at_once(port):
    """Whether a new connection is served, and closed after its first response."""
    with Connection(port) as connection:
        answer = connection.ask("/")
    assert answer.status == 200
    return answer.get("Connection") == "close"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
