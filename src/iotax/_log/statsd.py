"""Lines for statsd: the receiver, and what a process that serves has to do for them.

The extension makes, keeps and sends the lines. Does not know requests or processes.
"""

import os
import socket
from typing import NamedTuple

from iotax import _iotax
from iotax._config.address import UNIX_PATH_BYTES_MAX, TcpAddress, UnixAddress
from iotax._config.errors import OptionError
from iotax._config.options import OPTIONS, Config


class Receiver(NamedTuple):
    """`where`: as _iotax.open_statsd() takes it."""

    where: tuple[str, int, int] | bytes
    name: str


def resolve(config: Config) -> Receiver | None:
    """The receiver that `config` names; None: there is none. Of several addresses of a name the
    first IPv4 address, the only one that gunicorn uses; else the first. Errors: OptionError."""
    address = config.statsd_host
    if isinstance(address, UnixAddress):
        path = os.path.abspath(address.path)  # the application may change the working directory
        if len(os.fsencode(path)) > UNIX_PATH_BYTES_MAX:
            raise _unusable(f'"{address}" is a path of more than {UNIX_PATH_BYTES_MAX} bytes')
        return Receiver(os.fsencode(path), os.fsencode(path).decode("utf-8", "backslashreplace"))
    if not isinstance(address, TcpAddress):
        return None
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "invalid host name"
        raise _unusable(f'"{address}" does not resolve ({reason})') from None
    found.sort(key=lambda one: one[0] != socket.AF_INET)
    where = found[0][4]
    host, scope = str(where[0]).partition("%")[0], where[3] if len(where) == 4 else 0
    return Receiver((host, address.port, int(scope)), str(address))


def _unusable(problem: str) -> OptionError:
    return OptionError("statsd_host", problem, OPTIONS["statsd_host"].example)


def open_statsd(config: Config, receiver: Receiver | None) -> None:
    """Count for `receiver` from now on; None: for none. Lines for an earlier one are sent."""
    if receiver is None:
        close()
        return
    _iotax.open_statsd(
        receiver.where,
        name=receiver.name,
        prefix=config.statsd_prefix,
        tags=config.dogstatsd_tags,
    )


def settings_of(config: Config) -> tuple[object, ...]:
    """What open_statsd() uses."""
    return (config.statsd_host, config.statsd_prefix, config.dogstatsd_tags)


def resume_in_child() -> None:
    """This process was forked as a part of the server: it counts for the receiver of its parent."""
    _iotax.resume_statsd()


def count_workers(count: int) -> None:
    """How many workers serve, when it has changed."""
    _iotax.count_workers(count)


def is_waiting() -> bool:
    """Whether there are lines to send."""
    return _iotax.statsd_waits()


def send() -> None:
    """Send the lines. Never waits. For a process without a worker, whose loop would do it."""
    _iotax.send_statsd()


def close() -> None:
    """Send the lines, and count nothing more."""
    _iotax.send_statsd()
    _iotax.close_statsd()
