"""Thread Support, and what environ says about threads and processes: S-THR, S-ENV-29, S-ENV-30."""

import contextlib
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from applications import TEXT, Applications, stay, tell
from served import Served, only_for_iotax
from support.wire import OTHER

applications = Applications()

inside = threading.Lock()


@applications.add
def alone(environ: Any, start_response: Any) -> list[bytes]:
    """Waits, and reports whether another call was inside meanwhile."""
    first = inside.acquire(blocking=False)
    try:
        tell(
            "entered",
            alone=first,
            thread=threading.get_ident(),
            multithread=environ["wsgi.multithread"],
        )
        stay()
    finally:
        if first:
            inside.release()
    start_response("200 OK", [TEXT])
    return [b"x"]


@pytest.mark.obligation("S-THR-01", "S-ENV-29")
def test_with_one_thread_there_is_one_call_at_a_time(served: Served) -> None:
    """Without an option, as documented."""
    only_for_iotax("how many threads it has is an option")
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(served.connect()) for _ in range(50)]
        for connection in connections:
            connection.get("/alone")
        entered = []
        for _ in connections:
            entered.append(served.wait_for("entered"))
            served.wait_until_it_stays()
            served.let_go()
        for connection in connections:
            assert connection.answer().body == b"x"
    assert all(event["alone"] for event in entered)
    assert len({event["thread"] for event in entered}) == 1
    assert {event["multithread"] for event in entered} == {False}


@pytest.mark.obligation("S-ENV-29")
def test_the_variable_says_whether_calls_overlap(served: Served) -> None:
    with served.connect() as one, served.connect() as other:
        for connection in (one, other):
            connection.get("/alone")
        multithread = served.wait_for("entered")["multithread"]
        if OTHER:
            overlap = "entered" in served.told()
        else:
            served.wait_until_it_stays()
            overlap = False
        served.let_go()
        served.let_go()
        for connection in (one, other):
            assert connection.answer().body == b"x"
            connection.close()  # some wait for that before they serve the next one
    assert multithread is overlap


@pytest.mark.obligation("S-ENV-29")
def test_with_two_threads_there_are_two_calls_at_a_time(serve: Callable[..., Served]) -> None:
    served = serve(f"{__name__}:applications", "--threads", "2")
    with served.connect() as one, served.connect() as other:
        for connection in (one, other):
            connection.get("/alone")
        entered = [served.wait_for("entered") for _ in range(2)]  # and none was released
        served.let_go()
        served.let_go()
        for connection in (one, other):
            assert connection.answer().body == b"x"
    assert sorted(event["alone"] for event in entered) == [False, True]
    assert {event["multithread"] for event in entered} == {True}


@applications.add
def process(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    return [f"{os.getpid()} {environ['wsgi.multiprocess']}".encode()]


@pytest.mark.obligation("S-ENV-30")
def test_under_a_supervisor_there_can_be_another_process(served: Served) -> None:
    only_for_iotax("it looks for the workers of its supervisor")
    (worker,) = served.server.workers()
    assert worker != served.server.pid
    assert {served.ask("/process").text for _ in range(3)} == {f"{worker} True"}


@pytest.mark.obligation("S-ENV-30")
def test_without_one_there_is_one_process(serve: Callable[..., Served]) -> None:
    served = serve(f"{__name__}:applications", "--workers", "0")
    assert {served.ask("/process").text for _ in range(3)} == {f"{served.server.pid} False"}
