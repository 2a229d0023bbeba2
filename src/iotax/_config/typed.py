"""The keyword arguments of the library, for type checkers.

Written by docs/generate.py from the table of options.
"""

from collections.abc import Sequence
from typing import TypedDict


class ServerOptions(TypedDict, total=False):
    """The options of Config for a loaded application; sizes and times also as strings ("10M",
    "30s")."""

    bind: str | Sequence[str]
    unix_mode: int | str | None
    backlog: int
    admin: str | None
    health_path: str
    health_log: bool
    statsd_host: str | None
    statsd_prefix: str
    dogstatsd_tags: str
    threads: int
    max_connections: int
    max_queued: int
    queue_timeout: float | str
    limit_head: int | str
    limit_request_line: int | str
    limit_field: int | str
    limit_fields: int
    limit_body: int | str
    keep_alive: float | str
    keep_alive_requests: int
    receive_timeout: float | str
    send_timeout: float | str
    min_rate: int | str
    no_request_buffering: bool
    body_memory: int | str
    answer_memory: int | str
    spool_dir: str
    spool_max: int | str
    server_header: str
    request_id_header: str
    slow_request: float | str
    request_timeout: float | str
    request_timeout_grace: float | str
    request_timeout_action: str
    graceful_timeout: float | str
    shutdown_delay: float | str
    forwarded_allow_ips: str | Sequence[str]
    forwarded_headers: str | Sequence[str]
    proxy_protocol_from: str | Sequence[str]
    log_level: str
    access_log: bool
    access_log_format: str | None
    log_format: str
    access_logfile: str
    error_logfile: str
    color: str


class PathOptions(ServerOptions, total=False):
    """Also the options for loading an application."""

    factory: bool
    chdir: str
    pythonpath: str | Sequence[str]
