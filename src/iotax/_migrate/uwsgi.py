"""What becomes of each option of uWSGI, and of its defaults.

uWSGI has about a thousand options: ROWS has those with a counterpart or a reason of their own,
GROUPS the others. https://uwsgi-docs.readthedocs.io/en/latest/Options.html
"""

import os
from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
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
    number_of_workers,
    withdraw_what_cannot_be_combined,
    without_key,
    write_out_common_defaults,
)
from iotax._migrate.draft import TABLES, Draft, NotCarriedOver, Row
from iotax._migrate.ini_file import placeholders_in
from iotax._migrate.setting import Setting

VERSION: Final = "2.0.31"
_HTTP_ONLY = "HTTP is the only protocol: use http-socket, and proxy_pass in nginx"
_ENVIRONMENT = "start the iotax of that environment, e.g. .venv/bin/iotax"
_FILES = "serve files with the proxy, or with WhiteNoise"
_ADDRESS_SPACE = "worker-max-rss bounds resident memory, not address space"


def _is_on(value: object) -> bool:
    """As uWSGI reads a switch in a file."""
    return not (isinstance(value, str) and value.lower() in ("false", "off", "no", "0"))


def _is_off(value: object) -> object:
    return not _is_on(value)


def _if_positive(value: object) -> object:
    return isinstance(value, str) and value.isdecimal() and int(value) > 0


def _megabytes(value: object) -> object:
    return f"{value}M" if isinstance(value, str) and value.isdecimal() else value


def _mode(value: object) -> object:
    return "666" if value is True else value


def _file_of_logger(value: object) -> object:
    """[NAME] PLUGIN:ARGUMENTS"""
    plugin, _, path = str(value).rpartition(" ")[2].partition(":")
    if plugin != "file" or not path:
        raise NotCarriedOver(LOG_FILES)
    return path


def _address(value: object) -> object:
    """An address without a colon is a path."""
    text = str(value).split(",")[0]
    if text.startswith("@"):
        raise NotCarriedOver("iotax has no abstract sockets; use a path")
    if text.isdecimal():
        raise NotCarriedOver("a number is a file descriptor here; write host:port")
    return text if ":" in text else f"unix:{text}"


def _listener(value: object) -> object:
    return [_address(value)]


# Without flags: --NAME.
ROWS: Final[Mapping[str, Row]] = {
    # The application
    "module": Row("app", "with callable", flags=("--module", "-w")),
    "wsgi": Row("app", "with callable"),
    "wsgi-file": Row("app", "the module of the file, with callable"),
    "file": Row("app", "the module of the file, with callable"),
    "callable": Row("app", "the attribute; application by default"),
    "mount": Row("mounts", "/prefix=APP"),
    "manage-script-name": without_key(
        "mounts set SCRIPT_NAME", "--manage-script-name", switch=True
    ),
    "chdir": Row("chdir"),
    "pythonpath": Row("pythonpath"),
    "python-path": Row("pythonpath"),
    "pp": Row("pythonpath"),
    "env": Row("env"),
    "need-app": without_key(ALWAYS, "--need-app", switch=True),
    "lazy-apps": Row("preload", "the opposite", _is_off, switch=True, flags=("--lazy-apps",)),
    "lazy": Row("preload", "the opposite", _is_off, switch=True, flags=("--lazy",)),
    "home": without_key(_ENVIRONMENT, "--home", "-H"),
    "virtualenv": without_key(_ENVIRONMENT, "--virtualenv", "-H"),
    "venv": without_key(_ENVIRONMENT, "--venv", "-H"),
    "pyhome": without_key(_ENVIRONMENT, "--pyhome", "-H"),
    "paste": without_key(PASTE),
    "ini-paste": without_key(PASTE),
    "ini-paste-logged": without_key(PASTE),
    "pecan": without_key("make the application in a module, with pecan.deploy"),
    # Addresses
    "http": Row("bind", "without a router process", _listener),
    "http-socket": Row("bind", "", _listener),
    "http11-socket": Row("bind", "", _listener),
    "socket": Row(
        "bind",
        "in HTTP: uwsgi_pass becomes proxy_pass",
        _listener,
        ("--socket", "-s"),
    ),
    "uwsgi-socket": Row(
        "bind",
        "in HTTP: uwsgi_pass becomes proxy_pass",
        _listener,
        ("--uwsgi-socket", "-s"),
    ),
    "chmod-socket": Row("unix-mode", "666 without a value", _mode, ("--chmod-socket", "-C")),
    "chmod": Row("unix-mode", "666 without a value", _mode, ("--chmod", "-C")),
    "chown-socket": without_key("the socket belongs to the user that runs iotax"),
    "listen": Row("backlog", flags=("--listen", "-l")),
    "reuse-port": without_key(
        SHARED_LISTENER,
        "--reuse-port",
        switch=True,
    ),
    "enable-proxy-protocol": without_key(
        "write proxy:// before each address of bind", "--enable-proxy-protocol", switch=True
    ),
    # Processes
    "master": without_key(ALWAYS, "--master", "-M", switch=True),
    "processes": Row("workers", "", number_of_workers, ("--processes", "-p")),
    "workers": Row("workers", "", number_of_workers, ("--workers", "-p")),
    "threads": Row("threads"),
    "enable-threads": without_key(ALWAYS, "--enable-threads", "-T", switch=True),
    "single-interpreter": without_key(ALWAYS, "--single-interpreter", "-i", switch=True),
    "thunder-lock": without_key(
        "not needed: only free threads accept", "--thunder-lock", switch=True
    ),
    "max-requests": Row("max-requests", flags=("--max-requests", "-R")),
    "max-requests-delta": without_key("max-requests-jitter is a random number, not one per worker"),
    "max-worker-lifetime": Row("worker-lifetime"),
    "reload-on-rss": Row("worker-max-rss", "in MB; without the suffix, bytes", _megabytes),
    "evil-reload-on-rss": Row("worker-max-rss", "in MB; without the suffix, bytes", _megabytes),
    "reload-on-as": without_key(_ADDRESS_SPACE),
    "evil-reload-on-as": without_key(_ADDRESS_SPACE),
    "uid": Row("user"),
    "gid": Row("group"),
    "umask": Row("umask"),
    "pidfile": Row("pid-file"),
    "pidfile2": Row("pid-file"),
    "safe-pidfile": Row("pid-file"),
    "safe-pidfile2": Row("pid-file"),
    "daemonize": without_key(SYSTEMD, "--daemonize", "-d"),
    "daemonize2": without_key(SYSTEMD),
    "py-autoreload": Row("reload", "0: off", _if_positive),
    "py-auto-reload": Row("reload", "0: off", _if_positive),
    "python-autoreload": Row("reload", "0: off", _if_positive),
    "python-auto-reload": Row("reload", "0: off", _if_positive),
    # Timeouts and limits
    "harakiri": Row(
        "request-timeout", 'with request-timeout-action = "replace"', flags=("--harakiri", "-t")
    ),
    "reload-mercy": Row("graceful-timeout"),
    "worker-reload-mercy": Row("graceful-timeout"),
    "socket-timeout": Row("receive-timeout", flags=("--socket-timeout", "-z")),
    "socket-send-timeout": Row("send-timeout"),
    "socket-write-timeout": Row("send-timeout"),
    "so-send-timeout": Row("send-timeout"),
    "so-write-timeout": Row("send-timeout"),
    "http-keepalive": Row("keep-alive"),
    "limit-post": Row("limit-body"),
    "buffer-size": Row("limit-head", flags=("--buffer-size", "-b")),
    "http-buffer-size": Row("limit-head"),
    "post-buffering": without_key("bodies are received before the call: body-memory, spool-dir"),
    # Stopping
    "die-on-term": without_key(ALWAYS, "--die-on-term", switch=True),
    "vacuum": without_key(ALWAYS, "--vacuum", switch=True),
    # Logs and statistics
    "disable-logging": Row(
        "access-log", "the opposite", _is_off, ("--disable-logging", "-L"), switch=True
    ),
    "logto": Row("error-logfile", "the access log goes to access-logfile"),
    "logto2": Row("error-logfile", "the access log goes to access-logfile"),
    "logger": Row("error-logfile", "file:PATH only", _file_of_logger),
    "req-logger": Row("access-logfile", "file:PATH only", _file_of_logger),
    "logger-req": Row("access-logfile", "file:PATH only", _file_of_logger),
    "log-format": without_key("the variables of uWSGI have no counterpart"),
    "logformat": without_key("the variables of uWSGI have no counterpart"),
    "log-x-forwarded-for": without_key(
        "the client's address comes from forwarded-allow-ips",
        "--log-x-forwarded-for",
        switch=True,
    ),
    "stats": Row("admin", "JSON at /status", _address),
    "stats-server": Row("admin", "JSON at /status", _address),
    # Files
    "static-map": Row("static", "/prefix=DIRECTORY"),
}
# Patterns of names, each with the reason why iotax has no counterpart. The first match applies.
GROUPS: Final[tuple[tuple[str, str], ...]] = (
    ("cheap cheaper* idle die-on-idle", "the number of workers does not follow the load"),
    ("*cron*", "use cron, or a timer of systemd"),
    ("*spool* mule* *-as-mule *-mules-* farm", "use a task queue"),
    (
        "emperor* *-emperor* *-vassal* vassal* early-* imperial-* attach-* smart-attach-*"
        " daemons-* legion* unique-legion*",
        "use a unit of systemd for each program",
    ),
    (
        "*subscri* fastrouter* rawrouter* sslrouter* zerg* puwsgi-*",
        "use a proxy or load balancer",
    ),
    ("https* ssl-* suwsgi-* sni*", TLS),
    ("httprouter http-*", "workers accept HTTP connections themselves, without a router process"),
    ("fastcgi-* scgi-* raw-* udp multicast* protocol socket-protocol", _HTTP_ONLY),
    ("*static* *serve-mode mime* honour-range disable-sendfile", _FILES),
    ("offload-*", "not needed: an application thread does not wait for clients"),
    (
        "*cache* queue* sharedarea* *-sharedarea rpc-* lock* signal* timer rbtimer flock*",
        "use Redis, memcached or a database",
    ),
    ("gevent* async ugreen* loop*", THREADS),
    (
        "*-header *response-header* error-page-* inject-*",
        "use the proxy, or middleware",
    ),
    ("if* for for-* end* else", "conditions are not evaluated"),
    (
        "ini include inherit config yaml yml xml xmlconfig json fallback-config",
        "other files are not read; run iotax migrate on each .ini",
    ),
    ("set set-ph set-placeholder declare-option*", "a placeholder"),
    ("*plugin* autoload dlopen", "Python is the only language, and needs no plugin"),
    ("*reload* fs-* touch-* master-fifo", "send HUP to the supervisor"),
    ("*log-* *logger* logdate logfile* rsyslog-*", LOG_FILES),
    (
        "carbon* rrdtool* snmp* nagios *metric* stats-* *alarm* memory-report mem-*",
        "iotax has other statistics",
    ),
    ("procname* auto-procname", PROCESS_NAMES),
    (
        "harakiri-* no-harakiri*",
        "request-timeout has its own log lines and options",
    ),
    (
        "exec-* call-* hook-* mount-* umount-* cgroup* namespace* ns ns-* setns* unshare* chroot"
        " jailed pivot?root ksm prio cpu-affinity limit-* refork* re-fork* wait-* drop-after-*"
        " *privileged-* no-initgroups add-gid immediate-* worker-exec* worker-mount tcp-*"
        " socket-* freebind",
        "use the settings of systemd or of the container",
    ),
    (
        "py* *python* wsgi-* web3 *-pymodule-* catch-exceptions symcall* eval import *-import"
        " mode vhost* no-site",
        "iotax has one way to load and call an application",
    ),
    (
        "strict blacklist whitelist ignore-* write-errors-* disable-write-exception"
        " no-orphans no-defer-accept"
        " so-keepalive close-on-exec* master-as-root threads-* thread-* no-threads-wait",
        "not needed",
    ),
    (
        "help usage version test *-list show-config dump-options cflags dot-h extract print*"
        " iprint exit stop pause suspend resume connect-and-read get",
        "not a setting: it is for one run of the command",
    ),
    ("*", "iotax has no counterpart"),
)
# Options of GROUPS without a value, which a command line may have.
_SWITCHES: Final = (
    "strict ignore-sigpipe ignore-write-errors disable-write-exception no-orphans log-master"
    " log-date log-micros log-zero log-4xx log-5xx auto-procname no-site memory-report"
    " py-tracebacker harakiri-verbose abstract-socket vhost gevent-monkey-patch catch-exceptions"
    " http-raw-body http-websockets http-auto-chunked http-auto-gzip so-keepalive tcp-nodelay"
    " cheap never-swap static-gzip-all no-defer-accept version help"
)


def _rows() -> Mapping[str, Row]:
    """ROWS with the flags of each."""
    names = {name: Row(note=reason_of(name), switch=True) for name in _SWITCHES.split()}
    return {
        name: row if row.flags else replace(row, flags=(f"--{name}",))
        for name, row in (names | dict(ROWS)).items()
    }


def reason_of(name: str) -> str:
    """Why an option that is not in ROWS has no counterpart."""
    return next(
        reason
        for patterns, reason in GROUPS
        if any(fnmatchcase(name, pattern) for pattern in patterns.split())
    )


COMMAND_LINE: Final[Mapping[str, Row]] = _rows()
_APPLICATION: Final = ("module", "wsgi", "wsgi-file", "file")
_OTHER_FILES: Final = (".ini", ".xml", ".yaml", ".yml", ".json")


def translate(settings: Iterable[Setting]) -> Draft:
    draft = Draft()
    settings = list(settings)
    placeholders = set(placeholders_in(settings))
    named: list[Setting] = []
    attribute: list[Setting] = []
    proxied = False
    for setting in settings:
        row = ROWS.get(setting.name)
        if setting.name == APP and str(setting.value).endswith(_OTHER_FILES):
            draft.leave_out(setting, reason_of("ini"))
        elif setting.name in _APPLICATION or setting.name == APP:
            named.append(setting)
        elif setting.name == "callable":
            attribute.append(setting)
        elif row is None:
            draft.leave_out(setting, _reason(setting, placeholders))
        elif setting.obstacle:
            draft.apply(setting, row)
        elif row.key in TABLES:
            _carry_pair(draft, setting, row.key)
        else:
            draft.apply(setting, row)
            proxied = proxied or setting.name in ("socket", "uwsgi-socket")
    _carry_application(draft, named, attribute)
    withdraw_what_cannot_be_combined(draft)
    _write_out_defaults(draft, proxied)
    return draft


def _reason(setting: Setting, placeholders: Container[str]) -> str:
    if not setting.label:
        return setting.obstacle
    reason = reason_of(setting.name)
    if setting.name in placeholders and reason == reason_of("*"):
        return "a placeholder; its value is filled in"
    return reason


def _carry_pair(draft: Draft, setting: Setting, table: str) -> None:
    """NAME=VALUE"""
    name, equals, value = str(setting.value).partition("=")
    if not equals:
        draft.leave_out(setting, "expected NAME=VALUE")
    elif table == "mounts" and name == "/":
        draft.carry(setting, "app", _module_of(value, draft))
    elif table == "mounts":
        draft.carry_members(setting, table, {name: _module_of(value, draft)})
    else:
        draft.carry_members(setting, table, {name: value})


def _module_of(text: str, draft: Draft) -> str:
    """The module of a file that uWSGI loads by its path."""
    path, colon, attribute = text.partition(":")
    if not path.endswith(".py"):
        return text
    chdir = draft.keys.get("chdir")
    for directory in (str(chdir.value) if chdir else "", *draft.values("pythonpath")):
        if directory and path.startswith(f"{directory.rstrip('/')}/"):
            path = path.removeprefix(directory.rstrip("/")).lstrip("/")
    parts = os.path.normpath(path.removesuffix(".py")).split("/")
    if not all(part.isidentifier() for part in parts):
        return text
    return f"{'.'.join(parts)}{colon}{attribute}"


def _carry_application(draft: Draft, named: list[Setting], attribute: list[Setting]) -> None:
    for setting in named:
        if setting.obstacle:
            draft.apply(setting, ROWS[setting.name])
            continue
        module = _module_of(str(setting.value), draft)
        if attribute and not attribute[-1].obstacle and ":" not in module:
            module = f"{module}:{attribute[-1].value}"
        draft.carry(setting, "app", module)
    for setting in attribute[:-1]:
        draft.leave_out(setting, f"{attribute[-1].place} sets it again")
    for setting in attribute[-1:]:
        if setting.obstacle:
            draft.apply(setting, ROWS["callable"])
        elif "app" in draft.keys:
            draft.keys["app"].origins.append(setting)
        else:
            draft.leave_out(setting, "it is the attribute of an application; set app")


def _write_out_defaults(draft: Draft, proxied: bool) -> None:
    if "request-timeout" in draft.keys:
        draft.default("request-timeout-action", "replace", "harakiri ends the process")
    if "reload" not in draft.keys:
        draft.default("preload", True, "the application is loaded before the fork")
    local = ["127.0.0.1", "::1", *(["unix"] if has_unix_socket(draft) else [])]
    draft.default("forwarded-allow-ips", local, "proxies on this machine")
    if not proxied:
        draft.default("forwarded-headers", ["proto"], "the scheme, but not the client's address")
    write_out_common_defaults(draft)
