"""The server's own log: a thin layer over the extension's sink, which writes without ever blocking
the server.

Decides: which descriptors, colours and prefixes. Never touches the `logging` module: the
application's configuration of it neither changes nor silences these lines.
"""

import os
import stat
import sys
from collections.abc import Mapping

from iotax import _iotax
from iotax.config import ConfigError
from iotax.options import Config

_STDOUT, _STDERR = 1, 2
_opened: list[int] = []


def open_log(config: Config, environ: Mapping[str, str], *, threads: bool = True) -> None:
    """Open the sink for this process, as `config` says. Without `threads`, for a process that
    forks, each line is written at once, or dropped when nobody takes it. Errors: ConfigError that
    names the option and the file."""
    files: list[int] = []
    try:
        error_fd = _descriptor("--error-logfile", config.error_logfile, _STDERR, files)
        access_fd = _descriptor("--access-logfile", config.access_logfile, _STDOUT, files)
    except ConfigError:
        _close(files)
        raise
    _iotax.open_log(
        error_fd,
        access_fd if config.access_log else -1,
        level=config.log_level,
        color=colored(config.color, error_fd, environ),
        prefix=not os.isatty(error_fd),
        paths=(_path(config.error_logfile), _path(config.access_logfile)),
        threads=threads,
    )
    _close(_opened)
    _opened.extend(files)


def reopen() -> None:
    """Somebody has moved the files away."""
    _iotax.reopen_log()


def info(text: str) -> None:
    _iotax.log("info", text)


def warning(text: str) -> None:
    _iotax.log("warning", text)


def error(text: str) -> None:
    _iotax.log("error", text)


def flush(seconds: float = 1.0) -> bool:
    """Wait for what was logged, at most `seconds`. False: some of it is still unwritten."""
    return _iotax.flush_log(seconds)


def say(text: str) -> None:
    """Lines for the person who started the command, on standard error: no level, no prefix. Never
    fails."""
    flush()
    left = memoryview(f"{text}\n".encode(errors="backslashreplace"))
    try:
        while left:
            left = left[os.write(_STDERR, left) :]
    except OSError:
        return  # nobody reads: the start goes on


def is_terminal() -> bool:
    return os.isatty(_STDERR)


def open_missing_standard_streams() -> None:
    """Open descriptors 0 to 2 on /dev/null when they are closed, so that no socket takes their
    place."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest free number: `descriptor`
            os.set_inheritable(opened, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, "w" if descriptor else "r", closefd=False))  # noqa: SIM115 as long as the process


def _path(file: str) -> bytes:
    return b"" if file == "-" else os.fsencode(os.path.abspath(file))


def _descriptor(flag: str, path: str, standard: int, files: list[int]) -> int:
    if path == "-":
        return standard
    try:
        opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise ConfigError(
            f'{flag} "{path}" cannot be opened: {error.strerror}; e.g. {flag} /var/log/iotax.log'
        ) from None
    files.append(opened)
    if stat.S_ISDIR(os.fstat(opened).st_mode):
        raise ConfigError(f'{flag} "{path}" is a folder; e.g. {flag} /var/log/iotax.log')
    return opened


def colored(choice: str, descriptor: int, environ: Mapping[str, str]) -> bool:
    """no-color.org and force-color.org: a set, non-empty variable decides; an explicit choice beats
    both."""
    if choice != "auto":
        return choice == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return os.isatty(descriptor) and environ.get("TERM") != "dumb"


def _close(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())
