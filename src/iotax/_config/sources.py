"""How a configuration is made: from a command line and an environment, or from keyword arguments.

Decides which source wins, and the words of every error. The options are in options.py.
Knows nothing of argparse, sockets or the worker.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from iotax._config.errors import ConfigError, ConfigTypeError
from iotax._config.option_types import Many, Switch, Whole
from iotax._config.options import OPTIONS, VARIABLE_PREFIX, Config, Option

# IOTAX_APP belongs to the test that runs the checks against an application of the user's.
FOREIGN_VARIABLES: Final = frozenset({"IOTAX_APP"})
# What Kubernetes, and Docker's links, put into each container for a service called "iotax" or
# "iotax-…": https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_SERVICE_NAME: Final = re.compile(
    r"IOTAX_(\w+_)?"
    r"(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)",
    re.ASCII,
)
_SERVICE_ADDRESS: Final = re.compile(r"(tcp|udp|sctp)://", re.ASCII)
# Who has saved a file wants the new code, not the end of what runs.
RELOAD_GRACEFUL_TIMEOUT: Final = 0.5


def from_command(
    flags: Mapping[str, object], environ: Mapping[str, str]
) -> tuple[Config, list[str]]:
    """Flags beat IOTAX_NAME, which beats PORT and FORWARDED_ALLOW_IPS, which beat defaults.

    `flags` maps names of options to what was typed: a text, a list of texts for a repeatable one,
    True or False for a switch.
    Returns the configuration and a warning for each unknown IOTAX_ variable, and one for those that
    describe a service. Errors: ConfigError.
    """
    environ, warnings = _without_services(environ)
    given = {name: _from_flag(OPTIONS[name], typed) for name, typed in flags.items()}
    _refuse_two_addresses(given, lambda row: row.flag)
    own = _from_environment(environ, {row.name: row.variable for row in OPTIONS.values()}, given)
    if {"host", "port"} & given.keys():
        own.pop("bind", None)
    elif "bind" not in given:
        _refuse_two_addresses(own, lambda row: row.variable)
    common = _from_environment(
        environ, {row.name: row.variable_too for row in OPTIONS.values()}, given | own
    )
    if "port" in common and not {"host", "bind"} & (own | given).keys():
        common["host"] = "0.0.0.0"
    values = common | own | given
    if values.get("reload"):
        values = {"graceful_timeout": RELOAD_GRACEFUL_TIMEOUT} | values
    config = _config(values)
    if config.workers == 0:
        _refuse_what_needs_a_supervisor(given | own)
    if config.reload and config.preload:
        raise ConfigError(
            "--preload and --reload exclude each other: a preloaded application stays as it was"
            " when it was imported; leave one of the two out"
        )
    return config, warnings + _unknown_variables(environ)


def from_arguments(arguments: Mapping[str, object], *, path: bool) -> Config:
    """The library's keyword arguments. `path`: the application is named, not handed over, so
    options on loading make sense.

    Errors: TypeError for an unknown name or a wrong type, ConfigError (a ValueError) for a bad
    value.
    """
    values: dict[str, object] = {}
    for name, value in arguments.items():
        row = OPTIONS.get(name)
        if row is None:
            raise TypeError(f"unknown argument {name}: did you mean {nearest(name, OPTIONS)}?")
        if row.for_command_only:
            raise TypeError(
                f"{name} speaks of worker processes, which only the command `iotax APP` has: leave"
                f" {name} out"
            )
        if row.for_path_only and not path:
            raise TypeError(
                f"{name} speaks of loading an application, but a loaded one was given: leave"
                f" {name} out"
            )
        values[name] = _value(row, name, value, f"{name}={_as_argument(row)}", row.kind.accept)
    _refuse_two_addresses(values, lambda row: row.name)
    return _config(values)


def _refuse_what_needs_a_supervisor(given: Mapping[str, object]) -> None:
    for name, value in given.items():
        row = OPTIONS[name]
        if row.for_command_only and name != "workers" and value != row.default:
            raise ConfigError(
                f"{row.flag} needs a supervisor that starts and replaces workers, and --workers 0"
                f" serves without one: leave one of the two out"
            )


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that looks most like `name`."""
    return difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)[0]


def _config(values: dict[str, Any]) -> Config:
    return Config(**values)


def _from_environment(
    environ: Mapping[str, str], variables: Mapping[str, str], taken: Mapping[str, object]
) -> dict[str, object]:
    """What `variables` (by option) hold, except for options that a stronger source has set. An
    empty one counts as unset."""
    found: dict[str, object] = {}
    for name, variable in variables.items():
        row = OPTIONS[name]
        text = environ.get(variable) if variable and name not in taken else None
        if text or (text is not None and row.kind.empty_is_a_value):
            found[name] = _value(row, variable, text, f"{variable}={row.example}", row.kind.parse)
    return found


def _from_flag(row: Option, typed: object) -> object:
    example = row.flag if isinstance(row.kind, Switch) else f"{row.flag} {row.example}"
    if isinstance(row.kind, Many) and isinstance(typed, list):
        return tuple(part for text in typed for part in _parts(row, text, example))
    return _value(
        row, row.flag, typed, example, row.kind.parse if isinstance(typed, str) else row.kind.accept
    )


def _parts(row: Option, text: str, example: str) -> tuple[object, ...]:
    found = _value(row, row.flag, text, example, row.kind.accept)
    assert isinstance(found, tuple)
    return found


def _value(row: Option, spelling: str, value: Any, example: str, read: Any) -> object:
    try:
        return read(value)
    except TypeError as error:
        raise ConfigTypeError(
            f"{spelling} takes {row.kind.allowed}, {error}; e.g. {example}"
        ) from None
    except ValueError as error:
        raise ConfigError(
            f"{spelling} {_quoted(value)}: {error}; it takes {row.kind.allowed}, e.g. {example}"
        ) from None


def _quoted(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return f'"{text}"' if text.isprintable() else repr(text)


def _as_argument(row: Option) -> str:
    number = isinstance(row.kind, Whole) and row.example.isdigit()
    return "True" if isinstance(row.kind, Switch) else row.example if number else f'"{row.example}"'


def _refuse_two_addresses(values: Mapping[str, object], spell: Callable[[Option], str]) -> None:
    bind = spell(OPTIONS["bind"])
    for name in ("host", "port"):
        if values.get("bind") and name in values:
            raise ConfigError(
                f"{bind} and {spell(OPTIONS[name])} exclude each other: {bind} holds host and port,"
                f" e.g. {OPTIONS['bind'].example}"
            )


def _without_services(environ: Mapping[str, str]) -> tuple[Mapping[str, str], list[str]]:
    """`environ` without the variables that describe a service of the cluster, and one warning if
    there were any."""
    found = sorted(
        name
        for name, value in environ.items()
        if name.startswith(VARIABLE_PREFIX)
        and (
            _SERVICE_NAME.fullmatch(name)
            or (name.endswith("_PORT") and _SERVICE_ADDRESS.match(value))
        )
    )
    if not found:
        return environ, []
    named = ", ".join(
        f"{name}={environ[name]}" if name == OPTIONS["port"].variable else name
        for name in found[:3]
    )
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return {name: value for name, value in environ.items() if name not in found}, [
        f"{named}{more} describe a service of the cluster, not options of this server, and are"
        " ignored; enableServiceLinks: false in the pod leaves them out"
    ]


def _unknown_variables(environ: Mapping[str, str]) -> list[str]:
    known = {name.upper(): row for name, row in OPTIONS.items()}
    unknown = [
        variable.removeprefix(VARIABLE_PREFIX)
        for variable in sorted(environ)
        if variable.startswith(VARIABLE_PREFIX) and variable not in FOREIGN_VARIABLES
    ]
    return [
        f"unknown variable {VARIABLE_PREFIX}{name} is ignored: the nearest known one is"
        f" {VARIABLE_PREFIX}{nearest(name, known)}"
        for name in unknown
        if name not in known
    ]
