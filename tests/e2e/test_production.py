"""The files of examples/ for systemd and containers."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess

import pytest
import yaml
from support.processes import NAMESPACE, children, wait_for_end, why_no_namespace
from support.server import TESTS, Server
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


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
def test_systemd_accepts_the_unit(unit, tmp_path):
    program = unit["ExecStart"].split()[0]
    text = example("mysite.service").replace(program, "/bin/true")
    path = tmp_path / "mysite.service"
    path.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "mysite.service" not in done.stderr, done.stderr


def test_systemd_unit_starts_reloads_and_stops(unit, start, tmp_path):
    """Its command, its reload, and the TERM that systemd sends to every process."""
    words = options(shlex.split(unit["ExecStart"]))
    path = tmp_path / "app.sock"
    bind = words.index("--bind") + 1
    assert words[bind].startswith("unix:/run/")
    words[bind] = f"unix:{path}"
    server = Server("trouble", *words, new_session=True)
    try:
        server.err.wait_for("Listening on unix:")
        old = server.wait_for_workers(int(words[words.index("--workers") + 1]))
        with Connection(path=str(path)) as connection:
            assert connection.ask("/").status == 200
        command = shlex.split(unit["ExecReload"])
        subprocess.run([str(server.pid) if one == "$MAINPID" else one for one in command])
        wait_for_end(*old)
        with Connection(path=str(path)) as connection:
            assert connection.ask("/").status == 200
            os.killpg(server.pid, signal.SIGTERM)
        assert server.wait() == 0
        assert not path.exists()
    finally:
        server.kill()
    assert float(unit["TimeoutStopSec"]) > drain_seconds(words)


def test_command_of_the_container(tmp_path):
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
