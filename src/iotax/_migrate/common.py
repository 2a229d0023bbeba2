"""What gunicorn and uWSGI have in common: conversions, reasons, and defaults."""

from typing import Final

from iotax._migrate.draft import Draft, NotCarriedOver, Row

ALWAYS: Final = "not needed: it is always so"
THREADS: Final = "threads are native, set threads"
TLS: Final = "let a proxy terminate TLS"
SHARED_LISTENER: Final = "not needed: with one shared listener, free threads decide who accepts"
LOG_FILES: Final = (
    "iotax writes to files and standard output; let systemd or a log agent forward them"
)
PASTE: Final = "make the application in a module, with paste.deploy.loadapp"
SYSTEMD: Final = "use systemd, or another supervisor"
PROCESS_NAMES: Final = "iotax does not name its processes"


def without_key(note: str, *flags: str, switch: bool | None = None) -> Row:
    """A setting that has no counterpart, and the reason."""
    return Row(note=note, flags=flags, switch=switch)


def integer(value: object) -> object:
    """A number, or its text with a prefix of Python: "4", "0x10"."""
    if isinstance(value, str):
        try:
            return int(value, 0)
        except ValueError:
            raise NotCarriedOver(f'"{value}" is not an integer') from None
    return value


def number_of_workers(value: object) -> object:
    number = integer(value)
    if number == 0:
        raise NotCarriedOver("0 workers mean one process without a supervisor here")
    return number


def has_unix_socket(draft: Draft) -> bool:
    return any("unix:" in address for address in draft.values("bind"))


def withdraw_what_cannot_be_combined(draft: Draft) -> None:
    """Leave out keys that iotax does not accept beside, or without, another one."""
    if draft.is_on("reload") and draft.is_on("preload"):
        draft.withdraw("preload", "preload and reload cannot be combined")
    for key in ("statsd-prefix", "dogstatsd-tags"):
        if key in draft.keys and "statsd-host" not in draft.keys:
            draft.withdraw(key, "it needs statsd-host")
    if "proxy-protocol-from" in draft.keys and "proxy://" not in str(draft.values("bind")):
        draft.withdraw("proxy-protocol-from", "it needs proxy:// in bind")


def write_out_common_defaults(draft: Draft) -> None:
    draft.default("limit-body", 0, "no limit")
    if draft.is_on("max-requests"):
        draft.default("max-requests-jitter", 0, "exactly max-requests")
    largest = max(draft.bytes_of(key) for key in ("limit-request-line", "limit-field"))
    if largest > draft.bytes_of("limit-head"):
        draft.default("limit-head", largest, "room for the largest of the limits above")
