"""Application threads: a call that hangs blocks only its own thread.

A call hangs at a gate that the test opens; so each statement is about order, not about
milliseconds.
"""

import importlib.util
import json
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.server import run_command
from support.wire import SMALL, Connection


@pytest.fixture
def gate(gates):
    return gates("a")


@pytest.fixture
def hung(start, gate, tmp_path):
    """A server with one application thread, which is at the gate."""
    server = start("views", "--receive-timeout", "300ms", env={"GATES": str(tmp_path)})
    with Connection(server.port) as connection:
        connection.get("/gate/a")
        gate.wait_entered()
        yield server
        gate.let_go()
        assert connection.answer().text == "let go\n"


@pytest.mark.smoke
def test_hung_view_does_not_delay_accepting_and_rejecting(hung):
    for _ in range(50):
        with Connection(hung.port) as connection:
            connection.send(b"GET / HTTP/1.1\r\n\r\n")
            assert connection.answer().status == 400


def test_hung_view_does_not_delay_reading(start, gate, tmp_path):
    """The complete body is read, more than all socket buffers hold, while no call can run."""
    server = start("views", "--limit-body", "100M", env={"GATES": str(tmp_path)})
    with Connection(server.port) as first, Connection(server.port) as second:
        first.get("/gate/a")
        gate.wait_entered()
        second.request("POST", "/digest", body=b"x" * 50_000_000)
        gate.let_go()
        assert first.answer().status == 200
        assert second.answer().text.startswith("50000000 ")


def test_hung_view_does_not_delay_timeouts(hung):
    with Connection(hung.port) as connection:
        connection.send(b"GET / HT")
        assert connection.answer().status == 408
        assert connection.is_closed()


def test_hung_view_does_not_delay_finished_responses(start, gate, tmp_path):
    """The response is larger than all socket buffers; its reader starts when the thread hangs."""
    server = start("views", env={"GATES": str(tmp_path)})
    with Connection(server.port, receive_buffer=SMALL) as reader, Connection(server.port) as other:
        reader.get("/big?bytes=50000000")
        reader.head()
        other.get("/gate/a")
        gate.wait_entered()
        assert reader.exactly(50_000_000) == b"x" * 50_000_000
        gate.let_go()
        assert other.answer().status == 200


def test_hung_view_does_not_hold_up_100_continue(hung):
    with Connection(hung.port) as connection:
        connection.request("POST", "/digest", "Expect: 100-continue", "Content-Length: 1")
        assert connection.head().status == 100


def test_requests_pipelined_after_a_hung_view_get_responses_in_order(start, gate, tmp_path):
    server = start("views", env={"GATES": str(tmp_path)})
    with Connection(server.port) as connection:
        connection.get("/gate/a")
        for number in range(5):
            connection.get(f"/environ?{number}")
        gate.wait_entered()
        gate.let_go()
        assert connection.answer().text == "let go\n"
        queries = [json.loads(connection.answer().text)["QUERY_STRING"] for _ in range(5)]
    assert queries == ["0", "1", "2", "3", "4"]


@pytest.mark.smoke
def test_eight_threads_run_eight_views_concurrently(start, gate, tmp_path):
    server = start("views", "--threads", "8", env={"GATES": str(tmp_path)})
    connections = [Connection(server.port) for _ in range(9)]
    for connection in connections:
        connection.get("/gate/a")
    gate.wait_entered(8)
    with Connection(server.port) as connection:  # the ninth has had every chance to start
        connection.send(b"GET / HTTP/1.1\r\n\r\n")
        assert connection.answer().status == 400
    assert gate.is_empty()
    gate.let_go()
    gate.wait_entered()  # now the ninth
    gate.let_go(8)
    for connection in connections:
        assert connection.answer().text == "let go\n"
        connection.close()


def test_seven_hung_views_leave_one_thread_that_serves(start, gate, tmp_path):
    server = start("views", "--threads", "8", env={"GATES": str(tmp_path)})
    hanging = [Connection(server.port) for _ in range(7)]
    for connection in hanging:
        connection.get("/gate/a")
    gate.wait_entered(7)
    for _ in range(10):
        with Connection(server.port) as connection:
            for _ in range(50):
                assert connection.ask("/hello").status == 200
    gate.let_go(7)
    for connection in hanging:
        assert connection.answer().text == "let go\n"
        connection.close()


def test_application_threads_have_names(start, gate, tmp_path):
    server = start("views", "--threads", "3", env={"GATES": str(tmp_path)})
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: ask(server.port, "/thread?ms=2"), range(64)))
    assert names <= {"main", "iotax-1", "iotax-2"}
    assert len(names) > 1


def ask(port, path):
    with Connection(port) as connection:
        return connection.ask(path).text


def test_ten_thousand_mixed_requests_all_run_in_the_main_thread(start):
    """One in twenty takes 4 ms, long enough for the spare thread to take over the lead each
    time."""
    server = start("views", "--no-access-log", "--keep-alive-requests", "0")

    def client(number):
        found = set()
        with Connection(server.port) as connection:
            for turn in range(250):
                for step in range(5):
                    slow = (number + turn * 5 + step) % 20 == 0
                    connection.get("/thread?ms=4" if slow else "/thread")
                found |= {connection.answer().text for _ in range(5)}
        return found

    with ThreadPoolExecutor(8) as pool:
        found = set().union(*pool.map(client, range(8)))
    assert found == {"main"}


def test_one_request_stays_in_one_thread_from_call_to_close(start):
    server = start("threads_of_a_call", "--threads", "4", "--no-access-log")

    def client(_):
        with Connection(server.port) as connection:
            return [connection.ask("/").text for _ in range(20)]

    with ThreadPoolExecutor(8) as pool:
        for answers in pool.map(client, range(8)):
            for text in answers:
                assert len(set(text.split())) == 1, text
    server.stop()  # so that every close() has run
    assert sorted(set(server.out.wait_for_end().split())) == ["same"]


def test_stream_that_blocks_does_not_hold_up_other_threads(start, gate, tmp_path):
    server = start("views", "--threads", "2", env={"GATES": str(tmp_path)})
    with Connection(server.port) as reader:
        reader.get("/blocks/a")
        reader.head()
        assert reader.chunk() == b"first\n"
        gate.wait_entered()
        for _ in range(20):
            assert ask(server.port, "/hello") == "Hello, World!\n"
        gate.let_go(3)
        assert [reader.chunk() for _ in range(3)] == [b"second\n", b"third\n", b""]


def test_request_of_a_disconnected_client_is_not_run(start, gate, tmp_path):
    """A reset while the request waits for a thread: the application is not called."""
    server = start("views", env={"GATES": str(tmp_path)})
    with Connection(server.port) as first:
        first.get("/gate/a")
        gate.wait_entered()
        second = Connection(server.port)
        second.get("/print?line=must+not+run")
        # The response shows that bytes sent before it were read, too.
        with Connection(server.port) as other:
            other.send(b"GET / HTTP/1.1\r\n\r\n")
            assert other.answer().status == 400
        second.reset()
        with Connection(server.port) as other:
            other.send(b"GET / HTTP/1.1\r\n\r\n")
            assert other.answer().status == 400
        gate.let_go()
        assert first.answer().status == 200
        assert first.ask("/print?line=last").status == 200
    server.out.wait_for("^last$")
    assert "must not run" not in server.out.text


def test_busy_python_thread_of_the_application_does_not_starve_requests(start):
    server = start("busy")

    def client(_):
        with Connection(server.port) as connection:
            return {connection.ask("/").text for _ in range(50)}

    with ThreadPoolExecutor(4) as pool:
        assert set().union(*pool.map(client, range(4))) == {"beside a busy thread\n"}


# ---- patched modules

PATCHES = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}
PATCHED_APP = """
import os, queue, select, subprocess, threading, time

def app(environ, start_response):
    time.sleep(0.2)  # another greenlet of this thread may run meanwhile
    pipe, fill = os.pipe()
    os.write(fill, b"x")
    select.select([pipe], [], [], 5)
    found = queue.Queue()
    helper = threading.Thread(target=lambda: found.put("helped"))
    helper.start()
    helper.join()
    me = threading.current_thread()
    names = sorted(thread.name for thread in threading.enumerate())
    start_response("200 OK", [("Content-Type", "text/plain")])
    native = threading.get_native_id() == os.getpid()
    return [f"{me.name} {native} {found.get()} {' '.join(names)}".encode()]
"""


@pytest.fixture(params=PATCHES)
def patched(request, project):
    """The directory of an application that patches Python's modules."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return project("main", PATCHES[request.param] + PATCHED_APP)


@pytest.mark.parametrize(
    "options",
    [
        ("--workers", "0"),
        ("--workers", "2", "--request-timeout", "60s"),
        ("--preload",),
        ("--reload",),
    ],
    ids=" ".join,
)
def test_application_threads_are_native_where_threading_is_patched(start, patched, options):
    """Named threads, each with an event loop of its own, and TERM stops the server."""
    server = start("main:app", "--threads", "3", *options, cwd=patched)
    at_once = threading.Barrier(6)

    def ask(_):
        with Connection(server.port) as connection:
            at_once.wait()
            return connection.ask("/").text

    with ThreadPoolExecutor(6) as pool:
        texts = list(pool.map(ask, range(6)))
    for text in texts:
        name, is_main, helped, *names = text.split()
        assert helped == "helped"
        assert {"MainThread", "iotax-1", "iotax-2"} <= set(names)
        assert name in names
        assert (name == "MainThread") is (is_main == "True")
    assert len({text.split()[0] for text in texts}) > 1
    server.stop(signal.SIGTERM)


def test_server_in_a_patched_program_serves(patched, tmp_path):
    program = """
import threading, urllib.request
from main import app
from iotax import Server

server = Server(app, port=0, threads=2)
with server.background():
    print(urllib.request.urlopen(f"http://127.0.0.1:{server.port}/").read().split()[0].decode())
"""
    (patched / "program.py").write_text(program)
    done = run_command(cwd=patched, module="program")
    assert {"iotax-0", "iotax-1"} & set(done.stdout.split()), done.stderr
    assert done.returncode == 0
