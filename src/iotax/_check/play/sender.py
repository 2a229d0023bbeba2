"""What scenarios and middleware checks need of a server; StrictServer is one."""

from collections.abc import Callable, Mapping
from typing import Protocol

from iotax._check.observe.outcome import Application, Outcome, Variation
from iotax._check.observe.record import Record
from iotax._check.play.behavior import Behavior
from iotax._check.requests import RequestSpec


class Sender(Protocol):
    """`environ`: variables that the deployment sets. `names_seen`: of all variables so far, as an
    ordered set."""

    environ: Mapping[str, str]
    names_seen: dict[str, None]

    def send(
        self,
        spec: RequestSpec,
        variation: Variation | None = None,
        *,
        chunked: bool = False,
        buffered: bool = True,
        half: bool = False,
        application: Application | None = None,
        before: Callable[[Outcome], None] | None = None,
    ) -> Outcome:
        """Send one request on a connection of its own. `half`: the client disconnects in the middle
        of the body. `application`: called in place of the usual one. `before`: called with the
        outcome before the call begins."""

    def send_interleaved(self, spec: RequestSpec) -> tuple[Outcome, Outcome]:
        """Start one call, start another, finish the first, finish the other."""

    def record(self, spec: RequestSpec) -> Record:
        """A record for findings that need no further call."""

    def behavior(self, spec: RequestSpec) -> Behavior:
        """How the application responds to `spec`. Learned once."""

    def count_opens(self, files: set[str], run: Callable[[], object]) -> Mapping[str, int]:
        """Call run(), and count how often it opens each of `files`."""
