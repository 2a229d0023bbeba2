"""One call of the application, checked between the bridge and the application: the call, the
iterable, its blocks and its end. Violations are reported to the record of the call, and repaired
where the call could not continue.

The order of a call (PEP 3333): begin(), then next() until the end or until it is cut off, then
close().
"""

import inspect
import io
import time
from collections.abc import Iterator
from typing import Any

from iotax._check.observe.blame import of_error, of_object
from iotax._check.observe.failures import report_failure
from iotax._check.observe.outcome import (
    BLOCKS_MAX,
    SECONDS_MAX,
    Application,
    Outcome,
    TimeIsUp,
    Variation,
    as_bytes,
)
from iotax._check.observe.record import Record, a_type, shown
from iotax._check.observe.response_rules import check_response
from iotax._check.observe.start_response import StartResponse
from iotax._check.observe.streams import GuardedErrors, GuardedInput, Untouchable, file_wrapper


class GuardedCall:
    """`lists`: the header lists of former calls, by identity."""

    def __init__(
        self, application: Application, record: Record, variation: Variation, lists: list[Any]
    ) -> None:
        self.outcome = Outcome(record)
        self._application = application
        self._record = record
        self._variation = variation
        self._start_response = StartResponse(self.outcome, variation, lists)
        self._iterator: Iterator[Any] | None = None
        self._input: GuardedInput | None = None
        self._errors: GuardedErrors | None = None
        self._environ_before: dict[str, object] = {}
        self._closed = False
        self._seconds = 0.0  # spent in next() of the iterable

    # ---- the call

    def begin(self, environ: dict[str, Any], start_response: Any) -> None:
        """Call the application. Raises what it raises."""
        self._start_response.server = start_response
        self.outcome.method = environ["REQUEST_METHOD"]
        self._prepare(environ)
        self._record.trail.clear()
        call: Any = self._start_response
        if self._variation.untouchable:
            call = Untouchable(call, self._touched)
        self._record.exercise("A-CALL-02", "A-ITER-01")
        with self._record.trail:
            try:
                self.outcome.result = self._application(environ, call)
            except BaseException as error:
                self._failed(error)
                raise
        self.outcome.returned = True
        if environ != self._environ_before:
            self._record.exercise("A-ENV-01")
        self._check_result()

    def _prepare(self, environ: dict[str, Any]) -> None:
        length = environ.get("CONTENT_LENGTH")
        for name, value in (self._variation.environ or {}).items():
            if value is None:
                environ.pop(name, None)
            else:
                environ[name] = value
        left = None
        if not self._variation.input_ends:
            environ.pop("wsgi.input_terminated", None)
            left = int(length) if length else 0
        self._input = GuardedInput(self._record, environ["wsgi.input"], left)
        self._errors = GuardedErrors(self._record, environ["wsgi.errors"])
        environ["wsgi.input"], environ["wsgi.errors"] = self._input, self._errors
        if self._variation.has_file_wrapper:
            environ["wsgi.file_wrapper"] = file_wrapper(self._record)
        else:
            environ.pop("wsgi.file_wrapper", None)
        self._environ_before = dict(environ)

    def _touched(self, name: str) -> None:
        self._record.report("A-CALL-01", f"It looks at {name} of start_response.")

    def _failed(self, error: BaseException) -> None:
        """Record `error`, which the application raised."""
        self.outcome.raised = error
        if not self._start_response.takes_back(error):
            streams = (self._input, self._errors)
            names = self._environ_before
            report_failure(self._record, error, self._application, names, streams)

    # ---- the iterable

    def _check_result(self) -> None:
        record, result = self._record, self.outcome.result
        self._iterator = iter(())
        if isinstance(result, str | bytes | bytearray):
            what = f"It returns {a_type(result)}, which servers iterate item by item."
            record.report("A-ITER-01", what, place=self.outcome.place())
            self._iterator = iter((as_bytes(result),))
            return
        if result is None and self._start_response.uses_write:
            what = "It returns None after write(), not an iterable."
            record.report("A-WR-03", what, place=self.outcome.place())
            return
        if inspect.iscoroutine(result):
            result.close()
            what = "It returns a coroutine: it is asynchronous, perhaps an ASGI application."
            record.report("A-ITER-01", what, place=of_object(self._application))
            return
        if isinstance(result, io.IOBase):
            what = f"It returns a file ({a_type(result)}), which servers read line by line."
            record.report("A-OLD-01", what, place=self.outcome.place())
        record.exercise("A-OLD-01")
        with record.trail:
            try:
                self._iterator = iter(result)
                self.outcome.length = len(result) if hasattr(type(result), "__len__") else None
            except TypeError:
                what = f"It returns {a_type(result)}, which is not iterable."
                record.report("A-ITER-01", what, place=self.outcome.place())
            except BaseException as error:
                self._failed(error)
                raise

    def __iter__(self) -> "GuardedCall":
        return self

    def __next__(self) -> bytes:
        try:
            if self._reached_limit():
                self.outcome.cut_off = True
                raise StopIteration
            block = self._next()
        except TimeIsUp as error:  # possibly outside of the application
            self.outcome.raised = self.outcome.raised or error
            raise
        if block and not self.outcome.started:
            what = "It yields a block before it has called start_response."
            self._start_response.start_late(what)
        return block

    def _next(self) -> bytes:
        """Return the next block, checked. Raises what the application raises, StopIteration at the
        end."""
        assert self._iterator is not None
        self._start_response.iterating, asked = True, time.monotonic()
        with self._record.trail:
            try:
                block = next(self._iterator)
            except StopIteration:
                self.outcome.at_end = True
                if not self.outcome.started:
                    what = "Its iterable ends before it has called start_response."
                    self._start_response.start_late(what)
                raise
            except BaseException as error:
                self._failed(error)
                raise
            finally:
                self._start_response.iterating = False
                seconds = time.monotonic() - asked
        self._seconds += seconds
        self.outcome.pauses = self.outcome.pauses or seconds > 0.001
        self.outcome.items += 1
        data = self._checked_block(block)
        self.outcome.count(data)
        return data

    def _reached_limit(self) -> bool:
        variation = self._variation
        if variation.blocks_max is not None:
            return self.outcome.items >= variation.blocks_max
        if self.outcome.length is not None:
            return False
        return self.outcome.items >= BLOCKS_MAX or self._seconds > SECONDS_MAX

    def _checked_block(self, block: object) -> bytes:
        record = self._record
        record.exercise("A-STR-02", "A-UNI-04")
        if type(block) is bytes:
            if not block:
                record.exercise("A-BUF-03")
            return block
        place = of_object(self.outcome.result)
        if isinstance(block, bytes):
            what = f"A block is {a_type(block)}, a subclass of bytes."
            record.report("A-UNI-04", what, severity="warning", place=place, words=())
            return bytes(block)
        clause = "A-UNI-04" if isinstance(block, bytearray | memoryview | int) else "A-STR-02"
        record.report(clause, f"A block is {a_type(block)}, not bytes.", place=place, words=())
        return as_bytes(block)

    def close(self) -> None:
        """End the call, in any state. Later calls have no effect."""
        if self._closed:
            return
        self._closed = True
        outcome = self.outcome
        ended = outcome.cut_off or outcome.at_end or outcome.raised is not None
        if not ended and outcome.method != "HEAD":
            self._read_rest()
        try:
            self._close_result()
        finally:
            self._iterator = None
        for stream in (self._input, self._errors):
            if stream is not None:
                failed = outcome.raised is not None or outcome.code >= 500
                stream.at_end(outcome.raised, failed=failed)
        self._record.exercise("A-EXC-01")
        self._start_response.at_end()
        check_response(self._record, outcome)

    def _read_rest(self) -> None:
        """Read the rest of the iterable: the bridge stops at the declared length."""
        try:
            while not self._reached_limit():
                self._next()
            self.outcome.cut_off = True
        except StopIteration:
            pass
        except Exception:
            return

    def _close_result(self) -> None:
        close = getattr(self.outcome.result, "close", None)
        if close is None:
            return
        self._start_response.iterating = True
        try:
            with self._record.trail:
                close()
        except BaseException as error:
            early = self.outcome.cut_off or self.outcome.method == "HEAD"
            kind = f"close() raises {type(error).__name__}"
            what = f"{kind}: {shown(str(error))}."
            clause, place = "A-ITER-04" if early else "A-EXC-01", of_error(error)
            self._record.report(clause, what, place=place, kind=kind)
            if isinstance(error, TimeIsUp):
                raise
        finally:
            self._start_response.iterating = False
