"""The client's view of applications that break PEP 3333: the intended response, 500, or a
visibly truncated one; never bytes of one response in the next. conformance/pep3333 has the
clauses."""

import pytest
from support import hostile
from support.server import Server
from support.wire import Connection


@pytest.fixture(scope="module", params=["buffered", "as it comes"])
def port(request):
    options = [] if request.param == "buffered" else ["--no-request-buffering"]
    server = Server("bad", *options)
    try:
        yield server.wait_until_listening().port
        server.stop()
    finally:
        server.kill()


@pytest.mark.parametrize("row", list(hostile.BAD))
def test_bad_application_gets_the_due_response_and_injects_nothing(port, row):
    how, due = hostile.BAD[row]
    seen = hostile.ask_badly(port, **how)
    assert seen.status == due.status
    if due.status != 500:
        assert (seen.body, seen.complete) == (due.body, due.complete)
    assert not seen.injected
    assert seen.goes_on or not due.goes_on


def test_three_pipelined_requests_get_three_responses(port):
    with Connection(port) as connection:
        connection.send(b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n" * 3)
        assert [connection.answer().body for _ in range(3)] == [b"hello"] * 3
