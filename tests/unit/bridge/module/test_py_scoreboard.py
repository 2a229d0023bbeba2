"""_iotax.Scoreboard: what a worker does, read from another process."""

import os
import signal
import socket
from typing import Any

import pytest
from test_worker import OPTIONS, ask, hello, listening

from iotax import _iotax


def test_bounds_are_named() -> None:
    for slots, threads, name in [(0, 1, "slots is 0"), (1, 0, "threads is 0"), (9999, 1, "slots")]:
        with pytest.raises(ValueError, match=name):
            _iotax.Scoreboard(slots, threads)
    scoreboard = _iotax.Scoreboard(2, 1)
    for look in (scoreboard.calls, scoreboard.turns, scoreboard.gil_stuck, scoreboard.clear):
        with pytest.raises(ValueError, match="slot is 2"):
            look(2)
    with pytest.raises(ValueError, match="threads is 2"):
        _iotax.Worker(hello, [], {**OPTIONS, "threads": 2}, scoreboard=scoreboard)
    with pytest.raises(ValueError, match="slot is 7"):
        _iotax.Worker(hello, [], OPTIONS, scoreboard=scoreboard, slot=7)


def test_a_new_page_is_empty() -> None:
    scoreboard = _iotax.Scoreboard(3, 8)
    for slot in range(3):
        assert scoreboard.calls(slot) == []
        assert scoreboard.turns(slot) == 0
        assert scoreboard.gil_stuck(slot) == 0.0


def test_a_call_is_seen_while_it_runs_and_after_its_process_was_killed() -> None:
    scoreboard = _iotax.Scoreboard(2, 4)
    inside, outside = os.pipe()

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if environ["PATH_INFO"] == "/hang":
            os.write(outside, b".")
            signal.pause()
        return hello(environ, start_response)

    with listening() as listener:
        port = listener.getsockname()[1]
        child = os.fork()
        if child == 0:
            options = {**OPTIONS, "access_log": False}
            name = (listener.fileno(), f"127.0.0.1:{port}", False, False)
            _iotax.Worker(app, [name], options, scoreboard=scoreboard, slot=1).run()
            os._exit(1)
    assert ask(port) == b"hello"
    assert scoreboard.calls(1) == []
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(b"GET /hang?x HTTP/1.1\r\nHost: h\r\n\r\n")
    os.read(inside, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    client.close()
    ((line, request_id, age),) = scoreboard.calls(1)
    assert line == "GET /hang"
    assert request_id
    assert 0 <= age < 60
    assert scoreboard.turns(1) > 0
    assert scoreboard.calls(0) == []
    scoreboard.clear(1)
    assert scoreboard.calls(1) == []
    assert scoreboard.turns(1) == 0
