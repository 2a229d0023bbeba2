"""Plays a page: its files are written into an empty project, its commands run there, their output
compared.

A line of output matches if it is the same, apart from process ids, times and the text for "..." or
"…"; such a line alone matches any lines. The ports 8000 and 9100 stand for free ones, /srv/shop for
the project.
"""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from blocks import Block
from support import patience
from support.server import environment

PORT, ADMIN_PORT = "8000", "9100"
HOME = "/srv/shop"
LISTENING = re.compile(r"Listening on \S+$", re.M)
_PREFIX = re.compile(r"^\d{4}-\d\d-\d\dT\S+ (?:\[\d+\] )?", re.M)
# Words with which `iotax` does not serve.
RETURNS = {"check", "migrate", "--version", "-h", "--help", "--check-config", "--print-config"}
_ANY = re.compile(r"\.\.\.|…")


@dataclass(frozen=True)
class Command:
    line: str
    output: list[str]


def commands_of(text: str) -> Iterator[Command]:
    """The commands of a console block: "$ COMMAND", continued after a backslash, then its
    output."""
    parts = re.split(r"^\$ ", text, flags=re.M)
    assert not parts[0].strip(), f"output without a command: {parts[0]!r}"
    for part in parts[1:]:
        line, _, output = re.sub(r" *\\\n *", " ", part).partition("\n")
        yield Command(line, output.splitlines())


class Process:
    """A running command. `text`: its output so far."""

    def __init__(self, arguments: list[str], directory: Path, env: dict[str, str]) -> None:
        self._directory = directory
        self._file = directory / f".output-{time.monotonic_ns()}"
        self._writer: IO[bytes] = self._file.open("wb")
        self._process = subprocess.Popen(
            arguments,
            cwd=directory,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=self._writer,
            stderr=subprocess.STDOUT,
        )

    @property
    def text(self) -> str:
        text = self._file.read_text(encoding="utf-8", errors="replace")
        text = text.replace("\r\n", "\n").replace(str(self._directory), HOME)
        return _PREFIX.sub("", text)

    @property
    def code(self) -> int | None:
        return self._process.poll()

    def wait_until(self, is_there: Callable[[str], object]) -> bool:
        """Whether its text is_there; False if the process ends without it."""
        ends = time.monotonic() + patience.SECONDS
        while time.monotonic() < ends:
            code = self.code
            if is_there(self.text):
                return True
            if code is not None:
                return False
            time.sleep(0.01)  # between two reads of a file
        raise AssertionError(f"it prints nothing more in {patience.SECONDS} s:\n{self.text}")

    def wait(self) -> int:
        return self._process.wait(patience.SECONDS)

    def stop(self) -> None:
        if self.code is None:
            self._process.send_signal(signal.SIGINT)
        try:
            code = self._process.wait(patience.SECONDS)
        finally:
            self.kill()
        assert code == 0, f"exit code {code}:\n{self.text}"

    def kill(self) -> None:
        if self.code is None:
            self._process.kill()
            self._process.wait()
        self._writer.close()


class Project:
    """An empty directory with the commands of the virtual environment, and at most one server."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "project"
        self.directory.mkdir()
        self._server: Process | None = None
        with socket.socket() as probe, socket.socket() as other:
            for one in (probe, other):
                one.bind(("127.0.0.1", 0))
            self._port, self._admin_port = (str(one.getsockname()[1]) for one in (probe, other))
        bin_directory = directory / "bin"
        bin_directory.mkdir()
        python = shlex.quote(sys.executable)
        for name, command in {
            "python": python,
            "iotax": f"{python} -m iotax",
            "pytest": f"{python} -m pytest -p no:cacheprovider",
            "curl": "/usr/bin/env -i PATH=/usr/bin:/bin curl --silent --show-error",
        }.items():
            (bin_directory / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            (bin_directory / name).chmod(0o755)
        self._env = environment({"PATH": f"{bin_directory}:{os.environ['PATH']}", "COLUMNS": "80"})

    def play(self, block: Block) -> None:
        if block.test.startswith("skip"):
            assert re.fullmatch(r"skip, \w.*", block.test), "say why it is not run: skip, REASON"
        elif block.file:
            assert not block.test
            self._write(block.file, block.text)
        elif block.test == "log":
            self._compare_log(block)
        elif block.language == "console":
            for command in commands_of(block.text):
                self._run(command)
        elif block.language == "python":
            self._run_python(block)
        elif block.language == "toml":
            tomllib.loads(block.text)

    def _write(self, name: str, text: str) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".py":
            compile(text, str(path), "exec")
        # As an editor does it: a server with --reload must not see half of a file.
        new = path.with_name(path.name + ".new")
        new.write_text(text, encoding="utf-8")
        new.replace(path)

    def _run_python(self, block: Block) -> None:
        name = f"block_{block.line}.py"
        text = self._real(block.text)
        compile(text, block.where, "exec")
        if block.test == "fragment":
            return
        assert block.test in ("", "server"), f"{block.test!r} says nothing of a block of Python"
        if block.test == "server":
            self.stop()  # it has opened the port
        self._write(name, text)
        process = Process([sys.executable, name], self.directory, self._env)
        try:
            if block.test == "server":
                assert process.wait_until(LISTENING.search), process.text
                process.stop()
            else:
                assert process.wait() == 0, process.text
        finally:
            process.kill()
            (self.directory / name).unlink()

    def _real(self, text: str) -> str:
        """With the ports of this project."""
        return text.replace(PORT, self._port).replace(ADMIN_PORT, self._admin_port)

    def _shown(self, text: str) -> str:
        """With the ports of the page."""
        return text.replace(self._port, PORT).replace(self._admin_port, ADMIN_PORT)

    def _run(self, command: Command) -> None:
        line = self._real(command.line)
        words = shlex.split(line, comments=True)
        if words[0] == "iotax" and not RETURNS & {*words}:
            self._start(line, words, command)
            return
        process = Process(["bash", "-c", line], self.directory, self._env)
        try:
            code = process.wait()
            if command.output:
                compare(command.output, self._shown(process.text))
            else:
                assert code == 0, process.text
        finally:
            process.kill()

    def _start(self, line: str, words: list[str], command: Command) -> None:
        """A server runs until the next one, or the end of the page."""
        self.stop()
        env = dict(self._env)
        if not {"-b", "--bind", "--port"} & set(words):
            env["IOTAX_PORT"] = self._port
        process = Process(["bash", "-c", f"exec {line}"], self.directory, env)
        self._server = process
        if process.wait_until(LISTENING.search):
            if command.output:
                process.wait_until(partial(self._shows, command.output[-1]))
        else:
            self._server = None
            process.kill()
            assert command.output, process.text
        if command.output:
            compare(command.output, self._shown(process.text))

    def _compare_log(self, block: Block) -> None:
        assert self._server is not None, "no server runs here"
        for line in block.text.splitlines():
            assert self._server.wait_until(partial(self._shows, line)), line

    def _shows(self, line: str, text: str) -> bool:
        return holds(line, self._shown(text))

    def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def kill(self) -> None:
        if self._server is not None:
            self._server.kill()


@contextmanager
def project(directory: Path) -> Iterator[Project]:
    """Its server has exited with success at the end of the block."""
    made = Project(directory)
    try:
        yield made
        made.stop()
    finally:
        made.kill()


# Values that differ from run to run, and their placeholders in both texts.
_VARIES = [
    (re.compile(r"\[\d+\]"), "[PID]"),
    (re.compile(r"\b\d+(?:\.\d+)?( ?)(ms|s)\b"), r"N\1\2"),
    (re.compile(r"127\.0\.0\.1:(?!8000)\d+"), "127.0.0.1:CLIENT"),
]


def _normal(text: str) -> str:
    for pattern, stands in _VARIES:
        text = pattern.sub(stands, text)
    return "\n".join(line.rstrip() for line in text.strip("\n").split("\n")) + "\n"


def _pattern(line: str) -> str:
    return ".*".join(map(re.escape, _ANY.split(_normal(line).strip("\n"))))


def holds(shown: str, printed: str) -> bool:
    """Whether a line of `printed` matches `shown`."""
    return re.search(rf"^{_pattern(shown)}$", _normal(printed), re.M) is not None


def compare(shown: list[str], printed: str) -> None:
    """Errors: AssertionError with both texts."""
    while shown and not shown[-1].strip():
        shown = shown[:-1]
    pattern = ""
    for line in shown:
        pattern += r"(?:.*\n)*?" if _ANY.fullmatch(line.strip()) else _pattern(line) + r"\n"
    text = _normal(printed)
    assert re.fullmatch(pattern, text), "\n".join(["shown:", *shown, "", "printed:", text])
