"""Headless Chromium, driven over pipes with the DevTools protocol: enough to fill in a form."""

import fcntl
import json
import os
import select
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from . import patience

FLAGS = [
    "--headless",
    "--no-sandbox",  # tests may run as root, in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--remote-debugging-pipe",
]
# Where Chromium reads commands and writes replies.
COMMANDS, REPLIES = 3, 4


class Browser:
    """One tab: `with Browser(directory) as browser: browser.open(url)`. The profile is in
    `directory`."""

    def __init__(self, directory: Path) -> None:
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        assert program, "Chromium is not installed; the set-up script installs it"
        commands_in, self._commands = os.pipe()
        self._replies, replies_out = os.pipe()
        # Copies above 4, so that the first dup2() cannot overwrite what the second one copies.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (commands_in, replies_out)]

        def place_pipes() -> None:
            os.dup2(ends[0], COMMANDS)
            os.dup2(ends[1], REPLIES)

        self._process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={directory}", "about:blank"],
            env={name: value for name, value in os.environ.items() if name != "LD_PRELOAD"},
            preexec_fn=place_pipes,
            close_fds=False,  # Python's own descriptors are not inherited anyway
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in (commands_in, replies_out, *ends):
            os.close(end)
        self._number = 0
        self._buffer = b""
        self._events: list[str] = []
        self._session: dict[str, str] = {}
        target = self._do("Target.createTarget", url="about:blank")["targetId"]
        found = self._do("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": found["sessionId"]}
        self._do("Page.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._commands)
        os.close(self._replies)

    # ---- actions of a user

    def open(self, url: str) -> None:
        self._events.clear()
        self._do("Page.navigate", url=url)
        self._wait_for_page()

    def wait_for_page_after(self, act: Callable[[], object]) -> None:
        """Do something that makes the page reload, or load another one, and wait for that."""
        self._events.clear()
        act()
        self._wait_for_page()

    def choose_file(self, selector: str, path: Path) -> None:
        root = self._do("DOM.getDocument")["root"]["nodeId"]
        node = self._do("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        assert node, f"the page has no {selector}"
        self._do("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def type(self, selector: str, text: str) -> None:
        self.evaluate(f"document.querySelector({json.dumps(selector)}).value = {json.dumps(text)}")

    def click(self, selector: str) -> None:
        """Click on a link to another page, and wait for that page."""
        self._events.clear()
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")
        self._wait_for_page()

    @property
    def text(self) -> str:
        return str(self.evaluate("document.body.innerText"))

    def evaluate(self, script: str) -> Any:
        return self._do("Runtime.evaluate", expression=script)["result"].get("value")

    # ---- the protocol: one JSON object each way, ended by a zero byte

    def _wait_for_page(self) -> None:
        while "Page.loadEventFired" not in self._events:
            self._receive()

    def _do(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters, **self._session}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            reply = self._receive()
            if reply.get("id") == self._number:
                assert "error" not in reply, reply
                return dict(reply["result"])

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready = select.select([self._replies], [], [], patience.SECONDS)[0]
            data = os.read(self._replies, 1 << 20) if ready else b""
            assert data, "Chromium does not answer" if not ready else "Chromium has ended"
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        if "method" in found:
            self._events.append(found["method"])
        return found
