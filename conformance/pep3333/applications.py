"""The application's side: applications by name, an event log, and a gate.

A test module is also the module that its server loads (MODULE:applications), so that every test is
next to its application. Events go through a pipe named by EVENTS, one line of JSON each; a call at
the gate reads one byte from the pipe named by GO. The test's side is served.py.
"""

import functools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Application = Callable[..., Iterable[bytes]]

TEXT = ("Content-Type", "text/plain")


def tell(event: str, **details: Any) -> None:
    """Add one line to the event log."""
    log = os.open(os.environ["EVENTS"], os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(log, json.dumps({"event": event, **details}).encode() + b"\n")
    finally:
        os.close(log)


def stay() -> None:
    """Report that the call is here, and wait until the test lets it continue."""
    tell("stays")
    with open(os.environ["GO"], "rb", buffering=0) as go:
        go.read(1)


def fence(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """/fence?NUMBER"""
    tell("fence", number=environ["QUERY_STRING"])
    start_response("200 OK", [TEXT])
    return [b"fence"]


def has_write(_environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    return [str(callable(start_response("200 OK", [TEXT]))).encode()]


class Applications:
    """/NAME calls the application of that name, any other path `default`. /fence responds after
    all earlier calls, if the server has one thread. /has_write says whether start_response
    returns a callable."""

    def __init__(self, default: Application | None = None) -> None:
        self._named: dict[str, Application] = {"fence": fence, "has_write": has_write}
        self._default = default

    def __setitem__(self, name: str, application: Application) -> None:
        self._named[name] = application

    def add(self, application: Application) -> Application:
        """A decorator: adds the application under the name of the function."""
        self[application.__name__] = application
        return application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        name = environ["PATH_INFO"].partition("/")[2].partition("/")[0]
        application = self._named.get(name, self._default)
        assert application is not None, f"there is no application {name!r}"
        return application(environ, start_response)


def started(generator: Application) -> Application:
    """An application from a generator: start_response is called before the result is returned,
    because some servers require it (S-SR-04)."""

    @functools.wraps(generator)
    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return Started(iter(generator(environ, start_response)))

    return application


class Started:
    def __init__(self, blocks: Any) -> None:
        self._first, self._blocks = next(blocks), blocks

    def __iter__(self) -> Iterator[bytes]:
        yield self._first
        yield from self._blocks

    def close(self) -> None:
        self._blocks.close()


def parameter(environ: dict[str, Any]) -> int:
    """The number in the query: the index of a test parameter."""
    return int(environ["QUERY_STRING"])


class Blocks:
    """An iterable that reports every next() and close(). Items that are exceptions are raised."""

    def __init__(self, *blocks: Any) -> None:
        self._blocks = iter(blocks)

    def __iter__(self) -> "Blocks":
        return self

    def __next__(self) -> Any:
        tell("next")
        block = next(self._blocks)
        if isinstance(block, BaseException):
            raise block
        return block

    def close(self) -> None:
        tell("close")
