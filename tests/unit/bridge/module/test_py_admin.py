"""_iotax.Admin and what the Scoreboard publishes for it."""

import json
import os
import socket
import time
import urllib.request
from collections.abc import Iterator

import pytest

from iotax import _iotax
from iotax._processes.lifecycle import Cause


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        yield sock


def admin_of(scoreboard: _iotax.Scoreboard, listener: socket.socket) -> _iotax.Admin:
    return _iotax.Admin(
        scoreboard,
        [(listener.fileno(), "127.0.0.1:1", False, False)],
        python="3.99",
        urls=["http://a"],
        shows_requests=True,
    )


def get(listener: socket.socket, path: str) -> str:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}{path}"
    request = urllib.request.Request(url, headers={"Accept": "text/plain"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as response:
        return str(response.read().decode())


def test_admin_serves_what_was_published(listener: socket.socket) -> None:
    scoreboard = _iotax.Scoreboard(4, 2, counted=True)
    exits = list(range(len(Cause)))
    scoreboard.publish_worker(2, "ready", 4711, 60.0)
    scoreboard.publish(
        wanted=3,
        starts=5,
        exits=exits,
        has_served=True,
        stopping=False,
        supervised=True,
        listeners=[listener.fileno(), -1],
    )
    admin = admin_of(scoreboard, listener)
    admin.start()
    assert get(listener, "/readyz") == "ready\n"
    status = json.loads(get(listener, "/status"))
    assert status["pid"] == os.getpid()
    (worker,) = status["workers"]
    assert (worker["number"], worker["pid"], worker["state"]) == (3, 4711, "ready")
    assert worker["age"] == pytest.approx(60, abs=30)
    lines = get(listener, "/metrics").splitlines()
    for cause, count in zip(Cause, exits, strict=True):  # in the same order
        assert f'iotax_worker_exits_total{{cause="{cause}"}} {count}' in lines
    assert "iotax_workers_wanted 3" in lines
    assert 'iotax_backlog_connections{listener="http://a"} 0' in lines
    version = f'version="{_iotax.__version__}",python="3.99"'
    assert f"iotax_build_info{{{version}}} 1" in lines
    admin.stop()
    admin.stop()


def test_a_worker_that_is_published_again_keeps_its_start(listener: socket.socket) -> None:
    scoreboard = _iotax.Scoreboard(1, 1, counted=True)
    admin = admin_of(scoreboard, listener)
    admin.start()
    found = set()
    for age in (100.0, 5.0):
        scoreboard.publish_worker(0, "ready", 4711, age)
        lines = get(listener, "/metrics").splitlines()
        found |= {line for line in lines if line.startswith("iotax_worker_start_time_seconds{")}
    assert len(found) == 1
    assert float(found.pop().split()[1]) == pytest.approx(time.time() - 100, abs=30)
    admin.stop()


def test_a_free_slot_shows_no_worker(listener: socket.socket) -> None:
    scoreboard = _iotax.Scoreboard(1, 1, counted=True)
    scoreboard.publish_worker(0, "booting", 4711, 0.0)
    scoreboard.publish_worker(0, "none", 0, 0.0)
    admin = admin_of(scoreboard, listener)
    admin.start()
    assert json.loads(get(listener, "/status"))["workers"] == []
    admin.stop()


def test_wrong_arguments(listener: socket.socket) -> None:
    plain = _iotax.Scoreboard(1, 1)
    with pytest.raises(ValueError, match="not counted"):
        plain.publish_worker(0, "ready", 1, 0.0)
    with pytest.raises(ValueError, match="not counted"):
        admin_of(plain, listener)
    counted = _iotax.Scoreboard(1, 1, counted=True)
    with pytest.raises(ValueError, match="state is 'gone'"):
        counted.publish_worker(0, "gone", 1, 0.0)
    with pytest.raises(ValueError, match="slot is 1"):
        counted.publish_worker(1, "ready", 1, 0.0)
    with pytest.raises(ValueError, match="exits has 2 numbers; there are 11 causes"):
        counted.publish(
            wanted=1,
            starts=1,
            exits=[1, 2],
            has_served=True,
            stopping=False,
            supervised=True,
            listeners=[],
        )
