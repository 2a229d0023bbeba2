"""The load of support/load.py itself: it must detect every error of a server.

The servers here are scripts: what they do with the connection and the request of that number.
"""

import contextlib
import re
import socket
import struct
import threading

import pytest
from support import load, patience
from support.load import Client, Fate, Fresh, Load, Uploading, mix
from support.wire import Connection


class ScriptedServer:
    """Serve each connection in a thread: `script(connection, token)` for each of its requests,
    until one returns False."""

    def __init__(self, script):
        self.script = script
        self.served = threading.Event()  # once a connection is closed
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            while request := read_request(connection):
                token, closes = request
                if self.script(connection, token) is False or closes:
                    break
        self.served.set()

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def read_request(connection):
    """The token of the next request, and whether it is the last one; None at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            more = connection.recv(65536)
        except ConnectionResetError:
            return None
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    if length := re.search(rb"Content-Length: (\d+)", head):
        while len(body) < int(length[1]):
            body += connection.recv(65536)
    return re.search(rb"/([^/ ?]+)[? ]", head)[1].decode(), b"Connection: close" in head


def answer(token, *fields, length=None, status="200 OK"):
    body = f"{token}\n".encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {length or len(body)}", "X-Worker: 7", *fields]
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(token, *, end=True):
    body = f"{token}\n".encode()
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"%x\r\n%s\r\n" % (len(body), body) + (b"0\r\n\r\n" if end else b"")


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    return False


@pytest.fixture
def serve():
    servers = []

    def start(script):
        servers.append(ScriptedServer(script))
        return servers[-1]

    yield start
    for server in servers:
        server.close()  # calling it twice has no effect


def first_failure(port, sorts=(Client,)):
    with Load(port, sorts) as running:
        running.wait_until(lambda: running.report.failures, "failure")
    return running.report.failures[0]


@pytest.mark.parametrize("write", [answer, chunked])
def test_correct_responses_are_clean(serve, write):
    server = serve(lambda connection, token: connection.sendall(write(token)))
    with Load(server.port, mix(steady=2, fresh=2, pausing=2, streaming=0, uploading=0)) as running:
        running.wait_for_answers(200)
    running.report.must_be_clean()
    assert running.report.answered >= 200


def test_announced_close_is_not_a_loss(serve):
    def script(connection, token):
        connection.sendall(answer(token, "Connection: close"))
        return False

    with Load(serve(script).port, mix(uploading=0, streaming=0)) as running:
        running.wait_for_answers(100)
    running.report.must_be_clean()
    assert running.report.announced


# ---- wrong


@pytest.mark.parametrize(
    "write",
    [
        lambda token: answer("another"),
        lambda token: answer(token, status="503 Service Unavailable"),
        lambda token: answer(token, length=1) + b"\n",
        lambda token: answer(token) + b"more",
        lambda token: answer(token, "Connection: close") + b"more",
        lambda token: answer(token, "Transfer-Encoding: chunked"),
        lambda token: b"HTTP/1.1 200 OK\r\n\r\n" + token.encode(),
        lambda token: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        lambda token: b"\0\0\0\0\r\n\r\n",
    ],
)
def test_wrong_response_is_reported(serve, write):
    server = serve(lambda connection, token: connection.sendall(write(token)))
    assert first_failure(server.port).fate is Fate.WRONG


def test_unrequested_bytes_are_a_wrong_response(serve):
    class Waiting(Client):
        def before_next(self):
            sent.wait(patience.SECONDS)

    def script(connection, token):
        connection.sendall(answer(token))
        connection.sendall(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        sent.set()

    sent = threading.Event()
    assert first_failure(serve(script).port, [Waiting]).fate is Fate.WRONG


def test_announced_close_that_does_not_happen_is_wrong(serve, monkeypatch):
    monkeypatch.setattr(patience, "SECONDS", 0.3)
    server = serve(lambda connection, token: connection.sendall(answer(token, "Connection: close")))
    assert first_failure(server.port).fate is Fate.WRONG


# ---- lost


@pytest.mark.parametrize("end", [socket.socket.close, reset])
@pytest.mark.parametrize(
    ("written", "fate"),
    [
        (lambda token: b"", Fate.UNANSWERED),
        (lambda token: b"HTTP/1.1 200 OK\r\nContent-Le", Fate.BROKEN),
        (lambda token: answer(token, length=1000), Fate.BROKEN),
        (lambda token: chunked(token, end=False), Fate.BROKEN),
    ],
)
def test_end_of_the_connection_instead_of_a_response_is_reported(serve, end, written, fate):
    def script(connection, token):
        if token == "1-0-0":
            return connection.sendall(answer(token))
        connection.sendall(written(token))
        end(connection)
        return False

    failure = first_failure(serve(script).port)
    # A reset may overtake bytes that were written before it.
    assert failure.fate is fate or (end is reset and failure.fate is Fate.UNANSWERED)
    assert failure.reused
    assert failure.worker == 7


def test_connection_that_is_accepted_and_dropped_is_unanswered(serve):
    server = serve(lambda connection, token: reset(connection))
    failure = first_failure(server.port, [Fresh])
    assert failure.fate is Fate.UNANSWERED
    assert not failure.reused


def test_reset_during_an_upload_is_unanswered(serve):
    server = serve(None)

    def serve_one(connection):
        connection.recv(100)
        reset(connection)

    server._serve = serve_one
    assert first_failure(server.port, [Uploading]).fate is Fate.UNANSWERED


def test_missing_response_is_reported_as_silent(serve, monkeypatch):
    monkeypatch.setattr(patience, "SECONDS", 0.3)
    failure = first_failure(serve(lambda connection, token: True).port)
    assert failure.fate is Fate.SILENT


def test_connection_that_is_refused_is_reported(serve):
    server = serve(None)
    server.close()
    assert first_failure(server.port).fate is Fate.REFUSED


# ---- neither


def test_connection_that_a_stopping_server_refuses_is_not_a_failure(serve):
    def script(connection, token):
        connection.sendall(answer(token, "Connection: close"))
        return False

    server = serve(script)
    running = Load(server.port, [Client, Fresh]).start()
    running.wait_for_answers(10)
    running.stopping()
    server.close()
    report = running.join()
    assert report.refused_late == 2
    # The script does not accept connections in its backlog, as a server has to: they get a reset.
    assert {one.fate for one in report.failures} <= {Fate.UNANSWERED, Fate.REFUSED}, str(report)


def test_closed_idle_connection_is_counted_and_replaced(serve):
    """Counted, and the next request uses a new connection."""

    class Waiting(Client):
        def before_next(self):
            server.served.wait(patience.SECONDS)
            server.served.clear()

    def script(connection, token):
        connection.sendall(answer(token))
        return False

    server = serve(script)
    with Load(server.port, [Waiting]) as running:
        running.wait_for_answers(3)
    assert not running.report.failures
    assert running.report.closed_idle
    running.report.must_be_clean(closed_idle=True)
    with pytest.raises(AssertionError, match="idle connections closed"):
        running.report.must_be_clean()


def test_report_without_any_request_is_not_clean():
    with pytest.raises(AssertionError):
        load.Report().must_be_clean()


# ---- with a server


def test_load_of_all_kinds_of_clients_is_clean(start, tmp_path):
    ran = tmp_path / "ran"
    server = start("echoes", "--threads", "4", "--no-access-log", env={"RAN": str(ran)})
    with Load(server.port) as running:
        running.wait_for_answers(300)
        running.wait_until(lambda: running.report.workers, "processes")
    report = running.report
    report.must_be_clean()
    runs = load.runs(ran)
    assert set(runs.values()) == {1}
    assert runs.total() == report.answered
    with Connection(server.port) as connection:
        assert connection.ask("/echo/x").text == "x\n"
