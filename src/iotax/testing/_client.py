"""Client, which runs core and bridge of the server in the calling thread, and serve()."""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Unpack

from iotax import _iotax
from iotax._app import importer
from iotax._config.sources import from_arguments
from iotax._config.typed import ServerOptions
from iotax.server import Server
from iotax.testing._request import Body, Content, Pairs, content_of, encoded, pairs_of
from iotax.testing._response import End, ProtocolError, Response, parse_response

Application = Callable[..., Any]


@dataclass
class _Call:
    """A call of the application. `begun`: bytes of unparsed output before it."""

    begun: int
    method: str
    error: BaseException | None = None


class Client:
    """A client of `app`, an application or its name as for the command.

    It uses one connection as long as the server keeps it open. `raise_exceptions`: a request raises
    the exception of its application; otherwise the exception is in Response.error.
    KeyboardInterrupt and others that are not subclasses of Exception are always raised. `options`
    are those of Server. The server's log and wsgi.errors go to sys.stderr.
    Errors: TypeError and ValueError that name the argument; LoadError.
    """

    def __init__(
        self,
        app: Application | str,
        *,
        raise_exceptions: bool = True,
        **options: Unpack[ServerOptions],
    ) -> None:
        self._app = _loaded(app)
        self._raise_exceptions = raise_exceptions
        config = from_arguments({"access_log": False, **options}, path=False)
        self._options, self._log_level = config.worker_options(), config.log_level
        self._calls: list[_Call] = []  # in this send()
        self._open()

    def _open(self) -> None:
        this = weakref.ref(self)  # the garbage collector cannot see references of the connection

        def application(environ: dict[str, Any], start_response: Any) -> Any:
            client = this()
            assert client is not None
            return client._called(environ, start_response)

        self._connection = _iotax.Connection(application, self._options, log_level=self._log_level)
        self._unparsed = b""

    # ---- requests

    def request(
        self,
        method: str,
        target: str,
        *,
        headers: Pairs | None = None,
        body: Body | None = None,
        json: object = None,
        form: Pairs | None = None,
    ) -> Response:
        """`target`: as on the request line. At most one of `body`, `json` and `form`; an iterable
        of bytes is sent in chunks. Host, Content-Length and Content-Type are set unless `headers`
        has them. Errors: TypeError and ValueError that name the argument; ProtocolError if the
        server does not respond exactly once."""
        kind, content = content_of(body, json, form)
        found = self.send(
            encoded(method, target, pairs_of("headers", headers or ()), kind, content)
        )
        if len(found) == 1:
            return found[0]
        self._open()
        seen = f"{len(found)} responses" if found else "no response: the server expects more bytes"
        raise ProtocolError(f"{method} {target} got {seen}")

    def get(self, target: str, **more: Unpack[Content]) -> Response:
        """request("GET", ...), and so on."""
        return self.request("GET", target, **more)

    def head(self, target: str, **more: Unpack[Content]) -> Response:
        return self.request("HEAD", target, **more)

    def options(self, target: str, **more: Unpack[Content]) -> Response:
        return self.request("OPTIONS", target, **more)

    def post(self, target: str, **more: Unpack[Content]) -> Response:
        return self.request("POST", target, **more)

    def put(self, target: str, **more: Unpack[Content]) -> Response:
        return self.request("PUT", target, **more)

    def patch(self, target: str, **more: Unpack[Content]) -> Response:
        return self.request("PATCH", target, **more)

    def delete(self, target: str, **more: Unpack[Content]) -> Response:
        return self.request("DELETE", target, **more)

    def send(self, data: bytes, *, eof: bool = False) -> list[Response]:
        """Send raw bytes and return the responses to them. An incomplete request waits for the next
        call. `eof`: the client shuts down its sending side after the bytes."""
        if not isinstance(data, bytes):
            raise TypeError(
                f"data must be bytes, not {type(data).__name__}; encode it, e.g. b'GET / ...'"
            )
        self._calls = []
        self._connection.receive(data)
        if eof:
            self._connection.receive_eof()
        found = self._take_responses()
        calls, self._calls = self._calls, []
        for call in calls:
            error = call.error
            if error is not None and (self._raise_exceptions or not isinstance(error, Exception)):
                raise error
        return found

    def _take_responses(self) -> list[Response]:
        self._receive()
        data, self._unparsed, at = self._unparsed, b"", 0
        closing = self._connection.closing
        end = None if closing == "no" else End(reset=closing == "reset")
        if end is not None:
            self._open()
        found: list[Response] = []

        def call_before(limit: int) -> _Call | None:
            """The call whose response begins at `at`; None: the response is the server's own."""
            return next((call for call in self._calls if at <= call.begun < limit), None)

        def to_head(begin: int, head_end: int) -> bool:
            call = call_before(begin + 1)
            if call is None:  # the connection closes after a rejection
                return end is not None and head_end == len(data)
            return call.method == "HEAD"

        while parsed := parse_response(data, at, to_head=to_head, end=end):
            response, after = parsed
            call = call_before(after)
            response.error = call.error if call is not None else None
            response.closed = end is not None and after == len(data)
            found.append(response)
            at = after
        if end is None:
            self._unparsed = data[at:]
        return found

    def _receive(self) -> None:
        self._unparsed += self._connection.take_output()

    # ---- the application

    def _called(self, environ: dict[str, Any], start_response: Any) -> Any:
        self._receive()
        call = _Call(len(self._unparsed), environ["REQUEST_METHOD"])
        self._calls.append(call)
        wrapper = environ["wsgi.file_wrapper"]
        with _recording_error(call):
            result = self._app(environ, start_response)
        if type(result) in (list, tuple, wrapper):
            return result
        return _Watched(result, call)


@contextmanager
def _recording_error(call: _Call) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        call.error = error
        raise


class _Watched:
    """Records the error of an iterable for the client."""

    def __init__(self, result: Any, call: _Call) -> None:
        self._result = result
        self._call = call
        self._iterator: Iterator[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        with _recording_error(self._call):
            self._iterator = iter(self._result)
        return self

    def __next__(self) -> Any:
        assert self._iterator is not None
        try:
            return next(self._iterator)
        except StopIteration:
            raise
        except BaseException as error:
            self._call.error = error
            raise

    def close(self) -> None:
        close = getattr(self._result, "close", None)
        if close is not None:
            with _recording_error(self._call):
                close()


@dataclass(frozen=True)
class LiveServer:
    """A running server. `url`: without a trailing slash."""

    host: str
    port: int

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


@contextmanager
def serve(
    app: Application | str, *, host: str = "127.0.0.1", **options: Unpack[ServerOptions]
) -> Iterator[LiveServer]:
    """Serve `app` on a free port of `host` while the with block runs. `options` are those of
    Server. Errors: those of Client, and BindError."""
    with Server(_loaded(app), host=host, port=0, **options).background() as server:
        yield LiveServer(host, server.port)


def _loaded(app: Application | str) -> Application:
    if isinstance(app, str):
        return importer.load(app).application
    if not callable(app):
        raise TypeError(
            f'app must be an application or a name such as "main:app", not {type(app).__name__}'
        )
    return app
