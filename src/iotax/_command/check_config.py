"""--check-config: whether the server could start, without opening an address or writing a file."""

import contextlib
import os
from collections.abc import Iterator

from iotax._app import working_directory
from iotax._command import user
from iotax._command.trial_load import NotLoaded, load_in_child
from iotax._config.address import PassedAddress, UnixAddress
from iotax._config.errors import ConfigErrors, OptionError
from iotax._config.options import OPTIONS
from iotax._config.passed import descriptors_of
from iotax._config.sources import Settings
from iotax._log import server_log, statsd, terminal
from iotax._net.bind_error import BindError
from iotax._net.passed import take_over
from iotax._processes.exit_status import EXIT_LOAD


def main(settings: Settings) -> int:
    """Print a line for each part that is right, and the warnings. Returns the exit code. Errors:
    ConfigError."""
    config = settings.config
    working_directory.prepare(config.chdir, config.pythonpath)
    errors = [str(settings.explained(error)) for error in _errors(settings)]
    if errors:
        raise ConfigErrors("settings", errors)
    owner = user.find(config)
    print(f"OK: settings: {settings.file or 'no file'}", flush=True)
    print(f"OK: directory: {working_directory.describe()}", flush=True)
    failure = ""
    try:
        name = load_in_child(settings, owner)
        if config.hooks:
            print(f"OK: hooks: {config.hooks}", flush=True)
        print(f"OK: application: {name}", flush=True)
    except NotLoaded as error:
        failure = str(error)
    with owner.tried() if owner is not None else contextlib.nullcontext():
        warnings = [*settings.warnings, *_warnings(settings), *_warnings_of_files(settings, owner)]
    for warning in warnings:
        print(f"WARNING: {warning}", flush=True)
    if failure:
        terminal.say(failure)
        return EXIT_LOAD
    return 0


def _errors(settings: Settings) -> Iterator[OptionError]:
    """Why files and sockets could not be made."""
    config = settings.config
    owner = None
    try:
        owner = user.find(config)
    except OptionError as error:
        yield error
    yield from server_log.check_files(config)
    try:
        statsd.resolve(config)
    except OptionError as error:
        yield error
    if owner is not None:
        with owner.tried():  # a file that exists keeps its owner
            found = [*server_log.check_files(config, only_existing=True)]
        yield from found
    for address in config.named_addresses:
        option = config.option_of(address)
        if isinstance(address, PassedAddress):
            yield from _passed_errors(option, address, settings)
        if isinstance(address, UnixAddress):
            yield from _unwritable_directory(option, str(address), address.path)
    if config.pid_file:
        yield from _unwritable_directory("pid_file", config.pid_file, config.pid_file)


def _unwritable_directory(option: str, value: str, path: str) -> Iterator[OptionError]:
    parent = _parent(path)
    if not os.path.isdir(parent):
        problem = f'"{value}" is in a directory that does not exist'
    elif not _is_writable(parent):
        problem = f'"{value}" is in a directory that is not writable'
    else:
        return
    yield OptionError(option, problem, OPTIONS[option].example)


def _parent(path: str) -> str:
    return os.path.dirname(path) or "."


def _is_writable(directory: str) -> bool:
    return os.access(directory, os.W_OK | os.X_OK, effective_ids=True)


def _passed_errors(
    option: str, address: PassedAddress, settings: Settings
) -> Iterator[OptionError]:
    for descriptor in descriptors_of(address, settings.passed):
        try:
            take_over(descriptor).close()
        except BindError as error:
            yield OptionError(option, str(error), OPTIONS[option].example)


def _warnings(settings: Settings) -> Iterator[str]:
    """What the server starts without."""
    config = settings.config
    wanted = [("pythonpath", path) for path in config.pythonpath]
    wanted += [("reload_dir", path) for path in config.reload_dir]
    for name, path in wanted:
        if not os.path.exists(path):
            spelled = settings.origin(name).spelled(OPTIONS[name])
            yield f'{spelled}: "{path}" does not exist'
    if config.spool_dir and not _is_writable(config.spool_dir):
        spelled = settings.origin("spool_dir").spelled(OPTIONS["spool_dir"])
        yield f'{spelled}: "{config.spool_dir}" is not writable; bodies stay in memory'
    yield from config.notes


def _warnings_of_files(settings: Settings, owner: user.User | None) -> Iterator[str]:
    """What the server can no longer do with its files after it has become `owner`."""
    if owner is None:
        return
    for name, lack in (
        ("error_logfile", "USR1 cannot make it again"),
        ("access_logfile", "USR1 cannot make it again"),
        ("pid_file", "at the end it is emptied, not removed"),
    ):
        path = getattr(settings.config, name)
        is_file = path not in ("", "-") and server_log.descriptor_named_by(path) is None
        if is_file and not _is_writable(_parent(path)):
            spelled = settings.origin(name).spelled(OPTIONS[name])
            where = f"is in a directory that user {owner.uid} cannot write"
            yield f'{spelled}: "{path}" {where}; {lack}'
