"""_iotax.Worker over the real driver: options, threads, signals, forks, the log."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from iotax import _iotax
from iotax._config.options import Config

OPTIONS = Config().worker_options()


def hello(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


@contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


@contextmanager
def serving(app: Any, **options: Any) -> Iterator[tuple[Any, int]]:
    """A worker with its threads, and its port; stopped and joined at the end of the block."""
    with listening() as listener:
        port = listener.getsockname()[1]
        worker = _iotax.Worker(
            app,
            [(listener.fileno(), f"127.0.0.1:{port}", False, False)],
            {**OPTIONS, "access_log": False, **options},
        )
    threads = [threading.Thread(target=worker.run)]
    threads += [
        threading.Thread(target=worker.run_thread, args=(number,))
        for number in range(1, options.get("threads", 1))
    ]
    for thread in threads:
        thread.start()
    try:
        yield worker, port
    finally:
        worker.stop("now")
        for thread in threads:
            thread.join()


def ask(port: int, path: str = "/", connection: socket.socket | None = None) -> bytes:
    """The body of the response to one GET, on a new connection unless one is given."""
    own = connection is None
    connection = connection or socket.create_connection(("127.0.0.1", port))
    try:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        head, _, body = received.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(65536)
        return body
    finally:
        if own:
            connection.close()


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("threads", "1", TypeError),
        ("threads", True, TypeError),
        ("threads", 0, ValueError),
        ("limit_body", -1, ValueError),
        ("limit_body", 2**70, ValueError),
        ("limit_head", 0, ValueError),
        ("keep_alive_requests", 2**32, ValueError),
        ("keep_alive", "15", TypeError),
        ("keep_alive", -1.0, ValueError),
        ("keep_alive", float("nan"), ValueError),
        ("send_timeout", float("inf"), ValueError),
        ("access_log", 1, TypeError),
        ("server_header", None, TypeError),
        ("forwarded_allow_ips", "10.0.0.1", TypeError),
        ("forwarded_allow_ips", [1], TypeError),
        ("forwarded_allow_ips", ["10.0.0"], ValueError),
        ("forwarded_headers", "for", TypeError),
        ("forwarded_headers", [1], TypeError),
        ("forwarded_headers", ["by"], ValueError),
        ("proxy_protocol_from", ["10.0.0"], ValueError),
        ("unheard_of", 1, TypeError),
    ],
)
def test_a_bad_option_is_named(option: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"option {option}: "):
        _iotax.Worker(hello, [], {**OPTIONS, option: value})


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_is_needed(option: str) -> None:
    rest = {name: value for name, value in OPTIONS.items() if name != option}
    with pytest.raises(TypeError, match=f"option {option} is missing"):
        _iotax.Worker(hello, [], rest)


def test_worker_serves_until_it_is_stopped() -> None:
    with serving(hello) as (worker, port):
        assert ask(port) == b"hello"
        assert worker.status()["requests"] == 1
        assert worker.status()["threads"] == 1
        with pytest.raises(ValueError, match="'drain', 'prompt' or 'now'"):
            worker.stop("slowly")
        with pytest.raises(ValueError, match="thread is 1"):
            worker.run_thread(1)


@pytest.mark.parametrize("threads", [1, 3])
def test_thread_state_and_locals_survive_to_the_next_request(threads: int) -> None:
    local = threading.local()

    def app(_environ: Any, start_response: Any) -> list[bytes]:
        local.count = getattr(local, "count", 0) + 1
        start_response("200 OK", [])
        return [f"{threading.get_ident()} {local.count}".encode()]

    with serving(app, threads=threads) as (_, port):
        counts: dict[str, list[int]] = {}
        for _ in range(30):
            ident, count = ask(port).decode().split()
            counts.setdefault(ident, []).append(int(count))
    assert all(counted == list(range(1, len(counted) + 1)) for counted in counts.values())
    assert len(counts) <= threads


def test_exception_of_a_signal_handler_is_raised_by_run() -> None:
    class Asked(Exception):
        pass

    def handler(*_: Any) -> None:
        raise Asked

    with listening() as listener:
        port = listener.getsockname()[1]
        worker = _iotax.Worker(hello, [(listener.fileno(), "127.0.0.1:0", False, False)], OPTIONS)

    def ask_then_kill(port: int) -> None:
        ask(port)  # run() has started
        os.kill(os.getpid(), signal.SIGUSR1)

    former = signal.signal(signal.SIGUSR1, handler)
    former_fd = signal.set_wakeup_fd(worker.wakeup_fd)
    try:
        threading.Thread(target=ask_then_kill, args=(port,)).start()
        with pytest.raises(Asked):
            worker.run()
    finally:
        signal.set_wakeup_fd(former_fd)
        signal.signal(signal.SIGUSR1, former)


def run(script: str) -> subprocess.CompletedProcess[str]:
    """Run `script` in a process of its own, with the helpers of this module."""
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from test_worker import *\nfrom test_worker import _iotax\n" + textwrap.dedent(script),
        ],
        cwd=os.path.dirname(__file__),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


HUNG = """
inside = threading.Event()
forever = threading.Event()

def app(environ, start_response):
    inside.set()
    while True:
        forever.wait()

listener = socket.create_server(("127.0.0.1", 0))
listener.setblocking(False)
port = listener.getsockname()[1]
options = {**OPTIONS, "graceful_timeout": 0.1}
worker = _iotax.Worker(app, [(listener.fileno(), "127.0.0.1:0", False, False)], options)
listener.close()
_iotax.open_log(2, 1, level="info", color=False, prefix=False)
signal.signal(signal.SIGTERM, lambda *_: worker.stop("drain"))
worker.install_stop_signals("server")

def client():
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(b"GET / HTTP/1.1\\r\\nHost: h\\r\\n\\r\\n")
    inside.wait()
    os.kill(os.getpid(), SIGNAL)
    forever.wait()

threading.Thread(target=client, daemon=True).start()
worker.run()
"""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGQUIT, 128 + signal.SIGQUIT)]
)
def test_a_hung_call_does_not_keep_the_process(number: int, code: int) -> None:
    ended = run(f"SIGNAL = {int(number)}\n" + HUNG)
    assert ended.returncode == code, ended.stderr


def test_former_handlers_are_restored() -> None:
    ended = run(
        """
        calls = []
        signal.signal(signal.SIGTERM, lambda *_: calls.append("python"))
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        worker = _iotax.Worker(hello, [(listener.fileno(), "127.0.0.1:0", False, False)], OPTIONS)
        worker.install_stop_signals("application")
        signal.raise_signal(signal.SIGTERM)
        worker.run()  # has been stopped already, and returns
        worker.restore_stop_signals()
        signal.raise_signal(signal.SIGTERM)
        print(calls)
        """
    )
    assert ended.stdout.strip() == "['python', 'python']", ended.stderr
    assert ended.returncode == 0


def test_forked_process_of_the_application_releases_port_and_signals() -> None:
    ended = run(
        """
        os.register_at_fork(after_in_child=_iotax.after_fork_in_child)
        children = []
        told, tell = os.pipe()

        def app(environ, start_response):
            pid = os.fork()
            if pid == 0:
                os.write(tell, b"here")
                threading.Event().wait()
            children.append(pid)
            start_response("200 OK", [("Content-Length", "1")])
            return [b"x"]

        signal.signal(signal.SIGTERM, lambda *_: None)
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        port = listener.getsockname()[1]
        worker = _iotax.Worker(app, [(listener.fileno(), "127.0.0.1:0", False, False)], OPTIONS)
        listener.close()
        worker.install_stop_signals("application")

        def client():
            print(ask(port))
            os.read(told, 4)  # the child has run the hooks of the fork
            worker.stop("now")

        threading.Thread(target=client).start()
        worker.run()
        with socket.create_server(("127.0.0.1", port)):
            print("the port is free")
        os.kill(children[0], signal.SIGTERM)
        print(os.WTERMSIG(os.waitpid(children[0], 0)[1]) == signal.SIGTERM)
        """
    )
    assert ended.stdout.splitlines() == ["b'x'", "the port is free", "True"], ended.stderr


def test_a_forked_child_keeps_the_body_of_its_request_and_nothing_of_other_clients() -> None:
    """Connections, pollers and temporary files; also a file that is being sent."""
    ended = run(
        """
        os.register_at_fork(after_in_child=_iotax.after_fork_in_child)
        import tempfile
        served = tempfile.NamedTemporaryFile()
        served.write(bytes(1 << 24))
        served.flush()

        def app(environ, start_response):
            if environ["PATH_INFO"] == "/file":
                start_response("200 OK", [])
                return environ["wsgi.file_wrapper"](open(served.name, "rb"))
            if environ["PATH_INFO"] == "/many":
                start_response("200 OK", [])
                return [bytes(1 << 24)]
            read, write = os.pipe()
            pid = os.fork()
            if pid == 0:
                links = []
                for name in os.listdir("/proc/self/fd"):
                    try:
                        links.append(os.readlink("/proc/self/fd/" + name))
                    except OSError:
                        pass
                body = environ["wsgi.input"].read()
                found = [link for link in links if "socket:" in link or "eventpoll" in link]
                found = [link for link in found if link not in of_clients]
                found += [link for link in links if link == served.name][1:]  # the test's own
                deleted = sum("(deleted)" in link for link in links)
                os.write(write, f"{found} {deleted} {len(body)} {set(body)}".encode())
                os._exit(0)
            os.close(write)
            told = os.read(read, 1000)
            os.waitpid(pid, 0)
            start_response("200 OK", [])
            return [told]

        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        port = listener.getsockname()[1]
        worker = _iotax.Worker(app, [(listener.fileno(), "127.0.0.1:0", False, False)], OPTIONS)
        listener.close()

        of_clients = set()  # they are in this process, too

        def connect(receive_buffer):
            made = socket.socket()
            of_clients.add(f"socket:[{os.fstat(made.fileno()).st_ino}]")
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            made.connect(("127.0.0.1", port))
            return made

        def client():
            others = []
            for path in ("/file", "/many"):  # whose readers take nothing
                others.append(connect(4096))
                others[-1].sendall(f"GET {path} HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n".encode())
                others[-1].recv(1)
            upload = b"POST / HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 600000\\r\\n"
            other = connect(1 << 20)
            other.sendall(upload + b"\\r\\n" + b"a" * 599999)
            with connect(1 << 20) as own:
                own.sendall(upload + b"Connection: close\\r\\n\\r\\n" + b"b" * 600000)
                answer = b""
                while data := own.recv(65536):
                    answer += data
            print(answer.partition(b"\\r\\n\\r\\n")[2].decode())
            worker.stop("now")

        thread = threading.Thread(target=client)
        thread.start()
        worker.run()
        thread.join()
        """
    )
    assert ended.stdout.splitlines() == ["[] 1 600000 {98}"], ended.stderr


@pytest.mark.parametrize(
    ("held", "written"),
    [
        ("", True),
        ("stream.hold()", False),  # flush() does not return
        ("sys.stdout.close()", True),
        ("sys.stdout = None", True),
    ],
)
def test_standard_streams_are_flushed_within_a_time(held: str, written: bool) -> None:
    ended = run(
        f"""
        class Stream:
            def __init__(self):
                self.free = threading.Event()
                self.free.set()
            def hold(self):
                self.free.clear()
            def flush(self):
                self.free.wait()
                os.write(1, b"flushed ")

        sys.stderr = stream = Stream()
        sys.stdout.write("printed ")
        {held}
        os.write(1, str(_iotax.flush_standard_streams({60.0 if written else 0.05})).encode())
        os._exit(0)
        """
    )
    assert ended.stdout == f"printed {'flushed ' if written else ''}{written}", ended.stderr


def test_any_text_can_be_logged() -> None:
    ended = run(
        """
        _iotax.open_log(2, 1, level="info", color=False, prefix=False)
        _iotax.log("info", "\\u20ac \\udc80")
        _iotax.log("debug", "not shown")
        print(_iotax.flush_log(10.0))
        try:
            _iotax.log("loud", "x")
        except ValueError as error:
            print(error)
        """
    )
    assert ended.stderr == "INFO:     \u20ac \\udc80\n"
    assert ended.stdout.splitlines()[0] == "True"
    assert "level is 'loud'" in ended.stdout


def test_the_exceptions_are_connection_errors() -> None:
    for name in ("ClientDisconnected", "BodyTimedOut", "BodyMalformed"):
        exception = getattr(_iotax, name)
        assert issubclass(exception, ConnectionError)
        assert (exception.__module__, exception.__name__) == ("iotax", name)
