"""The settings of the processes that start from now on.

Decides what happens when they are read again: what is wrong is logged and changes nothing. Does not
replace processes.
"""

import os
from collections.abc import Callable

from iotax._app import working_directory
from iotax._config.environment import Environment
from iotax._config.errors import ConfigError, OptionError
from iotax._config.options import OPTIONS, Config
from iotax._config.sources import Settings
from iotax._log import server_log, statsd
from iotax._processes.target import Target

# Returns the settings that follow its argument. Errors: ConfigError.
ReadAgain = Callable[[Settings], Settings]


class LiveSettings:
    """`error`: the first line of what was wrong when they were read last; "": nothing."""

    def __init__(self, settings: Settings, target: Target, read_again: ReadAgain) -> None:
        self._settings, self._target, self._read_again = settings, target, read_again
        self.error = ""

    @property
    def config(self) -> Config:
        return self._settings.config

    @property
    def environment(self) -> Environment:
        """Of the application."""
        return self._settings.environment

    @property
    def paths(self) -> tuple[str, ...]:
        """Of the settings file and the env files."""
        file = self._settings.file
        return (*((file.path,) if file is not None else ()), *self.environment.files)

    def read_again(self) -> bool:
        """False: something is wrong, and nothing has changed."""
        self.error = ""
        try:
            found = self._read_again(self._settings)
            self._enter(found)
        except ConfigError as error:
            self.error = error.lines[0]
            for line in error.lines:
                server_log.error(line)
            server_log.error("Keeping the current settings and workers")
            return False
        for warning in found.warnings:
            server_log.warning(warning)
        former, self._settings = self.config, found
        if self.config.workers != former.workers:
            self._target.set_count(self.config.workers)
        return True

    def _enter(self, found: Settings) -> None:
        """Change what new processes inherit from this one. Errors: ConfigError."""
        config, changes_log = found.config, _of_log(found.config) != _of_log(self.config)
        changes_statsd = statsd.settings_of(config) != statsd.settings_of(self.config)
        try:
            receiver = statsd.resolve(config) if changes_statsd else None
            if changes_log:
                server_log.open_log(config, os.environ, threads=False)
            working_directory.change(config.chdir, config.pythonpath)
        except OptionError as error:
            if changes_log:
                server_log.open_log(self.config, os.environ, threads=False)
            raise found.explained(error) from None
        if changes_statsd:
            statsd.open_statsd(config, receiver)


def _of_log(config: Config) -> list[object]:
    return [getattr(config, name) for name, row in OPTIONS.items() if row.section == "Logs"]
