"""Whether an installed wheel works: in an empty environment, without anything but the wheel."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pythons import Python
from tools import ROOT, Failed, run

SAMPLES = ROOT / "sample_apps"
CASES = ROOT / "conformance" / "runner" / "run"
# The samples that need no framework, and what iotax check sends them.
CHECKED = (
    ("hello",),
    ("echo", "--path", "/", "--path", "POST /", "-d", "some text"),
    ("stream",),
    ("slow", "--path", "/?seconds=0"),
)
IMPORTS = "import iotax, iotaX, iotax._iotax; from iotaX.server import Server, load_app"
LISTENING = re.compile(r"Listening on (http://\S+)")
SECONDS = 120  # an emulated interpreter starts in three


@dataclass(frozen=True)
class Tried:
    """What the report says of a trial: the interpreter, and the last lines of programs."""

    python: str
    version: str
    cases: str


def try_wheel(wheel: Path, python: Python, directory: Path) -> Tried:
    """Install the wheel for the interpreter and use it, in `directory`, which is made again.

    Raises Failed.
    """
    program = install(wheel, python, directory)
    environment = clean_environment()
    version = run(program, "-m", "iotax", "--version", cwd=directory, env=environment).strip()
    run(program, "-c", IMPORTS, cwd=directory, env=environment)
    # An emulator does not let a process adopt others, as the supervisor does (prctl).
    options = ("--port", "0", "--no-access-log", "--workers", "0" if python.emulator else "2")
    with serving(program, "hello", *options) as url:
        expect(url, None, b"Hello")
    with serving(program, "echo", *options) as url:
        expect(url, b"some text", b"some text")
    for words in CHECKED:
        run(program, "-m", "iotax", "check", *words, cwd=SAMPLES, env=environment)
    server = shlex.join([str(program), "-m", "iotax", *options, "{app}"])
    said = run(program, CASES, "live", "--server", server, cwd=directory, env=environment)
    cases = said.splitlines()[-1].removeprefix("live: ")
    return Tried(str(python), version, cases)


def install(wheel: Path, python: Python, directory: Path) -> Path:
    """An environment that has the wheel only: its interpreter."""
    shutil.rmtree(directory, ignore_errors=True)
    program = directory / "bin" / "python"
    if not python.emulator:
        run(python.path, "-m", "venv", directory)
        run(program, "-m", "pip", "install", "-q", "--no-index", wheel, env=clean_environment())
        run(directory / "bin" / "iotax", "--version", cwd=directory, env=clean_environment())
        run(directory / "bin" / "iotaX", "--version", cwd=directory, env=clean_environment())
        return program
    # An environment of an emulated interpreter is made by hand, and by the pip of this one.
    minor = python.version.rpartition(".")[0]
    packages = directory / "lib" / f"python{minor}" / "site-packages"
    program.parent.mkdir(parents=True)
    shutil.copy(python.path, program)
    shutil.copy(python.path.parent.parent / "pyvenv.cfg", directory)
    chosen = ("--platform", wheel.stem.rpartition("-")[2], "--python-version", minor)
    options = ("--no-index", "--no-deps", "--only-binary", ":all:", "--target", packages)
    builder = ROOT / "build" / "packaging" / "tools" / "bin" / "python"
    run(builder, "-m", "pip", "install", "-q", *options, *chosen, wheel)
    return program


def clean_environment() -> dict[str, str]:
    """Without settings of iotax and paths of Python, and without proxies."""
    foreign = re.compile(r"IOTAX_|PYTHON|.*_proxy$|PORT$|WEB_CONCURRENCY$", re.IGNORECASE)
    kept = {name: value for name, value in os.environ.items() if not foreign.match(name)}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1"}


@contextmanager
def serving(program: Path, app: str, *options: str) -> Iterator[str]:
    """A server with the sample application: its address. It must stop cleanly."""
    command: list[str | Path] = [program, "-m", "iotax", app, *options]
    server = subprocess.Popen(
        command,
        cwd=SAMPLES,
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    said = ""
    watchdog = threading.Timer(SECONDS, server.kill)
    watchdog.start()
    try:
        for line in server.stderr:
            said += line
            if found := LISTENING.search(line):
                yield found[1]
                break
        else:
            raise Failed(f"{app} does not listen:\n{said}")
        server.send_signal(signal.SIGTERM)
        said += server.stderr.read()
        if server.wait() != 0:
            raise Failed(f"{app} ended with {server.returncode} after SIGTERM:\n{said}")
    finally:
        watchdog.cancel()
        server.kill()
        server.wait()


def expect(url: str, body: bytes | None, expected: bytes) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, data=body, timeout=SECONDS) as response:
        received = response.read()
    if response.status != 200 or expected not in received:
        raise Failed(f"{url} sent {response.status} with {received[:80]!r}; expected {expected!r}")
