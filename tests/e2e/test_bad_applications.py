"""Wrong requests and wrong applications: what the client sees, and that nobody else is hurt.

The rows are data: tests/support/hostile.py.
"""

import pytest
from support.hostile import APPLICATION, APPLICATIONS, REQUESTS, outcome
from support.server import Server
from support.wire import Connection


@pytest.fixture(scope="module")
def server():
    server = Server(APPLICATION)
    try:
        yield server.wait_until_listening()
        server.stop()
    finally:
        server.kill()


@pytest.mark.smoke
@pytest.mark.parametrize("row", [*REQUESTS, *APPLICATIONS], ids=lambda row: row.does)
def test_what_a_client_sees(server, row):
    assert outcome(server.port, row) == row.iotax
    if row.log:
        server.err.wait_for(row.log)
    with Connection(server.port) as honest:
        assert honest.ask("/hello").text == "Hello, World!\n"
