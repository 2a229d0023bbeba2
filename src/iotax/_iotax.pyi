"""The compiled half of iotax: one worker (loop, lead, bridge) and the log sink."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

__version__: Final[str]

class ClientDisconnected(ConnectionError):
    """The client is gone: nothing more comes from it or gets to it."""

class BodyTimedOut(ConnectionError):
    """The client sent the rest of the body too slowly."""

class BodyMalformed(ConnectionError):
    """The rest of the body breaks the framing, or is over the limit."""

class RequestTimeout(BaseException):
    """The call is over --request-timeout; its client has been answered."""

class Page:
    """What the workers of a server are doing, in memory that children of a fork share; still there
    when a worker was killed.

    `seats`: one per worker; `threads`: the most that a worker has. Errors: ValueError for a number
    out of bounds, OSError.
    """

    def __init__(self, seats: int, threads: int) -> None: ...
    def calls(self, seat: int) -> list[tuple[str, str, float]]:
        """What runs there: request line (at most 256 bytes, escaped for the log), request id, age
        in seconds."""
    def turns(self, seat: int) -> int:
        """How many turns of its loop the worker has made."""
    def gil_stuck(self, seat: int) -> float:
        """For how many seconds the worker's watch thread has waited for the GIL; 0.0: it does
        not."""
    def watch(self, seat: int, on: bool) -> None:
        """Whether somebody looks again and again; if not, the worker says when a call lasts."""
    def clear(self, seat: int) -> None:
        """Before another worker takes the seat of one that is gone."""

class Worker:
    """One worker: serves `listeners` with `application` until stopped.

    `options` holds every one of these keys, with the meanings and bounds of options.py; units:
    - int: threads, keep_alive_requests, limit_fields, max_queued, max_connections (0: the
      descriptor limit - 64), max_requests (reported to the supervisor when reached);
    - int, bytes: limit_head, limit_request_line, limit_field, limit_body, body_memory,
      answer_memory, spool_max; bytes per second: min_rate;
    - float, seconds: keep_alive, receive_timeout, send_timeout, queue_timeout, graceful_timeout,
      shutdown_delay, slow_request, request_timeout, request_timeout_grace;
    - bool: request_buffering, access_log, multiprocess, interactive (INT comes from a person, who
      is told what is waited for), tells_when_busy (the supervisor watches the page while requests
      run);
    - str: spool_dir ("": the system's), server_header ("": none), server_name ("": the address a
      connection came in on), request_timeout_action;
    - list[str]: forwarded_allow_ips: addresses and networks as ipaddress prints them, "unix", "*";
      forwarded_headers: of "for", "proto", "host", "port", "prefix".
    0 means no limit for limit_body, keep_alive_requests, max_requests, min_rate and every time-out
    but graceful_timeout, shutdown_delay and request_timeout_grace.
    `listeners` are (descriptor, "http" authority or "unix:PATH", whether another process keeps the
    socket), listening and non-blocking; the worker takes duplicates. Close the originals: a port
    that stays open while the worker drains accepts clients that nobody serves.
    `seat` on `page` is where it says what it does; no other worker may have it. `channel` is a
    SOCK_SEQPACKET socket to a supervisor (channel.py), duplicated too; -1: none.
    Errors: TypeError or ValueError that name the option.
    """

    def __init__(
        self,
        application: Callable[..., Any],
        listeners: Sequence[tuple[int, str, bool]],
        options: Mapping[str, object],
        *,
        page: Page | None = None,
        seat: int = 0,
        channel: int = -1,
    ) -> None: ...
    def run(self) -> None:
        """Serve in the calling thread (application thread 0) until stop(). Raises what a signal
        handler raised, OSError when the loop cannot be set up."""
    def run_thread(self, thread: int) -> None:
        """Be application thread `thread` (1 to threads - 1, or the number that watch() gave) until
        the worker has stopped. Called in a threading.Thread."""
    def stop(self, how: str) -> None:
        """how: "drain", "prompt" or "now". From any thread or signal handler."""
    @property
    def wakeup_fd(self) -> int:
        """Non-blocking write end for signal.set_wakeup_fd()."""
    def install_stop_signals(self, process: str) -> None:
        """sigaction on top of Python's handlers, which the C handler calls after it has done its
        work. Whose is the process?
        "application": INT and TERM stop the worker. "server": QUIT too. "worker": TERM is reported
        to the supervisor. In the last two a call that has not returned when stopping has taken its
        time ends the process (exit code 0, or 128 + the signal that said "now")."""
    def restore_stop_signals(self) -> None: ...
    def watch(self) -> tuple[str, int, int, int, str, str, float, int] | None:
        """Wait, without the GIL, for a call that is "slow", "overdue" or "lost": kind, thread, its
        ident, token, request line, request id, seconds without a word, and for a lost thread the
        number of the one to start in its place (-1: none). None: the worker has stopped."""
    def expire(self, thread: int, token: int) -> bool:
        """Answer for the application: 504, or break off. False: the call has moved on, or that is
        done."""
    def interrupt(self, thread: int, token: int) -> bool:
        """Raise RequestTimeout in a call that was answered, if the application is still in it."""
    def suspend(self, thread: int, token: int) -> None:
        """No deadline holds for this call."""
    def ask_for_replacement(self, why: str) -> None:
        """Of the supervisor; without one, of whoever reads the log."""
    def replacement_failed(self, lost: int, replacement: int) -> None:
        """The thread `replacement` that watch() gave for the lost thread `lost` cannot be started:
        it counts as lost, too. Errors: ValueError for other numbers."""
    def status(self) -> dict[str, int]:
        """connections, running, queued, requests, threads; a snapshot."""

class Connection:
    """A client's connection without a socket: what the client sends is handed in, what it gets is
    taken out; `application` is called in between, in the calling thread.

    `options` as for Worker, `remote` and `local` the two ends as (address, port). Time stands
    still: nothing is over a time-out. Server-made answers and failures of the application go to the
    log, as in a Worker, or, from `log_level` on, to sys.stderr, and access lines to sys.stdout.
    Errors: TypeError or ValueError that name the option.
    """

    def __init__(
        self,
        application: Callable[..., Any],
        options: Mapping[str, object],
        *,
        remote: tuple[str, int] = ("127.0.0.1", 50000),
        local: tuple[str, int] = ("127.0.0.1", 8000),
        log_level: str = "",
    ) -> None: ...
    def receive(self, data: bytes) -> None:
        """Bytes of the client. The application is called for each request that is complete, or at
        its head if it reads while content arrives; content that has not arrived by then never
        does. Ignored once the connection is closing. Errors: RuntimeError when the application that
        is called from here calls it."""
    def receive_eof(self) -> None:
        """The client has shut down its sending side. Errors: as receive()."""
    def disconnect(self) -> None:
        """The client is gone, and gets nothing more. Also from inside the application's call."""
    def take_output(self) -> bytes:
        """What the client got since the last time. Also from inside the application's call."""
    @property
    def closing(self) -> str:
        """ "no", "after_flush" (when the client has got everything) or "reset"."""

def open_log(
    error_fd: int,
    access_fd: int,
    *,
    level: str,
    color: bool,
    prefix: bool,
    paths: tuple[bytes, bytes] = (b"", b""),
    threads: bool = True,
) -> None:
    """(Re)open the process's log sink. Descriptors are borrowed; -1: none. `prefix`: time and PID
    before each line. `paths`: files of the two that reopen_log() opens anew, b"": not a file.
    Without `threads` each line is written by the caller, and dropped if that would take time."""

def reopen_log() -> None:
    """Open the files of open_log()'s `paths` anew. A failure is logged, and the former file goes
    on."""

def signal_descriptor(signals: Sequence[int]) -> int:
    """A non-blocking descriptor (signalfd(2)) to read the blocked `signals` from. Errors:
    OSError."""

def set_parent_death_signal(signal: int) -> None:
    """What this process gets when the thread that made it, or its adoptive parent, ends; 0:
    nothing. prctl(2)."""

def set_child_subreaper() -> None:
    """Orphaned descendants of this process become its children. prctl(2)."""

def log(level: str, text: str) -> None:
    """One server log line (or several, if text holds line ends). Never blocks, never raises for its
    encoding."""

def flush_log(timeout: float) -> bool:
    """Wait until what was logged is written, at most `timeout` seconds."""

def flush_standard_streams(timeout: float) -> bool:
    """Flush sys.stdout, sys.stderr and those of C. False: not within `timeout` seconds, since a
    thread that hangs has one of them, or nobody reads."""

def after_fork_in_child() -> None:
    """Close listeners, pollers, pipes and sessions of every worker; run() never goes on. For
    os.register_at_fork."""
