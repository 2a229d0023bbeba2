"""wsgi.input, wsgi.errors and wsgi.file_wrapper as the application sees them: what PEP 3333 lists
and nothing else. A-IN, A-ERR, A-FW.
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
    """A stream of the server's. `_used`: attributes that it does not have and that a line used, by
    name; asking with hasattr() or getattr() is no use."""

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
            f"{self.name} has no {name!r}: PEP 3333 does not give it one", name=name, obj=self
        )

    def __enter__(self) -> Any:
        self._close()
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _close(self) -> None:
        self._record.report("A-IN-04", f"It closes {self.name}.")

    def at_end(self, raised: BaseException | None, *, failed: bool) -> None:
        """`raised`: what came out of the call. `failed`: that, or an answer that says so. What was
        used and is not there is an error if its AttributeError came out, and may be the cause if
        the call failed otherwise; an application that went on has a way out."""
        self._record.exercise("A-IN-03", "A-IN-04")
        if isinstance(raised, AttributeError) and raised.obj is self:
            what = f"It uses {self.name}.{raised.name}, which servers need not have."
            self._record.report("A-IN-03", what, place=of_error(raised))
            return
        for name, place in self._used.items() if failed else ():
            what = f"It uses {self.name}.{name}, which servers need not have, and fails."
            self._record.report("A-IN-03", what, severity="warning", place=place)


def _is_a_use(frame: FrameType) -> bool:
    """Whether a line reads the attribute itself (x.seek), and does not only ask for it
    (hasattr(x, "seek"))."""
    opcode = frame.f_code.co_code[frame.f_lasti]
    return dis.opname[opcode] in ("LOAD_ATTR", "LOAD_METHOD")


class GuardedInput(_Stream):
    """`left`: the bytes that are still to come, if reading beyond them is forbidden."""

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
                what = f"It asks wsgi.input for {asked or 'more'} bytes when {left} are left."
                kind = "It asks wsgi.input for more bytes than are left."
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
            self._record.report("A-ERR-01", "It ends a line of wsgi.errors with CR LF.")
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
    """What wsgi.file_wrapper gives: blocks of the file."""

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
                f"read() of the file given to wsgi.file_wrapper gives {a_type(block)}, not bytes."
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
            what = f"It gives wsgi.file_wrapper {a_type(file)}, which has no read()."
            record.report("A-FW-02", what)
            file = _Empty()
        return GuardedFileWrapper(record, file, block_size)

    return wrap


class _Empty:
    def read(self, _: int) -> bytes:
        return b""


class Untouchable:
    """Can be called, and notes what else is done with it: A-CALL-01."""

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
        raise AttributeError(f"start_response takes no attribute {name!r}")
