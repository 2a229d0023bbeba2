"""Objects of a request that other threads use while it ends, and afterwards (beyond 5.11).

If a thread waits in a call of such an object, and the next request runs in the same application
thread before the call continues, the call has to raise, and to change nothing. Threads switch only
where one of them waits, so each test has one order of events.
"""

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_bridge import Bridge

PATIENCE = 30


@pytest.fixture(autouse=True)
def no_forced_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(before)


class Late:
    """Calls `use` in a thread of its own after `go_on` is set; `tried` is set just before."""

    def __init__(self, use: Callable[[], Any], go_on: bool = True) -> None:
        self.go_on, self.tried = threading.Event(), threading.Event()
        if go_on:
            self.go_on.set()
        self.result: Any = None
        self.raised: BaseException | None = None
        self.thread = threading.Thread(target=self.run, args=(use,), daemon=True)
        self.thread.start()

    def run(self, use: Callable[[], Any]) -> None:
        assert self.go_on.wait(PATIENCE)
        self.tried.set()
        try:
            self.result = use()
        except BaseException as error:
            self.raised = error

    def ended(self) -> None:
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


class HeldPiece:
    """A piece of the body that arrives after `go_on`; `inside` is set while a thread waits."""

    def __init__(self, piece: bytes) -> None:
        self.inside, self.go_on, self.piece = threading.Event(), threading.Event(), piece

    def __call__(self) -> bytes:
        self.inside.set()
        assert self.go_on.wait(PATIENCE)
        return self.piece


def write(_environ: Any, write: Any, _start: Any) -> Any:
    return write(b"<for the first client>")


def hints(environ: Any, _write: Any, _start: Any) -> Any:
    return environ["wsgi.early_hints"]([("Link", "</for-the-first-client>")])


def read_into(environ: Any, _write: Any, _start: Any) -> Any:
    return environ["wsgi.input"].readinto(bytearray(3))


WAITING: dict[str, Callable[[Any, Any, Any], Any]] = {
    "write": write,
    "early_hints": hints,
    "read": lambda environ, _write, _start: environ["wsgi.input"].read(3),
    "read all": lambda environ, _write, _start: environ["wsgi.input"].read(),
    "readline": lambda environ, _write, _start: environ["wsgi.input"].readline(),
    "readlines": lambda environ, _write, _start: environ["wsgi.input"].readlines(),
    "next": lambda environ, _write, _start: next(environ["wsgi.input"]),
    "readinto": read_into,
}


def first_application(use: Any, late: list[Late], kept: list[Any]) -> Any:
    """Respond while a thread waits in `use`."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        writes = start_response("200 OK", [])
        kept.append((environ, writes))
        late.append(Late(lambda: use(environ, writes, start_response), go_on=False))
        assert environ["wsgi.input"].read(1) == b"1"  # lets it wait
        return []

    return app


def when_it_waits(late: list[Late]) -> bytes:
    late[0].go_on.set()
    assert late[0].tried.wait(PATIENCE)
    return b"1"


@pytest.mark.parametrize("use", WAITING.values(), ids=list(WAITING))
def test_call_that_waits_while_its_request_ends_does_not_reach_the_next(use: Any) -> None:
    late: list[Late] = []
    kept: list[Any] = []

    def second(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"second "
        yield environ["wsgi.input"].read()

    def the_late_thread_runs() -> bytes:
        late[0].ended()
        return b"answer"

    first = first_application(use, late, kept)
    bridge = Bridge(lambda environ, start: (second if late else first)(environ, start))
    bridge.request(pieces=[lambda: when_it_waits(late), b"not read"], size_known=False)
    answer = bridge.request(pieces=[the_late_thread_runs, b" and its end"], size_known=False)

    assert late[0].result is None
    assert isinstance(late[0].raised, RuntimeError), late[0].raised
    assert "was used after its request had ended" in str(late[0].raised)
    assert answer.body == b"second answer and its end"
    assert answer.kinds == ["respond", "body", "deliver", "body", "deliver", "finish"]


@pytest.mark.parametrize("use", WAITING.values(), ids=list(WAITING))
def test_call_that_waits_while_the_server_is_destroyed_raises(use: Any) -> None:
    late: list[Late] = []
    kept: list[Any] = []
    bridge = Bridge(first_application(use, late, kept))
    bridge.request(pieces=[lambda: when_it_waits(late), b"not read"], size_known=False)
    del bridge
    gc.collect()
    late[0].ended()
    assert "was used after its request had ended" in str(late[0].raised)


def test_delayed_start_response_does_not_affect_the_next_request() -> None:
    """Replacing a status drops the old one, whose finalizer may run for any time."""
    inside, go_on = threading.Event(), threading.Event()
    late: list[Late] = []

    class Status(str):
        __slots__ = ()

        def __del__(self) -> None:
            inside.set()
            assert go_on.wait(PATIENCE)

    def first(_environ: Any, start_response: Any) -> list[bytes]:
        start_response(Status("500 Own"), [])
        late.append(
            Late(lambda: start_response("200 OK", [("X-First", "1")], (None, ValueError(), None)))
        )
        assert inside.wait(PATIENCE)
        return []

    def second(environ: Any, start_response: Any) -> list[bytes]:
        go_on.set()
        late[0].ended()
        start_response("404 Not Found", [])
        return []

    bridge = Bridge(lambda environ, start: (second if late else first)(environ, start))
    bridge.request()
    answer = bridge.request()
    assert answer.status == "404 Not Found", "start_response() of the second was not its first call"
    assert answer.fields == []
    assert answer.log == []


@pytest.mark.parametrize("body", [{}, {"body": b"content"}, {"pieces": [b"content"]}])
def test_every_kept_object_raises_after_the_end(body: dict[str, Any]) -> None:
    kept: list[Any] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        kept.append((environ, start_response, start_response("200 OK", [])))
        return [b"x"]

    bridge = Bridge(app)
    for _ in range(3):
        answer = bridge.request(**body)
        assert answer.kinds == ["respond", "body", "finish"]
        for environ, start_response, writes in kept:
            for use in (
                lambda start=start_response: start("200 OK", []),
                lambda writes=writes: writes(b"x"),
                lambda writes=writes: writes(b""),
                lambda environ=environ: environ["wsgi.early_hints"]([("Link", "x")]),
                lambda environ=environ: environ["iotax.client_disconnected"](),
                lambda environ=environ: environ["wsgi.input"].read(),
                lambda environ=environ: environ["wsgi.input"].readline(),
                lambda environ=environ: environ["wsgi.input"].readlines(),
                lambda environ=environ: environ["wsgi.input"].readinto(bytearray(1)),
                lambda environ=environ: next(environ["wsgi.input"]),
            ):
                with pytest.raises(RuntimeError, match="was used after its request had ended"):
                    use()
    assert bridge.harness.take_log() == []


def test_late_threads_do_not_delay_the_end_of_a_request() -> None:
    """A call that is using the exchange completes; calls that wait for it raise."""
    slow = HeldPiece(b"slow")
    late: list[Late] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        stream = environ["wsgi.input"]
        late.append(Late(lambda: stream.read(4)))
        assert slow.inside.wait(PATIENCE)
        late.append(Late(stream.read))
        assert late[1].tried.wait(PATIENCE)
        slow.go_on.set()  # without a pause: the request ends before the others run
        return []

    answer = Bridge(app).request(pieces=[slow, b"next"], size_known=False)
    for one in late:
        one.ended()
    assert answer.kinds == ["respond", "finish"]
    assert late[0].result == b"slow"
    assert "was used after its request had ended" in str(late[1].raised)


def test_objects_of_a_thread_are_used_again_after_kept_ones_were_replaced() -> None:
    keep: list[Any] = []
    used: list[int] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        if not used:
            keep.append(environ["wsgi.early_hints"])
        used.append(id(start_response))
        start_response("200 OK", [])
        return []

    bridge = Bridge(app)
    for _ in range(4):
        bridge.request()
    assert len(set(used[1:])) == 1


def test_file_wrapper_sends_the_descriptor_that_fileno_returned(tmp_path: Path) -> None:
    """Another thread closes the file while the server reads its attributes: the descriptor may then
    be that of a file of another request."""
    (tmp_path / "own").write_bytes(b"own")
    (tmp_path / "other").write_bytes(b"of another client")
    others: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        file = open(tmp_path / "own", "rb")  # noqa: SIM115

        def tell() -> int:
            file.close()
            others.append(open(tmp_path / "other", "rb"))  # noqa: SIM115
            return 0

        file.tell = tell  # type: ignore[method-assign]
        return environ["wsgi.file_wrapper"](file)

    answer = Bridge(app).request()
    others[0].close()
    assert b"of another client" not in [event[-1] for event in answer.events]


def test_write_while_a_file_is_examined_sends_the_only_head(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"file")

    def app(environ: Any, start_response: Any) -> Any:
        writes = start_response("200 OK", [])
        file = open(tmp_path / "file", "rb")  # noqa: SIM115

        def tell() -> int:
            writes(b"written, ")
            return 0

        file.tell = tell  # type: ignore[method-assign]
        return environ["wsgi.file_wrapper"](file)

    answer = Bridge(app).request()
    assert answer.status == "200 OK"
    assert answer.body == b"written, file"


def test_write_while_an_empty_response_waits_sends_the_only_head() -> None:
    slow = HeldPiece(b"slow")
    late: list[Late] = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        writes = start_response("200 OK", [])

        def nothing() -> Iterator[bytes]:
            late.append(Late(lambda: environ["wsgi.input"].read(4)))
            assert slow.inside.wait(PATIENCE)
            late.append(Late(lambda: writes(b"late")))
            assert late[1].tried.wait(PATIENCE)
            slow.go_on.set()
            yield from ()

        return nothing()

    answer = Bridge(app).request(pieces=[slow, b"next"], size_known=False)
    for one in late:
        one.ended()
    assert answer.status == "200 OK"
    assert answer.body in (b"late", b"")
