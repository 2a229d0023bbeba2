"""Make a configuration from a command line and an environment, or from keyword arguments.

Decides which source wins, and the text of every error. The options are in options.py.
Does not know argparse, sockets or the worker.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from iotax._config.errors import ConfigError, ConfigTypeError
from iotax._config.option_types import Flag, Integer, ListOf, PartError
from iotax._config.options import OPTIONS, VARIABLE_PREFIX, Config, Option

# Belongs to the test that checks an application of the user.
FOREIGN_VARIABLES: Final = frozenset({"IOTAX_APP"})
# Set by Kubernetes and Docker's links in each container for a service called "iotax" or "iotax-…":
# https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_SERVICE_NAME: Final = re.compile(
    r"IOTAX_(\w+_)?"
    r"(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)",
    re.ASCII,
)
_SERVICE_ADDRESS: Final = re.compile(r"(tcp|udp|sctp)://", re.ASCII)
# After a save, the new code matters more than requests in progress.
RELOAD_GRACEFUL_TIMEOUT: Final = 0.5


def from_command(
    flags: Mapping[str, object], environ: Mapping[str, str]
) -> tuple[Config, list[str]]:
    """Flags beat IOTAX_NAME, which beats PORT and FORWARDED_ALLOW_IPS, which beat defaults.

    `flags` maps names of options to what was typed: a string, a list of strings for a repeatable
    one, True or False for a flag.
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
            "--preload and --reload cannot be combined: a preloaded application is not imported"
            " again; leave one of them out"
        )
    return config, warnings + _unknown_variables(environ)


def from_arguments(arguments: Mapping[str, object], *, path: bool) -> Config:
    """From the library's keyword arguments. `path`: the application is given by name, so options
    for loading are accepted.

    Errors: TypeError for an unknown name or a wrong type, ConfigError (a ValueError) for an invalid
    value.
    """
    values: dict[str, object] = {}
    for name, value in arguments.items():
        row = OPTIONS.get(name)
        if row is None:
            raise TypeError(f"unknown argument {name}: did you mean {nearest(name, OPTIONS)}?")
        if row.for_command_only:
            raise TypeError(f"{name} is supported by the command `iotax APP` only")
        if row.for_path_only and not path:
            raise TypeError(
                f"{name} is for loading an application, but a loaded one was given; leave it out"
            )
        values[name] = _value(row, name, value, f"{name}={_as_argument(row)}", row.kind.accept)
    _refuse_two_addresses(values, lambda row: row.name)
    return _config(values)


def _refuse_what_needs_a_supervisor(given: Mapping[str, object]) -> None:
    for name, value in given.items():
        row = OPTIONS[name]
        if row.for_command_only and name != "workers" and value != row.default:
            raise ConfigError(
                f"{row.flag} needs a supervisor, and --workers 0 serves without one; leave one of"
                " them out"
            )


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that looks most like `name`."""
    return difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)[0]


def _config(values: dict[str, Any]) -> Config:
    return Config(**values)


def _from_environment(
    environ: Mapping[str, str], variables: Mapping[str, str], taken: Mapping[str, object]
) -> dict[str, object]:
    """The values of `variables` (by option), without options that a stronger source has set. An
    empty variable counts as unset."""
    found: dict[str, object] = {}
    for name, variable in variables.items():
        row = OPTIONS[name]
        text = environ.get(variable) if variable and name not in taken else None
        if text or (text is not None and row.kind.empty_is_a_value):
            found[name] = _value(row, variable, text, f"{variable}={row.example}", row.kind.parse)
    return found


def _from_flag(row: Option, typed: object) -> object:
    example = row.flag if isinstance(row.kind, Flag) else f"{row.flag} {row.example}"
    if isinstance(row.kind, ListOf) and isinstance(typed, list):
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
            f"{spelling}: expected {row.kind.expected}, {error}; e.g. {example}"
        ) from None
    except ValueError as error:
        wrong = _quoted(error.part if isinstance(error, PartError) else value)
        raise ConfigError(
            f"{spelling}: {wrong} {error}; expected {row.kind.expected}, e.g. {example}"
        ) from None


def _quoted(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return f'"{text}"' if text.isprintable() else repr(text)


def _as_argument(row: Option) -> str:
    number = isinstance(row.kind, Integer) and row.example.isdigit()
    return "True" if isinstance(row.kind, Flag) else row.example if number else f'"{row.example}"'


def _refuse_two_addresses(values: Mapping[str, object], spell: Callable[[Option], str]) -> None:
    bind = spell(OPTIONS["bind"])
    for name in ("host", "port"):
        if values.get("bind") and name in values:
            raise ConfigError(
                f"{bind} and {spell(OPTIONS[name])} cannot be combined; {bind} contains host and"
                f" port, e.g. {OPTIONS['bind'].example}"
            )


def _without_services(environ: Mapping[str, str]) -> tuple[Mapping[str, str], list[str]]:
    """`environ` without the variables that describe a service of the cluster, and one warning for
    all of them."""
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
        f"Ignoring {named}{more}: they describe a service of the cluster, not options of this"
        " server; to avoid them, set enableServiceLinks: false in the pod"
    ]


def _unknown_variables(environ: Mapping[str, str]) -> list[str]:
    known = {name.upper(): row for name, row in OPTIONS.items()}
    unknown = [
        variable.removeprefix(VARIABLE_PREFIX)
        for variable in sorted(environ)
        if variable.startswith(VARIABLE_PREFIX) and variable not in FOREIGN_VARIABLES
    ]
    return [
        f"Ignoring the unknown variable {VARIABLE_PREFIX}{name}; the nearest known one is"
        f" {VARIABLE_PREFIX}{nearest(name, known)}"
        for name in unknown
        if name not in known
    ]
