"""_iotax.Page: what a worker does, read from another process."""

import os
import signal
import socket
from typing import Any

import pytest
from test_worker import OPTIONS, ask, hello, listening

from iotax import _iotax


def test_bounds_are_named() -> None:
    for seats, threads, name in [(0, 1, "seats is 0"), (1, 0, "threads is 0"), (9999, 1, "seats")]:
        with pytest.raises(ValueError, match=name):
            _iotax.Page(seats, threads)
    page = _iotax.Page(2, 1)
    for look in (page.calls, page.turns, page.gil_stuck, page.clear):
        with pytest.raises(ValueError, match="seat is 2"):
            look(2)
    with pytest.raises(ValueError, match="threads is 2"):
        _iotax.Worker(hello, [], {**OPTIONS, "threads": 2}, page=page)
    with pytest.raises(ValueError, match="seat is 7"):
        _iotax.Worker(hello, [], OPTIONS, page=page, seat=7)


def test_a_new_page_is_empty() -> None:
    page = _iotax.Page(3, 8)
    for seat in range(3):
        assert page.calls(seat) == []
        assert page.turns(seat) == 0
        assert page.gil_stuck(seat) == 0.0


def test_a_call_is_seen_while_it_runs_and_after_its_process_was_killed() -> None:
    page = _iotax.Page(2, 4)
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
            name = (listener.fileno(), f"127.0.0.1:{port}", False)
            _iotax.Worker(app, [name], options, page=page, seat=1).run()
            os._exit(1)
    assert ask(port) == b"hello"
    assert page.calls(1) == []
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(b"GET /hang?x HTTP/1.1\r\nHost: h\r\n\r\n")
    os.read(inside, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    client.close()
    ((line, request_id, age),) = page.calls(1)
    assert line == "GET /hang"
    assert request_id
    assert 0 <= age < 60
    assert page.turns(1) > 0
    assert page.calls(0) == []
    page.clear(1)
    assert page.calls(1) == []
    assert page.turns(1) == 0
