"""The server's own log, on the extension's sink, which never blocks the server.

Decides descriptors, colors and prefixes. Does not use the `logging` module, so the application's
logging configuration neither changes nor silences these lines.
"""

import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator, Mapping

from iotax import _iotax
from iotax._config.errors import OptionError
from iotax._config.options import Config

_STDOUT, _STDERR = 1, 2
# Names of descriptors. A socket, as under systemd, cannot be opened by such a name.
_DESCRIPTOR = re.compile(r"/dev/fd/([0-9]{1,9})|/proc/(?:self|thread-self|[0-9]+)/fd/([0-9]{1,9})")
_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
_EXAMPLE = "/var/log/iotax.log"
_LINKS_MAX = 40  # as the kernel follows them (path_resolution(7))
_opened: list[int] = []
_made: set[int] = set()  # those whose files did not exist
_makes_records = False


def open_log(config: Config, environ: Mapping[str, str], *, threads: bool = True) -> None:
    """Open the sink for this process, as `config` says. Without `threads`, for a process that
    forks, each line is written immediately, or dropped if the descriptor is not ready. Errors:
    OptionError."""
    files: list[int] = []
    try:
        error_fd = _descriptor("error_logfile", config.error_logfile, _STDERR, files)
        access_fd = _descriptor("access_logfile", config.access_logfile, _STDOUT, files)
    except OptionError:
        _close(files)
        raise
    _iotax.open_log(
        error_fd,
        access_fd if config.access_log else -1,
        level=config.log_level,
        color=colored(config.color, error_fd, environ),
        prefix=not os.isatty(error_fd),
        json=config.log_format == "json",
        paths=(_path(config.error_logfile), _path(config.access_logfile)),
        threads=threads,
    )
    _close(_opened)
    _opened.extend(files)
    global _makes_records
    _makes_records = config.log_format == "json"


def makes_records() -> bool:
    """Whether the log is open and its lines are JSON records."""
    return _makes_records


def access_lines_have_time(config: Config) -> bool:
    """Whether access lines in the default format begin with the time: not on a terminal."""
    if config.access_logfile == "-":
        return not os.isatty(_STDOUT)
    named = descriptor_named_by(config.access_logfile)
    return named is None or not os.isatty(named)


def give_files(uid: int, gid: int) -> None:
    """Change the owner of the log files that this process has made. Never of others: a user who can
    write the directory could have put a link to any file there. Errors: OSError."""
    for made in _made:
        os.fchown(made, uid, gid)


def reopen() -> None:
    """Open the log files again by their names: the old ones were renamed."""
    _iotax.reopen_log()


def info(text: str) -> None:
    _iotax.log("info", text)


def warning(text: str) -> None:
    _iotax.log("warning", text)


def error(text: str) -> None:
    _iotax.log("error", text)


def flush(patience: float = 1.0) -> bool:
    """Wait until all lines are written. False: some are not, because a reader has taken nothing for
    `patience` seconds, or because ten times that has passed."""
    return _iotax.flush_log(patience)


def descriptor_named_by(path: str) -> int | None:
    """The descriptor of this process that `path` names: /dev/stdout, /dev/stderr, /dev/fd/N,
    /proc/self/fd/N, or a link to one of them, as in container images. None: it is a file."""
    for _ in range(_LINKS_MAX):
        path = os.path.abspath(path)
        if path in _STANDARD:
            return _STANDARD[path]
        if found := _DESCRIPTOR.fullmatch(path):
            own = path.startswith(("/dev/", "/proc/self/", "/proc/thread-self/"))
            if own or path.startswith(f"/proc/{os.getpid()}/"):
                return int(found[1] or found[2])
        try:
            path = os.path.join(os.path.dirname(path), os.readlink(path))
        except OSError:
            return None  # not a link, or it does not exist
    return None


def _path(file: str) -> bytes:
    """The file to open again after log rotation; empty: none."""
    if file == "-" or descriptor_named_by(file) is not None:
        return b""
    return os.fsencode(os.path.abspath(file))


def _is_writable(descriptor: int) -> bool:
    """Errors: OSError if it is not open."""
    return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY


def check_files(config: Config, *, only_existing: bool = False) -> Iterator[OptionError]:
    """Why open_log() could not open its files. Opens and makes none."""
    for option, path in (
        ("error_logfile", config.error_logfile),
        ("access_logfile", config.access_logfile),
    ):
        try:
            if path == "-" or _named_descriptor(option, path) is not None:
                continue
        except OptionError as error:
            yield error
            continue
        if only_existing and not os.path.exists(path):
            continue
        parent = os.path.dirname(os.path.realpath(path))
        if os.path.isdir(path):
            yield _is_a_directory(option, path)
        elif not os.path.isdir(parent):
            yield _cannot_open(option, path, os.strerror(errno.ENOENT))
        elif not os.access(path if os.path.exists(path) else parent, os.W_OK, effective_ids=True):
            yield _cannot_open(option, path, os.strerror(errno.EACCES))


def _descriptor(option: str, path: str, standard: int, files: list[int]) -> int:
    if path == "-":
        return standard
    if (named := _named_descriptor(option, path)) is not None:
        return named
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        try:
            opened = os.open(path, flags | os.O_EXCL, 0o666)
            _made.add(opened)
        except FileExistsError:
            opened = os.open(path, flags, 0o666)
    except OSError as error:
        raise _cannot_open(option, path, error.strerror) from None
    files.append(opened)
    if stat.S_ISDIR(os.fstat(opened).st_mode):
        raise _is_a_directory(option, path)
    return opened


def _named_descriptor(option: str, path: str) -> int | None:
    """The open, writable descriptor that `path` names. Errors: OptionError."""
    named = descriptor_named_by(path)
    if named is None:
        return None
    try:
        writable = _is_writable(named)
    except OSError:
        problem = f'"{path}" is descriptor {named}, which is not open'
        raise OptionError(option, problem, "-") from None
    if not writable:
        problem = f'"{path}" is descriptor {named}, which is open for reading only'
        raise OptionError(option, problem, "-")
    return named


def _cannot_open(option: str, path: str, why: str | None) -> OptionError:
    return OptionError(option, f'cannot open "{path}": {why}', _EXAMPLE)


def _is_a_directory(option: str, path: str) -> OptionError:
    return OptionError(option, f'"{path}" is a directory', _EXAMPLE)


def colored(choice: str, descriptor: int, environ: Mapping[str, str]) -> bool:
    """Whether to use colors. NO_COLOR and FORCE_COLOR count if they are not empty (no-color.org,
    force-color.org); a `choice` other than auto overrides both."""
    if choice != "auto":
        return choice == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return os.isatty(descriptor) and environ.get("TERM") != "dumb"


def _close(descriptors: list[int]) -> None:
    while descriptors:
        _made.discard(descriptors[-1])
        os.close(descriptors.pop())
