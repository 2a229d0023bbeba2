"""Iteration, delivery, length, close() and failures.

S-CALL, S-ITER, S-CLOSE, S-BUF, S-CL, S-EXC, S-HTTP, S-OLD; beyond 5.
"""

import contextvars
import functools
import operator
import signal
import threading
from typing import Any

import pytest
from scripted_bridge import ERROR, Bridge

TEXT = [("Content-Type", "text/plain")]


def start(start_response: Any, *headers: tuple[str, str], status: str = "200 OK") -> Any:
    return start_response(status, [*TEXT, *headers])


class Blocks:
    """An iterable that counts calls of close() and records events."""

    def __init__(self, events: list[Any], *blocks: Any) -> None:
        self.events, self.blocks = events, iter(blocks)

    def __iter__(self) -> "Blocks":
        return self

    def __next__(self) -> Any:
        self.events.append(("next",))
        block = next(self.blocks)
        if isinstance(block, BaseException) or (
            isinstance(block, type) and issubclass(block, BaseException)
        ):
            raise block
        return block

    def close(self) -> None:
        self.events.append(("close",))


def answer_with(
    ask: Any, *blocks: Any, headers: Any = (), status: str = "200 OK", **request: Any
) -> Any:
    events: list[Any] = []

    def app(_environ: Any, start_response: Any) -> Any:
        start(start_response, *headers, status=status)
        return Blocks(events, *blocks)

    answer = ask(app, events, **request)
    assert len(answer.of("close")) == 1, "close() is called once"
    return answer


class Recorder:
    """Records every attribute that is looked up on it."""

    def __init__(self, blocks: Any = (b"x",)) -> None:
        object.__setattr__(self, "names", [])
        object.__setattr__(self, "blocks", blocks)

    def __getattribute__(self, name: str) -> Any:
        object.__getattribute__(self, "names").append(name)
        return object.__getattribute__(self, name)

    def __call__(self, _environ: Any, start_response: Any) -> Any:
        start(start_response)
        return [b"x"]

    read = fileno = status = filelike = property(lambda _: 1 / 0)

    def __iter__(self) -> Any:
        return iter(object.__getattribute__(self, "blocks"))

    def __getitem__(self, _index: int) -> Any:
        raise ZeroDivisionError

    def close(self) -> None:
        pass


def names_of(recorder: Recorder) -> set[str]:
    return set(object.__getattribute__(recorder, "names"))


class Callables:
    def method(self, _environ: Any, start_response: Any) -> Any:
        start(start_response)
        return [b"x"]

    @staticmethod
    def static(_environ: Any, start_response: Any) -> Any:
        start(start_response)
        return [b"x"]

    @classmethod
    def class_method(cls, _environ: Any, start_response: Any) -> Any:
        start(start_response)
        return [b"x"]


class InstanceIsIterable:
    def __init__(self, _environ: Any, start_response: Any) -> None:
        start(start_response)

    def __iter__(self) -> Any:
        yield b"x"


class CallsAs:
    """Called through a C function: operator.methodcaller passes no keywords of its own."""

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return operator.call(Callables.static, environ, start_response)


@pytest.mark.parametrize(
    "app",
    [
        Callables.static,
        lambda environ, start_response: Callables.static(environ, start_response),
        Callables().method,
        Callables.class_method,
        functools.partial(Callables.static),
        InstanceIsIterable,
        CallsAs(),
        functools.partial(operator.call, Callables.static),
    ],
)
def test_s_call_01_any_callable(ask: Any, app: Any) -> None:
    answer = ask(app)
    assert (answer.status, answer.body, answer.log) == ("200 OK", b"x", [])


def test_s_call_01_the_application_is_not_introspected(ask: Any) -> None:
    app = Recorder()
    assert ask(app).body == b"x"
    assert names_of(app) == set()


def test_s_call_02_03_called_once_with_two_positional_arguments(ask: Any) -> None:
    calls: list[Any] = []

    def app(*arguments: Any, **keywords: Any) -> Any:
        calls.append((len(arguments), keywords))
        start(arguments[1])
        return [b"x"]

    ask(app)
    assert calls == [(2, {})]


def test_s_iter_05_only_iteration_len_and_close_of_the_result(ask: Any) -> None:
    result = Recorder()

    def app(_environ: Any, start_response: Any) -> Any:
        start(start_response)
        return result

    assert ask(app).body == b"x"
    assert names_of(result) <= {"__class__", "__iter__", "__len__", "close"}


def test_s_iter_01_blocks_are_opaque(ask: Any) -> None:
    block = bytes(range(256)) * 3 + b"\r\n\n\r"
    assert answer_with(ask, block).body == block


@pytest.mark.parametrize("length", [TypeError, RuntimeError, NotImplementedError, 0, 1, 2])
def test_s_iter_03_len_is_not_needed(ask: Any, length: Any) -> None:
    class Sized:
        def __len__(self) -> int:
            if isinstance(length, int):
                return length
            raise length

        def __iter__(self) -> Any:
            return iter([b"a", b"b"])

    assert ask(lambda _, sr: start(sr) and Sized()).body == b"ab"


def test_s_old_01_getitem_is_enough(ask: Any) -> None:
    class Old:
        def __getitem__(self, index: int) -> bytes:
            return [b"a", b"b"][index]

    assert ask(lambda _, sr: start(sr) and Old()).body == b"ab"


def test_what_can_be_iterated_may_be_asynchronous_as_well(ask: Any) -> None:
    """Django's StreamingHttpResponse is both."""

    class Both:
        def __iter__(self) -> Any:
            return iter([b"a", b"b"])

        def __aiter__(self) -> Any:
            raise AssertionError("not asked for")

    assert ask(lambda _, sr: start(sr) and Both()).body == b"ab"


def test_s_buf_01_02_03_each_block_is_delivered_before_the_next_is_asked_for(ask: Any) -> None:
    answer = answer_with(ask, b"1", b"2")
    assert answer.kinds == [
        "next",
        "respond",
        "body",
        "deliver",
        "next",
        "body",
        "deliver",
        "next",
        "finish",
        "deliver",
        "close",
    ]


def test_s_buf_02_the_response_is_delivered_before_close(ask: Any) -> None:
    answer = answer_with(ask, b"abc", headers=[("Content-Length", "3")])
    assert answer.kinds == ["next", "respond", "body", "finish", "deliver", "close"]


def test_a_generator_at_its_end_has_nothing_to_run_and_is_not_waited_for(ask: Any) -> None:
    def to_the_end(_environ: Any, start_response: Any) -> Any:
        start(start_response)
        yield b"x"

    def up_to_the_length(_environ: Any, start_response: Any) -> Any:
        start(start_response, ("Content-Length", "1"))
        yield b"x"

    assert ask(to_the_end).kinds == ["respond", "body", "deliver", "finish"]
    assert ask(up_to_the_length).kinds == ["respond", "body", "finish", "deliver"]


def test_s_buf_04_empty_blocks_send_nothing(ask: Any) -> None:
    answer = answer_with(ask, b"", b"a", b"", *[b""] * 1000, b"b", b"")
    assert answer.of("body") == [("body", b"a", "ok"), ("body", b"b", "ok")]
    assert answer.kinds.index("respond") == 2, (
        "the head waits for the first block that is not empty"
    )


def test_s_sr_15_only_empty_blocks_give_a_head_at_the_end(ask: Any) -> None:
    answer = answer_with(ask, b"", b"")
    assert answer.kinds == ["next", "next", "next", "respond", "finish", "deliver", "close"]
    assert answer.content_bytes == 0, "beyond 5.7"


@pytest.mark.parametrize(
    ("blocks", "total"),
    [
        ([], 0),
        ((), 0),
        ([b""], 0),
        ([b"abc"], 3),
        ((b"abc",), 3),
        ([b"a", b"", b"bc"], 3),
        ((b"a",) * 1000, 1000),
    ],
)
def test_s_cl_07_a_list_or_tuple_has_a_known_length_and_one_pass(
    ask: Any, blocks: Any, total: int
) -> None:
    answer = ask(lambda _, sr: start(sr) and blocks)
    assert (answer.content_bytes, answer.body) == (total, b"".join(blocks))
    assert "deliver" not in answer.kinds
    assert answer.kinds[-1] == "finish"


def test_s_cl_07_after_write_no_length_is_computed(ask: Any) -> None:
    def app(_environ: Any, start_response: Any) -> Any:
        start(start_response)(b"w")
        return [b"i"]

    answer = ask(app)
    assert (answer.content_bytes, answer.body) == (None, b"wi")


def test_a_subclass_of_list_is_iterated(ask: Any) -> None:
    class Doubling(list):  # type: ignore[type-arg]
        def __iter__(self) -> Any:
            return iter([b"2", b"2"])

    assert ask(lambda _, sr: start(sr) and Doubling([b"1"])).body == b"22"


def test_subclasses_of_bytes_are_bytes(ask: Any) -> None:
    class Sub(bytes):
        pass

    assert ask(lambda _, sr: start(sr) and [Sub(b"x")]).body == b"x"


@pytest.mark.parametrize("blocks", [[b"abcdef"], [b"ab", b"cd", b"ef"]])
@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_s_cl_01_surplus_bytes_are_dropped_and_logged(ask: Any, blocks: Any, kind: Any) -> None:
    answer = ask(lambda _, sr: start(sr, ("Content-Length", "3")) and kind(blocks))
    assert answer.kinds[-1] == "finish"
    assert answer.of("body")[-1][2] == "over_length"
    assert len(answer.warnings()) == 1
    assert "more than its Content-Length in GET / (id-1)" in answer.warnings()[0]


def test_s_cl_02_iteration_stops_at_the_length(ask: Any) -> None:
    answer = answer_with(ask, b"abc", b"never", headers=[("Content-Length", "3")])
    assert answer.kinds.count("next") == 1


@pytest.mark.parametrize("kind", [list, iter])
def test_s_cl_04_less_than_the_length_is_an_error(ask: Any, kind: Any) -> None:
    answer = ask(lambda _, sr: start(sr, ("Content-Length", "10")) and kind([b"abc"]))
    assert answer.of("finish") == [("finish", "short_length")]
    assert "less than its Content-Length in GET / (id-1)" in answer.errors()[0]


@pytest.mark.parametrize("result", [[b"x"], [], (b"x",), iter([b"x"]), iter([]), iter([b""])])
def test_s_sr_01_without_start_response_a_500(ask: Any, result: Any) -> None:
    answer = ask(lambda *_: result)
    assert answer.failed
    assert "did not call start_response" in answer.errors()[0]


@pytest.mark.parametrize("block", ["abc", bytearray(b"x"), memoryview(b"x"), None, 5])
@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_s_uni_04_a_first_block_of_another_type_gives_500(ask: Any, block: Any, kind: Any) -> None:
    answer = ask(lambda _, sr: start(sr) and kind([block]))
    assert answer.failed
    assert f"gave {type(block).__name__}: a block must be bytes" in answer.errors()[0]


def test_s_uni_04_a_later_block_of_another_type(ask: Any) -> None:
    answer = answer_with(ask, b"ok", "str")
    assert answer.kinds[-2:] == ["close", "abort"]
    assert "str" in answer.errors()[0]
    assert ask(lambda _, sr: start(sr) and [b"ok", "str"]).kinds == [
        "respond",
        "body",
        "deliver",
        "abort",
    ]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("text", "returned str: return a list of bytes"),
        (b"data", "returned bytes: put it into a list"),
        (bytearray(b"x"), "returned bytearray: put it into a list"),
        (None, "returned NoneType: a WSGI application returns an iterable of bytes"),
        (7, "returned int: a WSGI application returns"),
        ({"a": 1}, "gave str: a block must be bytes"),
    ],
)
def test_beyond_4_4_invalid_results_are_explained(ask: Any, result: Any, words: str) -> None:
    answer = ask(lambda _, sr: (start(sr), result)[1])
    assert answer.failed
    assert words in answer.errors()[0]


# ---- close()


@pytest.mark.parametrize(
    "request_", [{}, {"method": "HEAD"}, {"status": "204 No Content"}, {"status": "304 X"}]
)
@pytest.mark.parametrize("blocks", [(), (b"",), (b"a", b"b")])
def test_s_close_01_once_after_a_normal_end(ask: Any, request_: Any, blocks: Any) -> None:
    assert answer_with(ask, *blocks, **request_).kinds[-1] == "close"


def test_s_close_01_of_the_result_and_not_of_its_iterator(ask: Any) -> None:
    events: list[Any] = []

    class Outer:
        def __iter__(self) -> Any:
            return Blocks(events, b"x")

        def close(self) -> None:
            events.append(("outer close",))

    answer = ask(lambda _, sr: start(sr) and Outer(), events)
    assert "close" not in answer.kinds
    assert answer.kinds.count("outer close") == 1


class Base(BaseException):
    pass


@pytest.mark.parametrize(
    "error", [ValueError("x"), SystemExit(3), GeneratorExit(), KeyboardInterrupt(), Base()]
)
def test_s_close_02_s_exc_01_02_an_exception_before_the_first_block_gives_500(
    ask: Any, error: BaseException
) -> None:
    for blocks in [(error,), (b"", error)]:
        answer = answer_with(ask, *blocks)
        assert answer.kinds[-2:] == ["close", "fail"]
        assert answer.status is None, "no trace of the stored head"
        assert type(error).__name__ in answer.errors()[0]


@pytest.mark.parametrize(
    "error", [ValueError("x"), SystemExit(3), GeneratorExit(), KeyboardInterrupt(), Base()]
)
def test_s_close_02_s_exc_03_an_exception_after_a_block_aborts(
    ask: Any, error: BaseException
) -> None:
    answer = answer_with(ask, b"part", error)
    assert answer.kinds[-2:] == ["close", "abort"]
    assert "finish" not in answer.kinds


def test_s_close_02_iter_itself_raises(ask: Any) -> None:
    closed: list[bool] = []

    class Bad:
        def __iter__(self) -> Any:
            raise ValueError("from iter")

        def close(self) -> None:
            closed.append(True)

    answer = ask(lambda _, sr: start(sr) and Bad())
    assert answer.failed
    assert closed == [True]
    assert "from iter" in answer.errors()[0]


def test_s_close_02_a_bad_header_inside_the_iteration(ask: Any) -> None:
    closed: list[bool] = []

    def app(_environ: Any, start_response: Any) -> Any:
        try:
            start_response("200 OK", [("Bad\n", "x")])
            yield b"x"
        finally:
            closed.append(True)

    assert ask(app).failed
    assert closed == [True]


@pytest.mark.parametrize("gone", [{"gone_after": 2500}, {}])
def test_s_close_03_disconnect_ends_the_iteration(ask: Any, gone: Any) -> None:
    left: list[Any] = []

    def app(environ: Any, start_response: Any) -> Any:
        start(start_response)
        try:
            for number in range(100):
                left.append(number)
                yield b"x" * 1024 if gone else b""
        except GeneratorExit:
            left.append("GeneratorExit")
            raise

    answer = ask(app, **(gone or {"gone": lambda: len(left) >= 3}))
    assert left[-1] == "GeneratorExit"
    assert left[-2] == 2
    assert answer.kinds[-1] == "abort"
    assert answer.log == []


def test_beyond_5_4_write_after_a_disconnect_raises_connection_error(ask: Any) -> None:
    def app(_environ: Any, start_response: Any) -> Any:
        write = start(start_response)
        with pytest.raises(ConnectionError) as caught:
            write(b"x" * 100)
        assert type(caught.value).__name__ == "ClientDisconnected"
        return []

    ask(app, gone_after=10)


def test_s_close_04_beyond_5_3_close_raises(ask: Any) -> None:
    class Raising(Blocks):
        def close(self) -> None:
            super().close()
            raise ValueError("from close")

    events: list[Any] = []
    answer = ask(
        lambda _, sr: start(sr, ("Content-Length", "2")) and Raising(events, b"ok"), events
    )
    assert (answer.body, answer.of("finish")) == (b"ok", [("finish", "ok")])
    (text,) = answer.errors()
    assert text.startswith("Error in close() in GET / (id-1)\nTraceback")
    assert "from close" in text


# ---- bodies that HTTP does not carry


@pytest.mark.parametrize(
    "request_", [{"method": "HEAD"}, {"status": "204 No Content"}, {"status": "304 Not Modified"}]
)
def test_s_http_03_04_beyond_5_6_no_body_and_a_stop_at_the_first_block(
    ask: Any, request_: Any
) -> None:
    answer = answer_with(ask, b"", b"abc", b"never", **request_)
    assert answer.body == b""
    assert answer.kinds.count("next") == 2
    assert answer.content_bytes is None


@pytest.mark.parametrize(
    ("request_", "blocks", "expected"),
    [
        ({"method": "HEAD"}, [b"abc"], 3),
        ({"method": "HEAD"}, [], None),
        ({"method": "HEAD"}, [b""], None),
        ({"status": "204 No Content"}, [b"abc"], None),
        ({"status": "304 Not Modified"}, [b"abc"], None),
        ({"status": "304 Not Modified"}, [], None),
    ],
)
def test_s_http_03_04_lists_without_body(
    ask: Any, request_: Any, blocks: Any, expected: int | None
) -> None:
    status = request_.pop("status", "200 OK")
    answer = ask(lambda _, sr: start(sr, status=status) and blocks, **request_)
    assert (answer.body, answer.content_bytes, answer.kinds) == (
        b"",
        expected,
        ["respond", "finish"],
    )


def test_s_http_03_write_on_head_sends_nothing(ask: Any) -> None:
    def app(_environ: Any, start_response: Any) -> Any:
        start(start_response)(b"w")
        return [b"i"]

    answer = ask(app, method="HEAD")
    assert answer.kinds == ["respond", "finish"]


# ---- failures


@pytest.mark.parametrize(
    "error", [ValueError("boom"), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), Base()]
)
def test_s_exc_01_an_exception_of_the_call_is_logged_with_its_traceback(
    ask: Any, error: BaseException
) -> None:
    def view(start_response: Any) -> None:
        start(start_response)
        raise error

    answer = ask(lambda _, sr: view(sr), target="/x?y=1", id="the-id")
    assert answer.failed
    (text,) = answer.errors()
    assert text.startswith("Error in GET /x?y=1 (the-id)\nTraceback (most recent call last):\n")
    assert "in view" in text
    assert type(error).__name__ in text


def test_s_exc_02_after_start_response_the_500_replaces_the_stored_head(ask: Any) -> None:
    def app(_environ: Any, start_response: Any) -> Any:
        start(start_response)
        raise ValueError

    assert ask(app).kinds == ["fail"]


def test_s_exc_03_after_write_the_response_is_aborted(ask: Any) -> None:
    def app(_environ: Any, start_response: Any) -> Any:
        start(start_response)(b"part")
        raise ValueError

    assert ask(app).kinds == ["respond", "body", "deliver", "abort"]


def test_worker_continues_after_any_failure() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/bad":
            raise SystemExit(1)
        start(start_response)
        return [b"good"]

    bridge = Bridge(app)
    for _ in range(3):
        assert bridge.request(target="/bad").failed
        assert bridge.request(target="/good").body == b"good"


def test_an_exception_that_cannot_be_shown_is_named(ask: Any) -> None:
    class Hostile(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def app(*_: Any) -> Any:
        raise Hostile

    assert "Hostile" in ask(app).errors()[0]


def test_the_message_of_an_exception_may_be_any_text(ask: Any) -> None:
    def app(*_: Any) -> Any:
        raise ValueError("\u20ac \U0001f600 \udc80")

    assert "\u20ac \U0001f600 \\udc80" in ask(app).errors()[0]


def test_beyond_5_5_keyboard_interrupt_while_stopping_is_not_an_application_error() -> None:
    def app(*_: Any) -> Any:
        raise KeyboardInterrupt

    bridge = Bridge(app)
    assert bridge.request().errors()
    bridge.harness.stopping()
    answer = bridge.request()
    assert answer.failed
    assert answer.log == []


@pytest.mark.parametrize(
    "shape", ["function", "instance", "two arguments", "one argument", "factory"]
)
def test_beyond_5_14_what_looks_like_asgi_or_a_factory_is_named(ask: Any, shape: str) -> None:
    async def asgi(scope: Any, receive: Any, send: Any) -> None: ...

    class Asgi:
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    async def two(environ: Any, start_response: Any) -> list[bytes]:
        return []

    app = {
        "function": asgi,
        "instance": Asgi(),
        "two arguments": two,
        "one argument": lambda scope: None,
        "factory": lambda: None,
    }[shape]
    answer = ask(app)
    assert answer.failed
    (text,) = answer.errors()
    assert ("--factory" if shape in ("one argument", "factory") else "looks like ASGI") in text


def test_a_type_error_inside_the_application_gets_no_hint(ask: Any) -> None:
    def app(*_: Any) -> Any:
        return len(5)  # type: ignore[arg-type]

    (text,) = ask(app).errors()
    assert text.endswith("TypeError: object of type 'int' has no len()")


# ---- threads and contexts


def test_beyond_5_10_call_iteration_and_close_run_in_the_context_of_the_thread() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    seen: list[Any] = []

    class Result(Blocks):
        def __next__(self) -> Any:
            seen.append(("next", variable.get()))
            variable.set(variable.get() + "!")
            return super().__next__()

        def close(self) -> None:
            seen.append(("close", variable.get()))
            variable.set(environ_path[-1] + " closed")

    environ_path: list[str] = []

    def app(environ: Any, start_response: Any) -> Any:
        seen.append(("call", variable.get()))
        environ_path.append(environ["PATH_INFO"])
        variable.set(environ["PATH_INFO"])
        start(start_response)
        return Result([], b"x")

    bridge = Bridge(app)
    for path in ("/1", "/2"):
        bridge.request(target=path)

    def of_request(path: str, before: str) -> list[tuple[str, str]]:
        return [("call", before), ("next", path), ("next", path + "!"), ("close", path + "!!")]

    assert seen == [*of_request("/1", "unset"), *of_request("/2", "/1 closed")]
    assert variable.get() == "/2 closed"  # the thread that drives the bridge is this one


@pytest.mark.parametrize("way", ["call", "iteration", "close", "exception"])
def test_a_context_variable_survives_to_the_next_request_of_its_thread_only(way: str) -> None:
    """Objects that an application keeps in a context variable, e.g. a cache client, are created
    once for each thread, at any point of a request and however it ends."""
    kept: contextvars.ContextVar[object] = contextvars.ContextVar("kept")
    made: list[int] = []

    def use(here: str) -> None:
        if here == way and kept.get(None) is None:
            made.append(threading.get_ident())
            kept.set(object())

    class Result(Blocks):
        def __next__(self) -> Any:
            use("iteration")
            return super().__next__()

        def close(self) -> None:
            use("close")

    def app(_environ: Any, start_response: Any) -> Any:
        use("call")
        if way == "exception":
            use("exception")
            raise ValueError("after the client was made")
        start(start_response)
        return Result([], b"x")

    bridge = Bridge(app, threads=3)

    def run(number: int) -> None:
        for _ in range(5):
            bridge.request(thread=number)

    threads = [threading.Thread(target=run, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 2
    assert kept.get(None) is None  # the thread that created the bridge has a context of its own


def test_a_request_sees_what_its_thread_set_before() -> None:
    """E.g. variables set by the import of the application in the main thread."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("imported")
    seen: list[str] = []

    def app(_environ: Any, start_response: Any) -> Any:
        seen.append(variable.get())
        start(start_response)
        return []

    Bridge(app).request()
    assert seen == ["imported"]


def test_a_thread_local_survives_to_the_next_request_of_the_thread() -> None:
    local = threading.local()

    def app(_environ: Any, start_response: Any) -> Any:
        local.count = getattr(local, "count", 0) + 1
        start(start_response)
        return [str(local.count).encode()]

    bridge = Bridge(app, threads=3)
    bodies: dict[int, list[bytes]] = {}

    def run(number: int) -> None:
        bodies[number] = [bridge.request(thread=number).body for _ in range(3)]

    threads = [threading.Thread(target=run, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bodies == {1: [b"1", b"2", b"3"], 2: [b"1", b"2", b"3"]}


def test_signal_handlers_run_and_what_they_raise_first_is_kept() -> None:
    numbers = []

    def handler(number: int, _frame: Any) -> None:
        numbers.append(number)
        raise ValueError(len(numbers))

    harness = Bridge(lambda *_: None).harness
    assert not harness.run_signal_handlers()
    former = signal.signal(signal.SIGUSR1, handler)
    try:
        assert harness.run_signal_handlers_after(signal.SIGUSR1)
        assert harness.run_signal_handlers_after(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, former)
    assert numbers == [signal.SIGUSR1] * 2
    raised = harness.take_raised()
    assert isinstance(raised, ValueError)
    assert raised.args == (1,)
    assert harness.take_raised() is None


def test_levels_are_errors_for_failures(ask: Any) -> None:
    assert [level for level, _ in ask(lambda *_: 1 / 0).log] == [ERROR]
