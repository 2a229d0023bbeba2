"""What one call of the application came to, and how the server behaved in it. Data, which rules,
routes and scenarios look at; knows nothing of how it was found.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

WITHOUT_BODY: Final = (204, 304)
BLOCKS_MAX: Final = 64
SECONDS_MAX: Final = 2.0
KEPT_BYTES: Final = 1 << 20
MAY_BE_EMPTY: Final = ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH")

Application = Callable[..., Any]


class TimeIsUp(BaseException):
    """The call is over its time limit. Raised in the application by the player's alarm."""


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


class Outcome:
    """Of a call, as far as it has come."""

    def __init__(self) -> None:
        self.method = ""
        self.status = ""
        self.fields: list[tuple[str, str]] = []
        self.started = False
        self.returned = False  # the application has, with its iterable
        self.items = 0  # of the iterable
        self.length: int | None = None  # len() of the iterable, if it has one
        self.pauses = False  # a block took time
        self.blocks = 0
        self.bytes = 0
        self.body = bytearray()
        self.at_end = False  # the iterable has nothing more
        self.cut_off = False  # closed early: blocks_max, or without an end
        self.raised: BaseException | None = None

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

    def count(self, data: bytes) -> None:
        """One more block of the body."""
        self.blocks += 1
        self.bytes += len(data)
        if len(self.body) < KEPT_BYTES:
            self.body += data
