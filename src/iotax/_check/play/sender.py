"""What scenarios and middleware checks need of a server: the strict server is one."""

from collections.abc import Callable, Mapping
from typing import Protocol

from iotax._check.observe.outcome import Application, Outcome, Variation
from iotax._check.observe.record import Record
from iotax._check.play.behavior import Behavior
from iotax._check.requests import RequestSpec


class Sender(Protocol):
    """`environ`: variables that the deployment sets. `names_seen`: of all variables so far."""

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
        """One request on a connection of its own. `half`: the client leaves in the middle of the
        body. `application`: another one than usual. `before`: is given the call before it
        begins."""

    def send_interleaved(self, spec: RequestSpec) -> tuple[Outcome, Outcome]:
        """Start one, start another, finish the first, finish the other."""

    def record(self, spec: RequestSpec) -> Record:
        """For what is known of a request without sending it again."""

    def behavior(self, spec: RequestSpec) -> Behavior:
        """How the application answers `spec`, learnt once."""

    def count_opens(self, files: set[str], run: Callable[[], object]) -> Mapping[str, int]:
        """How often each of `files` was opened in run()."""
