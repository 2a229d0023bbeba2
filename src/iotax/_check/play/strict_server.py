"""A strict server for one application: calls it, request by request, in the main thread, through
core and bridge of the extension.
"""

import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from iotax import _iotax
from iotax._check.observe import blame
from iotax._check.observe.blame import Trail, of_error
from iotax._check.observe.guarded_call import GuardedCall
from iotax._check.observe.outcome import Application, Outcome, TimeIsUp, Variation
from iotax._check.observe.record import Record
from iotax._check.play.behavior import Behavior, learn
from iotax._check.play.middleware import CHECKS, Bench
from iotax._check.play.routes import links_in
from iotax._check.play.scenarios import SCENARIOS, opens_counted
from iotax._check.report.clauses import clauses
from iotax._check.report.findings import Finding
from iotax._check.requests import RequestSpec
from iotax._config.sources import from_arguments

CHUNK_BYTES = 7
LISTS_MAX = 1000
# A response that has begun and does not end in time is a stream. Further requests to its URL end
# after this time: there are dozens.
STREAM_SECONDS = 1.0
# After these findings, more requests are useless.
LEFT = {"C-TIME-01": "it takes too long", "A-CALL-03": "it does not work repeatedly"}


class StrictServer:
    """A Sender. `timeout`: seconds for one call. `tell`: sends a message to the checker."""

    def __init__(
        self,
        application: Application,
        environ: Mapping[str, str],
        timeout: float,
        tell: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._application = application
        self.environ = environ
        self._timeout = timeout
        self._tell = tell
        self._trail = Trail()
        self._lists: list[Any] = []
        self._behaviors: dict[RequestSpec, Behavior] = {}
        self._records: list[Record] = []
        self._outcomes: list[Outcome] = []
        self._streams: set[str] = set()  # targets
        self._connections = {buffered: _Connector(buffered=buffered) for buffered in (True, False)}
        self.names_seen: dict[str, None] = {}
        clauses()  # before the first call, so that it does not count as the application's time
        blame.prepare()

    def play(self, scenario: str, spec: RequestSpec) -> dict[str, Any]:
        """Run a scenario. Returns its findings, for the checker."""
        seen = self._seen(lambda: SCENARIOS[scenario](self, spec))
        if scenario == "plain":
            seen["links"] = links_in(self._behaviors[spec].call, spec)
        return seen

    def play_middleware(self, check: str) -> dict[str, Any]:
        """The same for middleware, which was passed as `application`."""
        bench = Bench(self, self._application)
        return self._seen(lambda: CHECKS[check](bench))

    def _seen(self, run: Callable[[], None]) -> dict[str, Any]:
        self._records, self._outcomes = [], []
        run()
        findings = [finding for record in self._records for finding in record.findings]
        return {
            "findings": [asdict(finding) for finding in findings],
            "exercised": sorted(set().union(*(record.exercised for record in self._records))),
            "statuses": [call.code for call in self._outcomes],
            "leave": self._why_to_leave(findings),
            "links": [],
        }

    def _why_to_leave(self, findings: Sequence[Finding]) -> str:
        """Why more requests are useless; empty: they are not."""
        if any(record.for_good for record in self._records):
            return "it does not work any more"
        return next((LEFT[one.clause] for one in findings if one.clause in LEFT), "")

    def behavior(self, spec: RequestSpec) -> Behavior:
        if spec not in self._behaviors:
            self._behaviors[spec] = learn(self.send, spec)
        return self._behaviors[spec]

    # ---- requests

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
        call = self._call(spec, variation or Variation(), application)
        if before is not None:
            before(call.outcome)

        def called(environ: dict[str, Any], start_response: Any) -> GuardedCall:
            call.begin(environ, start_response)
            return call

        request = encoded(spec, chunked=chunked)
        self._exchange(spec, call, called, request, buffered=buffered, half=half)
        return call.outcome

    def send_interleaved(self, spec: RequestSpec) -> tuple[Outcome, Outcome]:
        first, second = (
            self._call(spec, Variation("interleaved", collected=True)) for _ in range(2)
        )
        blocks: list[bytes] = []

        def called_second(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            second.begin(environ, start_response)
            finish_first()
            rest = list(second)
            second.close()
            return rest

        def finish_first() -> None:
            blocks.extend(first)
            first.close()

        def called_first(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            first.begin(environ, start_response)
            self._exchange(spec, second, called_second, encoded(spec))
            if not first.outcome.at_end and first.outcome.raised is None:
                finish_first()
            return blocks

        self._exchange(spec, first, called_first, encoded(spec))
        return first.outcome, second.outcome

    def record(self, spec: RequestSpec) -> Record:
        self._records.append(Record(f"{spec.method} {spec.target}", self._trail))
        return self._records[-1]

    def count_opens(self, files: set[str], run: Callable[[], object]) -> Mapping[str, int]:
        counts: dict[str, int] = {}
        sys.addaudithook(opens_counted(files, counts))
        run()
        return dict(counts)

    def _call(
        self, spec: RequestSpec, variation: Variation, application: Application | None = None
    ) -> GuardedCall:
        record = self.record(spec)
        if variation.name:
            record.request += f" ({variation.name})"
        variation = replace(variation, environ={**self.environ, **(variation.environ or {})})
        del self._lists[:-LISTS_MAX]
        return GuardedCall(application or self._application, record, variation, self._lists)

    def _exchange(
        self,
        spec: RequestSpec,
        call: GuardedCall,
        called: Application,
        request: tuple[bytes, bytes],
        *,
        buffered: bool = True,
        half: bool = False,
    ) -> None:
        outcome = call.outcome
        self._tell({"begins": outcome.record.request})
        head, body = request

        def application(environ: dict[str, Any], start_response: Any) -> Any:
            self.names_seen.update(dict.fromkeys(environ))
            try:
                return called(environ, start_response)
            except TimeIsUp as error:  # possibly outside of the application
                outcome.raised = outcome.raised or error
                raise

        connection = self._connections[buffered].connect(application)
        is_stream = spec.target in self._streams
        seconds = min(self._timeout, STREAM_SECONDS) if is_stream else self._timeout
        former = signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            if half:
                connection.receive(head + body[: len(body) // 2])
                connection.disconnect()
            else:
                connection.receive(head + body)
            call.close()
        except TimeIsUp as error:
            outcome.raised = outcome.raised or error
        finally:
            signal.setitimer(signal.ITIMER_REAL, *former)
        self._outcomes.append(outcome)
        if not isinstance(outcome.raised, TimeIsUp):
            return
        if outcome.started and outcome.items:
            self._streams.add(spec.target)
        elif not is_stream:
            what = f"It has not started its response after {self._timeout:g} s."
            outcome.record.report("C-TIME-01", what, place=of_error(outcome.raised))


class _Connector:
    def __init__(self, *, buffered: bool) -> None:
        arguments = {"no_request_buffering": not buffered, "limit_body": 0}
        config = from_arguments(arguments, path=False)
        self._options = config.worker_options()

    def connect(self, application: Application) -> _iotax.Connection:
        return _iotax.Connection(application, self._options)


def encoded(spec: RequestSpec, *, chunked: bool = False) -> tuple[bytes, bytes]:
    """Head and body as bytes. RFC 9112."""
    names = {name.lower() for name, _ in spec.headers}
    fields = list(spec.headers)
    if "host" not in names:
        fields.insert(0, ("Host", "localhost"))
    body = spec.body or b""
    if chunked:
        fields.append(("Transfer-Encoding", "chunked"))
        pieces = [body[at : at + CHUNK_BYTES] for at in range(0, len(body), CHUNK_BYTES)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    elif spec.body is not None and "content-length" not in names:
        fields.append(("Content-Length", str(len(body))))
    lines = [f"{spec.method} {spec.target} HTTP/1.1", *(f"{name}: {v}" for name, v in fields)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), body
