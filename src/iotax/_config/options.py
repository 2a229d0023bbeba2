"""The options: their one table.

The fields of Config are the table. From it come the command's help, the variables IOTAX_NAME, the
library's keyword arguments, the table in docs/reference and the tests that walk it.
Says nothing about where values come from (sources.py) or what becomes of them.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from iotax._config.address import EVERY_HOST, Address, TcpAddress
from iotax._config.option_types import (
    GIB,
    KIB,
    MIB,
    Binds,
    Choice,
    Directories,
    Host,
    Kind,
    Mode,
    Patterns,
    Peers,
    Size,
    Switch,
    Text,
    Time,
    Whole,
    Words,
)

VARIABLE_PREFIX: Final = "IOTAX_"
HEAD_BYTES_MAX: Final = 16 * MIB
RELOAD_INCLUDE: Final = ("*.py", "*.html", "*.jinja", "*.jinja2", "*.j2")
RELOAD_EXCLUDE: Final = (
    *("__pycache__", ".git", ".svn", ".hg", "venv", ".venv", "env", ".env", "node_modules"),
    *(".tox", ".eggs", "*.egg-info", "dist", "build", ".mypy_cache", ".pytest_cache"),
)
WORKERS_MAX: Final = 500


@dataclass(frozen=True)
class Option:
    """One row of the table. `name` is the keyword; `example` a value as one would type it."""

    kind: Kind
    default: object
    section: str
    help: str
    example: str
    short: str = ""  # "-b"
    shown: str = ""  # the default in words, where the value says too little
    variable_too: str = ""  # a second, common variable; IOTAX_NAME beats it
    for_path_only: bool = False  # speaks of loading: no use to someone who hands over a callable
    for_command_only: bool = False  # speaks of processes: the library serves in the caller's
    negative: bool = False  # has a --no-NAME
    name: str = ""

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return VARIABLE_PREFIX + self.name.upper()

    @property
    def default_text(self) -> str:
        return self.shown or self.kind.show(self.default)


def option(default: object, kind: Kind, section: str, example: str, help: str, **more: Any) -> Any:
    return field(
        default=default, metadata={"option": Option(kind, default, section, help, example, **more)}
    )


@dataclass(frozen=True)
class Config:
    """Every option with its value: bytes, seconds, booleans, texts. Immutable."""

    # fmt: off
    host: str = option(
        "127.0.0.1", Host(), "Address", "0.0.0.0",
        "name or address to listen on; localhost binds all that it resolves to, :: takes IPv4"
        " too, * is every address",
    )
    port: int = option(
        8000, Whole(0, 65535, "PORT"), "Address", "8001",
        "port to listen on, 0 for a free one; the variable PORT sets it too, and then the "
        "host is 0.0.0.0 unless given", variable_too="PORT",
    )
    bind: tuple[Address, ...] = option(
        (), Binds(split=False), "Address", "127.0.0.1:8001",
        "listen on host:port, [v6]:port, :port, *:port or unix:PATH instead of --host and --port; "
        "repeatable", short="-b",
    )
    unix_mode: int | None = option(
        None, Mode(), "Address", "660",
        "permissions of a UNIX socket, in octal", shown="666 & ~umask",
    )
    backlog: int = option(
        2048, Whole(1, 65535), "Address", "4096",
        "connections that wait to be accepted, per listener",
    )

    factory: bool = option(
        False, Switch(), "Application", "1",
        "call the attribute without arguments to get the application, as 'app:create_app()' "
        "does", for_path_only=True,
    )
    chdir: str = option(
        "", Text("a directory", "DIR"), "Application", "/srv/project",
        "change to this directory first; relative paths of all options start there",
        shown="none", for_path_only=True,
    )
    pythonpath: tuple[str, ...] = option(
        (), Directories(split=True), "Application", "lib,plugins",
        "directories to import from, before all others; repeatable", for_path_only=True,
    )

    workers: int = option(
        1, Whole(0, WORKERS_MAX), "Processes", "4",
        "worker processes; 0: no supervisor, serve in this process; the variable "
        "WEB_CONCURRENCY sets it too", short="-w", variable_too="WEB_CONCURRENCY",
        for_command_only=True,
    )
    preload: bool = option(
        False, Switch(), "Processes", "1",
        "import the application once, and fork the workers from there", for_command_only=True,
    )
    boot_timeout: float = option(
        60.0, Time(), "Processes", "5m",
        "longest time to get a worker ready, then give up with exit code 3; 0: no limit",
        for_command_only=True,
    )
    max_requests: int = option(
        0, Whole(0, 2**63 - 1), "Processes", "10000",
        "replace a worker after so many requests; 0: never", for_command_only=True,
    )
    max_requests_jitter: int | None = option(
        None, Whole(0, 2**63 - 1), "Processes", "500",
        "up to so many requests more, by chance, so that workers are not replaced all at once",
        shown="10 % of --max-requests", for_command_only=True,
    )
    worker_lifetime: float = option(
        0.0, Time(), "Processes", "24h",
        "replace a worker after this time; 0: never", for_command_only=True,
    )
    worker_max_rss: int = option(
        0, Size(0), "Processes", "512M",
        "replace a worker whose resident memory is above this; 0: never", for_command_only=True,
    )

    reload: bool = option(
        False, Switch(), "Development", "1",
        "start again with the new code when a file is saved, and show what is wrong with it as "
        "a page", for_command_only=True,
    )
    reload_dir: tuple[str, ...] = option(
        (), Directories(split=True), "Development", "src,templates",
        "directories to watch; repeatable", shown="the current directory", for_command_only=True,
    )
    reload_include: tuple[str, ...] = option(
        (), Patterns(), "Development", "*.toml,*.sql",
        "names or paths of files to watch besides; repeatable",
        shown=" ".join(RELOAD_INCLUDE), for_command_only=True,
    )
    reload_exclude: tuple[str, ...] = option(
        (), Patterns(), "Development", "*_pb2.py,tests",
        "names or paths of files and directories to leave out besides; repeatable",
        shown=" ".join(RELOAD_EXCLUDE), for_command_only=True,
    )
    reload_poll: bool = option(
        False, Switch(), "Development", "1",
        "look at the files again and again instead of asking the system, for network and "
        "container mounts", for_command_only=True,
    )
    reload_cold: bool = option(
        False, Switch(), "Development", "1",
        "import everything again, not only the project's own modules", for_command_only=True,
    )

    threads: int = option(
        1, Whole(1, 1000), "Capacity", "8",
        "application calls at once",
    )
    max_connections: int = option(
        0, Whole(0, 10_000_000), "Capacity", "5000",
        "open connections; 0: the hard limit on descriptors - 64, less the files that bodies need",
        shown="descriptor limit - 64",
    )
    max_queued: int = option(
        1024, Whole(1, 10_000_000), "Capacity", "256",
        "requests that wait for a thread; beyond: 503 with Retry-After",
    )
    queue_timeout: float = option(
        30.0, Time(), "Capacity", "10s",
        "longest wait of a request for a thread, then 503; 0: no limit",
    )

    limit_head: int = option(
        64 * KIB, Size(1, HEAD_BYTES_MAX), "Limits", "128K",
        "request line and header fields together (431)",
    )
    limit_request_line: int = option(
        8 * KIB, Size(1, HEAD_BYTES_MAX), "Limits", "16K",
        "request line (414)",
    )
    limit_field: int = option(
        16 * KIB, Size(1, HEAD_BYTES_MAX), "Limits", "32K",
        "one header field (431)",
    )
    limit_fields: int = option(
        100, Whole(1, 10_000), "Limits", "200",
        "number of header fields (431)",
    )
    limit_body: int = option(
        MIB, Size(0), "Limits", "10M",
        "request body (413, before it is read); 0: no limit",
    )

    keep_alive: float = option(
        15.0, Time(), "Time-outs", "75s",
        "idle connections are closed after this time; 0: no limit",
    )
    keep_alive_requests: int = option(
        100, Whole(0, 2**32 - 1), "Time-outs", "1000",
        "requests per connection; 0: no limit",
    )
    receive_timeout: float = option(
        10.0, Time(), "Time-outs", "30s",
        "time for a whole head (408), and between two reads of a body; 0: no limit",
    )
    send_timeout: float = option(
        30.0, Time(), "Time-outs", "60s",
        "longest time in which a reader acknowledges nothing; three times as long while its"
        " average is above --min-rate; 0: no limit",
    )
    min_rate: int = option(
        500, Size(0, unit="bytes per second"), "Time-outs", "2K",
        "bytes per second of a body coming in and an answer going out, after a grace of 10 s;"
        " 0: no limit", shown="500 B/s",
    )

    no_request_buffering: bool = option(
        False, Switch(), "Bodies and answers", "1",
        "call the application when the head is there and let it read while data comes, at 64 "
        "KiB/s or more; a chunked body is complete before the call all the same",
    )
    body_memory: int = option(
        256 * KIB, Size(), "Bodies and answers", "1M",
        "memory for a request body, 64 MiB or 64 bodies for all together; beyond: an unlinked"
        " temporary file",
    )
    answer_memory: int = option(
        MIB, Size(), "Bodies and answers", "4M",
        "memory for an unsent answer, 256 MiB or 64 answers for all together; beyond: unlinked"
        " temporary files",
    )
    spool_dir: str = option(
        "", Text("a directory", "DIR"), "Bodies and answers", "/var/tmp",
        "directory of the temporary files", shown="the system's",
    )
    spool_max: int = option(
        GIB, Size(0), "Bodies and answers", "4G",
        "size of all temporary files of a worker; a body that can never fit: 413, beyond: 503;"
        " answers leave a quarter to bodies, and wait",
    )
    server_header: str = option(
        "iotax", Text("visible ASCII, or nothing", "TEXT", empty=True, field=True),
        "Bodies and answers", "web",
        "Server field of every answer; empty: none",
    )

    slow_request: float = option(
        0.0, Time(), "Deadlines", "2s",
        "log where the application is when a request takes longer; 0: never", shown="off",
    )
    request_timeout: float = option(
        0.0, Time(), "Deadlines", "30s",
        "longest time until the application starts its answer (504), and between two blocks of "
        "it; 0: no limit", shown="off",
    )
    request_timeout_grace: float = option(
        5.0, Time(), "Deadlines", "10s",
        "a thread that does not come back for so long after that is given up",
    )
    request_timeout_action: str = option(
        "raise", Choice("log", "answer", "raise", "replace"), "Deadlines", "answer",
        "what happens then: log the stack; answer, too; raise iotax.RequestTimeout, too; or "
        "answer and replace the worker",
    )

    graceful_timeout: float = option(
        30.0, Time(), "Stopping", "60s",
        "longest time to finish what runs when asked to stop; 0: none, it is cut off",
        shown="30 s; 0.5 s with --reload",
    )
    shutdown_delay: float = option(
        0.0, Time(), "Stopping", "5s",
        "after TERM go on accepting for this time, for load balancers",
    )

    forwarded_allow_ips: tuple[str, ...] = option(
        (), Peers(split=True), "Behind a proxy", "127.0.0.1,10.0.0.0/8",
        "peers whose X-Forwarded fields and X-Request-ID are believed: addresses, networks, "
        "unix, *", variable_too="FORWARDED_ALLOW_IPS",
    )
    forwarded_headers: tuple[str, ...] = option(
        ("for", "proto"), Words("for", "proto", "host", "port", "prefix"), "Behind a proxy",
        "for,proto,host,prefix",
        "X-Forwarded fields of these peers that are believed: those that the proxy sets itself; "
        "of for, proto, host, port, prefix",
    )

    log_level: str = option(
        "info", Choice("debug", "info", "warning", "error", "critical"), "Logs", "warning",
        "least important lines of the server log that are written",
    )
    access_log: bool = option(
        True, Switch(), "Logs", "0",
        "one line per request", negative=True,
    )
    access_logfile: str = option(
        "-", Text("a file, or - for standard output", "FILE"), "Logs", "access.log",
        "where the access log goes; -: standard output",
    )
    error_logfile: str = option(
        "-", Text("a file, or - for standard error", "FILE"), "Logs", "server.log",
        "where the server log goes; -: standard error",
    )
    color: str = option(
        "auto", Choice("auto", "always", "never"), "Logs", "never",
        "colors; auto: on a terminal, and as NO_COLOR and FORCE_COLOR say",
    )
    # fmt: on

    @property
    def addresses(self) -> tuple[Address, ...]:
        return self.bind or (TcpAddress(self.host, self.port),)

    @property
    def watches_workers(self) -> bool:
        """Whether the supervisor has to look at workers while requests run."""
        return self.worker_max_rss > 0 or self.slow_request > 0 or self.request_timeout > 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of this configuration when the server starts."""
        if "*" in self.forwarded_allow_ips and "for" in self.forwarded_headers:
            return (
                "Whoever connects is believed (--forwarded-allow-ips *): the last address in"
                " X-Forwarded-For is the client",
            )
        return ()

    def worker_options(
        self, *, interactive: bool = False, supervised: bool = False
    ) -> dict[str, object]:
        """The keys of _iotax.Worker's `options`, in its types. Drawn anew for each worker:
        `max_requests` has its jitter."""
        names = [key for key in WORKER_KEYS if key in OPTIONS]
        jitter = self.max_requests // 10
        if self.max_requests_jitter is not None:
            jitter = self.max_requests_jitter
        (address, *others) = self.addresses
        known = (
            isinstance(address, TcpAddress)
            and not others
            and address.host not in (EVERY_HOST, "0.0.0.0", "::")
        )
        return {
            **{name: getattr(self, name) for name in names},
            "request_buffering": not self.no_request_buffering,
            "forwarded_allow_ips": list(self.forwarded_allow_ips),
            "forwarded_headers": list(self.forwarded_headers),
            "server_name": address.host if known and isinstance(address, TcpAddress) else "",
            "max_requests": self.max_requests and self.max_requests + random.randint(0, jitter),
            "multiprocess": supervised,  # a replacement runs beside the worker it replaces
            "interactive": interactive,
            "tells_when_busy": self.watches_workers,
        }


OPTIONS: Final[Mapping[str, Option]] = {
    row.name: replace(row.metadata["option"], name=row.name) for row in fields(Config)
}

WORKER_KEYS: Final = (
    "threads",
    "request_buffering",
    "limit_head",
    "limit_request_line",
    "limit_field",
    "limit_fields",
    "limit_body",
    "keep_alive",
    "keep_alive_requests",
    "receive_timeout",
    "send_timeout",
    "min_rate",
    "body_memory",
    "answer_memory",
    "spool_dir",
    "spool_max",
    "max_connections",
    "max_queued",
    "max_requests",
    "queue_timeout",
    "slow_request",
    "request_timeout",
    "request_timeout_grace",
    "request_timeout_action",
    "graceful_timeout",
    "shutdown_delay",
    "forwarded_allow_ips",
    "forwarded_headers",
    "server_header",
    "access_log",
    "server_name",
    "multiprocess",
    "interactive",
    "tells_when_busy",
)
