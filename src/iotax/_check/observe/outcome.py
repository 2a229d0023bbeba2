"""What one call of the application came to, and how the server behaved in it. Data, which rules,
routes and scenarios read; it does not know how it was found.
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
    """How the server behaves in a call, beside what the PEP leaves no choice about.

    `environ`: variables set, or removed where None. `blocks_max`: the client leaves after so many
    blocks. `takes_headers`: start_response empties the list that it is given, as it may.
    `untouchable`: start_response is an object that notes what is done with it. `input_ends`: there
    is wsgi.input_terminated, so reading to the end is right. `collected`: blocks are kept until the
    end of the iteration.
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
    """Of a call, as far as it has come. `result`: the iterable; a scenario that watches what is
    left open sets it to None."""

    record: Record
    method: str = ""
    status: str = ""
    fields: list[tuple[str, str]] = field(default_factory=list)
    started: bool = False
    result: Any = None
    returned: bool = False  # the application has, with its iterable
    items: int = 0  # of the iterable
    length: int | None = None  # len() of the iterable, if it has one
    pauses: bool = False  # a block took time
    blocks: int = 0
    body_bytes: int = 0
    body: bytearray = field(default_factory=bytearray)
    at_end: bool = False  # the iterable has nothing more
    cut_off: bool = False  # closed early: blocks_max, or without an end
    raised: BaseException | None = None

    @property
    def code(self) -> int:
        """The status code; 0: none was given."""
        return int(self.status[:3]) if self.status else 0

    @property
    def complete(self) -> bool:
        """Everything that the application has to say was seen."""
        return self.at_end and self.raised is None

    @property
    def has_whole_body(self) -> bool:
        """The answer can have a body, and all of it was seen."""
        return self.complete and self.method != "HEAD" and self.code not in WITHOUT_BODY

    def place(self) -> Place | None:
        """Where the application made its result."""
        return of_object(self.result) or self.record.trail.blame()

    def gives_same_iterable(self, other: "Outcome") -> bool:
        return self.result is not None and self.result is other.result

    def count(self, data: bytes) -> None:
        """One more block of the body."""
        self.blocks += 1
        self.body_bytes += len(data)
        if len(self.body) < KEPT_BYTES:
            self.body += data


def as_bytes(data: object) -> bytes:
    """A block as a server could send it."""
    if isinstance(data, str):
        return data.encode("utf-8", "replace")
    return bytes(data) if isinstance(data, bytes | bytearray | memoryview) else b""
