"""iotax.RequestTimeout reaches the overdue application, and no other code."""

import sys
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from scripted_bridge import Bridge

from iotax import _iotax

NEAR_MISSES = 10_000
INTERRUPTED = 20


@pytest.fixture
def often() -> Iterator[None]:
    """Python switches threads as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def work(rounds: int) -> int:
    return sum(range(rounds))


@pytest.mark.usefixtures("often")
def test_request_timeout_is_raised_only_in_the_call_and_in_next() -> None:
    outside: list[str] = []
    raised = 0

    class Result:
        def __init__(self) -> None:
            self.left = 2

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> bytes:
            work(20)
            self.left -= 1
            if self.left < 0:
                raise StopIteration
            return b"block"

        def close(self) -> None:
            try:
                work(50)
            except BaseException as error:
                outside.append(repr(error))
                raise

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        work(20)
        return Result()

    bridge = Bridge(app)
    armed = over = requests = 0

    def interrupt() -> None:
        nonlocal armed
        last = 0
        while not over:
            if bridge.harness.interrupt(0) and last != requests:
                last = requests
                armed += 1
            work(30)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        while armed < INTERRUPTED:
            requests += 1
            try:
                answer = bridge.request()
                work(50)
                raised += answer.kinds[-1] in ("fail", "abort")
            except BaseException as error:
                outside.append(f"after the request: {error!r}")
                break
            assert not [line for line in answer.log if "RequestTimeout" in line[1]]
    finally:
        over = 1
        thread.join()
    assert outside == []
    assert raised > 0
    assert not bridge.harness.interrupt(0), "nothing runs"


def test_late_response_is_discarded() -> None:
    """Raised when next() has finished: neither close() nor the next request gets it."""
    closed = 0

    class Result:
        def __iter__(self) -> Any:
            return map(partial(bridge.harness.interrupting, 0), [b"block", b"more"])

        def close(self) -> None:
            nonlocal closed
            work(20)
            closed += 1

    def app(_environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        return Result()

    bridge = Bridge(app)
    for _ in range(NEAR_MISSES // 2):
        answer = bridge.request()
        work(20)
        assert answer.body == b"blockmore"
        assert answer.log == []
    assert closed == NEAR_MISSES // 2


def test_request_timeout_is_not_caught_by_frameworks() -> None:
    assert issubclass(_iotax.RequestTimeout, BaseException)
    assert not issubclass(_iotax.RequestTimeout, Exception)
