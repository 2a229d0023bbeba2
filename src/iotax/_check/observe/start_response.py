"""start_response and write of one call: checks and repairs their arguments, and passes them to the
server's.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from iotax._check.observe.blame import of_caller, of_error
from iotax._check.observe.failures import raised_by_us
from iotax._check.observe.head_rules import MENDED_STATUS, checked_fields, checked_status
from iotax._check.observe.outcome import Outcome, Variation, as_bytes
from iotax._check.observe.record import a_type, shown
from iotax._check.observe.response_rules import with_one_length
from iotax._check.report.findings import Place

_NAMED: Final = ("status", "headers", "response_headers", "exc_info")


class StartResponse:
    """`lists`: the header lists of former calls, by identity. `server`: the server's own, set
    before the call. `iterating`: the iterable is asked for a block, or closed."""

    def __init__(self, outcome: Outcome, variation: Variation, lists: list[Any]) -> None:
        self.server: Any = None
        self.iterating = False
        self.uses_write = False
        self._outcome = outcome
        self._record = outcome.record
        self._variation = variation
        self._lists = lists
        self._server_write: Any = None
        self._given: list[tuple[Any, list[Any]]] = []
        self._handed_back: BaseException | None = None
        self._is_late = False  # a block came before start_response was called
        self._writes_at: Place | None = None
        self._written = 0  # bytes

    def __call__(self, *args: Any, **named: Any) -> Callable[..., None]:
        record, outcome = self._record, self._outcome
        record.exercise("A-SR-01", "A-SR-14")
        if self.iterating:
            record.exercise("A-SR-03")
        if named or len(args) not in (2, 3):
            record.report("A-SR-01", f"It calls start_response with {_described(args, named)}.")
            args = (*args, *(named[name] for name in _NAMED if name in named))
        status, headers, exc_info = (*args, None, None, None)[:3]
        exc_info = self._checked_exc_info(exc_info)
        if exc_info is None and outcome.started and not self._is_late:
            record.report("A-SR-14", "It calls start_response again, without exc_info.")
            raise raised_by_us(AssertionError("start_response was called already; give exc_info"))
        if self._is_late:
            return self._write
        self._check_lists(headers)
        before = len(record.findings)
        status, fields = checked_status(record, status), checked_fields(record, headers)
        self._check_error_status(status, exc_info, known=len(record.findings) > before)
        try:
            if exc_info is not None and self._variation.collected and outcome.body_bytes:
                raise exc_info[1]
            self._server_write = self.server(status, with_one_length(fields), exc_info)
        except BaseException as error:
            if exc_info is not None and error is exc_info[1]:
                record.exercise("A-SR-13")
                self._handed_back = error
            raise
        outcome.started, outcome.status, outcome.fields = True, status, fields
        if self._variation.takes_headers and isinstance(headers, list):
            headers.clear()
        self._given.append((headers, list(headers) if isinstance(headers, list) else []))
        return self._write

    def start_late(self, what: str) -> None:
        """Start an error response, because the application did not. `what`: what it did."""
        self._record.report("A-SR-02", what, place=self._outcome.place())
        self._server_write = self.server(MENDED_STATUS, [])
        self._outcome.started = self._is_late = True

    def takes_back(self, error: BaseException) -> bool:
        """Whether `error` is the exception that start_response raised for the application to
        pass on."""
        if error is not self._handed_back:
            return False
        self._handed_back = None
        return True

    def at_end(self) -> None:
        """Check the end of the call."""
        record = self._record
        if self._handed_back is not None:
            what = (
                "It catches the exception that start_response raises again after the head was sent,"
                " and continues."
            )
            record.report("A-SR-13", what, place=of_error(self._handed_back), words=())
        record.exercise("A-WR-01")
        if self._outcome.started:
            record.exercise("A-SR-02")
        if self.uses_write and not record.has("A-WR-02", "A-WR-03", "A-WR-05"):
            record.report("A-WR-01", "It uses write().", place=self._writes_at)
        if self._written and self._outcome.body_bytes == self._written:
            record.exercise("A-WR-04")
        for headers, before in self._given:
            if isinstance(headers, list) and headers != before:
                what = "It changes the list of headers after the call of start_response."
                record.report("A-SR-07", what, place=self._outcome.place())

    def _checked_exc_info(self, exc_info: Any) -> Any:
        record = self._record
        if exc_info is None:
            return None
        record.exercise("A-SR-11", "A-SR-12")
        if isinstance(exc_info, tuple) and len(exc_info) == 3:
            kind, value, _ = exc_info
            if isinstance(value, BaseException) and type(value) is kind:
                return exc_info
        what = f"exc_info is {shown(exc_info)}, not the value of sys.exc_info() in an except block."
        kind = "exc_info is not the value of sys.exc_info() in an except block."
        record.report("A-SR-11", what, kind=kind)
        return None

    def _check_error_status(self, status: str, exc_info: Any, *, known: bool) -> None:
        """`known`: this head has other findings."""
        if exc_info is not None and status < "4" and not known:
            what = f"It passes exc_info with the status {shown(status)}, which is not an error."
            kind = "It passes exc_info with a status that is not an error."
            self._record.report("A-SR-12", what, kind=kind)
        if status >= "5" and not known:
            self._record.exercise("A-EXC-02")
            handled = sys.exception()
            if exc_info is None and handled is not None:
                what = (
                    f"It starts {shown(status)} while {type(handled).__name__} is handled, without"
                    " exc_info."
                )
                kind = f"It starts an error while {type(handled).__name__} is handled."
                self._record.report("A-EXC-02", what, kind=kind)

    def _check_lists(self, headers: object) -> None:
        if not isinstance(headers, list):
            return
        self._record.exercise("A-SR-07")
        if any(headers is known for known in self._lists):
            what = "It passes start_response the list of an earlier request."
            self._record.report("A-SR-07", what)
        elif not any(headers is known for known, _ in self._given):
            self._lists.append(headers)

    def _write(self, *args: Any, **named: Any) -> None:
        record = self._record
        record.exercise("A-WR-01", "A-WR-02", "A-WR-05", "A-WR-03")
        self._writes_at = self._writes_at or of_caller()
        self.uses_write = True
        if self.iterating:
            record.report("A-WR-05", "It calls write() in next() of its iterable.")
        data = args[0] if args else next(iter(named.values()), b"")
        if named or len(args) != 1:
            record.report("A-WR-02", f"It calls write with {_described(args, named)}.")
        elif not isinstance(data, bytes):
            record.report("A-WR-02", f"It passes {a_type(data)} to write(), not bytes.")
        block = as_bytes(data)
        self._outcome.count(block)
        self._written += len(block)
        self._server_write(block)


def _described(args: Iterable[object], named: Mapping[str, object]) -> str:
    parts = [f"{len(list(args))} positional arguments"]
    parts += [f"{name}=" for name in named]
    return " and ".join(parts)
