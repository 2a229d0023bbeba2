"""Options of other servers, and what to use in their place."""

import re
from collections.abc import Mapping
from typing import Final

from iotax._config.options import OPTIONS

# {name} stands for an option.
_NO_FILE = "no configuration file yet, use options or variables IOTAX_NAME"
_TIMEOUTS = "use {request-timeout} for calls, {receive-timeout} for clients"
FOREIGN: Final[Mapping[str, str]] = {
    "--timeout": _TIMEOUTS,
    "-t": _TIMEOUTS,
    "--worker-class": "use {threads} for concurrent calls",
    "-k": "use {threads} for concurrent calls",
    "--config": _NO_FILE,
    "-c": _NO_FILE,
    "--uds": "use {bind} unix:PATH",
    "--http": "use {bind}, e.g. --bind :8000",
    "--limit-max-requests": "use {max-requests}",
    "--timeout-keep-alive": "use {keep-alive}",
    "--interface": "WSGI is the only interface, leave it out",
    "-p": "use {port}",
}


def spelled(text: str) -> str:
    """`text` with each {option} as a user types it, and a note if this version does not have it."""

    def spell(found: re.Match[str]) -> str:
        missing = "" if found[1].replace("-", "_") in OPTIONS else " (not in this version yet)"
        return f"--{found[1]}{missing}"

    return re.sub(r"\{(.+?)\}", spell, text)
