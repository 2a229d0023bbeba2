"""The table of all options: the fields of Config.

The command's help, the variables IOTAX_NAME, the keys of the settings file, the library's keyword
arguments, --print-config, the table in docs/reference and tests are made from it.
Does not know where values come from (sources.py) or how they are used.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

from iotax._config.address import EVERY_HOST, Address, TcpAddress
from iotax._config.network_types import (
    Bind,
    Binds,
    Host,
    MetricPrefix,
    MetricTags,
    Peers,
    Receiver,
)
from iotax._config.option import Option, option
from iotax._config.option_types import (
    GIB,
    KIB,
    MIB,
    Choice,
    Directories,
    FieldName,
    Files,
    Flag,
    Integer,
    LineFormat,
    Mode,
    ModuleName,
    Patterns,
    Size,
    String,
    TargetPath,
    Time,
    Words,
)
from iotax._config.variables import Variable, Variables

HEAD_BYTES_MAX: Final = 16 * MIB
RELOAD_INCLUDE: Final = ("*.py", "*.html", "*.jinja", "*.jinja2", "*.j2")
RELOAD_EXCLUDE: Final = (
    *("__pycache__", ".git", ".svn", ".hg", "venv", ".venv", "env", ".env", "node_modules"),
    *(".tox", ".eggs", "*.egg-info", "dist", "build", ".mypy_cache", ".pytest_cache"),
)
WORKERS_MAX: Final = 500


@dataclass(frozen=True)
class Config:
    """Every option with its value: bytes, seconds, booleans, strings. Immutable."""

    # fmt: off
    host: str = option(
        "127.0.0.1", Host(), "Address", "0.0.0.0",
        "name or address to listen on; localhost: every address that it resolves to, :: also IPv4,"
        " * every address", until_restart=True,
    )
    port: int = option(
        8000, Integer(0, 65535, "PORT"), "Address", "8001",
        "port to listen on; 0: a free one; the variable PORT sets it too, and then the default "
        "host is 0.0.0.0", variable_too="PORT", until_restart=True,
    )
    bind: tuple[Address, ...] = option(
        (), Binds(split=False), "Address", "127.0.0.1:8001",
        "listen on host:port, [v6]:port, :port, *:port or unix:PATH instead of --host and --port, "
        "or on a socket that systemd has opened: fd://N or fd://NAME; proxy:// before any of them: "
        "connections begin with a PROXY header; repeatable",
        short="-b", until_restart=True,
    )
    unix_mode: int | None = option(
        None, Mode("the permissions of the socket file in octal, 000 to 777"), "Address", "660",
        "permissions of a Unix socket, in octal", shown="666 & ~umask", until_restart=True,
    )
    backlog: int = option(
        2048, Integer(1, 65535), "Address", "4096",
        "connections that the kernel holds until they are accepted, per listener",
        until_restart=True,
    )

    app: str = option(
        "", String("module:attribute", "APP"), "Application", "main:app",
        "the application: module:attribute, e.g. main:app or 'main:create_app()'",
        shown="none", positional=True, has_variable=False, for_command_only=True,
    )
    factory: bool = option(
        False, Flag(), "Application", "1",
        "call the attribute without arguments to get the application, like 'app:create_app()'",
        for_path_only=True,
    )
    chdir: str = option(
        "", String("a directory", "DIR"), "Application", "/srv/project",
        "change to this directory first; all relative paths start there",
        shown="none", for_path_only=True, starts_at_file=True,
    )
    pythonpath: tuple[str, ...] = option(
        (), Directories(split=True), "Application", "lib,plugins",
        "directories to import from, before all others; repeatable", for_path_only=True,
    )

    env: tuple[Variable, ...] = option(
        (), Variables(split=False), "Application", "DEBUG=1",
        "set a variable for the application; the table [env] of the settings file sets those that"
        " the server has not inherited; repeatable", for_command_only=True,
    )
    env_file: tuple[str, ...] = option(
        (), Files(split=False), "Application", "prod.env",
        "set the variables in the lines NAME=VALUE of this file, unless [env] or the inherited"
        " environment has them; repeatable", for_command_only=True,
    )

    config: str = option(
        "", String("a TOML file", "FILE"), "Settings", "site.toml",
        "read this settings file; a key is the name of an option, e.g. threads = 8",
        shown="iotax.toml, else [tool.iotax] of pyproject.toml",
        has_key=False, for_command_only=True, until_restart=True,
    )
    no_config: bool = option(
        False, Flag(), "Settings", "1",
        "read no settings file", has_key=False, for_command_only=True, until_restart=True,
    )
    check_config: bool = option(
        False, Flag(), "Settings", "1",
        "read all settings and load the application, then exit: 0 if the server could start",
        has_variable=False, has_key=False, for_command_only=True,
    )
    print_config: bool = option(
        False, Flag(), "Settings", "1",
        "print every setting with its value and its source, then exit",
        has_variable=False, has_key=False, for_command_only=True,
    )
    format: str = option(
        "toml", Choice("toml", "json"), "Settings", "json",
        "how --print-config prints; toml: as a settings file",
        has_variable=False, has_key=False, for_command_only=True,
    )

    workers: int = option(
        1, Integer(0, WORKERS_MAX), "Processes", "4",
        "worker processes; 0: no supervisor, serve in this process; the variable "
        "WEB_CONCURRENCY sets it too", short="-w", variable_too="WEB_CONCURRENCY",
        for_command_only=True,
    )
    preload: bool = option(
        False, Flag(), "Processes", "1",
        "import the application once, and fork the workers from that process",
        for_command_only=True, needs_supervisor=True, until_restart=True,
    )
    boot_timeout: float = option(
        60.0, Time(), "Processes", "5m",
        "time to get a worker ready, else give up with exit code 3; 0: no limit",
        for_command_only=True, needs_supervisor=True,
    )
    max_requests: int = option(
        0, Integer(0, 2**63 - 1), "Processes", "10000",
        "replace a worker after this number of requests; 0: never",
        for_command_only=True, needs_supervisor=True,
    )
    max_requests_jitter: int | None = option(
        None, Integer(0, 2**63 - 1), "Processes", "500",
        "random extra requests, at most this number, so that workers are not replaced together",
        shown="10 % of --max-requests", for_command_only=True, needs_supervisor=True,
    )
    worker_lifetime: float = option(
        0.0, Time(), "Processes", "24h",
        "replace a worker after this time; 0: never", for_command_only=True, needs_supervisor=True,
    )
    worker_max_rss: int = option(
        0, Size(0), "Processes", "512M",
        "replace a worker whose resident memory is above this; 0: never",
        for_command_only=True, needs_supervisor=True,
    )

    hooks: str = option(
        "", ModuleName(), "Processes", "mysite.hooks",
        "call worker_start, worker_ready, worker_exit and child_exit of this module",
        shown="none", for_command_only=True,
    )
    umask: int | None = option(
        None, Mode("a file mode creation mask in octal, 000 to 777"), "Processes", "027",
        "permissions that new files and sockets do not get, in octal",
        shown="unchanged", for_command_only=True, until_restart=True,
    )
    pid_file: str = option(
        "", String("a file", "FILE"), "Processes", "/run/mysite/iotax.pid",
        "write the process id of the server to this file, and remove it at the end",
        shown="none", for_command_only=True, until_restart=True,
    )
    user: str = option(
        "", String("the name or number of a user", "USER"), "Processes", "www-data",
        "become this user after sockets and log files are opened, before the application is"
        " imported; needs root", shown="unchanged", for_command_only=True, until_restart=True,
    )
    group: str = option(
        "", String("the name or number of a group", "GROUP"), "Processes", "www-data",
        "become this group in the same way", shown="unchanged; with --user, the user's",
        for_command_only=True, until_restart=True,
    )

    admin: Address | None = option(  # noqa: RUF009  an Address is immutable
        None, Bind(), "Health and metrics", "127.0.0.1:9100",
        "serve /livez, /readyz, /metrics, /status and a page for people on this address",
        shown="none", until_restart=True,
    )
    health_path: str = option(
        "", TargetPath(), "Health and metrics", "/healthz",
        "respond to GET and HEAD of this path without the application: 200, or 503 when the server"
        " stops", shown="none",
    )
    health_log: bool = option(
        False, Flag(), "Health and metrics", "1",
        "log requests to --health-path in the access log",
    )
    statsd_host: Address | None = option(  # noqa: RUF009  the same
        None, Receiver(), "Health and metrics", "127.0.0.1:8125",
        "send counts of requests and log lines to this statsd, with gunicorn's names: host:port,"
        " [v6]:port or unix:PATH", shown="none",
    )
    statsd_prefix: str = option(
        "", MetricPrefix(), "Health and metrics", "site",
        "what stands before these names, with a dot between", shown="none",
    )
    dogstatsd_tags: str = option(
        "", MetricTags(), "Health and metrics", "service:web,region:eu",
        "tags of each line for statsd, in the form of DogStatsD", shown="none",
    )

    reload: bool = option(
        False, Flag(), "Development", "1",
        "run the new code after a file is saved, and show its errors as a page",
        for_command_only=True, needs_supervisor=True, until_restart=True,
    )
    reload_dir: tuple[str, ...] = option(
        (), Directories(split=True), "Development", "src,templates",
        "directories to watch; repeatable", shown="the current directory",
        for_command_only=True, needs_supervisor=True, until_restart=True,
    )
    reload_include: tuple[str, ...] = option(
        (), Patterns(), "Development", "*.toml,*.sql",
        "names or paths of files to watch in addition; repeatable",
        shown=" ".join(RELOAD_INCLUDE),
        for_command_only=True, needs_supervisor=True, until_restart=True,
    )
    reload_exclude: tuple[str, ...] = option(
        (), Patterns(), "Development", "*_pb2.py,tests",
        "names or paths of files and directories not to watch, in addition; repeatable",
        shown=" ".join(RELOAD_EXCLUDE),
        for_command_only=True, needs_supervisor=True, until_restart=True,
    )
    reload_poll: bool = option(
        False, Flag(), "Development", "1",
        "poll the files instead of asking the kernel, for network and container mounts",
        for_command_only=True, needs_supervisor=True, until_restart=True,
    )
    reload_cold: bool = option(
        False, Flag(), "Development", "1",
        "import all modules again, not only those of the project",
        for_command_only=True, needs_supervisor=True, until_restart=True,
    )

    threads: int = option(
        1, Integer(1, 1000), "Capacity", "8",
        "concurrent calls of the application", until_restart=True,
    )
    max_connections: int = option(
        0, Integer(0, 10_000_000), "Capacity", "5000",
        "open connections; 0: the hard limit on descriptors - 64, minus the files that bodies need",
        shown="descriptor limit - 64",
    )
    max_queued: int = option(
        1024, Integer(1, 10_000_000), "Capacity", "256",
        "requests that wait for a thread; requests beyond it get 503 with Retry-After",
    )
    queue_timeout: float = option(
        30.0, Time(), "Capacity", "10s",
        "time that a request may wait for a thread, else 503; 0: no limit",
    )

    limit_head: int = option(
        64 * KIB, Size(1, HEAD_BYTES_MAX), "Limits", "128K",
        "request line and headers together (431)",
    )
    limit_request_line: int = option(
        8 * KIB, Size(1, HEAD_BYTES_MAX), "Limits", "16K",
        "request line (414)",
    )
    limit_field: int = option(
        16 * KIB, Size(1, HEAD_BYTES_MAX), "Limits", "32K",
        "one header (431)",
    )
    limit_fields: int = option(
        100, Integer(1, 10_000), "Limits", "200",
        "number of headers (431)",
    )
    limit_body: int = option(
        MIB, Size(0), "Limits", "10M",
        "request body (413, before it is read); 0: no limit",
    )

    keep_alive: float = option(
        15.0, Time(), "Timeouts", "75s",
        "close idle connections after this time; 0: no limit",
    )
    keep_alive_requests: int = option(
        100, Integer(0, 2**32 - 1), "Timeouts", "1000",
        "requests per connection; 0: no limit",
    )
    receive_timeout: float = option(
        10.0, Time(), "Timeouts", "30s",
        "time for a complete head (408), and between two reads of a body; 0: no limit",
    )
    send_timeout: float = option(
        30.0, Time(), "Timeouts", "60s",
        "time in which a client may acknowledge nothing; three times as long while its average is"
        " above --min-rate; 0: no limit",
    )
    min_rate: int = option(
        500, Size(0, unit="bytes per second"), "Timeouts", "2K",
        "lowest average rate of request bodies and responses in bytes per second, after a grace"
        " period of 10 s; 0: no limit", shown="500 B/s",
    )

    no_request_buffering: bool = option(
        False, Flag(), "Bodies and responses", "1",
        "call the application after the head, and let it read the body as it arrives, at 64 KiB/s"
        " or more; a chunked body is still received before the call",
    )
    body_memory: int = option(
        256 * KIB, Size(), "Bodies and responses", "1M",
        "memory for a request body; for all together 64 MiB or 64 bodies; the rest goes to an"
        " unlinked temporary file",
    )
    answer_memory: int = option(
        MIB, Size(), "Bodies and responses", "4M",
        "memory for an unsent response; for all together 256 MiB or 64 responses; the rest goes to"
        " unlinked temporary files",
    )
    spool_dir: str = option(
        "", String("a directory", "DIR"), "Bodies and responses", "/var/tmp",
        "directory of the temporary files", shown="the system's",
    )
    spool_max: int = option(
        GIB, Size(0), "Bodies and responses", "4G",
        "total size of temporary files of a worker; requests beyond it get 503, a body larger than"
        " it 413; responses wait, and leave a quarter to bodies",
    )
    server_header: str = option(
        "iotax", String("visible ASCII, or nothing", "TEXT", empty=True, field=True),
        "Bodies and responses", "web",
        "Server header of every response; empty: none",
    )

    request_id_header: str = option(
        "", FieldName(), "Bodies and responses", "X-Request-ID",
        "header with the request id, added to every response that lacks it", shown="none",
    )

    slow_request: float = option(
        0.0, Time(), "Deadlines", "2s",
        "log the stack of a call that takes longer; 0: never", shown="off",
    )
    request_timeout: float = option(
        0.0, Time(), "Deadlines", "30s",
        "time until the application starts its response (504), and between two blocks of it; 0: no"
        " limit", shown="off",
    )
    request_timeout_grace: float = option(
        5.0, Time(), "Deadlines", "10s",
        "give up a thread that does not return within this time after that",
    )
    request_timeout_action: str = option(
        "raise", Choice("log", "answer", "raise", "replace"), "Deadlines", "answer",
        "what follows --request-timeout; log: log the stack; answer: also respond; raise: also "
        "raise iotax.RequestTimeout; replace: respond and replace the worker",
    )

    graceful_timeout: float = option(
        30.0, Time(), "Stopping", "60s",
        "time to finish requests in progress when stopping; 0: abort them immediately",
        shown="30 s; 0.5 s with --reload",
    )
    shutdown_delay: float = option(
        0.0, Time(), "Stopping", "5s",
        "continue to accept for this time after TERM, for load balancers",
    )

    forwarded_allow_ips: tuple[str, ...] = option(
        (), Peers(split=True), "Behind a proxy", "127.0.0.1,10.0.0.0/8",
        "peers whose X-Forwarded headers and X-Request-ID are trusted: addresses, networks, unix, "
        "*", variable_too="FORWARDED_ALLOW_IPS",
    )
    forwarded_headers: tuple[str, ...] = option(
        ("for", "proto"), Words("for", "proto", "host", "port", "prefix", "forwarded"),
        "Behind a proxy", "for,proto,host,prefix",
        "X-Forwarded headers of these peers that are trusted, those that the proxy sets itself: "
        "for, proto, host, port, prefix; forwarded: the first three are those of Forwarded"
        " (RFC 7239) instead",
    )

    proxy_protocol_from: tuple[str, ...] = option(
        ("127.0.0.1", "::1", "unix"), Peers(split=True), "Behind a proxy", "10.0.0.0/8",
        "peers of proxy:// listeners that may send a PROXY header, in the forms of"
        " --forwarded-allow-ips; others are disconnected",
    )

    log_level: str = option(
        "info", Choice("debug", "info", "warning", "error", "critical"), "Logs", "warning",
        "lowest level of the lines in the server log",
    )
    access_log: bool = option(
        True, Flag(), "Logs", "0",
        "log one line per request", negative=True,
    )
    access_log_format: str | None = option(
        None, LineFormat(), "Logs", "combined",
        "lines of the access log: default, combined, json, or a text with gunicorn's atoms",
        shown="default; json with --log-format json",
    )
    log_format: str = option(
        "text", Choice("text", "json"), "Logs", "json",
        "lines of the server log; json: one record per line, also for what is shown at the start",
    )
    access_logfile: str = option(
        "-", String("a file, or - for standard output", "FILE"), "Logs", "access.log",
        "file of the access log; -: standard output", until_restart=True,
    )
    error_logfile: str = option(
        "-", String("a file, or - for standard error", "FILE"), "Logs", "server.log",
        "file of the server log; -: standard error", until_restart=True,
    )
    color: str = option(
        "auto", Choice("auto", "always", "never"), "Logs", "never",
        "colors in the log; auto: on a terminal, or as NO_COLOR or FORCE_COLOR says",
    )
    # fmt: on

    @property
    def addresses(self) -> tuple[Address, ...]:
        return self.bind or (TcpAddress(self.host, self.port),)

    @property
    def named_addresses(self) -> tuple[Address, ...]:
        """`addresses`, and that of the admin listener."""
        return self.addresses if self.admin is None else (*self.addresses, self.admin)

    def option_of(self, address: Address) -> str:
        """The name of the option that gave one of `named_addresses`."""
        return "admin" if address is self.admin else "bind"

    @property
    def watches_workers(self) -> bool:
        """Whether the supervisor has to watch workers while requests run."""
        return self.worker_max_rss > 0 or self.slow_request > 0 or self.request_timeout > 0

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines to log at the start: consequences of this configuration."""
        if "*" in self.forwarded_allow_ips and "for" in self.forwarded_headers:
            header = "Forwarded" if "forwarded" in self.forwarded_headers else "X-Forwarded-For"
            return (
                "Every peer is trusted (--forwarded-allow-ips *): the last address in"
                f" {header} is the client",
            )
        return ()

    def worker_options(
        self, *, interactive: bool = False, supervised: bool = False, access_log_time: bool = False
    ) -> dict[str, object]:
        """The `options` of _iotax.Worker. Call it for each worker: `max_requests` includes a
        random jitter."""
        names = [key for key in WORKER_KEYS if key in OPTIONS]
        jitter = self.max_requests // 10
        if self.max_requests_jitter is not None:
            jitter = self.max_requests_jitter
        by_log_format = {"text": "default", "json": "json"}
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
            "proxy_protocol_from": list(self.proxy_protocol_from),
            "server_name": address.host if known and isinstance(address, TcpAddress) else "",
            "max_requests": self.max_requests and self.max_requests + _up_to(jitter),
            "multiprocess": supervised,  # a replacement runs at the same time as the worker
            "interactive": interactive,
            "tells_when_busy": self.watches_workers,
            "access_log_format": self.access_log_format or by_log_format[self.log_format],
            "access_log_time": access_log_time,
            "log_traces": self.log_format == "json",
            "statsd": self.statsd_host is not None,
        }


def _up_to(most: int) -> int:
    """A random number from 0 to `most`. (The module random takes a millisecond to import.)"""
    return int.from_bytes(os.urandom(8), "big") % (most + 1)


OPTIONS: Final[Mapping[str, Option]] = {
    row.name: row.metadata["option"].named(row.name) for row in fields(Config)
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
    "proxy_protocol_from",
    "server_header",
    "access_log",
    "access_log_format",
    "access_log_time",
    "log_traces",
    "statsd",
    "request_id_header",
    "health_path",
    "health_log",
    "server_name",
    "multiprocess",
    "interactive",
    "tells_when_busy",
)
