"""A real Prometheus that scrapes the admin listener of a server, with the files of examples/."""

import json
import shutil
import socket
import subprocess
import time
import urllib.parse
from pathlib import Path
from typing import Any, Self

from . import patience
from .proxies import EXAMPLES, example
from .wire import Connection

FILES = EXAMPLES / "prometheus"
INSTALLED = shutil.which("prometheus") is not None
_SCRAPES_PER_SECOND = 5


class Prometheus:
    """`with Prometheus(directory, port) as prometheus:` scrapes the admin listener on `port`."""

    def __init__(self, directory: Path, admin_port: int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        changes = {
            "scrape_interval: 15s": f"scrape_interval: {1000 // _SCRAPES_PER_SECOND}ms",
            "evaluation_interval: 15s": "evaluation_interval: 1s",
            "  - rules.yaml": f"  - {FILES / 'rules.yaml'}",
            '["127.0.0.1:9100"]': f'["127.0.0.1:{admin_port}"]',
        }
        settings = directory / "prometheus.yml"
        settings.write_text(example("prometheus/prometheus.yml", changes))
        self._log = (directory / "prometheus.log").open("w+")
        self._process = subprocess.Popen(
            [
                *("prometheus", f"--config.file={settings}", "--log.level=warn"),
                f"--storage.tsdb.path={directory / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{self._port}",
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> Self:
        self.wait_until('up{job="iotax"} == 1')
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query; [] while it starts."""
        path = f"/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        try:
            with Connection(self._port) as connection:
                answer = connection.ask(path, "Connection: close")
        except ConnectionRefusedError:
            return []
        if answer.status == 503:
            return []
        assert answer.status == 200, answer.text
        samples: list[dict[str, Any]] = json.loads(answer.text)["data"]["result"]
        return samples

    def wait_until(self, expression: str) -> list[dict[str, Any]]:
        """Wait until `expression` has samples, and return them."""
        deadline = time.monotonic() + patience.SECONDS
        while not (found := self.query(expression)):
            assert self._process.poll() is None, self._printed()
            assert time.monotonic() < deadline, f"{expression} has no samples\n{self._printed()}"
            time.sleep(0.5 / _SCRAPES_PER_SECOND)
        return found

    def value(self, expression: str) -> float:
        (sample,) = self.query(expression)
        return float(sample["value"][1])

    def _printed(self) -> str:
        self._log.seek(0)
        return self._log.read()
