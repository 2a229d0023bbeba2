"""Options of other servers, and what to use in their place."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from iotax._config.option import Option
from iotax._config.options import OPTIONS

# {name} stands for an option.
_TIMEOUTS = "use {request-timeout} for calls, {receive-timeout} for clients"
_DAEMON = "use systemd, or another supervisor"
FOREIGN: Final[Mapping[str, str]] = {
    "--timeout": _TIMEOUTS,
    "-t": _TIMEOUTS,
    "--worker-class": "use {threads} for concurrent calls",
    "-k": "use {threads} for concurrent calls",
    "-c": "use {config} FILE",
    "--uds": "use {bind} unix:PATH",
    "--http": "use {bind}, e.g. {bind} :8000",
    "--limit-max-requests": "use {max-requests}",
    "--timeout-keep-alive": "use {keep-alive}",
    "--interface": "WSGI is the only interface, leave it out",
    "-p": "use {port}",
    "--reuse-port": "leave it out: with one shared listener, free threads decide who accepts",
    "--daemon": _DAEMON,
    "-D": _DAEMON,
    "--log-config": "iotax does not configure Python's logging; do that in the application",
    "--proxy-protocol": "use {bind} proxy://ADDR, with {proxy-protocol-from}",
    "--uid": "use {user}",
    "--gid": "use {group}",
    "--paste": "make the application in a module, with paste.deploy.loadapp",
}


def spelled(text: str, spell: Callable[[Option], str]) -> str:
    """`text` with each {option} as a user writes it, and a note if this version does not have
    it."""

    def known(found: re.Match[str]) -> str:
        row = OPTIONS.get(found[1].replace("-", "_"))
        return f"--{found[1]} (not in this version yet)" if row is None else spell(row)

    return re.sub(r"\{(.+?)\}", known, text)
