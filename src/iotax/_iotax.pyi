"""The compiled half of iotax: one worker (loop, lead, bridge) and the log sink."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

__version__: Final[str]
llhttp_version: Final[str]  # of the llhttp that is linked in

class ClientDisconnected(ConnectionError):
    """The client has disconnected: nothing more can be received or sent."""

class BodyTimedOut(ConnectionError):
    """The client sent the rest of the body too slowly."""

class BodyMalformed(ConnectionError):
    """The rest of the body is malformed or over the limit."""

class RequestTimeout(BaseException):
    """The call exceeded --request-timeout; its client has got a response."""

class Scoreboard:
    """Shared memory that says what each worker does; it survives the death of a worker.

    `slots`: one per worker; `threads`: the maximum of a worker; `counted`: workers also count for
    the admin listener. Errors: ValueError for a number out of bounds, OSError.
    """

    def __init__(self, slots: int, threads: int, counted: bool = False) -> None: ...
    def calls(self, slot: int) -> list[tuple[str, str, float]]:
        """The running calls: request line (at most 256 bytes, escaped for the log), request id, age
        in seconds."""
    def turns(self, slot: int) -> int:
        """Number of turns of the worker's loop."""
    def gil_stuck(self, slot: int) -> float:
        """Seconds for which the worker's watch thread has waited for the GIL; 0.0: it does not
        wait."""
    def watch(self, slot: int, on: bool) -> None:
        """Whether the supervisor reads the slot regularly; if not, the worker reports that requests
        run."""
    def clear(self, slot: int) -> None:
        """Clear the slot of an exited worker for another one. What it has counted stays."""
    def publish(
        self,
        *,
        wanted: int,
        starts: int,
        exits: Sequence[int],
        has_served: bool,
        stopping: bool,
        supervised: bool,
        listeners: Sequence[int],
    ) -> None:
        """Tell the admin listener about the server, and with `supervised` that the supervisor runs
        now, what it has logged, and how many connections wait at the descriptors `listeners`.
        `exits`: in the order of lifecycle.Cause, or empty. Errors: ValueError if it is not
        counted."""
    def publish_worker(self, slot: int, state: str, pid: int, age: float) -> None:
        """Tell the admin listener about a worker: "none", "booting", "ready" or "draining"."""

class Admin:
    """The admin listener: serves /livez, /readyz, /metrics, /status and / from a counted
    `scoreboard`, without the GIL.

    `listeners`: as for Worker; `python`: version for the metrics; `urls`: of the application;
    `shows_requests`: lines and ids of running requests. Errors: OSError, ValueError.
    """

    def __init__(
        self,
        scoreboard: Scoreboard,
        listeners: Sequence[tuple[int, str, bool, bool]],
        *,
        python: str,
        urls: Sequence[str],
        shows_requests: bool,
        channel: int = -1,
    ) -> None: ...
    def run(self) -> None:
        """Serve in this thread until the channel says to stop, or closes."""
    def start(self) -> None:
        """Serve in a native thread until stop()."""
    def stop(self) -> None: ...

class Worker:
    """One worker: serves `listeners` with `application` until stopped.

    `options` holds every one of these keys, with the meanings and bounds of options.py; units:
    - int: threads, keep_alive_requests, limit_fields, max_queued, max_connections (0: the
      descriptor limit - 64), max_requests (reported to the supervisor when reached);
    - int, bytes: limit_head, limit_request_line, limit_field, limit_body, body_memory,
      answer_memory, spool_max; bytes per second: min_rate;
    - float, seconds: keep_alive, receive_timeout, send_timeout, queue_timeout, graceful_timeout,
      shutdown_delay, slow_request, request_timeout, request_timeout_grace;
    - bool: request_buffering, access_log, access_log_time (the default format has the time),
      log_traces (the server log names traces), statsd (requests are counted as open_statsd()
      says), health_log, multiprocess, interactive (INT comes from a terminal, so a stop logs the
      requests that it waits for), tells_when_busy (the supervisor reads the scoreboard while
      requests run);
    - str: access_log_format, request_id_header ("": none), spool_dir ("": the system's),
      server_header ("": none), server_name ("": the address a connection came in on),
      request_timeout_action, health_path ("": none);
    - list[str]: forwarded_allow_ips and proxy_protocol_from: addresses and networks as ipaddress
      prints them, "unix", "*"; forwarded_headers: of "for", "proto", "host", "port", "prefix",
      "forwarded".
    0 means no limit for limit_body, keep_alive_requests, max_requests, min_rate and every timeout
    except graceful_timeout, shutdown_delay and request_timeout_grace.
    `listeners` are (descriptor, "http" authority or "unix:PATH", whether another process keeps the
    socket, whether connections begin with a PROXY header), listening and non-blocking; the worker
    takes duplicates. Close the originals: a port
    that stays open while the worker drains accepts clients that no worker serves.
    `slot` of `scoreboard` belongs to this worker alone. `channel` is a SOCK_SEQPACKET socket to a
    supervisor (channel.py), duplicated too; -1: none.
    Errors: TypeError or ValueError that name the option.
    """

    def __init__(
        self,
        application: Callable[..., Any],
        listeners: Sequence[tuple[int, str, bool, bool]],
        options: Mapping[str, object],
        *,
        scoreboard: Scoreboard | None = None,
        slot: int = 0,
        channel: int = -1,
    ) -> None: ...
    def run(self) -> None:
        """Serve in the calling thread (application thread 0) until stop(). Raises what a signal
        handler raised, OSError when the loop cannot be set up."""
    def run_thread(self, thread: int) -> None:
        """Run application thread `thread` (1 to threads - 1, or the number that watch() gave) until
        the worker has stopped. Called in a threading.Thread."""
    def stop(self, how: str) -> None:
        """how: "drain", "prompt" or "now". From any thread or signal handler."""
    @property
    def wakeup_fd(self) -> int:
        """Non-blocking write end for signal.set_wakeup_fd()."""
    def install_stop_signals(self, process: str) -> None:
        """Install C handlers that call Python's handlers afterwards. `process`: "application": INT
        and TERM stop the worker; "server": QUIT too; "worker": TERM is reported to the supervisor.
        With the last two, the process exits when a call outlasts the graceful timeout (exit code 0,
        or 128 + the signal that stopped it immediately)."""
    def restore_stop_signals(self) -> None: ...
    def watch(self) -> tuple[str, int, int, int, str, str, float, int] | None:
        """Wait, without the GIL, for a call that is "slow", "overdue" or "lost": kind, thread, its
        ident, token, request line, request id, seconds without output, and for a lost thread the
        number of the thread that replaces it (-1: none). None: the worker has stopped."""
    def expire(self, thread: int, token: int) -> bool:
        """Respond for the application: 504, or truncate its response. False: the call has produced
        output since, or this was done already."""
    def interrupt(self, thread: int, token: int) -> bool:
        """Raise RequestTimeout in a call that expired, if the application still runs it."""
    def suspend(self, thread: int, token: int) -> None:
        """Ignore the deadlines of this call."""
    def ask_for_replacement(self, why: str) -> None:
        """Ask the supervisor for another worker; without a supervisor, log that the server must be
        restarted."""
    def replacement_failed(self, lost: int, replacement: int) -> None:
        """The thread `replacement` that watch() gave for the lost thread `lost` could not be
        started: it counts as lost, too. Errors: ValueError for other numbers."""
    def status(self) -> dict[str, int]:
        """connections, running, queued, requests, threads; a snapshot."""

class Connection:
    """A client's connection without a socket: receive() takes the client's bytes and calls
    `application` in the calling thread, take_output() returns the output.

    `options` as for Worker, `remote` and `local`: the two ends as (address, port). Time does
    not pass, so no timeout expires. Responses of the server and errors of the application go to
    the log, as in a Worker, or, from `log_level` on, to sys.stderr, and access lines to sys.stdout.
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
        its head if it reads the body as it arrives; a part that has not arrived by then never
        does. Ignored once the connection is closing. Errors: RuntimeError when the application that
        is called from here calls it."""
    def receive_eof(self) -> None:
        """The client has shut down its sending side. Errors: as receive()."""
    def disconnect(self) -> None:
        """The client has disconnected and gets no more output. Can be called by the application."""
    def take_output(self) -> bytes:
        """The output since the last call. Can be called by the application."""
    @property
    def closing(self) -> str:
        """ "no", "after_flush" (when all output is sent) or "reset"."""

def open_log(
    error_fd: int,
    access_fd: int,
    *,
    level: str,
    color: bool,
    prefix: bool,
    json: bool = False,
    paths: tuple[bytes, bytes] = (b"", b""),
    threads: bool = True,
) -> None:
    """(Re)open the process's log sink. Descriptors are borrowed; -1: none. `prefix`: time and PID
    before each line. `json`: a record per text, without color and prefix. `paths`: files of the
    two that reopen_log() opens again, b"": not a file.
    Without `threads` each line is written by the caller, and dropped if that would take time."""

def access_format_fault(format: str) -> tuple[int, str] | None:
    """Why `format` is not a format of access lines: the offset in its UTF-8 and what is wrong
    there. None: it is one."""

def access_format_atoms() -> tuple[str, ...]:
    """The atoms of such a format, without those that name a field or a key."""

def reopen_log() -> None:
    """Open the files of open_log()'s `paths` again. A failure is logged, and the former file stays
    in use."""

def open_statsd(
    receiver: tuple[str, int, int] | bytes, *, name: str, prefix: str, tags: str
) -> None:
    """Count lines of the server log, and requests of workers with the option statsd, for this
    receiver: address, port and scope id, or the path of a Unix socket. `name`: in the warning that
    lines are lost, at most one a minute in this process and those forked from now on. Replaces an
    earlier receiver, whose lines are sent first. Errors: ValueError if it is not an address."""

def close_statsd() -> None:
    """Count nothing more, and forget the lines that have not been sent."""

def resume_statsd() -> None:
    """In the child of a fork: count for the receiver of the parent."""

def count_workers(count: int) -> None:
    """Add the line of how many workers serve, if there is a receiver."""

def statsd_waits() -> bool:
    """Whether lines have not been sent."""

def send_statsd() -> None:
    """Send all lines. Never blocks; what the receiver does not take is lost."""

def signal_descriptor(signals: Sequence[int]) -> int:
    """A non-blocking descriptor (signalfd(2)) to read the blocked `signals` from. Errors:
    OSError."""

def set_parent_death_signal(signal: int) -> None:
    """Set the signal that this process gets when the thread that forked it, or its adoptive parent,
    exits; 0: none. prctl(2)."""

def set_child_subreaper() -> None:
    """Adopt orphaned descendants of this process. prctl(2)."""

def log(level: str, text: str) -> None:
    """One server log line (or several, if text holds line ends). Never blocks; an encoding
    error is not raised."""

def flush_log(patience: float) -> bool:
    """Wait until all log lines are written; give up when a reader has taken nothing for `patience`
    seconds, or after ten times that. False: some are not written."""

def flush_standard_streams(timeout: float) -> bool:
    """Flush sys.stdout, sys.stderr and those of C. False: not within `timeout` seconds, because
    a thread that hangs holds one of them, or the reader of a pipe does not read."""

def remember_own_files(paths: Sequence[bytes]) -> None:
    """Remove the files at `paths` (absolute) when a worker ends this process, as long as they are
    the same files as now. Replaces those of an earlier call."""

def after_fork_in_child() -> None:
    """Close listeners, pollers, pipes and sessions of every worker; run() never continues. For
    os.register_at_fork."""
