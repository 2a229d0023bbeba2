"""Builds or installs, and starts, every server to measure."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent
BUILD = ROOT / "build" / "bench"
FLOORS = ("A", "A'", "A1", "B0", "B")
# iotax by name, with the options that make the difference.
IOTAX = {
    "iotax": ["--no-access-log"],
    "iotax+log": ["--access-log-format", "default"],
    "iotax+json": ["--access-log-format", "json"],
    "iotax+metrics": ["--no-access-log", "--admin", "127.0.0.1:0"],
}
PEERS = ("fastpysgi", "fastwsgi", "bjoern", "granian", "gunicorn", "waitress")
START_SECONDS = 120  # Python starts slowly under valgrind


class Unavailable(Exception):
    """The server cannot be started on this machine; the text says why."""


@dataclass(frozen=True)
class Context:
    """Python and CPUs of a run. With one core `server_cpu` and `load_cpu` are the same."""

    python: str  # the interpreter with iotax installed; the floors are built for it
    server_cpu: int
    load_cpu: int

    @property
    def peers_python(self):
        return str(BUILD / "peers" / "bin" / "python")


def find_python():
    """Return this interpreter if it has iotax, else that of the project's environment."""
    ours = ROOT / "build" / "venv" / "bin" / "python"
    for python in (sys.executable, str(ours)):
        try:
            if (
                subprocess.run(
                    [python, "-c", "import iotax"], capture_output=True, cwd="/"
                ).returncode
                == 0
            ):
                return python
        except OSError:
            continue
    return sys.executable


def make_context(python):
    cpus = sorted(os.sched_getaffinity(0))
    return Context(python=python, server_cpu=cpus[0], load_cpu=cpus[-1])


def build_floors(context):
    """Configure and build the floors with the project's own build, in build/bench/floors."""
    where = BUILD / "floors"
    configure = ["cmake", "-S", ROOT, "-B", where, "-DCMAKE_BUILD_TYPE=Release", "-DIOTAX_BENCH=ON"]
    configure += ["-DIOTAX_TESTS=OFF", "-DIOTAX_EXTENSION=OFF", f"-DIOTAX_PYTHON={context.python}"]
    for command in (configure, ["cmake", "--build", where, "--target", "floors"]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"the floors could not be built:\n{done.stdout}{done.stderr}")


def peers(names=PEERS):
    """Return the lines of peers.txt: "NAME==VERSION"."""
    lines = (BENCH / "peers.txt").read_text().splitlines()
    return [line for line in lines if name_of(line) in names]


def name_of(line):
    """ "granian" for "granian[reload]==2.8.7"."""
    return re.split(r"[\[=]", line)[0]


def install_peers(context, names=PEERS):
    """Return {peer: reason} for the peers that could not be installed."""
    missing = {}
    if not Path(context.peers_python).exists():
        subprocess.run([context.python, "-m", "venv", BUILD / "peers"], check=True)
    for line in peers(names):
        install = [context.peers_python, "-m", "pip", "install", "--quiet", line]
        if subprocess.run(install, capture_output=True).returncode:
            missing[name_of(line)] = f"pip install {line} failed"
    return missing


def command_of(name, context, app, threads, port):
    """Return the command line of a server. With port 0 the server prints its port."""
    floors = BUILD / "floors" / "bench"
    if name in ("A", "A'", "A1"):
        return [floors / {"A": "floor_a", "A'": "floor_a_close", "A1": "floor_a1"}[name], str(port)]
    if name in ("B0", "B"):
        serve = BENCH / "floors" / "serve.py"
        return [context.python, serve, name, "--module-dir", floors, "--port", str(port)]
    if name in IOTAX:
        options = ["--port", str(port), "--threads", str(threads), "--keep-alive-requests", "0"]
        return [context.python, "-m", "iotax", app, *options, *IOTAX[name]]
    python, bind = context.peers_python, f"127.0.0.1:{port}"
    if name in ("fastpysgi", "fastwsgi", "bjoern"):
        return [python, BENCH / "harness" / "start_peer.py", name, app, str(port)]
    if name == "granian":
        options = [
            "--interface",
            "wsgi",
            "--no-log",
            "--workers",
            "1",
            "--blocking-threads",
            str(threads),
        ]
        return [python, "-m", "granian", *options, "--host", "127.0.0.1", "--port", str(port), app]
    if name == "gunicorn":
        options = [
            "-k",
            "gthread",
            "--threads",
            str(max(threads, 4)),
            "--log-level",
            "error",
            "--keep-alive",
            "60",
        ]
        return [python, "-m", "gunicorn", *options, "--bind", bind, app]
    if name == "waitress":
        return [python, "-m", "waitress", f"--threads={max(threads, 4)}", f"--listen={bind}", app]
    raise Unavailable(f"no server is called {name}")


def takes_threads(name):
    return name in (*IOTAX, "granian", "gunicorn", "waitress")


class Running:
    """A started server: `with Running("iotax", context, threads=4) as server: server.port`."""

    def __init__(self, name, context, app="app:hello", *, threads=1, under=()):
        self.name = name
        # Peers cannot report their port, so find a free one here; nothing reserves it.
        self.port = free_port() if name in PEERS else 0
        command = [*under, *command_of(name, context, app, threads, self.port)]
        import_from = [str(BENCH), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop(). Not a pipe: nothing would read it under load
        self.process = subprocess.Popen(
            [str(part) for part in command],
            cwd=BENCH,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(import_from)},
            stdout=self.output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {context.server_cpu}),
        )
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self):
        return self.process.pid

    def _wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Unavailable(f"{self.name} does not start: {self._printed().strip()[-300:]}")
            time.sleep(0.02)

    def _answers(self):
        if self.port == 0:
            found = re.search(r"Listening on http://\S*:(\d+)\s", self._printed())
            self.port = int(found[1]) if found else 0
        if self.port == 0:
            return False
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _printed(self):
        return os.pread(self.output.fileno(), 1 << 20, 0).decode(errors="replace")

    def stop(self):
        """Send TERM, and half a minute later KILL to the rest of the process group."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.wait()
        self.output.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.stop()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
