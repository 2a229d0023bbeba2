"""A correct application for testing middleware: behaves as configured, and records what the
middleware does with it. Also checks the obligations of a server that middleware has toward an
application."""

import sys
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from iotax._check.observe.outcome import Outcome
from iotax._check.observe.streams import Untouchable

TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")
REQUIRED: Final = (
    *("REQUEST_METHOD", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "wsgi.version"),
    *("wsgi.url_scheme", "wsgi.input", "wsgi.errors", "wsgi.multithread", "wsgi.multiprocess"),
    "wsgi.run_once",
)


class ProbeError(Exception):
    """The exception that the probe raises."""


@dataclass(frozen=True)
class Conduct:
    """`raises_after`: raise at this block, counted from 0. `third_argument`: "exc_info": of an
    error that it has handled; "none": None; "": not passed. `gives_length`: set Content-Length."""

    blocks: tuple[bytes, ...] = (b"first\n", b"second\n", b"third\n")
    written: tuple[bytes, ...] = ()
    raises_after: int | None = None
    third_argument: str = ""
    gives_length: bool = False


class Probe:
    """`outer`: the call of the middleware. For each requested block, `asked` has the number of
    blocks that the middleware had yielded, and `given` their bytes. `at_return`: blocks requested
    before it returned its iterable. `wrong`: what it does that a server may not."""

    def __init__(self, conduct: Conduct) -> None:
        self.conduct = conduct
        self.outer: Outcome | None = None
        self.calls = 0
        self.closed = 0
        self.asked: list[int] = []
        self.given: list[int] = []
        self.at_return = 0
        self.touched: list[str] = []
        self.wrong: list[str] = []
        self.environ: dict[str, Any] = {}
        self.error: weakref.ref[BaseException] | None = None
        self.application: Callable[..., Any] = Untouchable(self._called, self.touched.append)

    @property
    def body(self) -> bytes:
        return b"".join((*self.conduct.written, *self.conduct.blocks))

    def meet(self, outer: Outcome) -> None:
        self.outer = outer

    def _called(self, *args: Any, **named: Any) -> "_Blocks":
        self.calls += 1
        if named or len(args) != 2:
            self.wrong.append("does not call the application with two positional arguments")
            args = (*args, *named.values())[:2]
        environ, start_response = args
        self._check_environ(environ)
        write = self._start(start_response)
        for block in self.conduct.written:
            if callable(write):
                write(block)
        if not callable(write):
            self.wrong.append("does not return a write() from start_response")
        return _Blocks(self)

    def _check_environ(self, environ: Any) -> None:
        if type(environ) is not dict:
            self.wrong.append(f"passes an environ that is {type(environ).__name__}, not dict")
        self.environ = dict(environ)
        if missing := [name for name in REQUIRED if name not in environ]:
            self.wrong.append(f"passes an environ without {' and '.join(missing)}")
        for name, value in self.environ.items():
            if name.isupper() and type(value) is not str:
                self.wrong.append(f"passes {name} as {type(value).__name__}, not str")

    def _start(self, start_response: Any) -> Any:
        fields = [TEXT]
        if self.conduct.gives_length:
            fields.append(("Content-Length", str(len(self.body))))
        try:
            if self.conduct.third_argument == "exc_info":
                return self._start_again(start_response, fields)
            third = (None,) if self.conduct.third_argument == "none" else ()
            return start_response("200 OK", fields, *third)
        except TypeError as error:
            if _raised_here(error):
                self.wrong.append(f"has a start_response that is not callable: {error}")
                started = self.conduct.third_argument == "exc_info"
                return bytes if started else start_response("200 OK", fields)
            raise

    def _start_again(self, start_response: Any, fields: list[tuple[str, str]]) -> Any:
        start_response("200 OK", list(fields))
        try:
            _fail()
        except ProbeError as error:
            self.error = weakref.ref(error)
            return start_response("500 Internal Server Error", fields, sys.exc_info())


class _Blocks:
    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._next = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        probe, at = self._probe, self._next
        if at == probe.conduct.raises_after:
            _fail()
        if at == len(probe.conduct.blocks):
            raise StopIteration
        self._next += 1
        if probe.outer is not None:
            probe.asked.append(probe.outer.items)
            probe.given.append(probe.outer.body_bytes)
            probe.at_return += not probe.outer.returned
        return probe.conduct.blocks[at]

    def close(self) -> None:
        self._probe.closed += 1


def _raised_here(error: BaseException) -> bool:
    """Whether the call itself failed: the callee did not accept its arguments."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename == __file__


def _fail() -> NoReturn:
    raise ProbeError("raised by the application behind the middleware")
