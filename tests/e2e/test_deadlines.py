"""Calls that hang: what the client and the log get, and what the other requests see."""

import re

import pytest
from support.wire import Connection

LIMIT = "200ms"


@pytest.fixture(params=["1", "8"])
def serve(request, start, tmp_path):
    """serve(*arguments) starts a server whose calls may take 200 ms."""

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
    """Another request sees nothing of it all."""
    answer = ask(server, "/")
    assert answer.status == 200
    return answer.text.split()


def has_timed_out(server, path):
    answer = ask(server, path)
    assert answer.status == 504
    request_id = re.search(r"Request ID: (\S+)", answer.text)[1]
    server.err.wait_for(rf"504 the application gave no answer .*{request_id}: \"GET {path}\"")
    server.err.wait_for(rf"GET {path} \({request_id}\) has run for .* \(--request-timeout\)")
    return request_id


@pytest.mark.smoke
@pytest.mark.parametrize("path", ["/sleep", "/loop"])
def test_python_code_is_interrupted(serve, path):
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


def test_a_call_that_keeps_the_gil_is_answered_without_python(serve):
    server = serve()
    assert ask(server, "/gil").status == 504
    is_answered(server)


def test_a_hang_behind_the_head_is_visibly_broken(serve):
    server = serve()
    with Connection(server.port) as connection:
        connection.get("/head")
        received = connection.rest()
    assert b"first" in received
    assert b"\r\n0\r\n\r\n" not in received
    server.err.wait_for(r"200 broken off: the application gave nothing .*GET /head")
    while "broken" not in is_answered(server):
        pass


def test_a_hang_in_close_costs_no_answer_and_is_not_interrupted(serve, tmp_path):
    server = serve()
    with Connection(server.port) as connection:
        connection.get("/close")
        assert connection.answer().text == "whole"
        server.err.wait_for(r"GET /close .* \(--request-timeout\)")
    (tmp_path / "let-go").touch()
    assert "close" in is_answered(server)
    assert "Error" not in server.err.text


def test_a_lost_thread(serve):
    """One of eight is replaced; the only one is not."""
    server = serve("--request-timeout-grace", LIMIT)
    has_timed_out(server, "/lock")
    server.err.wait_for("Thread iotax-0 has not come back|Thread iotax-. has not come back")
    if server.threads == 1:
        server.err.wait_for("CRITICAL.*restart it")
    else:
        for _ in range(9):
            is_answered(server)
        assert "CRITICAL" not in server.err.text
    server.stop()


@pytest.mark.parametrize("action", ["log", "answer"])
def test_actions_that_leave_the_thread_alone(serve, tmp_path, action):
    server = serve("--request-timeout-action", action)
    with Connection(server.port) as connection:
        connection.get("/catch")
        server.err.wait_for(r"GET /catch .* has run for")
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
        server.err.wait_for(r"GET /sleep \(\S+\) has run for .* \(--slow-request\)")
        (tmp_path / "let-go").touch()
        assert connection.answer().status == 200
