"""The bridge over a scripted exchange: one request at a time, and a record of its calls."""

from dataclasses import dataclass, field
from typing import Any

from _iotax_test import Harness

DEBUG, INFO, WARNING, ERROR, CRITICAL = range(5)
APPLICATION = 9  # text written to wsgi.errors, which has no level


@dataclass
class Answer:
    """The result of one request. `events` is in order; tests add their own events."""

    events: list[Any]
    log: list[tuple[int, str]] = field(default_factory=list)

    def of(self, kind: str) -> list[Any]:
        return [event for event in self.events if event[0] == kind]

    @property
    def kinds(self) -> list[str]:
        """Without what is only for the access log."""
        return [event[0] for event in self.events if event[0] not in ("collect", "failed_with")]

    @property
    def status(self) -> str | None:
        """The status of the sent head; None if there was none."""
        heads = self.of("respond")
        assert len(heads) <= 1
        return heads[0][1].decode("latin-1") if heads else None

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        (head,) = self.of("respond")
        return head[2]

    @property
    def content_bytes(self) -> int | None:
        (head,) = self.of("respond")
        return head[3]

    @property
    def body(self) -> bytes:
        return b"".join(event[1] for event in self.of("body"))

    @property
    def failed(self) -> bool:
        """Whether the server's own 500 was sent instead of a response of the application."""
        return self.kinds[-1:] == ["fail"] and not self.of("respond")

    def errors(self) -> list[str]:
        return [text for level, text in self.log if level == ERROR]

    def written(self) -> str:
        """Text that the application wrote to wsgi.errors, unchanged."""
        return "".join(text for level, text in self.log if level == APPLICATION)

    def warnings(self) -> list[str]:
        return [text for level, text in self.log if level == WARNING]


class Bridge:
    """The bridge with one application."""

    def __init__(self, app: Any, threads: int = 1, **options: Any) -> None:
        self.harness = Harness(app, threads, options)

    def request(self, events: list[Any] | None = None, thread: int = 0, **request: Any) -> Answer:
        events = [] if events is None else events
        ends = self.harness.run(request, events, thread)
        assert ends == 1, "exactly one of finish(), fail() and abort()"
        return Answer(events, self.harness.take_log())
