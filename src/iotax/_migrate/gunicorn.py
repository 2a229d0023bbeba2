"""What becomes of each setting of gunicorn, and of its defaults.

https://docs.gunicorn.org/en/stable/settings.html; the names are those of VERSION.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from iotax._migrate.command_line import APP
from iotax._migrate.common import (
    ALWAYS,
    LOG_FILES,
    PASTE,
    PROCESS_NAMES,
    SHARED_LISTENER,
    SYSTEMD,
    THREADS,
    TLS,
    has_unix_socket,
    integer,
    number_of_workers,
    withdraw_what_cannot_be_combined,
    without_key,
    write_out_common_defaults,
)
from iotax._migrate.draft import Draft, NotCarriedOver, Row, accepted, maximum_of
from iotax._migrate.setting import Setting

VERSION: Final = "27.0.1"
_ASGI = "for ASGI, and WSGI is the only interface"
_DIRTY = "iotax has no processes for jobs; use a task queue"
_HTTP2 = "iotax speaks HTTP/1.1; let a proxy speak HTTP/2"
_GRAMMAR = "iotax has one strict grammar"
_LOGGING = "iotax does not configure Python's logging; do that in the application"
_NO_HOOK = "iotax has no hook for it"
_PER_REQUEST = "use middleware"
_COMMAND = "not a setting: it is for one run of the command"


def _limit_of(key: str) -> Callable[[object], object]:
    """0 means no limit in the other server; iotax always has one."""

    def convert(value: object) -> object:
        number = integer(value)
        if not isinstance(number, int):
            return number
        most = maximum_of(key)
        return min(number, most) if number > 0 else most

    return convert


def _worker_class(value: object) -> object:
    if isinstance(value, str) and re.search("asgi|uvicorn", value, re.I):
        raise NotCarriedOver("WSGI is the only interface")
    if value in ("sync", "gthread"):
        raise NotCarriedOver("not needed: threads are native")
    raise NotCarriedOver(THREADS)


def _reload_engine(value: object) -> object:
    if value != "poll":
        raise NotCarriedOver("not needed: iotax asks the kernel, unless reload-poll is set")
    return True


def _protocol(value: object) -> object:
    if value == "http":
        raise NotCarriedOver("not needed: HTTP is the only protocol")
    raise NotCarriedOver("HTTP is the only protocol; in nginx use proxy_pass")


def _statsd_host(value: object) -> object:
    """gunicorn adds the usual port, and knows unix:NUMBER as a host called unix."""
    if isinstance(value, str) and re.fullmatch("unix:[0-9]+", value):
        raise NotCarriedOver("unix: is followed by a path")
    if isinstance(value, str) and not re.search(r":[^\]]*$", value):
        return f"{value}:8125"
    return value


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _umask(value: object) -> object:
    """gunicorn also reads "022" as octal."""
    if isinstance(value, str) and re.fullmatch("0[0-7]+", value):
        return value
    number = integer(value)
    return f"{number:o}" if isinstance(number, int) and number >= 0 else number


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


ROWS: Final[Mapping[str, Row]] = {
    "config": without_key("run iotax migrate on that file too", "-c", "--config"),
    "wsgi_app": Row("app"),
    "bind": Row("bind", flags=("-b", "--bind")),
    "backlog": Row("backlog", convert=integer, flags=("--backlog",)),
    "workers": Row("workers", convert=number_of_workers, flags=("-w", "--workers")),
    "worker_class": Row("", THREADS, _worker_class, ("-k", "--worker-class")),
    "threads": Row("threads", convert=integer, flags=("--threads",)),
    "worker_connections": Row(
        "max-connections", "open connections of a worker", integer, ("--worker-connections",)
    ),
    "max_requests": Row("max-requests", convert=integer, flags=("--max-requests",)),
    "max_requests_jitter": Row(
        "max-requests-jitter", convert=integer, flags=("--max-requests-jitter",)
    ),
    "timeout": Row(
        "request-timeout",
        "a call over it gets a 504, and the worker stays",
        integer,
        ("-t", "--timeout"),
    ),
    "graceful_timeout": Row("graceful-timeout", convert=integer, flags=("--graceful-timeout",)),
    "keepalive": Row("keep-alive", convert=integer, flags=("--keep-alive",)),
    "limit_request_line": Row(
        "limit-request-line",
        "0 becomes the maximum",
        _limit_of("limit-request-line"),
        ("--limit-request-line",),
    ),
    "limit_request_fields": Row(
        "limit-fields",
        "0 becomes the maximum",
        _limit_of("limit-fields"),
        ("--limit-request-fields",),
    ),
    "limit_request_field_size": Row(
        "limit-field",
        "0 becomes the maximum",
        _limit_of("limit-field"),
        ("--limit-request-field_size",),
    ),
    "reload": Row("reload", flags=("--reload",), switch=True),
    "reload_engine": Row("reload-poll", '"poll" only', _reload_engine, ("--reload-engine",)),
    "reload_extra_files": Row("reload-include", flags=("--reload-extra-file",)),
    "spew": without_key("use a debugger, or the signal USR2", "--spew", switch=True),
    "check_config": without_key(_COMMAND, "--check-config", switch=True),
    "print_config": without_key(_COMMAND, "--print-config", switch=True),
    "preload_app": Row("preload", flags=("--preload",), switch=True),
    "sendfile": without_key("not needed: iotax chooses", "--no-sendfile", switch=False),
    "reuse_port": without_key(
        SHARED_LISTENER,
        "--reuse-port",
        switch=True,
    ),
    "chdir": Row("chdir", flags=("--chdir",)),
    "daemon": without_key(SYSTEMD, "-D", "--daemon", switch=True),
    "raw_env": Row("env", flags=("-e", "--env")),
    "pidfile": Row("pid-file", flags=("-p", "--pid")),
    "worker_tmp_dir": without_key("iotax has no heartbeat files", "--worker-tmp-dir"),
    "user": Row("user", convert=_as_text, flags=("-u", "--user")),
    "group": Row("group", convert=_as_text, flags=("-g", "--group")),
    "umask": Row("umask", "for Unix sockets: unix-mode", _umask, ("-m", "--umask")),
    "initgroups": without_key(ALWAYS, "--initgroups", switch=True),
    "tmp_upload_dir": Row("spool-dir"),
    "secure_scheme_headers": without_key(
        "X-Forwarded-Proto is the only header that sets the scheme"
    ),
    "forwarded_allow_ips": Row(
        "forwarded-allow-ips",
        "gunicorn trusts Unix sockets always, iotax if unix is in the list",
        flags=("--forwarded-allow-ips",),
    ),
    "accesslog": Row("access-logfile", flags=("--access-logfile",)),
    "disable_redirect_access_to_syslog": without_key(
        LOG_FILES, "--disable-redirect-access-to-syslog", switch=True
    ),
    "access_log_format": Row("access-log-format", flags=("--access-logformat",)),
    "errorlog": Row("error-logfile", flags=("--error-logfile", "--log-file")),
    "loglevel": Row("log-level", convert=_lower, flags=("--log-level",)),
    "capture_output": without_key(
        "redirect the output of the whole process", "--capture-output", switch=True
    ),
    "logger_class": without_key(_LOGGING, "--logger-class"),
    "logconfig": without_key(_LOGGING, "--log-config"),
    "logconfig_dict": without_key(_LOGGING),
    "logconfig_json": without_key(_LOGGING, "--log-config-json"),
    "syslog_addr": without_key(LOG_FILES, "--log-syslog-to"),
    "syslog": without_key(LOG_FILES, "--log-syslog", switch=True),
    "syslog_prefix": without_key(LOG_FILES, "--log-syslog-prefix"),
    "syslog_facility": without_key(LOG_FILES, "--log-syslog-facility"),
    "enable_stdio_inheritance": without_key(
        ALWAYS, "-R", "--enable-stdio-inheritance", switch=True
    ),
    "statsd_host": Row("statsd-host", convert=_statsd_host, flags=("--statsd-host",)),
    "dogstatsd_tags": Row("dogstatsd-tags", flags=("--dogstatsd-tags",)),
    "statsd_prefix": Row("statsd-prefix", flags=("--statsd-prefix",)),
    "enable_backlog_metric": without_key(
        "iotax has other statistics", "--enable-backlog-metric", switch=True
    ),
    "proc_name": without_key(PROCESS_NAMES, "-n", "--name"),
    "default_proc_name": without_key("gunicorn sets it itself"),
    "pythonpath": Row("pythonpath", flags=("--pythonpath",)),
    "paste": without_key(PASTE, "--paste", "--paster"),
    "on_starting": without_key(_NO_HOOK),
    "on_reload": without_key(_NO_HOOK),
    "when_ready": without_key(_NO_HOOK),
    "pre_fork": without_key(_NO_HOOK),
    "post_fork": Row("hooks", "worker_start of a hooks module"),
    "post_worker_init": Row("hooks", "worker_ready of a hooks module"),
    "worker_int": without_key(_NO_HOOK),
    "worker_abort": without_key("set request-timeout and slow-request, which log the stack"),
    "pre_exec": without_key(_NO_HOOK),
    "pre_request": without_key(_PER_REQUEST),
    "post_request": without_key(_PER_REQUEST),
    "child_exit": Row("hooks", "child_exit of a hooks module"),
    "worker_exit": Row("hooks", "worker_exit of a hooks module"),
    "nworkers_changed": without_key(_NO_HOOK),
    "on_exit": without_key(_NO_HOOK),
    "ssl_context": without_key(TLS),
    "proxy_protocol": Row("bind", "proxy:// before each address", flags=("--proxy-protocol",)),
    "proxy_allow_ips": Row("proxy-protocol-from", flags=("--proxy-allow-from",)),
    "protocol": Row("", "HTTP is the only protocol", _protocol, ("--protocol",)),
    "uwsgi_allow_ips": without_key("HTTP is the only protocol", "--uwsgi-allow-from"),
    "keyfile": without_key(TLS, "--keyfile"),
    "certfile": without_key(TLS, "--certfile"),
    "ssl_version": without_key(TLS, "--ssl-version"),
    "cert_reqs": without_key(TLS, "--cert-reqs"),
    "ca_certs": without_key(TLS, "--ca-certs"),
    "suppress_ragged_eofs": without_key(TLS, "--suppress-ragged-eofs", switch=True),
    "do_handshake_on_connect": without_key(TLS, "--do-handshake-on-connect", switch=True),
    "ciphers": without_key(TLS, "--ciphers"),
    "http_protocols": without_key(_HTTP2, "--http-protocols"),
    "http2_cleartext": without_key(_HTTP2, "--http2-cleartext"),
    "http2_max_concurrent_streams": without_key(_HTTP2, "--http2-max-concurrent-streams"),
    "http2_initial_window_size": without_key(_HTTP2, "--http2-initial-window-size"),
    "http2_max_frame_size": without_key(_HTTP2, "--http2-max-frame-size"),
    "http2_max_header_list_size": without_key(_HTTP2, "--http2-max-header-list-size"),
    "raw_paste_global_conf": without_key(
        "pass it to paste.deploy.loadapp as global_conf", "--paste-global"
    ),
    "permit_obsolete_folding": without_key(_GRAMMAR, "--permit-obsolete-folding", switch=True),
    "strip_header_spaces": without_key(_GRAMMAR, "--strip-header-spaces", switch=True),
    "permit_unconventional_http_method": without_key(
        _GRAMMAR, "--permit-unconventional-http-method", switch=True
    ),
    "permit_unconventional_http_version": without_key(
        _GRAMMAR, "--permit-unconventional-http-version", switch=True
    ),
    "casefold_http_method": without_key(_GRAMMAR, "--casefold-http-method", switch=True),
    "forwarder_headers": without_key(
        "of the proxy's headers, only those of forwarded-headers count", "--forwarder-headers"
    ),
    "header_map": without_key(
        "headers with an underscore never reach the application", "--header-map"
    ),
    "asgi_loop": without_key(_ASGI, "--asgi-loop"),
    "asgi_lifespan": without_key(_ASGI, "--asgi-lifespan"),
    "asgi_disconnect_grace_period": without_key(_ASGI, "--asgi-disconnect-grace-period"),
    "websocket_max_message_size": without_key(_ASGI, "--websocket-max-message-size"),
    "http_parser": without_key(_GRAMMAR, "--http-parser"),
    "root_path": without_key(_ASGI, "--root-path"),
    "dirty_apps": without_key(_DIRTY, "--dirty-app"),
    "dirty_workers": without_key(_DIRTY, "--dirty-workers"),
    "dirty_timeout": without_key(_DIRTY, "--dirty-timeout"),
    "dirty_threads": without_key(_DIRTY, "--dirty-threads"),
    "dirty_graceful_timeout": without_key(_DIRTY, "--dirty-graceful-timeout"),
    "on_dirty_starting": without_key(_DIRTY),
    "dirty_post_fork": without_key(_DIRTY),
    "dirty_worker_init": without_key(_DIRTY),
    "dirty_worker_exit": without_key(_DIRTY),
    "control_socket": without_key("send signals to the supervisor", "--control-socket"),
    "control_socket_mode": without_key("send signals to the supervisor", "--control-socket-mode"),
    "control_socket_disable": without_key(
        "not needed: iotax has no control socket", "--no-control-socket", switch=True
    ),
}


def translate(settings: Iterable[Setting]) -> Draft:
    draft = Draft()
    umask = 0
    proxied: list[Setting] = []
    threaded = False
    for setting in settings:
        match setting.name:
            case _ if setting.obstacle:
                _apply(draft, setting)
            case "bind":
                draft.carry(setting, "bind", _addresses(setting.value))
            case "raw_env":
                _carry_environment(draft, setting)
            case "accesslog" if setting.value is None:
                draft.carry(setting, "access-log", False)
            case "proxy_protocol":
                proxied.append(setting)
            case "umask":
                umask = _umask_number(setting.value)
                _apply(draft, setting)
            case _:
                _apply(draft, setting)
        threaded = threaded or _makes_threads(setting)
    for setting in proxied:
        _require_proxy_header(draft, setting)
    withdraw_what_cannot_be_combined(draft)
    _write_out_defaults(draft, umask, threaded)
    return draft


def _apply(draft: Draft, setting: Setting) -> None:
    if setting.name == APP:
        draft.carry(setting, "app", setting.value)
    elif setting.name not in ROWS:
        draft.leave_out(setting, setting.obstacle)
    elif _is_default(setting):
        draft.leave_out(setting, "it is gunicorn's default")
    else:
        draft.apply(setting, ROWS[setting.name])


def _is_default(setting: Setting) -> bool:
    """None always is one, and off for what iotax does not have."""
    row = ROWS[setting.name]
    off = setting.value is False and row.switch is True and not row.key
    return not setting.obstacle and (setting.value is None or off)


def _addresses(value: object) -> object:
    """gunicorn's forms: HOST means port 8000, and unix: may be followed by two slashes."""
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        return value
    return [_address(part) if isinstance(part, str) else part for part in parts]


def _address(text: str) -> str:
    if text.startswith("unix:"):
        return f"unix:{text.removeprefix('unix:').removeprefix('//')}"
    host = text.rpartition("]")[2] if text.startswith("[") else text
    return text if ":" in host else f"{text}:8000"


def _carry_environment(draft: Draft, setting: Setting) -> None:
    value = setting.value
    parts = [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else []
    pairs = [part.partition("=") for part in parts if isinstance(part, str) and "=" in part]
    if not pairs or len(pairs) != len(parts):
        draft.leave_out(setting, 'expected a list of "NAME=VALUE"')
        return
    draft.carry_members(setting, "env", {name: text for name, _, text in pairs})


def _umask_number(value: object) -> int:
    """gunicorn's umask, or its default."""
    try:
        return int(str(_umask(value)), 8)
    except (NotCarriedOver, ValueError):
        return 0


def _makes_threads(setting: Setting) -> bool:
    """Whether gunicorn may serve several requests in a worker, so that `timeout` bounds none."""
    usual = {"worker_class": ("sync", None), "threads": (1, "1", None)}.get(setting.name)
    return usual is not None and (bool(setting.obstacle) or setting.value not in usual)


def _require_proxy_header(draft: Draft, setting: Setting) -> None:
    if setting.value in ("off", False):
        draft.leave_out(setting, "it is gunicorn's default")
        return
    if "bind" in draft.undecided:
        draft.leave_out(setting, "write proxy:// before each address of bind")
        return
    addresses = draft.values("bind") or ["127.0.0.1:8000"]
    try:
        entry = accepted("bind", [f"proxy://{address}" for address in addresses])
    except NotCarriedOver:
        draft.leave_out(setting, "this version of iotax has no proxy:// in bind")
        return
    former = draft.keys.get("bind")
    entry.origins = [*(former.origins if former else ()), setting]
    draft.keys["bind"] = entry


def _write_out_defaults(draft: Draft, umask: int, threaded: bool) -> None:
    local = ["127.0.0.1", "::1"]
    if has_unix_socket(draft):
        local.append("unix")
        mode = f"{0o777 & ~umask:o}"
        draft.default("unix-mode", mode, "gunicorn makes the socket with its umask, 0 by default")
        trusted = draft.values("forwarded-allow-ips")
        if trusted and not {"*", "unix"} & set(trusted):
            entry = accepted("forwarded-allow-ips", [*trusted, "unix"])
            entry.origins = draft.keys["forwarded-allow-ips"].origins
            entry.note = "gunicorn trusts Unix sockets always"
            draft.keys["forwarded-allow-ips"] = entry
    draft.default("umask", "0", "gunicorn sets it")
    draft.default("forwarded-allow-ips", local, "proxies on this machine")
    draft.default("forwarded-headers", ["proto"], "the scheme, but not the client's address")
    if "access-logfile" in draft.keys:
        draft.default("access-log-format", "combined", "")
    elif "access-logfile" not in draft.undecided:
        draft.default("access-log", False, "accesslog is not set")
    if not threaded:
        draft.default("request-timeout", 30, "gunicorn kills a worker that is silent for so long")
    else:
        draft.default("keep-alive", 2, "")
    write_out_common_defaults(draft)
