"""wsgi.input, wsgi.errors and wsgi.file_wrapper for the application, with exactly the methods that
PEP 3333 lists. A-IN, A-ERR, A-FW.
"""

import dis
import sys
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any, NoReturn

from iotax._app.code_origin import Origin, origin_of
from iotax._check.observe.blame import of_caller, of_error
from iotax._check.observe.record import Record, a_type

FILE_BLOCK_BYTES = 8192


class _Stream:
    """A stream of the server. `_used`: missing attributes that a line used, by name; hasattr() and
    getattr() do not count as use."""

    name = "stream"

    def __init__(self, record: Record) -> None:
        self._record = record
        self._used: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name == "close":
            return self._close
        if name.startswith("_"):
            raise AttributeError(name)
        caller = sys._getframe(1)
        if origin_of(caller.f_code.co_filename) is not Origin.LIBRARY and _is_a_use(caller):
            self._used[name] = of_caller()
        raise AttributeError(
            f"{self.name} has no {name!r}, which PEP 3333 does not require", name=name, obj=self
        )

    def __enter__(self) -> Any:
        self._close()
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _close(self) -> None:
        self._record.report("A-IN-04", f"It closes {self.name}.")

    def at_end(self, raised: BaseException | None, *, failed: bool) -> None:
        """`raised`: the exception of the call. `failed`: the call raised one, or responded with an
        error. Using a missing attribute is an error if its AttributeError ended the call, and a
        warning if the call failed otherwise; if it succeeded, the application has a fallback."""
        self._record.exercise("A-IN-03", "A-IN-04")
        if isinstance(raised, AttributeError) and raised.obj is self:
            what = f"It uses {self.name}.{raised.name}, which servers need not have."
            self._record.report("A-IN-03", what, place=of_error(raised))
            return
        for name, place in self._used.items() if failed else ():
            what = f"It uses {self.name}.{name}, which servers need not have, and fails."
            self._record.report("A-IN-03", what, severity="warning", place=place)


def _is_a_use(frame: FrameType) -> bool:
    """Whether a line reads the attribute (x.seek) instead of asking for it (hasattr(x, "seek"))."""
    opcode = frame.f_code.co_code[frame.f_lasti]
    return dis.opname[opcode] in ("LOAD_ATTR", "LOAD_METHOD")


class GuardedInput(_Stream):
    """`left`: bytes not read yet, if reading beyond them is forbidden; else None."""

    name = "wsgi.input"

    def __init__(self, record: Record, stream: Any, left: int | None) -> None:
        super().__init__(record)
        self._stream = stream
        self._left = left
        self.bytes_read = 0

    def read(self, *size: int) -> bytes:
        return self._taken(size, self._stream.read(*size))

    def readline(self, *size: int) -> bytes:
        return self._taken((), self._stream.readline(*size))

    def readlines(self, *hint: int) -> list[bytes]:
        self._record.exercise("A-IN-02")
        lines: list[bytes] = self._stream.readlines(*hint)
        self._taken((), b"".join(lines))
        return lines

    def __iter__(self) -> Iterator[bytes]:
        for line in self._stream:
            yield self._taken((), line)

    def __next__(self) -> bytes:
        self._record.report("A-IN-03", "It calls next() of wsgi.input: iterate over it instead.")
        return self._taken((), next(self._stream))

    def _taken(self, size: tuple[Any, ...], data: bytes) -> bytes:
        asked = size[0] if size and isinstance(size[0], int) and size[0] >= 0 else len(data)
        self.bytes_read += len(data)
        if self._left is not None:
            self._record.exercise("A-IN-01")
            if asked > self._left or (self._left == 0 and not size):
                left, self._left = self._left, None
                what = f"It reads {asked or 'more'} bytes from wsgi.input when {left} are left."
                kind = "It reads more bytes from wsgi.input than are left."
                self._record.report("A-IN-01", what, kind=kind)
            else:
                self._left -= len(data)
        return data


class GuardedErrors(_Stream):
    name = "wsgi.errors"

    def __init__(self, record: Record, stream: Any) -> None:
        super().__init__(record)
        self._stream = stream
        self._unflushed = False

    def write(self, text: str) -> int:
        self._record.exercise("A-ERR-01")
        if not isinstance(text, str):
            what = f"It writes {a_type(text)} to wsgi.errors, not str."
            self._record.report("A-ERR-01", what)
            text = str(text, "latin-1") if isinstance(text, bytes) else str(text)
        elif "\r\n" in text:
            self._record.report("A-ERR-01", "It ends a line in wsgi.errors with CR LF.")
        self._unflushed = True
        self._stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        self._record.exercise("A-ERR-02")
        self._unflushed = False
        self._stream.flush()

    def at_end(self, raised: BaseException | None, *, failed: bool) -> None:
        super().at_end(raised, failed=failed)
        if self._unflushed and raised is not None:
            what = f"It failed ({type(raised).__name__}) with text in wsgi.errors not flushed."
            self._record.report("A-ERR-02", what, severity="warning", place=of_error(raised))


class GuardedFileWrapper:
    """The result of wsgi.file_wrapper: yields blocks of the file."""

    def __init__(self, record: Record, file: Any, block_bytes: int) -> None:
        self._record = record
        self._file = file
        self._block_bytes = block_bytes
        if hasattr(file, "close"):
            self.close: Callable[[], None] = file.close

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block = self._file.read(self._block_bytes)
        if not isinstance(block, bytes):
            what = (
                f"read() of the file passed to wsgi.file_wrapper returns {a_type(block)}, not"
                " bytes."
            )
            self._record.report("A-FW-02", what, words=())
            block = str(block).encode()
        if not block:
            raise StopIteration
        return block


def file_wrapper(record: Record) -> Callable[..., GuardedFileWrapper]:
    def wrap(file: Any, block_size: int = FILE_BLOCK_BYTES) -> GuardedFileWrapper:
        record.exercise("A-FW-01", "A-FW-02")
        if not callable(getattr(file, "read", None)):
            what = f"It passes {a_type(file)} to wsgi.file_wrapper, which has no read()."
            record.report("A-FW-02", what)
            file = _Empty()
        return GuardedFileWrapper(record, file, block_size)

    return wrap


class _Empty:
    def read(self, _: int) -> bytes:
        return b""


class Untouchable:
    """Can be called, and reports every other use: A-CALL-01."""

    def __init__(self, call: Callable[..., Any], touched: Callable[[str], None]) -> None:
        object.__setattr__(self, "_call", call)
        object.__setattr__(self, "_touched", touched)

    def __call__(self, *args: Any, **named: Any) -> Any:
        return object.__getattribute__(self, "_call")(*args, **named)

    def __getattribute__(self, name: str) -> Any:
        object.__getattribute__(self, "_touched")(name)
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, _: object) -> NoReturn:
        object.__getattribute__(self, "_touched")(name)
        raise AttributeError(f"cannot set attribute {name!r} of start_response")
