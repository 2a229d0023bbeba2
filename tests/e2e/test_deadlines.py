"""Calls that hang: the response, the log, and the effect on other requests."""

import re

import pytest
from support.processes import wait_for_end
from support.server import LISTENING
from support.terminal import Terminal
from support.wire import Connection

LIMIT = "200ms"


@pytest.fixture(params=["1", "8"])
def serve(request, start, tmp_path):
    """serve(*arguments) starts a server with a request timeout of 200 ms."""

    def one(*arguments: str):
        server = start(
            "hangs", "--workers", "0", "--threads", request.param, "--request-timeout", LIMIT,
            *arguments, env={"HANGS": str(tmp_path)},
        )  # fmt: skip
        server.threads = int(request.param)
        return server

    yield one
    (tmp_path / "let-go").touch()


def ask(server, path):
    with Connection(server.port) as connection:
        connection.get(path)
        return connection.answer()


def is_answered(server):
    """Other requests are not affected."""
    answer = ask(server, "/")
    assert answer.status == 200
    return answer.text.split()


def has_timed_out(server, path):
    answer = ask(server, path)
    assert answer.status == 504
    request_id = re.search(r"Request ID: (\S+)", answer.text)[1]
    server.err.wait_for(
        rf"504 no response from the application .*: \"GET {path}\" \({request_id}\)"
    )
    server.err.wait_for(
        rf"GET {path} \({request_id}\) has produced no output for .* \(--request-timeout\)"
    )
    return request_id


@pytest.mark.smoke
@pytest.mark.parametrize("path", ["/sleep", "/loop"])
def test_overdue_python_code_is_interrupted(serve, path):
    server = serve()
    has_timed_out(server, path)
    server.err.wait_for(r'hangs\.py", line \d+, in (app|hang_in_python)')
    for _ in range(9):
        is_answered(server)
    assert "has not come back" not in server.err.text


def test_a_view_may_catch_the_exception(serve):
    server = serve()
    has_timed_out(server, "/catch")
    while "caught" not in is_answered(server):
        pass


def test_call_that_holds_the_gil_gets_a_response_without_python(serve):
    server = serve()
    assert ask(server, "/gil").status == 504
    while (answer := ask(server, "/")).status != 200:  # until the call releases the GIL
        assert answer.status == 503


def test_hang_after_the_head_visibly_truncates_the_response(serve):
    server = serve()
    with Connection(server.port) as connection:
        connection.get("/head")
        received = connection.rest()
    assert b"first" in received
    assert b"\r\n0\r\n\r\n" not in received
    server.err.wait_for(r"200 truncated: no output from the application .*GET /head")
    while "broken" not in is_answered(server):
        pass


def test_hang_in_close_keeps_the_response_and_is_not_interrupted(serve, tmp_path):
    server = serve()
    with Connection(server.port) as connection:
        connection.get("/close")
        assert connection.answer().text == "whole"
        server.err.wait_for(r"GET /close .* \(--request-timeout\)")
    (tmp_path / "let-go").touch()
    assert "close" in is_answered(server)
    assert "Error" not in server.err.text


def test_lost_thread_is_replaced_unless_it_is_the_only_one(serve):
    """With eight threads, a lost one is replaced; the only one is not."""
    server = serve("--request-timeout-grace", LIMIT)
    has_timed_out(server, "/lock")
    server.err.wait_for(r"Thread iotax-\d has not come back")
    if server.threads == 1:
        server.err.wait_for("CRITICAL.*restart it")
    else:
        for _ in range(9):
            is_answered(server)
        assert "CRITICAL" not in server.err.text
    server.stop()


@pytest.mark.parametrize("action", ["log", "answer"])
def test_actions_log_and_answer_do_not_interrupt_the_thread(serve, tmp_path, action):
    server = serve("--request-timeout-action", action)
    with Connection(server.port) as connection:
        connection.get("/catch")
        server.err.wait_for(r"GET /catch .* has produced no output for")
        if action == "answer":
            assert connection.answer().status == 504
        (tmp_path / "let-go").touch()
        if action == "log":
            assert connection.answer().status == 200
    assert "caught" not in is_answered(server)


def test_slow_requests_are_logged(start, tmp_path):
    server = start("hangs", "--workers", "0", "--slow-request", LIMIT, env={"HANGS": str(tmp_path)})
    with Connection(server.port) as connection:
        connection.get("/sleep")
        server.err.wait_for(r"GET /sleep \(\S+\) has produced no output for .* \(--slow-request\)")
        (tmp_path / "let-go").touch()
        assert connection.answer().status == 200


# ---- under a supervisor


@pytest.fixture
def supervised(start, tmp_path):
    """supervised(*arguments): one worker with one thread, and a short drain of old workers."""

    def one(*arguments: str):
        limits = ("--request-timeout", LIMIT, "--graceful-timeout", "1s")
        return start("hangs", *limits, *arguments, env={"HANGS": str(tmp_path)})

    yield one
    (tmp_path / "let-go").touch()


def is_replaced(server, why):
    """The current worker drains, and another one responds."""
    old = server.started()[0]
    server.err.wait_for(rf"Replacing worker \[{old}\]: {why}")
    new = int(server.err.wait_for(rf"Worker \[(\d+)\] replaces \[{old}\]")[1])
    wait_for_end(old)
    assert server.workers() == [new]
    assert ask(server, "/").status == 200


def test_action_replace_replaces_the_worker(supervised):
    server = supervised("--request-timeout-action", "replace")
    request_id = has_timed_out(server, "/lock")
    is_replaced(server, rf"GET /lock \({request_id}\) is over --request-timeout")


def test_worker_that_lost_its_only_thread_is_replaced(supervised):
    """Waiting requests get a 503, and the next worker responds."""
    server = supervised("--request-timeout-grace", LIMIT)
    with Connection(server.port) as one, Connection(server.port) as other:
        one.get("/lock")
        other.get("/")
        assert one.answer().status == 504
        waiting = other.answer()
        assert (waiting.status, waiting.get("Retry-After")) == (503, "1")
    is_replaced(server, "iotax-0 has not come back .*GET /lock")


def test_worker_whose_gil_is_held_for_long_is_replaced(supervised):
    server = supervised()
    assert ask(server, "/gil-for-long").status == 504
    server.err.wait_for(r"is stuck while running GET /gil-for-long.*: a call has held the GIL")
    server.err.wait_for(r'hangs\.py", line \d+ in app')
    is_replaced(server, "its interpreter is stuck")


def test_call_in_a_debugger_has_no_deadline(tmp_path):
    """Also the exception, which would end the debugging session."""
    arguments = ("hangs", "--port", "0", "--color", "never", "--request-timeout", LIMIT)
    with Terminal(*arguments, env={"HANGS": str(tmp_path)}) as terminal:
        port = int(terminal.shown.wait_for(LISTENING)["port"])
        with Connection(port) as connection:
            connection.get("/debugged")
            terminal.shown.wait_for(r"\(Pdb\) ")
            terminal.shown.wait_for(r"A debugger is active in GET /debugged \(\S+\)")
            terminal.type(b"continue\n")
            assert connection.answer().status == 200
        terminal.type(b"\x03")
        assert terminal.process.wait(20) == 0
        assert "RequestTimeout" not in terminal.shown.wait_for_end()
