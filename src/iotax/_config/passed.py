"""The sockets that systemd passes to the process, as LISTEN_FDS describes them (sd_listen_fds(3)).

Decides their numbers and names. Does not know sockets: _net/passed.py uses them.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Final

from iotax._config.address import Address, PassedAddress
from iotax._config.errors import ConfigError

LISTEN_FDS: Final = "LISTEN_FDS"
FIRST_DESCRIPTOR: Final = 3
COUNT_MAX: Final = 10_000
# Of a socket without a name, as in sd_listen_fds_with_names(3).
UNNAMED: Final = "unknown"


def passed_sockets(environ: Mapping[str, str]) -> dict[int, str]:
    """Name of each passed socket by its descriptor. Errors: ConfigError."""
    if environ.get("LISTEN_PID") != str(os.getpid()) or LISTEN_FDS not in environ:
        return {}
    text = environ[LISTEN_FDS]
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) > COUNT_MAX:
        raise ConfigError(
            f'{LISTEN_FDS}: "{text}" is not an integer; expected the number of passed sockets, 0 to'
            f" {COUNT_MAX}, e.g. {LISTEN_FDS}=1"
        )
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    return {
        FIRST_DESCRIPTOR + n: (names[n] if n < len(names) else "") or UNNAMED
        for n in range(int(text))
    }


def descriptors_of(address: PassedAddress, passed: Mapping[int, str]) -> list[int]:
    """The descriptors that `address` names; none: no socket has this name."""
    if isinstance(address.which, int):
        return [address.which]
    return [descriptor for descriptor, name in passed.items() if name == address.which]


def unused_sockets(passed: Mapping[int, str], addresses: Iterable[Address]) -> dict[int, str]:
    """The passed sockets that `addresses` do not name."""
    used = {
        descriptor
        for address in addresses
        if isinstance(address, PassedAddress)
        for descriptor in descriptors_of(address, passed)
    }
    return {descriptor: name for descriptor, name in passed.items() if descriptor not in used}
