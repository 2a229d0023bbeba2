"""One call of the application under guard: between the bridge and the application it sees the call,
start_response and write, the iterable, its blocks and its end.

The order of a call (PEP 3333): begin(), then next() until the end or until it is cut off, then
close(). What is broken is reported to the record of the call, and mended where the call could not
go on.
"""

import inspect
import io
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from iotax._check.observe.blame import of_caller, of_error, of_object
from iotax._check.observe.head_rules import MENDED_STATUS, checked_fields, checked_status
from iotax._check.observe.outcome import (
    BLOCKS_MAX,
    MAY_BE_EMPTY,
    SECONDS_MAX,
    Application,
    Outcome,
    TimeIsUp,
    Variation,
)
from iotax._check.observe.record import Record, a_type, shown
from iotax._check.observe.response_rules import look_at_answer, with_one_length
from iotax._check.observe.streams import GuardedErrors, GuardedInput, Untouchable, file_wrapper
from iotax._check.report.findings import Place


class GuardedCall(Outcome):
    """`lists`: the header lists of former calls, by identity."""

    def __init__(
        self, application: Application, record: Record, variation: Variation, lists: list[Any]
    ) -> None:
        super().__init__()
        self._application = application
        self.record = record
        self.variation = variation
        self._lists = lists
        self._start_response: Any = None
        self._server_write: Any = None
        self._result: Any = None
        self._iterator: Iterator[Any] | None = None
        self._input: GuardedInput | None = None
        self._errors: GuardedErrors | None = None
        self._environ_before: dict[str, object] = {}
        self._given: list[tuple[Any, list[Any]]] = []
        self._handed_back: BaseException | None = None
        self._iterating = False
        self._closed = False
        self._is_late = False  # a block came before start_response was called
        self._seconds = 0.0  # in which its iterable made blocks
        self._uses_write = False
        self._writes_at: Place | None = None
        self._written = 0  # bytes

    # ---- the call

    def begin(self, environ: dict[str, Any], start_response: Any) -> None:
        """Call the application. Raises what it raises."""
        self._start_response = start_response
        self.method = environ["REQUEST_METHOD"]
        self._prepare(environ)
        self.record.trail.clear()
        call: Any = self._started
        if self.variation.untouchable:
            call = Untouchable(self._started, self._touched)
        self.record.exercise("A-CALL-02", "A-ITER-01")
        with self.record.trail:
            try:
                self._result = self._application(environ, call)
            except BaseException as error:
                self._failed(error)
                raise
        self.returned = True
        if environ != self._environ_before:
            self.record.exercise("A-ENV-01")
        self._look_at_result()

    def _prepare(self, environ: dict[str, Any]) -> None:
        length = environ.get("CONTENT_LENGTH")
        for name, value in (self.variation.environ or {}).items():
            if value is None:
                environ.pop(name, None)
            else:
                environ[name] = value
        left = None
        if not self.variation.input_ends:
            environ.pop("wsgi.input_terminated", None)
            left = int(length) if length else 0
        self._input = GuardedInput(self.record, environ["wsgi.input"], left)
        self._errors = GuardedErrors(self.record, environ["wsgi.errors"])
        environ["wsgi.input"], environ["wsgi.errors"] = self._input, self._errors
        if self.variation.has_file_wrapper:
            environ["wsgi.file_wrapper"] = file_wrapper(self.record)
        else:
            environ.pop("wsgi.file_wrapper", None)
        self._environ_before = dict(environ)

    def _touched(self, name: str) -> None:
        self.record.report("A-CALL-01", f"It looks at {name} of start_response.")

    def _failed(self, error: BaseException) -> None:
        """`error` came out of the application."""
        self.raised = error
        if error is self._handed_back:
            self._handed_back = None
            return
        if isinstance(error, TimeIsUp) or getattr(error, "__notes__", None) == [_OURS]:
            return
        trace = error.__traceback__
        if isinstance(error, TypeError) and trace is not None and trace.tb_next is None:
            what = "It cannot be called with (environ, start_response)"
            place = of_object(self._application)
            self.record.report("A-CALL-02", f"{what}: {error}.", place=place, kind=what)
        elif not self._is_of_a_stream(error):
            clause = "A-EXC-01"
            kind = f"{type(error).__name__} came out of it"
            what = f"{kind}: {shown(str(error))}."
            if isinstance(error, KeyError) and self._is_missing(error.args[0]):
                clause = "A-ENV-02" if error.args[0] in MAY_BE_EMPTY else "A-ENV-03"
                what = kind = f"It needs {error.args[0]}, which need not be in environ."
            self.record.report(clause, what, place=of_error(error), kind=kind)

    def _is_missing(self, name: object) -> bool:
        """Whether it looks like a variable, of those that this request does not have."""
        is_variable = isinstance(name, str) and name.replace("_", "").isupper()
        return is_variable and name not in self._environ_before

    def _is_of_a_stream(self, error: BaseException) -> bool:
        return isinstance(error, AttributeError) and error.obj in (self._input, self._errors)

    # ---- start_response and write

    def _started(self, *args: Any, **named: Any) -> Callable[..., None]:
        record = self.record
        record.exercise("A-SR-01", "A-SR-14")
        if self._iterating:
            record.exercise("A-SR-03")
        if named or len(args) not in (2, 3):
            record.report("A-SR-01", f"It calls start_response with {_described(args, named)}.")
            args = (*args, *(named[name] for name in _NAMED if name in named))
        status, headers, exc_info = (*args, None, None, None)[:3]
        exc_info = self._checked_exc_info(exc_info)
        if exc_info is None and self.started and not self._is_late:
            record.report("A-SR-14", "It calls start_response again, without exc_info.")
            raise _ours(AssertionError("start_response was called already; give exc_info"))
        if self._is_late:
            return self._write
        self._look_at_lists(headers)
        before = len(record.findings)
        status, fields = checked_status(record, status), checked_fields(record, headers)
        self._look_at_error_status(status, exc_info, known=len(record.findings) > before)
        try:
            if exc_info is not None and self.variation.collected and self.bytes:
                raise exc_info[1]
            self._server_write = self._start_response(status, with_one_length(fields), exc_info)
        except BaseException as error:
            if exc_info is not None and error is exc_info[1]:
                record.exercise("A-SR-13")
                self._handed_back = error
            raise
        self.started, self.status, self.fields = True, status, fields
        if self.variation.takes_headers and isinstance(headers, list):
            headers.clear()
        self._given.append((headers, list(headers) if isinstance(headers, list) else []))
        return self._write

    def _checked_exc_info(self, exc_info: Any) -> Any:
        record = self.record
        if exc_info is None:
            return None
        record.exercise("A-SR-11", "A-SR-12")
        if isinstance(exc_info, tuple) and len(exc_info) == 3:
            kind, value, _ = exc_info
            if isinstance(value, BaseException) and type(value) is kind:
                return exc_info
        what = f"exc_info is {shown(exc_info)}, not what sys.exc_info() gives in an except block."
        kind = "exc_info is not what sys.exc_info() gives in an except block."
        record.report("A-SR-11", what, kind=kind)
        return None

    def _look_at_error_status(self, status: str, exc_info: Any, *, known: bool) -> None:
        """`known`: something in this head is wrong already."""
        if exc_info is not None and status < "4" and not known:
            what = f"It gives exc_info with the status {shown(status)}, which is no error."
            kind = "It gives exc_info with a status that is no error."
            self.record.report("A-SR-12", what, kind=kind)
        if status >= "5" and not known:
            self.record.exercise("A-EXC-02")
            handled = sys.exception()
            if exc_info is None and handled is not None:
                what = (
                    f"It starts {shown(status)} while {type(handled).__name__} is handled, without"
                    " exc_info."
                )
                kind = f"It starts an error while {type(handled).__name__} is handled."
                self.record.report("A-EXC-02", what, kind=kind)

    def _look_at_lists(self, headers: object) -> None:
        if not isinstance(headers, list):
            return
        self.record.exercise("A-SR-07")
        if any(headers is known for known in self._lists):
            self.record.report("A-SR-07", "It gives start_response the list of a former request.")
        elif not any(headers is known for known, _ in self._given):
            self._lists.append(headers)

    def _write(self, *args: Any, **named: Any) -> None:
        record = self.record
        record.exercise("A-WR-01", "A-WR-02", "A-WR-05", "A-WR-03")
        self._writes_at = self._writes_at or of_caller()
        self._uses_write = True
        if self._iterating:
            record.report("A-WR-05", "It calls write() while its iterable is asked for a block.")
        data = args[0] if args else next(iter(named.values()), b"")
        if named or len(args) != 1:
            record.report("A-WR-02", f"It calls write with {_described(args, named)}.")
        elif not isinstance(data, bytes):
            record.report("A-WR-02", f"It gives write() {a_type(data)}, not bytes.")
        self.count(_as_bytes(data))
        self._written += len(_as_bytes(data))
        self._server_write(_as_bytes(data))

    # ---- the iterable

    def _look_at_result(self) -> None:
        record, result = self.record, self._result
        self._iterator = iter(())
        if isinstance(result, str | bytes | bytearray):
            what = f"It returns {a_type(result)}, which is iterated item by item."
            record.report("A-ITER-01", what, place=self._where())
            self._iterator = iter((_as_bytes(result),))
            return
        if result is None and self._uses_write:
            what = "It returns None after write(), not an iterable."
            record.report("A-WR-03", what, place=self._where())
            return
        if inspect.iscoroutine(result):
            result.close()
            what = "It returns a coroutine: it is asynchronous, perhaps an ASGI application."
            record.report("A-ITER-01", what, place=of_object(self._application))
            return
        if isinstance(result, io.IOBase):
            what = f"It returns a file ({a_type(result)}), which is read line by line."
            record.report("A-OLD-01", what, place=self._where())
        record.exercise("A-OLD-01")
        with record.trail:
            try:
                self._iterator = iter(result)
                self.length = len(result) if hasattr(type(result), "__len__") else None
            except TypeError:
                what = f"It returns {a_type(result)}, which cannot be iterated."
                record.report("A-ITER-01", what, place=self._where())
            except BaseException as error:
                self._failed(error)
                raise

    def _where(self) -> Place | None:
        return of_object(self._result) or self.record.trail.blame()

    def __iter__(self) -> "GuardedCall":
        return self

    def __next__(self) -> bytes:
        try:
            if self._is_to_be_cut():
                self.cut_off = True
                raise StopIteration
            block = self._next()
        except TimeIsUp as error:  # perhaps outside of the application
            self.raised = self.raised or error
            raise
        if block and not self.started:
            what = "It gives a block before it has called start_response."
            self._report_no_start(what)
        return block

    def _next(self) -> bytes:
        """The next block, looked at. Raises what the application raises, StopIteration at the
        end."""
        assert self._iterator is not None
        self._iterating, asked = True, time.monotonic()
        with self.record.trail:
            try:
                block = next(self._iterator)
            except StopIteration:
                self.at_end = True
                if not self.started:
                    self._report_no_start("Its iterable ends before it has called start_response.")
                raise
            except BaseException as error:
                self._failed(error)
                raise
            finally:
                self._iterating = False
                seconds = time.monotonic() - asked
        self._seconds += seconds
        self.pauses = self.pauses or seconds > 0.001
        self.items += 1
        data = self._checked_block(block)
        self.count(data)
        return data

    def _report_no_start(self, what: str) -> None:
        self.record.report("A-SR-02", what, place=self._where())
        self._server_write = self._start_response(MENDED_STATUS, [])
        self.started = self._is_late = True

    def _is_to_be_cut(self) -> bool:
        variation = self.variation
        if variation.blocks_max is not None:
            return self.items >= variation.blocks_max
        if self.length is not None:
            return False
        return self.items >= BLOCKS_MAX or self._seconds > SECONDS_MAX

    def _checked_block(self, block: object) -> bytes:
        record = self.record
        record.exercise("A-STR-02", "A-UNI-04")
        if type(block) is bytes:
            if not block:
                record.exercise("A-BUF-03")
            return block
        place = of_object(self._result)
        if isinstance(block, bytes):
            what = f"A block is {a_type(block)}, a subclass of bytes."
            record.report("A-UNI-04", what, severity="warning", place=place, words=())
            return bytes(block)
        clause = "A-UNI-04" if isinstance(block, bytearray | memoryview | int) else "A-STR-02"
        record.report(clause, f"A block is {a_type(block)}, not bytes.", place=place, words=())
        return _as_bytes(block)

    def close(self) -> None:
        """The end of the call, whatever came before it. Only the first one counts."""
        if self._closed:
            return
        self._closed = True
        if not (self.cut_off or self.at_end or self.raised) and self.method != "HEAD":
            self._go_on()
        self._close_result()
        for stream in (self._input, self._errors):
            if stream is not None:
                stream.at_end(self.raised, failed=self.raised is not None or self.code >= 500)
        self._look_at_end()

    def _go_on(self) -> None:
        """The bridge needs no more: the declared length is reached. What else would come?"""
        try:
            while not self._is_to_be_cut():
                self._next()
            self.cut_off = True
        except StopIteration:
            pass
        except Exception:
            return

    def _close_result(self) -> None:
        close = getattr(self._result, "close", None)
        if close is None:
            return
        self._iterating = True
        try:
            with self.record.trail:
                close()
        except BaseException as error:
            early = self.cut_off or self.method == "HEAD"
            kind = f"{type(error).__name__} comes out of close()"
            what = f"{kind}: {shown(str(error))}."
            clause, place = "A-ITER-04" if early else "A-EXC-01", of_error(error)
            self.record.report(clause, what, place=place, kind=kind)
            if isinstance(error, TimeIsUp):
                raise
        finally:
            self._iterating = False

    def gives_same_iterable(self, other: "GuardedCall") -> bool:
        """Whether both calls returned one and the same object."""
        return self._result is not None and self._result is other._result

    def let_go(self) -> None:
        """Nothing of the call is held any longer."""
        self._result = self._iterator = None

    def _look_at_end(self) -> None:
        record = self.record
        if self._handed_back is not None:
            what = (
                "It catches the exception that start_response hands back when the head is out"
                " already, and goes on."
            )
            record.report("A-SR-13", what, place=of_error(self._handed_back), words=())
        record.exercise("A-EXC-01", "A-WR-01")
        if self.started:
            record.exercise("A-SR-02")
        if self._uses_write and not record.has("A-WR-02", "A-WR-03", "A-WR-05"):
            record.report("A-WR-01", "It uses write().", place=self._writes_at)
        if self._written and self.bytes == self._written:
            record.exercise("A-WR-04")
        for headers, before in self._given:
            if isinstance(headers, list) and headers != before:
                what = "It changes the list of headers after the call of start_response."
                record.report("A-SR-07", what, place=self._where())
        look_at_answer(record, self)


_OURS: Final = "raised by iotax check"
_NAMED: Final = ("status", "headers", "response_headers", "exc_info")


def _ours(error: BaseException) -> BaseException:
    error.add_note(_OURS)
    return error


def _described(args: Iterable[object], named: Mapping[str, object]) -> str:
    parts = [f"{len(list(args))} positional arguments"]
    parts += [f"{name}=" for name in named]
    return " and ".join(parts)


def _as_bytes(data: object) -> bytes:
    if isinstance(data, str):
        return data.encode("utf-8", "replace")
    return bytes(data) if isinstance(data, bytes | bytearray | memoryview) else b""
