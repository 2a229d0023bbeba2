"""The server calls the application (Specification Overview, The Server/Gateway Side, Middleware,
Specification Details): S-CALL, S-MW, S-SR-01, S-ITER-05."""

import functools
import json
import operator
import re
import types
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.validate import validator

import pytest
from applications import TEXT, Application, Applications, Blocks, parameter, started, tell
from served import Served, more_comes, needs_write, only_for_iotax

applications = Applications()


# ---- every kind of callable


def function(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    return [b"called"]


class Callables:
    def method(self, environ: Any, start_response: Any) -> list[bytes]:
        return function(environ, start_response)

    @classmethod
    def class_method(cls, environ: Any, start_response: Any) -> list[bytes]:
        return function(environ, start_response)

    @staticmethod
    def static_method(environ: Any, start_response: Any) -> list[bytes]:
        return function(environ, start_response)

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        return function(environ, start_response)


class InstancesAreIterable:
    def __init__(self, _environ: Any, start_response: Any) -> None:
        start_response("200 OK", [TEXT])

    def __iter__(self) -> Any:
        yield b"called"


class Recorder:
    """Responds with the names of the attributes that were accessed since it was created."""

    def __init__(self) -> None:
        object.__setattr__(self, "names", [])

    def __getattribute__(self, name: str) -> Any:
        object.__getattribute__(self, "names").append(name)
        return object.__getattribute__(self, name)

    def __call__(self, _environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [TEXT])
        return [json.dumps(object.__getattribute__(self, "names")).encode()]


CALLABLES: dict[str, Any] = {
    "function": function,
    "lambda": lambda environ, start_response: function(environ, start_response),
    "bound method": Callables().method,
    "class method": Callables.class_method,
    "static method": Callables.static_method,
    "instance with __call__": Callables(),
    "functools.partial": functools.partial(function),
    "class whose instances are iterable": InstancesAreIterable,
    "method-wrapper": function.__call__,
    "bound builtin": types.MethodType(operator.call, function),
}
recorder = Recorder()


# Objects that the command line can name.
for number, one in enumerate(CALLABLES.values()):
    globals()[f"callable_{number}"] = one


@pytest.mark.obligation("S-CALL-01")
@pytest.mark.parametrize("number", range(len(CALLABLES)), ids=list(CALLABLES))
def test_the_kind_of_callable_does_not_matter(serve: Callable[..., Served], number: int) -> None:
    served = serve(f"{__name__}:callable_{number}")
    answer = served.ask("/")
    assert (answer.status, answer.body) == (200, b"called")


@pytest.mark.obligation("S-CALL-01")
def test_the_application_is_not_introspected(serve: Callable[..., Served]) -> None:
    served = serve(f"{__name__}:recorder")
    for _ in range(2):
        assert json.loads(served.ask("/").body) == []


# ---- how often, and with which arguments


@applications.add
def counted(environ: Any, start_response: Any) -> list[bytes]:
    tell("called", query=environ["QUERY_STRING"])
    start_response("200 OK", [TEXT, ("Content-Length", "6")])
    return [b"called"]


@pytest.mark.obligation("S-CALL-02")
def test_each_request_of_a_connection_is_one_call(served: Served) -> None:
    with served.connect() as connection:
        for number in range(5):
            assert connection.ask(f"/counted?{number}").body == b"called"
    assert [event["query"] for event in served.events()] == list("01234")


@pytest.mark.obligation("S-CALL-02")
def test_each_of_the_pipelined_requests_is_one_call(served: Served) -> None:
    with served.connect() as connection:
        connection.send(
            b"".join(b"GET /counted?%d HTTP/1.1\r\nHost: h\r\n\r\n" % number for number in range(7))
        )
        answered = 0
        while answered < 7 and more_comes(connection):
            assert connection.answer().body == b"called"
            answered += 1
    assert [event["query"] for event in served.events()] == list("0123456")[:answered]


MALFORMED = [
    b"GET /counted HTTP/1.1\r\n\r\n",
    b"GET /counted HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
    b"GET /counted HTTP/1.1\r\nHost: h\r\nX A: b\r\n\r\n",
    b"GET /counted HTTP/3.0\r\nHost: h\r\n\r\n",
    b"POST /counted HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
    b"POST /counted HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
]


@pytest.mark.obligation("S-CALL-02")
@pytest.mark.parametrize("data", MALFORMED)
def test_malformed_request_does_not_call_the_application(served: Served, data: bytes) -> None:
    only_for_iotax("what a server refuses is its policy")
    assert served.exchange(data).startswith((b"HTTP/1.1 4", b"HTTP/1.1 5"))
    assert served.told() == []


@applications.add
@started
def endless(_environ: Any, start_response: Any) -> Iterable[bytes]:
    tell("called")
    start_response("200 OK", [TEXT])
    while True:
        yield b"x" * 65536


@pytest.mark.obligation("S-CALL-02")
def test_disconnect_does_not_repeat_the_call(served: Served) -> None:
    with served.connect() as connection:
        connection.get("/endless")
        connection.head()
        connection.reset()
    assert served.told() == ["called"]


@applications.add
def positional(*arguments: Any, **keywords: Any) -> list[bytes]:
    tell("called", positional=len(arguments), keywords=sorted(keywords))
    arguments[1]("200 OK", [TEXT])
    return [b"called"]


@pytest.mark.obligation("S-CALL-03")
def test_the_arguments_are_positional(serve: Callable[..., Served]) -> None:
    served = serve(f"{__name__}:positional")
    assert served.ask("/").body == b"called"
    event = served.wait_for("called")
    assert (event["positional"], event["keywords"]) == (2, [])


def unusual_names(a: Any, b: Any, /) -> list[bytes]:
    return function(a, b)


@pytest.mark.obligation("S-CALL-03")
def test_parameters_may_have_any_name(serve: Callable[..., Served]) -> None:
    assert serve(f"{__name__}:unusual_names").ask("/").body == b"called"


# ---- an application that does not start the response

UNSTARTED: dict[str, Callable[[], Any]] = {
    "a list": lambda: [b"x"],
    "an empty list": lambda: [],
    "a tuple": lambda: (b"x",),
    "a block": lambda: Blocks(b"x"),
    "no block": lambda: Blocks(),
    "an empty block": lambda: Blocks(b""),
}


@applications.add
def unstarted(environ: Any, _start_response: Any) -> Any:
    return list(UNSTARTED.values())[parameter(environ)]()


@pytest.mark.obligation("S-SR-01")
@pytest.mark.parametrize("number", range(len(UNSTARTED)), ids=list(UNSTARTED))
def test_without_start_response_the_response_is_500(served: Served, number: int) -> None:
    path = f"/unstarted?{number}"
    answer = served.ask(path)
    assert (answer.status, answer.complete) == (500, True)
    served.logged(path, "did not call start_response")
    told = served.told()
    assert told.count("close") == (1 if "next" in told else 0)


# ---- middleware


def passed_through(application: Application) -> Application:
    """Passes on its arguments and blocks."""

    def passing(result: Any) -> Iterable[bytes]:
        try:
            yield from result
        finally:
            if hasattr(result, "close"):
                result.close()

    return lambda environ, start_response: passing(application(environ, start_response))


def bare_list(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT, ("X-Name", "value")])
    return [b"one ", b"two"]


@started
def bare_generator(_environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("404 Not Found", [TEXT, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    yield b"one "
    yield b"two"


def bare_length(environ: Any, start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [TEXT, ("Content-Length", str(len(body)))])
    return [body]


def bare_write(_environ: Any, start_response: Any) -> list[bytes]:
    write = start_response("200 OK", [TEXT])
    write(b"one ")
    return [b"two"]


def bare_error(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [TEXT])
    raise ValueError("in the application")


BARE = [bare_list, bare_generator, bare_length, bare_write, bare_error]
for bare in BARE:
    applications.add(bare)
    applications[f"validated_{bare.__name__}"] = validator(bare)
    applications[f"passed_{bare.__name__}"] = passed_through(bare)


@pytest.mark.obligation("S-MW-01")
@pytest.mark.parametrize("middleware", ["validated", "passed"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("name", [bare.__name__ for bare in BARE])
def test_the_same_with_middleware(served: Served, middleware: str, method: str, name: str) -> None:
    if name == "bare_write":
        needs_write(served)
    own = {"date", "content-length", "transfer-encoding", "x-request-id"}

    def seen(path: str) -> Any:
        content = b"the content" if method == "POST" else None
        answer = served.ask(path, method=method, body=content)
        fields = [(name, value) for name, value in answer.fields if name.lower() not in own]
        body = re.sub(b"Request ID: .*", b"", answer.body)  # of the server's own error page
        return answer.status, answer.reason, fields, body, answer.complete

    assert seen(f"/{middleware}_{name}") == seen(f"/{name}")


# ---- use of the result


class RecordingResult:
    """Reports every attribute that is accessed. Most of them are traps."""

    def __getattribute__(self, name: str) -> Any:
        tell("lookup", name=name)
        return object.__getattribute__(self, name)

    read = fileno = status = filelike = property(lambda _: 1 / 0)

    def __iter__(self) -> Any:
        return iter([b"x", b"y"])

    def __getitem__(self, index: int) -> Any:
        raise ZeroDivisionError

    def close(self) -> None:
        tell("close")


@applications.add
def recording_result(_environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return RecordingResult()


@pytest.mark.obligation("S-ITER-05")
def test_only_iteration_len_and_close_of_the_result_are_used(served: Served) -> None:
    assert served.ask("/recording_result").body == b"xy"
    events = served.events()
    names = {event["name"] for event in events if event["event"] == "lookup"}
    assert "close" in names
    assert names <= {"__class__", "__iter__", "__len__", "close"}
