"""--check-config: whether the server could start, without opening an address or writing a file."""

import os
from collections.abc import Iterator

from iotax._app import working_directory
from iotax._command.trial_load import NotLoaded, load_in_child
from iotax._config.address import PassedAddress, UnixAddress
from iotax._config.errors import ConfigErrors, OptionError
from iotax._config.options import OPTIONS
from iotax._config.passed import descriptors_of
from iotax._config.sources import Settings
from iotax._log import server_log, terminal
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
    print(f"OK: settings: {settings.file or 'no file'}", flush=True)
    print(f"OK: directory: {working_directory.describe()}", flush=True)
    failure = ""
    try:
        name = load_in_child(config)
        print(f"OK: application: {name}", flush=True)
    except NotLoaded as error:
        failure = str(error)
    for warning in (*settings.warnings, *_warnings(settings)):
        print(f"WARNING: {warning}", flush=True)
    if failure:
        terminal.say(failure)
        return EXIT_LOAD
    return 0


def _errors(settings: Settings) -> Iterator[OptionError]:
    """Why files and sockets could not be made."""
    yield from server_log.check_files(settings.config)
    for address in settings.config.addresses:
        if isinstance(address, PassedAddress):
            yield from _passed_errors(address, settings)
        if isinstance(address, UnixAddress):
            parent = os.path.dirname(address.path) or "."
            if not os.path.isdir(parent):
                problem = f'"{address}" is in a directory that does not exist'
            elif not os.access(parent, os.W_OK | os.X_OK):
                problem = f'"{address}" is in a directory that is not writable'
            else:
                continue
            yield OptionError("bind", problem, OPTIONS["bind"].example)


def _passed_errors(address: PassedAddress, settings: Settings) -> Iterator[OptionError]:
    for descriptor in descriptors_of(address, settings.passed):
        try:
            take_over(descriptor).close()
        except BindError as error:
            yield OptionError("bind", str(error), OPTIONS["bind"].example)


def _warnings(settings: Settings) -> Iterator[str]:
    """What the server starts without."""
    config = settings.config
    wanted = [("pythonpath", path) for path in config.pythonpath]
    wanted += [("reload_dir", path) for path in config.reload_dir]
    for name, path in wanted:
        if not os.path.exists(path):
            spelled = settings.origin(name).spelled(OPTIONS[name])
            yield f'{spelled}: "{path}" does not exist'
    if config.spool_dir and not os.access(config.spool_dir, os.W_OK | os.X_OK):
        spelled = settings.origin("spool_dir").spelled(OPTIONS["spool_dir"])
        yield f'{spelled}: "{config.spool_dir}" is not writable; bodies stay in memory'
    yield from config.notes
