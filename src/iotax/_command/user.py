"""--user and --group: what the processes of the server become once the sockets are open.

Decides which ids and supplementary groups they get, and whether that is for good.
"""

import contextlib
import grp
import os
import pwd
from collections.abc import Iterator
from typing import Final, NamedTuple

from iotax._config.errors import OptionError
from iotax._config.options import Config
from iotax._log import server_log
from iotax._net.listeners import Listeners

_ID_MAX: Final = 2**32 - 2  # 2**32 - 1 means "unchanged" to the kernel


class NotDropped(Exception):
    """The privileges cannot be given up for good. The message says why."""


class User(NamedTuple):
    """`name`: whose supplementary groups the processes get; "": only the group `gid`."""

    uid: int
    gid: int
    name: str = ""

    def own(self, listeners: Listeners) -> None:
        """Own the files of the sockets and of the log. Errors: NotDropped."""
        try:
            listeners.give_files(self.uid, self.gid)
            server_log.give_files(self.uid, self.gid)
        except OSError as error:
            what = error.filename or "a log file"
            raise NotDropped(f"cannot give {what} to user {self.uid}: {error.strerror}") from None

    def become(self) -> None:
        """Give up the privileges of root. Errors: NotDropped."""
        try:
            if self.name:
                os.initgroups(self.name, self.gid)
            else:
                os.setgroups([self.gid])
            os.setgid(self.gid)
            os.setuid(self.uid)
        except OSError as error:
            raise NotDropped(
                f"cannot become user {self.uid} with group {self.gid}: {error.strerror}"
            ) from None
        if self.uid and _can_become_root():
            raise NotDropped(
                f"user {self.uid} can become root again, so this process has kept a capability"
                " (capabilities(7), securebits)"
            )

    @contextlib.contextmanager
    def tried(self) -> Iterator[None]:
        """Access files as this user in the block."""
        groups, gid, uid = os.getgroups(), os.getegid(), os.geteuid()
        os.setgroups(os.getgrouplist(self.name, self.gid) if self.name else [self.gid])
        os.setegid(self.gid)
        os.seteuid(self.uid)
        try:
            yield
        finally:
            os.seteuid(uid)
            os.setegid(gid)
            os.setgroups(groups)


def find(config: Config) -> User | None:
    """What to become; None: nothing changes. Errors: OptionError."""
    wanted = User(os.getuid(), os.getgid())
    if config.user:
        wanted = _find_user(config.user, has_group=bool(config.group))
    if config.group:
        wanted = wanted._replace(gid=_find_group(config.group))
    if os.geteuid() == 0:
        return wanted if config.user or config.group else None
    if (wanted.uid, wanted.gid) == (os.getuid(), os.getgid()):
        return None
    option, value = ("user", config.user) if config.user else ("group", config.group)
    own = os.getuid() if config.user else os.getgid()
    raise OptionError(
        option, f'"{value}" needs root, and this process has {option} {own}', str(own)
    )


def _find_user(text: str, *, has_group: bool) -> User:
    """As chown(1): a name, else a number."""
    try:
        entry = pwd.getpwnam(text)
    except KeyError:
        pass
    else:
        return User(entry.pw_uid, entry.pw_gid, entry.pw_name)
    uid = _number("user", text)
    try:
        return User(uid, pwd.getpwuid(uid).pw_gid)
    except KeyError:
        if has_group:
            return User(uid, uid)
    problem = f'"{text}" is not in /etc/passwd, so it needs a group (--group)'
    raise OptionError("user", problem, "www-data")


def _find_group(text: str) -> int:
    try:
        return grp.getgrnam(text).gr_gid
    except KeyError:
        return _number("group", text)


def _number(option: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise OptionError(option, f'the {option} "{text}" does not exist', "www-data")
    if len(text) > 10 or int(text) > _ID_MAX:
        raise OptionError(option, f'"{text}" is too large', "33")
    return int(text)


def _can_become_root() -> bool:
    try:
        os.setuid(0)
    except PermissionError:
        return False
    return True
