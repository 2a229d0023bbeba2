"""Make a configuration from a command line, an environment and a settings file, or from keyword
arguments.

Decides which source wins. The options are in options.py, the errors of a settings file in
settings_file.py. Does not know argparse, sockets or the worker.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from iotax._config.address import Address, PassedAddress
from iotax._config.environment import Environment, read_environment
from iotax._config.errors import ConfigError, OptionError
from iotax._config.given import Given, Source, read_value
from iotax._config.option import PROJECT_FILE, SETTINGS_FILE, VARIABLE_PREFIX, Option
from iotax._config.option_types import Flag, Integer, ListOf
from iotax._config.options import OPTIONS, Config
from iotax._config.passed import LISTEN_FDS, descriptors_of, passed_sockets, unused_sockets
from iotax._config.similar import nearest
from iotax._config.variables import Variables

if TYPE_CHECKING:
    from iotax._config.settings_file import Document, SettingsFile

# IOTAX_APP belongs to the test that checks an application of the user.
FOREIGN_VARIABLES: Final = frozenset({"IOTAX_APP", "IOTAX_WORKER"})
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
_ROWS: Final = tuple(OPTIONS.values())
_ADDRESS: Final = ("bind", "host", "port")
# The first excludes the others, and hides those of weaker sources, and they hide it.
_EITHER: Final = (
    _ADDRESS,
    ("config", "no_config"),
    ("check_config", "print_config"),
)
# Options that do nothing without another one.
_NEEDS: Final = {
    "health_log": "health_path",
    "statsd_prefix": "statsd_host",
    "dogstatsd_tags": "statsd_host",
}
# What the header Forwarded can give.
_OF_FORWARDED: Final = frozenset(("for", "proto", "host"))


class Settings(NamedTuple):
    """`given`: the values that are not defaults. `file`: that was read. `passed`: names of the
    sockets that systemd passed, by descriptor. `environment`: of the application."""

    config: Config
    warnings: list[str]
    given: Mapping[str, Given]
    file: "SettingsFile | None"
    passed: Mapping[int, str] = MappingProxyType({})
    environment: Environment = Environment()

    def origin(self, name: str) -> Given:
        """The value of an option, with its place."""
        default = Given(getattr(self.config, name), Source.DEFAULT, "")
        return self.given.get(name, default)

    def explained(self, error: OptionError) -> ConfigError:
        """`error` as the user has written the option."""
        row, origin = OPTIONS[error.option], self.origin(error.option)
        if origin.source is Source.FILE:
            example = f"{row.key} = {row.kind.to_toml(row.kind.parse(error.example))}"
        elif origin.source is Source.VARIABLE:
            example = f"{origin.place}={error.example}"
        else:
            origin, example = origin._replace(place=row.flag), f"{row.flag} {error.example}"
        return ConfigError(f"{origin.spelled(row)}: {error.problem}; e.g. {example}")


class Command:
    """The sources of the command, as they are at its start.

    `flags` maps names of options to what was typed: a string, a list of strings for a repeatable
    one, True or False for a flag. `directory`: where a settings file is looked for.
    """

    def __init__(
        self, flags: Mapping[str, object], environ: Mapping[str, str], directory: str = ""
    ) -> None:
        self._flags, self._environ, self._directory = flags, environ, directory

    def read(self) -> Settings:
        """Flags beat IOTAX_NAME, which beats common variables such as PORT, which beat the settings
        file, which beats defaults. Sockets that systemd passed beat PORT, and are served if nothing
        else names an address.

        The warnings name each unknown IOTAX_ variable, those that describe a service, a file that
        is not read, and passed sockets that are not served. Errors: ConfigError.
        """
        environ, warnings = _without_services(self._environ)
        passed = passed_sockets(environ)
        layers = self._layers(environ)
        document, ignored = _document(_merged(layers), self._directory)
        given = _given(layers, document, passed)
        file = document.file if document is not None else None
        settings = self._with_environment(Settings(_config(given), [], given, file, passed))
        warnings += [*ignored, *_unknown_variables(environ), *_unused_sockets(settings)]
        warnings += settings.environment.warnings
        return settings._replace(warnings=warnings)

    def read_again(self, former: Settings) -> Settings:
        """Read the file of `former` and the env files again. What only a restart changes stays, and
        a warning names it. Errors: ConfigError."""
        document = former.file.read() if former.file is not None else None
        given = _given(self._layers(_without_services(self._environ)[0]), document, former.passed)
        wanted = former._replace(config=_config(given), given=given)
        fixed = {row.name for row in OPTIONS.values() if row.until_restart}
        if wanted.config.workers == 0:  # this process is a supervisor
            fixed.add("workers")
        kept = {name: one for name, one in former.given.items() if name in fixed}
        kept |= {name: one for name, one in given.items() if name not in fixed}
        differing = [
            f"{OPTIONS[name].key} ({wanted.origin(name).place or 'default'})"
            for name in OPTIONS
            if name in fixed and getattr(wanted.config, name) != getattr(former.config, name)
        ]
        warnings = []
        if differing:
            warnings.append(f"These settings change with a restart only: {', '.join(differing)}")
        if (
            former.file is None
            and not former.config.no_config
            and _exists(self._directory, SETTINGS_FILE)
        ):
            warnings.append(
                f"{SETTINGS_FILE} is not read: it did not exist at the start; restart the server"
            )
        settings = self._with_environment(former._replace(config=_config(kept), given=kept))
        known = former.environment.warnings
        warnings += [text for text in settings.environment.warnings if text not in known]
        return settings._replace(warnings=warnings)

    def _with_environment(self, settings: Settings) -> Settings:
        directory = os.path.join(self._directory, settings.config.chdir)
        try:
            environment = read_environment(settings.config, self._environ, directory)
        except OptionError as error:
            raise settings.explained(error) from None
        return settings._replace(environment=environment)

    def _layers(self, environ: Mapping[str, str]) -> list[dict[str, Given]]:
        """The values of flags, of variables, and of common variables."""
        flags = {name: _from_flag(OPTIONS[name], typed) for name, typed in self._flags.items()}
        own = _from_environment(environ, {row.name: row.variable for row in _ROWS}, flags)
        common = {row.name: row.variable_too for row in _ROWS}
        return [flags, own, _from_environment(environ, common, flags | own)]


def from_command(
    flags: Mapping[str, object], environ: Mapping[str, str], directory: str = ""
) -> Settings:
    """Command(…).read()."""
    return Command(flags, environ, directory).read()


def from_arguments(arguments: Mapping[str, object], *, path: bool) -> Config:
    """From the library's keyword arguments. `path`: the application is given by name, so options
    for loading are accepted.

    Errors: TypeError for an unknown name or a wrong type, ConfigError (a ValueError) for an invalid
    value.
    """
    values: dict[str, Any] = {}
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
        example = f"{name}={_as_argument(row)}"
        values[name] = read_value(row, name, value, example, row.kind.accept)
    _refuse_both(values, lambda row: row.name)
    config = Config(**values)
    _refuse_without_needed(
        config,
        given=lambda row: row.name,
        name=lambda row: row.name,
        example=lambda row: f"{row.name}={_as_argument(row)}",
    )
    return config


def _document(given: Mapping[str, Given], directory: str) -> "tuple[Document | None, list[str]]":
    chosen = given.get("config")
    if chosen is None:
        none = "no_config" in given and given["no_config"].value
        if none or not any(_exists(directory, name) for name in (SETTINGS_FILE, PROJECT_FILE)):
            return None, []
    from iotax._config.settings_file import find  # costs milliseconds, with tomllib

    if chosen is None:
        return find(directory)
    between = "=" if chosen.source is Source.VARIABLE else " "
    return find(directory, chosen.value, f"{chosen.place}{between}{chosen.value}")


def _unused_sockets(settings: Settings) -> list[str]:
    """A warning that names them. Errors: ConfigError."""
    passed, addresses = settings.passed, settings.config.named_addresses
    named_by: dict[int, Address] = {}
    for address in addresses:
        if isinstance(address, PassedAddress):
            problem = _wrong_socket(address, descriptors_of(address, passed), passed, named_by)
            if problem:
                name = settings.config.option_of(address)
                raise settings.explained(OptionError(name, f'"{address}" {problem}', "fd://3"))
    unused = unused_sockets(passed, addresses)
    named = ", ".join(f"fd://{descriptor} ({name})" for descriptor, name in unused.items())
    return [f"Closing passed sockets that --bind does not name: {named}"] if named else []


def _wrong_socket(
    address: PassedAddress,
    descriptors: Sequence[int],
    passed: Mapping[int, str],
    named_by: dict[int, Address],
) -> str:
    """What is wrong with `descriptors`, which `address` names; "": nothing. `named_by`: the address
    that names each descriptor, completed."""
    if not descriptors:
        known = ", ".join(sorted(set(passed.values()))) or "nothing"
        return f"names no passed socket; LISTEN_FDNAMES has {known}"
    for descriptor in descriptors:
        if (other := named_by.setdefault(descriptor, address)) is not address:
            return f'names the socket fd://{descriptor}, as "{other}" does; name it once'
    return ""


def _exists(directory: str, name: str) -> bool:
    return os.path.lexists(os.path.join(directory, name))


def _given(
    layers: Sequence[dict[str, Given]], document: "Document | None", passed: Mapping[int, str]
) -> dict[str, Given]:
    flags, own, common = layers
    file = document.values() if document is not None else {}
    if passed and not any(_is_set(_merged([flags, own, file]).get(name)) for name in _ADDRESS):
        admin = _merged([flags, own, file]).get("admin")
        others = unused_sockets(passed, [] if admin is None else [cast("Address", admin.value)])
        served = tuple(PassedAddress(descriptor) for descriptor in others)
        if served:
            common = {**common, "bind": Given(served, Source.VARIABLE, LISTEN_FDS)}
            common.pop("port", None)
    values = _merged([flags, own, common, file])
    port = values.get("port")
    by_platform = port is not None and port.place == OPTIONS["port"].variable_too
    if port is not None and by_platform and "host" not in values:
        values["host"] = port._replace(value="0.0.0.0")
    return values


def _merged(layers: Iterable[Mapping[str, Given]]) -> dict[str, Given]:
    """Values from the strongest to the weakest source. Errors: ConfigError if one source has two
    values for one setting."""
    values: dict[str, Given] = {}
    for layer in layers:
        hidden: set[str] = set()
        for first, *others in _EITHER:
            if _is_set(values.get(first)):
                hidden.update(others)
            elif any(_is_set(values.get(other)) for other in others):
                hidden.add(first)
        shown = {name: one for name, one in layer.items() if name not in hidden}
        _refuse_both(
            {name: one.value for name, one in shown.items() if _is_set(one)},
            lambda row, shown=shown: shown[row.name].spelled(row),  # type: ignore[misc]
        )
        values = shown | values
        if "env" in shown and shown["env"] is not values["env"]:
            values["env"] = _joined(values["env"], shown["env"])
    return values


def _joined(stronger: Given, weaker: Given) -> Given:
    """The variables of both: the application's environment is merged by name."""
    names = {one.name for one in stronger.value}
    others = (one for one in weaker.value if one.name not in names)
    return stronger._replace(value=(*stronger.value, *others))


def _is_set(given: Given | None) -> bool:
    return given is not None and given.value is not False and given.value not in ((), "")


def _refuse_both(values: Mapping[str, object], spell: Callable[[Option], str]) -> None:
    for first, *others in _EITHER:
        for name in others:
            if values.get(first) and name in values:
                one, other = spell(OPTIONS[first]), spell(OPTIONS[name])
                fix = "leave one of them out"
                if first == "bind":
                    fix = f"{one} contains host and port, e.g. {OPTIONS['bind'].example}"
                raise ConfigError(f"{one} and {other} cannot be combined; {fix}")


def _config(given: Mapping[str, Given]) -> Config:
    values = {name: one.value for name, one in given.items()}
    if values.get("reload"):
        values = {"graceful_timeout": RELOAD_GRACEFUL_TIMEOUT} | values
    config = Config(**values)
    if "format" in given and not config.print_config:
        raise ConfigError("--format belongs to --print-config; leave it out, or add --print-config")
    _refuse_proxies_without_listener(given, config)
    _refuse_without_needed(
        config,
        given=lambda row: given[row.name].spelled(row),
        name=lambda row: row.flag,
        example=lambda row: f"{row.flag} {row.example}",
    )
    if "forwarded" in config.forwarded_headers and not _OF_FORWARDED & {*config.forwarded_headers}:
        row = OPTIONS["forwarded_headers"]
        raise ConfigError(
            f'{given[row.name].spelled(row)}: "forwarded" alone trusts no value; add for, proto or'
            f" host, e.g. {row.flag} for,proto,forwarded"
        )
    if config.workers == 0:
        _refuse_what_needs_a_supervisor(given)
    if config.reload and config.preload:
        first, second = (given[name].spelled(OPTIONS[name]) for name in ("preload", "reload"))
        raise ConfigError(
            f"{first} and {second} cannot be combined: a preloaded application is not imported"
            " again; leave one of them out"
        )
    return config


def _refuse_without_needed(
    config: Config,
    *,
    given: Callable[[Option], str],
    name: Callable[[Option], str],
    example: Callable[[Option], str],
) -> None:
    """`given` and `name` spell an option that has been given, and one that has not."""
    for option, needed in _NEEDS.items():
        if getattr(config, option) and not getattr(config, needed):
            row, other = OPTIONS[option], OPTIONS[needed]
            raise ConfigError(
                f"{given(row)} needs {name(other)}; leave it out, or add one, e.g. {example(other)}"
            )


def _refuse_proxies_without_listener(given: Mapping[str, Given], config: Config) -> None:
    row = OPTIONS["proxy_protocol_from"]
    named = given.get(row.name)
    if named is None or named.value == row.default or any(one.proxy for one in config.addresses):
        return
    raise ConfigError(
        f"{named.spelled(row)} belongs to listeners with proxy://; leave it out, or add one, e.g."
        " --bind proxy://:8000"
    )


def _refuse_what_needs_a_supervisor(given: Mapping[str, Given]) -> None:
    for name, one in given.items():
        row = OPTIONS[name]
        if row.needs_supervisor and one.value != row.default:
            raise ConfigError(
                f"{one.spelled(row)} needs a supervisor, and --workers 0 serves without one; leave"
                " one of them out"
            )


def _from_environment(
    environ: Mapping[str, str], variables: Mapping[str, str], taken: Mapping[str, Given]
) -> dict[str, Given]:
    """The values of `variables` (by option), without options that a stronger source has set, unless
    both are merged. An empty variable counts as unset."""
    found: dict[str, Given] = {}
    for name, variable in variables.items():
        row = OPTIONS[name]
        is_hidden = name in taken and not isinstance(row.kind, Variables)
        text = environ.get(variable) if variable and not is_hidden else None
        if text or (text is not None and row.kind.empty_is_a_value):
            value = read_value(row, variable, text, f"{variable}={row.example}", row.kind.parse)
            found[name] = _placed(row, Given(value, Source.VARIABLE, variable))
    return found


def _from_flag(row: Option, typed: object) -> Given:
    example = row.flag if isinstance(row.kind, Flag) else f"{row.flag} {row.example}"
    if isinstance(row.kind, ListOf) and isinstance(typed, list):
        parts = [read_value(row, row.flag, text, example, row.kind.accept) for text in typed]
        value = tuple(part for some in parts for part in some)
        return _placed(row, Given(value, Source.COMMAND_LINE, row.flag))
    read = row.kind.parse if isinstance(typed, str) else row.kind.accept
    value = read_value(row, row.flag, typed, example, read)
    return Given(value, Source.COMMAND_LINE, row.flag)


def _placed(row: Option, given: Given) -> Given:
    """With the place in each variable of the application; the last of a name counts."""
    if not isinstance(row.kind, Variables):
        return given
    by_name = {one.name: one._replace(place=given.place) for one in given.value}
    return given._replace(value=tuple(by_name.values()))


def _as_argument(row: Option) -> str:
    number = isinstance(row.kind, Integer) and row.example.isdigit()
    return "True" if isinstance(row.kind, Flag) else row.example if number else f'"{row.example}"'


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
    known = [row.name.upper() for row in _ROWS if row.variable]
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
