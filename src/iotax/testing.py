"""For tests of applications: the server itself, without a socket, and with one.

    client = Client(app)                   # or Client("main:app")
    assert client.get("/").status == 200
    client.send(b"GET / HTTP/1.1\\r\\n\\r\\n")  # raw bytes: what comes back is what a server says

    with serve(app) as server:             # a live one, on a port of its own
        urllib.request.urlopen(server.url)

Client runs the core and the bridge of the server in the calling thread: parsing, limits, environ,
framing and refusals are the real ones. What needs a network or time is not there: time-outs,
threads, workers.
"""

import json as json_module
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Unpack
from urllib.parse import urlencode

from iotax import _iotax, importer
from iotax.config import from_arguments
from iotax.responses import Headers, ProtocolError, Response, parse_response
from iotax.server import Server, ServerOptions

__all__ = ["Client", "Headers", "LiveServer", "ProtocolError", "Response", "serve"]

Application = Callable[..., Any]
Body = bytes | str | Iterable[bytes]
HOST: Final = "localhost"


class Client:
    """A client of `app`, an application or its name as the command takes it.

    One connection is kept as long as the server keeps it. `raise_exceptions`: what comes out of the
    application is raised by the request that it answers 500 or breaks off; else it is in
    Response.error. KeyboardInterrupt and other exceptions that are no Exception are always raised.
    `options` are those of Server.
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
        arguments = {"access_log": False, **options}
        self._options = from_arguments(arguments, path=False).worker_options()
        self._error: BaseException | None = None
        self._open()

    def _open(self) -> None:
        this = weakref.ref(self)  # the garbage collector does not see what the connection holds

        def application(environ: dict[str, Any], start_response: Any) -> Any:
            client = this()
            assert client is not None
            return client._called(environ, start_response)

        self._connection = _iotax.Connection(application, self._options)
        self._unparsed = b""
        self._parsed = 0  # bytes before _unparsed
        self._calls: list[tuple[int, str]] = []  # bytes that were out at each call, its method

    # ---- requests

    def request(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: Body | None = None,
        json: object = None,
        form: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
    ) -> Response:
        """`target` as on the request line. Of `body`, `json` and `form` at most one; an iterable of
        bytes is sent in chunks. Host, Content-Length and Content-Type are set unless `headers` has
        them."""
        data = _request(method, target, _pairs(headers), _body(body, json, form))
        (response,) = self.send(data) or (None,)
        if response is None:
            raise ProtocolError(f"{method} {target} got no answer")
        return response

    def get(self, target: str, **more: Any) -> Response:
        """request("GET", ...), and so on."""
        return self.request("GET", target, **more)

    def head(self, target: str, **more: Any) -> Response:
        return self.request("HEAD", target, **more)

    def options(self, target: str, **more: Any) -> Response:
        return self.request("OPTIONS", target, **more)

    def post(self, target: str, **more: Any) -> Response:
        return self.request("POST", target, **more)

    def put(self, target: str, **more: Any) -> Response:
        return self.request("PUT", target, **more)

    def patch(self, target: str, **more: Any) -> Response:
        return self.request("PATCH", target, **more)

    def delete(self, target: str, **more: Any) -> Response:
        return self.request("DELETE", target, **more)

    def send(self, data: bytes, *, eof: bool = False) -> list[Response]:
        """Raw bytes, whatever they are; the answers that they led to. What is incomplete waits for
        the next call. `eof`: the client shuts down its sending side behind them."""
        if not isinstance(data, bytes):
            raise TypeError(
                f"data is {type(data).__name__}, not bytes: encode it, e.g. b'GET / ...'"
            )
        self._connection.receive(data)
        if eof:
            self._connection.receive_eof()
        found = self._take_responses(data)
        error, self._error = self._error, None
        if error is not None and (self._raise_exceptions or not isinstance(error, Exception)):
            raise error
        if found and error is not None:
            found[-1].error = error
        return found

    def _take_responses(self, sent: bytes) -> list[Response]:
        self._receive()
        closed = self._connection.closing != "no"
        found: list[Response] = []

        def to_head(at: int) -> bool:
            """The application was called for it before, or the server answers by itself."""
            calls = (method for begun, method in self._calls if 0 <= begun - self._parsed <= at)
            return next(calls, _first_word(sent)) == "HEAD"

        while parsed := parse_response(self._unparsed, to_head=to_head, closed=closed):
            response, self._unparsed = parsed
            self._parsed += len(response.raw)
            self._calls = [call for call in self._calls if call[0] >= self._parsed]
            response.closed = closed and not self._unparsed
            found.append(response)
        if closed:
            self._open()
        return found

    def _receive(self) -> None:
        self._unparsed += self._connection.take_output()

    # ---- the application, looked at from outside

    def _called(self, environ: dict[str, Any], start_response: Any) -> Any:
        self._receive()
        self._calls.append((self._parsed + len(self._unparsed), environ["REQUEST_METHOD"]))
        wrapper = environ["wsgi.file_wrapper"]
        try:
            result = self._app(environ, start_response)
        except BaseException as error:
            self._error = error
            raise
        if type(result) in (list, tuple, wrapper):
            return result
        return _Watched(result, self)

    def _failed(self, error: BaseException) -> None:
        self._error = error


class _Watched:
    """An iterable whose errors the client wants to know of."""

    def __init__(self, result: Any, client: Client) -> None:
        self._result = result
        self._client = client
        self._iterator: Iterator[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        try:
            self._iterator = iter(self._result)
        except BaseException as error:
            self._client._failed(error)
            raise
        return self

    def __next__(self) -> Any:
        assert self._iterator is not None
        try:
            return next(self._iterator)
        except StopIteration:
            raise
        except BaseException as error:
            self._client._failed(error)
            raise

    def close(self) -> None:
        close = getattr(self._result, "close", None)
        if close is not None:
            try:
                close()
            except BaseException as error:
                self._client._failed(error)
                raise


@dataclass(frozen=True)
class LiveServer:
    """`url` ends without a slash."""

    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"


@contextmanager
def serve(app: Application | str, **options: Unpack[ServerOptions]) -> Iterator[LiveServer]:
    """A live server for `app` on a free port of 127.0.0.1, while the block runs. `options` are
    those of Server. Errors: as Client, and BindError."""
    with Server(_loaded(app), port=0, **options).background() as server:
        yield LiveServer("127.0.0.1", server.port)


def _loaded(app: Application | str) -> Application:
    if isinstance(app, str):
        return importer.load(app).application
    if not callable(app):
        raise TypeError(
            f"app is {type(app).__name__}, which cannot be called: give an application, or its name"
            ' such as "main:app"'
        )
    return app


# ---- a request on the wire


def _pairs(given: Mapping[str, str] | Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return list(given.items() if isinstance(given, Mapping) else given)


def _body(
    body: Body | None, json: object, form: Mapping[str, str] | Iterable[tuple[str, str]] | None
) -> tuple[str, bytes | list[bytes] | None]:
    """Its media type, and it; several pieces go in chunks."""
    if sum(one is not None for one in (body, json, form)) > 1:
        raise TypeError("body, json and form exclude each other: give one of them")
    if json is not None:
        return "application/json", json_module.dumps(json).encode()
    if form is not None:
        return "application/x-www-form-urlencoded", urlencode(_pairs(form)).encode()
    if isinstance(body, str):
        return "text/plain; charset=utf-8", body.encode()
    if body is None or isinstance(body, bytes):
        return "", body
    return "", list(body)


def _request(
    method: str,
    target: str,
    headers: list[tuple[str, str]],
    content: tuple[str, bytes | list[bytes] | None],
) -> bytes:
    kind, body = content
    named = {name.lower() for name, _ in headers}
    own = [("Host", HOST), ("Content-Type", kind)]
    data = b""
    if isinstance(body, list):
        own.append(("Transfer-Encoding", "chunked"))
        data = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in body if one) + b"0\r\n\r\n"
    elif body is not None:
        own.append(("Content-Length", str(len(body))))
        data = body
    fields = [(name, value) for name, value in own if value and name.lower() not in named]
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {v}" for name, v in [*fields, *headers])]
    for line in lines:
        if "\r" in line or "\n" in line:
            raise ValueError(
                f"{line!r} holds a line end: send() takes raw bytes, whatever they are"
            )
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + data


def _first_word(sent: bytes) -> str:
    return sent.lstrip(b"\r\n").split(b" ", 1)[0].decode("latin-1")
