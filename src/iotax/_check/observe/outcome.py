"""The outcome of one call of the application, and how the server behaved in it. Data for rules,
routes and scenarios; does not know how it was observed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from iotax._check.observe.blame import of_object
from iotax._check.observe.record import Record
from iotax._check.report.findings import Place

WITHOUT_BODY: Final = (204, 304)
BLOCKS_MAX: Final = 64
SECONDS_MAX: Final = 2.0
KEPT_BYTES: Final = 1 << 20
MAY_BE_EMPTY: Final = ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH")

Application = Callable[..., Any]


class TimeIsUp(BaseException):
    """The call is over its time limit. Raised in the application by the alarm of the sandbox."""


@dataclass(frozen=True)
class Variation:
    """How the server behaves in a call, where the PEP leaves it a choice.

    `environ`: variables to set, or to remove if None. `blocks_max`: the client disconnects after
    this number of blocks. `takes_headers`: start_response empties the list of headers, as it may.
    `untouchable`: start_response is an object that reports other uses than a call. `input_ends`:
    wsgi.input_terminated is set, so reading to the end is allowed. `collected`: blocks are kept
    until the end of the iteration.
    """

    name: str = ""
    environ: Mapping[str, object] | None = None
    blocks_max: int | None = None
    takes_headers: bool = False
    untouchable: bool = False
    input_ends: bool = True
    collected: bool = False
    has_file_wrapper: bool = True


@dataclass(eq=False)
class Outcome:
    """The state of a call so far. `result`: the iterable; set it to None to release it."""

    record: Record
    method: str = ""
    status: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list)
    started: bool = False
    result: Any = None
    returned: bool = False  # the application has returned its iterable
    items: int = 0  # of the iterable
    length: int | None = None  # len() of the iterable, if it has one
    pauses: bool = False  # a block took time
    blocks: int = 0
    body_bytes: int = 0
    body: bytearray = field(default_factory=bytearray)
    at_end: bool = False  # the iterable was read to its end
    cut_off: bool = False  # closed early: blocks_max, or an endless iterable
    raised: BaseException | None = None

    @property
    def code(self) -> int:
        """The status code; 0: none."""
        return int(self.status[:3]) if self.status else 0

    @property
    def complete(self) -> bool:
        """Whether the response was observed to its end."""
        return self.at_end and self.raised is None

    @property
    def has_whole_body(self) -> bool:
        """Whether the response can have a body, and all of it was observed."""
        return self.complete and self.method != "HEAD" and self.code not in WITHOUT_BODY

    def place(self) -> Place | None:
        """The source location of the result."""
        return of_object(self.result) or self.record.trail.blame()

    def gives_same_iterable(self, other: "Outcome") -> bool:
        return self.result is not None and self.result is other.result

    def count(self, data: bytes) -> None:
        """Add a block of the body."""
        self.blocks += 1
        self.body_bytes += len(data)
        if len(self.body) < KEPT_BYTES:
            self.body += data


def as_bytes(data: object) -> bytes:
    """Convert a block to bytes, so that it can be sent."""
    if isinstance(data, str):
        return data.encode("utf-8", "replace")
    return bytes(data) if isinstance(data, bytes | bytearray | memoryview) else b""
