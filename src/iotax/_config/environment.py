"""The application's environment: the inherited one with --env, the table [env] and env files.

Decides which source of a variable wins. Values never appear in messages. Does not know which
processes run the application.
"""

import os
import time
from collections.abc import Mapping
from typing import NamedTuple

from iotax._config.option import VARIABLE_PREFIX
from iotax._config.options import OPTIONS, Config
from iotax._config.variables import Variable

_COMMON = {row.variable_too for row in OPTIONS.values() if row.variable_too}


class Environment(NamedTuple):
    """`variables`: those that are set, by name, with values that the application gets. `files`: the
    paths of the env files."""

    variables: Mapping[str, Variable] = {}
    warnings: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def apply(self) -> None:
        """Change the environment of this process, which runs the application or forks processes
        that do. Its parent has the inherited environment."""
        os.environ.update({name: one.value for name, one in self.variables.items()})
        if "TZ" in self.variables:
            time.tzset()


def read_environment(config: Config, inherited: Mapping[str, str], directory: str) -> Environment:
    """Read the env files too, relative to `directory`. --env beats `inherited`, which beats [env],
    which beats env files. Errors: ConfigError."""
    if not config.env and not config.env_file:
        return Environment()
    found: dict[str, Variable] = {}
    files = tuple(os.path.join(directory, name) for name in config.env_file)
    if files:
        from iotax._config.env_file import read_env_file  # a start without one does not need it

        for name, path in zip(config.env_file, files, strict=True):
            found |= read_env_file(name, path)
    found |= {one.name: one for one in config.env}
    for name, one in found.items():
        if one.yields and name in inherited:
            found[name] = one._replace(value=inherited[name], place="environment")
    return Environment(found, tuple(_warnings(found)), files)


def _warnings(found: Mapping[str, Variable]) -> list[str]:
    warnings = []
    for name, place in ((one.name, one.place) for one in found.values()):
        if place == "environment":
            continue
        if name.startswith("PYTHON"):
            why = "has no effect, because Python reads it at its start"
        elif name.startswith(VARIABLE_PREFIX) or name in _COMMON:
            why = "is for the application only, and sets no option"
        else:
            continue
        warnings.append(f"{place}: {name} {why}; set it where the server is started")
    return warnings
